"""NoisyPositionCartPole is the masked CartPole plus noise: two frames do not solve it, and a filter does."""

import functools

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.utils.env_checker import check_env

import envs
from envs.cartpole.noisy_position import NoisyObservation, NoisyPositionCartPoleVectorEnv
from tests.support.cartpole_rules import GAINS, balancing_actions, kalman_gain, mean_steps, predicted
from tests.support.envs_slow_loop import random_actions, run_vector

ID = "NoisyPositionCartPole-v1"
DEVIATIONS = np.array([0.48, 0.0419])  # 0.2 · 2.4 m and 0.2 · 0.2095 rad

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # check_env on a wrapper, a Box without bounds


def single(**kwargs) -> gymnasium.Env:
    return gymnasium.make(ID, **kwargs)


@functools.cache
def noise_of_one_column(steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the noise, over its standard deviation, of first, of final and of all observations, each [observation, 2].

    They come from one environment under random actions.
    """
    env, noise, first, final = single(), [], [], []

    def see(observation):
        noise.append((observation - env.unwrapped.state[[0, 2]]) / DEVIATIONS)
        return noise[-1]

    first.append(see(env.reset(seed=0)[0]))
    for action in random_actions(steps, 1)[:, 0]:
        observation, _, terminated, _, _ = env.step(action)
        seen = see(observation)
        if terminated:
            final.append(seen)
            first.append(see(env.reset()[0]))
    return np.array(first), np.array(final), np.array(noise)


def test_noise_over_048_m_and_00419_rad_is_standard_normal_at_first_and_final_observations_too():
    """Means and deviations have standard errors of 0.007 and 0.005 over 21 000 numbers, of 0.033 and 0.024 over 900.

    The test allows 4 standard errors.
    """
    first, final, noise = noise_of_one_column(20_000)
    assert len(noise) > 20_500 and len(first) > 800 and len(final) > 800
    for sample, mean, deviation in ((noise, 0.028, 0.02), (first, 0.14, 0.1), (final, 0.14, 0.1)):
        assert (abs(sample.mean(axis=0)) < mean).all()
        assert (abs(sample.std(axis=0) - 1) < deviation).all()
    within = [(abs(noise) < width).mean(axis=0) for width in (1, 2, 3)]
    assert np.array(within) == pytest.approx(np.array([[0.6827] * 2, [0.9545] * 2, [0.9973] * 2]), abs=0.013)


def test_noise_is_independent_between_entries_and_between_observations():
    """Correlations of 21 000 pairs have a standard error of 0.007."""
    noise = noise_of_one_column(20_000)[2]
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.028
    for lag in (1, 2, 22, 64):  # 22 is the mean length of an episode
        assert abs(np.corrcoef(noise[lag:].T, noise[:-lag].T)[:2, 2:]).max() < 0.035


def test_columns_of_different_seeds_have_different_noise_and_columns_of_one_seed_the_same():
    vector, seeds = (
        NoisyPositionCartPoleVectorEnv(500, noise=100),
        [*range(499), 0],
    )  # beside which the state is nothing
    seen = run_vector(vector, seeds, balancing_actions(vector, seeds, 20)).observations
    assert abs(np.corrcoef(seen[:, :499, 0].ravel(), seen[:, 1:, 0].ravel())[0, 1]) < 0.04  # standard error 0.01
    assert (seen[:, 0] == seen[:, 499]).all()


def test_a_column_that_falls_does_not_change_the_noise_of_the_others_in_that_step():
    vector = NoisyPositionCartPoleVectorEnv(6)
    vector.reset(seed=0)
    falls = 0
    for action in random_actions(300, 6):
        observations, _, terminated, _, infos = vector.step(action)
        if infos:
            falls += terminated.sum()
            assert (observations[~terminated] == infos["final_obs"][~terminated]).all()
            assert (observations[terminated] != infos["final_obs"][terminated]).all()
    assert falls > 50


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NoisyObservation(gymnasium.make("CartPole-v1"), 0.1, (1, 1)), "scale must be 4 positive numbers, one"),
        (lambda: NoisyObservation(gymnasium.make("Acrobot-v1"), 0.1, [0] * 6), "scale must be 6 positive numbers, one"),
        (
            lambda: NoisyObservation(gymnasium.make("FrozenLake-v1"), 0.1, (1,)),
            "NoisyObservation needs a 1-D Box observation; that of FrozenLake-v1 is Discrete(16)",
        ),
    ],
)
def test_the_wrapper_refuses_what_it_cannot_do_in_one_line(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def two_frames(gains: tuple[float, ...]):
    """Make a policy: a linear rule on the present frame and its difference to the last one."""
    last = None

    def act(observations, actions):
        nonlocal last
        difference = 0 * observations if last is None else (observations - last) / 0.02
        last = observations
        return np.stack((observations, difference), axis=2).reshape(-1, 4) @ gains > 0

    return act


def kalman(deviations: np.ndarray):
    """Make a policy: a linear rule on the state that a Kalman filter estimates from observations and own actions."""
    gain, states = kalman_gain(deviations), 0.0

    def act(observations, actions):
        nonlocal states
        states = predicted(states + np.zeros((len(observations), 4)), actions)
        states = states + (observations - states[:, [0, 2]]) @ gain.T
        return states @ GAINS > 0

    return act


def test_two_frames_are_enough_at_noise_005_and_not_at_02_where_a_filter_balances_for_500_steps():
    """The gains of both rules are the best that a search found; no other rule on two frames exceeded 225."""
    little, default = (
        envs.make_vector(ID, 200, env_args={"noise": noise}, observation_scale="none").unwrapped
        for noise in (0.05, 0.2)
    )
    assert mean_steps(little, two_frames((0.029, 0.009, 1.356, 0.172))) > 490
    assert 150 < mean_steps(default, two_frames((0.025, -0.001, 1.578, 0.071))) < 280
    assert mean_steps(default, kalman(DEVIATIONS)) > 495


def test_both_forms_have_the_limit_and_threshold_of_cartpole_and_spaces_without_bounds():
    assert (gymnasium.spec(ID).max_episode_steps, gymnasium.spec(ID).reward_threshold) == (500, 475)
    env, vector = single(), gymnasium.make_vec(ID, 3)
    assert isinstance(vector, NoisyPositionCartPoleVectorEnv)
    assert env.observation_space == vector.single_observation_space == Box(-np.inf, np.inf, (2,), dtype=np.float32)
    assert vector.observation_space == Box(-np.inf, np.inf, (3, 2), dtype=np.float32)
    assert env.metadata["observation_scale"] == vector.metadata["observation_scale"] == (2.4, 0.2095)
    check_env(env, skip_render_check=True)
