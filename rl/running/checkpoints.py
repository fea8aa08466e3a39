"""When and with what a run is saved."""

from typing import Any

import torch

from rl.record.checkpoint import save_checkpoint
from rl.record.own_modules import own_folders
from rl.record.worker_state import WorkerStates
from rl.running.folder import RunFolder
from rl.running.outcome import Outcome
from rl.running.resume import replaced
from rl.running.setup import Setup


class Checkpoints:
    """Saves what a resumed run needs: learner, ledger, attempts, and the state of each worker."""

    def __init__(self, setup: Setup, folder: RunFolder, outcome: Outcome, worker_states: WorkerStates) -> None:
        """Nothing is saved yet; workers begin from `worker_states`."""
        self.setup, self.folder, self.outcome = setup, folder, outcome
        self.first_states, self.first_moment = worker_states, (setup.ledger.env_steps, setup.ledger.updates)
        self.received_states: dict[int, bytes] = {}  # for the next checkpoint, by rank

    def receive(self, states: dict[int, bytes]) -> None:
        """Take the states of workers, by rank."""
        self.received_states.update(states)

    @property
    def due(self) -> bool:
        """Whether a checkpoint is due and all workers have sent their states for it."""
        return self.setup.ledger.dues.checkpoint and len(self.received_states) == self.setup.config.workers

    def save(self, attempts: list[dict[str, Any]], rows_written: int) -> None:
        """Save the run, with the verdicts so far; the record holds so many of the ledger's rows.

        Where a killed worker cannot send its state any more, the last checkpoint stays, from which the run repeats bit
        by bit what is lost. A worker that failed by itself would fail there again: its environments begin their next
        episodes.
        """
        setup, ledger, path = self.setup, self.setup.ledger, self.folder.checkpoint
        all_received = len(self.received_states) == setup.config.workers
        if setup.repeats and self.outcome.cut_off and not all_received and path.exists():
            words = f"the checkpoint of {ledger.dues.saved_at} env steps stays: --resume repeats from there, bit by bit"
            self.outcome.notify(words)
            return
        with setup.locked() as held:
            if not held:
                return
            state = self.state(attempts, rows_written)
        state["workers"] = [
            None if one is None else torch.frombuffer(bytearray(one), dtype=torch.uint8) for one in self.worker_states()
        ]
        save_checkpoint(path, setup.config, state)
        with setup.locked() as held:
            if held:
                if not ledger.finished:  # else these are their states at the end, too
                    self.received_states.clear()
                ledger.dues.checkpointed(ledger.env_steps)

    def state(self, attempts: list[dict[str, Any]], rows_written: int) -> dict[str, Any]:
        """What a checkpoint has beside the states of the workers; the caller holds the lock."""
        setup, ledger = self.setup, self.setup.ledger
        pending = ledger.crossings.pending
        return {
            "learner": setup.learner.state(),
            "ledger": ledger.state(rows_written),
            "candidate": torch.from_numpy(setup.memory.candidate.parameters.copy()) if pending else None,
            "attempts": attempts,
            "env_steps": ledger.env_steps,
            "restarts": self.outcome.restarts,
            "parts": replaced(setup.overrides),
            "spaces": setup.spaces,
            "folders": own_folders(setup.config, self.folder.path),
            "workers": [None] * setup.config.workers,
        }

    def worker_states(self) -> WorkerStates:
        """The received states; of a worker that has not moved, the state from which it began."""
        moved = (self.setup.ledger.env_steps, self.setup.ledger.updates) != self.first_moment
        first = [None] * self.setup.config.workers if moved else self.first_states
        return [self.received_states.get(rank, one) for rank, one in enumerate(first)]
