"""`ebm list`: plants, planners, energies, guardrails and risks; and what can be read from a plant."""

import dataclasses
import inspect
from typing import Any

import tyro

from ._recommended import SAMPLES


@dataclasses.dataclass(frozen=True)
class List:
    """Show what there is: plants, planners, energies, guardrails and risks. With a plant: what can be read from it."""

    plant: tyro.conf.Positional[str] = ""
    """Id of an environment, or the path of an MJCF file."""

    def run(self, command: str) -> int:
        """The exit code."""
        del command
        from rich.console import Console

        console = Console(highlight=False)
        for title, rows in (readable(self.plant) if self.plant else overview()).items():
            show(console, title, rows)
        return 0


def overview() -> dict[str, dict[str, str]]:
    """Title -> name -> one line."""
    import ebm
    import envs
    import planners

    from ._plant import mujoco_ids

    ready, named = "ready-made energies", "name a goal, such as --reach NAME=WHERE"
    plants = {name: ready if name in envs.READY_MADE else named for name in mujoco_ids()}
    plants = dict(sorted(plants.items(), key=lambda item: (item[1] != ready, item[0])))
    plants["FILE.xml"] = "any MJCF file with actuators; name a goal"
    return {
        "Plants (ebm control PLANT; ebm list PLANT shows what can be read)": plants,
        "Planners (--planner)": {name: f"{first_line(kind)} {defaults(kind)}" for name, kind in planners.PLANNERS.items()},
        "Energies": of_kind(ebm, ebm.AbstractEnergy),
        "Guardrails": of_kind(ebm, ebm.AbstractGuardrail),
        "Risks": of_kind(ebm, ebm.AbstractRisk),
    }


def readable(plant: str) -> dict[str, dict[str, str]]:
    """What goals and guardrails can name in a plant."""
    from typing import Any as Anything

    from ._goals import Names
    from ._plant import make_plant

    env = make_plant(plant)
    inner: Anything = env.unwrapped
    names = Names(inner.model, plant)
    found = {f"{kind} of {plant}": dict.fromkeys(known, "") for kind, known in names.kinds.items() if known}
    actuators = {
        inner.model.actuator(i).name or str(i): f"{low:g} … {high:g}" for i, (low, high) in enumerate(inner.model.actuator_ctrlrange)
    }
    env.close()
    return found | {f"actuators of {plant}": actuators, "control period": {f"{inner.dt:g} s": ""}}


def of_kind(module: Any, base: type) -> dict[str, str]:
    """The concrete classes of a package that are of a kind, with the first line of what they say."""
    exported = {name: getattr(module, name) for name in dir(module)}  # which loads what was not loaded yet
    found = {name: kind for name, kind in exported.items() if isinstance(kind, type) and issubclass(kind, base)}
    return {name: first_line(kind) for name, kind in sorted(found.items()) if not name.startswith("Abstract")}


def first_line(kind: Any) -> str:
    """Of a docstring."""
    return (inspect.getdoc(kind) or "").split("\n")[0]


def defaults(kind: Any) -> str:
    """The settings of a planner that the command line can change."""
    known = inspect.signature(kind).parameters
    shown = {"horizon": "horizon"} | dict.fromkeys(SAMPLES, "samples") | {"num_iterations": "iterations", "noise": "noise"}
    found = [
        f"{ours} {known[theirs].default}"
        for theirs, ours in shown.items()
        if theirs in known and known[theirs].default is not known[theirs].empty
    ]
    return f"({', '.join(found)})"


def show(console: Any, title: str, rows: dict[str, str]) -> None:
    """A heading and a table without lines."""
    from rich.table import Table

    console.print(f"\n[bold]{title}[/bold]")
    table = Table.grid(padding=(0, 2))
    for name, text in rows.items():
        table.add_row(f"  {name}", text)
    console.print(table, markup=False)
