"""An objective that looks at every place of a grid by itself."""

import equinox as eqx

from ._objective import AbstractObjective, read


class Everywhere(AbstractObjective):
    """The same objective, for which every place of a grid of features is a film of its own.

    **Arguments:**

    - `objective`: of `features` alone, such as `CodingRate`.
    - `channels`: of the features in every place.
    - `first`: how many of them it looks at, the first ones; by default all.
    """

    objective: AbstractObjective
    channels: int = eqx.field(static=True)
    first: int | None = eqx.field(static=True, default=None)

    def __call__(self, outcome):
        features = read(outcome, "features")
        film, frame, _ = features.shape
        apart = features.reshape(film, frame, -1, self.channels).swapaxes(1, 2).reshape(-1, frame, self.channels)
        apart = apart[..., : self.first]
        return self.objective(eqx.tree_at(lambda seen: seen.encoded.features, outcome, apart))
