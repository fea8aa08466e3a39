"""Processes of a run, seen from the parent: start the workers, watch them, see all of them gone."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from typing import Any

from rl.memory import SPAWN, WorkerSigns
from rl.worker import run_worker

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
POLL_SECONDS = 0.02
STOP_SECONDS = 3.0  # once the run is asked to stop, workers may take so long to end their segment
FAULT_SECONDS = 1.0  # after a fault, so long
START_SECONDS = 120.0  # a worker may take so long to import and to build its environments
STACK_SECONDS = 0.5  # a worker that hangs may take so long to tell where
Poll = Callable[[Callable[[], bool]], bool]


class Worker:
    """A worker process, as the parent knows it."""

    def __init__(self, rank: int, arguments: tuple[Any, ...]) -> None:
        """Start it; `arguments` are those of `run_worker` between the rank and the channel."""
        self.rank = rank
        self.channel, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(
            target=run_worker, args=(rank, *arguments, theirs), name=f"worker {rank}", daemon=True
        )
        with sigint_blocked(signal.SIGTERM):  # inherited: both may be sent to all processes, the parent answers
            self.process.start()
        theirs.close()
        self.ready = self.settled = False  # settled: it has said how it ended
        self.seen, self.seen_at = -1, time.monotonic()  # of its progress

    def receive(self) -> tuple[str, Any] | None:
        """Its next message, or None where there is none."""
        with contextlib.suppress(EOFError, OSError):
            if self.channel.poll():
                return self.channel.recv()
        return None

    def let_go_on(self) -> None:
        """Start its work."""
        with contextlib.suppress(OSError):  # it died meanwhile: found at the next look
            self.channel.send("start")

    def end(self) -> None:
        """See it gone."""
        self.process.kill()
        self.process.join()
        self.channel.close()


class Supervisor:
    """Runs workers to their end."""

    def __init__(
        self,
        workers: int,
        arguments: Callable[[int], tuple[Any, ...]],
        signs: WorkerSigns,
        on_ready: Callable[[], None],
        poll: Poll,
        on_states: Callable[[dict[int, bytes | None]], None],
        on_fault: Callable[[str], bool],
        timeout: float,
    ) -> None:
        """Nothing is started yet.

        Args:
            workers: how many.
            arguments: of `run_worker` of a rank, between the rank and the channel; asked at each start.
            signs: of life, which workers write.
            on_ready: called once, when all have built their environments and are about to start.
            poll: called about every 20 ms with a function that says whether a worker has failed meanwhile, so that it
                need not finish what takes long; True asks the run to stop (the caller has told the workers).
            on_states: is given where workers stand, by rank; None where that was lost with one.
            on_fault: is given the cause when a worker fails: its traceback, signal or exit code, or where it hangs;
                True starts another one in its place.
            timeout: seconds without progress after which a worker counts as hung.
        """
        self.arguments, self.signs, self.on_ready, self.poll = arguments, signs, on_ready, poll
        self.on_states, self.on_fault, self.timeout = on_states, on_fault, timeout
        self.ranks, self.crew, self.started, self.faults = range(workers), [], False, 0

    def run(self) -> None:
        """Return when no worker is left."""
        os.environ.update(ONE_THREAD)  # inherited: it must be there before a worker imports numpy or torch
        try:
            for rank in self.ranks:
                self.crew.append(Worker(rank, self.arguments(rank)))
            self.watch()
        finally:
            for worker in self.crew:
                worker.process.kill()
            for worker in self.crew:
                worker.end()
                if not worker.settled:
                    self.on_states({worker.rank: None})

    def watch(self) -> None:
        """Look after running workers until all have ended, or their time after a stop or a fault is over."""
        deadline = float("inf")
        while True:
            alive = [worker for worker in self.crew if worker.process.is_alive()]
            wait([one.process.sentinel for one in alive] + [one.channel for one in alive], timeout=POLL_SECONDS)
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
                if time.monotonic() > deadline or not all(worker.ready for worker in self.crew):
                    return  # whoever is left is killed
            if not alive:  # before the last look, so that nothing they said was missed
                return

    def failed(self) -> bool:
        """Whether a worker has failed."""
        return any(worker.process.exitcode for worker in self.crew)

    def look_after(self, worker: Worker) -> None:
        """Hear what a worker says, find out how it ended, or that it hangs."""
        ended = worker.process.exitcode  # read before the channel: what it said last is then already there
        while message := worker.receive():
            kind, payload = message
            if kind == "ready":
                worker.ready, worker.seen_at = True, time.monotonic()
                if self.started:
                    worker.let_go_on()
            elif kind == "failed":
                self.fail(worker, payload)
            else:
                worker.settled = kind == "done"
                self.on_states(payload)
        if worker.settled or worker not in self.crew:
            return
        if ended is not None:
            self.fail(worker, last_words(ended))
        elif self.hangs(worker):
            where = self.where(worker)
            worker.process.kill()
            self.fail(worker, f"made no progress for {self.timeout:g} s (--worker-timeout){where}")

    def fail(self, worker: Worker, cause: str) -> None:
        """Tell a fault, and start another worker if that is wanted."""
        worker.settled = True
        self.on_states({worker.rank: None})
        if self.on_fault(f"{worker.process.name} {cause}"):
            worker.end()
            self.signs.waiting[worker.rank] = 0
            self.crew[self.crew.index(worker)] = Worker(worker.rank, self.arguments(worker.rank))
        else:
            self.faults += 1

    def hangs(self, worker: Worker) -> bool:
        """Whether a worker has made no progress for too long; one that waits for others has none to make."""
        now, seen = time.monotonic(), int(self.signs.progress[worker.rank])
        idle = self.signs.waiting[worker.rank] or (worker.ready and not self.started)
        if idle or seen != worker.seen:
            worker.seen, worker.seen_at = seen, now
        return now - worker.seen_at > (self.timeout if worker.ready else max(self.timeout, START_SECONDS))

    def where(self, worker: Worker) -> str:
        """The line that a worker stands at, if it can still tell."""
        before = len(self.signs.stacks.read())
        with contextlib.suppress(OSError):
            os.kill(worker.process.pid, signal.SIGUSR1)
        deadline = time.monotonic() + STACK_SECONDS
        while time.monotonic() < deadline:
            lines = self.signs.stacks.read()[before:].splitlines()
            if len(lines) > 1:
                return f", at {lines[1].strip()}"
            time.sleep(0.01)
        return ", and cannot tell where"


def last_words(exitcode: int) -> str:
    """What an exit code says about how a worker ended."""
    return f"was killed by {signal.Signals(-exitcode).name}" if exitcode < 0 else f"ended early: exit code {exitcode}"


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
