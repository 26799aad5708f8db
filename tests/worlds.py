"""Tiny worlds for tests: closed-form motion, names to read, latents to draw, and one that breaks."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

import ebm

DT = 0.1  # s


class Named(ebm.AbstractState):
    """Whatever a test wants to read, by name."""

    values: dict[str, Array]

    def __init__(self, **values):
        self.values = {name.replace("__", ":"): jnp.asarray(value, jnp.float32) for name, value in values.items()}

    def read(self, name):
        return self.values[name]


class Point(ebm.AbstractState):
    """A point in the plane, and how often it was moved."""

    position: Float[Array, "*batch 2"]
    velocity: Float[Array, "*batch 2"]
    count: Int[Array, "*batch"]

    def read(self, name):
        return {"site:tip": self.position, "velocity:site:tip": self.velocity, "joint:slider": self.position[..., :1]}[name]


def point(position=(0.3, -0.2), velocity=(0.0, 0.5)):
    return Point(jnp.asarray(position, jnp.float32), jnp.asarray(velocity, jnp.float32), jnp.int32(0))


class PointMass(ebm.AbstractWorldModel):
    """Newton's law in the plane. The mass differs from episode to episode, the force from step to step; forces beyond `limit` break it."""

    mass: Float[Array, ""] = eqx.field(converter=lambda x: jnp.asarray(x, jnp.float32), default=1.0)
    drag: Float[Array, ""] = eqx.field(converter=lambda x: jnp.asarray(x, jnp.float32), default=0.3)
    limit: Float[Array, ""] = eqx.field(converter=lambda x: jnp.asarray(x, jnp.float32), default=10.0)
    uncertain: bool = eqx.field(static=True, default=False)
    action_space: ebm.Box = ebm.Box([-1.0, -1.0], [1.0, 1.0])
    dt: float = eqx.field(static=True, default=DT)

    def example_state(self):
        return point()

    def step(self, state, action, latents=None):
        mass = self.mass if latents is None else self.mass * jnp.exp(0.3 * latents.episode)
        force = action if latents is None else action + 0.1 * latents.step
        force = jnp.where(jnp.abs(action) > self.limit, jnp.nan, force)
        velocity = state.velocity + self.dt * (force - self.drag * state.velocity * jnp.abs(state.velocity)) / mass
        return Point(state.position + self.dt * velocity, velocity, state.count + 1)

    def sample_latents(self, horizon, *, key):
        if not self.uncertain:
            return None
        noise = jax.random.normal(key, (2 * horizon + 1,))
        return ebm.Latents(noise[0], noise[1:].reshape(horizon, 2))


class Drift(ebm.AbstractWorldModel):
    """Position is the integral of the action, written as a whole rollout."""

    action_space: ebm.Box = ebm.Box([-1.0, -1.0], [1.0, 1.0])
    dt: float = eqx.field(static=True, default=DT)

    def example_state(self):
        return point()

    def rollout(self, state, actions, latents=None):
        if latents is not None:
            actions = actions * latents.episode + latents.step
        travelled = jnp.concatenate([jnp.zeros((1, 2), jnp.float32), jnp.cumsum(self.dt * jnp.asarray(actions, jnp.float32), axis=0)])
        velocity = jnp.concatenate([state.velocity[None], jnp.asarray(actions, jnp.float32)])
        return Point(state.position + travelled, velocity, state.count + jnp.arange(len(velocity), dtype=jnp.int32))


def now(tick=0, previous_action=(0.0, 0.0)):
    return ebm.Now(tick, previous_action)


def actions(horizon=5, seed=0):
    return jax.random.uniform(jax.random.key(seed), (horizon, 2), minval=-0.8, maxval=0.8)


def trajectory(model=None, horizon=5, seed=0, start=None, moment=None):
    model = PointMass() if model is None else model
    start, moment = point() if start is None else start, now() if moment is None else moment
    planned = actions(horizon, seed)
    return ebm.Trajectory(model.rollout(start, planned), planned, moment, model.dt)


def counted(function):
    """`function` compiled, and a list that grows by one at each trace."""
    traces = []

    def traced(*args):
        traces.append(None)
        return function(*args)

    return eqx.filter_jit(traced), traces


def weak(tree):
    """The paths of weakly typed leaves, which make a program compile twice."""
    return [jax.tree_util.keystr(path) for path, leaf in jax.tree_util.tree_leaves_with_path(tree) if getattr(leaf, "weak_type", False)]


def assert_close(a, b, **tolerances):
    """Two trees have one structure, and leaves that agree."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    tolerances = {"rtol": 1e-5, "atol": 1e-6} | tolerances
    for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True):
        assert jnp.shape(x) == jnp.shape(y), jax.tree_util.keystr(path)
        assert jnp.allclose(x, y, equal_nan=True, **tolerances), f"{jax.tree_util.keystr(path)}: {x} and {y}"


def slope(function, x, step=1e-2):
    """The gradient by central differences, for functions that are smooth over `step`."""
    flat = x.ravel()
    moved = [(flat.at[i].add(step).reshape(x.shape), flat.at[i].add(-step).reshape(x.shape)) for i in range(flat.size)]
    up, down = jnp.stack([u for u, _ in moved]), jnp.stack([d for _, d in moved])
    return ((jax.vmap(function)(up) - jax.vmap(function)(down)) / (2 * step)).reshape(x.shape)


class Slider(ebm.AbstractState):
    """Position (m) and speed (m/s)."""

    position: Float[Array, "*batch"]
    speed: Float[Array, "*batch"]

    def read(self, name):
        return {"joint:slider": self.position[..., None], "velocity:joint:slider": self.speed[..., None]}[name]


class Cart(ebm.AbstractWorldModel):
    """A mass of 1 kg that is pushed with at most 5 N."""

    action_space: ebm.Box = ebm.Box([-5.0], [5.0])
    dt: float = eqx.field(static=True, default=0.02)

    def example_state(self):
        return Slider(jnp.zeros(()), jnp.zeros(()))

    def step(self, state, action, latents=None):
        speed = state.speed + self.dt * action[0]
        return Slider(state.position + self.dt * speed, speed)


class Code(ebm.AbstractState):
    """What a network has made of an observation. Its first numbers go by the names that tests read."""

    z: Float[Array, "*batch 8"]

    def read(self, name):
        place = {"joint:slider": 0, "velocity:joint:slider": 1, "joint:pole": 0, "velocity:joint:pole": 1}[name]
        return self.z[..., place : place + 1]


class Learned(ebm.AbstractWorldModel):
    """A small network that predicts codes, as a trained one would; an action pushes the second number, which moves the first."""

    network: eqx.nn.MLP = eqx.field(default_factory=lambda: eqx.nn.MLP(9, 8, 16, 1, activation=jnp.tanh, key=jax.random.key(0)))
    action_space: ebm.Box = eqx.field(default_factory=lambda: ebm.Box([-5.0], [5.0]))
    dt: float = eqx.field(static=True, default=0.02)

    def example_state(self):
        return Code(jnp.zeros(8))

    def step(self, state, action, latents=None):
        drift = 0.1 * self.network(jnp.concatenate([state.z, action]))
        return Code(state.z + self.dt * (drift + jnp.zeros(8).at[0].set(state.z[1]).at[1].set(action[0])))
