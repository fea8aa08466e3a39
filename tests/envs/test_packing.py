"""Observations with several entries are one array, of which each entry is a view: bit for bit what was shown."""

import copy
import pickle

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

import envs
from envs.vector.adapter import SingleAdapter
from envs.vector.masks import Mask
from envs.vector.messages import BrokenContract
from envs.vector.packing import Packed
from tests.support.entries import by_hand, entries_of
from tests.support.entry_envs import ARM, CAMERA, SHOWS, Shows
from tests.support.envs_slow_loop import random_actions

MODULE = "tests.support.entry_envs"
IDS = [f"{MODULE}:Shows-v0", f"{MODULE}:VectorShows-v0"]
PACKED = {  # the dtype and the length of a packed observation
    "floats": ("float32", 3 + 1 + 3),
    "bytes": ("uint8", 75 + 9 + 4),
    "mixed": ("uint8", 4 * 3 + 76),  # 75 bytes, and one more so that a float32 may follow
    "minigrid": ("uint8", 4 * 4 + 148),
    "tuple": ("uint8", 4 * 3 + 76 + 4 * 3),
    "nested": ("uint8", 4 * 5 + 4 * 3 + 76 + 76 + 4 * 6),
    "masked": ("uint8", 4 * 3 + 4),
}


def assert_shown(space, row, own_space, observation):
    entries, expected = entries_of(space, row), by_hand(own_space, observation)
    assert entries.keys() == expected.keys()
    for name, array in expected.items():
        assert entries[name].dtype == array.dtype and entries[name].shape == array.shape, name
        assert (entries[name] == array).all(), name


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("shows", PACKED)
def test_every_entry_is_a_view_of_one_array_with_every_bit_that_the_environment_showed(env_id, shows):
    """Final observations too; the environment overwrites its arrays, so one that was not copied would show a later."""
    vector = envs.make_vector(env_id, 3, env_args={"shows": shows})
    space, own = vector.single_observation_space, SHOWS[shows]
    assert isinstance(space, Packed) and (space.dtype, space.shape[0]) == PACKED[shows]
    assert vector.observation_space.shape == (3, *space.shape)
    singles = [Shows(shows, reuses=False) for _ in range(3)]
    rows, _ = vector.reset(seed=7)
    shown, ends = [single.reset(seed=7 + column)[0] for column, single in enumerate(singles)], 0
    for actions in random_actions(60, 3):
        for row, observation in zip(rows, shown, strict=True):
            assert_shown(space, row, own, observation)
        if shows == "masked":
            actions = np.array([int(np.argmax(one["action_mask"])) for one in shown])
        kept = rows.copy()
        following, _, terminated, truncated, infos = vector.step(actions)
        assert (rows == kept).all() and rows in vector.observation_space
        for column, single in enumerate(singles):
            shown[column], _, *flags, _ = single.step(actions[column])
            assert flags == [terminated[column], truncated[column]]
            if any(flags):
                ends += 1
                assert_shown(space, infos["final_obs"][column], own, shown[column])
                shown[column], _ = single.reset()
        rows = following
    assert ends > 15


def test_a_float32_of_a_packed_row_begins_at_a_multiple_of_four_bytes_and_nothing_else_is_in_the_gaps():
    vector = envs.make_vector(IDS[0], 2, env_args={"shows": "minigrid"})
    space = vector.single_observation_space
    assert [(entry.name, entry.start, entry.stop) for entry in space.entries] == [
        ("direction", 0, 16),
        ("image", 16, 163),
    ]
    assert (vector.reset(seed=0)[0][:, 163:] == 0).all()


def test_an_observation_with_one_entry_is_that_entrys_array_and_bits_are_a_vector():
    one = envs.make_vector(IDS[0], 2, env_args={"shows": "one"})
    assert one.single_observation_space == CAMERA
    bits = envs.make_vector(IDS[0], 2, env_args={"shows": "bits"})
    assert bits.single_observation_space == Box(0, 1, (6,))
    own = Shows("bits").reset(seed=4)[0]
    assert bits.reset(seed=4)[0][0].tolist() == own.ravel().tolist()


def test_what_is_left_out_or_loses_digits_is_said_in_one_line_each():
    notes = envs.make_vector(IDS[0], 1, env_args={"shows": "mixed"}).metadata["notes"]
    [line] = notes
    assert line == "Shows-v0: entry words: Text is left out of what is observed"
    notes = envs.make_vector(IDS[0], 1, env_args={"shows": "floats"}).metadata["notes"]
    assert notes == ("Shows-v0: entry goal: observations of float64 are read as float32, which keeps 7 digits",)
    assert "notes" not in envs.make_vector(IDS[0], 1, env_args={"shows": "tuple"}).metadata


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize(
    ("shows", "observe", "names"),
    [
        ("nested", "goal,robot", ["robot.arm", "robot.eyes.0", "robot.eyes.1", "goal"]),
        ("nested", "robot.eyes.1,goal", ["robot.eyes.1", "goal"]),
        ("tuple", "2,0", ["0", "2"]),
        ("masked", "observation", ["observation", "action_mask"]),
        ("masked", "observation,action_mask", ["observation", "action_mask"]),
    ],
)
def test_observe_chooses_entries_by_name_and_the_action_mask_stays(env_id, shows, observe, names):
    space = envs.make_vector(env_id, 2, env_args={"shows": shows}, observe=observe).single_observation_space
    assert [entry.name for entry in space.entries] == names


