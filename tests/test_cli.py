"""The command line, as a new user would try it: what runs, and one clear line for what does not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import envs
from benchmarks import _cli
from benchmarks._cli import main
from benchmarks._runs import read_run

ROOT = Path(__file__).resolve().parent.parent
SMALL = ["--samples", "8", "--horizon", "4"]
ARM = """
<mujoco>
  <option timestep="0.01"/>
  <worldbody>
    <body name="upper" pos="0 0 0.5">
      <joint name="shoulder" axis="0 1 0" damping="0.5"/>
      <geom name="upper" type="capsule" fromto="0 0 0 0.3 0 0" size="0.03"/>
      <body name="lower" pos="0.3 0 0">
        <joint name="elbow" axis="0 1 0" damping="0.5"/>
        <geom name="lower" type="capsule" fromto="0 0 0 0.25 0 0" size="0.025"/>
        <site name="tip" pos="0.25 0 0"/>
      </body>
    </body>
    <body name="target" mocap="true" pos="0.3 0 0.8"/>
  </worldbody>
  <actuator>
    <motor joint="shoulder" ctrlrange="-8 8"/>
    <motor joint="elbow" ctrlrange="-4 4"/>
  </actuator>
  <keyframe><key name="home" qpos="0.1 -0.2"/></keyframe>
</mujoco>
"""


@pytest.fixture
def arm(tmp_path):
    path = tmp_path / "arm.xml"
    path.write_text(ARM)
    return str(path)


def refused(capsys, *arguments: object) -> str:
    """The one line that a wrong command ends in."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    assert stopped.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    assert line.startswith("error: ")
    return line


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_an_environment_runs_and_reports(tmp_path, capsys):
    out = tmp_path / "run"
    arguments = [
        "control",
        "InvertedPendulum-v5",
        "--seconds",
        "0.8",
        "--episodes",
        "2",
        "--seed",
        "5",
        *SMALL,
        "--out",
        str(out),
        "--json",
    ]
    main(arguments)
    captured = capsys.readouterr()
    summary = json.loads(captured.out)
    run = read_run(out)
    assert summary["episodes"] == 2
    assert summary["return"]["mean"] == pytest.approx(sum(step["reward"] for step in run.steps) / 2)
    assert [episode["seed"] for episode in run.episodes] == [5, 6]
    assert len(run.steps) == sum(episode["steps"] for episode in run.episodes) == 40
    assert run.config["command"] == " ".join(["ebm", *arguments])
    assert run.config["settings"]["samples"] == 8
    assert {"python", "jax", "mujoco", "gymnasium", "energy-planning"} <= run.config["versions"].keys()
    assert all(step["terms"] and step["result"] and step["replan_ms"] > 0 for step in run.steps)
    assert any(step.get("plan") for step in run.steps)
    assert str(out) in captured.err
    if summary["report"]:
        assert (out / "report.html").stat().st_size > 10_000
        assert (out / "video.mp4").read_bytes()[4:8] == b"ftyp"


def test_a_file_with_named_goals_is_the_same_for_the_same_seed(tmp_path, arm, capsys):
    wishes = ["--reach", "tip=target", "--reach", "elbow=0.3", "--speed", "shoulder=0.1", "--keep", "elbow<1.5", "--keep", "tip.z>-5"]
    traces = []
    for name in ("a", "b"):
        out = tmp_path / name
        main(["control", arm, *wishes, "--seconds", "0.2", "--keyframe", "home", *SMALL, "--no-report", "--no-video", "--out", str(out)])
        run = read_run(out)
        traces.append([(step["action"], step["terms"], step["margins"], step["tracked"]) for step in run.steps])
        assert not (out / "report.html").exists()
    assert traces[0] == traces[1]
    assert len(traces[0]) == 10
    assert set(run.config["problem"]["guardrails"]) == {"elbow<1.5", "tip.z>-5"}
    assert {"reach tip", "reach elbow", "speed shoulder", "effort"} <= traces[0][0][1].keys()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("policy", ["zero", "random"])
def test_floors_need_no_goal(tmp_path, policy, capsys):
    out = tmp_path / "run"
    main(["control", "Swimmer-v5", "--policy", policy, "--seconds", "0.4", "--no-report", "--no-video", "--out", str(out), "--json"])
    summary = json.loads(capsys.readouterr().out)
    assert summary["return"]["count"] == 1
    actions = [step["action"] for step in read_run(out).steps]
    assert all(action == [0.0, 0.0] for action in actions) == (policy == "zero")


def test_the_demo_compares_with_and_without_its_guardrail(tmp_path, capsys):
    out = tmp_path / "demo"
    main(["control", "CartTable-v0", "--seconds", "0.2", *SMALL, "--no-video", "--out", str(out), "--json"])
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert list(runs) == ["guarded", "unguarded"]
    for label in runs:
        run = read_run(out / label)
        assert run.config["problem"]["guardrails"] == ["wheels stay on the table", "room to brake after a shove"]
        assert run.config["problem"]["guarded"] == (label == "guarded")
        assert run.config["settings"]["plant_mass"] == 1.3
        assert all("wheels stay on the table" in step["margins"] for step in run.steps)


