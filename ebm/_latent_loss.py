"""What predictors with latents learn from: the future that came, and a price for what their latents say."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._losses import Steps, Terms
from .nets import AbstractLatentPredictor


def latent_loss(
    predictor: AbstractLatentPredictor,
    batch: Steps,
    share: Float[Array, ""],
    key: Key[Array, ""],
    *,
    free_nats: float | Array = 0.0,
    warm: float | Array = 0.3,
) -> tuple[Float[Array, ""], Terms]:
    """The evidence bound over single steps: how badly the latent explains what came, and how much more it says than the prior, nats.

    As a trainer's loss with free nats: `eqx.Partial(ebm.latent_loss, free_nats=0.5)`.

    **Arguments:**

    - `free_nats`: so much a latent may say for nothing, on average over the batch (Kingma et al. 2016, arXiv:1606.04934).
    - `warm`: the share of the training during which the price rises to its full height: latents that cost at once are never used (Bowman et
      al. 2016, arXiv:1511.06349).
    """

    def step(before, action, after, key):
        return predictor.bound(before.features, action, predictor.condense(before.context), after, key=key)

    keys = jax.random.split(key, len(batch.actions))
    wrong, said = jax.tree.map(jnp.mean, eqx.filter_vmap(step)(batch.before, batch.actions, batch.after, keys))
    price = jnp.minimum(share / jnp.maximum(warm, 1e-6), 1.0)
    return wrong + price * jnp.maximum(said, free_nats), {"explained": wrong, "said": said}
