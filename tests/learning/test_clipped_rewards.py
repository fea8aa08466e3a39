"""--clip-rewards: the loss sees rewards within ±1, and every record has the game's score.

tests/learning/test_replay_learning.py has the losses of replay.
"""

import pytest
import torch

from tests.support.rl_small import differentiate, lively_agent, random_segment, small_config
from tests.support.runs import SHORT, train


@pytest.mark.parametrize("algorithm", ["a2c", "ppo", "q_online"])
def test_rewards_of_21_minus_3_and_a_half_are_learnt_as_1_minus_1_and_a_half(algorithm):
    """The segment keeps what the environment gave, and the scale comes behind: 10 would else clip all of them to 1."""
    options = {"algorithm": algorithm, "minibatches": 1, "epochs": 1, "reward_scale": 10.0}
    config, plain = small_config(**options, clip_rewards=True), small_config(**options)
    agent, segment = lively_agent(config, 3), random_segment(config)
    given = torch.tensor([21.0, -3.0, 0.5], dtype=torch.float64).expand(4, 3)
    learnt = []
    for rewards, how in ((given, config), (given.clamp(-1, 1), plain), (given, plain)):
        agent.zero_grad()
        segment = segment._replace(rewards=rewards.clone())
        losses = differentiate(agent, segment, how)
        assert torch.equal(segment.rewards, rewards)
        gradient = torch.cat([one.grad.flatten() for one in agent.parameters() if one.grad is not None]).clone()
        learnt.append((losses, gradient))
    (losses, gradient), (same, equal), (larger, unequal) = learnt
    assert losses == pytest.approx(same, nan_ok=True) and torch.equal(gradient, equal)
    assert losses != pytest.approx(larger, nan_ok=True) and not torch.equal(gradient, unequal)


@pytest.mark.parametrize("algorithm", ["ppo", "q_replay"])
def test_the_record_and_the_evaluation_have_the_games_score_which_a_fall_of_minus_30_lowers(tmp_path, algorithm):
    """An agent that hardly learns plays the same episodes, and returns are their steps less 31."""
    replay = {"replay_warm_up": 40, "replay_capacity": 400, "sequence_length": 4, "burn_in": 0, "minibatches": 1}
    task = {"env": "FallPenaltyCartPole-v1", "env_arg": ("penalty=30",), "learning_rate": 1e-12}
    runs = [
        train(tmp_path / str(clip), small=SHORT, algorithm=algorithm, clip_rewards=clip, **replay, **task)
        for clip in (True, False)
    ]
    clipped, plain = ([row for row in run.rows if "charts/episodic_return" in row] for run in runs)
    assert len(clipped) > 5
    for mine, other in zip(clipped, plain, strict=True):
        assert mine["charts/episodic_return"] == other["charts/episodic_return"]
        assert mine["charts/episodic_return"] == pytest.approx(mine["charts/episodic_length"] - 31)
    assert runs[0].summary["eval_greedy"] == runs[1].summary["eval_greedy"] < 0


def test_the_running_deviation_of_the_returns_counts_a_fall_of_minus_30_as_minus_1(tmp_path):
    """Each fall ends its return R, so that Σ R of 400 env steps is larger by 29 for each."""
    task = {"env": "FallPenaltyCartPole-v1", "env_arg": ("penalty=30",), "learning_rate": 1e-12}
    runs = [
        train(tmp_path / str(clip), small=SHORT, clip_rewards=clip, normalise_returns=True, **task)
        for clip in (True, False)
    ]
    falls = sum(row["charts/episodes"] for row in runs[0].rows if "charts/episodes" in row)
    clipped, plain = (run.learnt["sums"][2].item() for run in runs)
    assert clipped - plain == pytest.approx(29 * falls) and falls > 5
