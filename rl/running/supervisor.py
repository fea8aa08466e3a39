"""Worker processes of a run: start them, watch them, see all of them gone."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from rl.running.descendants import stopped_together
from rl.running.preflight import NO_MAIN_GUARD, StartsItself
from rl.running.signals import name_of
from rl.running.worker_process import Worker
from rl.shared.signs import WorkerSigns

LOOK_SECONDS = 0.02
STOP_SECONDS = 3.0  # once the run is asked to stop, workers may take so long to end their segment
FAULT_SECONDS = 1.0  # after a fault, so long
START_SECONDS = 120.0  # a worker may take so long to import and to build its environments
STACK_SECONDS = 0.5  # a worker that hangs may take so long to write its traceback


class Parent(Protocol):
    """What a Supervisor asks of the run that it works for."""

    def arguments_of(self, rank: int) -> tuple[Any, ...]:
        """Arguments of a worker's life, between its rank and its channel; asked at each start."""

    def begin(self) -> None:
        """All workers are ready and are about to start."""

    def answer(self, worker_failed: Callable[[], bool]) -> bool:
        """Do what is due, about every 20 ms; returns whether the run is to stop, which the workers know then.

        Args:
            worker_failed: whether a worker has failed since, so that a long answer need not be finished.
        """

    def receive(self, states: dict[int, bytes]) -> None:
        """Take the states of workers, by rank."""

    def replaces_worker(self, cause: str, outside: bool) -> bool:
        """Whether to start another worker in the place of one that failed.

        Args:
            cause: its traceback, signal or exit code, or the line at which it hangs.
            outside: whether it was killed, or others of its group are gone.
        """


class Supervisor:
    """Runs workers to their end."""

    def __init__(
        self, parent: Parent, life: Callable[..., None], workers: int, signs: WorkerSigns, timeout: float
    ) -> None:
        """Nothing is started yet.

        Args:
            parent: the run.
            life: what each process runs, as `run_worker`.
            workers: how many.
            signs: workers write in them that they live.
            timeout: seconds without progress after which a worker counts as hung.
        """
        self.parent, self.life, self.ranks, self.signs, self.timeout = parent, life, range(workers), signs, timeout
        self.crew: list[Worker] = []
        self.news, self.started, self.faults = threading.Event(), False, 0

    def run(self) -> None:
        """Return when no worker is left."""
        try:
            for rank in self.ranks:
                self.crew.append(self.new_worker(rank))
            with stopped_together(lambda: [worker.process.pid for worker in self.crew]):
                self.watch()
        finally:
            for worker in self.crew:
                worker.process.kill()
            for worker in self.crew:
                worker.end()
                for kind, payload in worker.heard(all_of_it=False):
                    if kind == "state":
                        self.parent.receive(payload)

    def new_worker(self, rank: int) -> Worker:
        """Start a worker."""
        return Worker(rank, self.life, self.parent.arguments_of(rank), self.news)

    def watch(self) -> None:
        """Look after the workers until all have ended, or until their time after a stop or a fault is over."""
        deadline = float("inf")
        while True:
            self.news.wait(LOOK_SECONDS)
            self.news.clear()
            for worker in list(self.crew):
                self.look_after(worker)
            if not self.started and all(worker.ready for worker in self.crew):
                self.started = True
                self.parent.begin()
                for worker in self.crew:
                    worker.start_work()
            stopping = self.parent.answer(self.failed)
            if stopping or self.faults or all(worker.settled for worker in self.crew):
                deadline = min(deadline, time.monotonic() + (FAULT_SECONDS if self.faults else STOP_SECONDS))
                if time.monotonic() > deadline or not self.started:
                    return  # `run` kills the workers that are left
            if all(worker.settled and not worker.process.is_alive() for worker in self.crew):
                return

    def failed(self) -> bool:
        """Whether a worker has failed."""
        return any(worker.process.exitcode for worker in self.crew)

    def look_after(self, worker: Worker) -> None:
        """Take a worker's messages, and find out whether it has ended or hangs."""
        ended = worker.process.exitcode  # read first: all messages of a worker that has ended are there
        for kind, payload in worker.heard(ended is not None):
            if kind == "ready":
                worker.ready, worker.idle = True, 0.0  # the time until here does not count
                if self.started:
                    worker.start_work()
            elif kind == "state":
                self.parent.receive(payload)
            elif kind == "done":
                worker.settled = True
            else:
                self.fail(worker, payload, outside=kind == "lost")
        if worker.settled:
            return
        if ended == NO_MAIN_GUARD:
            raise StartsItself()
        if ended is not None:
            self.fail(worker, last_words(ended), outside=ended == -signal.SIGKILL)
        elif self.hangs(worker):
            where = self.where(worker)
            worker.process.kill()
            self.fail(worker, f"made no progress for {self.timeout:g} s (--worker-timeout){where}")

    def fail(self, worker: Worker, cause: str, outside: bool = False) -> None:
        """Report a failure, and start another worker if the parent wants that."""
        worker.settled = True
        if self.parent.replaces_worker(f"{worker.process.name} {cause}", outside):
            worker.end()
            self.signs.waiting[worker.rank] = 0
            self.crew[worker.rank] = self.new_worker(worker.rank)
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
        """The line at which a worker hangs, if it can still tell."""
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
    return f"was killed by {name_of(-exitcode)}" if exitcode < 0 else f"ended early: exit code {exitcode}"
