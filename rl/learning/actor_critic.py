"""Advantage actor-critic: the loss of one segment, its gradient, and the experience that learns by it.

    L = −mean log π(aₜ) Âₜ + c_v · mean (Gₜ − Vₜ)² − c_e · mean H(πₜ)   (Mnih et al. 2016, §4)

Â = G − V, or G without a baseline (REINFORCE, Williams 1992), is normalised to mean 0 and deviation 1 in the policy
term alone. `actor_critic_loss` is the definition, which `--unroll again` learns by; `actor_critic_gradient` is its
gradient by what the heads say, with n = time · batch (1 where the loss is a sum):

    ∂L/∂log π(aₜ) = −Âₜ / n,   ∂L/∂Hₜ = −c_e / n,   ∂L/∂Vₜ = 2 c_v (Vₜ − Gₜ) / n.
"""

import math

import numpy as np
import torch
from torch import Tensor

from rl.agent.actions.distribution import Actions
from rl.agent.agent import AgentOutput
from rl.config import Config
from rl.learning.experience import OnlineExperience
from rl.shared.not_finite import not_finite


class ActorCritic(OnlineExperience):
    """Learns from segments as they come (A2C, A3C)."""

    def differentiate(self) -> dict[str, float]:
        """Unroll from the core state that was carried into the segment, and leave the gradient of its loss.

        The unroll's own final state is thrown away: only the Collector carries state.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        segment, config = self.segment, self.config
        output = self.unrolled.acted(segment.observations, segment.core_state, segment.is_first)
        returns = self.returns(segment, output.values)
        values = output.values[:-1]
        advantages = returns - values if config.baseline == "value" else returns
        if config.normalise_advantages:
            advantages = normalised(advantages, self.learner.sum_over_workers(moments(advantages)))
        lesson = self.flat.agent.actions, segment.actions, returns, advantages, config
        if config.unroll == "again":
            loss, losses = actor_critic_loss(without_bootstrap(self.unrolled.live), *lesson)
            self.flat.agent.zero_grad(set_to_none=False)  # in place: gradients are views of one flat vector
            loss.backward()
            return losses
        gradient, losses = actor_critic_gradient(without_bootstrap(output), *lesson)
        self.unrolled.backward(gradient)
        return losses


def without_bootstrap(output: AgentOutput) -> AgentOutput:
    """The outputs at the steps that were acted: all rows but the last one."""
    return AgentOutput(output.logits[:-1], output.values[:-1])


def actor_critic_loss(
    output: AgentOutput, distribution: Actions, actions: Tensor, returns: Tensor, advantages: Tensor, config: Config
) -> tuple[Tensor, dict[str, float]]:
    """The scalar loss, mean or sum over the steps, by the equation above.

    Args:
        output: logits [time, batch, head] and values [time, batch], with their graph.
        distribution: what the logits stand for.
        actions: [time, batch, ...].
        returns: [time, batch] G.
        advantages: [time, batch] Â.
        config: coefficients and reduction.

    Returns:
        The loss, and what is logged of it: policy_loss, value_loss, entropy, explained_variance.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    policy_loss = -(distribution.log_probs(output.logits, actions) * advantages).mean()
    value_loss = (returns - output.values).square().mean()
    entropy = distribution.entropies(output.logits).mean()
    loss = policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy
    losses = checked(policy_loss, value_loss, entropy, config)
    losses["explained_variance"] = explained_variance(returns, output.values.detach() - returns)
    return (loss if config.loss_reduction == "mean" else loss * returns.numel()), losses


@torch.no_grad()
def actor_critic_gradient(
    output: AgentOutput, distribution: Actions, actions: Tensor, returns: Tensor, advantages: Tensor, config: Config
) -> tuple[AgentOutput, dict[str, float]]:
    """∂L/∂logits [time, batch, head] and ∂L/∂values [time, batch], and what is logged; see `actor_critic_loss`."""
    taken, errors = distribution.taken(output.logits, actions), output.values - returns
    policy_loss = -(taken.log_probs * advantages).mean()
    losses = checked(policy_loss, errors.square().mean(), taken.entropies.mean(), config)
    losses["explained_variance"] = explained_variance(returns, errors)
    n = errors.numel() if config.loss_reduction == "mean" else 1
    d_logits = taken.backward(-advantages / n, -config.entropy_coefficient / n)
    return AgentOutput(d_logits, errors.mul_(2.0 * config.value_coefficient / n)), losses


def checked(
    policy_loss: Tensor | np.floating, value_loss: Tensor | np.floating, entropy: Tensor, config: Config
) -> dict[str, float]:
    """The three terms of the loss as numbers.

    Raises:
        FloatingPointError: the loss that they make is not finite.
    """
    policy, value, bonus = policy_loss.item(), value_loss.item(), entropy.item()
    loss = policy + config.value_coefficient * value - config.entropy_coefficient * bonus
    if not math.isfinite(loss):
        raise not_finite(
            f"the loss is {loss}: policy {policy}, value {value}, entropy {bonus}; look for nan or inf in observations "
            "and rewards, or lower --learning-rate"
        )
    return {"policy_loss": policy, "value_loss": value, "entropy": bonus}


def explained_variance(returns: Tensor, errors: Tensor) -> float:
    """1 − Var(V − G) / Var(G) of returns and errors V − G, both [time, batch].

    It is undefined (nan) where returns do not vary by more than rounding, so for a single step too.
    """
    unexplained, spread = float(errors.numpy().var()), float(returns.numpy().var())
    rounding = 4.0 * torch.finfo(returns.dtype).eps * float(np.abs(returns.numpy()).max())
    return 1.0 - unexplained / spread if spread > rounding**2 else math.nan


def moments(advantages: Tensor) -> Tensor:
    """Count, Σ and Σ² of advantages, in float64: sums of them over workers are those of one large worker."""
    wide = advantages.double()
    return torch.stack([wide.new_tensor(float(wide.numel())), wide.sum(), wide.square().sum()])


def normalised(advantages: Tensor, moments: Tensor) -> Tensor:
    """Advantages of mean 0 and standard deviation 1, by the moments of all workers; finite where the deviation is 0."""
    count, total, squares = moments
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0.0).sqrt()
    return (advantages - mean.to(advantages.dtype)) / (deviation + 1e-8).to(advantages.dtype)
