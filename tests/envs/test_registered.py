"""All registered environments agree in forms, seeds, copies, specs and refusals."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import SyncVectorEnv

import envs
from envs.cartpole.cartpole import CartPoleVectorEnv
from envs.cartpole.fall_penalty import FallPenaltyCartPoleVectorEnv
from envs.cartpole.flickering import FlickeringCartPoleVectorEnv, FlickeringObservation
from envs.cartpole.noisy_position import NoisyObservation, NoisyPositionCartPoleVectorEnv
from envs.memory.recall_cue import RecallCueVectorEnv
from envs.memory.repeat_previous import RepeatPreviousVectorEnv
from tests.support.bits import assert_bit_equal
from tests.support.cartpole_rules import balancing_actions
from tests.support.envs_slow_loop import random_actions, run_singles, run_vector

MASKED, FALL = "MaskedVelocityCartPole-v1", "FallPenaltyCartPole-v1"
NOISY, FLICKERING = "NoisyPositionCartPole-v1", "FlickeringCartPole-v1"
RECALL, REPEAT = "RecallCue-v0", "RepeatPrevious-v0"
VECTORS = {
    "CartPole-v1": CartPoleVectorEnv,
    FALL: FallPenaltyCartPoleVectorEnv,
    NOISY: NoisyPositionCartPoleVectorEnv,
    FLICKERING: FlickeringCartPoleVectorEnv,
    RECALL: RecallCueVectorEnv,
    REPEAT: RepeatPreviousVectorEnv,
}

disturbed = pytest.mark.parametrize("env_id", [NOISY, FLICKERING])


@pytest.mark.parametrize(
    ("env_id", "arguments"),
    [
        (NOISY, {}),
        (NOISY, {"max_episode_steps": 13}),
        (FLICKERING, {"mask_velocity": True}),
        (FLICKERING, {"max_episode_steps": -1}),
        *(
            pytest.param(env_id, arguments, marks=pytest.mark.slow)
            for env_id, arguments in [
                (NOISY, {"noise": 0.5}),
                (NOISY, {"sutton_barto_reward": True}),
                (NOISY, {"max_episode_steps": -1}),
                (FLICKERING, {}),
                (FLICKERING, {"blank_probability": 0.1}),
                (FLICKERING, {"max_episode_steps": 13, "mask_velocity": True}),
                (FLICKERING, {"sutton_barto_reward": True}),
            ]
        ),
    ],
    ids=str,
)
def test_the_vector_form_equals_the_single_form_bit_for_bit_over_2000_steps(env_id, arguments):
    seeds, actions = range(7), random_actions(2000, 7)
    expected = run_singles(lambda: gymnasium.make(env_id, **arguments), seeds, actions)
    assert (expected.terminated | expected.truncated).sum() > 500
    assert_bit_equal(run_vector(VECTORS[env_id](7, **arguments), seeds, actions), expected)
    vector = envs.make_vector(env_id, 7, env_args=arguments, observation_scale="none")
    assert isinstance(vector.unwrapped, VECTORS[env_id])
    assert_bit_equal(run_vector(vector, seeds, actions), expected)


@disturbed
@pytest.mark.parametrize("limit", [64, 65, *(pytest.param(limit, marks=pytest.mark.slow) for limit in (500, 63, 128))])
def test_the_two_forms_are_equal_over_episodes_longer_than_the_64_observations_of_a_draw(env_id, limit):
    """No pole falls in 1100 steps. With a limit of 64 the final observation is the first of a new block."""
    make = lambda: VECTORS[env_id](5, max_episode_steps=limit)  # noqa: E731
    actions = balancing_actions(make(), range(5), 1100)
    expected = run_singles(lambda: gymnasium.make(env_id, max_episode_steps=limit), range(5), actions)
    assert not expected.terminated.any() and expected.truncated.sum() == 5 * (1100 // limit)
    assert_bit_equal(run_vector(make(), range(5), actions), expected)


@pytest.mark.parametrize(
    ("env_id", "arguments", "plain"),
    [
        pytest.param(NOISY, {"noise": 0}, MASKED, marks=pytest.mark.slow),
        (FLICKERING, {"blank_probability": 0, "mask_velocity": False}, "CartPole-v1"),
        (FLICKERING, {"blank_probability": 0, "mask_velocity": True}, MASKED),
    ],
)
def test_without_disturbance_it_equals_cartpole_bit_for_bit_over_2000_steps_masked_or_not(env_id, arguments, plain):
    single, vector, expected = (
        gymnasium.make(env_id, **arguments),
        VECTORS[env_id](7, **arguments),
        gymnasium.make(plain),
    )
    assert single.observation_space == vector.single_observation_space == expected.observation_space
    actions = random_actions(2000, 7)
    expected = run_singles(lambda: gymnasium.make(plain), range(7), actions)
    assert_bit_equal(run_singles(lambda: gymnasium.make(env_id, **arguments), range(7), actions), expected)
    assert_bit_equal(run_vector(vector, range(7), actions), expected)


@disturbed
def test_a_column_does_not_depend_on_its_neighbours_which_fall_at_other_times(env_id):
    actions = random_actions(600, 5)
    whole = run_vector(VECTORS[env_id](5), [3, 1, 4, 5, 9], actions)
    alone = run_vector(VECTORS[env_id](1), [4], actions[:, 2:3])
    assert len(set(whole.terminated.nonzero()[1])) == 5
    assert_bit_equal(type(whole)(whole.first[2:3], *(rows[:, 2:3] for rows in whole[1:])), alone)


SINGLES = {"render_mode": "rgb_array"}  # an argument of the single form only


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize(
    ("env_id", "arguments", "form"),
    [
        ("CartPole-v1", {}, "vector"),
        (FALL, {"penalty": 6}, "vector"),
        (NOISY, {}, "vector"),
        (NOISY, SINGLES, "singles"),
        (FLICKERING, {}, "vector"),
        (FLICKERING, SINGLES, "singles"),
        (REPEAT, {}, "vector"),
        (REPEAT, {"max_episode_steps": 19}, "singles"),
    ],
    ids=str,
)
def test_a_copy_made_in_the_middle_of_an_episode_continues_as_the_original_does(env_id, arguments, form, duplicate):
    """After 30 steps, 33 of the 64 random numbers of a column are not used yet; step 64 and falls draw more."""
    original = envs.make_vector(env_id, 4, env_args=arguments)
    assert isinstance(original.unwrapped, VECTORS[env_id] if form == "vector" else SyncVectorEnv)
    actions = random_actions(300, 4, count=original.single_action_space.n)
    if env_id != REPEAT:
        actions[:100] = balancing_actions(VECTORS[env_id](4), range(4), 100)
    original.reset(seed=[0, 1, 2, 3])
    for action in actions[:30]:
        original.step(action)
    other, ends = duplicate(original), 0
    for action in actions[30:]:
        (*one, infos), (*two, infos_too) = original.step(action), other.step(action)
        for mine, copied in zip((*one, *infos.values()), (*two, *infos_too.values()), strict=True):
            assert (mine == copied).all()
        ends += (one[2] | one[3]).sum()
    assert ends > 10


@disturbed
def test_a_new_seed_in_mid_episode_starts_over_and_a_seed_of_none_keeps_the_generator(env_id):
    vector, seeds = VECTORS[env_id](3), [7, 8, 9]
    actions = random_actions(200, 3)
    expected = run_vector(vector, seeds, actions)  # which ends in the middle of three episodes
    assert_bit_equal(run_vector(vector, seeds, actions), expected)
    mixed = np.array([vector.reset(seed=[7, None, 9])[0], *(vector.step(action)[0] for action in actions)])
    afresh = np.array([expected.first, *expected.observations])
    assert (mixed[:, [0, 2]] == afresh[:, [0, 2]]).all() and (mixed[:, 1] != afresh[:, 1]).any()
    env, seen = gymnasium.make(env_id), []
    env.reset(seed=8)
    for action in [*actions[:, 1], None, *actions[:, 1]]:
        ended = action is None
        if not ended:
            observation, _, ended, _, _ = env.step(action)
        seen.append(env.reset()[0] if ended else observation)
    assert (np.array(seen[200:]) == mixed[:, 1]).all()


NAN = float("nan")


@pytest.mark.parametrize(
    ("env_id", "name", "values", "needed"),
    [
        (NOISY, "noise", (-0.1, NAN, float("inf"), "much", None, 1j), "noise must be a finite number of at least 0"),
        (FLICKERING, "blank_probability", (-0.1, 1.5, NAN, "half"), "blank_probability must be a number from 0 to 1"),
        (FLICKERING, "mask_velocity", ("false", 2), "mask_velocity must be True or False"),
        (RECALL, "delay", (0, 1.5), "RecallCue needs delay to be an integer of at least 1"),
        (RECALL, "cues", (1,), "RecallCue needs cues to be an integer of at least 2"),
        (RECALL, "max_blanks", (-1,), "RecallCue needs max_blanks to be an integer of at least 0"),
        (REPEAT, "symbols", (1, "many"), "RepeatPrevious needs symbols to be an integer of at least 2"),
        (REPEAT, "delay", (0, 1.5), "RepeatPrevious needs delay to be an integer of at least 1"),
        (REPEAT, "questions", (0, None), "RepeatPrevious needs questions to be an integer of at least 1"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line_that_names_it(env_id, name, values, needed):
    for value in values:
        arguments, message = {name: value}, f"{needed}, got {value!r}"
        for make in (gymnasium.make, gymnasium.make_vec):
            with pytest.raises(ValueError) as error:
                make(env_id, **arguments)
            assert str(error.value) == message
        with pytest.raises(ValueError) as error:
            envs.make_vector(env_id, 2, env_args=arguments)
        assert str(error.value) == f"cannot make environment '{env_id}' with {arguments}: {message}"


def test_an_argument_that_an_environment_has_not_is_refused_in_one_line_that_lists_those_that_it_has():
    with pytest.raises(ValueError) as error:
        envs.make_vector("RecallCue-v0", 2, env_args={"dely": 3})
    said = "it has no argument 'dely', but delay, cues, max_blanks, max_episode_steps"
    assert str(error.value) == f"cannot make environment 'RecallCue-v0' with {{'dely': 3}}: {said}"


@pytest.mark.parametrize(
    ("env_id", "arguments", "scale"),
    [
        (NOISY, {}, (2.4, 0.2095)),
        (FLICKERING, {"mask_velocity": False}, (1, 1, 1, 1)),
        (FLICKERING, {"mask_velocity": True}, (2.4, 0.2095)),
    ],
)
def test_frames_and_the_previous_action_are_added_to_disturbed_observations_final_ones_included(
    env_id, arguments, scale
):
    """The expected rows are computed from the plain environment: two frames, scaled where masked, and a one-hot."""
    actions = random_actions(400, 3)
    plain = run_vector(VECTORS[env_id](3, **arguments), range(3), actions)
    vector = envs.make_vector(env_id, 3, env_args=arguments, frame_stack=2, previous_action=True)
    dressed = run_vector(vector, range(3), actions)
    scale = np.array(scale, dtype=np.float32)
    before = plain.first / scale
    for step, action in enumerate(actions):
        successor, observation = plain.successors[step] / scale, plain.observations[step] / scale
        one_hot = np.eye(2)[action]
        frames = np.concatenate((before, successor, one_hot), axis=1)
        opened = np.concatenate((observation, observation, 0 * one_hot), axis=1)
        assert (dressed.successors[step] == frames).all()
        assert (dressed.observations[step] == np.where(plain.terminated[step][:, None], opened, frames)).all()
        before = observation
    assert plain.terminated.sum() > 30


@pytest.mark.parametrize(("env_id", "arguments"), [(NOISY, {"noise": 0.3}), (FLICKERING, {"mask_velocity": True})])
def test_an_argument_of_the_single_form_only_makes_single_environments_with_the_same_disturbance(env_id, arguments):
    slow = envs.make_vector(env_id, 3, env_args=arguments | SINGLES)
    fast = envs.make_vector(env_id, 3, env_args=arguments)
    assert isinstance(slow.unwrapped, SyncVectorEnv) and isinstance(fast.unwrapped, VECTORS[env_id])
    assert_bit_equal(*(run_vector(vector, range(3), random_actions(200, 3)) for vector in (slow, fast)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: gymnasium.make(MASKED, sutton_barto_reward=True),
        lambda: gymnasium.make(FALL, penalty=3.0),
        lambda: gymnasium.make(NOISY, noise=0.3),
        lambda: NoisyObservation(gymnasium.make("CartPole-v1"), 0.3, np.ones(4)),
        lambda: gymnasium.make(FLICKERING, blank_probability=0.3, mask_velocity=True),
        lambda: FlickeringObservation(gymnasium.make("CartPole-v1"), 0.3),
    ],
    ids=[MASKED, FALL, NOISY, "NoisyObservation", FLICKERING, "FlickeringObservation"],
)
def test_a_spec_makes_the_environment_again_also_through_json(make):
    env, actions = make(), random_actions(50, 1)
    expected = run_singles(lambda: env, [5], actions)
    assert expected.terminated.any()
    for spec in (env.spec, EnvSpec.from_json(env.spec.to_json())):
        again = gymnasium.make(spec)
        assert again.spec == env.spec
        assert_bit_equal(run_singles(lambda: again, [5], actions), expected)  # noqa: B023


def test_a_new_process_finds_the_ids_through_envs_and_does_not_import_torch():
    program = f"""
import sys, gymnasium
for name in {[MASKED, FALL, NOISY, FLICKERING, RECALL, REPEAT, "popgym-fast/AutoencodeEasy-v0"]}:
    gymnasium.make("envs:" + name).reset(seed=0)
    gymnasium.make_vec("envs:" + name, 2).reset(seed=0)
assert not {{"torch", "wandb", "rl", "einops", "popgym"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300, cwd=Path(__file__).parents[2])
