"""Cores: what remembers between torso and heads. One signature for MLP, RNN, GRU and LSTM; `()` is a state too.

A core holds parameters, never time: the state goes in and comes out, and the caller keeps it. Every core resets itself
where `is_first` marks the first observation of an episode, *before* it consumes that observation.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

CoreState = tuple[Tensor, ...]  # () MLP, (h,) RNN and GRU, (h, c) LSTM; each [layer, batch, ...]


def reset_where(is_first: Tensor, core_state: CoreState) -> CoreState:
    """Return the state with a fresh one (zeros) in the rows that open an episode.

    Selects instead of multiplying, since nan · 0 is nan, and leaves the caller's tensors untouched. Where no row opens
    an episode there is nothing to do, which a graph that torch records must not believe for ever: there it selects.

    Args:
        is_first: [batch] bool.
        core_state: tensors [layer, batch, ...].
    """
    if not is_recorded() and not is_first.any():
        return core_state
    shaped = (is_first.reshape(1, -1, *[1] * (part.dim() - 2)) for part in core_state)  # batch -> 1 batch 1 ...
    return tuple(
        torch.where(opens, torch.zeros_like(part), part) for opens, part in zip(shaped, core_state, strict=True)
    )


def is_recorded() -> bool:
    """Whether torch records a graph of what runs (torch.jit.trace, torch.export, torch.onnx, torch.compile)."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


