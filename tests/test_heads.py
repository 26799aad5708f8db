"""Heads: a distance that is one, a score that tells what follows, and an energy made of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from worlds import PointMass, actions, now, point

import ebm
import planners
from ebm import nets, objectives

KEY = jax.random.key(0)
CORRIDOR = 8.0  # m


@eqx.filter_jit
def table(head, here, there):
    return jax.vmap(lambda x: jax.vmap(lambda y: head(x, y))(there))(here)


def test_the_time_to_reach_is_a_quasi_metric():
    head, places = ebm.TimeToReach(3, 4, 8, key=KEY), 3.0 * jax.random.normal(KEY, (12, 3))
    times = table(head, places, places)
    np.testing.assert_array_equal(jnp.diagonal(times), 0.0)
    assert bool(jnp.all(times >= 0))
    assert bool(jnp.all(times[:, None, :] <= times[:, :, None] + times[None] + 1e-4))
    assert not np.allclose(times, times.T, rtol=0.1)
    slope = jax.grad(head)(places[0], places[0])
    assert bool(jnp.all(jnp.isfinite(slope)))


def test_pairs_come_from_one_film_in_order():
    films = jnp.stack([100.0 * jnp.arange(500)[:, None] + jnp.arange(7), jnp.zeros((500, 7))], axis=-1)
    here, there, steps = ebm.draw_pairs(films, 5, key=KEY)
    np.testing.assert_array_equal(there[:, 0] - here[:, 0], steps)
    assert set(np.asarray(steps).tolist()) == {1.0, 2.0, 3.0, 4.0, 5.0}
    frames = np.asarray(here[:, 0] % 100)
    assert (frames.min(), np.asarray(there[:, 0] % 100).max()) == (0, 6)
    with pytest.raises(ValueError, match="7 frames"):
        ebm.draw_pairs(films, 7, key=KEY)


def drifting(key):
    """Pairs from a corridor in which everything drifts to the right, 1 m a step, or waits."""
    keys = jax.random.split(key, 3)
    start = jax.random.uniform(keys[0], (64, 1), maxval=CORRIDOR)
    moved = (jax.random.uniform(keys[1], (64, 12)) < 0.7).astype(jnp.float32)
    films = jnp.concatenate([start, start + jnp.cumsum(moved, axis=1)], axis=1)
    return ebm.draw_pairs(films[:, :, None] / CORRIDOR, 8, key=keys[2])


def learned(head, loss):
    told = []
    trainer = ebm.Trainer(loss, drifting, optax.adam(3e-3), 400, 200)
    return ebm.fit(trainer, head, key=KEY, report=lambda step, parts: told.append(parts)), told


def test_it_learns_nearly_the_shortest_time_from_films_that_dawdle():
    head, _ = learned(ebm.TimeToReach(1, 8, 32, key=KEY), ebm.time_to_reach_loss)
    here = jnp.array([[1.0], [2.0]]) / CORRIDOR
    metres = jnp.array([1.0, 3.0, 5.0])
    times = jnp.stack([table(head, x[None], (x + metres[:, None] / CORRIDOR))[0] for x in here])
    mean_time = metres / 0.7
    assert bool(jnp.all(times > 0.7 * metres))
    assert bool(jnp.all(times[:, 1:] < mean_time[1:]))
    assert bool(jnp.all(jnp.diff(times, axis=1) > 0))


def test_it_learns_that_there_is_no_way_back():
    head, told = learned(ebm.Reachability(1, 8, 32, key=KEY), ebm.reachability_loss)
    assert told[-1]["guess"] < np.log(64) - 0.4  # of 64 places
    places = jnp.array([[2.0], [5.0], [12.0]]) / CORRIDOR
    scores = table(head, places, places)
    assert scores[0, 1] > 0
    assert scores[1, 0] < 0  # behind
    assert scores[0, 2] < 0  # too far


def test_what_remains_is_an_energy_with_a_goal():
    def head(here, there):
        return 10.0 * jnp.sum(jnp.abs(there - here))

    energy = ebm.Remaining(head, "site:tip", [0.5, 0.5], tolerance=2.0)
    problem = ebm.Problem(PointMass(), ebm.Terminal(energy))
    state = point((0.3, 0.5))
    np.testing.assert_allclose(energy.distance(state), 2.0, rtol=1e-5)
    value = problem.evaluate(state, actions(), now(), key=KEY)
    last = jax.tree.map(lambda leaf: leaf[-1], value.trajectory.states)
    np.testing.assert_allclose(value.energy, energy.distance(last), rtol=1e-5)
    elsewhere = problem.with_goal([0.0, 0.0], "remaining").evaluate(state, actions(), now(), key=KEY)
    np.testing.assert_allclose(elsewhere.energy, head(last.position, jnp.zeros(2)), rtol=1e-5)
    with pytest.raises(ValueError, match="one number each"):
        ebm.Remaining(head, "site:tip", [0.0]).distance(state)


def test_a_planner_follows_a_learnt_distance():
    head = ebm.TimeToReach(2, 4, 8, key=KEY)
    problem = ebm.Problem(PointMass(), ebm.Remaining(head, "site:tip", [0.9, 0.4]))
    planner = planners.planner("cem", horizon=6, num_samples=32)

    @eqx.filter_jit
    def gain(problem):
        plan, _ = planner.plan(problem, point(), planner.init(problem, point(), key=KEY), now())
        return plan.energy, problem.evaluate(point(), jnp.zeros((6, 2)), now(), key=KEY).energy

    planned, idle = gain(problem)
    assert planned < idle


@pytest.mark.slow
def test_reconstruction_is_the_error_of_the_pictures():
    decoder = nets.Decoder(3, (1, 4, 4), 2, 4, 8, key=KEY)
    features = jax.random.normal(KEY, (2, 3, 3))
    pictures = jnp.round(255 * jax.vmap(jax.vmap(decoder))(features)).astype(jnp.uint8)
    outcome = objectives.Outcome(
        ebm.Representation(features, jnp.zeros((2, 3, 0))), features[:, 1:], jnp.zeros((2, 2, 0)), observations=pictures
    )
    for of in ("features", "predicted"):
        objective = objectives.Reconstruction(decoder, of)
        assert objective(outcome) < 1e-5
        dark = eqx.tree_at(lambda tree: tree.observations, outcome, jnp.zeros_like(pictures))
        expected = jnp.mean(jax.vmap(jax.vmap(decoder))(features)[:, 0 if of == "features" else 1 :] ** 2)
        np.testing.assert_allclose(objective(dark), expected, rtol=1e-5)
    loss, _ = ebm.decoder_loss(decoder, (features[0], pictures[0]), jnp.float32(0.0), KEY)
    assert loss < 1e-5
    plain = objectives.Outcome(outcome.encoded, outcome.predicted, jnp.zeros((2, 2, 0)))
    with pytest.raises(ValueError, match="observations"):
        objectives.Reconstruction(decoder)(plain)
