"""A critic that shares nothing with the policy: two torsos and two cores side by side."""

import torch
from torch import Tensor, nn

from rl.agent.cores import Core, CoreState


class TwinTorso(nn.Module):
    """Two torsos that see the same observation; what they say lies side by side, [..., 2 · feature]."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, observations: Tensor) -> Tensor:
        """Both torsos of observations [..., feature]."""
        return torch.cat([self.first(observations), self.second(observations)], dim=-1)


class TwinCore(nn.Module):
    """Two cores side by side that share nothing: each has its half of inputs and outputs, and its part of the state."""

    def __init__(self, first: Core, second: Core) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.hidden_size = first.hidden_size + second.hidden_size

    def initial_state(self, batch_size: int) -> CoreState:
        """Fresh state of both."""
        return self.first.initial_state(batch_size) + self.second.initial_state(batch_size)

    def step(self, inputs: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[Tensor, CoreState]:
        """Consume one observation of every environment, each half of the inputs [batch, feature] by its core."""
        return self._both("step", inputs, core_state, is_first)

    def unroll(self, inputs: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[Tensor, CoreState]:
        """Consume a segment, each half of the inputs [time, batch, feature] by its core."""
        return self._both("unroll", inputs, core_state, is_first)

    def _both(self, what: str, inputs: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[Tensor, CoreState]:
        halves, parts = inputs.chunk(2, dim=-1), len(core_state) // 2  # both are of one kind
        first, first_state = getattr(self.first, what)(halves[0], core_state[:parts], is_first)
        second, second_state = getattr(self.second, what)(halves[1], core_state[parts:], is_first)
        return torch.cat([first, second], dim=-1), first_state + second_state
