"""Spaces as plain JSON: what is written down is made again, and `make_vector` says what the environment itself has."""

import json

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, OneOf, Sequence, Text, Tuple

import envs
from envs.vector.spaces import describe, space_of

LIMITS = np.iinfo(np.int64)
SPACES = [
    Box(-1, 1, (3,), dtype=np.float32),
    Box(-np.inf, np.inf, (2, 3), dtype=np.float64),
    Box(np.array([-2.4, -np.inf]), np.array([np.inf, 0.2095]), dtype=np.float64),
    Box(np.array([-0.1, -0.7], dtype=np.float32), np.array([0.3, 1e-30], dtype=np.float32)),
    Box(0, 255, (4, 5, 3), dtype=np.uint8),
    Box(-3, 7, (), dtype=np.float16),
    Box(np.array([LIMITS.min, 0]), np.array([LIMITS.max - 1, 2**53 + 1]), dtype=np.int64),
    Box(0, 1, (2,), dtype=np.bool_),
    Discrete(4),
    Discrete(3, start=-1),
    Discrete(5, dtype=np.int32),
    MultiDiscrete([3, 3]),
    MultiDiscrete([[2, 3], [4, 5]], start=[[0, 1], [-7, 2]]),
    MultiBinary(4),
    MultiBinary([2, 3]),
    Text(7, min_length=0, charset="bca☂"),
    Tuple([Discrete(2), Box(0, 1, (1,))]),
    Dict({"b": Discrete(2, start=1), "a": Dict(x=Text(3), y=Tuple([MultiBinary(2)]))}),
    Sequence(Box(0, 1, (2,)), stack=True),
    OneOf([Discrete(3), Text(2)]),
    Graph(Box(0, 1, (2,)), Discrete(4)),
    Graph(Discrete(2), None),
]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: " ".join(str(space).split()))
def test_a_space_comes_back_from_strict_json_equal_in_every_bound_and_in_the_order_of_its_parts(space):
    text = json.dumps(describe(space), allow_nan=False)
    again = space_of(json.loads(text))
    assert again == space and type(again) is type(space) and describe(again) == describe(space)
    if isinstance(space, Box):
        assert again.dtype == space.dtype
        assert (again.low == space.low).all() and (again.high == space.high).all()
    if isinstance(space, Dict):
        assert list(again) == list(space)
    if isinstance(space, Text):
        assert again.character_list == space.character_list


def test_the_bounds_of_an_image_are_two_numbers():
    assert describe(Box(0, 255, (84, 84, 4), dtype=np.uint8)) == {
        "type": "Box",
        "low": 0,
        "high": 255,
        "shape": [84, 84, 4],
        "dtype": "uint8",
    }


@pytest.mark.parametrize(
    "broken", [None, 3, [], {}, {"type": "Ball"}, {"type": "Discrete"}, {"type": "Tuple", "spaces": [{}]}], ids=str
)
def test_what_describes_no_space_is_one_line(broken):
    with pytest.raises(ValueError, match=r"^not the description of a space \([^\n]+\)$"):
        space_of(broken)


def test_a_space_of_a_class_of_its_own_is_one_line():
    class Ball(Box):
        pass

    with pytest.raises(ValueError, match=r"^a space of the class Ball cannot be written down, those of Gymnasium can$"):
        describe(Tuple([Ball(0, 1, (2,))]))


@pytest.mark.parametrize(
    ("env", "arguments"),
    [
        ("MaskedVelocityCartPole-v1", {}),
        ("RecallCue-v0", {"cues": 3}),
        ("CartPole-v1", {}),
        ("Acrobot-v1", {}),
        ("FrozenLake-v1", {}),
        ("CliffWalking-v1", {}),
    ],
)
def test_make_vector_says_what_the_single_environment_shows_and_takes_whatever_the_agent_sees(env, arguments):
    """FrozenLake shows a number, of which the agent sees a one-hot."""
    options = {"frame_stack": 3, "previous_action": True, "previous_reward": True}
    vector, single = envs.make_vector(env, 2, env_args=arguments, **options), gymnasium.make(env, **arguments)
    own = vector.own_spaces
    assert space_of(own["observation"]) == single.observation_space
    assert space_of(own["action"]) == single.action_space
    assert own["observation_scale"] == ([2.4, 0.2095] if env.startswith("Masked") else [])


def test_what_is_said_of_a_space_has_the_start_and_the_precision_of_the_environments_own():
    class Odd(gymnasium.Env):
        observation_space, action_space = Box(-1, 1, (2,), dtype=np.float64), Discrete(3, start=-1)

    gymnasium.register("Odd-v0", Odd)
    try:
        own = envs.make_vector("Odd-v0", 1).own_spaces
    finally:
        del gymnasium.registry["Odd-v0"]
    assert space_of(own["observation"]).dtype == np.float64
    assert space_of(own["action"]) == Discrete(3, start=-1)
