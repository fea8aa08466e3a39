"""`make_vector` keeps its contract for every environment: the transitions are those of the single environment."""

import copy

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Text, Tuple
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import envs
from envs.cartpole.cartpole import CartPoleVectorEnv
from envs.vector.adapter import VectorAdapter
from tests.support.bits import assert_bit_equal
from tests.support.envs_slow_loop import random_actions, run_singles, run_vector


class Counting(gymnasium.Env):
    """Observes (episode, step count) in one array that it writes at every step; ends after `length` steps."""

    metadata = {"render_modes": []}  # noqa: RUF012
    observation_space = Box(0, 1000, (2,), dtype=np.float32)
    action_space = Discrete(2, start=5)

    def __init__(self, length=3, end="terminated"):
        self._length, self._end, self._seen = length, end, np.array([-1, 0], dtype=np.float32)

    def reset(self, *, seed=None, options=None):
        self._seen += (1, -self._seen[1])
        self._info = {"size varies with the seed": np.zeros(seed)} if seed is not None else self._info
        return self._seen, self._info

    def step(self, action):
        assert action in (5, 6)
        self._seen[1] += 1
        last = self._seen[1] == self._length
        flags = last and self._end in ("terminated", "both"), last and self._end in ("truncated", "both")
        return self._seen, float(action), *flags, self._info


