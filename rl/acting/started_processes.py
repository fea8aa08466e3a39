"""The processes that environments of this process have started."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Set
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

END_BY_THEMSELVES = ("wandb-core", "wandb-symon")


@contextmanager
def started_processes_ended() -> Iterator[None]:
    """At the end kill the processes of multiprocessing that were started within it and still live.

    An environment should end them in its `close`. Python would wait for the others when this process ends, for ever.
    """
    before = set(multiprocessing.active_children())
    try:
        yield
    finally:
        end_processes(before)


def end_processes(but: Set[multiprocessing.Process] = frozenset()) -> None:
    """Kill all processes that multiprocessing has started here, but those."""
    started = [process for process in multiprocessing.active_children() if process not in but]
    for process in started:
        process.kill()
    for process in started:
        process.join()


def end_all_children() -> None:
    """Kill whatever this program has started and still lives, at its end; not what ends with it by itself."""
    end_processes()
    helpers = {resource_tracker._resource_tracker._pid, forkserver._forkserver._forkserver_pid}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            head, _, rest = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")
            name, parent = head.partition(" (")[2], int(rest.split()[1])
            if parent == os.getpid() and int(entry.name) not in helpers and name not in END_BY_THEMSELVES:
                os.kill(int(entry.name), signal.SIGKILL)
