"""How hidden state travels: read this file first.

The core of support/counting.py counts, and its environment counts too, so every number below can be checked in the
head. `CountingCore` remembers how many observations of the episode it has consumed; the value head shows that count, so
V(o_t) is t + 1: 1 for the observation that opens an episode, 2 for the next. If a state were lost, kept too long,
advanced twice or taken from a neighbour, some count would be wrong.

    segment k:    core_state --> o_0 -> o_1 -> ... -> o_N-1 --> (state after o_N-1) = core_state of segment k + 1
                                                        \\--> o_N: bootstrap, on the learner's side only
"""

import numpy as np
import pytest
import torch
from torch import nn

from rl.acting.player import AgentPlayer
from rl.agent.actions.categorical import Categorical
from rl.agent.agent import Agent
from rl.agent.twin import TwinCore, TwinTorso
from tests.support.configs import cartpole_config
from tests.support.counting import CountingCore, collector, counting_agent
from tests.support.rl_small import differentiate, make_agent


@torch.no_grad()
def unrolled_values(agent, segment):
    """What the learner computes: values of all N + 1 observations, from the state that came with the segment."""
    output, _ = agent.unroll(segment.observations, segment.core_state, segment.is_first)
    return output.values.T.tolist()  # a row for each environment


def count(segment):
    """The count that was carried into a segment, for each environment."""
    return segment.core_state[0].flatten().tolist()


def test_state_is_carried_across_segments():
    four_steps = collector(segment_length=4, lengths=[10])
    assert [count(four_steps.collect()) for _ in range(3)] == [[0], [4], [8]]


def test_the_learner_sees_the_same_counts_as_the_actor_and_the_bootstrap_is_one_more():
    four_steps = collector(segment_length=4, lengths=[10])
    first, second = four_steps.collect(), four_steps.collect()
    assert unrolled_values(four_steps.agent, first) == [[1, 2, 3, 4, 5]]  # 5 is V(o_4), the bootstrap
    assert unrolled_values(four_steps.agent, second) == [[5, 6, 7, 8, 9]]  # o_4 again, consumed once, not twice


def test_an_episode_that_opens_inside_a_segment_starts_from_a_fresh_state():
    four_steps = collector(segment_length=4, lengths=[10])
    four_steps.collect(), four_steps.collect()
    third = four_steps.collect()
    assert unrolled_values(four_steps.agent, third) == [[9, 10, 1, 2, 3]]
    assert third.is_first.T.tolist() == [[False, False, True, False, False]]
    assert third.terminated.T.tolist() == [[False, True, False, False]]  # the end is known one row before the opening


def test_an_episode_that_opens_exactly_at_a_segments_border_starts_from_a_fresh_state():
    five_steps = collector(segment_length=5, lengths=[5])
    five_steps.collect()
    second = five_steps.collect()
    assert count(second) == [5]  # the old episode's count still lies there ...
    assert second.is_first[0].tolist() == [True]  # ... and is reset before o_0 is consumed
    assert unrolled_values(five_steps.agent, second) == [[1, 2, 3, 4, 5, 1]]


