"""The gradient of Q-learning."""

import math

import torch
from torch import Tensor

from rl.acting.policies import q_values, through_q_values
from rl.agent.agent import AgentOutput
from rl.config import Config
from rl.learning.actor_critic import explained_variance


def q_gradient(
    output: AgentOutput, actions: Tensor, returns: Tensor, weights: Tensor, config: Config
) -> tuple[Tensor, Tensor, dict[str, float], Tensor]:
    """∂L/∂logits, ∂L/∂values, what is logged, and errors δ [time, batch] of Q-learning.

    L = ½ mean w δ²,   δ = Q(a) − G   (Watkins & Dayan 1992; Mnih et al. 2015, eq. 2, without its clip).

    Args:
        output: [time, batch, ...].
        actions: [time, batch].
        returns: [time, batch] G.
        weights: w, [time, batch] or [batch].
        config: of the reduction.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    chosen, q = actions.unsqueeze(-1), q_values(output)
    values = q.gather(-1, chosen).squeeze(-1)
    errors = values - returns
    weighted = weights * errors
    loss = 0.5 * (weighted * errors).mean().item()
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss}: look for nan or inf in observations and rewards, or lower --learning-rate"
        )
    losses = {
        "td_loss": loss,
        "q_values": values.mean().item(),
        "explained_variance": explained_variance(returns, errors),
    }
    n = errors.numel() if config.loss_reduction == "mean" else 1
    d_q = torch.zeros_like(q).scatter_(-1, chosen, (weighted / n).unsqueeze(-1))
    return *through_q_values(d_q), losses, errors
