"""Distillation from oneself."""

import equinox as eqx
from jaxtyping import Array, Key

from ._guess import guess, guesser, source
from ._objective import AbstractObjective, read


class SimSiam(AbstractObjective):
    """The mean squared error of guessing, by a small network, what the encoder itself says of the next frame, through which nothing learns.

    Distillation without a copy: that one side does not learn, and that the guess is a network of its own, is what is left against collapse.

    Chen & He 2021, "Exploring simple Siamese representation learning", arXiv:2011.10566.
    """

    network: eqx.nn.MLP
    of: str = eqx.field(static=True)

    def __init__(self, size: int, of: str = "features", width: int = 128, *, key: Key[Array, ""]):
        """**Arguments:**

        - `size`: of the block. `of`: which, "features" or "context".
        - `width`: of the hidden layer.
        """
        self.network, self.of = guesser(size, width, key=key), of

    def __call__(self, outcome):
        return guess(self.network, source(outcome, self.of), read(outcome, self.of)[:, 1:])
