import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Drift, Point, PointMass, actions, assert_close, now, point, slope, trajectory, weak

import ebm

MODELS = [PointMass(), PointMass(uncertain=True), Drift()]
LATENTS = ebm.Latents(jnp.float32(0.7), jnp.linspace(-1.0, 1.0, 10, dtype=jnp.float32).reshape(5, 2))


def loop(model, state, planned, latents=None):
    states = [state]
    for t, action in enumerate(planned):
        states.append(model.step(states[-1], action, None if latents is None else latents.at(t)))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("latents", [None, LATENTS])
def test_a_rollout_is_its_steps(model, latents):
    assert_close(model.rollout(point(), actions(), latents), loop(model, point(), actions(), latents))


@pytest.mark.parametrize("model", MODELS)
def test_a_rollout_starts_at_its_argument_and_keeps_its_types(model):
    start = point()
    states = model.rollout(start, actions(4))
    assert eqx.tree_equal(jax.tree.map(lambda leaf: leaf[0], states), start)
    assert all(leaf.shape[0] == 5 for leaf in jax.tree.leaves(states))
    assert jax.tree.map(lambda leaf: leaf.dtype, states) == jax.tree.map(lambda leaf: leaf.dtype, start)
    assert not weak(states)


@pytest.mark.parametrize("model", MODELS)
def test_compiled_and_batched_worlds_are_the_same_worlds(model):
    batch = jnp.stack([actions(seed=seed) for seed in range(3)])
    looped = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[model.rollout(point(), planned) for planned in batch])
    assert_close(jax.jit(jax.vmap(lambda planned: model.rollout(point(), planned)))(batch), looped)


def test_a_model_must_override_rollout_or_step():
    with pytest.raises(TypeError, match="Empty must override `rollout` or `step`"):

        class Empty(ebm.AbstractWorldModel):
            def example_state(self):
                return jnp.zeros(1)

    class AbstractEmpty(ebm.AbstractWorldModel):
        pass

    class Full(AbstractEmpty):
        action_space: ebm.Box
        dt: float = eqx.field(static=True)

        def example_state(self):
            return jnp.zeros(1)

        def step(self, state, action, latents=None):
            return state + action

    with pytest.raises(TypeError, match="abstract"):
        AbstractEmpty()
    assert (Full(ebm.Box([0.0], [1.0]), 0.1).rollout(jnp.zeros(1), jnp.ones((2, 1))) == jnp.arange(3.0)[:, None]).all()


def test_a_state_keeps_its_precision_whatever_a_step_returns():
    class Half(ebm.AbstractWorldModel):
        action_space: ebm.Box = ebm.Box([0.0], [1.0])
        dt: float = eqx.field(static=True, default=0.1)

        def example_state(self):
            return jnp.zeros(1, jnp.float16)

        def step(self, state, action, latents=None):
            return state + action

    model = Half()
    assert model.rollout(model.example_state(), jnp.ones((3, 1))).dtype == jnp.float16
    assert model.rollout(np.zeros(1), jnp.ones((3, 1))).dtype == jnp.float32


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("latents", [None, LATENTS])
def test_linearize_is_the_derivative_of_a_step(model, latents):
    x = ebm.Trajectory(model.rollout(point(), actions(), latents), actions(), now(), model.dt)
    local = model.linearize(x, latents)
    t = 3
    state, lift = jax.tree.map(lambda leaf: leaf[t], (x.states, local.lift))
    latent = None if latents is None else latents.at(t)
    after = model.step(state, x.actions[t], latent)

    def moved(change):
        return model.difference(after, model.step(model.move(state, lift, change[:4]), x.actions[t] + change[4:], latent))

    numeric = jnp.stack([slope(lambda change, i=i: moved(change)[i], jnp.zeros(6)) for i in range(4)])
    assert local.A.shape == (5, 4, 4)
    assert local.B.shape == (5, 4, 2)
    assert jnp.allclose(jnp.concatenate([local.A[t], local.B[t]], axis=1), numeric, atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_difference_can_be_compiled(model):
    a, b = point(), point((1.0, 2.0))
    assert_close(eqx.filter_jit(model.difference)(a, b), model.difference(a, b))


def test_move_undoes_difference_and_leaves_counters_alone():
    model, x = PointMass(), trajectory()
    lift = jax.tree.map(lambda leaf: leaf[0], model.linearize(x).lift)
    a, b = point(), point((1.0, 2.0), (3.0, 4.0))
    tangent = model.difference(a, b)
    assert jnp.allclose(model.difference(b, a), -tangent)
    assert_close(model.move(a, lift, tangent), b)
    assert model.move(a, lift, tangent).count.dtype == jnp.int32


def test_lift_moves_every_inexact_leaf():
    model, x = PointMass(), trajectory()
    lift = model.linearize(x).lift
    assert lift.position.shape == (6, 2, 4)
    assert lift.velocity.shape == (6, 2, 4)
    assert lift.count is None


def test_states_of_python_numbers_have_one_tangent_space():
    class Scalar(ebm.AbstractWorldModel):
        action_space: ebm.Box = ebm.Box([0.0], [1.0])
        dt: float = eqx.field(static=True, default=0.1)

        def example_state(self):
            return {"height": 1.0, "speed": 0.0}

        def step(self, state, action, latents=None):
            return {"height": state["height"] + 0.1 * state["speed"], "speed": state["speed"] + action[0]}

    model = Scalar()
    x = ebm.Trajectory(model.rollout(model.example_state(), jnp.ones((2, 1))), jnp.ones((2, 1)), ebm.Now(0, [0.0]), 0.1)
    lift = jax.tree.map(lambda leaf: leaf[0], model.linearize(x).lift)
    moved = model.move(model.example_state(), lift, jnp.array([0.5, 2.0]))
    assert jnp.allclose(model.difference(model.example_state(), moved), jnp.array([0.5, 2.0]))


def test_the_model_is_differentiable_and_batched_by_its_leaves():
    def end(mass):
        return PointMass(mass).rollout(point(), actions()).position[-1, 0]

    assert jnp.allclose(jax.grad(end)(jnp.float32(1.5)), slope(end, jnp.float32(1.5)), rtol=1e-2)
    masses = jnp.array([1.0, 2.0, 4.0])
    models = eqx.filter_vmap(PointMass)(masses)
    ends = eqx.filter_vmap(lambda model: model.rollout(point(), actions()).position[-1, 0])(models)
    assert jnp.allclose(ends, jnp.stack([end(mass) for mass in masses]))


def test_a_certain_world_has_no_latents():
    assert PointMass().sample_latents(3, key=jax.random.key(0)) is None
    assert Drift().sample_latents(3, key=jax.random.key(0)) is None


def test_the_example_is_a_state():
    assert isinstance(PointMass().example_state(), Point)
