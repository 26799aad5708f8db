import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import counted, now, point, trajectory, weak

import ebm

BOX = ebm.Box([-1.0, 0.0], [1.0, 3.0])


@pytest.mark.parametrize(
    ("low", "high"),
    [([0.0], [jnp.inf]), ([jnp.nan], [1.0]), ([1.0], [0.0]), (0.0, 1.0), ([0.0], [1.0, 2.0]), ([0.0, 0.0], [1.0, -1.0])],
)
def test_a_box_must_be_finite_ordered_and_of_one_shape(low, high):
    with pytest.raises(ValueError, match=r"`low`|finite"):
        ebm.Box(low, high)


def test_clip_lands_in_the_box_and_leaves_the_inside_alone():
    wild = jnp.array([[5.0, -5.0], [jnp.nan, jnp.inf], [-jnp.inf, jnp.nan], [0.5, 2.0]])
    clipped = BOX.clip(wild)
    assert BOX.contains(clipped)
    assert (BOX.clip(clipped) == clipped).all()
    assert (clipped[-1] == wild[-1]).all()
    assert clipped[1, 0] == BOX.center[0]


@pytest.mark.parametrize("bad", [jnp.zeros(3), jnp.zeros((4, 1)), jnp.float32(0.0)])
def test_clip_checks_the_shape(bad):
    with pytest.raises(ValueError, match="do not fit a box"):
        eqx.filter_jit(lambda box, x: box.clip(jnp.asarray(x)))(BOX, bad) if bad.ndim else BOX.clip(bad[None])


def test_a_box_of_steps_refuses_a_single_action():
    steps = ebm.Box(jnp.zeros((4, 2)), jnp.ones((4, 2)))
    assert steps.size == 2
    assert steps.clip(jnp.full((7, 4, 2), 2.0)).max() == 1.0
    with pytest.raises(ValueError, match="do not fit a box"):
        steps.clip(jnp.zeros(2))


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, 3.1])
def test_contains_is_false_outside_and_for_what_is_no_number(bad):
    assert not BOX.contains(jnp.array([[0.0, 1.0], [0.0, bad]]))


def test_samples_fill_the_box():
    samples = BOX.sample((500,), key=jax.random.key(0))
    assert samples.shape == (500, 2)
    assert BOX.contains(samples)
    assert jnp.allclose(samples.min(0), BOX.low, atol=0.1)
    assert jnp.allclose(samples.max(0), BOX.high, atol=0.1)
    assert jnp.allclose(BOX.center + BOX.half_range, BOX.high)


def test_a_film_has_a_box_without_actions():
    empty = ebm.Box(jnp.zeros(0), jnp.zeros(0))
    assert empty.size == 0
    assert empty.contains(empty.clip(jnp.zeros((3, 0))))


def test_boxes_can_be_made_while_tracing():
    boxes = jax.vmap(lambda width: ebm.Box(-width[None], width[None]))(jnp.arange(3.0))
    assert boxes.high.shape == (3, 1)


@pytest.mark.parametrize("number", [0, 0.0, True, np.float64(0.0), jnp.asarray(0.0)])
def test_numeric_fields_are_strongly_typed_arrays(number):
    values = ebm.Now(number, [number], number), ebm.Box([number], [number]), ebm.Discrete([[number]]), ebm.Reach("a", number, tolerance=1)
    assert not weak(values)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(values))
    assert {leaf.dtype for leaf in jax.tree.leaves(values)} == {np.dtype("int32"), np.dtype("float32")}


def test_time_does_not_retrace():
    after, traces = counted(lambda moment: moment.tick + 1)
    for moment in (
        ebm.Now(0, [0.0]),
        ebm.Now(7, np.ones(1), 0.3),
        ebm.Now(np.int64(8), jnp.ones(1), np.float64(1.0)),
        ebm.Now(jnp.int32(9), [1]),
    ):
        assert after(moment) == moment.tick + 1
    assert len(traces) == 1


def test_a_batch_shares_one_clock():
    shared = ebm.Now(3, jnp.zeros((4, 2)))
    ticks = jax.vmap(lambda previous: ebm.Now(shared.tick, previous).tick, out_axes=None)(shared.previous_action)
    assert ticks == 3
    batch = jax.vmap(lambda tick: ebm.Now(tick, jnp.zeros(2)))(jnp.arange(3))
    assert batch.tick.shape == (3,)
    assert batch.previous_action.shape == (3, 2)


def test_a_trajectory_knows_its_times_and_what_came_before():
    x = trajectory(horizon=3, moment=now(20, (0.5, 0.25)))
    assert x.horizon == 3
    assert jnp.allclose(x.times, jnp.array([2.0, 2.1, 2.2, 2.3]))
    assert (x.previous_actions[0] == jnp.array([0.5, 0.25])).all()
    assert (x.previous_actions[1:] == x.actions[:-1]).all()


def test_time_has_not_drifted_after_an_hour():
    x = trajectory(horizon=2, moment=now(36_000))
    assert jnp.allclose(x.times, jnp.array([3600.0, 3600.1, 3600.2]), rtol=0.0, atol=5e-4)


def test_the_interval_of_a_trajectory_is_static():
    x = trajectory()
    numpy_dt = ebm.Trajectory(x.states, x.actions, x.now, np.float64(x.dt))
    assert jax.tree.structure(numpy_dt) == jax.tree.structure(x)
    with pytest.raises(jax.errors.ConcretizationTypeError):
        jax.jit(lambda dt: ebm.Trajectory(x.states, x.actions, x.now, dt))(0.1)


def test_latents_of_a_step_keep_the_episode():
    latents = ebm.Latents(jnp.float32(2.0), {"force": np.arange(6.0, dtype=np.float32).reshape(3, 2)})
    third = eqx.filter_jit(lambda latents, t: latents.at(t))(latents, jnp.int32(2))
    assert third.episode == 2.0
    assert (third.step["force"] == jnp.array([4.0, 5.0])).all()
    assert ebm.Latents(jnp.float32(2.0)).at(1).step is None


def test_a_state_without_names_says_so():
    class Latent(ebm.AbstractState):
        z: jax.Array

    with pytest.raises(KeyError, match=r"Latent has no named readings, so 'site:tip'.*callable"):
        Latent(jnp.zeros(3)).read("site:tip")
    with pytest.raises(KeyError, match="Latent"):
        ebm.Reach("site:tip", 0.0).distance(Latent(jnp.zeros(3)))
    assert ebm.Reach(lambda state: state.z, [3.0, 4.0, 0.0]).distance(Latent(jnp.zeros(3))) == 5.0


def test_readings_keep_leading_axes():
    assert trajectory(horizon=4).states.read("site:tip").shape == (5, *point().read("site:tip").shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_what_is_finite_may_come_from_numpy_in_any_precision(dtype):
    found = jax.jit(lambda: [ebm.all_finite({"a": np.array(value, dtype), "b": 3}) for value in ([1.0, 2.0], [1.0, np.nan], [np.inf])])()
    assert [bool(value) for value in found] == [True, False, False]
