"""Experience: what a worker learns from. Online it is the segment just acted; rl/replay keeps a buffer of them."""

from typing import Any, Protocol

from rl.config import Config
from rl.fast_path import differentiate
from rl.learner import FlatAgent, Learner
from rl.loss import Targets, targets
from rl.segment import Segment


class Experience(Protocol):
    """Turns segments into gradients."""

    flat: FlatAgent  # the worker's agent, which gradients are left in

    def add(self, segment: Segment) -> int:
        """Take a segment acted with the parameters of the last pull; how many updates are due."""

    def differentiate(self) -> dict[str, float]:
        """Leave one gradient in the agent, at the parameters of the last pull; what is logged of its loss."""

    def state(self) -> dict[str, Any]:
        """What makes the next updates, beside parameters and segments, as tensors and plain Python."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""


class OnlineExperience:
    """Every segment makes one gradient and is gone."""

    def __init__(self, config: Config, flat: FlatAgent, learner: Learner, targets: Targets = targets) -> None:
        """Learn with an agent for a learner, by rl's own targets or an experiment's."""
        self.config, self.flat, self.learner, self.targets = config, flat, learner, targets

    def add(self, segment: Segment) -> int:
        """One update."""
        self.segment = segment
        return 1

    def differentiate(self) -> dict[str, float]:
        """Of the segment's loss."""
        return differentiate(self.flat.agent, self.segment, self.config, self.learner.sum_over_workers, self.targets)

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Nothing to do."""
