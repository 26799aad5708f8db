"""Memories: one after another equals all at once, nothing comes from the future, and what forgets forgets exactly."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import counted, weak

import ebm
from ebm import nets

KEY = jax.random.key(0)
FRAMES, SEEN = 9, 3
FILM = jax.random.normal(jax.random.key(1), (FRAMES, SEEN))
MEMORIES = {
    "gru": lambda: nets.GRUMemory(SEEN, 4, key=KEY),
    "lstm": lambda: nets.LSTMMemory(SEEN, 4, key=KEY),
    "state space": lambda: nets.StateSpaceMemory(SEEN, 4, 8, 6, key=KEY),
    "transformer": lambda: nets.TransformerMemory(SEEN, 4, 5, 8, heads=2, key=KEY),
    "conditioned": lambda: nets.TransformerMemory(SEEN, 4, 5, 8, heads=2, condition_size=2, key=KEY),
    "in places": lambda: nets.TransformerMemory(SEEN, 4, 5, 8, heads=2, condition_size=1, places=2, key=KEY),
    "grid": lambda: nets.GridMemory((1, 3), 1, 9, key=KEY),
    "window": lambda: nets.WindowMemory(SEEN, 4, 3, 8, key=KEY),
}
every_memory = pytest.mark.parametrize("name", MEMORIES)


@functools.cache
def fresh(name):
    return eqx.filter_jit(MEMORIES[name])()


@functools.cache
def trained(name):
    """As if it had learnt: no gate is closed any more, and no bias is where it began."""
    learns, stays = eqx.partition(fresh(name), ebm.trainable(fresh(name)))
    noise = np.random.default_rng(2)
    moved = jax.tree.map(lambda leaf: leaf + noise.normal(0.0, 0.3, leaf.shape).astype(np.float32), learns)
    return eqx.combine(moved, stays)


@eqx.filter_jit
def stepped(memory, film):
    return jax.lax.scan(lambda carry, x: memory(carry, x), memory.init(), film)


@eqx.filter_jit
def at_once(memory, film):
    return memory.film(film)


@every_memory
def test_a_film_at_once_is_its_frames_one_after_another(name):
    memory = trained(name)
    _, said = stepped(memory, FILM)
    assert said.shape == (FRAMES, memory.size)
    np.testing.assert_allclose(at_once(memory, FILM), said, rtol=1e-4, atol=1e-5)
    carry, step = memory.init(), eqx.filter_jit(memory)
    for x, expected in zip(FILM[:3], said[:3], strict=True):
        carry, out = step(carry, x)
        np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)


@every_memory
def test_nothing_comes_from_the_future_and_something_from_the_past(name):
    memory = trained(name)
    changed = np.abs(at_once(memory, FILM.at[4].add(1.0)) - at_once(memory, FILM)).max(axis=1)
    np.testing.assert_array_equal(changed[:4], 0.0)
    assert (changed[4:6] > 1e-4).all()


@every_memory
def test_a_batch_is_a_loop(name):
    memory = trained(name)
    films = jnp.stack([FILM, FILM[::-1]])
    together = eqx.filter_jit(lambda memory, films: jax.vmap(memory.film)(films))(memory, films)
    np.testing.assert_allclose(together, jnp.stack([at_once(memory, film) for film in films]), rtol=1e-4, atol=1e-5)


@every_memory
def test_a_carry_keeps_its_types_so_that_nothing_compiles_twice(name):
    memory = fresh(name)
    step, traces = counted(lambda carry, x: memory(carry, x))
    carry = memory.init()
    for x in FILM[:3]:
        after, _ = step(carry, x)
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), carry)
        assert not weak(after)
        assert not [leaf for leaf in jax.tree.leaves(after) if jnp.iscomplexobj(leaf)]
        carry = after
    assert len(traces) == 1


@every_memory
def test_all_of_it_learns(name):
    memory = trained(name)
    learns, stays = eqx.partition(memory, ebm.trainable(memory))
    assert not [leaf for leaf in jax.tree.leaves(stays) if eqx.is_inexact_array(leaf)]
    slope = jax.jit(jax.grad(lambda learns: jnp.sum(eqx.combine(learns, stays).film(FILM) ** 2)))(learns)
    still = [jax.tree_util.keystr(path) for path, leaf in jax.tree_util.tree_leaves_with_path(slope) if not bool(jnp.any(leaf != 0))]
    assert not still


def test_a_window_forgets_exactly():
    memory = trained("window")
    carry, said = stepped(memory, FILM)
    _, other = stepped(memory, FILM.at[:4].add(1.0))
    np.testing.assert_array_equal(said[6:], other[6:])
    assert (np.abs(said[3:6] - other[3:6]).max(axis=1) > 1e-4).all()
    np.testing.assert_array_equal(carry, FILM[-3:])


def test_a_ring_is_as_good_as_a_long_row():
    # one block sees `length` inputs and no more; behind it stands what came before them in no form
    memory = trained("transformer")
    memory = eqx.tree_at(lambda tree: tree.blocks, memory, memory.blocks[:1])
    _, said = stepped(memory, FILM)
    _, other = stepped(memory, FILM.at[:3].add(1.0))
    np.testing.assert_allclose(said[7:], other[7:], rtol=1e-5, atol=1e-6)
    assert (np.abs(said[3:7] - other[3:7]).max(axis=1) > 1e-4).all()


def test_without_blocks_every_input_is_by_itself():
    memory = nets.TransformerMemory(SEEN, 4, 5, 8, depth=0, heads=2, key=KEY)
    _, said = stepped(memory, FILM)
    np.testing.assert_allclose(at_once(memory, FILM), said, rtol=1e-4, atol=1e-5)


def test_a_state_space_is_stable_whatever_it_learns():
    memory = fresh("state space")
    for fading in (-50.0, 0.0, 5.0):
        for layer in memory.layers:
            wild = eqx.tree_at(lambda layer: layer.fading, layer, jnp.full_like(layer.fading, fading))
            assert bool(jnp.all(jnp.abs(wild.rate()) <= 1.0 + 1e-6))
            assert bool(jnp.all(jnp.isfinite(wild.drive(jnp.ones(8)))))
    carry, said = stepped(memory, jnp.tile(FILM, (200, 1)))
    assert ebm.all_finite((carry, said))


def test_a_state_space_remembers_longer_than_a_gated_unit():
    film = jnp.zeros((200, SEEN)).at[0].set(1.0)

    @eqx.filter_jit
    def influence(memory):
        return jnp.max(jnp.abs(jax.grad(lambda film: memory.film(film)[-1, 0])(film)[0]))

    assert influence(fresh("state space")) > 100 * influence(fresh("gru"))


def test_a_condition_modulates_from_closed_gates_on():
    closed, opened = fresh("conditioned"), trained("conditioned")
    past, other = FILM.at[:3].add(1.0), FILM.at[4, 1:].add(1.0)
    np.testing.assert_array_equal(at_once(closed, FILM)[4:], at_once(closed, past)[4:])
    assert not np.allclose(at_once(opened, FILM)[4:], at_once(opened, past)[4:])
    assert not np.allclose(at_once(opened, FILM)[4], at_once(opened, other)[4])


def test_bad_settings_say_so():
    with pytest.raises(ValueError, match="window"):
        nets.WindowMemory(3, 4, 0, key=KEY)
    with pytest.raises(ValueError, match="length"):
        nets.TransformerMemory(3, 4, 0, key=KEY)
    with pytest.raises(ValueError, match="condition_size"):
        nets.TransformerMemory(3, 4, condition_size=3, key=KEY)
    with pytest.raises(ValueError, match="heads"):
        nets.TransformerMemory(3, 4, width=10, heads=4, key=KEY)
    with pytest.raises(ValueError, match="places"):
        nets.TransformerMemory(3, 4, places=2, key=KEY)
