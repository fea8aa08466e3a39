"""What an environment gives is checked against what it said: one line names environment, space and value."""

import numpy as np
import pytest
from gymnasium.spaces import Box

import envs
from envs.vector.contract import Bounds, why_not
from envs.vector.messages import BrokenContract
from envs.vector.observations import array_box, lost_precision
from tests.support.broken_envs import SPACES

ID = "tests.support.broken_envs:Broken-v0"
BOX, NEEDED = "Box(-1.0, 1.0, (2,), float32)", "and a finite number from"


def refused(env_id=ID, steps=12, num_envs=3, **env_args):
    """The line with which an environment is refused within so many steps."""
    vector = envs.make_vector(env_id, num_envs, env_args=env_args)
    with pytest.raises(BrokenContract) as error:
        vector.reset(seed=0)
        for _ in range(steps):
            vector.step(np.zeros(num_envs, dtype=np.int64))
    line = str(error.value)
    assert "\n" not in line and line.startswith(env_id.rpartition(":")[2])
    return line


@pytest.mark.parametrize(
    ("space", "value", "line"),
    [
        ("box", np.array([np.nan, 0]), f"[nan 0.], which is not in {BOX}: entry 0 is nan, {NEEDED}"),
        ("box", np.array([0, -np.inf]), f"not in {BOX}: entry 1 is -inf, {NEEDED}"),
        ("box", np.zeros(3), f"[0. 0. 0.], which is not in {BOX}: its shape is (3,), and that of the space is (2,)"),
        ("box", np.zeros((1, 2)), "its shape is (1, 2), and that of the space is (2,)"),
        ("box", 0.5, "gave 0.5, which is not in " + BOX + ": its shape is ()"),
        ("box", None, f"gave None, which is not in {BOX}: it is of object"),
        ("box", "ab", f"gave 'ab', which is not in {BOX}: it is of <U2"),
        ("box", [[1], [1, 2]], "it is no array"),
        ("whole", np.array([1.5, 2]), "it is of float64, and the space is of int64"),
        ("whole", np.array([1, 11]), "gave [ 1. 11.], which is not in Box(0, 10, (2,), int64): entry 1 is 11.0"),
        ("discrete", -1, "gave -1, which is not in Discrete(4): it is -1, and a finite number from 0 to 3 is needed"),
        ("discrete", 4, "gave 4, which is not in Discrete(4)"),
        ("discrete", 1.0, "gave 1.0, which is not in Discrete(4): it is of float64, and the space is of int64"),
        ("discrete", np.array([1]), "its shape is (1,), and that of the space is ()"),
        ("multi", np.array([1, 3]), "gave [1 3], which is not in MultiDiscrete([2 3]): entry 1 is 3"),
        ("multi", np.array([-1, 0]), "entry 0 is -1, and a finite number from 0 to 1 is needed"),
        ("image", np.full((2, 2), 201, np.uint8), "entry 0, 0 is 201, and a finite number from 0 to 200 is needed"),
        ("image", np.full((2, 2), 263), "entry 0, 0 is 263"),  # as uint8 it would be 7
        (
            "picture",
            np.diag([0.0] * 79 + [np.nan]),
            "entry 79, 79 is nan, and a finite number from 0.0 to 1.0 is needed",
        ),
        ("picture", np.diag([0.0] * 79 + [-np.inf]), "entry 79, 79 is -inf"),
        ("image", np.full((2, 2), 0.5), "it is of float64, and the space is of uint8"),
    ],
)
@pytest.mark.parametrize("how", ["observation", "final observation", "first observation"])
def test_an_observation_that_is_not_one_of_its_space_is_refused_in_one_line(space, value, line, how):
    """ray-project/ray#23527, DLR-RM/stable-baselines3#805: it trained on, and -1 of four became the one-hot of 3."""
    found = refused(how=how, value=value, space=space)
    assert line in found and ("reset gave" if how == "first observation" else "step gave") in found


def test_it_is_found_in_the_step_that_gives_it_and_in_any_environment_of_the_batch():
    vector = envs.make_vector(ID, 3, env_args={"how": "observation", "value": np.full(2, np.nan), "at": 7})
    vector.reset(seed=0)
    for _ in range(7):
        vector.step(np.zeros(3, dtype=np.int64))
    with pytest.raises(BrokenContract, match=r"entry 0 is nan"):
        vector.step(np.zeros(3, dtype=np.int64))


def test_a_finite_number_out_of_bounds_is_taken_as_it_is_and_said_once():
    """Farama-Foundation/Gymnasium#1450: bounds are often guesses, and a run of hours ended by one of them."""
    vector = envs.make_vector(ID, 3, env_args={"how": "observation", "value": np.array([0.0, 1.5]), "at": 2})
    vector.reset(seed=0)
    with pytest.warns(UserWarning, match=r"entry 1 is 1\.5, and a finite number from -1\.0 to 1\.0") as said:
        for _ in range(6):
            observations = vector.step(np.zeros(3, dtype=np.int64))[0]
    assert len([one for one in said if "entry 1 is 1.5" in str(one.message)]) == 1
    np.testing.assert_array_equal(observations, [[0.0, 1.5]] * 3)


@pytest.mark.parametrize(
    ("reward", "line"),
    [
        (float("nan"), "Broken-v0: step gave the reward nan; a finite number is needed"),
        (-np.inf, "Broken-v0: step gave the reward -inf; a finite number is needed"),
        (1e39, "Broken-v0: step gave the reward 1e+39; a finite number is needed"),  # float32 makes an infinity of it
        (None, "Broken-v0: step gave the reward None; a number is needed"),
        ("1", "Broken-v0: step gave the reward '1'; a number is needed"),
        (1j, "Broken-v0: step gave the reward 1j; a number is needed"),
        (np.array([1.0]), "Broken-v0: step gave the reward [1.]; a number is needed"),
    ],
)
def test_a_reward_that_is_no_finite_number_is_refused_in_one_line(reward, line):
    """huggingface/transformers#24847: a nan was written down and trained on."""
    assert refused(how="reward", value=reward).startswith(line)


