"""CRADLE: possible and impossible films are made of the same frames, what is hidden is hidden, and the same seed gives the same bytes."""

import collections
import colorsys
import hashlib
import itertools
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs import cradle
from envs.cradle import _archive, _films
from envs.cradle._draw import Draw
from envs.cradle._freeform import ends_of, freeform, on_a_table
from envs.cradle._physics import simulate
from envs.cradle._picture import look_at, shoot
from envs.cradle._scene import Fixed, Free, Moved, mirrored

GOLDEN = Path(__file__).with_name("golden_cradle.json")
EVERY = [(concept, mode) for concept in cradle.CONCEPTS for mode in cradle.modes(concept)]
HIDDEN = [pair for pair in EVERY if pair[1] == "O"]
COUNT = 2
every = pytest.mark.parametrize(("concept", "mode"), EVERY)
hidden = pytest.mark.parametrize(("concept", "mode"), HIDDEN)


@cache
def films(concept, mode, split="dev", count=COUNT):
    return cradle.quadruplets(concept, mode, split, 0, count)


def frame_hashes(film):
    return [hashlib.sha256(frame.tobytes()).hexdigest() for frame in film]


@hidden
@pytest.mark.parametrize("split", ["dev", "far"])
def test_the_frames_of_both_halves_are_the_same(concept, mode, split):
    for quadruplet in films(concept, mode, split).frames:
        possible, impossible = (sorted(frame_hashes(half.reshape(-1, *half.shape[2:]))) for half in (quadruplet[:2], quadruplet[2:]))
        assert possible == impossible
        assert len({film.tobytes() for film in quadruplet}) == 4


@hidden
def test_a_sum_over_windows_no_longer_than_the_run_is_exactly_the_same(concept, mode):
    shown = films(concept, mode)
    for quadruplet, (_, _, length) in zip(shown.frames, shown.hidden, strict=True):
        marks = [frame_hashes(film) for film in quadruplet]

        def total(film, window, marks=marks):
            """A sum of whole numbers about which nothing is known but that they depend on the window, and on when it is."""
            ends = range(window, len(marks[film]) + 1)
            return sum(int(hashlib.sha256(f"{end}{marks[film][end - window : end]}".encode()).hexdigest(), 16) for end in ends)

        for window in range(1, length + 2):
            assert total(0, window) + total(1, window) == total(2, window) + total(3, window)
        beyond = length + 2
        assert total(0, beyond) + total(1, beyond) != total(2, beyond) + total(3, beyond)


@pytest.mark.parametrize(("concept", "split", "index"), [("gravity", "test", 1), ("number", "dev", 77)])
def test_what_differs_by_less_than_a_pixel_is_not_hidden(concept, split, index):
    """Something in sight lies elsewhere by a tenth of a millimetre before anything else can be seen."""
    made = _films.make(concept, "O", split, index)
    (a, b, *_), (start, length, _) = made.shots, made.hidden
    during = slice(start, start + length)
    assert not ((a.states != b.states).any(-1) & (a.seen | b.seen))[during].any()


@hidden
def test_hidden_is_hidden(concept, mode):
    shown = films(concept, mode)
    for masks, states, seen, (start, length, _) in zip(shown.masks, shown.states, shown.seen, shown.hidden, strict=True):
        during = slice(start, start + length)
        differs = (states[0, during] != states[1, during]).any(-1)
        assert differs.any(0).any(), "nothing differs behind what hides it"
        assert not (differs & (seen[0, during] | seen[1, during])).any()
        for slot in np.flatnonzero(differs.any(0)):
            assert not ((masks[:2, during] == slot + 1).any((2, 3)) & differs[:, slot]).any()
        np.testing.assert_array_equal(masks[0, during], masks[1, during])


@every
def test_a_film_is_what_casting_every_ray_of_every_frame_would_show(concept, mode):
    pair = _films.first_pair(concept, mode, "dev", 0)
    poses = simulate(pair.stage, pair.a)
    there = [slot for slot, thing in enumerate(pair.a) if thing is not None]
    shot, (camera, data) = shoot(pair.stage, pair.a, poses), look_at(pair.stage, [pair.a[slot].look for slot in there])
    for frame in range(0, len(poses), 3):
        data.mocap_pos[:], data.mocap_quat[:] = poses[frame, there, :3], poses[frame, there, 3:]
        mujoco.mj_forward(camera.model, data)
        image = camera.cast(data)
        np.testing.assert_array_equal(shot.frames[frame], camera.shade(image, data))
        slots = np.array([0, 0, *(1 + slot for slot in there), 0])[image.geom_id]
        np.testing.assert_array_equal(shot.masks[frame], slots)
        np.testing.assert_array_equal(shot.seen[frame], [(slots == 1 + slot).any() for slot in range(len(pair.a))])


