"""Processes of a run, seen from the parent: start the workers, watch them, see all of them gone."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from rl.running.worker_process import Worker
from rl.shared.signs import WorkerSigns

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
POLL_SECONDS = 0.02
STOP_SECONDS = 3.0  # once the run is asked to stop, workers may take so long to end their segment
FAULT_SECONDS = 1.0  # after a fault, so long
START_SECONDS = 120.0  # a worker may take so long to import and to build its environments
STACK_SECONDS = 0.5  # a worker that hangs may take so long to tell where
Poll = Callable[[Callable[[], bool]], bool]


class Supervisor:
    """Runs workers to their end."""

    def __init__(
        self,
        workers: int,
        arguments: Callable[[int], tuple[Any, ...]],
        signs: WorkerSigns,
        timeout: float,
        on_ready: Callable[[], None],
        poll: Poll,
        on_states: Callable[[dict[int, bytes]], None],
        on_fault: Callable[[str, bool], bool],
    ) -> None:
        """Nothing is started yet.

        Args:
            workers: how many.
            arguments: of `run_worker` of a rank, between the rank and the channel; asked at each start.
            signs: of life, which workers write.
            timeout: seconds without progress after which a worker counts as hung.
            on_ready: called once, when all have built their environments and are about to start.
            poll: called about every 20 ms with a function that says whether a worker has failed meanwhile, so that it
                need not finish what takes long; True asks the run to stop (the caller has told the workers).
            on_states: is given where workers stand, by rank.
            on_fault: is given the cause when a worker fails (its traceback, signal or exit code, or where it hangs),
                and whether that came from outside: it was killed, or others of its group are gone; True starts another
                one in its place.
        """
        self.ranks, self.arguments, self.signs, self.timeout = range(workers), arguments, signs, timeout
        self.on_ready, self.poll, self.on_states, self.on_fault = on_ready, poll, on_states, on_fault
        self.crew: list[Worker] = []
        self.news, self.started, self.faults = threading.Event(), False, 0

    def run(self) -> None:
        """Return when no worker is left."""
        os.environ.update(ONE_THREAD)  # inherited: it must be there before a worker imports numpy or torch
        try:
            for rank in self.ranks:
                self.crew.append(Worker(rank, self.arguments(rank), self.news))
            self.watch()
        finally:
            for worker in self.crew:
                worker.process.kill()
            for worker in self.crew:
                worker.end()
                for kind, payload in worker.heard(all_of_it=False):
                    if kind == "state":
                        self.on_states(payload)

    def watch(self) -> None:
        """Look after running workers until all have ended, or their time after a stop or a fault is over."""
        deadline = float("inf")
        while True:
            self.news.wait(POLL_SECONDS)
            self.news.clear()
            for worker in list(self.crew):
                self.look_after(worker)
            if not self.started and all(worker.ready for worker in self.crew):
                self.started = True
                self.on_ready()
                for worker in self.crew:
                    worker.let_go_on()
            stopping = self.poll(self.failed)
            if stopping or self.faults or all(worker.settled for worker in self.crew):  # said before a process ends
                deadline = min(deadline, time.monotonic() + (FAULT_SECONDS if self.faults else STOP_SECONDS))
                if time.monotonic() > deadline or not self.started:
                    return  # whoever is left is killed
            if all(worker.settled and not worker.process.is_alive() for worker in self.crew):
                return

    def failed(self) -> bool:
        """Whether a worker has failed."""
        return any(worker.process.exitcode for worker in self.crew)

    def look_after(self, worker: Worker) -> None:
        """Hear what a worker says, find out how it ended, or that it hangs."""
        ended = worker.process.exitcode  # read before: what it said last is then heard
        for kind, payload in worker.heard(ended is not None):
            if kind == "ready":
                worker.ready, worker.idle = True, 0.0  # to begin takes as long as it takes
                if self.started:
                    worker.let_go_on()
            elif kind == "state":
                self.on_states(payload)
            elif kind == "done":
                worker.settled = True
            else:
                self.fail(worker, payload, outside=kind == "lost")
        if worker.settled:
            return
        if ended is not None:
            self.fail(worker, last_words(ended), outside=ended == -signal.SIGKILL)
        elif self.hangs(worker):
            where = self.where(worker)
            worker.process.kill()
            self.fail(worker, f"made no progress for {self.timeout:g} s (--worker-timeout){where}")

    def fail(self, worker: Worker, cause: str, outside: bool = False) -> None:
        """Tell a fault, and start another worker if that is wanted."""
        worker.settled = True
        if self.on_fault(f"{worker.process.name} {cause}", outside):
            worker.end()
            self.signs.waiting[worker.rank] = 0
            self.crew[worker.rank] = Worker(worker.rank, self.arguments(worker.rank), self.news)
        else:
            self.faults += 1

    def hangs(self, worker: Worker) -> bool:
        """Whether a worker has made no progress for too long, at several looks."""
        now, seen = time.monotonic(), int(self.signs.progress[worker.rank])
        if seen != worker.seen or (worker.ready and not self.started):
            worker.seen, worker.idle = seen, 0.0
        else:
            worker.idle += min(now - worker.seen_at, self.timeout / 2)  # this process may have been stopped itself
        worker.seen_at = now
        return worker.idle > (self.timeout if worker.ready else max(self.timeout, START_SECONDS))

    def where(self, worker: Worker) -> str:
        """The line that a worker stands at, if it can still tell."""
        before = len(self.signs.stacks.read())
        with contextlib.suppress(OSError):
            os.kill(worker.process.pid, signal.SIGUSR1)
        deadline = time.monotonic() + STACK_SECONDS
        while time.monotonic() < deadline:
            lines = self.signs.stacks.read()[before:].splitlines(keepends=True)
            if len(lines) > 1 and lines[1].endswith("\n"):  # it is written piece by piece
                return f", at {lines[1].strip()}"
            time.sleep(0.01)
        return ", and cannot tell where"


def last_words(exitcode: int) -> str:
    """What an exit code says about how a worker ended."""
    return f"was killed by {signal.Signals(-exitcode).name}" if exitcode < 0 else f"ended early: exit code {exitcode}"
