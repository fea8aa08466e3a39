"""How the two heads are read: as policy and critic, or as action values, and how each of them acts."""

from typing import Protocol

import torch
from torch import Tensor

from rl.agent.agent import AgentOutput
from rl.config import Config


class Policy(Protocol):
    """Reads an agent's output."""

    def scores(self, logits: Tensor) -> Tensor:
        """Unnormalised log-probabilities [batch, action] of the actions taken while training."""

    def state_values(self, output: AgentOutput) -> Tensor:
        """What a state is worth [...]: the bootstrap."""


class Softmax:
    """Actor-critic: π = softmax(logits), V = the value head."""

    def scores(self, logits: Tensor) -> Tensor:
        """The logits themselves."""
        return logits

    def state_values(self, output: AgentOutput) -> Tensor:
        """The value head."""
        return output.values


SOFTMAX = Softmax()


class EpsilonGreedy:
    """Q-learning: the greedy action, and with probability ε any."""

    def __init__(self, epsilons: Tensor) -> None:
        """Take ε of every row, [batch]."""
        self.epsilons = epsilons.unsqueeze(-1)  # [batch, 1]

    def scores(self, logits: Tensor) -> Tensor:
        """log (ε / n + (1 − ε) [a is greedy]) of n actions, so that Gumbel noise samples it as it samples a softmax.

        The duelling logits rank actions as their values do.
        """
        others = self.epsilons / logits.shape[-1]
        greedy = logits.argmax(-1, keepdim=True)
        return others.expand_as(logits).scatter(-1, greedy, 1.0 - self.epsilons + others).log()

    def state_values(self, output: AgentOutput) -> Tensor:
        """max Q."""
        return q_values(output).amax(-1)


def q_values(output: AgentOutput) -> Tensor:
    """Action values [..., action] of the two heads: Q = V + A − mean A (duelling; Wang et al. 2016, eq. 9)."""
    return output.values.unsqueeze(-1) + output.logits - output.logits.mean(-1, keepdim=True)


def through_q_values(d_q: Tensor) -> tuple[Tensor, Tensor]:
    """∂L/∂logits [..., action] and ∂L/∂values [...] of ∂L/∂Q [..., action]: dA = dQ − mean dQ,   dV = Σ dQ."""
    return d_q - d_q.mean(-1, keepdim=True), d_q.sum(-1)


def acting_policy(config: Config, environments: range) -> Policy:
    """How an agent acts in training, in these of all the run's environments.

    ε of environment i of n falls from the first to the last in equal ratios, εᵢ = ε₀ (ε₁ / ε₀)^(i / (n − 1)), as in
    Horgan et al. 2018, §4.1; it goes with the environment's number, whichever worker has it.
    """
    if not config.has_q_values:
        return SOFTMAX
    place = torch.tensor(list(environments), dtype=torch.float64) / max(1, config.total_environments - 1)
    epsilons = config.epsilon_first * (config.epsilon_last / config.epsilon_first) ** place
    return EpsilonGreedy(epsilons.to(getattr(torch, config.dtype)))


def evaluated_policy(config: Config, episodes: int) -> Policy:
    """How it acts in evaluations that are not greedy: with the smallest ε."""
    if not config.has_q_values:
        return SOFTMAX
    return EpsilonGreedy(torch.full((episodes,), config.epsilon_last, dtype=getattr(torch, config.dtype)))
