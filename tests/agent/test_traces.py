"""A graph that torch records of an agent's step keeps the reset, though no episode opened while it was recorded."""

import pytest
import torch
from torch import nn

from rl.agent.check import check_core
from rl.agent.cores import GRUCore
from tests.support.rl_small import lively_agent, small_config

BATCH = 4


class Step(nn.Module):
    """A step of an agent, as torch's tools take it: tensors in, tensors out."""

    def __init__(self, agent):
        super().__init__()
        self.agent = agent

    def forward(self, observation, is_first, *core_state):
        output, core_state = self.agent.step(observation, core_state, is_first)
        return output.logits, output.values, *core_state


class Branches(GRUCore):
    """A core of a user's own, which keeps all rules of `check_core`."""

    def step(self, inputs, core_state, is_first):
        if is_first.any():
            core_state = tuple(torch.where(is_first[None, :, None], 0.0, part) for part in core_state)
        return super().step(inputs, core_state, torch.zeros_like(is_first))


def by_jit(step, example):
    return torch.jit.trace(step, example)


def by_export(step, example):
    return torch.export.export(step, example).module()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "error::torch.jit.TracerWarning")
@pytest.mark.parametrize("record", [by_jit, by_export])
@pytest.mark.parametrize(
    "options",
    [{"core": "rnn"}, {"core": "gru", "core_layers": 2}, {"core": "lstm"}, {"core": "lstm", "separate_critic": True}],
    ids=str,
)
def test_a_recorded_step_resets_the_rows_that_open_an_episode_and_no_other(record, options):
    """A branch on `is_first` would be taken for ever as it was taken once: no reset at all, with a mere warning."""
    assert_resets(lively_agent(small_config(**options), 3), record)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_a_core_of_a_users_own_that_branches_on_is_first_keeps_the_reset_or_cannot_be_recorded():
    agent = lively_agent(small_config(core=f"{__name__}:Branches"), 3)
    check_core(Branches)
    assert_resets(agent, by_jit)
    with pytest.raises(Exception, match="data-dependent"):
        assert_resets(agent, by_export)


@torch.no_grad()
def assert_resets(agent, record):
    """Record a step in which no episode opens, then let episodes open."""
    observation = torch.randn(BATCH, 3, dtype=torch.float64)
    state = tuple(torch.randn_like(part) for part in agent.initial_state(BATCH))
    nobody = torch.zeros(BATCH, dtype=torch.bool)
    recorded = record(Step(agent), (observation, nobody, *state))
    for opens in (nobody, ~nobody, torch.arange(BATCH) % 2 == 0):
        sick = tuple(torch.where(opens[:, None], torch.full_like(part, torch.nan), part) for part in state)
        for expected, found in zip(
            Step(agent)(observation, opens, *state), recorded(observation, opens, *sick), strict=True
        ):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
