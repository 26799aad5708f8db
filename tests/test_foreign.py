"""Films and losses from elsewhere: what can be watched is, and everything else is one clear error."""

import csv
import gzip
import json
import struct
import subprocess

import jax
import numpy as np
import pytest
from PIL import Image

import ebm
from benchmarks._errors import UsageError
from benchmarks._film import Encoder
from benchmarks.surprise import _bring, _foreign, _layouts, _losses, _models

RNG = np.random.default_rng(0)


def film(frames=12, height=64, width=64):
    return RNG.integers(0, 256, (frames, height, width, 3), np.uint8)


def write_video(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    with Encoder(path, 12.0, frames.shape[1:3]) as encode:
        for frame in frames:
            encode(frame)


def write_pictures(folder, frames):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"scene_{number:03d}.png")


@pytest.mark.parametrize("kind", ["npy", "npz", "pictures", "fractions"])
def test_a_film_is_read_from_whatever_holds_it(tmp_path, kind):
    frames = film()
    path = tmp_path / ("film.npz" if kind == "npz" else "film.npy" if kind != "pictures" else "film")
    if kind == "npz":
        np.savez(path, frames=frames)
    elif kind == "pictures":
        write_pictures(path, frames)
    else:
        np.save(path, frames if kind == "npy" else frames / 255)
    np.testing.assert_array_equal(_bring.read_film(path), frames)