def test_in_sight_contexts_and_motions_are_exchanged():
    for concept, mode in (("gravity", "V"), ("collision", "V")):
        shown = films(concept, mode)
        for states in shown.states:
            assert {film.tobytes() for film in states[:2, 0]} == {film.tobytes() for film in states[2:, 0]}
            motions = states[..., :3]
            assert sorted(m.tobytes() for m in motions[:2].swapaxes(1, 2).reshape(-1, *motions.shape[1:2], 3)) == sorted(
                m.tobytes() for m in motions[2:].swapaxes(1, 2).reshape(-1, *motions.shape[1:2], 3)
            )


def test_what_makes_a_film_impossible_is_what_its_concept_says():
    def where(concept, mode, cell, slot):
        return films(concept, mode).states[0, cradle.CELLS.index(cell), :, slot]

    floats, cart = where("gravity", "V", "BA", 2), where("gravity", "V", "AA", 2)
    np.testing.assert_array_equal(floats[:, 2], cart[:, 2])  # as high as on the long table, without one
    assert where("gravity", "V", "BB", 2)[-1, 2] < cart[-1, 2] - 0.2
    guest = films("permanence", "O").seen[0, :, :, 1]  # AA, BB, AB, BA
    before, after = guest[:, :8].any(1), guest[:, -1]
    np.testing.assert_array_equal(before, [True, False, True, False])
    np.testing.assert_array_equal(after, [True, False, False, True])


def test_what_is_released_falls_or_rises_as_fast():
    height = films("release", "V").states[..., 0, cradle.FEATURES.index("z")]
    start = height[0, 0, 0]
    assert (height[:, :2, -1] < start - 0.4).all()
    np.testing.assert_allclose(start - height[:, :2], height[:, 2:] - start, atol=2e-3)


@every
def test_what_is_rare_is_possible(concept, mode):
    pair, shown = _films.first_pair(concept, mode, "rare", 0), films(concept, mode, "rare", 1)
    hue = np.array([colorsys.rgb_to_hsv(*look[:3])[0] for look in shown.states[0, 0, 0, :, 13:16] if np.ptp(look) > 0.4])
    assert ((hue * 6) % 1 > 0.7).all()
    if _films.make(concept, mode, "rare", 0).attempts == 1:
        expected = [shoot(pair.stage, cast, simulate(pair.stage, cast)).frames for cast in (pair.a, mirrored(pair.a))]
        assert any((shown.frames[0, 0] == film).all() for film in expected)  # a coin decides which way round it is


@pytest.mark.parametrize(("concept", "mode"), [pair for pair in EVERY if "explained" in cradle.splits(pair[0])])
def test_what_is_explained_is_possible(concept, mode):
    pair, shown = _films.first_pair(concept, mode, "explained", 0), films(concept, mode, "explained", 1)
    for first, cast in ((0, pair.a), (1, pair.b)):
        expected = [shoot(pair.stage, one, simulate(pair.stage, one)).frames for one in (cast, mirrored(cast))]
        found = shown.frames[0, [first, first + 2]]
        assert any((found == np.stack(order)).all() for order in (expected, expected[::-1]))  # a coin decides which way round


def test_the_ruler_hides_longer():
    lengths = [films("permanence", "O", f"wait-{wait}").hidden[:, 1].mean() for wait in (0, 4, 8)]
    assert lengths[1] == pytest.approx(lengths[0] + 4, abs=2)
    assert lengths[2] == pytest.approx(lengths[0] + 8, abs=2)


def test_far_films_show_what_near_films_never_do():
    kind = cradle.FEATURES.index("kind")
    near, far = (films("permanence", "O", split).states[..., 1, kind] for split in ("dev", "far"))
    assert not set(near[near > 0].ravel()) & set(far[far > 0].ravel())


def test_the_seed_makes_the_bytes_in_any_process():
    script = "from envs import cradle; print(cradle.digest(cradle.quadruplets('inertia', 'O', 'dev', 0, 2)))"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=GOLDEN.parent.parent)
    assert other.stdout.strip() == cradle.digest(films("inertia", "O"))
    alone = cradle.quadruplets("inertia", "O", "dev", 1, 1)  # whatever was made before it
    np.testing.assert_array_equal(alone.frames[0], films("inertia", "O").frames[1])


def golden():
    """The hashes of some films of every concept, and of everyday ones."""
    found = {f"{concept} {mode}": cradle.digest(films(concept, mode)) for concept, mode in EVERY}
    for gravity in cradle.GRAVITIES:
        scenes = [freeform(f"golden/{number}", up=gravity == "up") for number in range(4)]
        shots = [shoot(stage, cast, simulate(stage, cast)) for stage, cast in scenes]
        found[f"freeform {gravity}"] = hashlib.sha256(b"".join(shot.frames.tobytes() for shot in shots)).hexdigest()
    return found


