"""Observations and rewards are scaled by running statistics: one set for all workers, frozen where a policy is played.

DLR-RM/rl-baselines3-zoo#97: a normalised agent played without its statistics, as if it had learnt nothing.
"""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

import envs
from envs.vector.packing import Packed
from rl.acting.evaluate import evaluate
from rl.acting.tally import Tally
from rl.agent.flat import FlatAgent
from rl.agent.scales import Scales, make_scales, scales_of, sums_size
from rl.play import Player
from rl.record.saved_agent import load_agent
from tests.support.bits import assert_bit_equal
from tests.support.rl_small import differentiate, lively_agent, make_agent, random_segment, small_config
from tests.support.runs import SERIAL, train

BOTH = {"normalise_observations": True, "normalise_returns": True}
PPO = {"algorithm": "ppo", "epochs": 2, "minibatches": 2}
WIDE = Box(-np.inf, np.inf, (2,), dtype=np.float32)


def scales_from(scales, tally):
    """The reward's factor, means and inverse deviations that a tally makes."""
    reward, *others = scales_of(torch.from_numpy(tally.take())).tolist()
    return reward, others[: scales.numbers], others[scales.numbers :]


def test_numbers_1_3_5_and_7_have_mean_4_and_deviation_the_root_of_5():
    scales = Scales(WIDE, True, False)
    tally = Tally(scales, batch=2, discount=0.9)
    tally.add(np.array([[[1, 10], [3, 10]], [[5, 10], [7, 10]]]), np.zeros((2, 2)), np.zeros((2, 2), dtype=bool))
    reward, mean, inverse = scales_from(scales, tally)
    assert (reward, mean) == (1.0, [4.0, 10.0])
    assert inverse == pytest.approx([5**-0.5, 1.0])  # the second number never changed: it keeps its size


def test_a_scaled_observation_is_away_from_the_mean_by_at_most_10_deviations():
    scales = Scales(WIDE, True, False)
    scales.mean.copy_(torch.tensor([4.0, 0.0]))
    scales.inverse.copy_(torch.tensor([0.5, 1.0]))
    assert scales.observations(torch.tensor([[6.0, -7.0], [100.0, -11.0]])).tolist() == [[1.0, -7.0], [10.0, -10.0]]


def test_numbers_within_plus_and_minus_1_and_images_have_their_scale():
    mixed = Box(np.array([0, -1, -2, 0]), np.array([1, 1, 1, np.inf]), dtype=np.float32)
    scales = Scales(mixed, True, False)
    assert scales.scaled.tolist() == [False, False, True, True]
    tally = Tally(scales, batch=1, discount=0.9)
    tally.add(np.array([[[1, -1, -2, 3]], [[0, 1, 0, 9]]], dtype=np.float32), np.zeros((2, 1)), np.zeros((2, 1), bool))
    assert scales_from(scales, tally)[1:] == ([0, 0, -1, 6], pytest.approx([1, 1, 1, 1 / 3]))
    assert make_scales(Box(0, 255, (4, 4, 3), dtype=np.uint8), True, False) is None
    assert make_scales(Box(0, 1, (3,), dtype=np.float32), True, False) is None


def test_floats_beside_bytes_in_one_packed_array_are_scaled_and_the_bytes_stay():
    """Two floats, an image of three bytes, and a flag between 0 and 1."""
    space = Packed({"position": WIDE, "image": Box(0, 255, (3,), np.uint8), "flag": Box(0, 1, (1,))})
    scales, packed = Scales(space, True, False), space.empty(2, 1)
    position, image, flag = space.views(packed)
    position[:, 0], image[:], flag[:, 0] = [[1, 4], [3, 8]], 200, [[1], [0]]
    tally = Tally(scales, batch=1, discount=0.9)
    tally.add(packed, np.zeros((2, 1)), np.zeros((2, 1), bool))
    _, mean, inverse = scales_from(scales, tally)
    assert (mean, inverse) == ([2, 6, 0], [1, 0.5, 1])
    scales.mean.copy_(torch.tensor(mean)), scales.inverse.copy_(torch.tensor(inverse))
    before = packed.copy()
    position, image, flag = space.views(scales.observations(torch.from_numpy(packed)).numpy())
    assert position.tolist() == [[[-1, -1]], [[1, 1]]] and (image == 200).all() and flag[:, 0, 0].tolist() == [1, 0]
    assert (packed == before).all()


def test_a_number_that_varies_by_no_more_than_rounding_keeps_its_size():
    """1e6 in 100,000 steps, whose mean square is off by 1e-13 of itself, as if it had a variance of 0.1."""
    sums = torch.tensor([1e5, 1e5, 1e11, 1e17 * (1 + 1e-13), 1e11, 1e17 * (1 + 1e-13)], dtype=torch.float64)
    assert scales_of(sums).tolist() == [1, 1e6, 1]


def test_rewards_are_divided_by_the_deviation_of_the_return_so_far_and_an_end_begins_it_anew():
    """γ = 1/2. Rewards 2, 2, 2 with an end after the second: R = 2, 3, 2; a second segment continues with 2 + 2/2 = 3.
    R² has the mean 6.5, R the mean 2.5."""
    scales = Scales(WIDE, False, True)
    tally = Tally(scales, batch=1, discount=0.5)
    nothing = np.zeros((3, 1, 2))
    tally.add(nothing, np.full((3, 1), 2.0), np.array([[False], [True], [False]]))
    tally.add(nothing[:1], np.full((1, 1), 2.0), np.array([[False]]))
    reward, mean, _ = scales_from(scales, tally)
    assert reward == pytest.approx((6.5 - 2.5**2) ** -0.5) and mean == []
    scales.reward.fill_(2.0)
    assert scales.rewards(torch.tensor([1.0, -3.0, 7.0])).tolist() == [2.0, -6.0, 10.0]


