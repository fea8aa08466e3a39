"""FlickeringCartPole shows what CartPole shows or nothing at all, as a fair coin falls; what was seen must be kept."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from cartpole_rules import GAINS, balancing_actions, kalman_gain, mean_steps, predicted
from envs_slow_loop import Trajectory, assert_bit_equal, random_actions, run_singles, run_vector
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv

import envs
from envs import FlickeringObservation
from envs.flickering import FlickeringCartPoleVectorEnv

ID = "FlickeringCartPole-v1"

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # check_env on a wrapper, velocities without bounds


def single(**kwargs) -> gymnasium.Env:
    return gymnasium.make(ID, **kwargs)


def part(trajectory: Trajectory, columns: slice) -> Trajectory:
    return Trajectory(trajectory.first[columns], *(rows[:, columns] for rows in trajectory[1:]))


def blanks_of_one_column(steps: int, blank_probability: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which of the first, of the final and of all observations of one environment under random actions are blank. The
    others are the truth."""
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


@pytest.mark.parametrize("arguments", [
    {}, {"mask_velocity": True}, {"blank_probability": 0.1}, {"max_episode_steps": 13, "mask_velocity": True},
    {"sutton_barto_reward": True}, {"max_episode_steps": -1},
], ids=str)  # fmt: skip
def test_the_vector_form_equals_the_single_form_bit_for_bit_over_2000_steps(arguments):
    seeds, actions = range(7), random_actions(2000, 7)
    expected = run_singles(lambda: single(**arguments), seeds, actions)
    assert (expected.terminated | expected.truncated).sum() > 500
    assert_bit_equal(run_vector(FlickeringCartPoleVectorEnv(7, **arguments), seeds, actions), expected)
    vector = envs.make_vector(ID, 7, env_args=arguments, observation_scale="none")
    assert isinstance(vector.unwrapped, FlickeringCartPoleVectorEnv)
    assert_bit_equal(run_vector(vector, seeds, actions), expected)


