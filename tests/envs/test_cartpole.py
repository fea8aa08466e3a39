"""The vector CartPole is Gymnasium's single CartPole, bit for bit, and a perfect policy earns 500."""

import gymnasium
import numpy as np
import pytest

import envs
from envs.cartpole.cartpole import CartPoleVectorEnv
from envs.cartpole.velocities import MaskVelocity
from tests.support.bits import assert_bit_equal
from tests.support.envs_slow_loop import random_actions, run_singles, run_vector


def single(mask: bool, **kwargs) -> gymnasium.Env:
    env = gymnasium.make("CartPole-v1", **kwargs)
    return MaskVelocity(env) if mask else env


def balancing_actions(seeds: list[int], steps: int) -> np.ndarray:
    """Return actions [time, batch] of a policy that does not fall, chosen on Gymnasium's own environments."""
    columns = []
    for seed in seeds:
        env = gymnasium.make("CartPole-v1")
        observation, _ = env.reset(seed=seed)
        actions = []
        for _ in range(steps):
            actions.append(int(observation @ (0.02, 0.1, 1.0, 0.5) > 0))
            observation, _, terminated, truncated, _ = env.step(actions[-1])
            if terminated or truncated:
                observation, _ = env.reset()
        columns.append(actions)
    return np.array(columns).T


@pytest.mark.parametrize("mask", [False, True])
def test_vector_cartpole_equals_gymnasiums_single_cartpole_bit_for_bit_over_2000_steps(mask):
    seeds, actions = range(7), random_actions(2000, 7)
    expected = run_singles(lambda: single(mask), seeds, actions)
    assert expected.terminated.sum() > 500  # about 640 resets are in it
    assert_bit_equal(run_vector(CartPoleVectorEnv(7, mask_velocity=mask), seeds, actions), expected)


def test_one_step_from_500_wide_states_gives_gymnasiums_float64_state_bit_for_bit():
    """Observations are float32 and hide the last 29 bits, where another order of operations shows first."""
    generator = np.random.default_rng(0)
    states = generator.uniform(-1, 1, (500, 4)) * (2.3, 4.0, 0.2, 6.0)
    actions = generator.integers(2, size=500)
    vector, env = CartPoleVectorEnv(500), gymnasium.make("CartPole-v1").unwrapped
    vector.reset(seed=0)
    vector._rows[:4] = states[:, [0, 2, 1, 3]].T
    vector._advance(actions)
    for column in range(500):
        env.reset(seed=0)
        env.state = states[column]
        env.step(int(actions[column]))
        assert vector._rows[[0, 2, 1, 3], column].tolist() == list(env.state)


@pytest.mark.parametrize("mask", [False, True])
def test_the_500_step_limit_and_the_steps_after_it_equal_gymnasiums_single_cartpole_bit_for_bit(mask):
    seeds = [3, 4, 5]
    actions = balancing_actions(seeds, 1100)
    expected = run_singles(lambda: single(mask), seeds, actions)
    actual = run_vector(CartPoleVectorEnv(3, mask_velocity=mask), seeds, actions)
    assert actual.truncated.nonzero()[0].tolist() == [499, 499, 499, 999, 999, 999]
    assert not actual.terminated.any()
    assert_bit_equal(actual, expected)


@pytest.mark.parametrize("mask", [False, True])
def test_a_fall_on_the_last_step_before_the_limit_sets_both_flags_as_gymnasium_does(mask):
    actions = np.ones((60, 4), dtype=np.int64)
    fall = 1 + int(run_singles(lambda: single(mask), range(4), actions).terminated[:, 0].nonzero()[0][0])
    assert 8 <= fall <= 11  # pushed to one side only, a pole falls within about ten steps
    expected = run_singles(lambda: single(mask, max_episode_steps=fall), range(4), actions)
    actual = run_vector(CartPoleVectorEnv(4, max_episode_steps=fall, mask_velocity=mask), range(4), actions)
    assert actual.terminated[fall - 1, 0] and actual.truncated[fall - 1, 0]
    assert_bit_equal(actual, expected)


def test_sutton_barto_rewards_are_0_and_minus_1_as_in_gymnasium():
    actions = random_actions(300, 3)
    expected = run_singles(lambda: single(False, sutton_barto_reward=True), range(3), actions)
    assert sorted(set(expected.rewards.ravel())) == [-1.0, 0.0]
    assert_bit_equal(run_vector(CartPoleVectorEnv(3, sutton_barto_reward=True), range(3), actions), expected)


