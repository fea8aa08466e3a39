"""What it costs that the carried state is older than the parameters that learn from it, as a number."""

from typing import Any

import torch

from rl.agent.actions.distribution import Actions
from rl.agent.unrolled import Unrolled
from rl.learning.lesson import Lesson

EVERY = 16  # segments: two unrolls more than it learns from are a small part of so many


class StaleState:
    """KL of the policy from the one it would be, had the state carried into the segment been made by it.

    A segment begins with the state that the parameters of then made. At the last update of a segment that state is
    computed again with the parameters of now, through the segment before: exactly, where an episode began in it, else
    from a state that is one segment older. That is R2D2's question (Kapturowski et al. 2019, §3.1), asked of a policy.
    It is measured in every 16th segment.
    """

    def __init__(self) -> None:
        self.before: Lesson | None = None  # the segment before one that is measured

    def prepare(self, lesson: Lesson, number: int) -> None:
        """Keep segment `number` of the run if the next one is measured, and forget any other."""
        self.before = lesson if (number + 1) % EVERY == 0 and lesson.core_state else None

    @torch.no_grad()
    def of(self, lesson: Lesson, unrolled: Unrolled, distribution: Actions, columns: int) -> float:
        """Mean KL(π of the state made again ‖ π of the carried state) over a segment; nan where it is not measured.

        Args:
            lesson: the segment.
            unrolled: rows to use, whose own content is lost.
            distribution: what the heads stand for.
            columns: how many fit into `unrolled` at once.
        """
        if self.before is None:
            return float("nan")
        means = []
        for chosen in torch.arange(lesson.actions.shape[1]).split(columns):
            now, before = lesson.of(chosen), self.before.of(chosen)
            carried = unrolled.unroll(*now.seen).logits.clone()
            unrolled.unroll(*before.seen)
            made_again = tuple(part.clone() for part in unrolled.state_after(len(before.actions) - 1))
            fresh = unrolled.unroll(now.observations, made_again, now.is_first).logits
            means.append(distribution.kl(fresh, carried).mean())
        return torch.stack(means).mean().item()

    def state(self) -> dict[str, Any]:
        """The segment before, where the next one is measured."""
        return {"before": self.before and self.before.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from `state()`."""
        self.before = state["before"] and Lesson.from_state(state["before"])