@pytest.mark.parametrize("limit", [500, 63, 64, 65, 128])
def test_so_it_does_over_episodes_that_need_more_than_the_64_observations_drawn_at_once(limit):
    """1100 steps without a fall. With a limit of 64 the final observation is the first of a new block."""
    make = lambda: FlickeringCartPoleVectorEnv(5, max_episode_steps=limit)  # noqa: E731
    actions = balancing_actions(make(), range(5), 1100)
    expected = run_singles(lambda: single(max_episode_steps=limit), range(5), actions)
    assert not expected.terminated.any() and expected.truncated.sum() == 5 * (1100 // limit)
    assert_bit_equal(run_vector(make(), range(5), actions), expected)


@pytest.mark.parametrize(("mask", "plain"), [(False, "CartPole-v1"), (True, "MaskedVelocityCartPole-v1")])
def test_never_blank_it_is_cartpole_bit_for_bit_over_2000_steps_masked_or_not(mask, plain):
    arguments = {"blank_probability": 0, "mask_velocity": mask}
    actions = random_actions(2000, 7)
    expected = run_singles(lambda: gymnasium.make(plain), range(7), actions)
    assert_bit_equal(run_singles(lambda: single(**arguments), range(7), actions), expected)
    assert_bit_equal(run_vector(FlickeringCartPoleVectorEnv(7, **arguments), range(7), actions), expected)


@pytest.mark.parametrize("mask", [False, True])
def test_always_blank_it_shows_zeros_alone_and_no_negative_ones(mask):
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


@pytest.mark.parametrize("probability", [0.5, 0.2, 0.9])
def test_observations_are_blank_with_the_probability_named_first_and_final_ones_too(probability):
    """Standard errors: at most 0.0035 for 21 000 observations, 0.018 for 800; 4 of them are allowed."""
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


def test_columns_of_other_seeds_flicker_at_other_times_and_those_of_the_same_seed_at_the_same():
    vector, seeds = FlickeringCartPoleVectorEnv(500), [*range(499), 0]
    blank = ~run_vector(vector, seeds, balancing_actions(vector, seeds, 20)).observations.any(axis=2)
    assert abs(np.corrcoef(blank[:, :499].ravel(), blank[:, 1:].ravel())[0, 1]) < 0.04  # standard error 0.01
    assert (blank[:, 0] == blank[:, 499]).all()


def test_a_column_is_the_same_beside_other_neighbours_who_fall_at_other_times():
    actions = random_actions(600, 5)
    whole = run_vector(FlickeringCartPoleVectorEnv(5), [3, 1, 4, 5, 9], actions)
    alone = run_vector(FlickeringCartPoleVectorEnv(1), [4], actions[:, 2:3])
    assert len(set(whole.terminated.nonzero()[1])) == 5
    assert_bit_equal(part(whole, slice(2, 3)), alone)


def test_where_a_neighbour_falls_those_who_stand_are_seen_once():
    """Were the coin tossed again with the neighbour's, half of them would change; what falls does."""
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


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("make", [lambda: FlickeringCartPoleVectorEnv(4), lambda: envs.make_vector(
    ID, 4, env_args={"render_mode": "rgb_array"})], ids=["vector", "singles"])  # fmt: skip
def test_a_copy_made_in_the_middle_of_an_episode_goes_on_as_the_original_does(make, duplicate):
    """After 30 steps: the blanks of 33 observations are drawn and not seen yet; more are at step 64 and at falls."""
    original = make()
    actions = balancing_actions(FlickeringCartPoleVectorEnv(4), range(4), 100)
    actions = np.concatenate((actions, random_actions(200, 4)))
    original.reset(seed=[0, 1, 2, 3])
    for action in actions[:30]:
        original.step(action)
    other, falls = duplicate(original), 0
    for action in actions[30:]:
        (one, *_, ended, _, infos), (two, *_, infos_too) = original.step(action), other.step(action)
        assert (one == two).all()
        assert all((infos[name] == infos_too[name]).all() for name in infos)
        falls += ended.sum()
    assert falls > 10


def test_a_new_seed_in_mid_episode_starts_all_over_and_none_goes_on_with_the_generator():
    vector, seeds = FlickeringCartPoleVectorEnv(3), [7, 8, 9]
    actions = random_actions(200, 3)
    expected = run_vector(vector, seeds, actions)  # and now it stands somewhere in three episodes
    assert_bit_equal(run_vector(vector, seeds, actions), expected)
    vector.reset(seed=[7, None, 9])
    mixed = np.array([vector.step(action)[0] for action in actions])
    assert (mixed[:, [0, 2]] == expected.observations[:, [0, 2]]).all()
    env, seen = single(), []
    env.reset(seed=8)
    for action in [*actions[:, 1], None, *actions[:, 1]]:
        ended = action is None
        if not ended:
            observation, _, ended, _, _ = env.step(action)
        seen.append(env.reset()[0] if ended else observation)
    assert (np.array(seen[201:]) == mixed[:, 1]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blank_probability": -0.1}, "blank_probability must be a number from 0 to 1, got -0.1"),
        ({"blank_probability": 1.5}, "blank_probability must be a number from 0 to 1, got 1.5"),
        ({"blank_probability": float("nan")}, "blank_probability must be a number from 0 to 1, got nan"),
        ({"blank_probability": "half"}, "blank_probability must be a number from 0 to 1, got 'half'"),
        ({"mask_velocity": "false"}, "mask_velocity must be True or False, got 'false'"),
        ({"mask_velocity": 2}, "mask_velocity must be True or False, got 2"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line_that_names_it(arguments, message):
    for make in (single, FlickeringCartPoleVectorEnv):
        with pytest.raises(ValueError) as error:
            make(**arguments)
        assert str(error.value) == message
    with pytest.raises(ValueError) as error:
        envs.make_vector(ID, 2, env_args=arguments)
    assert str(error.value) == f"cannot make environment '{ID}' with {arguments}: {message}"


def test_the_wrapper_refuses_observations_that_are_no_box_and_widens_bounds_to_hold_the_blank():
    with pytest.raises(
        ValueError, match=r"^FlickeringObservation needs a 1-D Box observation; that of FrozenLake-v1 is"
    ):
        FlickeringObservation(gymnasium.make("FrozenLake-v1"))
    low, high = np.array([-3, 1, -8], dtype=np.float32), np.array([-1, 5, 8], dtype=np.float32)
    inner = gymnasium.wrappers.TransformObservation(gymnasium.make("CartPole-v1"), lambda row: row, Box(low, high))
    assert FlickeringObservation(inner).observation_space == Box(
        np.array([-3, 0, -8], dtype=np.float32), np.array([0, 5, 8], dtype=np.float32)
    )


@pytest.mark.parametrize(("mask", "scale"), [(False, (1, 1, 1, 1)), (True, (2.4, 0.2095))])
def test_frames_and_the_previous_action_come_on_top_of_what_was_seen_final_observations_included(mask, scale):
    """Two frames and a one-hot, the masked ones scaled: what a hand computes from the plain environment."""
    actions = random_actions(400, 3)
    plain = run_vector(FlickeringCartPoleVectorEnv(3, mask_velocity=mask), range(3), actions)
    vector = envs.make_vector(ID, 3, env_args={"mask_velocity": mask}, frame_stack=2, previous_action=True)
    dressed = run_vector(vector, range(3), actions)
    before, scale = plain.first / np.array(scale, dtype=np.float32), np.array(scale, dtype=np.float32)
    for step, action in enumerate(actions):
        successor, observation = plain.successors[step] / scale, plain.observations[step] / scale
        one_hot = np.eye(2)[action]
        frames = np.concatenate((before, successor, one_hot), axis=1)
        opened = np.concatenate((observation, observation, 0 * one_hot), axis=1)
        assert (dressed.successors[step] == frames).all()
        assert (dressed.observations[step] == np.where(plain.terminated[step][:, None], opened, frames)).all()
        before = observation
    assert plain.terminated.sum() > 30


def goes_on(rule, instead):
    """Acts by a linear rule on what is seen, and where nothing is by what `instead` makes of the last actions."""

    def act(observations, actions):
        last = np.zeros(len(observations), dtype=np.int64) if actions is None else actions
        return np.where(observations.any(axis=1), observations @ rule > 0, instead(last))

    return act


def model(correct):
    """Runs the dynamics on, knowing what it did itself, and lets `correct` mend its belief where something is seen."""
    states = 0.0

    def act(observations, actions):
        nonlocal states
        states = predicted(states + np.zeros((len(observations), 4)), actions)
        states = np.where(observations.any(axis=1)[:, None], correct(states, observations), states)
        return states @ GAINS > 0

    return act


def test_without_memory_no_rule_stands_and_the_dynamics_run_on_do_for_500_steps():
    """190 and 41 steps with any action where nothing is seen; the opposite of the last action, one bit, is enough with
    four numbers, 496 steps, and not with two, 59."""
    full, masked = (envs.make_vector(ID, 200, env_args={"mask_velocity": mask}, observation_scale="none")
                    for mask in (False, True))  # fmt: skip
    four, two = np.array([0.02, 0.1, 1.0, 0.5]), np.array([0.02, 1.0])
    generator = np.random.default_rng(0)

    def any_action(last):
        return generator.integers(2, size=len(last))

    def opposite(last):
        return 1 - last

    gain = kalman_gain((0.12, 0.0105))
    assert 150 < mean_steps(full, goes_on(four, any_action)) < 230
    assert 35 < mean_steps(masked, goes_on(two, any_action)) < 48
    assert mean_steps(full, goes_on(four, opposite)) > 480
    assert 50 < mean_steps(masked, goes_on(two, opposite)) < 70
    assert mean_steps(full, model(lambda states, seen: seen)) > 495
    assert mean_steps(masked, model(lambda states, seen: states + (seen - states[:, [0, 2]]) @ gain.T)) > 495


@pytest.mark.parametrize(("mask", "plain"), [(False, "CartPole-v1"), (True, "MaskedVelocityCartPole-v1")])
def test_spec_spaces_and_scale_are_those_of_cartpole_masked_or_not_in_both_forms(mask, plain):
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


def test_arguments_of_the_single_form_only_make_single_environments_that_flicker_alike():
    slow = envs.make_vector(ID, 3, env_args={"render_mode": "rgb_array", "mask_velocity": True})
    fast = envs.make_vector(ID, 3, env_args={"mask_velocity": True})
    assert isinstance(slow.unwrapped, SyncVectorEnv)
    assert_bit_equal(*(run_vector(vector, range(3), random_actions(200, 3)) for vector in (slow, fast)))


def test_it_is_made_again_from_its_spec_also_through_json():
    for env in (
        single(blank_probability=0.3, mask_velocity=True),
        FlickeringObservation(gymnasium.make("CartPole-v1"), 0.3),
    ):
        expected = run_singles(lambda: env, [5], random_actions(50, 1))  # noqa: B023
        for spec in (env.spec, EnvSpec.from_json(env.spec.to_json())):
            again = gymnasium.make(spec)
            assert again.spec == env.spec
            assert_bit_equal(run_singles(lambda: again, [5], random_actions(50, 1)), expected)  # noqa: B023


def test_a_new_process_finds_the_id_through_envs_and_imports_no_torch():
    program = f"""
import sys, gymnasium
gymnasium.make("envs:{ID}").reset(seed=0)
gymnasium.make_vec("envs:{ID}", 2).reset(seed=0)
assert not {{"torch", "wandb", "rl", "einops"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=Path(__file__).parents[1])
