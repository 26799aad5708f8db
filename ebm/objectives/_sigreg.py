"""SIGReg: every shadow of the representation looks like a normal distribution."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ._objective import AbstractObjective, directions, read, samples

NODES, FAR = 17, 3.0  # of the integral, which is even


class SIGReg(AbstractObjective):
    """The distance of one-dimensional projections from the normal distribution, by Epps and Pulley: `∫ |φ(t) - e^{-t²/2}|² e^{-t²/2} dt`.

    `φ` is the empirical characteristic function of a projection; the mean over random directions, anew for every batch. LeJEPA multiplies
    by the number of samples N, and this does not: `N` times its weight is the same here.

    In subspaces (Sub-JEPA) the projections look only at a few random planes, which stay: a representation of few intrinsic dimensions is
    not asked to fill more of them.

    Balestriero & LeCun 2025, "LeJEPA", arXiv:2511.08544; Epps & Pulley 1983, "A test for normality based on the empirical characteristic
    function".
    """

    subspaces: Float[Array, "subspace feature basis"] | None
    of: str = eqx.field(static=True)
    count: int = eqx.field(static=True)

    def __init__(self, of: str = "features", count: int = 64, *, subspaces: Float[Array, "subspace feature basis"] | None = None):
        """**Arguments:**

        - `of`: the block, "features" or "context".
        - `count`: of directions.
        - `subspaces`: orthonormal bases, from `draw_subspaces`; by default the whole space.
        """
        self.of, self.count, self.subspaces = of, count, subspaces

    def __call__(self, outcome):
        x = samples(read(outcome, self.of))
        return jnp.mean(epps_pulley(x @ self._directions(outcome, x.shape[-1]).T))

    def _directions(self, outcome, size):
        if self.subspaces is None:
            return directions(outcome, self.count, size)
        each, _, basis = self.subspaces.shape
        inside = directions(outcome, self.count * each, basis).reshape(each, self.count, basis)
        return jnp.einsum("sfb,sdb->sdf", self.subspaces, inside).reshape(-1, size)


def draw_subspaces(count: int, size: int, basis: int, *, key: Key[Array, ""]) -> Float[Array, "subspace feature basis"]:
    """Orthonormal bases of `count` random subspaces with `basis` of `size` dimensions."""
    if not 1 <= basis <= size:
        raise ValueError(f"`basis` must be in [1, {size}], got {basis}: a subspace has no more dimensions than the whole.")
    return jnp.linalg.qr(jax.random.normal(key, (count, size, basis)))[0]


def epps_pulley(projected: Float[Array, "sample direction"]) -> Float[Array, " direction"]:
    """How far each column is from a sample of the standard normal distribution; 0 for the distribution itself."""
    t = np.linspace(0.0, FAR, NODES)
    normal = np.exp(-0.5 * t**2)
    trapezoid = np.full(NODES, t[1]) * np.where((t == 0) | (t == FAR), 0.5, 1.0)

    def add(total, node):
        t, normal, width = node
        real, imaginary = jnp.mean(jnp.cos(t * projected), axis=0), jnp.mean(jnp.sin(t * projected), axis=0)
        return total + 2.0 * width * normal * ((real - normal) ** 2 + imaginary**2), None

    nodes = jax.tree.map(jnp.float32, (t, normal, trapezoid))
    return jax.lax.scan(add, jnp.zeros(projected.shape[1]), nodes)[0]
