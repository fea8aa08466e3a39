"""TMaze: memory of the sign earns 1, a fixed turn earns 0.5, and walls hold."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from envs.memory.t_maze import EAST, NORTH, SOUTH, WEST, TMazeEnv, TMazeVectorEnv
from tests.support.bits import assert_bit_equal
from tests.support.envs_slow_loop import random_actions, run_singles, run_vector


def play(env, seed, actions):
    """Return the observations, rewards and last flags of an episode with these actions."""
    observation, _ = env.reset(seed=seed)
    observations, rewards = [observation.tolist()], []
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        observations.append(observation.tolist())
        rewards.append(reward)
    return observations, rewards, terminated, truncated


def seeds_of_signs():
    """Find a seed of each sign, north first."""
    signs = {int(np.argmax(TMazeEnv().reset(seed=seed)[0])): seed for seed in range(20)}
    return [signs[0], signs[1]]


def test_the_sign_is_seen_in_the_first_cell_alone_and_the_end_looks_like_no_other():
    north, south = seeds_of_signs()
    observations, rewards, terminated, truncated = play(TMazeEnv(length=3), north, [EAST, EAST, EAST, NORTH])
    assert observations[:-1] == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert (rewards, terminated, truncated) == ([0, 0, 0, 1], True, False)
    observations, rewards, terminated, _ = play(TMazeEnv(length=3), south, [EAST, EAST, EAST, NORTH])
    assert observations[:-1] == [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert (rewards, terminated) == ([0, 0, 0, 0], True)


def test_steps_into_walls_do_not_move_and_the_last_of_max_steps_truncates():
    [_, south] = seeds_of_signs()
    observations, rewards, terminated, truncated = play(
        TMazeEnv(length=2, max_steps=7), south, [WEST, NORTH, EAST, SOUTH, EAST, EAST, WEST]
    )
    places = [int(np.argmax(observation)) for observation in observations]
    assert places == [1, 1, 1, 2, 2, 3, 3, 2]
    assert (rewards, terminated, truncated) == ([0] * 7, False, True)


@pytest.mark.parametrize("arguments", [{}, {"length": 1, "max_steps": 2}, {"length": 4, "max_steps": 30}], ids=str)
def test_the_vector_form_equals_the_single_form_bit_for_bit_over_2000_steps(arguments):
    actions = random_actions(2000, 5, count=4)
    expected = run_singles(lambda: TMazeEnv(**arguments), range(5), actions)
    assert expected.terminated.sum() > 20 and expected.truncated.sum() > 0
    assert_bit_equal(run_vector(TMazeVectorEnv(5, **arguments), range(5), actions), expected)


def test_memory_of_the_sign_earns_1_and_a_fixed_turn_earns_one_half():
    vector = envs.make_vector("TMaze-v0", 1000)
    observations, _ = vector.reset(seed=0)
    signs = observations[:, :2].argmax(axis=1)
    for _ in range(10):
        observations = vector.step(np.full(1000, EAST))[0]
    assert (observations == [0, 0, 0, 1]).all()
    rewards = vector.step(np.where(signs == 0, NORTH, SOUTH))[1]
    assert rewards.sum() == 1000
    assert abs(np.count_nonzero(signs == 0) - 500) < 64  # four standard deviations


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"length": 0}, "TMaze needs length to be an integer of at least 1, got 0"),
        ({"length": 10, "max_steps": 10}, "TMaze needs max_steps to be an integer of at least 11, got 10"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments, words):
    with pytest.raises(ValueError, match=words):
        envs.make_vector("TMaze-v0", 2, env_args=arguments)


def test_gymnasiums_check_env_accepts_it_and_its_threshold_is_095():
    check_env(gymnasium.make("TMaze-v0").unwrapped, skip_render_check=True)
    assert envs.make_vector("TMaze-v0", 2).spec.reward_threshold == 0.95
