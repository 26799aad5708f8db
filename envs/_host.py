"""NumPy inside compiled programs: how the C engine is called by XLA."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.experimental.buffer_callback import buffer_callback
from jaxtyping import Array, PyTree


def host_call(function: Callable[..., Any], shapes: PyTree[jax.ShapeDtypeStruct], *arguments: Array, **static: Any) -> Any:
    """`function(*arguments, **static)`, called with NumPy arrays whenever the compiled program comes by; `vmap` hands it whole batches.

    **Arguments:**

    - `function`: pure; returns an array, or a tuple of them. It must neither call JAX nor write into its arguments.
    - `shapes`: of what it returns for one example.
    - `static`: hashable options.
    """
    if jax.default_backend() != "cpu":
        return jax.pure_callback(lambda *given: function(*given, **static), shapes, *arguments, vmap_method="expand_dims")
    # on a CPU its arguments and results need not be copied: that saves a quarter of what a replan costs beside the physics
    return buffer_callback(_InPlace(function, tuple(static.items())), shapes, vmap_method="expand_dims")(*arguments)


class _InPlace(eqx.Module):
    """The function as XLA calls it. Two of one function are equal, so that calls outside `jit` compile once."""

    function: Callable[..., Any] = eqx.field(static=True)
    static: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    def __call__(self, context: Any, out: Any, *arguments: Any) -> None:
        del context
        found = self.function(*map(np.asarray, arguments), **dict(self.static))
        for buffer, value in zip(jax.tree.leaves(out), jax.tree.leaves(found), strict=True):
            np.asarray(buffer)[...] = value
