"""The oracle knows what physics will do, and nothing that cannot be seen."""

import numpy as np
import pytest

from benchmarks.surprise import _oracle, _statistics
from envs import cradle

EVERY = [(concept, mode) for concept in cradle.CONCEPTS for mode in cradle.modes(concept)]


def curves(films):
    return np.array([_oracle.curve(sight) for sight in _oracle.sights(films)]).reshape(films.frames.shape[:3])


@pytest.mark.parametrize(("concept", "mode"), EVERY)
def test_it_is_surprised_by_what_is_impossible(concept, mode):
    scores = curves(cradle.quadruplets(concept, mode, "dev", 0, 1)).mean(-1)
    assert _statistics.interaction_wins(scores).all()


def test_what_is_rare_and_possible_surprises_it_less_than_the_impossible():
    impossible = curves(cradle.quadruplets("permanence", "O", "dev", 0, 2)).mean(-1)[:, 2:]
    rare = curves(cradle.quadruplets("permanence", "O", "rare", 0, 2)).mean(-1)
    assert np.median(rare) < np.median(impossible)


def test_what_is_hidden_does_not_reach_it():
    films = cradle.quadruplets("permanence", "O", "dev", 1, 1)
    told = np.where(films.seen[..., None], films.states, np.float32(7.0))
    np.testing.assert_array_equal(curves(films._replace(states=told)), curves(films))


def test_what_stays_out_of_sight_surprises_only_when_it_should_be_seen():
    films = cradle.quadruplets("permanence", "O", "dev", 2, 1)
    start, length, _ = films.hidden[0]
    gone, possible = curves(films)[0, [cradle.CELLS.index("AB"), cradle.CELLS.index("AA")]]
    np.testing.assert_array_equal(gone[: start + length // 2], possible[: start + length // 2])
    assert gone[start + length :].sum() > 2 * possible[start + length :].sum()
