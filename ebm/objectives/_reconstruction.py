"""The pictures, made again from what was made of them."""

import equinox as eqx
import jax
import jax.numpy as jnp

from ..nets import AbstractDecoder
from ._objective import AbstractObjective, read


class Reconstruction(AbstractObjective):
    """The mean squared error of pictures that a decoder makes of representations, in fractions of 255.

    The baseline that predicts pictures: the same encoder, memory and predictor, trained so, are an autoencoder with dynamics (Hafner et al.
    2019, "Learning latent dynamics for planning from pixels", arXiv:1811.04551), which must spend itself on whatever is in the picture.

    **Arguments:**

    - `decoder`: learns with the rest.
    - `of`: what is decoded: "features" or "context", of every frame, or "predicted", beside the frames that came.

    **Raises:**

    `ValueError` for an outcome that did not keep the pictures.
    """

    decoder: AbstractDecoder
    of: str = eqx.field(static=True, default="features")

    def __call__(self, outcome):
        pictures = outcome.observations
        if pictures is None:
            raise ValueError("`Reconstruction` needs the pictures, and this outcome has no `observations`. Let the loss put them there.")
        if self.of == "predicted":
            vectors, pictures = outcome.predicted, pictures[:, 1:]
        else:
            vectors = read(outcome, self.of)
        return jnp.mean(jax.vmap(jax.vmap(self.decoder.error))(vectors, pictures))
