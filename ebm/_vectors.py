"""Vectors and rotations whose derivatives are finite everywhere."""

import jax.numpy as jnp
from jaxtyping import Array, Float

SMALL = 1e-12  # a norm that counts as 0


def safe_norm(x: Float[Array, " component"]) -> Float[Array, ""]:
    """The Euclidean norm, with derivative 0 (not NaN) at 0; NaN of NaN."""
    square = jnp.sum(x**2)
    nothing = square <= SMALL**2
    return jnp.where(nothing, 0.0, jnp.sqrt(jnp.where(nothing, 1.0, square)))


def rotation_vector(a: Float[Array, "4"], b: Float[Array, "4"]) -> Float[Array, "3"]:
    """The rotation that takes orientation `a` to `b`, in the frame of `a`: axis times angle (rad), the shorter way round."""
    vector = a[0] * b[1:] - b[0] * a[1:] - jnp.cross(a[1:], b[1:])
    scalar = jnp.dot(a, b)
    vector, scalar = jnp.where(scalar < 0, -vector, vector), jnp.abs(scalar)
    sine = safe_norm(vector)
    near = sine < 1e-6
    # Where the quotient is not used its arguments are set to 1, or its derivative there, 0/0, would reach the gradient all the same.
    return vector * jnp.where(near, 2.0, 2.0 * jnp.arctan2(jnp.where(near, 1.0, sine), scalar) / jnp.where(near, 1.0, sine))