def test_plant_mass_changes_the_plant_and_not_the_plan():
    from benchmarks._goals import Wishes
    from benchmarks._plant import build

    light, heavy = (build("CartTable-v0", Wishes(), mass=mass) for mass in (1.0, 1.3))
    for model in ("model", "nominal"):
        ratio = getattr(heavy.plant.unwrapped, model).body_mass.sum() / getattr(light.plant.unwrapped, model).body_mass.sum()
        assert ratio == pytest.approx(1.3)
    assert heavy.problem.model.mj_model.body_mass.sum() == pytest.approx(light.problem.model.mj_model.body_mass.sum())


EXPLODES = """
<mujoco>
  <option timestep="0.01" integrator="Euler"/>
  <worldbody>
    <body name="a">
      <joint name="j" axis="0 1 0"/>
      <geom size="0.01" pos="0.1 0 0" mass="1e-5"/>
      <body name="b" pos="0.2 0 0">
        <joint name="k" axis="0 1 0"/>
        <geom size="0.01" pos="0.1 0 0" mass="1e-5"/>
        <site name="tip"/>
      </body>
    </body>
  </worldbody>
  <actuator><position joint="j" kp="1e9" ctrlrange="-1 1"/><velocity joint="k" kv="1e8" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


def test_in_a_world_that_diverged_nothing_counts_as_kept(tmp_path):
    plant, folder = tmp_path / "explodes.xml", tmp_path / "run"
    plant.write_text(EXPLODES)
    goal = ["--reach", "tip=0.3,0,0", "--keep", "tip.z<1"]
    main(["control", str(plant), *goal, "--policy", "random", "--seconds", "0.3", "--no-video", "--out", str(folder)])
    (episode,) = read_run(folder).episodes
    assert episode["diverged"]
    assert episode["violated_steps"] == 1
    assert set(episode["margins"].values()) == {None}
    assert "<td>diverged</td>" in (folder / "report.html").read_text(encoding="utf-8")


def test_who_reads_a_list_may_have_seen_enough():
    listed = f"{sys.executable} -c 'from benchmarks._cli import main; main([\"list\"])'"
    whole = subprocess.run(["bash", "-c", listed], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True).stdout
    assert all(name in whole for name in ("Reach", "Upright", "KeepBelow", "KeepApart", "CVaR"))  # whatever was loaded before
    script = f"set -o pipefail; {listed} | head -1"
    assert subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["missing.xml", "--reach", "tip=1,2,3"], "no model file 'missing.xml'"),
        (["CartPole-v1"], "not a MuJoCo environment"),
        (["Reacher-v6"], "Did you mean 'Reacher-v5'"),
        ([str(ROOT / "examples" / "arm.xml")], "--reach NAME=WHERE"),
        (["Reacher-v5", "--horizon", "-3"], "--horizon -3: must be at least 1"),
        (["Reacher-v5", "--samples", "0"], "--samples 0: must be at least 1"),
        (["Reacher-v5", "--seconds", "nan"], "finite"),
        (["Reacher-v5", "--plant-mass", "0"], "positive"),
        (["Reacher-v5", "--planner", "mpi"], "Did you mean 'mppi'"),
        (["Reacher-v5", "--planner", "nowhere:Class"], "cannot be imported"),
        (["Reacher-v5", "--planner", "planners:Agent"], "subclass of planners.AbstractPlanner"),
        (["Reacher-v5", "--period", "0.013"], "multiple of Reacher-v5's timestep"),
        (["CartTable-v0", "--period", "0.01"], "fixed control period"),
        (["Reacher-v5", "--goal", "1"], "no goal of its own"),
        (["Reacher-v5", "--keyframe", "home"], "no keyframe"),
        (["Reacher-v5", "--compare", "yes"], "no guardrail to leave out"),
    ],
)
def test_bad_commands_end_in_one_line(capsys, tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    assert expected in refused(capsys, "control", *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "It has site: tip"),
        (["--reach", "tp=target"], "Did you mean 'tip'"),
        (["--reach", "tip=goal"], "no site, body, geom or joint 'goal'"),
        (["--reach", "tip=0.3,0.1"], "3 component(s), the goal has 2"),
        (["--reach", "tip=nan,0,0"], "not a finite number"),
        (["--reach", "tip"], "write WHAT=WHERE"),
        (["--reach", "elbow=target"], "1 component(s)"),
        (["--reach", "elbow.x=1"], "it has no axis"),
        (["--upright", "elbow"], "no body, site or geom 'elbow'"),
        (["--speed", "elbow"], "write WHAT=NUMBER"),
        (["--speed", "lower=1"], "3 component(s)"),
        (["--reach", "tip=target", "--keep", "elbow!3"], "cannot be read"),
        (["--reach", "tip=target", "--keep", "elbow<nan"], "not a finite number"),
        (["--reach", "tip=target", "--keep", "tip<0.3"], "'tip.z<0.3'"),
        (["--reach", "tip=target", "--keep", "elbow<1", "--keep", "elbow < 1"], "there twice"),
    ],
)
def test_bad_goals_end_in_one_line(capsys, arm, arguments, expected):
    assert expected in refused(capsys, "control", arm, *arguments)


def test_bad_files_end_in_one_line(capsys, tmp_path):
    broken, idle = tmp_path / "broken.xml", tmp_path / "idle.xml"
    broken.write_text("<mujoco><worldbody></mujoco>")
    idle.write_text('<mujoco><worldbody><body name="b"><freejoint/><geom size="0.1"/></body></worldbody></mujoco>')
    assert "cannot be read as a MuJoCo model" in refused(capsys, "control", broken, "--reach", "tip=0,0,0")
    assert "no actuators" in refused(capsys, "control", idle, "--reach", "b=0,0,0")


def test_a_folder_that_cannot_be_written_ends_in_one_line(capsys, tmp_path, arm):
    (tmp_path / "file").touch()
    assert "cannot be written" in refused(capsys, "control", arm, "--reach", "tip=target", "--out", tmp_path / "file" / "run")


def test_what_is_not_there_is_named(capsys, arm, monkeypatch):
    from benchmarks import _plant

    monkeypatch.setattr(_plant, "missing", lambda *_: ["mujoco.mjx"])
    assert "energy-planning[mjx]" in refused(capsys, "control", arm, "--reach", "tip=target", "--engine", "mjx")
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert "needs a screen" in refused(capsys, "control", arm, "--reach", "tip=target", "--view")


def test_without_the_extra_a_run_says_how_to_get_the_report(capsys, tmp_path, arm, monkeypatch):
    from benchmarks import _session

    monkeypatch.setattr(_session, "missing", lambda *_: ["matplotlib"])
    main(["control", arm, "--policy", "zero", "--seconds", "0.1", "--out", str(tmp_path / "run")])
    assert 'pip install "energy-planning[report]"' in capsys.readouterr().err
    assert read_run(tmp_path / "run").steps
    assert not (tmp_path / "run" / "report.html").exists()


def test_unknown_commands_and_options(capsys):
    assert "Did you mean 'control'" in refused(capsys, "contrl")
    with pytest.raises(SystemExit) as stopped:
        main(["control", "Reacher-v5", "--bogus"])
    assert stopped.value.code == 2
    assert "--bogus" in capsys.readouterr().err


def test_debugging_shows_where(capsys, monkeypatch):
    monkeypatch.setenv("EBM_DEBUG", "1")
    with pytest.raises(SystemExit):
        main(["contrl"])
    assert "Traceback" in capsys.readouterr().err


def test_list_shows_what_there_is(capsys, arm):
    main(["list"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("CartTable-v0", "Reacher-v5", "mppi", "Reach", "KeepBelow", "CVaR"))
    main(["list", arm])
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("tip", "elbow", "target", "-8 … 8"))


def test_list_tells_which_plants_have_energies_of_their_own():
    from benchmarks._plant import make_plant, mujoco_ids, ready_made

    plants = {name: make_plant(name) for name in mujoco_ids()}
    assert {name for name, env in plants.items() if ready_made(env) is not None} == set(envs.READY_MADE)


def test_version_and_overview(capsys):
    main(["--version"])
    assert capsys.readouterr().out.startswith("ebm ")
    main([])
    shown = capsys.readouterr().out
    assert all(f"ebm {name}" in shown for name in _cli.COMMANDS)


def test_help_loads_nothing_heavy():
    code = "import sys\nfrom benchmarks._cli import main\ntry: main(['control', '--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment(), check=True)
    assert "--keep" in done.stdout
    assert not {"jax", "mujoco", "gymnasium", "matplotlib", "numpy"} & set(done.stdout.split())


def test_interrupted_runs_are_reported(tmp_path, arm):
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "benchmarks._cli",
        "control",
        arm,
        "--reach",
        "tip=target",
        "--seconds",
        "1000",
        *SMALL,
        "--out",
        str(out),
    ]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment())
    metrics = out / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.read_text().count("\n") > 20) and time.monotonic() < deadline:
        assert running.poll() is None, running.communicate()
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "Traceback" not in stderr
    assert stderr.strip().splitlines()[-1].startswith("interrupted: ")
    run = read_run(out)
    assert len(run.steps) > 20
    assert run.episodes[0]["interrupted"]
    if "No report" not in stderr:
        assert "stopped before its end" in (out / "report.html").read_text()
