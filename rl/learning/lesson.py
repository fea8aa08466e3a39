"""What several updates learn from: the steps of one segment, and the columns that learn together."""

from typing import Any, NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from rl.agent.cores import CoreState


class Lesson(NamedTuple):
    """A segment as the parameters that acted saw it; nothing of it changes between the updates that it makes."""

    observations: Tensor  # [time, batch, *shape]
    is_first: Tensor  # [time, batch] bool
    core_state: CoreState  # before observations[0], [layer, batch, hidden] each
    actions: Tensor  # [time, batch, ...]
    log_probs: Tensor  # [time, batch] log μ(aₜ) of the acting policy
    returns: Tensor  # [time, batch] G
    advantages: Tensor  # [time, batch] Â

    @property
    def seen(self) -> tuple[Tensor, CoreState, Tensor]:
        """The arguments of an unroll."""
        return self.observations, self.core_state, self.is_first

    def of(self, columns: Tensor) -> "Lesson":
        """Some of its columns, as a lesson of their own."""
        core_state = tuple(part.index_select(1, columns) for part in self.core_state)
        rows = {name: getattr(self, name).index_select(1, columns) for name in self._fields if name != "core_state"}
        return Lesson(core_state=core_state, **rows)

    def state(self) -> dict[str, Any]:
        """The lesson in tensors of its own and plain Python."""
        content = {name: getattr(self, name).clone() for name in self._fields if name != "core_state"}
        return content | {"core_state": [part.clone() for part in self.core_state]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Lesson":
        """The lesson of a `state()`."""
        return cls(**{**state, "core_state": tuple(state["core_state"])})


def dealt(generator: np.random.Generator, total: int, owned: range, hands: int) -> list[Tensor]:
    """Deal the columns of a worker out to minibatches; returns the columns [batch / hands] of each of them.

    Of each `hands` environments that follow each other in the run, every minibatch gets one, whichever worker has them.
    So W workers of B environments deal as one of W · B does, and no environment is left out.

    Args:
        generator: every worker has one in the same state.
        total: environments of the run.
        owned: those of this worker; both ends are multiples of `hands`.
        hands: how many minibatches.
    """
    dice = rearrange(generator.random(total)[owned.start : owned.stop], "(group hand) -> group hand", hand=hands)
    columns = dice.argsort(axis=1) + rearrange(np.arange(0, len(owned), hands), "group -> group 1")
    return list(torch.from_numpy(rearrange(columns, "group hand -> hand group").copy()))
