"""The actor-critic loss of one segment."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from rl.acting.segment import Segment
from rl.agent.agent import Agent, AgentOutput
from rl.config import Config
from rl.learning.returns import gae_returns, n_step_returns


def targets(segment: Segment, values: Tensor, config: Config) -> Tensor:
    """Returns [time, batch] that the values of a segment should have had.

    A step that terminated is worth its reward, a truncated one γ V(final observation) more, any other goes on; the
    end of the segment is bootstrapped with values[-1], the value of the observation that *follows* the last step.

    Args:
        segment: N steps.
        values: [time + 1, batch], no gradient.
        config: discount, returns, gae_lambda, reward_scale, bootstrap.
    """
    rewards = config.reward_scale * segment.rewards + config.discount * segment.truncation_values
    if not config.bootstrap:  # nothing follows
        rewards, values = config.reward_scale * segment.rewards, torch.cat([values[:-1], torch.zeros_like(values[-1:])])
    ended = segment.terminated | segment.truncated
    discounts = torch.full_like(rewards, config.discount).masked_fill(ended, 0.0)  # γ in the rewards' precision
    if config.returns == "n_step":
        return n_step_returns(rewards, discounts, values[-1])
    return gae_returns(rewards, discounts, values, config.gae_lambda)


Targets = Callable[[Segment, Tensor, Config], Tensor]


def alone(moments: Tensor) -> Tensor:
    """The sum over one worker: itself."""
    return moments


def actor_critic_loss(
    agent: Agent,
    segment: Segment,
    config: Config,
    sum_over_workers: Callable[[Tensor], Tensor] = alone,
    targets: Targets = targets,
) -> tuple[Tensor, dict[str, float]]:
    """Loss of a segment, mean or sum over its steps, re-unrolled from the core state that was carried into it.

    L = −mean log π(aₜ) Âₜ + c_v · mean (Gₜ − Vₜ)² − c_e · mean H(πₜ)   (Mnih et al. 2016, §4). Â = G − V, or G without
    a baseline (REINFORCE, Williams 1992), is normalised to mean 0 and deviation 1 in the policy term alone. The
    unroll's own final state is thrown away: only the Collector carries state.

    Args:
        agent: its gradients follow from the loss.
        segment: N steps of `batch` environments.
        config: coefficients.
        sum_over_workers: adds the advantages' (count, Σ, Σ²) over the workers that update together.
        targets: what the values should have been.

    Returns:
        The scalar loss, and what is logged of it: policy_loss, value_loss, entropy, explained_variance.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    output, _ = agent.unroll(segment.observations, segment.core_state, segment.is_first)
    values = output.values[:-1]
    log_probs = output.logits[:-1].log_softmax(-1)  # [time, batch, action]
    returns = targets(segment, output.values.detach(), config)
    advantages = returns - values.detach() if config.baseline == "value" else returns
    if config.normalise_advantages:
        advantages = normalise(advantages, sum_over_workers)

    chosen = log_probs.gather(-1, segment.actions.unsqueeze(-1)).squeeze(-1)
    policy_loss = -(chosen * advantages).mean()
    value_loss = (returns - values).square().mean()
    entropy = -(log_probs.exp() * log_probs).sum(-1).mean()
    loss = policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy
    metrics = checked(policy_loss, value_loss, entropy, config)
    metrics["explained_variance"] = explained_variance(returns, values.detach() - returns)
    return (loss if config.loss_reduction == "mean" else loss * values.numel()), metrics


def checked(policy_loss: Tensor, value_loss: Tensor, entropy: Tensor, config: Config) -> dict[str, float]:
    """The three terms of the loss as numbers.

    Raises:
        FloatingPointError: the loss that they make is not finite.
    """
    policy, value, bonus = policy_loss.item(), value_loss.item(), entropy.item()
    loss = policy + config.value_coefficient * value - config.entropy_coefficient * bonus
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss}: policy {policy}, value {value}, entropy {bonus}; look for nan or inf in observations "
            "and rewards, or lower --learning-rate"
        )
    return {"policy_loss": policy, "value_loss": value, "entropy": bonus}


def explained_variance(returns: Tensor, errors: Tensor) -> float:
    """1 − Var(V − G) / Var(G) of returns and errors V − G, both [time, batch]; 0 for a single step."""
    if returns.numel() == 1:
        return 0.0
    unexplained, spread = errors.var(correction=0).item(), returns.var(correction=0).item()
    return 1.0 - unexplained / max(spread, 1e-12)


def normalise(advantages: Tensor, sum_over_workers: Callable[[Tensor], Tensor]) -> Tensor:
    """Shift and scale advantages to mean 0 and standard deviation 1 over all workers.

    From (count, Σ, Σ²) in float64, so that W workers of B environments normalise as one of W·B does; finite for one
    step, whose deviation is 0.
    """
    wide = advantages.double()
    ones = wide.new_tensor(float(wide.numel()))
    count, total, squares = sum_over_workers(torch.stack([ones, wide.sum(), wide.square().sum()]))
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0.0).sqrt()
    return (advantages - mean.to(advantages.dtype)) / (deviation + 1e-8).to(advantages.dtype)


def actor_critic_gradient(
    output: AgentOutput, actions: Tensor, returns: Tensor, advantages: Tensor, config: Config
) -> tuple[Tensor, Tensor, dict[str, float]]:
    """The same for given returns and advantages, [time, batch] each."""
    logits, values = output
    errors = values - returns
    log_probs = logits.log_softmax(-1)
    probs, chosen = log_probs.exp(), actions.unsqueeze(-1)
    entropies = -(probs * log_probs).sum(-1)
    policy_loss = -(log_probs.gather(-1, chosen).squeeze(-1) * advantages).mean()
    value_loss, entropy = errors.square().mean(), entropies.mean()
    losses = checked(policy_loss, value_loss, entropy, config)

    wide, n = advantages.unsqueeze(-1), errors.numel() if config.loss_reduction == "mean" else 1
    d_logits = (probs * wide).scatter_add_(-1, chosen, -wide)
    if config.entropy_coefficient:
        d_logits += config.entropy_coefficient * probs * (log_probs + entropies.unsqueeze(-1))
    losses["explained_variance"] = explained_variance(returns, errors)
    return d_logits.div_(n), errors.mul_(2.0 * config.value_coefficient / n), losses
