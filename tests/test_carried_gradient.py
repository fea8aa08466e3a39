"""How the gradient travels: read this after test_carry_over.py.

An episode shows 8 once and zeros from then on. The core has one unit, h ← ½ h + ½ w x, and the value is h. So with
w = 1 the values of an episode are 4, 2, 1, ½, and their derivatives by w, the sensitivities, are 4, 2, 1, ½ too. In
segments of two steps the 8 lies in the first one. The values of the second come from it through the carried state, and
w had a part in them, but a gradient that ends at the segment's border says that it had none.

    segment k:    h, ∂h/∂w --> o_0 -> o_1 --> h, ∂h/∂w of segment k + 1
    gradient:     what the segment itself says + ∂L/∂h_start · ∂h_start/∂w

tests/agent/test_sensitivities.py says the same of every parameter, of both diagonal cores and of the fast path.
"""

import pytest
import torch
from torch import nn

from rl.acting.player import AgentPlayer
from rl.agent.actions.categorical import Categorical
from rl.agent.agent import Agent
from rl.agent.diagonal.mingru import MinGRUCore
from tests.support.counting import collector


class Cue(nn.Module):
    """Shows 8 where the counting environment shows step 0."""

    def forward(self, observation):
        return 8.0 * (observation == 0).float()


class HalvingCore(MinGRUCore):
    """One minGRU whose gate is always ½, without the mixing layer behind it."""

    def output(self, cell, state):
        return state[0]


def halving_agent(weight=1.0, carries_gradient=True):
    agent = Agent(Cue(), HalvingCore(1, 1), actions=Categorical(2))
    agent.core.carries_gradient = carries_gradient
    cell = agent.core.cells[0]
    with torch.no_grad():
        cell.weight[:], cell.bias[:] = torch.tensor([[0.0], [weight]]), 0.0  # of the gate, and of the candidate
        nn.init.ones_(agent.value_head.weight)
    return agent


def values_and_slopes(agent, segment):
    """V(o_t) of a segment's steps and dV(o_t)/dw, a row for each environment."""
    output, _ = agent.unroll(segment.observations[:-1], segment.core_state, segment.is_first[:-1])
    slopes = torch.zeros_like(output.values)
    for t, row in enumerate(output.values):
        for column, value in enumerate(row):
            if value.requires_grad:
                [by_weight] = torch.autograd.grad(value, agent.core.cells[0].weight, retain_graph=True)
                slopes[t, column] = by_weight[1, 0]
    return output.values.T.tolist(), slopes.T.tolist()


def carried(segment):
    """∂h/∂w that was carried into a segment, for each environment."""
    _, sensitivities = segment.core_state
    return sensitivities[0, :, 1, 0].tolist()


def test_the_sensitivity_is_carried_across_segments_beside_the_state():
    two_steps = collector(segment_length=2, agent=halving_agent(weight=3.0))
    segments = [two_steps.collect() for _ in range(3)]
    assert [segment.core_state[0].item() for segment in segments] == [0, 6, 1.5]  # h = 12, 6, 3, 1½ with w = 3
    assert [carried(segment) for segment in segments] == [[0], [2], [0.5]]  # ∂h/∂w = 4, 2, 1, ½ whatever w is


def test_the_gradient_of_a_segment_reaches_the_cue_of_the_segment_before():
    two_steps = collector(segment_length=2, agent=halving_agent())
    first, second = two_steps.collect(), two_steps.collect()
    assert values_and_slopes(two_steps.agent, first) == ([[4, 2]], [[4, 2]])
    assert values_and_slopes(two_steps.agent, second) == ([[1, 0.5]], [[1, 0.5]])


def test_with_the_state_alone_carried_the_values_are_the_same_and_the_gradient_is_0():
    """The proof that the test above can tell: this is what a gradient that ends at the border looks like."""
    two_steps = collector(segment_length=2, agent=halving_agent(carries_gradient=False))
    first, second = two_steps.collect(), two_steps.collect()
    assert values_and_slopes(two_steps.agent, first) == ([[4, 2]], [[4, 2]])
    assert values_and_slopes(two_steps.agent, second) == ([[1, 0.5]], [[0, 0]])


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_segments_of_any_length_learn_what_one_segment_of_8_learns(steps):
    agent = halving_agent()
    whole = values_and_slopes(agent, collector(segment_length=8, agent=agent).collect())
    parts = collector(segment_length=steps, agent=agent)
    slopes = [slope for _ in range(8 // steps) for slope in values_and_slopes(agent, parts.collect())[1][0]]
    assert slopes == whole[1][0] == [4, 2, 1, 0.5, 0.25, 0.125, 0.0625, 0.03125]


def test_an_episode_that_opens_inside_a_segment_has_no_past():
    two_steps = collector(segment_length=2, lengths=[3], agent=halving_agent())
    _, second, third = (two_steps.collect() for _ in range(3))
    assert second.is_first[:-1].T.tolist() == [[False, True]]
    assert values_and_slopes(two_steps.agent, second) == ([[1, 4]], [[1, 4]])
    assert carried(third) == [4]  # not 4½: nothing of the episode before is left


def test_an_episode_that_opens_exactly_at_a_segments_border_has_no_past():
    two_steps = collector(segment_length=2, lengths=[2], agent=halving_agent())
    two_steps.collect()
    second = two_steps.collect()
    assert carried(second) == [2]  # the old episode's still lies there ...
    assert values_and_slopes(two_steps.agent, second) == ([[4, 2]], [[4, 2]])  # ... and counts for nothing


def test_every_environment_has_its_own_sensitivity():
    two_steps = collector(segment_length=2, lengths=[2, 3, 100], agent=halving_agent())
    segments = [two_steps.collect() for _ in range(3)]
    assert [carried(segment) for segment in segments] == [[0, 0, 0], [2, 2, 2], [2, 4, 0.5]]


def test_who_only_plays_carries_the_state_alone():
    agent = halving_agent(carries_gradient=False)
    player = AgentPlayer(agent)
    player.act(torch.zeros(1, 1).numpy(), is_first=True)
    assert [part.shape for part in player.core_state] == [(1, 1, 1)]
