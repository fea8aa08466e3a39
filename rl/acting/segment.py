"""A segment: N consecutive steps of a worker's environments, and the core state before them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rl.agent.cores import CoreState


class Segment(NamedTuple):
    """N steps of `batch` environments. Row t: what the agent saw, what it did, what came of it."""

    observations: Tensor  # [time + 1, batch, *shape]; the last row is the next segment's first
    is_first: Tensor  # [time + 1, batch] bool; observations[t] opens an episode
    actions: Tensor  # [time, batch, *shape of an action]
    rewards: Tensor  # [time, batch] the environment's own; the reward that actions[t] caused
    terminated: Tensor  # [time, batch] bool; actions[t] ended the episode
    truncated: Tensor  # [time, batch] bool; a limit cut the episode after actions[t]
    truncation_values: Tensor  # [time, batch] V(final observation) where truncated and not terminated, else 0
    core_state: CoreState  # before observations[0]: values cross segments, gradients do not
    final_observations: Tensor | None = None  # [time, batch, *shape] of the same steps; only for a buffer
    log_probs: Tensor | None = None  # [time, batch] log μ(actions[t]) of the acting policy; only for a buffer

    @property
    def env_steps(self) -> int:
        """Environment transitions in the segment: time · batch."""
        return self.rewards.numel()


_FOLLOWED = ("observations", "is_first")  # [time + 1, ...]
_OF_STEPS = ("actions", "rewards", "terminated", "truncated", "truncation_values")  # [time, ...]


def first_steps(segment: Segment, steps: int) -> Segment:
    """The first `steps` steps of a segment, and the observation that follows them."""
    return segment._replace(
        **{name: getattr(segment, name)[: steps + 1] for name in _FOLLOWED},
        **{name: getattr(segment, name)[:steps] for name in _OF_STEPS},
    )


def joined(pieces: Sequence[Segment]) -> Segment:
    """Segments that follow each other without a gap, as one."""
    *earlier, last = pieces
    return pieces[0]._replace(
        **{n: torch.cat([*(getattr(piece, n)[:-1] for piece in earlier), getattr(last, n)]) for n in _FOLLOWED},
        **{n: torch.cat([getattr(piece, n) for piece in pieces]) for n in _OF_STEPS},
    )
