"""A small convex quadratic program in a box."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

SWEEPS = 12  # of coordinate descent, which finds out what is held by a limit
NEWTON_STEPS = 4  # within what is free
SMALL = 1e-9
SIZES = (1.0, 0.5, 0.1, 0.0)  # of a projected Newton step that are tried


def box_qp(
    hessian: Float[Array, "n n"], gradient: Float[Array, " n"], low: Float[Array, " n"], high: Float[Array, " n"]
) -> tuple[Float[Array, " n"], Bool[Array, " n"]]:
    """Minimise `½ xᵀHx + gᵀx` for `low <= x <= high`: coordinate descent, which converges, then projected Newton steps, which are fast.

    **Arguments:**

    - `hessian`: positive definite.

    **Returns:**

    The minimiser, and which entries are not held by a limit.

    Bertsekas 1982; Tassa, Mansard and Todorov 2014, "Control-limited differential dynamic programming".
    """
    sizes = jnp.asarray(SIZES)[:, None]

    def held(x):
        slope = hessian @ x + gradient
        return slope, ~(((x <= low) & (slope > 0)) | ((x >= high) & (slope < 0)))

    def newton(x, _):
        slope, free = held(x)
        direction = -solve_free(hessian, jnp.where(free, slope, 0.0), free)
        tried = jnp.clip(x + sizes * direction, low, high)
        value = jnp.einsum("ki,ij,kj->k", 0.5 * tried, hessian, tried) + tried @ gradient
        return tried[jnp.argmin(value)], None

    def descend(k, x):
        i = k % gradient.size
        return x.at[i].set(jnp.clip(x[i] - (hessian[i] @ x + gradient[i]) / hessian[i, i], low[i], high[i]))

    x = jax.lax.fori_loop(0, SWEEPS * gradient.size, descend, jnp.clip(jnp.zeros_like(gradient), low, high))
    x, _ = jax.lax.scan(newton, x, length=NEWTON_STEPS)
    return x, held(x)[1]


def solve_free(hessian: Float[Array, "n n"], right: Float[Array, "n *columns"], free: Bool[Array, " n"]) -> Float[Array, "n *columns"]:
    """`H⁻¹ right` within the entries that are free; 0 in the others."""
    within = jnp.where(free[:, None] & free, hessian, jnp.eye(free.size))
    right = jnp.where(free.reshape(-1, *[1] * (right.ndim - 1)), right, 0.0)
    return jnp.linalg.solve(within, right)


def to_convex(hessian: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """The nearest positive semidefinite matrix (Higham 1988); zero if it is not finite."""
    hessian = jnp.where(jnp.all(jnp.isfinite(hessian)), 0.5 * (hessian + hessian.T), 0.0)
    values, vectors = jnp.linalg.eigh(hessian)
    return (vectors * jnp.maximum(values, 0.0)) @ vectors.T


def damp(hessian: Float[Array, "n n"], damping: Float[Array, ""]) -> Float[Array, "n n"]:
    """Positive definite: `damping` is added to the diagonal, relative to its mean."""
    size = hessian.shape[0]
    return hessian + (damping * jnp.trace(hessian) / size + SMALL) * jnp.eye(size)
