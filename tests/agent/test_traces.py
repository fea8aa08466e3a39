"""A graph that torch records of an agent's step keeps the reset, though no episode opened while it was recorded."""

import pytest
import torch
from torch import nn

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
@torch.no_grad()
def test_a_recorded_step_resets_the_rows_that_open_an_episode_and_no_other(record, options):
    """A branch on `is_first` would be taken for ever as it was taken once: no reset at all, with a mere warning."""
    agent = lively_agent(small_config(**options), 3)
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
