"""Cores reset where an episode opens, and only there. Your own cell is checked by adding it to OWN_CELLS below."""

from math import tanh

import pytest
import torch
from torch import Tensor, nn

from rl.agent.cores import CellCore, CoreState, RNNCore, reset_where
from rl.names import CORES, load


class LeakyIntegratorCore(CellCore):
    """A cell of one's own: h' = h / 2 + W x, state (h,). Two methods are all that it takes."""

    parts = 1

    def make_cell(self, input_size: int, hidden_size: int) -> nn.Module:
        return nn.Linear(input_size, hidden_size, bias=False)

    def advance(self, cell: nn.Module, inputs: Tensor, state: CoreState) -> CoreState:
        return (state[0] / 2 + cell(inputs),)


OWN_CELLS = {"leaky": LeakyIntegratorCore}
ALL = {name: load(name, CORES) for name in CORES} | OWN_CELLS
RECURRENT = {name: kind for name, kind in ALL.items() if kind.parts}
FEATURES, HIDDEN, TIME = 3, 4, 6

every_core = pytest.mark.parametrize("core_name", ALL)
every_recurrent_core = pytest.mark.parametrize("core_name", RECURRENT)
one_and_two_layers = pytest.mark.parametrize("layers", [1, 2])


def make_core(core_name: str, layers: int = 1, dtype=torch.float64) -> CellCore:
    torch.manual_seed(1)
    core = ALL[core_name](FEATURES, HIDDEN, layers)
    with torch.no_grad():
        for parameter in core.parameters():
            parameter += 0.3 * torch.randn_like(parameter)  # no bias is 0
    return core.to(dtype)


def make_inputs(core: CellCore, batch: int, time: int = TIME, dtype=torch.float64) -> tuple[Tensor, CoreState]:
    """Random inputs [time, batch, feature] and a random state before them."""
    torch.manual_seed(2)
    state = tuple(torch.randn_like(part) for part in core.initial_state(batch))
    return torch.randn(time, batch, FEATURES, dtype=dtype), state


def no_flags(batch: int, time: int = TIME) -> Tensor:
    return torch.zeros(time, batch, dtype=torch.bool)


def patterns(batch: int) -> list[Tensor]:
    """is_first [time, batch]: never, always, at each single row, and five at random."""
    flags = [no_flags(batch), ~no_flags(batch)]
    for t in range(TIME):
        flags.append(no_flags(batch))
        flags[-1][t] = True
    generator = torch.Generator().manual_seed(3)
    return flags + [torch.rand(TIME, batch, generator=generator) < 0.3 for _ in range(5)]


def raw_cell(cell: nn.Module) -> nn.Module:
    """PyTorch's own cell with the same weights, out of our hands."""
    if isinstance(cell, nn.LSTMCell | nn.GRUCell | nn.RNNCell):
        raw = type(cell)(cell.input_size, cell.hidden_size).double()
        raw.load_state_dict(cell.state_dict())
        return raw
    return cell


