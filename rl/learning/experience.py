"""Experience: what a worker learns from. Online it is the segment just acted; rl/replay keeps a buffer of them."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from rl.acting.policies import q_values
from rl.acting.segment import Segment
from rl.agent.agent import Agent, AgentOutput
from rl.agent.flat import FlatAgent
from rl.config import Config
from rl.learning.actor_critic import Targets, actor_critic_gradient, actor_critic_loss, alone, normalise, targets
from rl.learning.q_learning import q_gradient
from rl.parameters.learner import Learner


class Experience(Protocol):
    """Turns segments into gradients."""

    flat: FlatAgent  # the worker's agent, which gradients are left in

    def add(self, segment: Segment) -> int:
        """Take a segment acted with the parameters of the last pull; how many updates are due."""

    def differentiate(self) -> dict[str, float]:
        """Leave one gradient in the agent, at the parameters of the last pull; what is logged of its loss."""

    def state(self) -> dict[str, Any]:
        """What makes the next updates, beside parameters and segments, as tensors and plain Python."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""


class OnlineExperience:
    """Every segment makes one gradient and is gone."""

    def __init__(self, config: Config, flat: FlatAgent, learner: Learner, targets: Targets = targets) -> None:
        """Learn with an agent for a learner, by rl's own targets or an experiment's."""
        self.config, self.flat, self.learner, self.targets = config, flat, learner, targets

    def add(self, segment: Segment) -> int:
        """One update."""
        self.segment = segment
        return 1

    def differentiate(self) -> dict[str, float]:
        """Of the segment's loss."""
        return differentiate(self.flat.agent, self.segment, self.config, self.learner.sum_over_workers, self.targets)

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Nothing to do."""


def differentiate(
    agent: Agent,
    segment: Segment,
    config: Config,
    sum_over_workers: Callable[[Tensor], Tensor] = alone,
    targets: Targets = targets,
) -> dict[str, float]:
    """Leave the gradient of a segment's loss in the agent's parameters, by the fast path where acting was recorded.

    Arguments, what is logged and errors as of `actor_critic_loss`, which says what the loss is; Q-learning's is that of
    `q_gradient`.
    """
    if segment.recording is not None:
        output = segment.recording.output
        d_logits, d_values, losses = loss_gradient(output, segment, config, sum_over_workers, targets)
        segment.recording.backward(d_logits, d_values)
        return losses
    agent.zero_grad(set_to_none=False)  # in place: gradients are views of one flat vector
    if config.has_q_values:
        output, _ = agent.unroll(segment.observations, segment.core_state, segment.is_first)
        d_logits, d_values, losses = loss_gradient(output, segment, config, sum_over_workers, targets)
        torch.autograd.backward([output.logits[:-1], output.values[:-1]], [d_logits, d_values])
        return losses
    loss, losses = actor_critic_loss(agent, segment, config, sum_over_workers, targets)
    loss.backward()
    return losses


@torch.no_grad()
def loss_gradient(
    output: AgentOutput,
    segment: Segment,
    config: Config,
    sum_over_workers: Callable[[Tensor], Tensor] = alone,
    targets: Targets = targets,
) -> tuple[Tensor, Tensor, dict[str, float]]:
    """∂L/∂logits [time, batch, action] and ∂L/∂values [time, batch] of a segment, and what is logged.

    Args:
        output: of all its rows, [time + 1, ...]; the last is the bootstrap.
        segment: N steps.
        config: of the loss.
        sum_over_workers: as of `actor_critic_loss`.
        targets: likewise.
    """
    steps = AgentOutput(output.logits[:-1], output.values[:-1])
    if config.has_q_values:
        returns = targets(segment, q_values(output).amax(-1), config)
        return q_gradient(steps, segment.actions, returns, torch.ones_like(returns), config)[:3]
    returns = targets(segment, output.values, config)
    advantages = returns - steps.values if config.baseline == "value" else returns
    if config.normalise_advantages:
        advantages = normalise(advantages, sum_over_workers)
    return actor_critic_gradient(steps, segment.actions, returns, advantages, config)
