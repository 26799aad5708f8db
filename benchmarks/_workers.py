"""Processes that share work, and end with whoever started them."""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection


def pool(processes: int) -> ProcessPoolExecutor:
    """So many of them; they begin anew instead of as forks, which JAX's threads forbid."""
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=follow)


def follow() -> None:
    """To be called in a worker: it ends when whoever started it does, even if that was killed and could not tell it."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
