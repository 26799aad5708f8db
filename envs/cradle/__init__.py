"""CRADLE: films of possible and impossible events, to ask a world model what surprises it.

Context × outcome recombination for auditing developmental learning of expectations.
"""

from ._archive import GRAVITIES as GRAVITIES
from ._archive import VERSION as VERSION
from ._archive import Made as Made
from ._archive import Piece as Piece
from ._archive import freeform_pieces as freeform_pieces
from ._archive import make_piece as make_piece
from ._archive import pieces as pieces
from ._archive import raw_picture as raw_picture
from ._archive import read as read
from ._archive import read_freeform as read_freeform
from ._archive import read_sights as read_sights
from ._archive import recall as recall
from ._env import CradleEnv as CradleEnv
from ._films import CONCEPTS as CONCEPTS
from ._films import Films as Films
from ._films import digest as digest
from ._films import modes as modes
from ._films import quadruplets as quadruplets
from ._films import splits as splits
from ._physics import SUBSTEPS as SUBSTEPS
from ._physics import mjcf as mjcf
from ._picture import FEATURES as FEATURES
from ._picture import SCENERY as SCENERY
from ._picture import look_at as look_at
from ._quadruplet import CELLS as CELLS
from ._quadruplet import MIN_HIDDEN as MIN_HIDDEN
from ._scene import FRAMES as FRAMES
from ._scene import KINDS as KINDS
from ._scene import MOST_THINGS as MOST_THINGS
from ._scene import RATE as RATE
from ._scene import SIZE as SIZE
from ._scene import VIEW as VIEW
from ._scene import Cast as Cast
from ._scene import Fixed as Fixed
from ._scene import Free as Free
from ._scene import Look as Look
from ._scene import Moved as Moved
from ._scene import Stage as Stage
from ._scene import Vector as Vector
