"""Two readings of the heads: a softmax of them, or action values of which the best is taken but for a share ε."""

import numpy as np
import pytest
import torch

import envs
from rl.acting.evaluate import evaluate
from rl.acting.player import AgentPlayer
from rl.acting.policies import EpsilonGreedy, Softmax, acting_policy, evaluated_policy, q_values, through_q_values
from rl.acting.randomness import TRAINING, ActionNoise
from rl.agent.actions.categorical import Categorical
from rl.agent.agent import AgentOutput
from rl.loop import build_worker
from rl.running.setup import set_up
from tests.support.configs import cartpole_config
from tests.support.rl_small import lively_agent, small_collector, small_config

Q = {"algorithm": "q_online"}


def output(logits, values):
    return AgentOutput(torch.tensor(logits, dtype=torch.float64), torch.tensor(values, dtype=torch.float64))


# --- action values


def test_an_action_value_is_the_state_value_plus_what_the_action_is_better_than_the_mean():
    """Advantages 1, 2, 6 have mean 3: −2, −1, 3 above and below a value of 10."""
    assert q_values(output([[1.0, 2.0, 6.0]], [10.0])).tolist() == [[8.0, 9.0, 13.0]]
    assert q_values(output([[[1.0, 2.0, 6.0]] * 2] * 4, [[10.0] * 2] * 4)).shape == (4, 2, 3)


