"""The two-headed network, torso -> core -> policy head and value head, and the plain way over a segment and back."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rl.agent.actions.distribution import Actions
from rl.agent.actions.mask import ActionMask
from rl.agent.cores import Core, CoreState, is_recorded, orthogonal_linear, reset_where
from rl.agent.heads import make_policy_head
from rl.agent.pieces import read
from rl.agent.scales import Scales
from rl.agent.twin import TwinCore


class AgentOutput(NamedTuple):
    """What the two heads say, with the leading axes of their input."""

    logits: Tensor  # [..., head] what the distribution over actions is made of
    values: Tensor  # [...] expected return


Step = Callable[[Tensor, CoreState, Tensor], tuple[AgentOutput, CoreState]]  # observation, core_state, is_first


class Agent(nn.Module):
    """A policy and a value function that share a torso and a core (Mnih et al. 2016, §5; the LSTM variant there).

    The agent holds parameters and no state: every call takes the core state and returns the next one. With a TwinCore
    (behind a TwinTorso) they share nothing: the policy reads the first half of its outputs and the critic the second.
    """

    def __init__(
        self,
        torso: nn.Module,
        core: Core,
        actions: Actions,
        detach_critic: bool = False,
        mask: ActionMask | None = None,
        scales: Scales | None = None,
    ) -> None:
        """Join the parts.

        Args:
            torso: observations in, features out.
            core: what remembers.
            actions: the distribution that the policy head is for.
            detach_critic: keep the critic's gradient from torso and core.
            mask: reads in observations which actions are allowed; None: all are.
            scales: what observations and rewards are measured in; None: they stay as they are.
        """
        super().__init__()
        self.torso, self.core, self.actions, self.detach_critic = torso, core, actions, detach_critic
        self.mask = mask
        self.separate_critic = isinstance(core, TwinCore)
        size = core.first.hidden_size if self.separate_critic else core.hidden_size
        self.policy_head: nn.Module = make_policy_head(size, actions)
        self.value_head: nn.Module = orthogonal_linear(size, 1, gain=1.0)
        self.scales = scales  # the last parameters, none of them learnt

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
        if is_recorded():  # a core of a user's own may branch on `is_first`, which a graph would not keep
            core_state = reset_where(is_first, core_state)
        output, core_state = self.core.step(self.features(observation), core_state, is_first)
        return self.heads(output, observation), core_state

    def unroll(self, observations: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[AgentOutput, CoreState]:
        """Consume a segment: observations [time, batch, *shape], is_first [time, batch], the state before row 0.

        Returns:
            Logits [time, batch, head] and values [time, batch], and the state after the last row.
        """
        outputs, core_state = self.core.unroll(read(self.features, observations), core_state, is_first)
        return self.heads(outputs, observations), core_state

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the parameters."""
        return next(self.policy_head.parameters()).dtype

    def features(self, observations: Tensor) -> Tensor:
        """What the torso makes of observations [..., *shape]; it gets those of floating-point numbers scaled."""
        if observations.is_floating_point():
            observations = observations.to(self.dtype)
        return self.torso(self.scales.observations(observations) if self.scales else observations)

    def heads(self, core_output: Tensor, observations: Tensor) -> AgentOutput:
        """Logits and values of core outputs [..., hidden]; the observations say which actions are allowed."""
        policy_input, critic_input = (
            core_output.chunk(2, dim=-1) if self.separate_critic else (core_output, core_output)
        )
        if self.detach_critic:
            critic_input = critic_input.detach()
        logits = self.policy_head(policy_input)
        if self.mask is not None:
            logits = self.mask.masked(logits, observations)
        return AgentOutput(logits, self.value_head(critic_input).squeeze(-1))  # ... 1 -> ...


class PlainUnrolled:
    """An `Unrolled` by `Agent.unroll` and autograd, for any agent."""

    def __init__(self, agent: Agent, first: int = 0) -> None:
        """Unroll an agent.

        Args:
            agent: gets the gradients.
            first: the first row that learns; the rows before it only bring the state up to date.
        """
        self.agent, self.first = agent, first

    def begin(self) -> Step:
        """The agent's own step: nothing is kept."""
        return self.agent.step

    def unroll(self, observations: Tensor, core_state: CoreState, is_first: Tensor) -> AgentOutput:
        """Outputs of all rows without a gradient; `live` are those from row `first` on, with their graph."""
        self._rows, self._states = (observations, core_state, is_first), None
        first, said = min(self.first, len(observations)), []
        if first:
            with torch.no_grad():
                output, core_state = self.agent.unroll(observations[:first], core_state, is_first[:first])
            said.append(output)
        if first < len(observations):
            with torch.enable_grad():
                self.live, _ = self.agent.unroll(observations[first:], core_state, is_first[first:])
            said.append(AgentOutput(*(part.detach() for part in self.live)))
        return AgentOutput(*map(torch.cat, zip(*said, strict=True)))

    acted = unroll

    @torch.no_grad()
    def state_after(self, row: int) -> CoreState:
        """The state is computed again, for all rows when the first one is asked for."""
        if self._states is None:
            observations, core_state, is_first = self._rows
            self._states = []
            for observation, opens in zip(observations, is_first, strict=True):
                _, core_state = self.agent.step(observation, core_state, opens)
                self._states.append(core_state)
        return self._states[row]

    def backward(self, gradient: AgentOutput) -> None:
        """Leave the gradient of rows from `first` on in the agent's parameters, by autograd."""
        self.agent.zero_grad(set_to_none=False)  # in place: gradients are views of one flat vector
        torch.autograd.backward([part[: len(gradient.values)] for part in self.live], list(gradient))
