"""`ebm control PLANT`: plan and act on a MuJoCo model, and report how it went."""

import dataclasses
import json as jsonlib
import math
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ._errors import Interrupted, UsageError
from ._recommended import settings as recommended

Texts = Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]
Number = Annotated[float | None, tyro.conf.arg(metavar="NUMBER", help_behavior_hint="")]
Count = Annotated[int | None, tyro.conf.arg(metavar="COUNT", help_behavior_hint="")]
Flag = Annotated[bool, tyro.conf.arg(help_behavior_hint="")]
Word = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class Control:
    """Control a MuJoCo model by minimising an energy under guardrails, and report how it went.

    The plant is a Gymnasium environment or a model file. A planner imagines futures with a model of it, picks the best safe one, acts for
    one period, and plans again. Scores are the environment's own. Options that are left out have settings that suit the plant.
    """

    plant: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="PLANT", help_behavior_hint="")]]
    """Id of a Gymnasium MuJoCo environment such as Reacher-v5 (`ebm list` shows them), or the path of an MJCF file."""
    reach: Texts = ()
    """Bring a site, body, geom or joint somewhere: fingertip=target, tip=0.3,0.1,0.2, tip.x=0.3, site:tip=body:cup. Repeatable."""
    upright: Texts = ()
    """Keep a body's or site's z axis pointing up: pole. Repeatable."""
    speed: Texts = ()
    """Move at a speed, m/s or rad/s: elbow=0.5 (a joint), torso.x=1.0 (a body), x=1.0 (the whole machine). Repeatable."""
    keep: Texts = ()
    """A guardrail, which no goal can outweigh: 'slider<0.9', 'body:cup.z>0.6', '-1<slider<1'. Repeatable."""
    goal: Number = None
    """Move the goal that an environment has itself, such as CartTable-v0's place on the table in m."""
    planner: Word = None
    """One that `ebm list` shows, such as icem, ilqr or tree, or module:Class for your own. Default: what suits the plant, else mppi."""
    engine: Literal["c", "mjx"] = "c"
    """What plans are imagined with: MuJoCo's C engine, or MJX (for accelerators; needs the extra `mjx`)."""
    horizon: Count = None
    """Control periods planned ahead."""
    samples: Count = None
    """Candidates per iteration; starting points for the gradient planner."""
    iterations: Count = None
    """Rounds of improvement per plan."""
    noise: Number = None
    """Standard deviation of candidates, as a share of half the action box."""
    seconds: Number = None
    """Length of an episode. Default: the environment's own, or 10 s."""
    period: Number = None
    """Control period in s, a multiple of the timestep. Default: the environment's own, or about 0.02 s."""
    seed: Count = None
    """Of the first episode; the next ones count on. Default 0."""
    episodes: Count = None
    """How many. Default 1."""
    plant_mass: Number = None
    """Factor on the plant's masses and inertias, which the plan model does not know. Default 1; CartTable-v0: 1.3."""
    keyframe: Word = None
    """Start there: name or number of a keyframe in the model."""
    policy: Literal["planner", "zero", "random"] = "planner"
    """Who acts. `zero` and `random` are floors to compare with."""
    unguarded: Flag = False
    """Plan without guardrails. They are still reported."""
    compare: Annotated[Literal["yes", "no"] | None, tyro.conf.arg(metavar="{yes,no}", help_behavior_hint="")] = None
    """Then run the same without guardrails, for comparison. Default: yes for CartTable-v0, else no."""
    view: Flag = False
    """Show the plant in MuJoCo's viewer, where there is a screen."""
    json: Flag = False
    """Print a summary for programs on stdout, and nothing else there."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = None
    """The run folder. Default runs/<time>-<plant>."""
    report: Flag = True
    """Write report.html."""
    video: Flag = True
    """Render a video of the first episode."""

    def run(self, command: str) -> int:
        """The exit code."""
        settings = resolve(self)
        check(settings)
        from ._cli import keep_compiled

        keep_compiled()
        from ._session import session

        summary, interrupted = session(settings, command)
        if settings.json:
            sys.stdout.write(jsonlib.dumps(summary) + "\n")
        if interrupted:
            raise Interrupted(f"what there is lies in {summary['folder']}")
        return 0


def resolve(settings: Control) -> Control:
    """Fill in what was left out: with what suits this plant, or else suits most."""
    known = recommended(settings.plant)
    filled: dict[str, Any] = {name: value for name, value in known.items() if getattr(settings, name) is None}
    if settings.compare is None and (settings.unguarded or settings.policy != "planner" or settings.view):
        filled["compare"] = "no"
    return dataclasses.replace(settings, **filled)


def check(settings: Control) -> None:
    """What can be known to be wrong before anything is loaded.

    **Raises:**

    `UsageError` in one line.
    """
    for name, least in (("horizon", 1), ("samples", 1), ("iterations", 1), ("episodes", 1), ("seed", 0)):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise UsageError(f"--{name} {value}: must be at least {least}.")
    for name in ("noise", "seconds", "period", "plant_mass", "goal"):
        value, option = getattr(settings, name), f"--{name.replace('_', '-')}"
        if value is not None and not math.isfinite(value):
            raise UsageError(f"{option} {value}: must be a finite number.")
        if value is not None and name != "goal" and value <= 0:
            raise UsageError(f"{option} {value:g}: must be positive.")
    if settings.compare == "yes" and settings.unguarded:
        raise UsageError("--compare yes runs with and without guardrails, so it does not go with --unguarded. Drop one of the two.")