def test_a_video_is_read(tmp_path):
    frames = np.repeat(np.repeat(film(12, 4, 4), 16, 1), 16, 2)  # large squares, which a codec keeps
    write_video(tmp_path / "film.mp4", frames)
    found = _bring.read_film(tmp_path / "film.mp4")
    assert found.shape == frames.shape
    assert np.abs(found.astype(float) - frames).mean() < 25


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (film(12, 48, 64), "--fit"),
        (film(40), "at most 32 frames"),
        (film(7), "at least 8 frames"),
        (np.zeros((12, 64, 64, 3), np.uint8), "nothing to be seen"),
        (np.where(np.arange(64)[:, None] == 3, np.nan, film() / 255), "not numbers"),
        (film()[..., 0], "shape"),
        (film().astype(float) * 2, "from 0 to 255"),
    ],
    ids=["size", "long", "short", "black", "nan", "shape", "range"],
)
def test_a_film_that_cannot_be_watched_is_one_error(tmp_path, frames, message):
    np.save(tmp_path / "film.npy", frames)
    with pytest.raises(UsageError, match=message):
        _bring.read_film(tmp_path / "film.npy")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("film.npz", b"PK\x03\x04 cut off", "damaged"),
        ("film.npy", b"", "damaged"),
        ("film.mp4", b"no video at all", "damaged"),
        ("film.txt", b"frames", "films are"),
        ("none.npy", None, "there is no film"),
    ],
)
def test_a_file_that_is_no_film_is_one_error(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        _bring.read_film(tmp_path / name)


def test_a_truncated_archive_is_one_error(tmp_path):
    np.savez_compressed(tmp_path / "film.npz", frames=film())
    whole = (tmp_path / "film.npz").read_bytes()
    (tmp_path / "film.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match="Bring a whole one"):
        _bring.read_film(tmp_path / "film.npz")


def test_other_sizes_are_scaled_by_areas():
    coarse = film(50, 32, 32)
    fine = np.repeat(np.repeat(coarse, 4, 1), 4, 2)  # 128 × 128: two pixels each way become one
    wide = np.concatenate([fine[:, :, :40], fine, fine[:, :, :40]], axis=2)
    found = _bring.checked(wide, "film", fit=True)
    assert found.shape == (32, 64, 64, 3)
    np.testing.assert_array_equal(found[[0, -1]], np.repeat(np.repeat(coarse[[0, -1]], 2, 1), 2, 2))


def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number, content):
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def record(**values):
    entries = b"".join(field(1, field(1, name.encode()) + field(2, field(1, field(1, value)))) for name, value in values.items())
    floats = field(1, field(1, b"camera_pose") + field(2, field(2, field(1, struct.pack("<6f", *range(6))))))
    body = field(1, entries + floats)
    return struct.pack("<QI", len(body), 0) + body + struct.pack("<I", 0)


def a_set(folder, layout):
    """Two groups of a layout, of black and white noise: each possible film begins with an even number."""
    if layout == "intphys":
        for group in ("01", "02"):
            for number in range(4):
                scene = folder / "O1" / group / str(number + 1)
                write_pictures(scene / "scene", film())
                (scene / "status.json").write_text(json.dumps({"header": {"is_possible": number < 2}}))
    elif layout == "intphys2":
        lines = [
            (scene, f"{pair}_{label}", f"film-{scene}-{pair}-{label}")
            for scene in (1, 2)
            for pair in (1, 2)
            for label in ("Possible", "Impossible")
        ]
        for *_, name in lines:
            write_video(folder / "Main" / "Videos" / f"{name}.mp4", film())
        with (folder / "Main" / "metadata.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("SceneIndex", "type", "filename"), *lines])
    elif layout == "grasp":
        for label in ("P", "IP"):
            for number in range(2):
                write_video(folder / f"{label}_Continuity" / f"{number}.mp4", film())
    elif layout == "inflevel":
        names = "vid1_path", "vid1_end_priming_2", "vid1_label", "vid2_path", "vid2_end_priming_2", "vid2_label"
        lines = [(f"gravity/{n}-a.mp4", 2, "impossible", f"gravity/{n}-b.mp4", 4, "possible") for n in range(2)]
        for line in lines:
            for name, frames in ((line[0], 14), (line[3], 20)):
                write_video(folder / name, film(frames))
        with (folder / "gravity.csv").open("w", newline="") as file:
            csv.writer(file).writerows([names, *lines])
    else:
        (folder / "solidity").mkdir(parents=True)
        with gzip.GzipFile(folder / "solidity" / "data.tfrecord-00000-of-00020", "wb") as file:
            for _ in range(2):
                file.write(record(**{f"{label}_image": np.stack([film(15), film(15)]).tobytes() for label in ("possible", "impossible")}))


LAYOUTS = {"intphys": 8, "intphys2": 8, "grasp": 4, "inflevel": 4, "physical-concepts": 8}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_film_of_a_layout_is_found(tmp_path, layout):
    a_set(tmp_path, layout)
    items = list(_layouts.read_layout(tmp_path))
    assert len(items) == LAYOUTS[layout]
    assert len({item.name for item in items}) == len(items)
    assert len({item.group for item in items}) == 2
    for group in {item.group for item in items}:
        assert sum(item.possible for item in items if item.group == group) * 2 == len([item for item in items if item.group == group])
    for item in items:  # of a pair as many frames are shown as the shorter film has after priming
        shape = _bring.checked(item.frames(), "film").shape
        assert shape == ({"inflevel": 11, "physical-concepts": 15}.get(layout, 12), 64, 64, 3)


def test_the_layout_of_intphys2_as_it_is_handed_out_is_found_beside_a_picture(tmp_path):
    a_set(tmp_path, "intphys2")
    (tmp_path / "Main" / "Videos").rename(tmp_path / "Main" / "Clips")
    lines = _layouts._lines(tmp_path / "Main" / "metadata.csv")
    with (tmp_path / "Main" / "metadata.csv").open("w", newline="") as file:
        rows = [(line["SceneIndex"], "nothing", f"Clips/{line['filename']}.mp4", line["type"]) for line in lines]
        csv.writer(file).writerows([("SceneIndex", "name", "file_name", "type"), *rows])
    Image.fromarray(film(1)[0]).save(tmp_path / "IntPhys2_github.png")
    assert _layouts.is_set(tmp_path)
    items = list(_layouts.read_layout(tmp_path))
    assert len(items) == 8
    assert items[0].frames().shape == (12, 64, 64, 3)


def test_pictures_without_zeros_in_front_are_in_order(tmp_path):
    frames = film()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"frame_{number}.png")
    assert not _layouts.is_set(tmp_path)
    np.testing.assert_array_equal(_bring.read_film(tmp_path), frames)


@pytest.mark.parametrize("kind", ["mp4", "avi", "webm", "gif"])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_video_that_is_cut_off_is_one_error(tmp_path, kind, share):
    import imageio_ffmpeg

    whole, path = tmp_path / "whole.mp4", tmp_path / f"film.{kind}"
    write_video(whole, np.repeat(np.repeat(film(30, 8, 8), 8, 1), 8, 2))
    options = ["-movflags", "faststart"] if kind == "mp4" else []
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", whole, *options, path]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, process_group=0)
    assert len(_bring.read_film(path)) == 30
    found = path.read_bytes()
    path.write_bytes(found[: int(share * len(found))])
    with pytest.raises(UsageError, match="damaged"):
        _bring.read_film(path)


def test_what_is_no_layout_is_one_error(tmp_path):
    with pytest.raises(UsageError, match="no layout that is known"):
        _layouts.read_layout(tmp_path)
    with pytest.raises(UsageError, match="Did you mean 'grasp'"):
        _layouts.read_layout(tmp_path, "grsp")
    (tmp_path / "metadata.csv").write_text("SceneIndex,filename\n1,film\n")
    with pytest.raises(UsageError, match="complete"):
        _layouts.read_layout(tmp_path)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "data.tfrecord-0").write_bytes(gzip.compress(record(possible_image=b"short")[:-9]))
    with pytest.raises(UsageError, match="cut off"):
        _layouts.read_layout(tmp_path / "x")


@pytest.fixture
def run(tmp_path):
    """The folder of a tiny model."""
    settings = _models.Settings(memory="gru", features=4, remembered=4, width=8)
    (tmp_path / "run").mkdir()
    ebm.save(tmp_path / "run" / _models.MODEL, _models.build(settings, key=jax.random.key(0)), {"settings": settings._asdict()})
    return tmp_path / "run"


