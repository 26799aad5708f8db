import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import PointMass, actions, assert_close, counted, point, weak

import ebm

MODEL, DIRECT = PointMass(), ebm.Direct()
FORCE = jnp.array([0.5, -0.5])


def test_the_observation_is_the_state():
    seen = point((1.0, 2.0), (3.0, 4.0))
    state, memory = DIRECT.observe(MODEL, DIRECT.init(MODEL), FORCE, seen)
    assert eqx.tree_equal(state, seen)
    assert eqx.tree_equal(memory.state, seen)
    assert memory.seen
    assert DIRECT.sense(MODEL, seen) is seen


def test_what_is_no_state_of_the_model_is_refused():
    model = PointMass()
    memory = ebm.Direct().init(model)
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), point())
    for wrong, said in ((batch, "vmap"), (np.zeros(4), "example_state"), (None, "example_state")):
        with pytest.raises(ValueError, match=said):
            ebm.Direct().observe(model, memory, jnp.zeros(2), wrong)


def test_the_first_observation_surprises_nobody():
    far = point((100.0, 100.0))
    memory = DIRECT.init(MODEL)
    assert not memory.seen
    assert DIRECT.energy(MODEL, memory, FORCE, far) == 0
    _, memory = DIRECT.observe(MODEL, memory, FORCE, far)
    assert DIRECT.energy(MODEL, memory, FORCE, point()) > 0


def test_what_was_foreseen_is_no_surprise_and_the_rest_is_by_how_far():
    _, memory = DIRECT.observe(MODEL, DIRECT.init(MODEL), FORCE, point())
    foreseen = MODEL.step(point(), FORCE)
    assert DIRECT.energy(MODEL, memory, FORCE, foreseen) == 0
    for size in (0.5, 2.0):
        moved = eqx.tree_at(lambda state: state.position, foreseen, foreseen.position + jnp.array([size, 0.0]))
        assert jnp.allclose(DIRECT.energy(MODEL, memory, FORCE, moved), 0.5 * size**2, rtol=1e-5)


def test_memory_keeps_one_type_from_the_start():
    def observe(memory, observation):
        return DIRECT.observe(MODEL, memory, FORCE, observation)[1]

    compiled, traces = counted(observe)
    memory = DIRECT.init(MODEL)
    assert not weak(memory)
    for position in ((0.0, 0.0), (1.0, 0.0)):
        after = compiled(memory, point(position))
        assert jax.tree.map(lambda leaf: leaf.dtype, after) == jax.tree.map(lambda leaf: leaf.dtype, memory)
        assert not weak(after)
        memory = after
    assert len(traces) == 1


def test_observations_from_the_host_take_the_types_of_the_model():
    raw = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), point())
    state, memory = eqx.filter_jit(DIRECT.observe)(MODEL, DIRECT.init(MODEL), FORCE, raw)
    assert_close(state, point())
    assert jax.tree.map(lambda leaf: leaf.dtype, (state, memory.state)) == jax.tree.map(lambda leaf: leaf.dtype, (point(), point()))


def test_a_film_can_be_scanned():
    film = MODEL.rollout(point(), actions(6))
    film = eqx.tree_at(lambda states: states.position, film, film.position.at[4:].add(0.5))

    def watch(memory, inputs):
        action, frame = inputs
        energy = DIRECT.energy(MODEL, memory, action, frame)
        return DIRECT.observe(MODEL, memory, action, frame)[1], energy

    before = jnp.concatenate([jnp.zeros((1, 2)), actions(6)])
    _, energies = jax.lax.scan(watch, DIRECT.init(MODEL), (before, film))
    assert energies.shape == (7,)
    assert energies[0] == 0
    assert jnp.argmax(energies) == 4
    assert jnp.allclose(jnp.delete(energies, 4), 0.0, atol=1e-6)


def test_surprise_is_differentiable_in_the_model():
    _, memory = DIRECT.observe(MODEL, DIRECT.init(MODEL), FORCE, point())
    truth = PointMass(2.0).step(point(), FORCE)
    slope = jax.grad(lambda mass: DIRECT.energy(PointMass(mass), memory, FORCE, truth))(1.0)
    assert slope < 0
