"""FlickeringCartPole shows the observation of CartPole or zeros, by chance; an agent must keep what it saw."""

import functools

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.utils.env_checker import check_env

import envs
from envs.cartpole.flickering import FlickeringCartPoleVectorEnv, FlickeringObservation
from tests.support.cartpole_rules import GAINS, balancing_actions, kalman_gain, mean_steps, predicted
from tests.support.envs_slow_loop import random_actions, run_singles, run_vector

ID = "FlickeringCartPole-v1"

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # check_env on a wrapper, velocities without bounds


def single(**kwargs) -> gymnasium.Env:
    return gymnasium.make(ID, **kwargs)


@functools.cache
def blanks_of_one_column(steps: int, blank_probability: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which first, which final and which of all observations of one environment under random actions are blank.

    The others must be the true ones.
    """
    env, blank, first, final = single(blank_probability=blank_probability), [], [], []

    def see(observation):
        blank.append(not observation.any())
        assert blank[-1] or (observation == env.unwrapped.state.astype(np.float32)).all()
        return blank[-1]

    first.append(see(env.reset(seed=0)[0]))
    for action in random_actions(steps, 1)[:, 0]:
        observation, _, terminated, _, _ = env.step(action)
        seen = see(observation)
        if terminated:
            final.append(seen)
            first.append(see(env.reset()[0]))
    return np.array(first), np.array(final), np.array(blank)


@pytest.mark.parametrize("mask", [False, True])
def test_with_probability_1_it_shows_zeros_only_and_no_negative_zeros(mask):
    arguments = {"blank_probability": 1, "mask_velocity": mask}
    actions = random_actions(500, 7)
    for trajectory in (
        run_singles(lambda: single(**arguments), range(7), actions),
        run_vector(FlickeringCartPoleVectorEnv(7, **arguments), range(7), actions),
    ):
        assert trajectory.terminated.sum() > 100
        for observations in (trajectory.first, trajectory.observations, trajectory.successors):
            assert observations.shape[-1] == (2 if mask else 4)
            assert not np.frombuffer(observations.tobytes(), np.uint8).any()


@pytest.mark.parametrize("probability", [0.2, *(pytest.param(p, marks=pytest.mark.slow) for p in (0.5, 0.9))])
def test_observations_are_blank_with_the_given_probability_first_and_final_ones_too(probability):
    """Standard errors are at most 0.0035 for 21 000 observations and 0.018 for 800; 4 of them are allowed."""
    first, final, blank = blanks_of_one_column(20_000, probability)
    assert len(blank) > 20_500 and len(first) > 800 and len(final) > 800
    assert blank.mean() == pytest.approx(probability, abs=0.014)
    assert first.mean() == pytest.approx(probability, abs=0.072)
    assert final.mean() == pytest.approx(probability, abs=0.072)


def test_a_blank_tells_nothing_about_the_next_observations():
    """Correlations of 21 000 pairs have a standard error of 0.007."""
    blank = blanks_of_one_column(20_000, 0.5)[2]
    for lag in (1, 2, 22, 64):  # 22 is the mean length of an episode
        assert abs(np.corrcoef(blank[lag:], blank[:-lag])[0, 1]) < 0.028


def test_columns_of_different_seeds_flicker_at_different_times_and_columns_of_one_seed_at_the_same_times():
    vector, seeds = FlickeringCartPoleVectorEnv(500), [*range(499), 0]
    blank = ~run_vector(vector, seeds, balancing_actions(vector, seeds, 20)).observations.any(axis=2)
    assert abs(np.corrcoef(blank[:, :499].ravel(), blank[:, 1:].ravel())[0, 1]) < 0.04  # standard error 0.01
    assert (blank[:, 0] == blank[:, 499]).all()


def test_a_column_that_falls_does_not_change_what_the_others_show_in_that_step():
    """A second draw for the other columns would change half of their blanks; the fallen columns get one."""
    vector = FlickeringCartPoleVectorEnv(6)
    vector.reset(seed=0)
    falls, changed = 0, 0
    for action in random_actions(600, 6):
        observations, _, terminated, _, infos = vector.step(action)
        if infos:
            assert (observations[~terminated] == infos["final_obs"][~terminated]).all()
            falls += terminated.sum()
            changed += (observations.any(axis=1) != infos["final_obs"].any(axis=1))[terminated].sum()
    assert falls > 100 and changed / falls == pytest.approx(0.5, abs=0.2)  # 4 standard errors


def test_the_wrapper_refuses_observations_that_are_no_box_and_widens_the_bounds_to_include_0():
    with pytest.raises(
        ValueError, match=r"^FlickeringObservation needs a 1-D Box observation; that of FrozenLake-v1 is"
    ):
        FlickeringObservation(gymnasium.make("FrozenLake-v1"))
    low, high = np.array([-3, 1, -8], dtype=np.float32), np.array([-1, 5, 8], dtype=np.float32)
    inner = gymnasium.wrappers.TransformObservation(gymnasium.make("CartPole-v1"), lambda row: row, Box(low, high))
    assert FlickeringObservation(inner).observation_space == Box(
        np.array([-3, 0, -8], dtype=np.float32), np.array([0, 5, 8], dtype=np.float32)
    )


def linear_rule(rule, instead):
    """Make a policy: a linear rule where something is seen, and `instead` of the last actions at a blank."""

    def act(observations, actions):
        last = np.zeros(len(observations), dtype=np.int64) if actions is None else actions
        return np.where(observations.any(axis=1), observations @ rule > 0, instead(last))

    return act


def model(correct):
    """Make a policy on states that the dynamics predict; `correct` corrects them where something is seen."""
    states = 0.0

    def act(observations, actions):
        nonlocal states
        states = predicted(states + np.zeros((len(observations), 4)), actions)
        states = np.where(observations.any(axis=1)[:, None], correct(states, observations), states)
        return states @ GAINS > 0

    return act


def test_no_rule_without_memory_balances_and_a_rule_on_predicted_states_does_for_500_steps():
    """A random action at a blank gives 190 steps with four numbers and 41 with two.

    The opposite of the last action, one bit of memory, gives 496 and 59.
    """
    full, masked = (
        envs.make_vector(ID, 200, env_args={"mask_velocity": mask}, observation_scale="none") for mask in (False, True)
    )
    four, two = np.array([0.02, 0.1, 1.0, 0.5]), np.array([0.02, 1.0])
    generator = np.random.default_rng(0)

    def any_action(last):
        return generator.integers(2, size=len(last))

    def opposite(last):
        return 1 - last

    gain = kalman_gain((0.12, 0.0105))
    assert 150 < mean_steps(full, linear_rule(four, any_action)) < 230
    assert 35 < mean_steps(masked, linear_rule(two, any_action)) < 48
    assert mean_steps(full, linear_rule(four, opposite)) > 480
    assert 50 < mean_steps(masked, linear_rule(two, opposite)) < 70
    assert mean_steps(full, model(lambda states, seen: seen)) > 495
    assert mean_steps(masked, model(lambda states, seen: states + (seen - states[:, [0, 2]]) @ gain.T)) > 495


@pytest.mark.parametrize(("mask", "plain"), [(False, "CartPole-v1"), (True, "MaskedVelocityCartPole-v1")])
def test_both_forms_have_the_spec_spaces_and_scale_of_cartpole_masked_or_not(mask, plain):
    assert (gymnasium.spec(ID).max_episode_steps, gymnasium.spec(ID).reward_threshold) == (500, 475)
    env, vector, expected = (
        single(mask_velocity=mask),
        gymnasium.make_vec(ID, 3, mask_velocity=mask),
        gymnasium.make(plain),
    )
    assert isinstance(vector, FlickeringCartPoleVectorEnv)
    assert env.observation_space == vector.single_observation_space == expected.observation_space
    assert vector.observation_space == gymnasium.vector.utils.batch_space(expected.observation_space, 3)
    scale = expected.metadata.get("observation_scale")
    assert env.metadata.get("observation_scale") == vector.metadata.get("observation_scale") == scale
    assert scale == ((2.4, 0.2095) if mask else None)
    check_env(env, skip_render_check=True)
