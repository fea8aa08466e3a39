"""What the environments of a worker have started: it ends with the worker, however that ends.

A worker leads a process group of its own, which its children are born into. A child that leaves the group is known by a
mark in its environment variables, and one that has left both by its parent, or as an orphan, which Linux gives to the
worker.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rl.running.signals import noted_signals

MARK = "CARRYOVER_WORKER"
ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
ROUNDS = 5  # of looking for processes, since one of them may start another meanwhile


def lead_a_group() -> None:
    """Let this process, a worker, lead a group and have children, which multiprocessing denies to those it starts."""
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    os.environ[MARK] = str(os.getpid())
    with contextlib.suppress(OSError, AttributeError):  # another system than Linux has none
        ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)
    multiprocessing.current_process()._config["daemon"] = False
    for number in (
        signal.SIGTTIN,
        signal.SIGTTOU,
    ):  # its group is never the terminal's: it may write there all the same
        signal.signal(number, signal.SIG_IGN)


def end_descendants(worker: int | None = None) -> None:
    """Kill all that a worker has started; without a number, what this process has started as a worker."""
    for _ in range(ROUNDS):
        found = started_by(worker or os.getpid()) - {os.getpid()}
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def started_by(worker: int) -> set[int]:
    """Living processes of a worker's group, the worker included, those that bear its mark, and all their children."""
    mark, found, parents = f"{MARK}={worker}".encode(), {worker}, {}
    for entry in Path("/proc").glob("[0-9]*"):  # without a /proc nothing is found
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent, group = (entry / "stat").read_bytes().rpartition(b") ")[2].split()[:3]
            if state in (b"Z", b"X"):
                continue
            parents[int(entry.name)] = int(parent)
            if int(group) == worker or mark in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
    while children := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= children
    return found & parents.keys()


@contextlib.contextmanager
def stopped_together(workers: Callable[[], Iterable[int]]) -> Iterator[None]:
    """Let Ctrl-Z stop the groups of the workers too, which the terminal does not know, and let them go on with this."""

    def stop(_number: int) -> None:
        pids = list(workers())
        with woken_if_this_ends(pids):
            send(pids, signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
        send(pids, signal.SIGCONT)

    with noted_signals(stop, {signal.SIGTSTP}):
        yield


@contextlib.contextmanager
def woken_if_this_ends(workers: Iterable[int]) -> Iterator[None]:
    """Let a process wait that wakes the workers when this one is killed as it is stopped: they see its end, and end."""
    groups = [f"-{pid}" for pid in workers]
    try:
        command = ["sh", "-c", 'read _; kill -s CONT -- "$@"', "sh", *groups]
        helper = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    except OSError:
        yield
        return
    with helper:  # its end closes the pipe, as the end of this process does
        yield


def send(workers: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to the groups of workers; one that is only starting has none yet."""
    for pid in workers:
        for to in (os.killpg, os.kill):
            with contextlib.suppress(OSError):
                to(pid, number)
