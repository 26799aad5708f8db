"""The covariance term of VICReg."""

import equinox as eqx

from ._objective import AbstractObjective, covariance, off_diagonal_mean, read, samples


class Covariance(AbstractObjective):
    """The mean of squared covariances between different numbers of a block: `Σ_{i≠j} C_ij² / (D (D - 1))`.

    Makes numbers say different things. The reference code divides by D only: multiply its weight by `D - 1` to have the same here.

    Bardes, Ponce & LeCun 2022, "VICReg", arXiv:2105.04906.

    **Arguments:**

    - `of`: the block, "features" or "context".
    """

    of: str = eqx.field(static=True, default="features")

    def __call__(self, outcome):
        return off_diagonal_mean(covariance(samples(read(outcome, self.of))))
