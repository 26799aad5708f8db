"""Distillation from a copy that follows slowly."""

import equinox as eqx
from jaxtyping import Array, Key

from ._guess import guess, guesser, source
from ._objective import AbstractObjective


class Distillation(AbstractObjective):
    """The mean squared error of guessing, by a small network, what a slowly following copy of the encoder says (`Outcome.targets`).

    Nothing forbids collapse; that the copy is slow, and that the guess is a network of its own, avoids it more often than not. What is
    guessed is the block in the next frame: of features from those that were predicted, of the context from the frame before.

    Grill et al. 2020, "Bootstrap your own latent", arXiv:2006.07733.
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
        if outcome.targets is None:
            raise ValueError("Distillation needs `Outcome.targets`: give `ebm.Joint` a `target=ebm.Average(encoder)`.")
        return guess(self.network, source(outcome, self.of), outcome.targets.read(self.of)[:, 1:])