def test_everyday_screens_come_up_before_walls_and_edges_that_were_seen():
    def hides(screen, x, height):
        if not isinstance(screen, Moved):
            return False
        width, _, tall = screen.look.size
        covers = (np.abs(screen.path[:, 0] - x) < width) & (np.abs(screen.path[:, 2] - tall) < 0.01) & (tall > height)
        return not covers[0] and covers[12]

    shown = collections.Counter()
    for number in range(300):
        cast = freeform(f"veils/{number}", up=False)[1]
        lanes = {thing.position[1] for thing in cast if isinstance(thing, Free)}
        stands = [thing for thing in cast if isinstance(thing, Fixed) and thing.position[1] in lanes]
        told = {level > 0 for one in stands for x, level in ends_of([one]) if any(hides(s, x, one.look.size[2]) for s in cast)}
        shown.update(told)
    # where there are few, nobody learns that a wall behind a screen still stops what runs into it, or that a table still ends
    assert shown[False] > 30
    assert shown[True] > 30


def test_how_many_tables_there_are_tells_nothing_of_whether_they_meet():
    """Else more tables foretell a fall, and one who never looks at a gap expects it where a bridge is."""
    torn = collections.defaultdict(list)
    for number in range(600):
        tables = [thing for thing in on_a_table(Draw(f"tables/{number}"), 0.0) if isinstance(thing, Fixed)]
        ends = [(one.position[0] - one.look.size[0], one.position[0] + one.look.size[0]) for one in tables]
        torn[len(tables)].append(any(left - right > 0.1 for (_, right), (left, _) in itertools.pairwise(ends)))
    assert not any(torn[1])
    assert np.mean(torn[2]) == pytest.approx(np.mean(torn[3]), abs=0.1)
    assert np.mean(torn[2]) == pytest.approx(0.5, abs=0.1)


def test_films_are_the_published_ones():
    known = json.loads(GOLDEN.read_text(encoding="utf-8"))
    if mujoco.__version__ not in known:
        pytest.skip(f"no films of MuJoCo {mujoco.__version__} were published; `python tests/test_cradle.py` adds their hashes")
    assert golden() == known[mujoco.__version__]


def piece(size=2):
    return _archive.Piece("permanence", "O", "dev", 0, size)


def test_a_file_gives_back_its_films_and_is_made_once(tmp_path):
    made, _ = cradle.make_piece(tmp_path, piece())
    assert cradle.recall(tmp_path, piece()) == made
    kept = _archive.read_piece(piece().path(tmp_path))
    for part, expected in zip(kept, films("permanence", "O"), strict=True):
        np.testing.assert_array_equal(part, expected)
    assert made.sha256 == cradle.digest(kept)
    assert made.delivered == COUNT * 4 * 32
    assert made.unique == len({frame.tobytes() for frame in kept.frames.reshape(-1, 64, 64, 3)})


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign", "flipped"])
def test_a_damaged_file_is_one_clear_error_and_is_made_again(tmp_path, damage):
    made, _ = cradle.make_piece(tmp_path, piece(1))
    path = piece(1).path(tmp_path)
    whole = path.read_bytes()
    broken = {"truncated": whole[: len(whole) // 2], "empty": b"", "foreign": b"no archive" * 100, "flipped": flipped(whole)}
    path.write_bytes(broken[damage])
    with pytest.raises(OSError, match="ebm surprise generate"):
        _archive.read_piece(path)
    assert cradle.recall(tmp_path, piece(1)) is None
    assert cradle.make_piece(tmp_path, piece(1))[0] == made
    assert path.read_bytes() == whole


def flipped(whole):
    middle = len(whole) // 2
    return whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]


def test_a_file_that_is_being_made_is_not_taken_for_one(tmp_path, monkeypatch):
    def dies(file, **fields):
        file.write(b"half of")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(np, "savez_compressed", dies)
        with pytest.raises(KeyboardInterrupt):
            cradle.make_piece(tmp_path, piece(1))
    assert cradle.recall(tmp_path, piece(1)) is None
    with pytest.raises(FileNotFoundError, match="ebm surprise generate"):
        cradle.read(tmp_path, "permanence", "O", "dev")


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: cradle.modes("telepathy"), "permanence"),
        (lambda: cradle.quadruplets("permanence", "V", "dev", 0, 1), "mode"),
        (lambda: cradle.quadruplets("permanence", "O", "tset", 0, 1), "split"),
        (lambda: cradle.quadruplets("permanence", "O", "dev", 0, 0), "count"),
        (lambda: cradle.freeform_pieces(1, "sideways"), "gravity"),
    ],
)
def test_what_there_is_not_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()


if __name__ == "__main__":
    known = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    GOLDEN.write_text(json.dumps(known | {mujoco.__version__: golden()}, indent=1) + "\n", encoding="utf-8")
