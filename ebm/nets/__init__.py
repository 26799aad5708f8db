"""Networks: encoders from observations to vectors, predictors from vectors and actions to vectors, memories, and a decoder."""

from ._decoder import AbstractDecoder as AbstractDecoder
from ._decoder import Decoder as Decoder
from ._encoders import AbstractEncoder as AbstractEncoder
from ._encoders import ConvEncoder as ConvEncoder
from ._encoders import Identity as Identity
from ._encoders import MLPEncoder as MLPEncoder
from ._encoders import PatchEncoder as PatchEncoder
from ._grid import GridDecoder as GridDecoder
from ._grid import GridEncoder as GridEncoder
from ._grid import GridMemory as GridMemory
from ._grid import GridPredictor as GridPredictor
from ._grid import PlaceMemory as PlaceMemory
from ._gru_memory import GRUMemory as GRUMemory
from ._lstm_memory import LSTMMemory as LSTMMemory
from ._memory import AbstractMemory as AbstractMemory
from ._predictors import AbstractPredictor as AbstractPredictor
from ._predictors import GRUPredictor as GRUPredictor
from ._predictors import ResidualPredictor as ResidualPredictor
from ._residual import ResidualMLP as ResidualMLP
from ._state_space_memory import StateSpaceMemory as StateSpaceMemory
from ._transformer_memory import TransformerMemory as TransformerMemory
from ._vit import ViTEncoder as ViTEncoder
from ._window_memory import WindowMemory as WindowMemory
