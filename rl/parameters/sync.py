"""A Learner whose workers update together."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl.acting.collector import Episode
from rl.config import Config
from rl.parameters.learner import Learner, clip
from rl.shared.learner_memory import LearnerMemory
from rl.shared.not_finite import not_finite, require_finite_returns
from rl.shared.processes import available_cpus

LOOKS = 2_000  # at a gate: some 2 ms, where measured waits were 0.3 to 0.7 ms on average


class SyncLearner(Learner):
    """Workers update together, by one step with the gradient over all of them; every repetition takes the same steps.

    Rank 0 adds up in rank order, so the sum is always the same. Gradients of mean losses are weighted by their steps,
    gradients of summed losses are added up. Clipping comes afterwards. So W workers of B environments equal one worker
    of W·B to rounding.
    """

    def __init__(self, config: Config, memory: LearnerMemory, rank: int = 0) -> None:
        super().__init__(config, memory, rank)
        self.looks = LOOKS if config.workers <= available_cpus() else 0  # else another worker needs the CPU

    def together(self, action: Callable[[], None]) -> None:
        """Wait for all workers, run `action` in rank 0 alone, then release the workers."""
        memory = self.memory
        if self.rank != 0:
            memory.arrive.release()
            with memory.signs.waits(self.rank):
                pass_gate(memory.depart[self.rank], self.looks)
            return
        with memory.signs.waits(0):
            for _ in memory.depart[1:]:
                pass_gate(memory.arrive, self.looks)
        action()
        for gate in memory.depart[1:]:
            gate.release()

    def sum_over_workers(self, values: Tensor) -> Tensor:
        """The sum of three numbers over all workers, added in rank order.

        Raises:
            FloatingPointError: this worker's numbers are not finite.
        """
        self.check(values)
        sums = self.memory.slots.sums
        sums[self.rank] = values.numpy()

        def add() -> None:
            sums[:] = sums.sum(axis=0)

        self.together(add)
        return torch.from_numpy(sums[self.rank].copy())

    def check(self, values: Tensor) -> None:
        """Raise an error in the worker whose values are not finite: their sum would fail in every worker."""
        if not values.isfinite().all():
            raise not_finite(
                "the advantages are not finite: look for nan or inf in observations and rewards, "
                "or lower --learning-rate"
            )

    def push(
        self,
        gradient: Tensor | None,
        env_steps: int,
        losses: dict[str, float],
        episodes: list[Episode],
        tally: np.ndarray | None = None,
    ) -> None:
        """Apply the gradient over all workers' steps: g = Σᵢ nᵢ gᵢ / Σᵢ nᵢ, or Σᵢ gᵢ of summed losses; then clip it.

        Every worker's gradient weighs the same where no step is new: in updates from replay buffers after the first.
        """
        self.fill(gradient, env_steps, losses, episodes, tally)
        self.together(lambda: self.update(gradient is not None, losses))

    def fill(
        self,
        gradient: Tensor | None,
        env_steps: int,
        losses: dict[str, float],
        episodes: list[Episode],
        tally: np.ndarray | None,
    ) -> None:
        """Write this worker's rows of the slots.

        Raises:
            FloatingPointError: a return is not finite.
        """
        require_finite_returns(episodes)
        slots, rank = self.memory.slots, self.rank
        slots.env_steps[rank] = env_steps
        slots.cpu_seconds[rank] = self.cpu_seconds()
        slots.losses[rank] = list(losses.values()) or 0.0
        slots.episodes[rank] = len(episodes)
        slots.tallies[rank] = 0.0 if tally is None else tally
        if gradient is not None:
            slots.gradients[rank] = gradient.numpy()
        if episodes:
            slots.ended[rank, : len(episodes)] = episodes

    def update(self, learns: bool, names: Iterable[str]) -> None:
        """In rank 0: one step with what all have written, if there are gradients, and one entry in the ledger."""
        slots = self.memory.slots
        total = int(slots.env_steps.sum())
        weights = slots.env_steps / total if total else np.full(len(slots.env_steps), 1 / len(slots.env_steps))
        combined, norm, means = None, 0.0, {}
        if learns:
            combined = self.combined(weights)
            norm = clip(combined, self.config.max_gradient_norm)
            means = dict(zip(names, weighted_means(weights, slots.losses).tolist(), strict=True))
        ended = np.concatenate([rows[:count] for rows, count in zip(slots.ended, slots.episodes, strict=True)])
        with self.holding_lock():  # the parent reads and writes under it
            tally = slots.tallies.sum(axis=0) if slots.tallies.any() else None
            self._apply(combined, norm, total, means, ended, float(slots.cpu_seconds.sum()), tally)

    def combined(self, weights: np.ndarray) -> Tensor:
        """The gradient over all workers, weighted where losses are means, else added up."""
        mean = self.config.loss_reduction == "mean"
        shares = torch.from_numpy(weights if mean else np.ones_like(weights))
        return sum_weighted(torch.from_numpy(self.memory.slots.gradients), shares)


def pass_gate(gate: Any, looks: int) -> None:
    """Acquire a permit; look so many times before sleeping, since a CPU that has gone to sleep is slow to wake."""
    if not any(gate.acquire(False) for _ in range(looks)):
        gate.acquire()


def sum_weighted(vectors: Tensor, weights: Tensor) -> Tensor:
    """Σᵢ wᵢ vᵢ of vectors [worker, parameter] in order of rank; with one weight of 1 exactly the vector."""
    total = vectors[0] * weights[0]
    for vector, weight in zip(vectors[1:], weights[1:].tolist(), strict=True):
        total.add_(vector, alpha=weight)
    return total


def weighted_means(weights: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Σᵢ wᵢ xᵢ of each column of losses [worker, loss], over the workers in which it is defined; nan if in none."""
    undefined = np.isnan(losses)
    if not undefined.any():
        return weights @ losses
    shares = weights[:, None] * ~undefined
    totals, sums = shares.sum(axis=0), (shares * np.where(undefined, 0.0, losses)).sum(axis=0)
    return np.divide(sums, totals, out=np.full(len(totals), np.nan), where=totals > 0)


def make_learner(config: Config, memory: LearnerMemory, rank: int = 0) -> Learner:
    """The learner of the config's mode; serial is synchronous with one worker, without the processes."""
    return (Learner if config.mode == "async" else SyncLearner)(config, memory, rank)
