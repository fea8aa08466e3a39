"""Single environments tell their state through all that is around them, and continue from it bit for bit."""

import copy
from collections import deque

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

import envs
from envs.vector.state import packed, unpacked
from rl.record.worker_state import can_be_read
from tests.support.bits import assert_bit_equal
from tests.support.envs_slow_loop import random_actions

STATEFUL = "tests.support.broken_envs:Stateful-v0"


def played(vector, actions):
    return [vector.step(action)[:4] for action in actions]


@pytest.mark.parametrize(
    "env_id", [STATEFUL, *(STATEFUL.replace("-v0", f"{more}-v0") for more in ("CountedAndTold", "Clipped"))]
)
@pytest.mark.parametrize("steps", [0, 7, 100])
def test_an_environment_that_was_saved_between_two_steps_continues_bit_for_bit(env_id, steps):
    """Farama-Foundation/Gymnasium#995. Its generator, the time limit and wrappers that tell their state are saved too:
    episodes are cut after 30 steps, and each reward has the number of the step."""
    one, other = (envs.make_vector(env_id, 3, frame_stack=2, previous_reward=True) for _ in range(2))
    one.reset(seed=5)
    other.reset(seed=99)
    actions = random_actions(steps + 100, 3)
    played(one, actions[:steps])
    state = copy.deepcopy(one.state_dict())
    expected = played(one, actions[steps:])
    other.load_state_dict(state)
    assert_bit_equal(played(other, actions[steps:]), expected)


def test_a_wrapper_that_hides_a_state_hides_the_whole():
    """Its count is 0 as it was made, until the first step."""
    vector = envs.make_vector(STATEFUL.replace("-v0", "Counted-v0"), 2)
    vector.reset(seed=0)
    assert vector.state_dict() is not None
    vector.step(np.zeros(2, dtype=np.int64))
    assert vector.state_dict() is None


def test_an_environment_that_does_not_tell_its_state_has_none_to_save():
    vector = envs.make_vector("Acrobot-v1", 2)
    vector.reset(seed=0)
    assert vector.state_dict() is None


def test_arrays_scalars_generators_and_what_is_made_of_them_are_packed_and_unpacked():
    generator = np.random.default_rng(3)
    value = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        1: (np.int8(3), [None, True, 2**100, 0.1, "x"], np.array(5.0), np.zeros((0, 2))),
        "g": generator,
    }
    again = unpacked(packed(value))
    assert_bit_equal([again["a"], *again[1][2:]], [value["a"], *value[1][2:]])
    assert again[1][:2] == value[1][:2] and type(again[1][0]) is np.int8
    assert again["g"].random(5).tolist() == generator.random(5).tolist()


def test_what_no_checkpoint_can_hold_is_found_out_by_whoever_saves_it():
    """The run begins new episodes instead."""
    assert can_be_read(packed({"a": [np.arange(3), {1, 2}, deque([(1, 2)], 5), b"x", 2**100]}))
    assert not can_be_read(packed({"env": Box(0, 1)}))


def test_an_environment_within_wrappers_of_its_entry_point_is_found(monkeypatch):
    gymnasium.register("Wrapped-v0", lambda: gymnasium.wrappers.ClipReward(gymnasium.make(STATEFUL), -1, 1))
    try:
        vector = envs.make_vector("Wrapped-v0", 2)
        vector.reset(seed=0)
        played(vector, random_actions(20, 2))
        assert vector.state_dict() is not None
    finally:
        del gymnasium.registry["Wrapped-v0"]


def test_a_vector_form_of_columns_that_keeps_something_else_than_arrays_does_not_claim_to_tell_its_state():
    kept, forgotten = (
        envs.make_vector(f"tests.support.broken_envs:{name}-v0", 2) for name in ("BrokenColumns", "Forgotten")
    )
    for vector in (kept, forgotten):
        vector.reset(seed=0)
        vector.step(np.zeros(2, dtype=np.int64))
    assert kept.state_dict() is not None and forgotten.state_dict() is None
