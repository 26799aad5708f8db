"""Compilation, in the way that the world model asks for."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer


def float32() -> Any:
    """A context in which new numbers are float32, also where `jax_enable_x64` is set."""
    return jax.enable_x64(False)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`eqx.filter_jit` for a function whose first argument has a `problem`, with the compiler options of that problem's model.

    Called while something around it is compiled, it becomes a part of that, whose options count. Numbers are float32 in any
    case, also where `jax_enable_x64` is set.
    """

    @cache
    def under(options: tuple[tuple[str, bool | int], ...]) -> Callable[..., Any]:
        return eqx.filter_jit(function, compiler_options=dict(options))  # pyright: ignore[reportCallIssue]

    @wraps(function)
    def call(agent, *arguments):
        with float32():
            if isinstance(jnp.zeros(()), Tracer):  # everything is traced under `jit`, even this
                return function(agent, *arguments)
            return under(tuple(agent.problem.model.compiler_options.items()))(agent, *arguments)

    return call