@pytest.mark.parametrize("reward", [1, 1.0, True, np.float32(1), np.int64(1), np.array(1.0)])
def test_every_kind_of_number_is_a_reward(reward):
    vector = envs.make_vector(ID, 2, env_args={"how": "reward", "value": reward})
    vector.reset(seed=0)
    assert vector.step(np.zeros(2, dtype=np.int64))[1].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("flag", [0, 1, None, "no", np.array([True])])
def test_a_flag_that_is_no_bool_is_refused_in_one_line(flag):
    assert "gave terminated" in refused(how="terminated", value=flag) and "True or False is needed"


@pytest.mark.parametrize("env_id", [ID, "tests.support.broken_envs:Untimed-v0"])
@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("four values", "five values are needed: observation, reward, terminated, truncated, info"),
        ("reset without info", "reset gave [ 0.5 -0.5]; two values are needed: observation, info"),
    ],
)
def test_a_call_that_answers_as_an_older_api_did_is_refused_in_one_line(env_id, how, line):
    """DLR-RM/stable-baselines3#1400: a bare NumPy error, behind Gymnasium's time limit and without one."""
    assert line in refused(env_id, how=how)


def test_a_reset_without_the_keyword_seed_is_refused_in_one_line():
    """Farama-Foundation/Gymnasium#1450"""
    line = refused("tests.support.broken_envs:Seedless-v0")
    assert "reset() got an unexpected keyword argument 'seed'" in line and "reset(self, *, seed=None" in line


def test_a_generator_that_takes_seeds_below_2_to_the_32_alone_gets_the_rest_of_a_larger_one():
    """Seeds here have 63 bits, and NumPy's older generator refuses them: proroklab/popgym's mazes have one."""
    first = []
    for seed in (7, 3 * 2**32 + 7, 8):
        vector = envs.make_vector("tests.support.broken_envs:OldGenerator-v0", 1)
        first.append(vector.reset(seed=[seed])[0].tolist())
    assert first[0] == first[1] != first[2]
    with pytest.raises(ValueError, match="no seed above 100"):  # another reason
        envs.make_vector("tests.support.broken_envs:Choosy-v0", 1).reset(seed=[3 * 2**32 + 7])


@pytest.mark.parametrize(
    ("how", "line"), [("observation", "entry 0 is nan"), ("reward", "the reward nan"), ("dtype", None)]
)
def test_a_vector_form_of_columns_that_is_none_of_ours_is_checked_in_its_first_1000_steps(how, line):
    """float64 in the place of float32 is read as float32."""
    env_id = "tests.support.broken_envs:BrokenColumns-v0"
    if line:
        assert line in refused(env_id, how=how, at=5)
    vector, late = (envs.make_vector(env_id, 2, env_args={"how": one, "at": 5}) for one in (how, ""))
    assert late.reset(seed=0)[0].dtype == vector.reset(seed=0)[0].dtype == np.float32
    for _ in range(1000):
        late.step(np.zeros(2, dtype=np.int64))
    assert late.step == late.env.step and late.env is late.unwrapped  # no check costs anything any more


def test_forms_of_this_package_are_not_checked_and_say_so():
    exact = envs.make_vector("RecallCue-v0", 2)
    assert exact.metadata["exact"] and exact.unwrapped is exact
    assert not envs.make_vector(ID, 2).metadata.get("exact")
    assert not envs.make_vector("tests.support.broken_envs:BrokenColumns-v0", 2).metadata.get("exact")


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
def test_1000_samples_of_a_space_are_in_it_and_the_words_agree_with_gymnasium(space):
    space.seed(0)
    assert all(why_not(space, space.sample()) == "" for _ in range(1000))


def test_a_value_at_a_bound_that_float32_rounds_is_inside():
    """0.1 is larger in float32 than in float64."""
    space = Box(-0.1, 0.1, (1,), np.float64)
    Bounds("It-v0", array_box(space), space).check(np.array([[0.1], [-0.1]]).astype(np.float32), "step")


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (Box(-1, 1, (2,), np.float64), "observations of float64 are read as float32, which keeps 7 digits"),
        (
            Box(0, 2**24 + 1, (2,), np.int64),
            "observations of int64 up to 16777217 are read as float32, exact to 16777216",
        ),
        (Box(0, 2**24, (2,), np.int64), ""),
        (Box(-1, 1, (2,), np.float32), ""),
        (Box(0, 255, (2, 2), np.uint8), ""),
        (Box(-1, 1, (2, 2), np.float64), "observations of float64 are read as float32, which keeps 7 digits"),
    ],
)
def test_precision_that_the_network_would_lose_is_noted(space, words):
    """CMBSciPol/furax#145"""
    assert lost_precision(space) == words


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("no final_obs", "an episode ended without its last observation, infos['final_obs']"),
        ("a shape", "step: observations has shape (3, 1) and dtype float32; shape (3, 2) and a dtype of"),
        ("rewards", "rewards has shape (1,) and dtype float64; shape (3,) and a dtype of"),
        ("flags", "terminated has shape (3,) and dtype int64; shape (3,) and a dtype of bools is needed"),
    ],
)
def test_a_vector_form_of_somebody_else_is_checked_at_every_step(how, line):
    """leggedrobotics/rsl_rl#151, Farama-Foundation/Gymnasium#1450"""
    assert line in refused("tests.support.broken_envs:Foreign-v0", how=how)
