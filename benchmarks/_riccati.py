"""A linear controller as a floor, where standing still at the goal is what is wanted."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

import ebm

from ._episodes import Decision
from ._plant import Bench

EFFORT = 0.1  # weight of the actions, beside 1 of every component of the state


class Riccati:
    """The linear-quadratic regulator around the plan model's initial state, in the tangent space of its states.

    The gain is that of the infinite horizon, from the discrete algebraic Riccati equation.
    """

    def __init__(self, bench: Bench):
        problem: Any = bench.problem
        self.model, self.box = problem.model, problem.action_space
        self.simulator: Any = bench.plant.unwrapped
        self.rest = self.model.example_state()
        states = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), self.rest)
        still = ebm.Trajectory(states, jnp.zeros((1, self.box.size)), ebm.Now(0, jnp.zeros(self.box.size)), self.model.dt)
        linear = eqx.filter_jit(self.model.linearize)(still)
        A, B = np.asarray(linear.A[0], float), np.asarray(linear.B[0], float)
        weight = EFFORT * np.eye(self.box.size)
        value = scipy.linalg.solve_discrete_are(A, B, np.eye(len(A)), weight)
        self.gain = np.linalg.solve(weight + B.T @ value @ B, B.T @ value @ A)
        self.difference = eqx.filter_jit(self.model.difference)

    def reset(self, seed: int) -> None:
        """Nothing to forget."""

    def act(self) -> Decision:
        """Push back."""
        away = np.asarray(self.difference(self.rest, self.model.state(self.simulator.data)))
        return Decision(np.clip(-self.gain @ away, np.asarray(self.box.low), np.asarray(self.box.high)).astype(np.float32))