class Shown(gymnasium.Env):
    """Has the given spaces and shows the given observations in turn."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, observed=None, actions=None, shows=(0,)):
        self.observation_space = observed if observed is not None else Box(0, 1, (1,))
        self.action_space = actions if actions is not None else Discrete(2)
        self._shows = list(shows)

    def reset(self, *, seed=None, options=None):
        return self._shows[0], {}

    def step(self, action):
        self._shows.append(self._shows.pop(0))
        return self._shows[0], 0.0, False, False, {}


class NextStepVector(SyncVectorEnv):
    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, num_envs, **kwargs):
        super().__init__([lambda: Shown(**kwargs)] * num_envs)


class SameStepVector(SyncVectorEnv):
    """A foreign SAME_STEP vector form: final observations are an array of objects, and infos hold other entries."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(self, num_envs, max_episode_steps=500):
        make = lambda: gymnasium.make("CartPole-v1")  # noqa: E731
        super().__init__([make] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


def same_step(**spaces):
    return SyncVectorEnv([lambda: Shown(**spaces)], autoreset_mode=AutoresetMode.SAME_STEP)


def broken(error):
    raise error("two\n    lines")


@pytest.fixture(autouse=True)
def registered():
    before = dict(gymnasium.registry)
    gymnasium.register("Counting-v0", Counting)
    gymnasium.register("Shown-v0", Shown)
    gymnasium.register("Broken-v0", broken)
    gymnasium.register("ForeignNextStep-v0", Shown, vector_entry_point=NextStepVector, reward_threshold=7.0)
    gymnasium.register("OnlyNextStep-v0", vector_entry_point=NextStepVector)
    gymnasium.register("ForeignSameStep-v0", vector_entry_point=SameStepVector)
    yield
    gymnasium.registry.clear()
    gymnasium.registry.update(before)


@pytest.mark.parametrize("end", ["terminated", "truncated", "both"])
def test_a_counting_environments_transitions_are_those_of_the_single_environment(end):
    """vwxyzjn/cleanrl#475: a reset on the next step adds one row an episode: action ignored, reward 0, old observation.
    Farama-Foundation/Gymnasium#1132: an environment that writes into one array changes its own final observation."""
    vector = envs.make_vector("Counting-v0", 2, env_args={"length": 3, "end": end})
    observations, _ = vector.reset(seed=[1, 4])
    transitions = []
    for action in (0, 1, 0, 1, 0, 1):
        before = observations
        observations, rewards, terminated, truncated, infos = vector.step(np.array([action, action]))
        assert (observations[0] == observations[1]).all()
        after = infos["final_obs"] if infos else observations
        transitions.append((before[0].tolist(), rewards[0], after[0].tolist(), terminated[0], truncated[0]))
    last = end in ("terminated", "both"), end in ("truncated", "both")
    assert transitions == [
        ([0, 0], 5, [0, 1], False, False),
        ([0, 1], 6, [0, 2], False, False),
        ([0, 2], 5, [0, 3], *last),
        ([1, 0], 6, [1, 1], False, False),
        ([1, 1], 5, [1, 2], False, False),
        ([1, 2], 6, [1, 3], *last),
    ]


OURS = [
    "CartPole-v1",
    "MaskedVelocityCartPole-v1",
    "FallPenaltyCartPole-v1",
    "RecallCue-v0",
    "NoisyPositionCartPole-v1",
    "FlickeringCartPole-v1",
    "RepeatPrevious-v0",
    "TMaze-v0",
]


@pytest.mark.parametrize("env_id", [*OURS, "CartPole-v0", "Acrobot-v1"])
def test_8_columns_are_2_times_4_columns_bit_for_bit(env_id):
    """astooke/rlpyt#134: one worker worked and two failed. A column must not know how columns are divided."""
    actions, seeds = random_actions(150, 8), [11, 3, 8, 1, 40, 2, 7, 5]
    whole = run_vector(envs.make_vector(env_id, 8), seeds, actions)
    halves = [
        run_vector(envs.make_vector(env_id, 4), seeds[part], actions[:, part]) for part in (slice(0, 4), slice(4, 8))
    ]
    joined = [np.concatenate((one, other), axis=-2 if one.ndim == 3 else 1) for one, other in zip(*halves, strict=True)]
    joined[0] = np.concatenate((halves[0].first, halves[1].first))
    assert_bit_equal(whole, type(whole)(*joined))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("env_id", ["CartPole-v0", "Acrobot-v1", "MountainCar-v0"])
def test_an_environment_without_a_vector_form_equals_its_single_form_bit_for_bit(env_id):
    actions = random_actions(250, 3)
    expected = run_singles(lambda: gymnasium.make(env_id), range(3), actions)
    assert_bit_equal(run_vector(envs.make_vector(env_id, 3), range(3), actions), expected)


def test_masked_cartpole_is_the_same_through_its_vector_form_and_through_single_environments():
    """`render_mode` is an argument of the single form only."""
    actions = random_actions(100, 3)
    fast = envs.make_vector("MaskedVelocityCartPole-v1", 3)
    slow = envs.make_vector("MaskedVelocityCartPole-v1", 3, env_args={"render_mode": "rgb_array"})
    assert isinstance(fast.unwrapped, CartPoleVectorEnv) and isinstance(slow.unwrapped, SyncVectorEnv)
    assert fast.single_observation_space == slow.single_observation_space
    assert slow.spec.reward_threshold == fast.spec.reward_threshold == 475
    assert_bit_equal(run_vector(fast, range(3), actions), run_vector(slow, range(3), actions))


@pytest.mark.parametrize("env_id", [*OURS, "Acrobot-v1"])
def test_the_contract_holds_for_shapes_types_spaces_and_spec(env_id):
    vector = envs.make_vector(env_id, 4, env_args={"max_episode_steps": 5})
    assert vector.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert vector.single_observation_space.dtype == np.float32 and len(vector.single_observation_space.shape) == 1
    assert vector.observation_space.shape == (4, *vector.single_observation_space.shape)
    assert isinstance(vector.single_action_space, Discrete) and vector.single_action_space.start == 0
    assert vector.spec.id == env_id and vector.spec.reward_threshold == gymnasium.spec(env_id).reward_threshold
    trajectory = run_vector(vector, range(4), np.zeros((20, 4), dtype=np.int64))
    assert trajectory.observations.dtype == trajectory.successors.dtype == trajectory.first.dtype == np.float32
    assert vector.reset()[0].flags.c_contiguous
    assert trajectory.rewards.dtype == np.float64
    assert trajectory.terminated.dtype == trajectory.truncated.dtype == bool
    assert trajectory.truncated[4].any()  # max_episode_steps reached the environment
    assert all(row in vector.single_observation_space for row in trajectory.successors.reshape(80, -1))


def test_discrete_observations_are_one_hots_that_count_from_start():
    vector = envs.make_vector("Shown-v0", 1, env_args={"observed": Discrete(3, start=4), "shows": (4, 6, 5)})
    assert vector.reset()[0].tolist() == [[1, 0, 0]]
    assert vector.step(np.array([0]))[0].tolist() == [[0, 0, 1]]
    assert vector.step(np.array([0]))[0].tolist() == [[0, 1, 0]]
    assert vector.single_observation_space == Box(0, 1, (3,))


def test_multi_discrete_observations_are_one_hots_side_by_side_that_count_from_start():
    space = MultiDiscrete([2, 3], start=[0, 7])
    shows = (np.array([0, 7]), np.array([1, 9]), np.array([1, 8]))
    vector = envs.make_vector("Shown-v0", 1, env_args={"observed": space, "shows": shows})
    assert vector.reset()[0].tolist() == [[1, 0, 1, 0, 0]]
    assert vector.step(np.array([0]))[0].tolist() == [[0, 1, 0, 0, 1]]
    assert vector.step(np.array([0]))[0].tolist() == [[0, 1, 0, 1, 0]]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8])
