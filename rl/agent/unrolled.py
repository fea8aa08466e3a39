"""An agent over consecutive rows: what it says at each of them, and the gradient's way back into its parameters.

There are two forms. `rl.agent.agent.PlainUnrolled` defines both by `Agent.unroll` and autograd. The recorded form
(`rl.agent.recorded`) keeps the activations of acting and writes the backward pass out; it equals the plain one.
"""

from typing import Protocol

import torch
from torch import Tensor

from rl.agent.agent import Agent, AgentOutput, Step
from rl.agent.cores import CoreState


class Unrolled(Protocol):
    """Rows [time, batch] that an agent has seen."""

    def begin(self) -> Step:
        """Begin new rows that are acted one by one; what is returned steps as `Agent.step` does."""

    def acted(self, observations: Tensor, core_state: CoreState, is_first: Tensor) -> AgentOutput:
        """Outputs of the rows that were just acted, and of the bootstrap row behind them; arguments as of `unroll`."""

    def unroll(self, observations: Tensor, core_state: CoreState, is_first: Tensor) -> AgentOutput:
        """Outputs of rows that were acted elsewhere, without a gradient: `backward` takes it.

        Args:
            observations: [time, batch, *shape].
            core_state: the state before observations[0].
            is_first: [time, batch] bool.

        Returns:
            Logits [time, batch, head] and values [time, batch].
        """

    def state_after(self, row: int) -> CoreState:
        """The core state behind a row."""

    def backward(self, gradient: AgentOutput) -> None:
        """Leave in the agent's parameters the gradient of consecutive rows, and of no others.

        Args:
            gradient: ∂L/∂logits [time, batch, head] and ∂L/∂values [time, batch], from the first row that learns on.
        """


@torch.no_grad()
def values_of_final_observations(
    agent: Agent, unrolled: Unrolled, observations: Tensor, where: Tensor, fresh: bool
) -> AgentOutput:
    """What an agent says of final observations, each seen from the state behind the step before it: a side branch.

    Args:
        agent: the agent that was unrolled.
        unrolled: its rows.
        observations: [rows − 1, batch, *shape] final observations.
        where: [rows − 1, batch] bool, which of them to look at.
        fresh: see them from a fresh state instead.

    Returns:
        Logits [number, head] and values [number], in the order of `where.nonzero()`.
    """
    places = where.nonzero().tolist()
    state = agent.initial_state(len(places))
    if not fresh and state:
        columns = zip(*([part[:, b] for part in unrolled.state_after(t)] for t, b in places), strict=True)
        state = tuple(torch.stack(part, dim=1) for part in columns)
    output, _ = agent.step(observations[where], state, torch.full((len(places),), fresh))
    return output
