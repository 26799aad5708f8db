"""CRADLE: films of possible and impossible events, to ask a world model what surprises it.

Context × outcome recombination for auditing developmental learning of expectations.
"""

from ._archive import GRAVITIES as GRAVITIES
from ._archive import Made as Made
from ._archive import Piece as Piece
from ._archive import freeform_pieces as freeform_pieces
from ._archive import make_piece as make_piece
from ._archive import pieces as pieces
from ._archive import raw_picture as raw_picture
from ._archive import read as read
from ._archive import read_freeform as read_freeform
from ._archive import recall as recall
from ._films import CONCEPTS as CONCEPTS
from ._films import Films as Films
from ._films import digest as digest
from ._films import modes as modes
from ._films import quadruplets as quadruplets
from ._films import splits as splits
from ._picture import FEATURES as FEATURES
from ._quadruplet import CELLS as CELLS
from ._scene import VIEW as VIEW
