"""Processes of a run, seen from the parent: start the workers, watch them, see all of them gone."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

from rl.memory import SPAWN
from rl.worker import run_worker

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
POLL_SECONDS = 0.02
STOP_SECONDS = 3.0  # once the run is asked to stop, workers may take so long to end their segment
FAULT_SECONDS = 1.0  # after a fault, so long


def supervise(
    workers: int,
    arguments: tuple[Any, ...],
    on_ready: Callable[[], None],
    poll: Callable[[Callable[[], bool]], bool],
    on_fault: Callable[[str], None],
) -> None:
    """Run workers to their end; return when none is left.

    Args:
        workers: how many.
        arguments: of `run_worker`, between the rank and the channel.
        on_ready: called once, when all have built their environments and are about to start.
        poll: called about every 20 ms with a function that says whether a worker has failed meanwhile, so that it
            need not finish what takes long; True asks the run to stop (the caller has told the workers).
        on_fault: is given the cause when a worker fails: its traceback, signal or exit code.
    """
    os.environ.update(ONE_THREAD)  # inherited: it must be there before a worker imports numpy or torch
    processes, channels = [], []
    try:
        with sigint_blocked(signal.SIGTERM):  # inherited too: both may be sent to all processes, the parent answers
            for rank in range(workers):
                ours, theirs = SPAWN.Pipe()
                process = SPAWN.Process(
                    target=run_worker, args=(rank, *arguments, theirs), name=f"worker {rank}", daemon=True
                )
                process.start()
                theirs.close()
                processes.append(process)
                channels.append(ours)
        watch(processes, channels, on_ready, poll, on_fault)
    finally:
        for process in processes:
            process.kill()
        for process, channel in zip(processes, channels, strict=True):
            process.join()
            channel.close()


def watch(
    processes: list[Any],
    channels: list[Connection],
    on_ready: Callable[[], None],
    poll: Callable[[Callable[[], bool]], bool],
    on_fault: Callable[[str], None],
) -> None:
    """Look after running workers until all have ended, or their time after a stop or a fault is over."""

    def failed() -> bool:
        return any(process.exitcode for process in processes)

    ready, faults, deadline = 0, 0, float("inf")
    settled = set()  # workers that have said how they ended
    while True:
        alive = [pair for pair in zip(processes, channels, strict=True) if pair[0].is_alive()]
        wait([process.sentinel for process, _ in alive] + [channel for _, channel in alive], timeout=POLL_SECONDS)
        for process, channel in zip(processes, channels, strict=True):
            ended = process.exitcode  # read before the channel: what it said last is then already there
            while message := receive(channel):
                if message == "ready":
                    ready += 1
                    if ready == len(processes):
                        on_ready()
                        for other in channels:
                            with contextlib.suppress(OSError):  # it died meanwhile: found at the next look
                                other.send("start")
                    continue
                settled.add(process)
                if message != "done":
                    faults += 1
                    on_fault(f"{process.name} {message}")
            if ended is not None and process not in settled:
                settled.add(process)
                faults += 1
                on_fault(f"{process.name} {last_words(ended)}")
        stopping = poll(failed)
        if stopping or faults or len(settled) == len(processes):  # "done" is said before a process ends
            deadline = min(deadline, time.monotonic() + (FAULT_SECONDS if faults else STOP_SECONDS))
            if time.monotonic() > deadline or ready < len(processes):
                return  # whoever is left is killed
        if not alive:  # before the last look, so that nothing they said was missed
            return


def last_words(exitcode: int) -> str:
    """What an exit code says about how a worker ended."""
    return f"was killed by {signal.Signals(-exitcode).name}" if exitcode < 0 else f"ended early: exit code {exitcode}"


def receive(channel: Connection) -> str | None:
    """The next message of a worker, or None where there is none."""
    with contextlib.suppress(EOFError, OSError):
        if channel.poll():
            return channel.recv()
    return None


@contextlib.contextmanager
def sigint_blocked(*others: signal.Signals) -> Iterator[None]:
    """Hold SIGINT (and others) back; processes started meanwhile begin with it held back, and never see one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *others})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def noted_signals(note: Callable[[int], None]) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into a note, so that the run comes to an orderly end; a second one adds nothing."""

    def handler(number: int, _frame: Any) -> None:
        note(number)

    try:
        before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: whoever runs us there keeps the signals
        before = {}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
