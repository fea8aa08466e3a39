"""A SyncLearner whose workers share no memory."""

import multiprocessing
import os
import signal
import time
from functools import partial

import numpy as np
import torch
from torch import Tensor

from rl.acting.collector import Episode
from rl.config import Config
from rl.group.exchange import Group
from rl.loop import Overrides
from rl.parameters.learner import adam_step, clip
from rl.parameters.sync import SyncLearner
from rl.shared.learner_memory import LearnerMemory

SMALL = ("env_steps", "cpu_seconds", "episodes", "losses", "ended", "tallies")  # slots beside the gradients


class GroupLearner(SyncLearner):
    """A SyncLearner whose workers are on several machines.

    Each process has memory of its own: rank 0 shares its memory with the parent, the others with nobody. Rows of the
    slots go to rank 0, the ledger and the parameters come back.
    """

    def __init__(self, group: Group, config: Config, memory: LearnerMemory, rank: int = 0) -> None:
        """Take hold of the vectors of this process, as worker `rank` of a group."""
        super().__init__(config, memory, rank)
        self.group = group
        self.total: Tensor | None = None  # the gradient of this update, if all have added it up together
        self.all_wait = False  # for the parent, as rank 0 has seen it at the last push
        self.stop_requests = np.zeros(group.size, np.int64)  # [worker] whether it received a signal
        self.small = [self.stop_requests, *(getattr(memory.slots, name) for name in SMALL)]
        self.rows = torch.zeros(group.size, sum(slot[0].nbytes for slot in self.small), dtype=torch.uint8)

    def note_signal(self, _number: int) -> None:
        """Note a signal. Rank 0's parent will hear of it, so that all end together."""
        self.stop_requests[self.rank] = 1

    def share_ledger(self) -> None:
        """Send rank 0's ledger to all, as it is at one moment: its parent may settle something during the exchange."""
        if self.rank:
            self.group.broadcast(torch.from_numpy(self.ledger.pages.now.content))
            self.all_wait = self.ledger.workers_wait
            return
        with self.holding_lock():
            content = torch.from_numpy(self.ledger.pages.now.content.copy())
            self.all_wait = self.ledger.workers_wait
        self.group.broadcast(content)

    def publish(self) -> None:
        """Send rank 0's ledger and vectors to all."""
        self.share_ledger()
        for vector in self.vectors.values():
            self.group.broadcast(vector)

    def wait_for_parent(self) -> None:
        """Wait while rank 0's parent judges, evaluates or saves; each second rank 0 tells the others to wait on."""
        if not self.all_wait:
            return
        waits = torch.ones(1, dtype=torch.int64)
        while waits:
            if self.rank == 0:
                told_at = time.monotonic()
                with self.memory.signs.waits(0):
                    while self.ledger.workers_wait and time.monotonic() < told_at + 1.0:
                        time.sleep(0.001)
                waits[0] = int(self.ledger.workers_wait)
            self.group.broadcast(waits)
        self.publish()  # vectors too: where each worker takes the optimiser's step, processors may round differently

    def gather(self, worker_state: bytes) -> dict[int, bytes]:
        """The states of all workers in rank 0, nothing elsewhere."""
        return dict(enumerate(self.group.gather_bytes(worker_state)))

    def sum_over_workers(self, values: Tensor) -> Tensor:
        """The sum of three numbers over all workers, added in rank order."""
        self.check(values)
        sums = torch.zeros(self.group.size, len(values), dtype=torch.float64)
        sums[self.rank] = values
        self.group.gather([sums[self.rank]], [[row] for row in sums])
        total = torch.from_numpy(sums.numpy().sum(axis=0))  # as on one machine, bit for bit
        self.group.broadcast(total)
        return total

    def push(
        self,
        gradient: Tensor | None,
        env_steps: int,
        losses: dict[str, float],
        episodes: list[Episode],
        tally: np.ndarray | None = None,
    ) -> None:
        """Apply the gradient over all workers' steps, as SyncLearner does."""
        learns, ordered = gradient is not None, self.config.reduce == "ordered"
        self.fill(gradient, env_steps, losses, episodes, tally)
        self.gather_rows(learns and ordered)
        self.total = self.add_up(gradient, env_steps) if learns and not ordered else None
        if self.rank == 0:
            self.update(learns, losses)
        elif self.total is not None:
            self.take_same_step(self.total)
        self.share_ledger()
        if (learns and ordered) or "sums" in self.vectors:  # the scales lie behind the parameters
            self.group.broadcast(self.parameters)

    def take_same_step(self, gradient: Tensor) -> None:
        """Take the optimiser's step that rank 0 takes, before its ledger comes."""
        clip(gradient, self.config.max_gradient_norm)
        learning_rate = self.config.learning_rate_at(self.ledger.env_steps)
        with self.memory.publication.change():
            old, new = self.vectors, self.pages[self.memory.vectors.turn()]
            adam_step(old, new, gradient, learning_rate, self.config)

    def gather_rows(self, gradients: bool) -> None:
        """Receive the workers' rows of the slots in rank 0, with their gradients or without."""
        vectors = torch.from_numpy(self.memory.slots.gradients)
        if self.rank:
            content = np.concatenate([as_bytes(slot, self.rank) for slot in self.small])
            self.rows[self.rank] = torch.from_numpy(content)
        rows = [[row, vector] if gradients else [row] for row, vector in zip(self.rows, vectors, strict=True)]
        self.group.gather(rows[self.rank], rows)
        if self.rank:
            return
        ends = np.cumsum([slot[0].nbytes for slot in self.small])[:-1]
        for rank in range(1, self.group.size):
            for slot, content in zip(self.small, np.split(self.rows[rank].numpy(), ends), strict=True):
                as_bytes(slot, rank)[:] = content
        if self.stop_requests.any():
            os.kill(multiprocessing.parent_process().pid, signal.SIGTERM)

    def add_up(self, gradient: Tensor, env_steps: int) -> Tensor:
        """The gradient over all workers, which all of them sum together, in gloo's order."""
        mean = self.config.loss_reduction == "mean"
        weight = env_steps or 1 if mean else 1  # without new env steps all weigh the same
        vector = torch.cat([gradient * weight, gradient.new_tensor([weight])])
        self.group.add_up(vector)
        return vector[:-1] / vector[-1] if mean else vector[:-1].clone()

    def combined(self, weights: np.ndarray) -> Tensor:
        """The gradient over all workers."""
        return super().combined(weights) if self.total is None else self.total


def as_bytes(slot: np.ndarray, rank: int) -> np.ndarray:
    """A worker's row of a slot as uint8, in place."""
    return slot[rank : rank + 1].reshape(-1).view(np.uint8)


def grouped(overrides: Overrides, group: Group) -> Overrides:
    """The overrides of a worker of a group: its learner is a GroupLearner.

    Raises:
        ValueError: an experiment has a learner of its own.
    """
    if overrides.make_learner:
        raise ValueError(f"{overrides.make_learner}: a learner of one machine's own, a group has another")
    return overrides._replace(make_learner=partial(GroupLearner, group))
