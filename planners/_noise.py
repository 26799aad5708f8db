"""Noise in time, of unit variance at every knot."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Key


def white(shape: tuple[int, ...], *, key: Key[Array, ""]) -> Float[Array, "..."]:
    """Independent normals."""
    # the numbers do not depend on the shape, but XLA compiles a draw along one axis several times faster
    return jax.random.normal(key, (math.prod(shape),)).reshape(shape)


def coloured(shape: tuple[int, ...], exponent: ArrayLike, *, key: Key[Array, ""]) -> Float[Array, "..."]:
    """Normals with a power spectrum 1/f^exponent along the second-to-last axis (time): 0 is white, 1 pink, 2 red.

    Every knot has variance 1 over draws. The lowest frequency is kept finite by treating the constant part as one period of the window.

    **Arguments:**

    - `shape`: (..., knot, action).
    - `exponent`: 0 … 4.

    Timmer and König 1995; Pinneri et al. 2020, "Sample-efficient cross-entropy method for real-time planning", arXiv:2008.06389.
    """
    *batch, steps, size = shape
    if steps == 1:
        return white(shape, key=key)
    frequencies = jnp.maximum(jnp.fft.rfftfreq(steps), 1.0 / steps)
    amplitude = frequencies ** (-0.5 * jnp.asarray(exponent, jnp.float32))
    # a constant or a Nyquist component is real: it has one normal where the others have two
    real = jnp.zeros(frequencies.shape).at[0].set(1.0)
    real = real.at[-1].set(1.0) if steps % 2 == 0 else real
    parts = white((2, *batch, size, frequencies.size), key=key)
    spectrum = amplitude * jnp.where(real == 1.0, parts[0], (parts[0] + 1j * parts[1]) / jnp.sqrt(2.0))
    power = jnp.sum(amplitude**2 * jnp.where(real == 1.0, 1.0, 2.0)) / steps**2
    series = jnp.fft.irfft(spectrum, steps, axis=-1) / jnp.sqrt(power)
    return jnp.swapaxes(series, -1, -2).astype(jnp.float32)
