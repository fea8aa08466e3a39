"""Unrolls of what was drawn from a buffer: outputs, the state after each row, and gradients back into the agent.

Two forms of one thing: by autograd for any agent, and by a recording (rl/agent/recorded) for those that have a
fast path.
"""

from typing import Protocol

import torch
from torch import Tensor

from rl.agent.agent import Agent, AgentOutput
from rl.agent.cores import CoreState
from rl.agent.recorded.which import can_record, make_recording


class Unroll(Protocol):
    """An agent over rows of drawn windows."""

    def forward(self, observations: Tensor, core_state: CoreState, is_first: Tensor) -> AgentOutput:
        """Outputs [rows, ...] without a gradient of their own: `backward` takes it."""

    def state_after(self, row: int) -> CoreState:
        """The core state behind a row."""

    def backward(self, d_logits: Tensor, d_values: Tensor) -> None:
        """Leave the gradient in the agent's parameters, of rows `first` to `first` + time − 1 and of no others."""


class PlainUnroll:
    """By `Agent.step`, row by row, and autograd."""

    def __init__(self, agent: Agent, first: int) -> None:
        """Take an agent; rows before `first` only bring the state up to date."""
        self.agent, self.first = agent, first

    def forward(self, observations: Tensor, core_state: CoreState, is_first: Tensor) -> AgentOutput:
        """Row by row, since the state behind each is wanted."""
        outputs: list[AgentOutput] = []
        self._states: list[CoreState] = []
        for t, (observation, opens) in enumerate(zip(observations, is_first, strict=True)):
            with torch.set_grad_enabled(t >= self.first):
                output, core_state = self.agent.step(observation, core_state, opens)
            outputs.append(output)
            self._states.append(core_state)
        self._output = AgentOutput(*(torch.stack(part) for part in zip(*outputs, strict=True)))
        return AgentOutput(*(part.detach() for part in self._output))

    def state_after(self, row: int) -> CoreState:
        """As it came out of the step."""
        return tuple(part.detach() for part in self._states[row])

    def backward(self, d_logits: Tensor, d_values: Tensor) -> None:
        """By autograd."""
        rows = slice(self.first, self.first + len(d_logits))
        self.agent.zero_grad(set_to_none=False)  # in place: gradients are views of one flat vector
        torch.autograd.backward([part[rows] for part in self._output], [d_logits, d_values])


class RecordedUnroll:
    """By a recording: the backward pass written out."""

    def __init__(self, agent: Agent, first: int, rows: int, batch: int) -> None:
        """Allocate for so many rows of `batch` windows."""
        self.first, self.recording = first, make_recording(agent, rows - 1, batch)

    def forward(self, observations: Tensor, core_state: CoreState, is_first: Tensor) -> AgentOutput:
        """Torso and heads of all rows at once."""
        return self.recording.unroll(observations, core_state, is_first)

    def state_after(self, row: int) -> CoreState:
        """A view, until the next `forward`."""
        return self.recording.states[row]

    def backward(self, d_logits: Tensor, d_values: Tensor) -> None:
        """By `Recording.backward`."""
        self.recording.backward(d_logits, d_values, self.first)


def make_unroll(agent: Agent, first: int, rows: int, batch: int, recorded: bool) -> Unroll:
    """The fast form where there is one for the agent, and it is asked for."""
    return RecordedUnroll(agent, first, rows, batch) if recorded and can_record(agent) else PlainUnroll(agent, first)


@torch.no_grad()
def values_of_final_observations(
    agent: Agent, unroll: Unroll, observations: Tensor, where: Tensor, fresh: bool
) -> AgentOutput:
    """What an agent says of final observations, each from the state behind the step before it: a side branch.

    Args:
        agent: that was unrolled.
        unroll: of the rows.
        observations: [rows − 1, batch, feature] final observations.
        where: [rows − 1, batch] bool, which of them to look at.
        fresh: see them from a fresh state instead.

    Returns:
        Logits [number, action] and values [number], in the order of `where.nonzero()`.
    """
    places = where.nonzero().tolist()
    state = agent.initial_state(len(places))
    if not fresh and state:
        parts = zip(*([part[:, b] for part in unroll.state_after(t)] for t, b in places), strict=True)
        state = tuple(torch.stack(part, dim=1) for part in parts)
    output, _ = agent.step(observations[where], state, torch.full((len(places),), fresh))
    return output
