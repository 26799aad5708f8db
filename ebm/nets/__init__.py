"""Networks: encoders, from observations to vectors, and predictors, from vectors and actions to vectors."""

from ._encoders import AbstractEncoder as AbstractEncoder
from ._encoders import ConvEncoder as ConvEncoder
from ._encoders import Identity as Identity
from ._encoders import MLPEncoder as MLPEncoder
from ._encoders import PatchEncoder as PatchEncoder
from ._predictors import AbstractPredictor as AbstractPredictor
from ._predictors import GRUPredictor as GRUPredictor
from ._predictors import ResidualPredictor as ResidualPredictor
from ._residual import ResidualMLP as ResidualMLP
