"""The two-headed network: torso -> core -> policy head and value head."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rl.agent.actions import Actions
from rl.agent.cores import Core, CoreState, orthogonal_linear
from rl.agent.twin import TwinCore


class AgentOutput(NamedTuple):
    """What the two heads say; leading axes as the input's."""

    logits: Tensor  # [..., head] what the distribution over actions is made of
    values: Tensor  # [...] expected return


class Agent(nn.Module):
    """A policy and a value function that share a torso and a core (Mnih et al. 2016, §5; the LSTM variant there).

    The agent holds parameters and no state: every call takes the core state and returns the next one. With a TwinCore
    (behind a TwinTorso) they share nothing: the policy reads the first half of its outputs and the critic the second.
    """

    def __init__(self, torso: nn.Module, core: Core, actions: Actions, detach_critic: bool = False) -> None:
        super().__init__()
        self.torso, self.core, self.actions, self.detach_critic = torso, core, actions, detach_critic
        self.separate_critic = isinstance(core, TwinCore)
        size = core.first.hidden_size if self.separate_critic else core.hidden_size
        self.policy_head = orthogonal_linear(size, actions.head_size, gain=0.01)
        self.value_head: nn.Module = orthogonal_linear(size, 1, gain=1.0)

    def initial_state(self, batch_size: int) -> CoreState:
        """Fresh core state of `batch_size` environments."""
        return self.core.initial_state(batch_size)

    def step(self, observation: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[AgentOutput, CoreState]:
        """Consume one observation of every environment.

        Args:
            observation: [batch, *shape].
            core_state: the state before this observation.
            is_first: [batch] bool; such rows are reset before they consume it.

        Returns:
            Logits [batch, head] and values [batch], and the state after this observation.
        """
        output, core_state = self.core.step(self.features(observation), core_state, is_first)
        return self.heads(output), core_state

    def unroll(self, observations: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[AgentOutput, CoreState]:
        """Consume a segment: observations [time, batch, *shape], is_first [time, batch], the state before row 0.

        Returns:
            Logits [time, batch, head] and values [time, batch], and the state after the last row.
        """
        outputs, core_state = self.core.unroll(self.features(observations), core_state, is_first)
        return self.heads(outputs), core_state

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the parameters."""
        return self.policy_head.weight.dtype

    def features(self, observations: Tensor) -> Tensor:
        """What the torso makes of observations [..., *shape]: floating-point ones in the parameters' precision."""
        return self.torso(observations.to(self.dtype) if observations.is_floating_point() else observations)

    def heads(self, core_output: Tensor) -> AgentOutput:
        """Logits and values of core outputs [..., hidden]."""
        policy_input, critic_input = (
            core_output.chunk(2, dim=-1) if self.separate_critic else (core_output, core_output)
        )
        if self.detach_critic:
            critic_input = critic_input.detach()
        return AgentOutput(self.policy_head(policy_input), self.value_head(critic_input).squeeze(-1))
