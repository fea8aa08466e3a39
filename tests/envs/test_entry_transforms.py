"""Frames, previous action and previous reward of images and of several entries: each entry by itself, nothing mixed."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

import envs
from envs.vector.channels import channels_last
from envs.vector.entry_transforms import StackEntries
from envs.vector.packing import Packed
from rl.agent.torsos.images import as_image
from tests.support.entries import by_hand, entries_of
from tests.support.entry_envs import SHOWS, Shows
from tests.support.envs_slow_loop import random_actions

ID = "tests.support.entry_envs:Shows-v0"


def joined_by_hand(frames):
    """Frames of one array, oldest first, as one array."""
    shape = frames[0].shape
    if len(shape) in (0, 2):
        return np.stack(frames, axis=-1)
    return np.concatenate(frames, axis=0 if len(shape) == 3 and not channels_last(shape) else -1)


@pytest.mark.parametrize("senses", ["frames", "action", "reward", "all"])
@pytest.mark.parametrize("shows", ["image", "table", "scalar", "grid", "mixed", "floats", "bytes", "nested", "masked"])
def test_every_entry_has_its_own_frames_and_the_previous_action_and_reward_are_entries_behind_them(shows, senses):
    """Over many episodes, final observations too: they have the frames of their episode, and what ended it."""
    options = {"frame_stack": 3} if senses in ("frames", "all") else {}
    options |= {name: True for name in ("previous_action", "previous_reward") if senses in (name[9:], "all")}
    vector = envs.make_vector(ID, 2, env_args={"shows": shows}, **options)
    space, own, frames = vector.single_observation_space, SHOWS[shows], options.get("frame_stack", 1)
    packs = isinstance(space, Packed)
    singles, histories, before = [Shows(shows, reuses=False) for _ in range(2)], [[], []], [None, None]

    def note(column, observation, action=None, reward=None):
        arrays = by_hand(own, observation) or {"observation": observation}
        arrays = {name or "observation": array for name, array in arrays.items()}
        histories[column] = [arrays] * frames if action is None else [*histories[column][1:], arrays]
        before[column] = (action, reward)

    def assert_seen(row, column):
        seen = entries_of(space, row) if packs else {"observation": row}
        action, reward = before[column]
        for name in histories[column][0]:
            of_entry = [arrays[name] for arrays in histories[column]]
            expected = of_entry[-1] if frames == 1 or name == "action_mask" else joined_by_hand(of_entry)
            assert np.array_equal(seen[name], expected), name
        if "previous_action" in options:
            assert seen["previous_action"].tolist() == ([0, 0] if action is None else np.eye(2)[action].tolist())
        if "previous_reward" in options:
            assert seen["previous_reward"].tolist() == [0 if action is None else reward]
        assert len(seen) == len(histories[column][0]) + len(options.keys() - {"frame_stack"})

    rows, ends = vector.reset(seed=3)[0], 0
    for column, single in enumerate(singles):
        note(column, single.reset(seed=3 + column)[0])
    for actions in random_actions(40, 2):
        for column in range(2):
            assert_seen(rows[column], column)
        if shows == "masked":
            actions = np.array([int(np.argmax(history[-1]["action_mask"])) for history in histories])
        rows, _, _, _, infos = vector.step(actions)
        for column, single in enumerate(singles):
            observation, reward, terminated, truncated, _ = single.step(actions[column])
            note(column, observation, actions[column], reward)
            if terminated or truncated:
                ends += 1
                assert_seen(infos["final_obs"][column], column)
                note(column, single.reset()[0])
    assert ends > 5


@pytest.mark.parametrize("shows", ["image", "grid"])
def test_stacked_bytes_stay_bytes(shows):
    space = envs.make_vector(ID, 2, env_args={"shows": shows}, frame_stack=2).single_observation_space
    assert space.dtype == np.uint8 and space.shape == (*SHOWS[shows].shape[:2], 6)
    added = envs.make_vector(ID, 2, env_args={"shows": shows}, previous_action=True).single_observation_space
    assert [(entry.name, entry.dtype) for entry in added.entries] == [
        ("observation", "uint8"),
        ("previous_action", "float32"),
    ]


def test_frames_that_would_hide_which_axis_has_the_channels_are_one_line():
    with pytest.raises(ValueError, match=r"^frame_stack 10: 10 images of shape \(1, 10, 10\) would have shape \(10, "):
        StackEntries(Box(0, 255, (1, 10, 10), dtype=np.uint8), 10)
    assert StackEntries(Box(0, 255, (1, 10, 10), dtype=np.uint8), 9).space.shape == (9, 10, 10)


@pytest.mark.parametrize("shape", [(4, 4, 3), (3, 4, 4), (5, 5, 5), (5, 5, 16), (16, 5, 5), (3, 8, 9), (8, 9, 3)])
def test_frames_are_stacked_along_the_axis_that_torsos_read_as_channels(shape):
    assert channels_last(shape) == as_image(shape).last


@pytest.mark.parametrize("shows", ["image", "mixed"])
def test_a_transformed_environment_continues_from_what_its_transforms_remember(shows):
    options = {"frame_stack": 3, "previous_action": True, "previous_reward": True}
    one, other = (envs.make_vector(ID, 2, env_args={"shows": shows}, **options) for _ in range(2))
    rows, _ = one.reset(seed=0)
    other.reset(seed=9)
    for actions in random_actions(5, 2):
        rows, *_ = one.step(actions)
    for from_one, to_other in zip(one.chain.transforms, other.chain.transforms, strict=True):
        to_other.load_state_dict(from_one.state_dict())
    shown, actions = rows[:, :0], np.zeros(2, np.int64)
    seen = np.zeros((2, *one.env.single_observation_space.shape), one.env.single_observation_space.dtype)
    shown = [vector.chain.step(seen, actions, np.zeros(2)) for vector in (one, other)]
    assert np.array_equal(*shown) and shown[0].any()


def test_a_scale_of_several_entries_is_one_line():
    for scale in ("l2", "2,3"):
        with pytest.raises(ValueError, match=r"^observation_scale needs .* one axis, and one obs.* Packed"):
            envs.make_vector(ID, 2, env_args={"shows": "mixed"}, observation_scale=scale)


def test_actions_of_every_kind_are_shown_beside_an_image():
    vector = envs.make_vector("tests.support.action_envs:Acts-v0", 2, env_args={"acts": "several"})
    assert not isinstance(vector.single_action_space, Discrete)
    from envs.vector.entry_transforms import PreviousActionEntry

    added = PreviousActionEntry(SHOWS["image"], vector.single_action_space)
    image = np.ones((1, *SHOWS["image"].shape), np.uint8)
    row = added.step(image, np.array([[1, 2]]), np.zeros(1))
    assert entries_of(added.space, row)["previous_action"].tolist() == [[0, 1, 0, 0, 1]]