def test_a_set_is_watched_and_judged(tmp_path, run, capsys):
    a_set(tmp_path / "set", "intphys")
    assert _foreign.Foreign(run, tmp_path / "set").run("ebm surprise foreign") == 0
    losses = _losses.read_losses(run / "foreign" / "losses.csv")
    assert [len(loss.curves[""]) for loss in losses] == [12 - _bring.UNKNOWN] * 8
    assert "O1" in capsys.readouterr().out


def test_one_film_is_watched(tmp_path, run, capsys):
    np.save(tmp_path / "film.npy", film())
    assert _foreign.Foreign(run, tmp_path / "film.npy").run("ebm surprise foreign") == 0
    assert len(capsys.readouterr().out.splitlines()) == 12 - _bring.UNKNOWN + 1


def write_losses(path, rows, extra=()):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([(*_losses.COLUMNS, *extra), *rows])


def test_losses_become_accuracies_and_the_best_of_many_is_too_high(tmp_path):
    rows = []
    for group in range(40):
        for number in range(4):
            possible = number < 2
            for setting in range(20):
                odd = 1.0 if setting == 7 and not possible else 0.0
                rows += [
                    ("walls", group, f"{group}/{number % 2}", possible, f"{group}-{number}", frame, RNG.normal() + odd, setting)
                    for frame in range(8)
                ]
    write_losses(tmp_path / "losses.csv", rows, ["setting"])
    found = _losses.judge(_losses.read_losses(tmp_path / "losses.csv"))
    honest, best = (found["walls", "mean", rule] for rule in _losses.RULES)
    assert honest["setting"] == best["setting"] == "7"
    assert honest["groups"] == 20
    assert honest["accuracy"] > 0.9
    assert honest["pairs"] > 0.8
    noise = [row for row in rows if row[-1] != 7]
    write_losses(tmp_path / "losses.csv", noise, ["setting"])
    found = _losses.judge(_losses.read_losses(tmp_path / "losses.csv"))
    honest, best = (found["walls", "mean", rule] for rule in _losses.RULES)
    assert best["accuracy"] > 0.55
    assert abs(honest["accuracy"] - 0.5) < 0.3


def test_pairs_of_different_groups_may_have_the_same_name(tmp_path):
    right = iter([1, 1, 1, 1, 1, 0, 0, 0])
    rows = []
    for group in range(4):
        for pair in (1, 2):
            better = next(right)
            rows += [("a", group, pair, possible, f"{group}-{pair}-{possible}", 0, float(possible != better)) for possible in (True, False)]
    write_losses(tmp_path / "losses.csv", rows)
    marked = "\ufeff" + (tmp_path / "losses.csv").read_text()  # as spreadsheets write it
    (tmp_path / "losses.csv").write_text(marked, encoding="utf-8")
    (figures, _) = _losses.judge(_losses.read_losses(tmp_path / "losses.csv")).values()
    assert figures["pairs"] == 5 / 8


def test_from_one_group_nothing_is_chosen_elsewhere(tmp_path):
    films = [(possible, f"{possible}") for possible in (True, False)]
    rows = [("a", 0, "", possible, name, 0, RNG.normal(), setting) for possible, name in films for setting in range(30)]
    rows[:30] = rows[29::-1]  # settings in another order are the same settings
    write_losses(tmp_path / "losses.csv", rows, ["setting"])
    assert {rule for _, _, rule in _losses.judge(_losses.read_losses(tmp_path / "losses.csv"))} == {"best of all"}


def test_who_cannot_tell_is_right_half_of_the_time(tmp_path):
    write_losses(tmp_path / "losses.csv", [("a", 0, "", possible, str(possible), 0, 1.0) for possible in (True, False)])
    (figures, _) = _losses.judge(_losses.read_losses(tmp_path / "losses.csv")).values()
    assert figures["accuracy"] == figures["auroc"] == 0.5


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", 0, "", "maybe", "f", 0, 1.0)], "true or false"),
        ([("a", 0, "", "true", "f", 0, "nan")], "not a finite number"),
        ([("a", 0, "", "true", "f", 0, 1.0), ("a", 1, "", "true", "f", 0, 1.0)], "different names"),
        ([], "no film"),
    ],
)
def test_losses_that_are_none_say_where(tmp_path, rows, message):
    write_losses(tmp_path / "losses.csv", rows)
    with pytest.raises(UsageError, match=message):
        _losses.read_losses(tmp_path / "losses.csv")


def test_files_without_columns_and_lopsided_groups_say_so(tmp_path):
    (tmp_path / "losses.csv").write_text("film,loss\na,1\n")
    with pytest.raises(UsageError, match="columns topic"):
        _losses.read_losses(tmp_path / "losses.csv")
    write_losses(tmp_path / "losses.csv", [("a", 0, "", True, "f", 0, 1.0)])
    with pytest.raises(UsageError, match="as many of both"):
        _losses.judge(_losses.read_losses(tmp_path / "losses.csv"))
