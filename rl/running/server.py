"""The server: a process with torch and without threads, from which all workers of this program are forked.

It takes two seconds to start, since it imports what every worker needs, and no worker imports that again.
"""

import contextlib
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import forkserver, resource_tracker, util
from typing import Any

from rl.running.signals import ENDING, OF_A_TERMINAL, signals_blocked
from rl.shared.processes import SERVED

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
LONGEST = 70  # bytes of a temporary folder in which a socket's path, of at most 107 bytes, is sure to fit
IMPORTED = ["torch", "gymnasium", "einops"]  # none of this project: it could be another copy than the program's own


@contextlib.contextmanager
def start_method_left_open() -> Iterator[None]:
    """Leave the program its choice of a start method: multiprocessing takes it away when it starts any process."""
    is_open = multiprocessing.get_start_method(allow_none=True) is None
    try:
        yield
    finally:
        if is_open:
            multiprocessing.set_start_method(None, force=True)


@start_method_left_open()
def start_server() -> None:
    """Start the server if it does not run, and do not wait for it.

    A program that calls this before it imports torch itself has its workers sooner.
    """
    with signals_blocked(ENDING - OF_A_TERMINAL):
        resource_tracker.ensure_running()  # it lets SIGINT and SIGTERM through when it starts its own process
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)  # it must be there before numpy and torch are imported
    try:
        make_socket_folder()
        SERVED.set_forkserver_preload(IMPORTED)
        with signals_blocked(ENDING):  # inherited: they may be sent to all processes, the parent answers
            forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def make_socket_folder() -> None:
    """Make the folder of the server's socket, which multiprocessing removes; in /tmp if the usual path is too long."""
    before = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > LONGEST:
        tempfile.tempdir = "/tmp"
    try:
        util.get_temp_dir()
    finally:
        tempfile.tempdir = before


def live(environment: Mapping[str, str], life: Callable[..., None], *arguments: Any) -> None:
    """Run a worker's life in the environment variables that the program has now, and not when the server started."""
    os.environ.clear()
    os.environ.update(environment)
    life(*arguments)
