"""Returns: what the value head should have said. Pure functions, time first, batch second.

`discounts[t]` is γ where the episode continues after step t and 0 where step t ended it. So one recursion serves all
endings: nothing after an end enters, and the value of a truncated episode's last observation enters as a reward.
"""

import numpy as np
import torch
from torch import Tensor

from rl.acting.segment import Segment
from rl.agent.scales import CLIPPED
from rl.config import Config


def targets(segment: Segment, values: Tensor, config: Config) -> Tensor:
    """Returns [time, batch] that the values of a segment should have had.

    A step that terminated is worth its reward, a truncated step γ V(final observation) more. Any other step continues;
    the end of the segment is bootstrapped with values[-1], the value of the observation that *follows* the last step.

    Args:
        segment: N steps.
        values: [time + 1, batch], no gradient.
        config: discount, returns, gae_lambda, reward_scale, bootstrap.
    """
    rewards = config.reward_scale * segment.rewards
    if config.bootstrap:
        rewards = rewards + config.discount * segment.truncation_values
    else:  # nothing follows
        values = torch.cat([values[:-1], torch.zeros_like(values[-1:])])
    discounts = discounts_of(rewards, segment.terminated | segment.truncated, config)
    if config.returns == "n_step":
        return n_step_returns(rewards, discounts, values[-1])
    return gae_returns(rewards, discounts, values, config.gae_lambda)


def clipped(rewards: Tensor, config: Config) -> Tensor:
    """Rewards [...] before any scale: within ±1 where the run clips them (Mnih et al. 2015, Methods)."""
    return rewards.clamp(-CLIPPED, CLIPPED) if config.clip_rewards else rewards


def discounts_of(rewards: Tensor, ended: Tensor, config: Config) -> Tensor:
    """γ of each step, 0 where its episode ended; in the precision of the rewards [time, batch]."""
    return torch.full_like(rewards, config.discount).masked_fill(ended, 0.0)


def n_step_returns(rewards: Tensor, discounts: Tensor, bootstrap_value: Tensor) -> Tensor:
    """Sum discounted rewards to the end of the segment, then the bootstrap.

    Gₜ = rₜ + γₜ Gₜ₊₁,   G_N = V(o_N)   (Mnih et al. 2016, §4, algorithm S3; Sutton & Barto 2018, eq. 7.1).

    Args:
        rewards: [time, batch].
        discounts: [time, batch], 0 where the episode ended.
        bootstrap_value: [batch], value of the observation after the last step.

    Returns:
        [time, batch].
    """
    returns = rewards.clone()
    following = bootstrap_value.numpy()  # as arrays, whose small operations cost a third of tensors'
    with np.errstate(invalid="ignore", over="ignore"):  # inf and nan pass through: the loss says where to look
        for row, discount in reversed(list(zip(returns.numpy(), discounts.numpy(), strict=True))):
            row += discount * following
            following = row
    return returns


def gae_returns(rewards: Tensor, discounts: Tensor, values: Tensor, gae_lambda: float) -> Tensor:
    """Weigh all n-step returns by λⁿ⁻¹: generalised advantage estimation, plus the values it is an advantage over.

    δₜ = rₜ + γₜ Vₜ₊₁ − Vₜ,   Aₜ = δₜ + γₜ λ Aₜ₊₁,   Gₜ = Aₜ + Vₜ   (Schulman et al. 2016, eq. 16).

    Args:
        rewards: [time, batch].
        discounts: [time, batch], 0 where the episode ended.
        values: [time + 1, batch], the last row being the bootstrap.
        gae_lambda: λ; 0 is one-step, 1 equals `n_step_returns`.

    Returns:
        [time, batch].
    """
    errors = rewards + discounts * values[1:] - values[:-1]
    decay = discounts * gae_lambda
    advantages = n_step_returns(errors, decay, torch.zeros_like(values[-1]))  # the same recursion
    return advantages + values[:-1]


def fixed_n_step_returns(rewards: Tensor, discounts: Tensor, values: Tensor, steps: int) -> Tensor:
    """Sum n discounted rewards of every step, or fewer up to its episode's end, then the value of what follows.

    G⁰ₜ = Vₜ,   Gᵏₜ = rₜ + γₜ Gᵏ⁻¹ₜ₊₁   (Sutton & Barto 2018, eq. 7.1).

    Args:
        rewards: [time + n − 1, batch].
        discounts: [time + n − 1, batch], 0 where the episode ended.
        values: [time, batch] of the observations n steps behind.
        steps: n.

    Returns:
        [time, batch].
    """
    returns = values
    for first in reversed(range(steps)):  # of the steps that Gᵏ is wanted for
        rows = slice(first, first + len(values))
        returns = rewards[rows] + discounts[rows] * returns
    return returns


def vtrace_returns(
    rewards: Tensor, discounts: Tensor, values: Tensor, log_ratios: Tensor, trace_lambda: float
) -> tuple[Tensor, Tensor]:
    """Returns of one policy from the actions of another, and the advantages of its policy gradient.

    ρₜ = min(1, π/μ),   cₜ = λ ρₜ,   δₜ = ρₜ (rₜ + γₜ Vₜ₊₁ − Vₜ),   vₜ = Vₜ + Aₜ,   Aₜ = δₜ + γₜ cₜ Aₜ₊₁;
    the advantage is ρₜ (rₜ + γₜ vₜ₊₁ − Vₜ)   (Espeholt et al. 2018, eq. 1 and §4.2, both clips at 1).

    Args:
        rewards: [time, batch].
        discounts: [time, batch], 0 where the episode ended.
        values: [time + 1, batch], of the policy that learns; the last row is the bootstrap.
        log_ratios: [time, batch] log π(aₜ) − log μ(aₜ).
        trace_lambda: λ.

    Returns:
        v and advantages, [time, batch] each; with π = μ and λ = 1 those of `n_step_returns`.
    """
    ratios = log_ratios.clamp_max(0.0).exp()
    errors = ratios * (rewards + discounts * values[1:] - values[:-1])
    returns = values[:-1] + n_step_returns(errors, discounts * trace_lambda * ratios, torch.zeros_like(values[-1]))
    following = torch.cat([returns[1:], values[-1:]])
    return returns, ratios * (rewards + discounts * following - values[:-1])
