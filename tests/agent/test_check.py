"""`check_core` accepts every core of ours and says in one sentence what a core of yours breaks."""

import re

import pytest
import torch
from torch import nn

from rl.agent.check import check_core
from rl.agent.cores import CellCore, GRUCore, reset_where
from rl.names import CORES, load


class Leaky(CellCore):
    """h' = h / 2 + W x: two methods and the number of parts are all that a core takes."""

    parts = 1

    def make_cell(self, input_size, hidden_size):
        return nn.Linear(input_size, hidden_size)

    def advance(self, cell, inputs, state):
        return (state[0] / 2 + cell(inputs),)


@pytest.mark.parametrize("core", [*(load(name, CORES) for name in CORES), Leaky])
def test_every_core_of_ours_and_a_leaky_integrator_keep_the_rules(core):
    before = torch.random.get_rng_state()
    check_core(core)
    assert torch.equal(torch.random.get_rng_state(), before)  # the caller's random numbers stay as they were


class OtherSize(Leaky):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.hidden_size = 7


class ListState(Leaky):
    def initial_state(self, batch_size):
        return list(super().initial_state(batch_size))


class BatchFirst(Leaky):
    def initial_state(self, batch_size):
        return tuple(part.transpose(0, 1) for part in super().initial_state(batch_size))


class Ones(Leaky):
    def initial_state(self, batch_size):
        return tuple(part + 1 for part in super().initial_state(batch_size))


class NextToLast(Leaky):
    def step(self, inputs, core_state, is_first):
        output, core_state = super().step(inputs, core_state, is_first)
        return output[:, :-1], core_state


class InPlace(Leaky):
    def step(self, inputs, core_state, is_first):
        core_state[0][:, is_first] = 0.0
        core_state[0].mul_(0.5)
        return super().step(inputs, core_state, is_first)


class Keeps(Leaky):
    """A module that remembers by itself."""

    calls = 0

    def step(self, inputs, core_state, is_first):
        self.calls += 1
        return super().step(inputs + self.calls, core_state, is_first)


class Mixes(Leaky):
    def step(self, inputs, core_state, is_first):
        return super().step(inputs - inputs[:1], core_state, is_first)


class NoReset(Leaky):
    def step(self, inputs, core_state, is_first):
        return super().step(inputs, core_state, torch.zeros_like(is_first))


class ResetByProduct(Leaky):
    """nan · 0 is nan."""

    def step(self, inputs, core_state, is_first):
        kept = tuple(part * ~is_first[None, :, None] for part in core_state)
        return super().step(inputs, kept, torch.zeros_like(is_first))


class ResetAfter(Leaky):
    """One step late."""

    def step(self, inputs, core_state, is_first):
        output, core_state = super().step(inputs, core_state, torch.zeros_like(is_first))
        return output, reset_where(is_first, core_state)


class ResetsAll(Leaky):
    def step(self, inputs, core_state, is_first):
        return super().step(inputs, core_state, is_first | is_first.any())


class UnrollsWithoutResets(Leaky):
    def unroll(self, inputs, core_state, is_first):
        return super().unroll(inputs, core_state, torch.zeros_like(is_first))


class NoAdvance(CellCore):
    parts = 1

    def make_cell(self, input_size, hidden_size):
        return nn.Linear(input_size + hidden_size, hidden_size)


class NoParts(CellCore):
    def make_cell(self, input_size, hidden_size):
        return nn.GRUCell(input_size, hidden_size)

    def advance(self, cell, inputs, state):
        return (cell(inputs, state[0]),)


class NoTuple(NoParts):
    parts = 1

    def advance(self, cell, inputs, state):
        return cell(inputs, state[0])


class TwoParts(NoTuple):
    def advance(self, cell, inputs, state):
        return state[0], cell(inputs, state[0])


class Mean(NoTuple):
    """The same whatever the order of the batch, and yet no environment is by itself."""

    def advance(self, cell, inputs, state):
        return (cell(inputs, state[0].mean(0, keepdim=True).expand_as(state[0])),)


class NoCore:
    pass


class Foreign(nn.Module):
    def __init__(self, input_size, hidden_size, layers):
        super().__init__()
        self.hidden_size = hidden_size


class Idle(GRUCore):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.idle = nn.Parameter(torch.zeros(3))


@pytest.mark.parametrize(
    ("core", "sentence"),
    [
        (OtherSize, "must be a torch.nn.Module whose hidden_size is its number of outputs, 4 here"),
        (ListState, ".initial_state must return a tuple of tensors, () for a core without memory"),
        (
            BatchFirst,
            ".initial_state(5) must have parts [layer, batch, hidden] in the precision of the parameters, not",
        ),
        (Ones, ".initial_state must be zeros: a reset zeroes the state"),
        (NextToLast, ".step must return outputs [batch, hidden], not (5, 3)"),
        (InPlace, ".step must not change the inputs or the state that it was given"),
        (Keeps, ".step must return the same twice: a core keeps parameters, the caller keeps the state"),
        (Mixes, ".step must treat each environment by itself, whatever stands beside it in the batch"),
        (NoReset, ".step must start from a fresh state where is_first is True, before it consumes the input"),
        (ResetByProduct, ".step must start from a fresh state where is_first is True, before it consumes the input"),
        (ResetAfter, ".step must start from a fresh state where is_first is True, before it consumes the input"),
        (ResetsAll, ".step must carry the state where is_first is False"),
        (UnrollsWithoutResets, ".unroll must equal UnrollsWithoutResets.step, row after row, resets included"),
        (NoAdvance, "must define advance"),
        (NoParts, "must define parts"),
        (
            NoTuple,
            ".advance must return a tuple of 1 tensors [batch, hidden], as many as `parts` says, [(5, 4)] here, not T",
        ),
        (
            TwoParts,
            ".advance must return a tuple of 1 tensors [batch, hidden], as many as `parts` says, [(5, 4)] here, not "
            "[(5, 4), (5, 4)]",
        ),
        (Mean, ".step must treat each environment by itself, whatever stands beside it in the batch"),
        (NoCore, "raised TypeError: NoCore() takes no arguments"),
        (Foreign, "must define initial_state"),
        (Idle, "must use all of its parameters: idle has no gradient"),
    ],
)
def test_a_core_that_breaks_a_rule_is_told_in_one_sentence(core, sentence):
    with pytest.raises(ValueError, match=f"^{core.__name__} ?{re.escape(sentence)}") as told:
        check_core(core)
    assert "\n" not in str(told.value)