def test_the_deviation_of_the_return_is_that_of_clipped_rewards_where_learning_sees_those():
    """γ = 1/2. Rewards 9 and -4 are learnt as 1 and -1: R = 1, -1/2, so R² has the mean 5/8 and R the mean 1/4."""
    tally = Tally(Scales(WIDE, False, True), batch=1, discount=0.5, clip_rewards=True)
    tally.add(np.zeros((2, 1, 2)), np.array([[9.0], [-4.0]]), np.zeros((2, 1), dtype=bool))
    assert scales_from(tally.scales, tally)[0] == pytest.approx((5 / 8 - 1 / 16) ** -0.5)


def test_sums_are_taken_once_and_go_on_from_a_state():
    scales = Scales(WIDE, True, True)
    one, other = Tally(scales, 1, 0.5), Tally(scales, 1, 0.5)
    step = np.ones((1, 1, 2)), np.ones((1, 1)), np.zeros((1, 1), dtype=bool)
    one.add(*step)
    other.load_state(one.state())
    one.add(*step)
    other.add(*step)
    assert one.take().tolist() == other.take().tolist() == [2, 2, 2.5, 3.25, 2, 2, 2, 2]
    assert one.take().tolist() == [0.0] * sums_size(scales)


@pytest.mark.parametrize("core", ["mlp", "gru", "lstm"])
def test_both_unrolls_see_scaled_observations_and_have_one_gradient(core):
    found = []
    for unroll in ("again", "recorded"):
        config = small_config(core=core, unroll=unroll, dtype="float64", **BOTH)
        agent = lively_agent(config, 3)
        agent.scales.mean.copy_(torch.tensor([1.0, -1.0, 0.5]))
        agent.scales.inverse.copy_(torch.tensor([0.5, 2.0, 1.0]))
        agent.scales.reward.fill_(0.25)
        losses = differentiate(agent, random_segment(config), config)
        found.append((losses, torch.cat([one.grad.flatten() for one in agent.parameters() if one.requires_grad])))
    (losses, gradient), (others, other) = found
    assert others == pytest.approx(losses, abs=1e-10) and (gradient - other).abs().max() < 1e-10


def test_scales_lie_behind_the_parameters_which_are_drawn_as_without_them():
    plain, scaled = (FlatAgent(make_agent(small_config(**options), 3)) for options in ({}, BOTH))
    assert plain.agent.scales is None and len(scaled) == len(plain) + 7
    assert torch.equal(scaled.parameters[:-7], plain.parameters)
    assert scaled.parameters[-7:].tolist() == [1, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("options", [pytest.param({}, id="a2c", marks=pytest.mark.slow), pytest.param(PPO, id="ppo")])
def test_two_workers_of_4_environments_have_the_statistics_of_one_of_8(tmp_path, options):
    """DLR-RM/stable-baselines3#1130: each worker had statistics of its own."""
    whole = {**SERIAL, **BOTH, **options, "total_env_steps": 1024, "dtype": "float64"}
    one = train(tmp_path / "one", small={**whole, "envs_per_worker": 8})
    two = train(tmp_path / "two", small={**whole, "mode": "sync", "workers": 2, "envs_per_worker": 4})
    assert (one.learnt["sums"] - two.learnt["sums"]).abs().max() < 1e-6
    assert (one.learnt["parameters"] - two.learnt["parameters"]).abs().max() < 1e-8
    last = 64 if options else 0  # a run ends within its last segment, before PPO has made all updates of it
    assert one.learnt["sums"][:2].tolist() == [1024 - last] * 2


def test_a_run_is_played_with_the_scales_that_it_ended_with_and_playing_changes_none(tmp_path):
    ended = train(tmp_path / "run", small={**SERIAL, **BOTH, **PPO, "total_env_steps": 512})
    agent, config, _ = load_agent(tmp_path / "run", envs.make_vector)
    tail = ended.learnt["parameters"][-5:]  # position and angle
    before = FlatAgent(agent).parameters.clone()
    assert torch.equal(before[-5:], tail) and not torch.equal(tail, torch.tensor([1.0, 0, 0, 1, 1]))
    evaluate(agent, config, envs.make_vector, 2, greedy=True)
    assert torch.equal(FlatAgent(agent).parameters, before)
    player = Player.from_run(tmp_path / "run")
    assert torch.equal(FlatAgent(player.agent).parameters, before)


def test_in_all_updates_of_a_segment_observations_have_the_scales_of_acting(tmp_path):
    """At the first update of a segment the ratio is 1 only then: no probability has moved, and nothing is clipped."""
    run = train(tmp_path / "run", small={**SERIAL, **BOTH, **PPO, "total_env_steps": 320, "learning_rate": 1e-12})
    assert max(row["losses/approx_kl"] for row in run.rows) < 1e-9


def test_async_workers_count_every_step_once(tmp_path):
    options = {**SERIAL, **BOTH, "mode": "async", "workers": 2, "total_env_steps": 1024}
    run = train(tmp_path / "run", small=options)
    assert run.learnt["sums"][:2].tolist() == [run.summary["env_steps"]] * 2


def test_without_the_options_nothing_is_counted_and_nothing_changes(tmp_path):
    plain = train(tmp_path / "plain", small={**SERIAL, "total_env_steps": 320})
    off = train(tmp_path / "off", small={**SERIAL, "total_env_steps": 320, **dict.fromkeys(BOTH, False)})
    assert_bit_equal(plain.learnt, off.learnt)
    assert "sums" not in plain.learnt
