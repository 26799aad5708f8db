"""Networks on a grid: the same everywhere, each place hears of its neighbours only, and what is hidden can be followed."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebm
from ebm import nets, objectives
from ebm._representation import standardise
from ebm.nets._grid import neighbours

KEY = jax.random.key(0)
PLACES, CHANNELS, KEPT = (5, 6), 3, 9


def grid(vector, channels):
    return np.asarray(vector).reshape(*PLACES, channels)


def reach(before, after):
    """Rows and columns over which a change spread from the middle place."""
    rows, columns = np.nonzero(np.abs(after - before).max(-1) > 1e-7)
    return np.abs(rows - 2).max(), np.abs(columns - 3).max()


def test_neighbours_move_groups_of_channels_by_one_place():
    x = jnp.zeros((*PLACES, 9)).at[2, 3].set(1.0)
    moved = np.argwhere(np.asarray(neighbours(x)))
    np.testing.assert_array_equal(np.sort(moved[:, 2]), np.arange(9))
    assert {(row - 2, column - 3) for row, column, _ in moved.tolist()} == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    assert not np.asarray(neighbours(jnp.ones((1, 1, 9))))[..., [0, 1, 2, 3, 5, 6, 7, 8]].any()  # beyond the edge there is nothing


def test_each_patch_is_encoded_alone_and_alike():
    encoder = nets.GridEncoder((1, 8, 12), 4, patch=4, width=8, key=KEY)
    picture = jax.random.uniform(KEY, (1, 8, 12))
    vector = np.asarray(encoder(picture)).reshape(2, 3, 4)
    swapped = np.asarray(encoder(jnp.roll(picture, 4, axis=2))).reshape(2, 3, 4)
    np.testing.assert_allclose(np.roll(vector, 1, axis=1), swapped, rtol=1e-5, atol=1e-6)


def test_a_memory_spreads_by_one_place_a_frame():
    memory = nets.GridMemory(PLACES, CHANNELS, KEPT, key=KEY)
    film = jax.random.normal(KEY, (4, memory.in_size))
    middle = film.reshape(4, *PLACES, CHANNELS).at[0, 2, 3].add(1.0).reshape(4, -1)
    film_of = eqx.filter_jit(memory.film)
    for frame, (one, other) in enumerate(zip(film_of(film), film_of(middle), strict=True)):
        assert reach(grid(one, KEPT), grid(other, KEPT)) == (min(frame, 2), min(frame, 3))


@pytest.mark.parametrize(
    "make", [lambda: nets.WindowMemory(2 * CHANNELS, KEPT, 2, 8, key=KEY), lambda: nets.TransformerMemory(2 * CHANNELS, KEPT, 4, key=KEY)]
)
def test_any_memory_can_be_in_every_place(make):
    memory = nets.PlaceMemory(PLACES, make())
    film = jax.random.normal(KEY, (4, memory.in_size))
    middle = film.reshape(4, *PLACES, CHANNELS).at[0, 2, 3].add(1.0).reshape(4, -1)
    film_of = eqx.filter_jit(memory.film)
    one, other = film_of(film), film_of(middle)
    assert reach(grid(one[0], KEPT), grid(other[0], KEPT)) == (1, 1)
    slowly = jax.lax.scan(lambda carry, x: memory(carry, x), memory.init(), film)[1]
    np.testing.assert_allclose(one, slowly, rtol=1e-4, atol=1e-5)
    if isinstance(memory.memory, nets.WindowMemory):
        np.testing.assert_array_equal(one[2:], other[2:])
    with pytest.raises(ValueError, match="even"):
        nets.PlaceMemory(PLACES, nets.GRUMemory(3, 4, key=KEY))


def test_a_predictor_hears_of_two_places_around_and_of_the_action_everywhere():
    predictor = nets.GridPredictor(PLACES, CHANNELS, KEPT, 18, actions=2, key=KEY)
    features, context, action = jax.random.normal(KEY, (90,)), jax.random.normal(KEY, (270,)), jnp.zeros(2)
    predict = eqx.filter_jit(lambda f, a, c: predictor(f, a, predictor.condense(c)))
    before = grid(predict(features, action, context), CHANNELS)
    moved = features.reshape(*PLACES, CHANNELS).at[2, 3].add(1.0).ravel()
    assert reach(before, grid(predict(moved, action, context), CHANNELS)) == (2, 2)
    assert (np.abs(grid(predict(features, action + 1.0, context), CHANNELS) - before).max(-1) > 1e-6).all()


def test_a_decoder_makes_every_patch_from_its_own_place():
    decoder = nets.GridDecoder((3, 8, 12), 4, patch=4, width=8, key=KEY)
    vector = jax.random.normal(KEY, (2 * 3 * 4,))
    changed = np.asarray(decoder(vector.at[:4].add(1.0)) != decoder(vector)).any(0)
    assert changed[:4, :4].all()
    assert not changed[4:].any()
    assert not changed[:, 4:].any()
    assert float(decoder.error(vector, decoder(vector))) == 0.0


def test_everywhere_looks_at_each_place_by_itself():
    features = jax.random.normal(KEY, (2, 5, 12))
    outcome = objectives.Outcome(ebm.Representation(features, features), features[:, 1:], jnp.zeros((2, 4, 0)))
    found = objectives.Everywhere(objectives.CodingRate(within=True), 3)(outcome)
    apart = features.reshape(2, 5, 4, 3).swapaxes(1, 2).reshape(8, 5, 3)
    direct = objectives.CodingRate(within=True)(objectives.Outcome(ebm.Representation(apart, apart), apart[:, 1:], jnp.zeros((8, 4, 0))))
    assert float(found) == pytest.approx(float(direct), rel=1e-5)
    some = objectives.Everywhere(objectives.CodingRate(within=True), 3, first=2)(outcome)
    moved = eqx.tree_at(lambda o: o.encoded.features, outcome, features.at[..., 2::3].multiply(5.0))
    assert float(some) != pytest.approx(float(found), rel=1e-3)
    assert float(objectives.Everywhere(objectives.CodingRate(within=True), 3, first=2)(moved)) == pytest.approx(float(some), rel=1e-5)


def test_a_glance_keeps_means_of_squares_beside_what_it_learns():
    picture = jax.random.randint(KEY, (2, 8, 12), 0, 256).astype(jnp.uint8)
    learned = nets.GridEncoder((2, 8, 12), 3, patch=4, width=8, key=KEY)
    glance = nets.GridGlance(learned, 2, weight=0.5)
    vector = np.asarray(eqx.filter_jit(glance)(picture)).reshape(6, 3 + 8)
    means = np.asarray(picture / 255.0).reshape(2, 2, 2, 2, 3, 2, 2).mean((3, 6)).transpose(1, 3, 0, 2, 4).reshape(6, 8)
    np.testing.assert_allclose(vector[:, 3:], 0.5 * (means - means.mean()) / means.std(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(vector[:, :3].ravel(), standardise(learned(picture)), rtol=1e-4, atol=1e-5)
    assert glance.size == vector.size
    with pytest.raises(ValueError, match="squares"):
        nets.GridGlance(learned, 3)


def completing():
    places, width = PLACES[0] * PLACES[1], 8
    return nets.GridCompleter(places, CHANNELS, KEPT, width, 1, heads=2, actions=2, key=KEY)


def test_a_completer_is_told_what_is_not_hidden_and_nothing_else():
    predictor, masks = completing(), ebm.Blocks(PLACES, CHANNELS)
    features, context, seen = (jax.random.normal(jax.random.key(i), (size,)) for i, size in enumerate((90, 270, 90)))
    complete = eqx.filter_jit(lambda seen, hidden: predictor.complete(features, jnp.ones(2), context, seen, hidden))
    hidden = masks.draw(key=KEY)
    guess = complete(seen, hidden)
    np.testing.assert_array_equal(guess[~hidden], seen[~hidden])
    np.testing.assert_array_equal(complete(jnp.where(hidden, 7.0, seen), hidden), guess)
    moved = complete(jnp.where(hidden, seen, seen + 1.0), hidden)
    assert (np.abs(moved - guess).reshape(-1, CHANNELS).max(1) > 1e-6).all()  # what is told matters everywhere
    everything = jnp.ones(90, bool)
    np.testing.assert_allclose(complete(seen, everything), eqx.filter_jit(predictor)(features, jnp.ones(2), context), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("places", [(4, 4), (3, 5), (1, 1)])
def test_blocks_hide_rectangles(places):
    masks = ebm.Blocks(places, 2)
    drawn = np.asarray(jax.vmap(lambda key: masks.draw(key=key))(jax.random.split(KEY, 200)))
    assert drawn.shape == (200, places[0] * places[1] * 2)
    np.testing.assert_array_equal(drawn[:, ::2], drawn[:, 1::2])
    for mask in drawn[:, ::2].reshape(200, *places):
        rows, columns = mask.any(1), mask.any(0)
        np.testing.assert_array_equal(mask, rows[:, None] & columns)
        assert 2 * rows.sum() >= places[0]
        assert all(np.ptp(np.flatnonzero(side)) + 1 == side.sum() for side in (rows, columns))
    assert drawn.any(0).all()
    tried = masks.tried()
    assert tried.any(1).all()
    assert tried.any(0).all()
