"""Objectives: what a representation is trained for, one a file."""

from ._coding_rate import CodingRate as CodingRate
from ._constancy import Constancy as Constancy
from ._covariance import Covariance as Covariance
from ._cross_covariance import CrossCovariance as CrossCovariance
from ._film_variance import FilmVariance as FilmVariance
from ._inverse_dynamics import InverseDynamics as InverseDynamics
from ._objective import AbstractObjective as AbstractObjective
from ._objective import Composition as Composition
from ._objective import Outcome as Outcome
from ._objective import Weighted as Weighted
from ._prediction import Prediction as Prediction
from ._time_similarity import TimeSimilarity as TimeSimilarity
from ._variance import Variance as Variance
