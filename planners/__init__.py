"""Planners: minimise a problem's energy over actions."""

from typing import TYPE_CHECKING

from . import _neighbours as _neighbours  # first: it refuses strangers of our names

# isort: split
from ebm import on_first_use

__getattr__, __dir__ = on_first_use(__name__)  # loads these:

if TYPE_CHECKING:
    from ._agent import Agent as Agent
    from ._agent import AgentState as AgentState
    from ._barrier import BarrierFilter as BarrierFilter
    from ._basis import AbstractBasis as AbstractBasis
    from ._basis import Cubic as Cubic
    from ._basis import Linear as Linear
    from ._basis import ZeroOrder as ZeroOrder
    from ._beam import BeamSearch as BeamSearch
    from ._categorical import CategoricalCEM as CategoricalCEM
    from ._cem import CEM as CEM
    from ._collocation import Collocation as Collocation
    from ._coloured import Coloured as Coloured
    from ._combine import AbstractCombination as AbstractCombination
    from ._combine import PCGrad as PCGrad
    from ._controller import Controller as Controller
    from ._covariance import CovarianceMPPI as CovarianceMPPI
    from ._dial import DIAL as DIAL
    from ._event import EventTriggered as EventTriggered
    from ._filter import AbstractFilter as AbstractFilter
    from ._filter import BackupFilter as BackupFilter
    from ._gradient import GradientPlanner as GradientPlanner
    from ._hierarchical import HierarchicalPlanner as HierarchicalPlanner
    from ._hierarchical_problem import HierarchicalProblem as HierarchicalProblem
    from ._hierarchical_problem import Subgoal as Subgoal
    from ._hybrid import HybridPlanner as HybridPlanner
    from ._icem import iCEM as iCEM
    from ._ilqr import ILQR as ILQR
    from ._lagrangian import AugmentedLagrangian as AugmentedLagrangian
    from ._lattice import LatticeSearch as LatticeSearch
    from ._make import PLANNERS as PLANNERS
    from ._make import make as make
    from ._make import planner as planner
    from ._mppi import MPPI as MPPI
    from ._ornstein_uhlenbeck import OrnsteinUhlenbeck as OrnsteinUhlenbeck
    from ._planner import RESULTS as RESULTS
    from ._planner import AbstractPlanner as AbstractPlanner
    from ._planner import Plan as Plan
    from ._planner_model import PlannerModel as PlannerModel
    from ._predictive import PredictiveSampling as PredictiveSampling
    from ._proposal import AbstractProposal as AbstractProposal
    from ._proposal import Seeded as Seeded
    from ._proposal import White as White
    from ._proposal import follow as follow
    from ._rank import rank as rank
    from ._realtime import Realtime as Realtime
    from ._realtime import RealtimeStatistics as RealtimeStatistics
    from ._subgoals import Subgoals as Subgoals
    from ._tree import TreeSearch as TreeSearch
    from ._validate import Validation as Validation
    from ._validate import validate as validate
    from ._warmup import Choice as Choice
    from ._warmup import warmup as warmup
