"""What a user can do something about: one line that names the remedy."""

import difflib
import importlib.util
from collections.abc import Iterable


class UsageError(Exception):
    """Something in the command that cannot work as it stands; shown as one line, without a traceback."""


class Interrupted(Exception):
    """Ctrl-C, after what there was has been written."""


def near(word: str, known: Iterable[str], count: int = 2) -> str:
    """`" Did you mean 'a' or 'b'?"`, or nothing if no known word is like this one."""
    known = list(known)
    lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), lower, count, 0.6)
    return f" Did you mean {' or '.join(repr(lower[name]) for name in found)}?" if found else ""


def check_known(what: str, word: str, known: Iterable[str]) -> None:
    """Whether there is such a thing.

    **Raises:**

    `UsageError` if not, with what there is.
    """
    known = list(known)
    if word not in known:
        raise UsageError(f"there is no {what} {word!r}.{near(word, known)} There are {', '.join(known)}.")


def one_line(error: BaseException) -> str:
    """The message of an exception, however it was broken into lines."""
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    return " ".join(str(message).split()) or type(error).__name__


def missing(*modules: str) -> list[str]:
    """Those of `modules` that are not installed."""
    absent = []
    for module in modules:
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:  # a parent package is absent
            found = None
        if found is None:
            absent.append(module)
    return absent
