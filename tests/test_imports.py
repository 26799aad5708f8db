"""The floors of the house: who may import whom, what an import may cost, and the shape of a file."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("ebm", "envs", "planners", "benchmarks")
FOLDERS = (*PACKAGES, "tests", "examples")
SIMULATORS = {"mujoco", "gymnasium"}
FORBIDDEN = {
    "ebm": SIMULATORS | {"envs", "planners", "benchmarks", "tests", "examples"},
    "planners": SIMULATORS | {"envs", "benchmarks", "tests", "examples"},
    "envs": {"planners", "benchmarks", "tests", "examples"},
    "benchmarks": {"tests", "examples"},
}
HEAVY = {"optimistix", "lineax", "qpax", "mctx", "blackjax", "matplotlib"}
MAX_LINES = 600


def modules(packages: tuple[str, ...] = PACKAGES) -> dict[str, Path]:
    """Dotted name -> file, of every module in the packages."""
    found = {}
    for path in sorted(path for package in packages for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, *, lazy: bool) -> Iterator[str]:
    """Dotted names that a module imports, as deep as the statement says; with `lazy` also those inside functions and for types only."""
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in statements(ast.parse(path.read_text(encoding="utf-8")), lazy=lazy):
        match node:
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case ast.ImportFrom(module=module, names=aliases, level=level):
                yield from (f"{absolute(package, level, module or '')}.{alias.name}" for alias in aliases)
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(target)), *_]):
                yield absolute(package, len(target) - len(target.lstrip(".")), target.lstrip("."))


def absolute(package: str, level: int, module: str) -> str:
    """The dotted name behind a relative one: one dot is the package itself, two are the one above."""
    above = package.split(".")[: len(package.split(".")) + 1 - level] if level else []
    return ".".join([*above, *([module] if module else [])])


def statements(node: ast.AST, *, lazy: bool) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported; with `lazy`, all nodes."""
    for child in ast.iter_child_nodes(node):
        if not lazy and (isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or is_for_types(child)):
            continue
        yield child
        yield from statements(child, lazy=lazy)


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def resolve(target: str, known: dict[str, Path]) -> str | None:
    """The module of ours that a dotted name lives in, or None if it is not ours."""
    while target and target not in known:
        target = target.rpartition(".")[0]
    return target or None


def loaded_after(statement: str) -> set[str]:
    """Names in `sys.modules` after a fresh interpreter ran the statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def python_files() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_upwards_only(package):
    wrong = [
        f"{path.relative_to(ROOT)} imports {target}"
        for name, path in modules((package,)).items()
        for target in imports(name, path, lazy=True)
        if target.split(".")[0] in FORBIDDEN[package]
    ]
    assert not wrong, "\n".join(wrong)


def test_imports_of_other_packages_are_not_deep():
    wrong = [
        f"{path.relative_to(ROOT)} imports {target}"
        for name, path in modules((*PACKAGES, "examples")).items()
        for target in imports(name, path, lazy=True)
        if target.split(".")[0] in PACKAGES and target.split(".")[0] != name.split(".")[0]
        if any(part.startswith("_") for part in target.split(".")[1:])
    ]
    assert not wrong, "\n".join(wrong)


def test_no_files_import_each_other_in_a_circle():
    known = modules()
    # Only what is named counts: that Python also runs the `__init__.py` above a file makes no circle as long as files name files.
    graph = {name: {resolve(target, known) for target in imports(name, path, lazy=False)} - {None, name} for name, path in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("a circle of imports: " + " <- ".join(error.args[1]))


@pytest.mark.parametrize(
    ("package", "absent"),
    [
        ("ebm", SIMULATORS | HEAVY | {"planners", "envs", "benchmarks"}),
        ("planners", SIMULATORS | HEAVY | {"envs", "benchmarks"}),
        ("envs", HEAVY | {"mujoco.mjx", "planners", "benchmarks"}),
    ],
)
def test_import_loads_nothing_it_does_not_need(package, absent):
    assert not loaded_after(f"import {package}") & absent


def test_one_planner_loads_neither_the_others_nor_networks():
    loaded = loaded_after("import ebm, planners; planners.make; ebm.Problem; planners.MPPI")
    assert not loaded & {"ebm.nets", "ebm.objectives", "ebm._jepa", "planners._cem", "planners._ilqr"}


def test_what_is_loaded_on_first_use_is_all_there_and_starts_no_device():
    code = """
import jax, ebm, planners
assert ebm.nets.Identity and ebm.objectives.Variance
for package in (ebm, planners):
    assert len(dir(package)) > 40, dir(package)
    for name in dir(package):
        assert getattr(package, name) is not None
for name in planners.PLANNERS:
    assert callable(planners.PLANNERS[name])
jax.config.update("jax_num_cpu_devices", 2)  # raises once a device has been started
assert jax.device_count() == 2
try:
    planners.nothing
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "nothing" in done.stdout


def test_init_files_only_re_export():
    wrong = []
    for path in modules().values():
        if path.name != "__init__.py":
            continue
        body = ast.parse(path.read_text(encoding="utf-8")).body
        wrong += [f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)[:60]}" for node in body if not is_re_export(node)]
    assert not wrong, "\n".join(wrong)


def is_re_export(node: ast.stmt) -> bool:
    """An import, the docstring, `__all__` or `__version__`, or the `__getattr__` that loads heavy leaves on first use."""
    if isinstance(node, ast.Import | ast.ImportFrom) or is_for_types(node):
        return True
    if isinstance(node, ast.Assign):
        names = {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        return names <= {"__all__", "__version__", "__getattr__", "__dir__"}
    if isinstance(node, ast.FunctionDef):
        return node.name in {"__getattr__", "__dir__"}
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def test_annotations_are_not_postponed():
    # The run-time checks of shapes and dtypes would see strings.
    assert not [str(path.relative_to(ROOT)) for path in python_files() if postpones_annotations(path)]


def postpones_annotations(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in body)


def test_no_file_is_too_long():
    lengths = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert not {str(path): length for path, length in lengths.items() if length > MAX_LINES}


def test_folders_are_at_most_two_deep():
    assert not [str(path) for path in modules().values() if len(path.relative_to(ROOT).parts) > 3]
