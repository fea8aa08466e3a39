"""What ends a run: a signal, a fault, or a limit that it has reached."""

import contextlib
from collections.abc import Iterator

from rl.config import Config
from rl.record.messages import Notify, to_stderr, told
from rl.running.preflight import StartsItself
from rl.running.signals import name_of
from rl.shared.ledger import Ledger


class Outcome:
    """The first signal, the first fault, and the workers that were replaced."""

    def __init__(self, config: Config, ledger: Ledger, restarts: int = 0) -> None:
        """Nothing has happened yet.

        Args:
            config: what a limit and a solved run depend on.
            ledger: where workers are asked to stop.
            restarts: workers that were replaced before the run was resumed.
        """
        self.config, self.ledger, self.restarts, self.restarts_left = config, ledger, restarts, config.restart_workers
        self.notify: Notify = to_stderr
        self.signal: int | None = None
        self.fault: str | None = None
        self.cut_off = False  # a fault came from outside: a worker was killed, or others of its group are gone
        self.starts_itself = False  # the script of the parent has no main guard

    @property
    def stopping(self) -> bool:
        """Whether a signal or a fault asks the run to end."""
        return self.signal is not None or self.fault is not None

    def note_signal(self, number: int) -> None:
        """Remember the first signal."""
        self.signal = self.signal or number

    def fail(self, cause: str) -> None:
        """Note the first fault, say it, and ask the workers to end."""
        if self.fault is None:
            self.fault = cause
            self.notify(cause)
            self.ledger.request_stop()

    @contextlib.contextmanager
    def noting_faults(self) -> Iterator[None]:
        """Turn an exception of the parent's own work into a fault of the run, which comes to an orderly end."""
        try:
            yield
        except (Exception, SystemExit) as error:
            self.starts_itself = isinstance(error, StartsItself)
            self.fail(f"the run failed:{told(error)}")

    def replaces_worker(self, cause: str, outside: bool) -> bool:
        """Whether another worker takes the place of one that failed; if not, its failure is a fault of the run.

        Args:
            cause: what happened to the worker, in words.
            outside: whether nothing that the worker did was the cause.
        """
        if self.restarts_left and not self.stopping and not self.ledger.finished:
            self.restarts_left -= 1
            self.restarts += 1
            self.notify(f"{cause}\nanother one takes its place, {self.restarts_left} more may follow")
            return True
        self.cut_off = self.cut_off or (outside and self.fault is None)
        self.fail(cause)
        return False

    @property
    def solved(self) -> bool:
        """Whether the run ends because it is solved."""
        return self.ledger.crossings.confirmed and self.config.stop_when_solved

    def reason(self) -> tuple[str, int]:
        """Why the run has ended, and its exit code: 0, 1 after a fault, 128 + signal after a signal."""
        if self.fault:
            first, *others = self.fault.strip().splitlines()
            return " ".join([first, *others[-1:]]), 1  # who failed, and the last line of its traceback
        if self.signal is not None:
            return name_of(self.signal), 128 + self.signal
        if self.solved:
            return "solved", 0
        if self.ledger.env_steps >= self.config.total_env_steps:
            return "total_env_steps", 0
        in_seconds = 0 < self.config.max_seconds <= self.ledger.clock.trained_seconds
        return "max_seconds" if in_seconds else "max_cpu_seconds", 0
