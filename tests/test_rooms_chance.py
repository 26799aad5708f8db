"""What is foreseen of chance is judged rightly, and the table of it is made and goes on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import _rooms, _rooms_chance
from benchmarks._eval import MODELS

KEY = jax.random.key(0)


def test_nats_are_those_of_a_density():
    """Of a normal one with a deviation of 2 px they are on average ln(2π·4) + 1."""
    came = 2.0 * jax.random.normal(KEY, (20_000, 2))
    nats = _rooms_chance._nats(jnp.zeros((20_000, 1, 2)), came, 2.0)
    assert jnp.mean(nats) == pytest.approx(np.log(8 * np.pi) + 1, abs=0.03)
    pair = jnp.array([[[0.0, 0.0], [10.0, 0.0]]])
    near = _rooms_chance._nats(pair, jnp.array([[10.0, 0.0]]), 1.0)
    assert near[0] == pytest.approx(np.log(2) + np.log(2 * np.pi), abs=1e-4)


def test_coverage_is_what_it_says_if_the_density_is_right():
    keys = jax.random.split(KEY, 4)
    drawn = 20.0 * jax.random.bernoulli(keys[0], 0.3, (1000, 200, 1)) * jnp.array([1.0, 0.0])
    came = 20.0 * jax.random.bernoulli(keys[1], 0.3, (1000, 1)) * jnp.array([1.0, 0.0]) + jax.random.normal(keys[2], (1000, 2))
    assert jnp.mean(_rooms_chance._within(drawn, came, 1.0, keys[3])) == pytest.approx(0.9, abs=0.03)
    assert jnp.mean(_rooms_chance._within(drawn, came, 0.5, keys[3])) < 0.7
    assert jnp.mean(_rooms_chance._within(drawn, came, 2.0, keys[3])) > 0.95


@pytest.mark.slow
def test_films_of_a_slippery_world_are_seen():
    model, _ = _rooms.load(MODELS / "two-rooms")
    seen = _rooms_chance.look(model, 64, KEY)
    assert seen.films.features.shape == (64, _rooms_chance.FRAMES, 2)
    where = _rooms_chance.probe(seen)(seen.films.features)
    assert jnp.median(jnp.linalg.norm(where - seen.positions, axis=-1)) < 2.5
    told = seen.films.actions * 2.45 * _rooms.HELD
    off = jnp.linalg.norm(jnp.diff(seen.positions, axis=1) - told, axis=-1)
    assert jnp.mean(off > 5.0) > 0.1  # a wall, or a slip


@pytest.mark.slow
def test_the_table_is_made_and_goes_on(tmp_path, monkeypatch):
    for name, value in (("FILMS", 512), ("CASES", 128), ("STEPS", 100)):
        monkeypatch.setattr(_rooms_chance, name, value)
    path = tmp_path / "chance.json"
    record = _rooms_chance.run_chance(path, only=("no latent, squares", "categorical"), seeds=1, episodes=2)
    assert set(record["rows"]) == {"no latent, squares", "categorical"}
    assert all(np.isfinite(runs["0"]["nats"]).all() for runs in record["rows"].values())
    before = path.read_bytes()
    _rooms_chance.run_chance(path, only=("no latent, squares", "categorical"), seeds=1, episodes=2)
    assert path.read_bytes() == before
    assert _rooms_chance.table(record).row_count == 2
