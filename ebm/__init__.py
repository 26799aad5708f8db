"""Energies, guardrails, world models and problems: what is wanted, what must never happen, and what actions lead to."""

from . import _neighbours as _neighbours  # first: it refuses strangers of our names

# isort: split
from ._energy import AbstractConditionalEnergy as AbstractConditionalEnergy
from ._energy import AbstractEnergy as AbstractEnergy
from ._energy import AbstractGoalEnergy as AbstractGoalEnergy
from ._energy import AbstractStageEnergy as AbstractStageEnergy
from ._guardrail import AbstractGuardrail as AbstractGuardrail
from ._guardrail import KeepAbove as KeepAbove
from ._guardrail import KeepApart as KeepApart
from ._guardrail import KeepBelow as KeepBelow
from ._guardrail import KeepInside as KeepInside
from ._guardrail import Penalty as Penalty
from ._guardrail import Tightened as Tightened
from ._model import AbstractWorldModel as AbstractWorldModel
from ._model import Feedback as Feedback
from ._model import Linearization as Linearization
from ._perceive import AbstractPerceiver as AbstractPerceiver
from ._perceive import Direct as Direct
from ._problem import AbstractProblem as AbstractProblem
from ._problem import Evaluation as Evaluation
from ._problem import Problem as Problem
from ._problem import goal_axes as goal_axes
from ._reading import Reading as Reading
from ._reading import readings as readings
from ._risk import AbstractRisk as AbstractRisk
from ._risk import BestCase as BestCase
from ._risk import CVaR as CVaR
from ._risk import Entropic as Entropic
from ._risk import Mean as Mean
from ._risk import WorstCase as WorstCase
from ._search import AbstractSearch as AbstractSearch
from ._search import Ranking as Ranking
from ._search import pick as pick
from ._search import search as search
from ._terms import Effort as Effort
from ._terms import Orientation as Orientation
from ._terms import Posture as Posture
from ._terms import Reach as Reach
from ._terms import Smoothness as Smoothness
from ._terms import Terminal as Terminal
from ._terms import Track as Track
from ._terms import Upright as Upright
from ._terms import Velocity as Velocity
from ._terms import tolerance as tolerance
from ._types import AbstractState as AbstractState
from ._types import Box as Box
from ._types import Discrete as Discrete
from ._types import Latents as Latents
from ._types import Now as Now
from ._types import Trajectory as Trajectory
from ._types import all_finite as all_finite
from ._types import to_float as to_float
