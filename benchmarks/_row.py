"""A line of a table: a plant, a policy, and everything that decides how they do."""

import dataclasses
from collections.abc import Mapping
from typing import Any

# Left out of the settings where they say nothing: older records lack them.
LATER = ("env", "pose", "pose_options", "filtered", "friction", "delay", "max_steps", "budget", "judged", "restart", "margin", "counted")
UNSAID = ("name", "episodes", "asked", "first_seed", "repeats")  # what does not decide how an episode goes


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table.

    **Arguments:**

    - `plant`: an environment id. `env`: its options.
    - `planner`: a name and its options; `None` for a floor.
    - `policy`: "planner", "zero", "random" or "riccati".
    - `plant_mass`, `friction`, `delay`: factors on the plant's masses and on its friction and damping, and control periods that its
      actions come late; the plan model knows nothing of them.
    - `max_steps`: of an episode, where the plant sets another limit.
    - `budget`: what a replan may take, as {"model_steps": count} (control periods of one world) or {"ms": time}. How many candidates that
      allows is measured before the first episode, on the training seed 0.
    - `pose`, `pose_options`: another way to pose the problem, one of `POSES`, such as under a map.
    - `guarded`: whether the planner knows the guardrails. `margin`: what it keeps to spare of each, in scales of the guardrail.
    - `filtered`: whether a `planners.BackupFilter` has the last word.
    - `judged`: whether the plant's real states are judged by the problem's energy and guardrails; `counted`: by which of these, if not all.
    - `oracle`: whether the planner is given the plant's own physics parameters.
    - `scale`: factor on all energies, which must not matter.
    - `period`: control periods between plans, unless the world leaves the plan earlier (`planners.EventTriggered`).
    - `first_seed`: of the episodes.
    - `repeats`: names of rows above; only the seeds on which one of them violated a guardrail are run, instead of `episodes` from
      `first_seed`. `restart`: other random numbers for the planner, 0 for its usual ones.
    - `asked`: what the row should reach, in words.
    """

    name: str
    plant: str
    planner: str | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    env: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pose: str | None = None
    pose_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    policy: str = "planner"
    episodes: int = 10
    plant_mass: float = 1.0
    friction: float = 1.0
    delay: int = 0
    max_steps: int | None = None
    budget: Mapping[str, float] = dataclasses.field(default_factory=dict)
    guarded: bool = True
    margin: float = 0.0
    filtered: bool = False
    judged: bool = False
    counted: tuple[str, ...] = ()
    oracle: bool = False
    scale: float = 1.0
    period: int = 1
    first_seed: int = 0
    repeats: tuple[str, ...] = ()
    restart: int = 0
    asked: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides the outcome: a recorded episode counts only under the same settings."""
        said = {key: value for key, value in dataclasses.asdict(self).items() if key not in UNSAID}
        return {key: value for key, value in said.items() if key not in LATER or value != BLANK[key]}


BLANK = dataclasses.asdict(Row("", ""))
