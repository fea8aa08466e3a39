"""What the parent owes the workers."""

import numpy as np

from rl.shared.clock import Clock
from rl.shared.published import Pages, published
from rl.shared.solved import Crossings

DUES = {
    "evaluation_due": ((1,), np.int64),
    "checkpoint_due": ((1,), np.int64),
    "checkpointed": ((1,), np.int64),  # env steps of the last checkpoint
    "checkpoints": ((1,), np.int64),
}


class Dues:
    """A verdict on a crossing, an evaluation of a row, a checkpoint. `rl.running.duties` has the protocol.

    Where workers wait for the parent, the clock pauses from the first due thing to the last.
    """

    def __init__(self, pages: Pages, clock: Clock, crossings: Crossings, workers_wait: bool) -> None:
        """Take the ledger's pages, which hold DUES."""
        self.pages, self.clock, self.crossings, self.workers_wait = pages, clock, crossings, workers_wait

    def count(self) -> int:
        """How many things are due."""
        return self.crossings.pending + int(self.pages.now.evaluation_due[0]) + int(self.pages.now.checkpoint_due[0])

    @property
    def checkpoint(self) -> bool:
        """Whether the run should be saved, with the state of its workers."""
        return bool(self.pages.now.checkpoint_due[0])

    @property
    def saved_at(self) -> int:
        """Env steps of the last checkpoint."""
        return int(self.pages.now.checkpointed[0])

    @property
    def checkpoint_number(self) -> int:
        """How many checkpoints were saved."""
        return int(self.pages.now.checkpoints[0])

    @published
    def ask_for_verdict(self, env_steps: int, seconds: float) -> bool:
        """Ask for a verdict if the mean return has just reached the threshold; whether it has."""
        crosses = self.crossings.begin(env_steps, seconds)
        if crosses:
            self._pause()
        return crosses

    @published
    def ask_for_evaluation(self) -> None:
        """Ask for an evaluation of the row that was just closed."""
        self.pages.now.evaluation_due[0] = 1
        self._pause()

    @published
    def ask_for_checkpoint(self) -> None:
        """Ask for a checkpoint."""
        self.pages.now.checkpoint_due[0] = 1
        self._pause()

    def _pause(self) -> None:
        if self.workers_wait:
            self.clock.pause()

    @published
    def judged(self, confirmed: bool) -> None:
        """The verdict is there."""
        self._go_on()
        self.crossings.judge(confirmed)

    @published
    def evaluated(self) -> None:
        """The evaluation was played."""
        self._go_on()
        self.pages.now.evaluation_due[0] = 0

    @published
    def checkpointed(self, env_steps: int) -> None:
        """A checkpoint was saved."""
        self.pages.now.checkpointed[0] = env_steps
        self.pages.now.checkpoints[0] += 1
        self._go_on()
        self.pages.now.checkpoint_due[0] = 0

    def _go_on(self) -> None:
        """Start the clock again, if what is settled now is the last thing that is due."""
        if self.count() == 1:
            self.clock.go_on()