def test_boxes_of_one_axis_of_any_number_become_float32(dtype):
    space = Box(0, 200, (2,), dtype=dtype)
    vector = envs.make_vector("Shown-v0", 2, env_args={"observed": space, "shows": (np.array([3, 200], dtype=dtype),)})
    observations, _ = vector.reset()
    assert observations.dtype == np.float32 and observations.tolist() == [[3, 200], [3, 200]]
    assert vector.single_observation_space == Box(0, 200, (2,), dtype=np.float32)


def test_gymnasiums_frozen_lake_works_as_16_one_hots():
    vector = envs.make_vector("FrozenLake-v1", 4)
    trajectory = run_vector(vector, range(4), random_actions(100, 4, count=4))
    assert trajectory.observations.shape == (100, 4, 16) and (trajectory.successors.sum(axis=2) == 1).all()
    assert trajectory.terminated.sum() > 10


def test_a_vector_form_that_resets_on_the_next_step_is_not_used():
    vector = envs.make_vector("ForeignNextStep-v0", 2, env_args={"shows": (np.array([0.5]),)})
    assert not isinstance(vector.unwrapped, NextStepVector)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert vector.spec.reward_threshold == 7


def test_a_foreign_vector_form_that_resets_in_the_same_step_is_used_and_its_final_observations_become_one_array():
    vector = envs.make_vector("ForeignSameStep-v0", 3)
    assert isinstance(vector.unwrapped, SameStepVector)
    assert vector.spec.reward_threshold is None
    actions = random_actions(100, 3)
    expected = run_singles(lambda: gymnasium.make("CartPole-v1"), range(3), actions)
    assert_bit_equal(run_vector(vector, range(3), actions), expected)


def test_a_copy_of_single_environments_made_in_the_middle_of_an_episode_continues_as_the_original_does():
    original = envs.make_vector("Acrobot-v1", 2, frame_stack=2, previous_action=True)
    original.reset(seed=0)
    actions = random_actions(60, 2, count=3)
    for action in actions[:20]:
        original.step(action)
    other = copy.deepcopy(original)
    for action in actions[20:]:
        assert (original.step(action)[0] == other.step(action)[0]).all()


DICT, TEXT, TUPLE = Dict(a=Discrete(2)), Text(3, charset="ab"), Tuple((Discrete(2),))
SUPPORTED = "; supported: Box of numbers, Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of these"


