"""Experience: what a worker learns from, online the segment just acted; rl/learning/replay keeps a buffer of them."""

from collections.abc import Callable
from typing import Any, Protocol

import gymnasium
from torch import Tensor

from rl.acting.segment import Segment
from rl.agent.flat import FlatAgent
from rl.agent.unrolled import Unrolled
from rl.config import Config
from rl.learning.returns import clipped, targets

Targets = Callable[[Segment, Tensor, Config], Tensor]  # as `rl.learning.returns.targets`


class LearnerView(Protocol):
    """What an experience may ask of the Learner."""

    rank: int  # this worker's
    pulled_version: int  # version of the parameters that were pulled last

    def sum_over_workers(self, values: Tensor) -> Tensor:
        """The sum of three numbers over the workers that update together."""

    def all_ready(self, ready: bool) -> bool:
        """Whether all of them are ready for an update."""


class Experience(Protocol):
    """Turns segments into gradients."""

    flat: FlatAgent  # the worker's agent, which gradients are left in

    def add(self, segment: Segment) -> int:
        """Take a segment acted with the parameters of the last pull; returns how many updates are due."""

    def differentiate(self) -> dict[str, float]:
        """Leave one gradient in the agent, at the parameters of the last pull; returns what is logged of its loss."""

    def still_due(self, left: int) -> int:
        """How many of the updates that are left of the segment are still wanted, asked after each update."""

    def state(self) -> dict[str, Any]:
        """What the next updates depend on, beside parameters and segments, as tensors and plain Python."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from `state()`."""


class OnlineExperience:
    """Every segment makes one gradient and is gone; a subclass says which gradient."""

    def __init__(
        self,
        config: Config,
        flat: FlatAgent,
        unrolled: Unrolled,
        learner: LearnerView,
        space: gymnasium.spaces.Box,
        training_key: int,
        targets: Targets = targets,
    ) -> None:
        """Learn from what acting kept.

        Args:
            config: coefficients and options of the loss.
            flat: the worker's agent.
            unrolled: the agent over the segment just acted.
            learner: knows the workers that update together.
            space: observation space, which a buffer needs.
            training_key: key of random numbers, which a buffer needs.
            targets: rl's own targets, or an experiment's.
        """
        self.config, self.flat, self.unrolled, self.learner, self.targets = config, flat, unrolled, learner, targets

    def returns(self, segment: Segment, values: Tensor) -> Tensor:
        """The targets [time, batch] of a segment, whose rewards are clipped and in the agent's scale of them."""
        scales, rewards = self.flat.agent.scales, clipped(segment.rewards, self.config)
        if scales:
            rewards = scales.rewards(rewards)
        return self.targets(segment._replace(rewards=rewards), values, self.config)

    def add(self, segment: Segment) -> int:
        """One update is due."""
        self.segment = segment
        return 1

    def still_due(self, left: int) -> int:
        """All that are left."""
        return left

    def state(self) -> dict[str, Any]:
        """There is nothing to keep between segments."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """There is nothing to take."""
