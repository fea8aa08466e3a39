"""The Learner: owner of the parameters and of the optimiser's statistics, in shared memory.

Workers get parameters by `pull` and give gradients by `push`, and by nothing else. Parameters, gradients and both of
Adam's moments are flat vectors, so a pull is one copy and a push one optimiser step.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from rl.acting.collector import Episode
from rl.agent.flat import FlatAgent
from rl.agent.scales import scales_of
from rl.config import Config
from rl.shared.learner_memory import LearnerMemory
from rl.shared.not_finite import not_finite, require_finite_returns


class Learner:
    """Shared parameters under one lock: each worker's gradient is applied as it comes (A3C, Mnih et al. 2016, §4).

    The optimiser's statistics are shared too, as A3C's best variant does (ibid., §4 "Optimization": shared RMSProp),
    and so is Adam's step count, without which its bias correction is wrong.
    """

    def __init__(self, config: Config, memory: LearnerMemory, rank: int = 0) -> None:
        """Take hold of the shared vectors, as worker `rank`."""
        self.config, self.memory, self.ledger, self.rank = config, memory, memory.ledger, rank
        self.pages = [
            {name: torch.from_numpy(getattr(page, name)) for name in page.names} for page in memory.vectors.both
        ]
        self.pulled_version = 0
        self.busy_since = time.thread_time()

    @property
    def vectors(self) -> dict[str, Tensor]:
        """Parameters, Adam's moments and its step count, and running sums where there are any: the page valid now."""
        return self.pages[self.memory.vectors.number]

    @property
    def parameters(self) -> Tensor:
        """The flat vector of parameters that is valid now."""
        return self.vectors["parameters"]

    def pull(self, flat: FlatAgent) -> None:
        """Copy the newest parameters into the agent."""
        self.busy_since = time.thread_time()
        self.memory.signs.progress[self.rank] += 1
        with self.holding_lock():
            flat.load(self.parameters)
            self.pulled_version = self.ledger.updates

    @contextlib.contextmanager
    def holding_lock(self) -> Iterator[None]:
        """Hold the lock; while this worker waits for it, it shows that."""
        waiting, rank = self.memory.signs.waiting, self.rank
        waiting[rank] = 1
        with self.memory.lock:
            waiting[rank] = 0
            yield

    def cpu_seconds(self) -> float:
        """CPU seconds of this worker since the last pull."""
        return time.thread_time() - self.busy_since

    def push(
        self,
        gradient: Tensor | None,
        env_steps: int,
        losses: dict[str, float],
        episodes: list[Episode],
        tally: np.ndarray | None = None,
    ) -> None:
        """Apply one worker's gradient and enter what came with it.

        Args:
            gradient: [parameter], computed with the parameters of the last pull; None where the steps only went into a
                replay buffer.
            env_steps: new transitions.
            losses: logged numbers of the loss.
            episodes: episodes that ended in the segment.
            tally: what the worker adds to the running sums, by which observations and rewards are scaled.

        Raises:
            FloatingPointError: the gradient or a return is not finite; nothing was applied.
        """
        require_finite_returns(episodes)
        norm = 0.0 if gradient is None else clip(gradient, self.config.max_gradient_norm)
        with self.holding_lock():
            self._apply(gradient, norm, env_steps, losses, episodes, self.cpu_seconds(), tally)

    def _apply(
        self,
        gradient: Tensor | None,
        norm: float,
        env_steps: int,
        losses: dict[str, float],
        episodes: Sequence[Episode] | np.ndarray,
        cpu_seconds: float,
        tally: np.ndarray | None = None,
    ) -> None:
        """One step of Adam, if there is a gradient, new scales, and one entry in the ledger: published together."""
        ledger = self.ledger
        with self.memory.publication.change():
            if gradient is not None:
                learning_rate = self.config.learning_rate_at(ledger.env_steps)
                old, new = self.vectors, self.pages[self.memory.vectors.turn()]
                adam_step(old, new, gradient, learning_rate, self.config)
                staleness = ledger.updates - self.pulled_version
                losses = {**losses, "grad_norm": norm, "staleness": staleness, "learning_rate": learning_rate}
            if tally is not None:
                with self.memory.vectors.change():
                    set_scales(self.vectors, tally)
            ledger.record(env_steps, losses, episodes, cpu_seconds)
            if ledger.crosses():
                self.memory.candidate.parameters[:] = self.parameters.numpy()

    def sum_over_workers(self, values: Tensor) -> Tensor:
        """The sum of `values` over the workers that update together: here each worker updates alone."""
        return values

    def all_ready(self, ready: bool) -> bool:
        """Whether all the workers that update together are ready for it."""
        return int(self.sum_over_workers(torch.tensor([not ready, 0, 0]).double())[0]) == 0

    def publish(self) -> None:
        """Give all workers the same vectors and ledger before the first segment: shared memory does."""

    def wait_for_parent(self) -> None:
        """Wait while the parent confirms, evaluates or saves, so that the run repeats; async workers never have to."""
        with self.memory.signs.waits(self.rank):
            while self.ledger.workers_wait:
                time.sleep(0.001)

    def gather(self, worker_state: bytes) -> dict[int, bytes]:
        """The worker states, by rank, that the parent gets through this worker: its own."""
        return {self.rank: worker_state}

    def state(self) -> dict[str, Tensor]:
        """Copies of all vectors."""
        return {name: vector.clone() for name, vector in self.vectors.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue from `state()`."""
        for name, vector in self.vectors.items():
            vector.copy_(state[name])


def adam_step(
    old: dict[str, Tensor], new: dict[str, Tensor], gradient: Tensor, learning_rate: float, config: Config
) -> None:
    """One step of Adam on flat vectors, from one page to another (Kingma & Ba 2015, algorithm 1).

    m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   θ ← θ − α / (1 − β₁ᵗ) · m / (√(v / (1 − β₂ᵗ)) + ε)

    It is written out because the vectors are shared memory, and because torch's optimiser imports torch's compiler,
    which takes a worker as long to start as torch itself.
    """
    torch.add(old["step"], 1, out=new["step"])
    t = int(new["step"])
    moment1 = torch.lerp(old["moment1"], gradient, 1.0 - config.adam_beta1, out=new["moment1"])
    moment2 = torch.mul(old["moment2"], config.adam_beta2, out=new["moment2"])
    moment2.addcmul_(gradient, gradient, value=1.0 - config.adam_beta2)
    correction = (1.0 - config.adam_beta2**t) ** 0.5  # of √v, put into the two numbers instead: one pass less
    divisor = moment2.sqrt().add_(config.adam_epsilon * correction)
    step_size = learning_rate * correction / (1.0 - config.adam_beta1**t)
    torch.addcdiv(old["parameters"], moment1, divisor, value=-step_size, out=new["parameters"])
    if "sums" in old:
        new["sums"].copy_(old["sums"])


def set_scales(vectors: dict[str, Tensor], tally: np.ndarray) -> None:
    """Add to the running sums, and write the scales that they make behind the learnt parameters."""
    vectors["sums"] += torch.from_numpy(tally)
    scales = scales_of(vectors["sums"])
    vectors["parameters"][-len(scales) :] = scales


def clip(gradient: Tensor, max_norm: float) -> float:
    """Shorten a flat gradient in place to at most `max_norm`; return its length before (Pascanu et al. 2013, §3.2).

    Raises:
        FloatingPointError: the gradient is not finite.
    """
    norm = float(gradient.norm())
    if not np.isfinite(norm):
        raise not_finite(f"the gradient's norm is {norm}: the update was not applied")
    if norm > max_norm:
        gradient.mul_(max_norm / norm)
    return norm
