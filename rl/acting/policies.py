"""Policies: how the two heads are read, as policy and critic or as action values, and how they act."""

from typing import Protocol

import torch
from einops import rearrange
from torch import Tensor

from rl.agent.actions.distribution import ONE_MORE
from rl.agent.actions.mask import MASKED, allowed, is_masked
from rl.agent.agent import AgentOutput
from rl.config import Config
from rl.names import load


class Policy(Protocol):
    """Reads an agent's output."""

    def scores(self, logits: Tensor) -> Tensor:
        """The head [batch, head] of the distribution that acts in training."""

    def state_values(self, output: AgentOutput) -> Tensor:
        """What a state is worth [...]: the bootstrap."""


class Softmax:
    """Actor-critic: π is what the policy head says, V is the value head."""

    @classmethod
    def in_training(cls, config: Config, environments: range) -> "Softmax":
        """Every environment has the same policy."""
        return cls()

    @classmethod
    def in_evaluation(cls, config: Config, episodes: int) -> "Softmax":
        """Evaluation samples as training does."""
        return cls()

    def scores(self, logits: Tensor) -> Tensor:
        """The logits themselves."""
        return logits

    def state_values(self, output: AgentOutput) -> Tensor:
        """The value head."""
        return output.values


class EpsilonGreedy:
    """Q-learning: the greedy action, and any action with probability ε."""

    def __init__(self, epsilons: Tensor) -> None:
        """Take ε of every row, [batch]."""
        self.epsilons = rearrange(epsilons, "batch -> batch 1")

    @classmethod
    def in_training(cls, config: Config, environments: range) -> "EpsilonGreedy":
        """ε of these of the run's environments.

        ε of environment i of n falls from the first to the last in equal ratios, εᵢ = ε₀ (ε₁ / ε₀)^(i / (n − 1)), as in
        Horgan et al. 2018, §4.1; it belongs to the environment's number, whichever worker has it.
        """
        place = torch.tensor(list(environments), dtype=torch.float64) / max(1, config.total_environments - 1)
        epsilons = config.epsilon_first * (config.epsilon_last / config.epsilon_first) ** place
        return cls(epsilons.to(getattr(torch, config.dtype)))

    @classmethod
    def in_evaluation(cls, config: Config, episodes: int) -> "EpsilonGreedy":
        """The smallest ε for every episode."""
        return cls(torch.full((episodes,), config.epsilon_last, dtype=getattr(torch, config.dtype)))

    def scores(self, logits: Tensor) -> Tensor:
        """log (ε / n + (1 − ε) [a is greedy]) of n actions, so that Gumbel noise samples it as it samples a softmax.

        n counts the actions that are allowed; the others have probability 0.
        The duelling logits rank actions as their values do.
        """
        greedy = logits.argmax(-1, keepdim=True)
        if is_masked(logits):
            those = allowed(logits)
            others = self.epsilons / those.sum(-1, keepdim=True)
            return (those * others).scatter(-1, greedy, 1.0 - self.epsilons + others).log()
        others = self.epsilons / logits.shape[-1]
        return others.expand_as(logits).scatter(-1, greedy, 1.0 - self.epsilons + others).log()

    def state_values(self, output: AgentOutput) -> Tensor:
        """max Q."""
        return q_values(output).amax(-1)


def q_values(output: AgentOutput) -> Tensor:
    """Action values [..., action] of the two heads: Q = V + A − mean A (duelling; Wang et al. 2016, eq. 9).

    The mean is that of the actions that are allowed. The value of any other one is below all of theirs.
    """
    logits, values = output.logits, rearrange(output.values, ONE_MORE)
    if is_masked(logits):
        those = allowed(logits)
        mean = torch.where(those, logits, 0.0).sum(-1, keepdim=True) / those.sum(-1, keepdim=True)
        return torch.where(those, values + logits - mean, MASKED)
    return values + logits - logits.mean(-1, keepdim=True)


def through_q_values(d_q: Tensor, logits: Tensor) -> AgentOutput:
    """∂L/∂logits [..., action] and ∂L/∂values [...] of ∂L/∂Q [..., action]: dA = dQ − mean dQ,   dV = Σ dQ.

    Nothing comes back to an action that is not allowed, by its logit.
    """
    if is_masked(logits):
        those = allowed(logits)
        d_q = torch.where(those, d_q, 0.0)
        d_values = d_q.sum(-1)
        mean = rearrange(d_values, ONE_MORE) / those.sum(-1, keepdim=True)
        return AgentOutput(torch.where(those, d_q - mean, 0.0), d_values)
    return AgentOutput(d_q - d_q.mean(-1, keepdim=True), d_q.sum(-1))


def acting_policy(config: Config, environments: range) -> Policy:
    """How an agent acts in training, in these of all the run's environments."""
    return load(config.algorithm_record.policy).in_training(config, environments)


def evaluated_policy(config: Config, episodes: int) -> Policy:
    """How an agent acts in evaluations that are not greedy."""
    return load(config.algorithm_record.policy).in_evaluation(config, episodes)