def test_the_mean_of_action_values_is_the_state_value_and_more_of_every_advantage_changes_nothing():
    drawn = torch.randn(2, 5, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits, values = drawn[0], drawn[1, :, :, 0]
    q = q_values(AgentOutput(logits, values))
    torch.testing.assert_close(q.mean(-1), values, rtol=0, atol=1e-12)
    torch.testing.assert_close(q_values(AgentOutput(logits + 7.0, values)), q, rtol=0, atol=1e-12)
    assert torch.equal(q.argmax(-1), logits.argmax(-1))


def test_the_way_back_through_action_values_is_autograds():
    drawn = torch.randn(3, 5, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits, values, d_q = drawn[0].requires_grad_(), drawn[1, :, :, 0].clone().requires_grad_(), drawn[2]
    expected = torch.autograd.grad((q_values(AgentOutput(logits, values)) * d_q).sum(), (logits, values))
    torch.testing.assert_close(through_q_values(d_q, logits), expected, rtol=0, atol=1e-12)


def test_what_a_state_is_worth_is_the_value_head_or_the_best_action():
    said = output([[1.0, 2.0, 6.0], [0.0, 0.0, 0.0]], [10.0, 4.0])
    assert Softmax().state_values(said).tolist() == [10.0, 4.0]
    assert EpsilonGreedy(torch.tensor([0.5, 0.5])).state_values(said).tolist() == [13.0, 4.0]


# --- ε-greedy


def test_the_greedy_action_has_probability_1_minus_epsilon_and_its_share_of_epsilon():
    """ε = 0.3 of three actions: 0.1 each, and 0.7 for the best. Each row has an ε of its own; 1 is all alike."""
    policy = EpsilonGreedy(torch.tensor([0.3, 0.03, 1.0], dtype=torch.float64))
    logits = torch.tensor([[5.0, 9.0, -2.0]] * 3, dtype=torch.float64)
    expected = [[0.1, 0.8, 0.1], [0.01, 0.98, 0.01], [1 / 3] * 3]
    torch.testing.assert_close(
        policy.scores(logits).exp(), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12
    )
    assert logits.tolist() == [[5.0, 9.0, -2.0]] * 3


def test_actions_are_taken_in_these_shares():
    """Of 40,000: 4,000, 32,000 and 4,000, to within four standard deviations of 80."""
    policy = EpsilonGreedy(torch.full((40_000,), 0.3, dtype=torch.float64))
    noise = torch.from_numpy(ActionNoise(3, 0, range(4)).draw(10_000, Categorical(3))).view(40_000, 3)
    logits = torch.tensor([5.0, 9.0, -2.0], dtype=torch.float64).expand(40_000, 3)
    counts = torch.bincount(Categorical(3).sample(policy.scores(logits), noise), minlength=3).tolist()
    assert all(abs(count - expected) < 320 for count, expected in zip(counts, [4000, 32_000, 4000], strict=True))


def test_epsilon_falls_in_equal_ratios_from_the_first_environment_to_the_last():
    """0.8 to 0.1 over four environments: halved at each."""
    config = cartpole_config(**Q, workers=2, envs_per_worker=2, epsilon_first=0.8, epsilon_last=0.1, dtype="float64")
    whole = acting_policy(config, range(4)).epsilons.flatten().tolist()
    assert whole == pytest.approx([0.8, 0.4, 0.2, 0.1], abs=1e-12)
    assert acting_policy(config, range(2, 4)).epsilons.flatten().tolist() == whole[2:]
    alone = cartpole_config(**Q, workers=1, envs_per_worker=1, segment_length=2, epsilon_first=0.8, epsilon_last=0.1)
    assert acting_policy(alone, range(1)).epsilons.tolist() == [[pytest.approx(0.8)]]


def test_the_second_worker_has_the_epsilons_of_the_second_half_of_the_environments():
    config = cartpole_config(**Q, workers=2, envs_per_worker=2, epsilon_first=0.8, epsilon_last=0.1, dtype="float64")
    setup = set_up(config, envs.make_vector)
    for rank, expected in enumerate(([0.8, 0.4], [0.2, 0.1])):
        _, collector, _ = build_worker(rank, config, envs.make_vector, setup.memory, TRAINING)
        assert collector.policy.epsilons.flatten().tolist() == pytest.approx(expected, abs=1e-12)


def test_policies_are_those_of_the_algorithm_and_in_the_networks_precision():
    for algorithm in ("a2c", "a2c_replay"):
        config = cartpole_config(algorithm=algorithm)
        assert type(acting_policy(config, range(2))) is type(evaluated_policy(config, 2)) is Softmax
    for algorithm in ("q_online", "q_replay"):
        for dtype in ("float32", "float64"):
            config = cartpole_config(algorithm=algorithm, dtype=dtype)
            for policy in (acting_policy(config, range(2)), evaluated_policy(config, 2)):
                assert isinstance(policy, EpsilonGreedy) and policy.epsilons.dtype == getattr(torch, dtype)


@pytest.mark.parametrize("algorithm", ["q_online", "q_replay"])
def test_2_workers_of_2_environments_act_as_1_of_4_does(algorithm):
    """astooke/rlpyt#134: works with one worker, fails with two. ε goes with the environment's number, as noise does."""
    options = {
        "env": "Dice-v0",
        "segment_length": 16,
        "algorithm": algorithm,
        "epsilon_first": 0.9,
        "epsilon_last": 0.01,
        "mode": "sync",
    }
    whole = small_collector(small_config(workers=1, envs_per_worker=4, **options)).collect()
    halves = [
        small_collector(small_config(workers=2, envs_per_worker=2, **options), first=first).collect()
        for first in (0, 2)
    ]
    assert torch.equal(whole.actions, torch.cat([half.actions for half in halves], 1))
    if algorithm == "q_replay":
        torch.testing.assert_close(whole.log_probs, torch.cat([h.log_probs for h in halves], 1), rtol=0, atol=1e-12)
    assert not torch.equal(halves[0].actions, halves[1].actions)


# --- evaluation


@pytest.mark.parametrize("core", ["mlp", "gru", "lstm"])
def test_a_greedy_player_takes_the_most_valuable_action(core):
    agent = lively_agent(small_config(core=core), 3)
    episode = np.random.default_rng(1).normal(size=(40, 2, 3))
    player = AgentPlayer(agent, 2, policy=EpsilonGreedy(torch.ones(2)))  # and asks no ε
    actions = np.array([player.act(observation, t == 0) for t, observation in enumerate(episode)])
    is_first = (torch.arange(40) == 0)[:, None].expand(40, 2)
    with torch.no_grad():
        said, _ = agent.unroll(torch.from_numpy(episode), agent.initial_state(2), is_first)
    assert actions.tolist() == q_values(said).argmax(-1).tolist()
    assert 5 < actions.sum() < 75


def test_an_evaluation_that_samples_uses_the_last_epsilon_in_all_its_episodes():
    """One action is always the best; of 4000 steps at an ε of 0.2 it is not taken in 400, to within four standard
    deviations of 19. At an ε of 10⁻⁹ it always is, and an evaluation that samples is one that is greedy."""
    config = small_config(**Q, epsilon_first=1.0, epsilon_last=0.2)
    agent = lively_agent(config, 3)
    with torch.no_grad():
        agent.policy_head.weight.zero_()
        agent.policy_head.bias[:] = torch.tensor([0.0, 0.001])
    player = AgentPlayer(agent, 40, greedy=False, policy=evaluated_policy(config, 40))
    taken = np.array([player.act(np.zeros((40, 3)), t == 0) for t in range(100)])
    assert abs((taken == 0).sum() - 400) < 76
    assert (taken == 0).any(axis=0).all()  # in every one of them

    greedy, sampled, random = [], [], []
    for last, returns in ((1e-9, sampled), (1.0, random)):
        config = small_config(**Q, env="CartPole-v1", epsilon_first=1.0, epsilon_last=last)
        agent = lively_agent(config, 4)
        greedy.append(evaluate(agent, config, envs.make_vector, 30, greedy=True).tolist())
        returns += evaluate(agent, config, envs.make_vector, 30, greedy=False).tolist()
    assert greedy[0] == greedy[1] == sampled != random
