"""The faults of the chapter's listings, built around rl/, so that experiments can show what each repair buys.

Source: Zai & Brown 2020, "Deep Reinforcement Learning in Action", listings 5.6 to 5.9 (distributed advantage
actor-critic on CartPole). An experiment overrides a part of rl's learning with a fault, or uses an environment:

* the bootstrap is the value of the last state acted in, and should be that of the state that follows;
* at the end of an episode the bootstrap is not set to 0, but keeps the value of the step before;
* the returns of a segment are divided by their L2 norm, so that their scale is lost;
* a time limit is a failure: −10, and nothing follows;
* each worker has its own statistics of Adam, although all workers move the same parameters.
"""

from functools import partial

import gymnasium
import numpy as np
import torch
from torch import Tensor

from envs.cartpole.fall_penalty import FallPenaltyCartPoleVectorEnv
from rl.acting.segment import Segment
from rl.config import Config
from rl.learning.returns import n_step_returns
from rl.loop import Overrides
from rl.parameters.learner import Learner
from rl.shared.learner_memory import LearnerMemory


def listed_returns(
    segment: Segment, values: Tensor, config: Config, off_by_one: bool, kept_at_end: bool, normalised: bool
) -> Tensor:
    """Returns [time, 1] of one environment's segment, as the listings compute them, with these faults.

    The listing sets its bootstrap G after each step that does not terminate, so the last such step decides it.

    Args:
        segment: stops at its episode's end.
        values: [time + 1, 1].
        config: names discount and reward_scale.
        off_by_one: G is V of the state acted in, not of the state that follows.
        kept_at_end: G keeps its value where the episode terminates; else it is 0 there.
        normalised: divide by the L2 norm over the segment.
    """
    rewards = config.reward_scale * segment.rewards + config.discount * segment.truncation_values
    discounts = torch.full_like(rewards, config.discount)
    following = values[:-1] if off_by_one else values[1:]  # what G becomes after each step
    if segment.truncated[-1]:
        bootstrap = torch.zeros_like(values[-1])  # the truncation value is in the rewards
    elif segment.terminated[-1]:
        kept = kept_at_end and len(rewards) > 1
        bootstrap = following[-2] if kept else torch.zeros_like(values[-1])
    else:
        bootstrap = following[-1]
    returns = n_step_returns(rewards, discounts, bootstrap)
    return returns / returns.norm().clamp_min(1e-12) if normalised else returns


class OwnAdamLearner(Learner):
    """Workers share parameters, but each worker's Adam has its own moments and step count."""

    def __init__(self, config: Config, memory: LearnerMemory, rank: int = 0) -> None:
        super().__init__(config, memory, rank)
        own = {name: torch.zeros_like(self.vectors[name]) for name in ("moment1", "moment2", "step")}
        self.pages = [{**page, **own} for page in self.pages]


def listed(off_by_one: bool, kept_at_end: bool, normalised: bool, own_adam: bool) -> Overrides:
    """The overrides of rl's learning that have these faults of the listings."""
    targets = partial(listed_returns, off_by_one=off_by_one, kept_at_end=kept_at_end, normalised=normalised)
    faulty = off_by_one or kept_at_end or normalised
    return Overrides(targets if faulty else None, OwnAdamLearner if own_adam else None)


AS_PRINTED = listed(off_by_one=True, kept_at_end=True, normalised=True, own_adam=True)
MONTE_CARLO_AS_PRINTED = listed(off_by_one=False, kept_at_end=False, normalised=True, own_adam=True)


class PrintedCartPoleVectorEnv(FallPenaltyCartPoleVectorEnv):
    """CartPole in which a time limit counts as a fall: the reward is −penalty, and the episode terminates."""

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rewards, terminated, truncated = super()._advance(actions)
        ended = terminated | truncated
        rewards[ended] = -self._penalty
        return rewards, ended, np.zeros_like(truncated)


PRINTED_ENV = f"{__name__}:PrintedCartPole-v1"
gymnasium.register(
    id="PrintedCartPole-v1",
    vector_entry_point=f"{__name__}:PrintedCartPoleVectorEnv",
    max_episode_steps=500,
    reward_threshold=475.0,
)