class Core(Protocol):
    """What an agent asks of a core; `rl.agent.check.check_core` tries whether a core keeps it."""

    hidden_size: int  # numbers in an output

    def initial_state(self, batch_size: int) -> CoreState:
        """Fresh state of `batch_size` environments: tensors [layer, batch, hidden]."""

    def step(self, inputs: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[Tensor, CoreState]:
        """Consume one input of every environment [batch, feature]; see `CellCore.step`."""

    def unroll(self, inputs: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[Tensor, CoreState]:
        """Consume a segment [time, batch, feature]; see `CellCore.unroll`."""


class CellCore(nn.Module):
    """A layered cell under resets: subclasses name the parts of their state and step one layer."""

    parts: int  # tensors in the state

    def __init__(self, input_size: int, hidden_size: int, layers: int = 1) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        sizes = [input_size] + [hidden_size] * (layers - 1)
        self.cells = nn.ModuleList(self.make_cell(size, hidden_size) for size in sizes)

    def make_cell(self, input_size: int, hidden_size: int) -> nn.Module:
        """Build one layer."""
        raise TypeError(f"{type(self).__name__} must define make_cell")

    def advance(self, cell: nn.Module, inputs: Tensor, state: CoreState) -> CoreState:
        """Step one layer: inputs [batch, feature], its state [batch, hidden] each -> its next state."""
        raise TypeError(f"{type(self).__name__} must define advance")

    def output(self, cell: nn.Module, state: CoreState) -> Tensor:
        """What a layer says [batch, hidden], given its state after the step."""
        return state[0]

    def initial_state(self, batch_size: int) -> CoreState:
        """Fresh state, zeros: `parts` tensors [layer, batch, hidden]."""
        reference = next(self.parameters())
        return tuple(reference.new_zeros(len(self.cells), batch_size, self.hidden_size) for _ in range(self.parts))

    def step(self, inputs: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[Tensor, CoreState]:
        """Consume one observation of every environment.

        Args:
            inputs: [batch, feature].
            core_state: state before these inputs, [layer, batch, hidden] each.
            is_first: [batch] bool; such rows start from a fresh state.

        Returns:
            Outputs [batch, hidden] and the state after these inputs.
        """
        core_state = reset_where(is_first, core_state)
        layers = []
        for layer, cell in enumerate(self.cells):
            state = self.advance(cell, inputs, tuple(part[layer] for part in core_state))
            inputs = self.output(cell, state)
            layers.append(state)
        return inputs, tuple(torch.stack(part) for part in zip(*layers, strict=True))

    def unroll(self, inputs: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[Tensor, CoreState]:
        """Consume a segment, step after step: the plain loop that defines what any faster form must equal.

        Args:
            inputs: [time, batch, feature].
            core_state: state before inputs[0].
            is_first: [time, batch] bool.

        Returns:
            Outputs [time, batch, hidden] and the state after the last step.
        """
        outputs = []
        for row, first in zip(inputs, is_first, strict=True):
            output, core_state = self.step(row, core_state, first)
            outputs.append(output)
        return torch.stack(outputs), core_state


class LSTMCore(CellCore):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000), state (h, c).

    i, f, g, o = σ, σ, tanh, σ of W x + U h + b;   c' = f · c + i · g;   h' = o · tanh(c').
    """

    parts = 2

    def make_cell(self, input_size: int, hidden_size: int) -> nn.Module:
        """One LSTM layer: orthogonal weights; the forget gate's bias 1 (Jozefowicz et al. 2015, §2.2), so it keeps."""
        return orthogonal_cell(nn.LSTMCell(input_size, hidden_size), forget_gate=1)

    def advance(self, cell: nn.Module, inputs: Tensor, state: CoreState) -> CoreState:
        """(h, c) -> (h', c')."""
        return cell(inputs, state)


class GRUCore(CellCore):
    """Gated recurrent unit (Cho et al. 2014), state (h,).

    r, z = σ(W x + U h + b);   n = tanh(Wₙ x + bₙ + r · (Uₙ h + cₙ));   h' = (1 − z) · n + z · h.
    """

    parts = 1

    def make_cell(self, input_size: int, hidden_size: int) -> nn.Module:
        """One GRU layer: orthogonal weights, zero biases."""
        return orthogonal_cell(nn.GRUCell(input_size, hidden_size))

    def advance(self, cell: nn.Module, inputs: Tensor, state: CoreState) -> CoreState:
        """(h,) -> (h',)."""
        return (cell(inputs, state[0]),)


class RNNCore(CellCore):
    """Simple recurrent network (Elman 1990), state (h,).

    h' = tanh(W x + b + U h + c).
    """

    parts = 1

    def make_cell(self, input_size: int, hidden_size: int) -> nn.Module:
        """One layer: orthogonal weights, zero biases."""
        return orthogonal_cell(nn.RNNCell(input_size, hidden_size))

    def advance(self, cell: nn.Module, inputs: Tensor, state: CoreState) -> CoreState:
        """(h,) -> (h',)."""
        return (cell(inputs, state[0]),)


class MLPCore(CellCore):
    """Layers without memory, state (): the same path as the others with nothing to carry."""

    parts = 0

    def __init__(
        self, input_size: int, hidden_size: int, layers: int = 1, activation: Callable[[], nn.Module] = nn.Tanh
    ) -> None:
        self.activation = activation
        super().__init__(input_size, hidden_size, layers)

    def make_cell(self, input_size: int, hidden_size: int) -> nn.Module:
        """One layer and its activation, orthogonal weights of gain √2."""
        return nn.Sequential(orthogonal_linear(input_size, hidden_size, gain=2**0.5), self.activation())

    def step(self, inputs: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[Tensor, CoreState]:
        """Outputs [..., hidden] of inputs [..., feature]; there is no state to reset or to carry."""
        for cell in self.cells:
            inputs = cell(inputs)
        return inputs, ()

    unroll = step  # without memory, a segment is one large batch


def orthogonal_linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    """A linear layer with orthogonal weights (Saxe et al. 2014) and zero bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def orthogonal_cell(cell: nn.RNNCellBase, forget_gate: int | None = None) -> nn.RNNCellBase:
    """Give every gate its own orthogonal matrices of gain 1 and zero biases; the forget gate, if named, a bias of 1."""
    size = cell.hidden_size
    for weight in (cell.weight_ih, cell.weight_hh):
        for gate in weight.data.split(size):
            nn.init.orthogonal_(gate)
    nn.init.zeros_(cell.bias_ih)
    nn.init.zeros_(cell.bias_hh)
    if forget_gate is not None:
        cell.bias_ih.data[forget_gate * size : (forget_gate + 1) * size] = 1.0
    return cell
