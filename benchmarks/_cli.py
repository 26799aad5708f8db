"""The command line `ebm`: one word chooses a command, and a command is one small file."""

import importlib
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import tyro

from ._errors import Interrupted, UsageError, near, one_line

USAGE, INTERRUPTED = 2, 130  # exit codes
EXPECTED = (ValueError, TypeError, KeyError, OSError, ImportError, NotImplementedError, FloatingPointError)  # what a wrong input ends in


class Command(NamedTuple):
    """Where a command lives: a dataclass of options with a method `run(command line) -> exit code`.

    Its module imports nothing heavy at its top.
    """

    module: str
    options: str
    summary: str


COMMANDS = {
    "control": Command("._control", "Control", "control a MuJoCo model, and write a report"),
    "list": Command("._list", "List", "plants, planners, energies and guardrails; what can be read from a plant"),
    "bench": Command("._bench", "Bench", "run benchmark suites into JSON, with floors and intervals"),
    "train": Command("._train", "Train", "train a world model from films, into a run folder"),
    "surprise generate": Command(".surprise._generate", "Generate", "make films of possible and impossible events, into the cache"),
    "surprise train": Command(".surprise._train", "Train", "train a model of everyday films, into a run folder"),
    "surprise score": Command(".surprise._score", "Score", "how surprising every film is to a trained model, or to floors"),
    "surprise watch": Command(".surprise._watch", "Watch", "the four films of one experiment side by side"),
    "surprise foreign": Command(".surprise._foreign", "Foreign", "how surprising films from elsewhere are, one or a public set"),
    "surprise judge": Command(".surprise._judge", "Judge", "from losses of any model on any set to accuracies"),
    "surprise report": Command(".surprise._report", "Report", "a table, a page and files of what was scored"),
    "eval": Command("._eval", "Eval", "plan in a trained world model, beside floors"),
    "report": Command("._report_command", "Report", "write the report of a run folder again, or one of several runs"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, and exit with its code: 0, 2 for a wrong input, 130 after Ctrl-C."""
    code = run(list(sys.argv[1:] if arguments is None else arguments))
    sys.stdout.flush()
    if code:
        sys.exit(code)


def run(arguments: list[str]) -> int:
    """The exit code of one command line."""
    try:
        return dispatch(arguments)
    except Interrupted as stop:
        complain(f"interrupted: {stop}" if str(stop) else "interrupted", None)
        return INTERRUPTED
    except KeyboardInterrupt as stop:
        complain("interrupted", stop)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # as rich says the same
            return 0
        raise
    except UsageError as error:
        complain(f"error: {error}", error)
        return USAGE
    except EXPECTED as error:
        hint = "" if isinstance(error, ValueError | FileNotFoundError) else f" ({type(error).__name__}; EBM_DEBUG=1 shows where)"
        complain(f"error: {one_line(error)}{hint}", error)
        return USAGE


def dispatch(arguments: list[str]) -> int:
    """Find the command, parse its options, run it."""
    words = 2 if " ".join(arguments[:2]) in COMMANDS else 1
    name, rest = " ".join(arguments[:words]) or "--help", arguments[words:]
    if name in ("-h", "--help", "help"):
        print(overview())
        return 0
    if name in ("-V", "--version"):
        print(f"ebm {version()}")
        return 0
    group = [known for known in COMMANDS if known.startswith(f"{name} ")]
    if group:
        raise UsageError(f"`ebm {name}` takes one more word: {', '.join(known.partition(' ')[2] for known in group)}.")
    if name not in COMMANDS:
        raise UsageError(f"there is no command {name!r}.{near(name, COMMANDS)} There are {', '.join(COMMANDS)}; `ebm --help` says more.")
    command = COMMANDS[name]
    options = getattr(importlib.import_module(command.module, __package__), command.options)
    chosen = tyro.cli(options, args=rest, prog=f"ebm {name}", config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes))
    return chosen.run(shlex.join(["ebm", *arguments]))


def overview() -> str:
    """What `ebm --help` shows."""
    width = max(map(len, COMMANDS))
    lines = [f"  ebm {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "Control MuJoCo models by minimising energy under guardrails.",
            "",
            *lines,
            "",
            "`ebm COMMAND --help` lists the options. Begin with:",
            "  ebm control CartTable-v0",
            "  ebm control Reacher-v5 --reach fingertip=target",
            "  ebm control arm.xml --reach tip=0.3,0.1,0.2 --keep 'elbow<1.5'",
        ]
    )


def version() -> str:
    """Of the installed distribution."""
    try:
        return metadata.version("energy-planning")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def keep_compiled() -> None:
    """Keep what JAX compiles between runs, unless the user chose a folder, or ours cannot be written."""
    import jax

    if getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    folder = cache_folder("jax")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def cache_folder(name: str) -> Path:
    """Where we keep what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "energy-planning" / name


def complain(line: str, error: BaseException | None) -> None:
    """One line on stderr; with EBM_DEBUG set, also where it came from."""
    if error is not None and os.environ.get("EBM_DEBUG"):
        traceback.print_exception(error)
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