def plain_loop(core: CellCore, inputs: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[Tensor, CoreState]:
    """The definition, as slow as can be: one environment, one step, one layer after the other, on PyTorch's cells."""
    cells = [raw_cell(cell) for cell in core.cells]
    outputs = torch.zeros(*inputs.shape[:2], HIDDEN, dtype=inputs.dtype)
    final = tuple(part.clone() for part in core_state)
    for row in range(inputs.shape[1]):
        for t in range(len(inputs)):
            if is_first[t, row]:
                for part in final:
                    part[:, row] = 0.0
            signal = inputs[t, row : row + 1]
            for layer, cell in enumerate(cells):
                before = [part[layer, row : row + 1].clone() for part in final]
                if isinstance(cell, nn.LSTMCell):
                    after = cell(signal, (before[0], before[1]))
                elif isinstance(cell, nn.GRUCell | nn.RNNCell):
                    after = (cell(signal, before[0]),)
                elif not before:
                    after = (cell(signal),)
                else:
                    after = core.advance(cell, signal, tuple(before))
                for part, new in zip(final, after, strict=False):  # an MLP's output is no state
                    part[layer, row] = new[0]
                signal = core.output(cell, after)
            outputs[t, row] = signal[0]
    return outputs, final


def assert_close(one: Tensor | CoreState, other: Tensor | CoreState, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=tolerance)


@pytest.mark.product
@every_core
@one_and_two_layers
@pytest.mark.parametrize("batch", [1, 2, 7])
@torch.no_grad()
def test_unroll_equals_a_plain_loop_of_cells_that_zeroes_the_state_where_an_episode_opens(core_name, layers, batch):
    """ikostrikov/pytorch-a2c-ppo-acktr-gail#206: a network of one's own silently lost the reset.
    leggedrobotics/rsl_rl#35: flags crashed with 1 environment. isaac-sim/IsaacLab#888: they reset the wrong ones."""
    core = make_core(core_name, layers)
    inputs, state = make_inputs(core, batch)
    for is_first in patterns(batch):
        expected, expected_state = plain_loop(core, inputs, state, is_first)
        outputs, final = core.unroll(inputs, state, is_first)
        assert outputs.shape == (TIME, batch, HIDDEN)
        assert_close(outputs, expected)
        assert_close(final, expected_state)


def test_a_leaky_integrator_of_ones_reads_1_and_a_half_more_each_step_and_1_again_after_a_reset():
    """1, 1 + 1/2, 1 + 3/4, then an episode opens: 1, 1 + 1/2. The state before, 100, is forgotten at once."""
    core = LeakyIntegratorCore(1, 1)
    nn.init.ones_(core.cells[0].weight)
    is_first = torch.tensor([True, False, False, True, False])
    outputs, (final,) = core.unroll(torch.ones(5, 1, 1), (torch.full((1, 1, 1), 100.0),), is_first[:, None])
    assert outputs.flatten().tolist() == [1, 1.5, 1.75, 1, 1.5]
    assert final.item() == 1.5


@torch.no_grad()
def test_a_simple_recurrent_network_of_two_inputs_and_two_units_by_hand():
    """h' = tanh(W x + b + U h + c) (Elman 1990), W = [[1, 2], [0, -1]], b = [0.25, 0], U = [[0.5, -0.25], [1, 0]] and
    c = [0.25, -0.5]; the sums are small enough for the head. An episode opens at the last step: U h is 0 there."""
    core = RNNCore(2, 2).double()
    cell = core.cells[0]
    cell.weight_ih[:], cell.bias_ih[:] = torch.tensor([[1.0, 2.0], [0.0, -1.0]]), torch.tensor([0.25, 0.0])
    cell.weight_hh[:], cell.bias_hh[:] = torch.tensor([[0.5, -0.25], [1.0, 0.0]]), torch.tensor([0.25, -0.5])
    inputs = torch.tensor([[1.0, 0.0], [0.0, -1.0], [0.5, 0.5]]).double()[:, None]
    is_first = torch.tensor([False, False, True])[:, None]
    outputs, (final,) = core.unroll(inputs, (torch.tensor([[[2.0, -4.0]]]).double(),), is_first)
    first = [tanh(1 + 0.5 + 0.5 * 2 + 0.25 * 4), tanh(0 - 0.5 + 2)]
    second = [tanh(-2 + 0.5 + 0.5 * first[0] - 0.25 * first[1]), tanh(1 - 0.5 + first[0])]
    third = [tanh(0.5 + 1 + 0.5), tanh(-0.5 - 0.5)]
    assert outputs.flatten().tolist() == pytest.approx([*first, *second, *third], rel=0, abs=1e-15)
    assert torch.equal(final, outputs[-1:])


def test_a_cell_of_ones_own_that_forgets_its_methods_says_which():
    class Empty(CellCore):
        parts = 1

    with pytest.raises(TypeError, match="Empty must define make_cell"):
        Empty(1, 1)


@every_core
@one_and_two_layers
def test_step_by_step_equals_unroll(core_name, layers):
    core = make_core(core_name, layers)
    inputs, state = make_inputs(core, 2)
    is_first = patterns(2)[-1]
    outputs, final = core.unroll(inputs, state, is_first)
    for t in range(TIME):
        output, state = core.step(inputs[t], state, is_first[t])
        assert_close(output, outputs[t])
    assert_close(state, final)


@pytest.mark.product
@every_core
@one_and_two_layers
@pytest.mark.parametrize("t", range(TIME))
def test_the_gradient_across_a_reset_is_exactly_0(core_name, layers, t):
    """Environment 1 of 3 opens an episode at row t: its outputs from t on know nothing before, and no neighbour."""
    core = make_core(core_name, layers)
    inputs, state = make_inputs(core, 3)
    is_first = no_flags(3)
    is_first[t, 1] = True
    sources = [tensor.requires_grad_() for tensor in (inputs, *state)]
    outputs, _ = core.unroll(inputs, state, is_first)
    of_inputs, *of_state = torch.autograd.grad(outputs[t:, 1].square().sum(), sources, materialize_grads=True)
    assert of_inputs[:t].count_nonzero() == 0
    assert of_inputs[:, [0, 2]].count_nonzero() == 0
    assert of_inputs[t:, 1].count_nonzero() == (TIME - t) * FEATURES
    assert all(gradient.count_nonzero() == 0 for gradient in of_state)


@every_recurrent_core
@one_and_two_layers
def test_without_a_reset_the_gradient_of_the_last_output_reaches_the_first_input_and_the_state_before(
    core_name, layers
):
    core = make_core(core_name, layers)
    inputs, state = make_inputs(core, 3)
    sources = [tensor.requires_grad_() for tensor in (inputs, *state)]
    outputs, _ = core.unroll(inputs, state, no_flags(3))
    of_inputs, *of_state = torch.autograd.grad(outputs[-1, 1].square().sum(), sources)
    assert of_inputs[0, 1].count_nonzero() == FEATURES
    assert all(gradient[:, 1].count_nonzero() == gradient[:, 1].numel() >= layers * HIDDEN for gradient in of_state)


@every_core
@pytest.mark.parametrize("t", range(1, TIME))
def test_outputs_before_t_do_not_depend_on_later_inputs(core_name, t):
    core = make_core(core_name, layers=2)
    inputs, state = make_inputs(core, 2)
    inputs.requires_grad_()
    outputs, _ = core.unroll(inputs, state, patterns(2)[-1])
    (gradient,) = torch.autograd.grad(outputs[:t].square().sum(), inputs)
    assert gradient[t:].count_nonzero() == 0
    assert gradient[:t].count_nonzero() > 0


@every_core
@one_and_two_layers
@torch.no_grad()
def test_7_environments_in_another_order_give_the_same_outputs_in_that_order(core_name, layers):
    """Stable-Baselines-Team/stable-baselines3-contrib#284: a batch column that is not one environment's stream."""
    core = make_core(core_name, layers)
    inputs, state = make_inputs(core, 7)
    is_first = patterns(7)[-1]
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    outputs, final = core.unroll(inputs, state, is_first)
    shuffled, shuffled_final = core.unroll(inputs[:, order], tuple(p[:, order] for p in state), is_first[:, order])
    assert_close(shuffled, outputs[:, order])
    assert_close(shuffled_final, tuple(part[:, order] for part in final))


@every_recurrent_core
@torch.no_grad()
def test_the_same_inputs_in_another_order_of_time_give_other_outputs(core_name):
    """thu-ml/tianshou#937: transitions must not be shuffled before a recurrent network."""
    core = make_core(core_name)
    inputs, state = make_inputs(core, 2)
    forwards, _ = core.unroll(inputs, state, no_flags(2))
    backwards, _ = core.unroll(inputs.flip(0), state, no_flags(2))
    assert (forwards - backwards.flip(0)).abs().max() > 0.01


@pytest.mark.product
@every_core
@one_and_two_layers
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("boundary", [None, *range(8)])
@torch.no_grad()
def test_8_steps_equal_4_and_4_with_the_state_carried_wherever_an_episode_opens(
    core_name, layers, dtype, tolerance, boundary
):
    """ray-project/ray#2898: the state was zeroed at each training sequence though acting had carried it."""
    core = make_core(core_name, layers, dtype)
    inputs, state = make_inputs(core, 2, time=8, dtype=dtype)
    is_first = no_flags(2, time=8)
    if boundary is not None:
        is_first[boundary, 1] = True
    outputs, final = core.unroll(inputs, state, is_first)
    first, carried = core.unroll(inputs[:4], state, is_first[:4])
    second, last = core.unroll(inputs[4:], carried, is_first[4:])
    assert_close(torch.cat((first, second)), outputs, tolerance)
    assert_close(last, final, tolerance)
    if core.parts:
        forgetful, _ = core.unroll(inputs[4:], core.initial_state(2), is_first[4:])
        assert (forgetful - outputs[4:]).abs().max() > 0.01


@every_core
@one_and_two_layers
def test_a_nan_in_the_state_before_a_reset_does_not_survive_it(core_name, layers):
    """nan · 0 is nan: a reset must select, not multiply. Row 1 is nan and opens an episode, row 0 goes on."""
    core = make_core(core_name, layers)
    inputs, state = make_inputs(core, 2)
    is_first = no_flags(2)
    is_first[0, 1] = True
    sick = tuple(part.clone() for part in state)
    for part in sick:
        part[:, 1] = torch.nan
    outputs, final = core.unroll(inputs, sick, is_first)
    healthy, healthy_final = core.unroll(inputs, state, is_first)
    assert torch.equal(outputs, healthy)
    assert all(torch.equal(one, other) for one, other in zip(final, healthy_final, strict=True))
    gradients = torch.autograd.grad(outputs.sum(), list(core.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


@every_core
@one_and_two_layers
@torch.no_grad()
def test_neither_step_nor_unroll_modifies_a_tensor_of_the_caller(core_name, layers):
    """leggedrobotics/rsl_rl#130: a call that only wanted a value moved the live state."""
    core = make_core(core_name, layers)
    inputs, state = make_inputs(core, 2)
    is_first = ~no_flags(2)
    arguments = (inputs, *state, is_first)
    before = [tensor.clone() for tensor in arguments]
    core.unroll(inputs, state, is_first)
    core.step(inputs[0], state, is_first[0])
    reset_where(is_first[0], state)
    assert all(torch.equal(now, then) for now, then in zip(arguments, before, strict=True))


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_a_reset_zeroes_the_flagged_rows_of_every_layer_and_part_and_no_other(batch):
    """isaac-sim/IsaacLab#888: flags 0, 1, 0 used as indices reset environments 0 and 1 instead of environment 1."""
    state = tuple(torch.arange(1.0, 1 + 2 * batch * 3).reshape(2, batch, 3) * sign for sign in (1, -1))
    for row in range(batch):
        is_first = torch.arange(batch) == row
        for part, old in zip(reset_where(is_first, state), state, strict=True):
            assert part[:, row].tolist() == [[0, 0, 0], [0, 0, 0]]
            assert torch.equal(part[:, ~is_first], old[:, ~is_first])


def test_integers_in_place_of_flags_are_refused():
    """isaac-sim/IsaacLab#888"""
    with pytest.raises(RuntimeError, match="bool"):
        reset_where(torch.tensor([0, 1, 0]), (torch.ones(1, 3, 2),))


@every_core
@one_and_two_layers
def test_a_fresh_state_is_zeros_and_equals_a_reset(core_name, layers):
    core = make_core(core_name, layers)
    inputs, state = make_inputs(core, 2)
    fresh = core.initial_state(2)
    assert len(fresh) == core.parts
    assert all(part.shape[:2] == (layers, 2) and part.dtype == torch.float64 for part in fresh)
    assert all(part.count_nonzero() == 0 for part in fresh)
    opens = torch.ones(2, dtype=torch.bool)
    assert_close(core.step(inputs[0], state, opens)[0], core.step(inputs[0], fresh, ~opens)[0], 0.0)