def test_every_environment_has_its_own_state():
    four_steps = collector(segment_length=4, lengths=[3, 5, 100])
    four_steps.collect()
    second = four_steps.collect()
    assert count(second) == [1, 4, 4]
    assert unrolled_values(four_steps.agent, second) == [[2, 3, 1, 2, 3], [5, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def test_the_value_of_a_truncated_episodes_last_observation_continues_its_count():
    """The bootstrap of a cut episode must not come from the next episode's first observation (pytorch/rl#3771)."""
    cut_after_three = collector(segment_length=4, lengths=[1000], limit=3)
    segment = cut_after_three.collect()
    assert segment.truncated.T.tolist() == [[False, False, True, False]]
    assert segment.truncation_values.T.tolist() == [[0, 0, 4, 0]]  # o_0, o_1, o_2 consumed; the last one is the fourth
    assert unrolled_values(cut_after_three.agent, segment) == [[1, 2, 3, 1, 2]]  # and the next episode counts from 1


def test_learning_bootstrapping_and_evaluating_do_not_advance_the_carried_state():
    """A bootstrap that moves the live state makes the next segment see o_N twice (leggedrobotics/rsl_rl#130)."""
    config = cartpole_config(normalise_advantages=False)
    disturbed, quiet = collector(segment_length=4), collector(segment_length=4)
    for _ in range(4):
        segment = disturbed.collect()
        for _ in range(2):
            differentiate(disturbed, segment, config)
            AgentPlayer(disturbed.agent).act(np.zeros((1, 1)), is_first=True)
        assert unrolled_values(quiet.agent, quiet.collect()) == unrolled_values(disturbed.agent, segment)


@pytest.mark.parametrize("core", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("record", [False, True])
@pytest.mark.parametrize("options", [{}, {"separate_critic": True}, {"separate_critic": True, "core_layers": 2}])
def test_two_segments_of_four_are_one_segment_of_eight(core, record, options):
    """State zeroed at every training sequence is the commonest fault of this kind (ray-project/ray#2898)."""
    config = cartpole_config(core=core, dtype="float64", hidden_size=8, **options)
    agent = make_agent(config, observation_size=1, num_actions=2)
    by_four, by_eight = (collector(n, lengths=[3, 7, 1000], agent=agent, record=record) for n in (4, 8))
    halves, whole = [by_four.collect(), by_four.collect()], by_eight.collect()
    values = [unrolled_values(agent, segment) for segment in halves]
    joined = np.concatenate([np.array(values[0])[:, :4], np.array(values[1])], axis=1)
    np.testing.assert_allclose(joined, unrolled_values(agent, whole), rtol=0, atol=1e-12)
    torch.testing.assert_close(by_four.core_state, by_eight.core_state, rtol=0, atol=1e-12)
    carried = [part[:, 2].norm(dim=-1) for part in halves[1].core_state]  # of the episode that ends in neither half
    assert all((norms > 0.01).all() for norms in carried)  # else equality would say little


@pytest.mark.parametrize("core", ["mlp", "rnn", "gru", "lstm"])
@pytest.mark.parametrize("record", [False, True])
@pytest.mark.parametrize("twice", [False, True])
def test_values_cross_segments_and_gradients_do_not(core, record, twice):
    """Otherwise every update would reach back to the first one, and memory would grow without end. A critic of its own
    has a state of its own."""
    agent = make_agent(cartpole_config(core=core, separate_critic=twice), observation_size=1, num_actions=2)
    four_steps = collector(segment_length=4, agent=agent, record=record)
    for _ in range(3):
        segment = four_steps.collect()
        differentiate(four_steps, segment, cartpole_config())
        assert all(part.grad_fn is None and not part.requires_grad for part in segment.core_state)
        assert len(segment.core_state) == {"mlp": 0, "rnn": 1, "gru": 1, "lstm": 2}[core] * (1 + twice)


def test_a_critic_of_its_own_counts_for_itself():
    """Policy and critic each have a core, and both go on, are cut and open at the same steps. The values show the
    critic's count. The policy's was moved by 100 beforehand, and carries that along until its episode ends."""
    core = TwinCore(CountingCore(1, 1), CountingCore(1, 1))
    agent = Agent(TwinTorso(nn.Identity(), nn.Identity()), core, actions=Categorical(2))
    nn.init.ones_(agent.value_head.weight)
    four_steps = collector(segment_length=4, lengths=[6, 1000], limit=9, agent=agent)
    four_steps.collect()
    policy, critic = four_steps.core_state
    four_steps.core_state = policy + 100, critic
    second, third = four_steps.collect(), four_steps.collect()
    assert [part.flatten().tolist() for part in second.core_state] == [[104, 104], [4, 4]]
    assert unrolled_values(agent, second) == [[5, 6, 1, 2, 3], [5, 6, 7, 8, 9]]
    assert [part.flatten().tolist() for part in third.core_state] == [[2, 108], [2, 8]]
    assert unrolled_values(agent, third) == [[3, 4, 5, 6, 1], [9, 1, 2, 3, 4]]
    assert third.truncated.T.tolist() == [[False] * 4, [True, False, False, False]]
    assert third.truncation_values.T.tolist() == [[0, 0, 0, 0], [10, 0, 0, 0]]
    assert [part.flatten().tolist() for part in four_steps.core_state] == [[6, 3], [6, 3]]


def test_without_carrying_every_segment_counts_from_one():
    """The ablation, and the proof that the tests above can tell: this is what a lost state looks like."""
    four_steps = collector(segment_length=4, lengths=[10], carry_state=False)
    segments = [four_steps.collect() for _ in range(3)]
    assert [count(segment) for segment in segments] == [[0], [0], [0]]
    assert unrolled_values(four_steps.agent, segments[1]) == [[1, 2, 3, 4, 5]]


def test_a_player_carries_the_state_between_calls_and_resets_it_where_an_episode_opens():
    """Evaluation that forgets the state, or the reset, is as common as training that does (isaac-sim/IsaacLab#3837)."""
    player = AgentPlayer(counting_agent(), num_envs=2)
    counts = []
    for is_first in ([True, True], [False, False], [False, True], [False, False]):
        player.act(np.zeros((2, 1)), np.array(is_first))
        counts.append(player.core_state[0].flatten().tolist())
    assert counts == [[1, 1], [2, 2], [3, 1], [4, 2]]
