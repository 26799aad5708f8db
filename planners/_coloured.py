"""Noise with a power law."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

import ebm

from ._checks import check_numbers
from ._proposal import AbstractProposal, white


class Coloured(AbstractProposal):
    """Normals with a power spectrum 1/f^exponent in time: 0 is white, 1 pink, 2 red, so that actions hold for longer.

    Every knot has variance 1 over draws. The lowest frequency is kept finite by treating the constant part as one period of the window.

    **Arguments:**

    - `exponent`: 0 … 4.

    Timmer and König 1995; Pinneri et al. 2020, "Sample-efficient cross-entropy method for real-time planning", arXiv:2008.06389.
    """

    exponent: Float[Array, ""] = eqx.field(converter=ebm.to_float, default=2.0)

    def __check_init__(self):
        check_numbers(self, exponent=(0.0, 4.0))

    def noise(self, shape, *, key):
        *batch, steps, size = shape
        if steps == 1:
            return white(shape, key=key)
        frequencies = jnp.maximum(jnp.fft.rfftfreq(steps), 1.0 / steps)
        amplitude = frequencies ** (-0.5 * self.exponent)
        # a constant or a Nyquist component is real: it has one normal where the others have two
        real = jnp.zeros(frequencies.shape).at[0].set(1.0)
        real = real.at[-1].set(1.0) if steps % 2 == 0 else real
        parts = white((2, *batch, size, frequencies.size), key=key)
        spectrum = amplitude * jnp.where(real == 1.0, parts[0], (parts[0] + 1j * parts[1]) / jnp.sqrt(2.0))
        power = jnp.sum(amplitude**2 * jnp.where(real == 1.0, 1.0, 2.0)) / steps**2
        series = jnp.fft.irfft(spectrum, steps, axis=-1) / jnp.sqrt(power)
        return jnp.swapaxes(series, -1, -2).astype(jnp.float32)
