"""Compilation, in the way that the world model asks for."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import equinox as eqx


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`eqx.filter_jit` for a function whose first argument has a `problem`, with the compiler options of that problem's model."""

    @cache
    def under(options: tuple[tuple[str, bool | int], ...]) -> Callable[..., Any]:
        return eqx.filter_jit(function, compiler_options=dict(options))  # pyright: ignore[reportCallIssue]

    @wraps(function)
    def call(agent, *arguments):
        return under(tuple(agent.problem.model.compiler_options.items()))(agent, *arguments)

    return call
