"""A SyncLearner whose workers share no memory."""

import multiprocessing
import os
import signal
import time
from functools import partial
from typing import Any

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
from rl.shared.ledger import Ledger

SMALL = ("env_steps", "cpu_seconds", "episodes", "losses", "ended")  # slots beside the gradients


class GroupLearner(SyncLearner):
    """A SyncLearner whose workers share no memory."""

    def __init__(self, group: Group, config: Config, memory: LearnerMemory, ledger: Ledger, rank: int = 0) -> None:
        """As a SyncLearner, of a group; memory and, but for rank 0's, ledger are this process's own."""
        super().__init__(config, memory, ledger, rank)
        self.group, self.total, self.stands = group, None, False
        self.asked = np.zeros(group.size, np.int64)  # [worker] whether it was asked to stop
        self.small = [self.asked, *(getattr(memory.slots, name) for name in SMALL)]
        self.rows = torch.zeros(group.size, sum(slot[0].nbytes for slot in self.small), dtype=torch.uint8)

    def ask(self, _number: int, _frame: Any) -> None:
        """Note a signal, of which rank 0's parent will hear: all end together."""
        self.asked[self.rank] = 1

    def share_ledger(self) -> None:
        """Rank 0's to all, as it is at one moment: its parent may settle something meanwhile."""
        if self.rank:
            self.group.broadcast(torch.from_numpy(self.ledger.shared.content))
            self.stands = self.ledger.waiting
            return
        with self.holding_lock():
            content, self.stands = torch.from_numpy(self.ledger.shared.content.copy()), self.ledger.waiting
        self.group.broadcast(content)

    def publish(self) -> None:
        """Rank 0's ledger and vectors to all."""
        self.share_ledger()
        for vector in self.vectors.values():  # of the page that the ledger now says
            self.group.broadcast(vector)

    def wait_for_parent(self) -> None:
        """As a SyncLearner's: rank 0 waits for its parent, and shows the others each second that it does."""
        if not self.stands:  # as all saw it
            return
        waits = torch.ones(1, dtype=torch.int64)
        while waits:
            if self.rank == 0:
                shown = time.monotonic()
                with self.memory.signs.waits(0):
                    while self.ledger.waiting and time.monotonic() < shown + 1.0:
                        time.sleep(0.001)
                waits[0] = int(self.ledger.waiting)
            self.group.broadcast(waits)
        self.publish()  # vectors too: where each takes the optimiser's step, another processor may round otherwise

    def gather(self, standing: bytes) -> dict[int, bytes]:
        """In rank 0 where all workers stand, elsewhere nothing."""
        return dict(enumerate(self.group.gather_bytes(standing)))

    def sum_over_workers(self, values: Tensor) -> Tensor:
        """The sum of three numbers over all workers, added in rank order."""
        self.check(values)
        sums = torch.zeros(self.group.size, len(values), dtype=torch.float64)
        sums[self.rank] = values
        self.group.gather([sums[self.rank]], [[row] for row in sums])
        total = torch.from_numpy(sums.numpy().sum(axis=0))  # as on one machine, bit for bit
        self.group.broadcast(total)
        return total

    def push(self, gradient: Tensor | None, env_steps: int, losses: dict[str, float], episodes: list[Episode]) -> None:
        """As SyncLearner's."""
        learns, ordered = gradient is not None, self.config.reduce == "ordered"
        self.fill(gradient, env_steps, losses, episodes)
        self.gather_rows(learns and ordered)
        self.total = self.add_up(gradient, env_steps) if learns and not ordered else None
        if self.rank == 0:
            self.update(learns, losses)
        elif self.total is not None:  # everyone takes the same step
            clip(self.total, self.config.max_gradient_norm)
            other = 1 - int(self.ledger.shared.vectors[0])
            learning_rate = self.config.learning_rate_at(self.ledger.env_steps)
            adam_step(self.vectors, self.pages[other], self.total, learning_rate, self.config)
        self.share_ledger()
        if learns and ordered:
            self.group.broadcast(self.parameters)

    def gather_rows(self, gradients: bool) -> None:
        """The workers' rows of the slots into those of rank 0, their gradients too or not."""
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
        if self.asked.any():
            os.kill(multiprocessing.parent_process().pid, signal.SIGTERM)

    def add_up(self, gradient: Tensor, env_steps: int) -> Tensor:
        """The gradient over all workers, summed by all of them together, in an order of gloo's own."""
        mean = self.config.loss_reduction == "mean"
        weight = env_steps or 1 if mean else 1  # where nothing is new, everyone's weighs the same
        vector = torch.cat([gradient * weight, gradient.new_tensor([weight])])
        self.group.add_up(vector)
        return vector[:-1] / vector[-1] if mean else vector[:-1].clone()

    def combined(self, weights: np.ndarray) -> Tensor:
        """The gradient over all workers."""
        return super().combined(weights) if self.total is None else self.total


def as_bytes(slot: np.ndarray, rank: int) -> np.ndarray:
    """A worker's row, uint8, in place."""
    return slot[rank : rank + 1].reshape(-1).view(np.uint8)


def grouped(parts: Overrides, group: Group) -> Overrides:
    """The parts of a worker of a group.

    Raises:
        ValueError: an experiment has a learner of its own.
    """
    if parts.make_learner:
        raise ValueError(f"{parts.make_learner}: a learner of one machine's own, a group has another")
    return parts._replace(make_learner=partial(GroupLearner, group))
