"""What diagonal cores have in common: layers of a cell and a mixing layer, and the gradient that is carried.

In a diagonal recurrence a unit's next value depends on its own last value alone, hₜ = aₜ · hₜ₋₁ + uₜ. So ∂h/∂θ has one
number for each parameter, and not one for each pair of unit and parameter: it goes on from step to step like the state,

    ∂hₜ/∂θ = aₜ · ∂hₜ₋₁/∂θ + ∂aₜ/∂θ · hₜ₋₁ + ∂uₜ/∂θ      (real-time recurrent learning, Williams & Zipser 1989).

These are the sensitivities. A segment that begins with the state h_start and with ∂h_start/∂θ knows its whole gradient,

    dL/dθ = what the segment says + ∂L/∂h_start · ∂h_start/∂θ,

however long ago the steps were that made h_start (Zucchet et al. 2023; Elelimy et al. 2024, §3). Parameters change
while sensitivities are carried: they are those of the parameters that acted. What lies below the core keeps the cut.

The mixing layer behind a recurrence is not recurrent, and needs none of this.
"""

import torch
from torch import Tensor, nn

from rl.agent.cores import CellCore, CoreState


class DiagonalCell(nn.Module):
    """One layer: a diagonal recurrence, and the layer that mixes its units."""

    state_size: int  # numbers of its state [batch, state]
    mix: nn.Linear

    def fresh_sensitivities(self, batch_size: int) -> Tensor:
        """∂h/∂θ of a fresh state: zeros [batch, ...]."""
        raise TypeError(f"{type(self).__name__} must define fresh_sensitivities")

    def advance(self, inputs: Tensor, h: Tensor) -> Tensor:
        """The state [batch, state] after inputs [batch, feature]."""
        raise TypeError(f"{type(self).__name__} must define advance")

    def advance_sensitivities(self, inputs: Tensor, h: Tensor, sensitivities: Tensor) -> Tensor:
        """∂h/∂θ after inputs [batch, feature], given h and ∂h/∂θ before them."""
        raise TypeError(f"{type(self).__name__} must define advance_sensitivities")

    def attached(self, h: Tensor, sensitivities: Tensor) -> Tensor:
        """The same state, as a function of the parameters that has these sensitivities as its gradient."""
        raise TypeError(f"{type(self).__name__} must define attached")

    def add_carried(self, d_h: Tensor, sensitivities: Tensor) -> None:
        """Add ∂L/∂h · ∂h/∂θ to the gradients of the parameters, given ∂L/∂h [batch, state]."""
        raise TypeError(f"{type(self).__name__} must define add_carried")


class DiagonalCore(CellCore):
    """Layers of a diagonal cell, each with its mixing layer behind it; state (h,), or (h, ∂h/∂θ)."""

    parts = 1
    cell: type[DiagonalCell]
    carries_gradient = False  # set where the core learns; whoever only acts carries the state alone

    def __init__(self, input_size: int, hidden_size: int, layers: int = 1, longest_memory: int = 64) -> None:
        """Draw parameters: units forget within 1 to `longest_memory` steps at first."""
        self.longest_memory = longest_memory
        super().__init__(input_size, hidden_size, layers)

    def make_cell(self, input_size: int, hidden_size: int) -> nn.Module:
        """One layer."""
        return self.cell(input_size, hidden_size, self.longest_memory)

    def advance(self, cell: DiagonalCell, inputs: Tensor, state: CoreState) -> CoreState:
        """(h,) -> (h',), and (h, ∂h/∂θ) -> (h', ∂h'/∂θ)."""
        after = (cell.advance(inputs, state[0]),)
        if len(state) == 1:
            return after
        with torch.no_grad():
            return (*after, cell.advance_sensitivities(inputs, *state))

    def output(self, cell: DiagonalCell, state: CoreState) -> Tensor:
        """y = tanh(M h + b)."""
        return torch.tanh(cell.mix(state[0]))

    def initial_state(self, batch_size: int) -> CoreState:
        """Zeros: h [layer, batch, state], and ∂h/∂θ [1, batch, ...] where the gradient is carried.

        Raises:
            ValueError: the gradient is carried through more than one layer.
        """
        cell, reference = self.cells[0], next(self.parameters())
        state = (reference.new_zeros(len(self.cells), batch_size, cell.state_size),)
        if not self.carries_gradient:
            return state
        if len(self.cells) > 1:
            raise ValueError(f"the gradient is carried through one layer, not {len(self.cells)}")
        return (*state, cell.fresh_sensitivities(batch_size)[None])

    def unroll(self, inputs: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[Tensor, CoreState]:
        """As `CellCore.unroll`; a state that has sensitivities brings its gradient along."""
        if len(core_state) > 1 and torch.is_grad_enabled():
            h, sensitivities = core_state
            core_state = (self.cells[0].attached(h[0], sensitivities[0])[None], sensitivities)
        return super().unroll(inputs, core_state, is_first)


def decays(units: int, longest_memory: int) -> Tensor:
    """One value of 1/τ for each unit: what it remembers falls to 1/e within τ steps, from 1 to `longest_memory`.

    τ is log-uniform, from torch's global generator.
    """
    return torch.rand(units).mul(-torch.tensor(float(longest_memory)).log()).exp()
