"""The processes that environments of this process have started."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Set
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker

END_BY_THEMSELVES = ("wandb-core", "wandb-symon")
_programs: set[int] = set()  # that environments have started, or another thread of this process meanwhile


@contextmanager
def started_processes_ended() -> Iterator[None]:
    """At the end kill the processes of multiprocessing that were started within it and still live.

    An environment should end them in its `close`. Python would wait for the others when this process ends, for ever.
    Programs that were started within it are noted for `end_started_processes`.
    """
    before, programs = set(multiprocessing.active_children()), children()
    try:
        yield
    finally:
        end_processes(before)
        _programs.update(children() - programs)


def end_processes(but: Set[multiprocessing.Process] = frozenset()) -> None:
    """Kill all processes that multiprocessing has started here, but those."""
    started = [process for process in multiprocessing.active_children() if process not in but]
    for process in started:
        process.kill()
    for process in started:
        process.join()


def end_started_processes() -> None:
    """At the end of a program, kill what its environments have started and what still lives."""
    end_processes()
    for pid in _programs & children():
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def children() -> set[int]:
    """Living children of this process, but for those that end with it by themselves; none without a /proc."""
    helpers, found = {resource_tracker._resource_tracker._pid, forkserver._forkserver._forkserver_pid}, set()
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        with (
            contextlib.suppress(OSError, IndexError),
            open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file,
        ):
            head, _, rest = file.read().rpartition(") ")
            name, parent = head.partition(" (")[2], int(rest.split()[1])
            if parent == os.getpid() and int(pid) not in helpers and name not in END_BY_THEMSELVES:
                found.add(int(pid))
    return found
