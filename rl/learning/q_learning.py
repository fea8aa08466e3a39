"""Q-learning: the gradient of its loss, and the experience that learns by it from segments as they come."""

import math

import torch
from einops import rearrange
from torch import Tensor

from rl.acting.policies import q_values, through_q_values
from rl.agent.actions.distribution import ONE_LESS, ONE_MORE
from rl.agent.agent import AgentOutput
from rl.config import Config
from rl.learning.actor_critic import explained_variance, without_bootstrap
from rl.learning.experience import OnlineExperience
from rl.shared.not_finite import not_finite


class QLearning(OnlineExperience):
    """Learns action values from segments as they come (asynchronous N-step Q-learning, Mnih et al. 2016, §4)."""

    def differentiate(self) -> dict[str, float]:
        """Leave the gradient of the segment's loss, whose targets continue with max Q.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        segment, config = self.segment, self.config
        output = self.unrolled.acted(segment.observations, segment.core_state, segment.is_first)
        returns = self.returns(segment, q_values(output).amax(-1))
        weights = torch.ones_like(returns)
        gradient, losses, _ = q_gradient(without_bootstrap(output), segment.actions, returns, weights, config)
        self.unrolled.backward(gradient)
        return losses


@torch.no_grad()
def q_gradient(
    output: AgentOutput, actions: Tensor, returns: Tensor, weights: Tensor, config: Config
) -> tuple[AgentOutput, dict[str, float], Tensor]:
    """The gradient by what the heads say, what is logged, and errors δ [time, batch].

    L = ½ mean w δ²,   δ = Q(a) − G,   ∂L/∂Q = w δ 1ₐ / n   (Watkins & Dayan 1992; Mnih et al. 2015, eq. 2, without its
    clip).

    Args:
        output: logits [time, batch, action] and values [time, batch].
        actions: [time, batch].
        returns: [time, batch] G.
        weights: w, [time, batch] or [batch].
        config: whether the loss is a mean or a sum.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    chosen, q = rearrange(actions, ONE_MORE), q_values(output)
    values = rearrange(q.gather(-1, chosen), ONE_LESS)
    errors = values - returns
    weighted = weights * errors
    loss = 0.5 * (weighted * errors).mean().item()
    if not math.isfinite(loss):
        raise not_finite(
            f"the loss is {loss}: look for nan or inf in observations and rewards, or lower --learning-rate"
        )
    losses = {"td_loss": loss, "q_values": values.mean().item()}
    losses["explained_variance"] = explained_variance(returns, errors)
    n = errors.numel() if config.loss_reduction == "mean" else 1
    d_q = torch.zeros_like(q).scatter_(-1, chosen, rearrange(weighted / n, ONE_MORE))
    return through_q_values(d_q, output.logits), losses, errors
