"""An objective that looks through an expander."""

import equinox as eqx
import jax
from jaxtyping import Array, Key

from .._representation import Representation
from ._objective import AbstractObjective, Outcome, read


class Expander(AbstractObjective):
    """Another objective, of a block that first went through a wider network, which learns along and is thrown away afterwards.

    Where views should agree in what they show and not in how, the expander may forget it and the representation need not (VICReg gains 3
    points by it). World models go without: planners measure distance in the very space that is regularised.

    Bardes, Ponce & LeCun 2022, "VICReg", arXiv:2105.04906.
    """

    objective: AbstractObjective
    network: eqx.nn.MLP
    of: str = eqx.field(static=True)

    def __init__(self, objective: AbstractObjective, size: int, out_size: int, of: str = "features", *, key: Key[Array, ""]):
        """**Arguments:**

        - `objective`: which looks at the block `of`.
        - `size`: of the block. `out_size`: of the expander and of its hidden layers.
        """
        self.objective, self.of = objective, of
        self.network = eqx.nn.MLP(size, out_size, out_size, 2, key=key)

    def __call__(self, outcome):
        expand = jax.vmap(jax.vmap(self.network))
        block, other = expand(read(outcome, self.of)), "context" if self.of == "features" else "features"
        encoded = Representation(**{self.of: block, other: read(outcome, other)})
        predicted: Array = expand(outcome.predicted) if self.of == "features" else outcome.predicted
        return self.objective(
            Outcome(encoded, predicted, outcome.actions, outcome.key, outcome.targets, outcome.masked, outcome.observations)
        )
