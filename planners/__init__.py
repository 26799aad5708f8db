"""Planners: minimise a problem's energy over actions."""

from . import _neighbours as _neighbours  # first: it refuses strangers of our names

# isort: split
from ._agent import Agent as Agent
from ._agent import AgentState as AgentState
from ._agent import Controller as Controller
from ._basis import AbstractBasis as AbstractBasis
from ._basis import Cubic as Cubic
from ._basis import Linear as Linear
from ._basis import ZeroOrder as ZeroOrder
from ._cem import CEM as CEM
from ._event import EventTriggered as EventTriggered
from ._gradient import GradientPlanner as GradientPlanner
from ._icem import iCEM as iCEM
from ._make import PLANNERS as PLANNERS
from ._make import make as make
from ._make import planner as planner
from ._mppi import MPPI as MPPI
from ._planner import RESULTS as RESULTS
from ._planner import AbstractPlanner as AbstractPlanner
from ._planner import Plan as Plan
from ._predictive import PredictiveSampling as PredictiveSampling
from ._rank import rank as rank
from ._warmup import Choice as Choice
from ._warmup import warmup as warmup
