"""Compilation, in the way that the world model asks for."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.core import Tracer


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`eqx.filter_jit` for a function whose first argument has a `problem`, with the compiler options of that problem's model.

    Called while something around it is compiled, it becomes a part of that, whose options count.
    """

    @cache
    def under(options: tuple[tuple[str, bool | int], ...]) -> Callable[..., Any]:
        return eqx.filter_jit(function, compiler_options=dict(options))  # pyright: ignore[reportCallIssue]

    @wraps(function)
    def call(agent, *arguments):
        if isinstance(jnp.zeros(()), Tracer):  # everything is traced under `jit`, even this
            return function(agent, *arguments)
        return under(tuple(agent.problem.model.compiler_options.items()))(agent, *arguments)

    return call
