"""Experience: what a worker learns from. Online it is the segment just acted; rl/replay keeps a buffer of them."""

from typing import Protocol

from rl.config import Config
from rl.fast_path import differentiate
from rl.learner import FlatAgent, Learner
from rl.loss import targets
from rl.segment import Segment
from rl.worker import OWN, Parts


class Experience(Protocol):
    """Turns segments into gradients."""

    def add(self, segment: Segment) -> int:
        """Take a segment acted with the parameters of the last pull; how many updates are due."""

    def differentiate(self) -> dict[str, float]:
        """Leave one gradient in the agent, at the parameters of the last pull; what is logged of its loss."""


class OnlineExperience:
    """Every segment makes one gradient and is gone."""

    def __init__(self, config: Config, flat: FlatAgent, learner: Learner, parts: Parts = OWN) -> None:
        """Learn with an agent for a learner, by the targets of `parts` if it has any."""
        self.config, self.flat, self.learner = config, flat, learner
        self.targets = parts.targets or targets

    def add(self, segment: Segment) -> int:
        """One update."""
        self.segment = segment
        return 1

    def differentiate(self) -> dict[str, float]:
        """Of the segment's loss."""
        return differentiate(self.flat.agent, self.segment, self.config, self.learner.sum_over_workers, self.targets)
