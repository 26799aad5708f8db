"""Distillation of what is hidden."""

import equinox as eqx
from jaxtyping import Array, Key

from ._guess import guess, guesser
from ._objective import AbstractObjective


class MaskedDistillation(AbstractObjective):
    """What a slowly following copy says of a whole picture, guessed from the same picture with parts of it hidden (`Outcome.masked`).

    Assran et al. 2023, "Self-supervised learning from images with a joint-embedding predictive architecture", arXiv:2301.08243; for films
    Bardes et al. 2024, "V-JEPA", arXiv:2404.08471, who hide the same places in all frames, as here.
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
        if outcome.targets is None or outcome.masked is None:
            raise ValueError("Masked distillation needs `Outcome.targets` and `.masked`: give `ebm.Joint` a `target` and `hidden`.")
        return guess(self.network, outcome.masked.read(self.of), outcome.targets.read(self.of))
