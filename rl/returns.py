"""Returns: what the value head should have said. Pure functions, time first, batch second.

`discounts[t]` is γ where step t goes on and 0 where it ended its episode, so one recursion serves all endings: nothing
after an end enters, and the value of a truncated episode's last observation comes in through the rewards.
"""

import numpy as np
import torch
from torch import Tensor


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
