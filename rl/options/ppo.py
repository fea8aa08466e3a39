"""Proximal policy optimisation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PPOOptions:
    """Proximal policy optimisation."""

    epochs: int = 4
    """PPO: how often each segment is learnt from."""
    minibatches: int = 4
    """PPO: updates of an epoch, each from whole columns of the segment; they divide --envs-per-worker. 8 by default
    where actions are numbers."""
    clip_range: float = 0.2
    """PPO: ε, how far the probability of an action may move from 1 times that of acting before it stops to count."""
    target_kl: float = 0.0
    """PPO: an epoch whose mean KL from the acting policy is above this is the segment's last; 0: none is."""