@pytest.mark.parametrize(
    ("env_id", "env_args", "message"),
    [
        ("CartPol-v1", {}, "'CartPol-v1': Environment `CartPol` doesn't exist. Did you mean: `CartPole`?"),
        ("CartPole-v9", {}, "'CartPole-v9': Environment version `v9` for environment `CartPole` doesn't exist."),
        ("CartPole", {}, "'CartPole': the id needs its version: CartPole-v0, CartPole-v1"),
        ("", {}, "'': Malformed environment ID"),
        ("no_such_module:Id-v0", {}, "'no_such_module:Id-v0': ModuleNotFoundError: No module named 'no_such_module'"),
        ("envs:Id-v0", {}, "'envs:Id-v0': Environment `Id` doesn't exist."),
        ("CartPole-v1", {"gravity": 1}, "'CartPole-v1' with {'gravity': 1}: it has no argument 'gravity', but "),
        (
            "MaskedVelocityCartPole-v1",
            {"mass": 1},
            "'MaskedVelocityCartPole-v1' with {'mass': 1}: it has no argument 'mass', but ",
        ),
        (
            "FallPenaltyCartPole-v1",
            {"fine": 1},
            "'FallPenaltyCartPole-v1' with {'fine': 1}: it has no argument 'fine', but ",
        ),
        ("RecallCue-v0", {"delay": 0}, ": RecallCue needs delay to be an integer of at least 1, got 0"),
        ("FrozenLake-v1", {"map_name": "9x9"}, "'FrozenLake-v1' with {'map_name': '9x9'}: KeyError: '9x9'"),
        ("Broken-v0", {"error": ValueError}, ": two lines"),
        ("Broken-v0", {"error": RuntimeError}, ": RuntimeError: two lines"),
        ("OnlyNextStep-v0", {}, "'OnlyNextStep-v0': it has no single form, and its vector form does not say that"),
        ("Shown-v0", {"observed": TEXT}, "Shown-v0 has observations Text(1, 3, charset=ab)" + SUPPORTED),
        (
            "Shown-v0",
            {"observed": Dict(a=TEXT)},
            "Shown-v0 has observations Dict('a': Text(1, 3, charset=ab))" + SUPPORTED,
        ),
        ("Shown-v0", {"actions": TUPLE}, "Shown-v0 has actions Tuple(Discrete(2)); supported: Discrete, Multi"),
        ("Shown-v0", {"actions": Box(0, 1, (0,))}, "has actions Box([], [], (0,), float32), which hold no number; at "),
        ("Shown-v0", {"actions": Box(0, 9, (2,), np.int64)}, "has actions Box(0, 9, (2,), int64); supported: "),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_what_cannot_be_made_is_refused_in_one_line_that_names_it(env_id, env_args, message):
    with pytest.raises(ValueError) as error:
        envs.make_vector(env_id, 2, env_args=env_args)
    assert str(error.value).startswith("cannot make environment '")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NextStepVector(1), "has autoreset mode NEXT_STEP; supported: SAME_STEP"),
        (lambda: same_step(observed=Discrete(2)), "has observations Discrete(2); supported: Box of numbers"),
        (lambda: same_step(observed=DICT), "has observations Dict('a': Discrete(2)); supported: Box of numbers"),
        (lambda: same_step(actions=TUPLE), "has actions Tuple(Discrete(2)); supported: Discrete, MultiDiscrete, "),
    ],
)
def test_a_foreign_vector_form_outside_the_contract_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError) as error:
        VectorAdapter(make())
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "arguments"), [("num_envs", {}), ("frame_stack", {"frame_stack": 0})])
def test_counts_below_1_are_refused_in_one_line(name, arguments):
    with pytest.raises(ValueError, match=f"^{name} must be at least 1, got 0$"):
        envs.make_vector("CartPole-v1", 0 if name == "num_envs" else 2, **arguments)
