"""What is due while workers train: who asks for it, who answers, in what order, under which lock.

**A push asks.** It holds the learner's lock, and what it asks for is published together with its update. It asks for

- a verdict, when the mean return of the newest episodes has just reached the threshold (`Ledger.crosses`). The
  parameters of that moment are kept as the candidate;
- an evaluation, when it closes a row of the record into which one falls (`Ledger.close_row`);
- a checkpoint, when enough env steps have passed since the last one (`Ledger.record`).

**Workers wait.** After the push, a worker sends its state if a checkpoint is due, once for each checkpoint. Serial and
sync workers then wait until nothing is due any more (`Ledger.workers_wait`), and the clock of training pauses.
So the run repeats bit for bit, however long the answers take. Asynchronous workers do not wait.

**The parent answers**, about every 20 ms, or after every push in serial mode (`Duties.answer`), in this order:

1. the verdict: it plays fresh episodes with the candidate. Between two steps of them it also writes closed rows, since
   asynchronous workers close more;
2. closed rows: it plays the evaluation of a row first, if one falls into it, then writes the row;
3. the checkpoint, once the states of all workers are there.

It reads and writes shared memory under the learner's lock, and plays and writes files without. It waits for the lock
for a second at most, since a worker may hang that holds it; without the lock it does nothing, and tries again at its
next look. Each answer is one published change (`Dues`), and the last one releases the workers and the clock.

**A stop.** A signal, a fault, or a failed worker that nobody replaces, cuts short what is being played. What was cut
short stays due. It is saved so, and the resumed run answers it first. Workers that wait are sent on by the end of the
run (`Ledger.finish`); the others end after their next push (`Ledger.request_stop`).
"""

import time
from collections.abc import Callable

from rl.running.checkpoints import Checkpoints
from rl.running.outcome import Outcome
from rl.running.row_writer import RowWriter
from rl.running.setup import Setup
from rl.running.verdicts import Verdicts


def never() -> bool:
    """No worker has failed."""
    return False


class Duties:
    """The parent's answers."""

    def __init__(
        self, setup: Setup, outcome: Outcome, verdicts: Verdicts, rows: RowWriter, checkpoints: Checkpoints
    ) -> None:
        self.setup, self.outcome = setup, outcome
        self.verdicts, self.rows, self.checkpoints = verdicts, rows, checkpoints
        self.startup_seconds = 0.0

    def begin(self) -> None:
        """Training begins: all workers are ready."""
        self.startup_seconds = time.monotonic() - self.setup.began
        self.setup.ledger.start_clock()

    def answer(self, worker_failed: Callable[[], bool] = never) -> bool:
        """Do what is due; returns whether the run is to stop."""
        outcome, ledger = self.outcome, self.setup.ledger

        def stop() -> bool:
            return outcome.stopping or (worker_failed() and not outcome.restarts_left)

        def write_rows_or_stop() -> bool:
            self.rows.write(stop)
            return stop()

        with outcome.noting_faults():
            if ledger.crossings.pending and not outcome.stopping:
                self.verdicts.judge(write_rows_or_stop)
            if not outcome.stopping:
                self.rows.write(stop)
            if self.checkpoints.due and not outcome.stopping:
                self.save()
        if outcome.stopping:
            self.send_on()
        return outcome.stopping

    def send_on(self) -> None:
        """Ask the workers to end; those that wait would not come to another push."""
        self.setup.ledger.request_stop()
        if self.setup.ledger.workers_wait:
            with self.setup.locked() as held:
                if held:
                    self.setup.ledger.finish()

    def save(self) -> None:
        """Save a checkpoint."""
        self.checkpoints.save(self.verdicts.attempts, self.rows.written)