def test_max_episode_steps_of_minus_1_sets_no_limit_as_in_gymnasium_make():
    actions = balancing_actions([3], 600)
    assert run_vector(CartPoleVectorEnv(1), [3], actions).truncated.sum() == 1
    assert run_vector(CartPoleVectorEnv(1, max_episode_steps=-1), [3], actions).truncated.sum() == 0


def test_max_episode_steps_of_0_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^CartPole needs max_episode_steps of at least 1, or -1, got 0$"):
        CartPoleVectorEnv(1, max_episode_steps=0)


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 17, 33])
def test_a_column_is_the_same_in_a_batch_of_any_width(width):
    """Wide arrays go through vector instructions in groups of 4 or 8, the rest one by one; both must round alike."""
    actions = random_actions(200, 33)
    whole = run_vector(CartPoleVectorEnv(33), range(33), actions)
    part = run_vector(CartPoleVectorEnv(width), range(width), actions[:, :width])
    assert_bit_equal(part, type(part)(whole.first[:width], *(rows[:, :width] for rows in whole[1:])))


def test_a_perfect_policy_on_masked_cartpole_earns_500_and_never_499():
    """Farama-Foundation/Gymnasium#1624: with SAME_STEP a wrapper counted every episode but the first one step short."""
    vector = envs.make_vector("MaskedVelocityCartPole-v1", 8, frame_stack=2, observation_scale="none")
    observations, _ = vector.reset(seed=0)
    returns, running = [], np.zeros(8)
    for _ in range(2100):
        position, angle = observations[:, 2], observations[:, 3]
        velocity, angle_velocity = (observations[:, 2:] - observations[:, :2]).T / 0.02
        actions = (0.02 * position + 0.1 * velocity + angle + 0.5 * angle_velocity > 0).astype(np.int64)
        observations, rewards, terminated, truncated, _ = vector.step(actions)
        running += rewards
        for column in (terminated | truncated).nonzero()[0]:
            returns.append(running[column])
            running[column] = 0
    assert returns == [500.0] * 32  # 8 columns, 4 episodes each


def test_masked_cartpole_shows_position_and_angle_in_both_forms():
    assert gymnasium.spec("MaskedVelocityCartPole-v1").max_episode_steps == 500
    assert gymnasium.spec("MaskedVelocityCartPole-v1").reward_threshold == 475
    bounds = np.array([4.8, 24 * 2 * np.pi / 360], dtype=np.float32)
    env = gymnasium.make("MaskedVelocityCartPole-v1")
    vector = gymnasium.make_vec("MaskedVelocityCartPole-v1", 5)
    assert env.observation_space == vector.single_observation_space == gymnasium.spaces.Box(-bounds, bounds)
    assert env.metadata["observation_scale"] == vector.metadata["observation_scale"] == (2.4, 0.2095)
    actions = random_actions(100, 5)
    expected = run_singles(lambda: gymnasium.make("MaskedVelocityCartPole-v1"), range(5), actions)
    assert_bit_equal(run_vector(vector, range(5), actions), expected)
    full = run_singles(lambda: gymnasium.make("CartPole-v1"), range(5), actions)
    assert (expected.successors == full.successors[:, :, [0, 2]]).all()


def test_arrays_that_were_returned_never_change_and_may_be_written_to():
    actions = random_actions(50, 4)
    expected = run_vector(CartPoleVectorEnv(4), range(4), actions)
    vector = CartPoleVectorEnv(4)
    observations, _ = vector.reset(seed=[0, 1, 2, 3])
    observations[:] = np.nan
    for row, action in enumerate(actions):
        observations, rewards, terminated, truncated, infos = vector.step(action)
        assert (observations == expected.observations[row]).all()
        assert (rewards == expected.rewards[row]).all()
        assert (terminated == expected.terminated[row]).all()
        for array in (observations, rewards, terminated, truncated, *infos.values()):
            array[:] = 1 if array.dtype == bool else np.nan


def test_an_int_seed_means_one_more_for_each_column_and_a_seed_of_none_keeps_the_generators():
    first, _ = CartPoleVectorEnv(3).reset(seed=5)
    vector = CartPoleVectorEnv(3)
    assert (vector.reset(seed=[5, 6, 7])[0] == first).all()
    second, _ = vector.reset()
    env = gymnasium.make("CartPole-v1")
    env.reset(seed=6)
    assert (second[1] == env.reset()[0]).all()


def test_a_wrong_use_of_reset_or_step_is_named():
    with pytest.raises(gymnasium.error.ResetNeeded):
        CartPoleVectorEnv(2).step(np.zeros(2, dtype=np.int64))
    with pytest.raises(ValueError, match=r"^3 seeds for 2 environments"):
        CartPoleVectorEnv(2).reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match="takes no reset options"):
        CartPoleVectorEnv(2).reset(options={"low": -0.1})
