"""What users install works away from this repository: the wheel alone, in an environment that has only the dependencies."""

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("ebm", "envs", "planners", "benchmarks")

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel")
    run(*pip, "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A fresh environment with the wheel installed; its dependencies are those of the running environment."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", wheel, cwd=folder)
    # Python adds the folder that a .pth file names, but runs no .pth files inside it: the editable install stays out of sight.
    site_packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def readme_example() -> str:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert blocks, "README.md has no ```python block."
    return blocks[0]


def test_wheel_holds_the_packages_and_their_assets(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assets = {str(path.relative_to(ROOT)) for path in (ROOT / "envs" / "assets").rglob("*") if path.is_file()}
    assert assets <= names
    assert not [name for name in names if name.startswith(("benchmarks/bench_", "benchmarks/results/"))]


def test_packages_come_from_the_wheel(installed):
    code = "import importlib.util as u, sys; print(*(u.find_spec(name).origin for name in sys.argv[1:]), sep='\\n')"
    origins = run(installed / "bin" / "python", "-c", code, *PACKAGES, cwd=installed).split()
    assert len(origins) == len(PACKAGES)
    assert all(Path(origin).is_relative_to(installed) for origin in origins), origins


def test_readme_example_runs(installed, tmp_path):
    script = tmp_path / "readme_example.py"
    script.write_text(readme_example(), encoding="utf-8")
    run(installed / "bin" / "python", script, cwd=tmp_path)


def test_command_line_starts(installed, tmp_path):
    assert "control" in run(installed / "bin" / "ebm", "--help", cwd=tmp_path)