def test_observing_one_entry_is_observing_its_array():
    vector = envs.make_vector(IDS[0], 2, env_args={"shows": "nested"}, observe="robot.eyes.0")
    assert vector.single_observation_space == CAMERA
    own = Shows("nested").reset(seed=4)[0]["robot"]["eyes"][0]
    assert (vector.reset(seed=4)[0][0] == own).all()


@pytest.mark.parametrize(
    ("shows", "observe", "known"),
    [
        ("nested", "arm", "robot.arm, robot.eyes.0, robot.eyes.1, goal, table"),
        ("nested", "goal,rob", "robot.arm, robot.eyes.0, robot.eyes.1, goal, table"),
        ("vector", "arm", "no entries, but one array"),
        ("masked", "action_mask", "observation"),
    ],
)
def test_an_entry_that_is_not_there_is_one_line_that_names_those_that_are(shows, observe, known):
    with pytest.raises(ValueError) as error:
        envs.make_vector(IDS[0], 1, env_args={"shows": shows}, observe=observe)
    wrong = observe.rpartition(",")[2]
    assert str(error.value) == f"observe '{wrong}': one of the entries of Shows-v0 is needed; it has {known}"


def test_an_entry_whose_name_has_a_dot_is_refused_where_another_one_has_that_path():
    space = Dict({"a.b": Box(0, 1, (2,)), "a": Dict(b=Box(0, 1, (2,)))})
    with pytest.raises(ValueError, match=r"Shows-v0 has two entries of the name a\.b; a dot leads into an entry"):
        envs.make_vector(IDS[0], 1, env_args={"shows": space})


def test_a_mask_within_an_entry_masks_nothing_and_a_line_says_so():
    space = Dict(robot=Dict(action_mask=Box(0, 1, (2,), dtype=np.int8), arm=Box(-1, 1, (2,))))
    notes = envs.make_vector(IDS[0], 1, env_args={"shows": space}).metadata["notes"]
    line = "it is observed and masks no action; an action_mask is an entry of the outermost Dict"
    assert notes == (f"Shows-v0: entry robot.action_mask: {line}",)


@pytest.mark.parametrize("space", [Text(3), Dict(a=Text(3)), Tuple((Text(3), Text(2)))], ids=str)
def test_an_observation_of_texts_alone_is_one_line_that_names_what_is_supported(space):
    with pytest.raises(ValueError) as error:
        envs.make_vector(IDS[0], 1, env_args={"shows": space})
    assert "\n" not in str(error.value) and str(error.value).endswith(
        "; supported: Box of numbers, Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of these"
    )


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"arm": np.array([0, np.nan, 0], np.float32)}, "entry 1 is nan, and a finite number from -1.0 to 1.0"),
        ({"arm": np.zeros(2)}, "entry arm: its shape is (2,), and that of the space is (3,)"),
        ({"camera": np.full((5, 5, 3), 256)}, "entry camera: entry 0, 0, 0 is 256"),
        ({"camera": None}, "entry camera: it is of object"),
        (None, "it has no entry arm"),
    ],
)
def test_an_entry_that_is_not_of_its_space_is_refused_in_one_line_that_names_it(changed, line, monkeypatch):
    vector = envs.make_vector(IDS[0], 3, env_args={"shows": "mixed"})
    vector.reset(seed=0)
    draw = Shows._draw
    wrong = lambda env, space, path: {**draw(env, space, path), **changed} if changed else 3  # noqa: E731
    monkeypatch.setattr(Shows, "_draw", lambda env, space, path: (draw if path else wrong)(env, space, path))
    with pytest.raises(BrokenContract) as error:
        vector.step(np.zeros(3, np.int64))
    assert line in str(error.value) and str(error.value).startswith("Shows-v0: ") and "\n" not in str(error.value)


