"""Q-learning and replay buffers."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ReplayOptions:
    """Q-learning and replay buffers."""

    epsilon_first: float = 0.2
    """Q-learning: share of random actions in the first environment; from there to --epsilon-last in equal ratios."""
    epsilon_last: float = 0.01
    """Q-learning: share of random actions in the last environment, and in evaluations that are not greedy."""
    replay_capacity: int = 100_000
    """Env steps that the buffers hold, over all workers."""
    replay_warm_up: int = 5_000
    """Env steps in the buffers before the first update."""
    replay_way: Literal["transitions", "zero", "zero_burn_in", "stored", "stored_burn_in", "episodes"] = (
        "stored_burn_in"
    )
    """What is drawn, and the core state it starts from: single transitions, each from a fresh state; sequences from
    zeros or from the state stored by the actor, with or without burn-in (R2D2's four); whole episodes in pieces, the
    state carried (DRQN's sequential updates)."""
    replay_batch: int = 32
    """Sequences (or transitions) of an update."""
    replay_ratio: float = 2.0
    """Steps trained on for each env step: how often a step is replayed on average."""
    sequence_length: int = 32
    """Steps of a sequence that are trained on; transitions have 1. Sequences start where segments do: with fewer than
    --segment-length some steps are never learnt from."""
    burn_in: int = 8
    """Steps before a sequence that only bring the core state up to date, in the ways with burn-in."""
    target_steps: int = 5
    """n of the n-step targets of q_replay."""
    target_interval: int = 100
    """Updates between two copies of the parameters into the target network of q_replay."""
    double_q: bool = True
    """Let the online network choose the action that the target network values; else the target network chooses too."""
    priority_exponent: float = 0.0
    """How much more often sequences with large errors are drawn: p ~ error^exponent; 0: all alike."""
    importance_exponent: float = 0.0
    """How much the loss weighs such sequences down: w ~ p^-exponent; 1 undoes the bias, 0 leaves it."""