# --- action masks


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("shows", ["vector", "image", "mixed", "tuple"])
def test_an_action_mask_in_the_infos_is_an_entry_behind_the_others(env_id, shows):
    """The environment complains of an action that its own mask forbids, so a mask of another step would be noticed."""
    vector = envs.make_vector(env_id, 4, env_args={"shows": shows, "masks": True})
    space = vector.single_observation_space
    entry = space.entries[-1]
    assert (entry.name, entry.shape, entry.dtype) == ("action_mask", (2,), "uint8")
    if shows in ("vector", "image"):
        assert [entry.name for entry in space.entries] == ["observation", "action_mask"]
    rows, _ = vector.reset(seed=0)
    seen, over = [], 0
    for _ in range(60):
        masks = entries_of(space, rows)["action_mask"]
        seen += masks.tolist()
        rows, _, terminated, _, infos = vector.step(masks.argmax(axis=1))
        if terminated.any():
            final = entries_of(space, infos["final_obs"][terminated])["action_mask"]
            assert (final == 1).all()  # nothing is chosen any more, and the environment's has zeros alone
            over += len(final)
    assert {tuple(mask) for mask in seen} == {(1, 1), (0, 1), (1, 0)} and over > 10


def test_whether_infos_have_a_mask_is_asked_of_an_environment_that_is_used_for_nothing_else():
    """Its own first episode is not the second one: a reset may change what comes after it."""
    from envs.vector import forms

    class Counted(Shows):
        resets = 0

        def reset(self, **arguments):
            self.resets += 1
            return super().reset(**arguments)

    import gymnasium

    gymnasium.register("CountedShows-v0", Counted)
    try:
        forms._MASKS.clear()
        vector = envs.make_vector("CountedShows-v0", 2, env_args={"shows": "vector"})
        vector.reset(seed=0)
        assert [single.unwrapped.resets for single in vector.unwrapped.envs] == [1, 1]
    finally:
        del gymnasium.registry["CountedShows-v0"]


class LateMask(Shows):
    """Its infos have a mask from the first step on."""

    def reset(self, **arguments):
        return super().reset(**arguments)[0], {}


def test_a_mask_that_steps_give_and_the_first_reset_did_not_is_refused():
    """It was dropped in silence, and actions that it forbade were taken."""
    environment = SingleAdapter(LateMask("vector", masks=True))
    environment.reset(seed=0)
    with pytest.raises(BrokenContract, match="step gave an action_mask in its info, and the first reset gave none"):
        environment.step(environment.unwrapped.allowed.argmax())


@pytest.mark.parametrize(
    ("actions", "given", "line"),
    [
        (Discrete(3), [1, 0], "It-v0: step gave the action_mask [1, 0]; 3 zeros and ones are needed for Discrete(3)"),
        (Discrete(2), np.array([0, 2]), "It-v0: step gave the action_mask [0 2]; zeros and ones are needed"),
        (Discrete(2), np.array([0, 0]), "which allows no action; where none is left, the episode must have ended"),
        (MultiDiscrete([2, 3]), (np.array([1, 0]), np.zeros(3)), "which allows no action"),
        (Discrete(2), "ab", "2 zeros and ones are needed for Discrete(2)"),
        (Discrete(2), None, "It-v0: step gave no action_mask in its info, and the first reset did"),
    ],
)
def test_a_mask_that_is_none_is_refused_in_one_line(actions, given, line):
    with pytest.raises(BrokenContract) as error:
        Mask(actions, "It-v0")(given)
    assert line in str(error.value) and "\n" not in str(error.value)


def test_masks_of_several_choices_lie_side_by_side_and_those_of_bits_may_be_zeros():
    mask = Mask(MultiDiscrete([2, 3]), "It-v0")
    assert mask((np.array([1, 0]), np.array([0, 1, 1]))).tolist() == mask([1, 0, 0, 1, 1]).tolist() == [1, 0, 0, 1, 1]
    assert mask((np.array([0, 0]), np.array([0, 1, 1])), over=True).tolist() == [1, 1, 0, 1, 1]
    assert Mask(MultiBinary(2), "It-v0")(np.zeros(2, bool)).tolist() == [0, 0]


# --- what else a vector environment can do


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_made_in_the_middle_of_an_episode_shows_the_same(duplicate):
    original = envs.make_vector(IDS[0], 2, env_args={"shows": "mixed"})
    original.reset(seed=0)
    actions = random_actions(40, 2)
    for action in actions[:20]:
        original.step(action)
    other = duplicate(original)
    assert other.single_observation_space == original.single_observation_space
    for action in actions[20:]:
        assert (original.step(action)[0] == other.step(action)[0]).all()


def test_packed_spaces_are_equal_where_entries_and_bounds_are():
    one, same = Packed({"a": ARM, "b": CAMERA}), Packed({"a": ARM, "b": CAMERA})
    assert one == same and one != Packed({"a": ARM, "c": CAMERA}) and one != Packed({"b": CAMERA, "a": ARM})
    assert one != Packed({"a": Box(-2, 1, (3,)), "b": CAMERA}) and one != Box(0, 255, one.shape, np.uint8)
    assert str(one) == f"Packed(a: {ARM}, b: {CAMERA})"
