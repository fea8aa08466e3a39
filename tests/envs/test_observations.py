"""Observations of any shape and dtype pass through `make_vector` bit for bit, final observations included."""

import copy
import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import envs
from tests.support.bits import assert_bit_equal
from tests.support.envs_slow_loop import Trajectory, random_actions, run_singles, run_vector


class Canvas(gymnasium.Env):
    """Observes random numbers, in one array that it writes again at every step if `reuses`; episodes end by chance."""

    metadata = {"render_modes": []}  # noqa: RUF012
    action_space = Discrete(2)

    def __init__(self, space, reuses=True):
        self.observation_space, self._reuses = space, reuses
        self._seen = np.zeros(space.shape, space.dtype)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observe(), {}

    def step(self, action):
        terminated, truncated = self.np_random.random(2) < 0.1
        return self._observe(), float(action), bool(terminated), bool(truncated), {}

    def _observe(self):
        low, high = self.observation_space.low, self.observation_space.high
        self._seen[...] = self.np_random.uniform(low, high)
        return self._seen if self._reuses else self._seen.copy()


class VectorCanvas(SyncVectorEnv):
    """A foreign vector form that writes every step into the observations that it returned last."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(self, num_envs, space):
        make = lambda: Canvas(space, reuses=False)  # noqa: E731
        super().__init__([make] * num_envs, copy=False, autoreset_mode=AutoresetMode.SAME_STEP)


@pytest.fixture(autouse=True)
def registered():
    before = dict(gymnasium.registry)
    gymnasium.register("Canvas-v0", Canvas)
    gymnasium.register("ForeignCanvas-v0", Canvas, vector_entry_point=VectorCanvas)
    yield
    gymnasium.registry.clear()
    gymnasium.registry.update(before)


IMAGE = Box(0, 255, (4, 5, 3), dtype=np.uint8)
SPACES = {
    "image, channels last": IMAGE,
    "image, channels first": Box(0, 255, (3, 4, 5), dtype=np.uint8),
    "image of one channel": Box(0, 255, (4, 5), dtype=np.uint8),
    "frames of an image": Box(0, 255, (2, 3, 4, 5), dtype=np.uint8),
    "matrix": Box(-3, 7, (2, 3), dtype=np.float32),
    "matrix of integers": Box(-300, 300, (2, 3), dtype=np.int64),
    "scalar": Box(-3, 7, (), dtype=np.float32),
    "scalar byte": Box(0, 255, (), dtype=np.uint8),
    "half precision": Box(-3, 7, (2, 3), dtype=np.float16),
}


@pytest.mark.parametrize("env_id", ["Canvas-v0", "ForeignCanvas-v0"])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_an_observation_keeps_its_shape_its_dtype_and_every_bit(env_id, space):
    """The environment overwrites its observations, so an array that was not copied would show a later step."""
    actions = random_actions(200, 3)
    expected = run_singles(lambda: Canvas(space, reuses=False), range(3), actions)
    assert (expected.terminated | expected.truncated).sum() > 60
    vector = envs.make_vector(env_id, 3, env_args={"space": space})
    assert isinstance(vector.unwrapped, VectorCanvas) == (env_id == "ForeignCanvas-v0")
    trajectory = run_vector(vector, range(3), actions)
    assert trajectory.observations.shape == (200, 3, *space.shape) and trajectory.observations.dtype == space.dtype
    assert_bit_equal(trajectory, expected)
    assert vector.single_observation_space == space and vector.observation_space.shape == (3, *space.shape)
    assert vector.reset()[0] in vector.observation_space


@pytest.mark.parametrize("env_id", ["Canvas-v0", "ForeignCanvas-v0"])
@pytest.mark.parametrize(("own", "becomes"), [(np.uint16, np.int32), (np.uint32, np.int64), (np.uint64, np.float32)])
def test_unsigned_numbers_of_more_than_a_byte_are_read_as_signed_ones(env_id, own, becomes):
    """A depth camera has uint16, for which torch has no index_put: a replay buffer could not be filled."""
    space = Box(0, np.iinfo(own).max, (2, 3), dtype=own)
    actions = random_actions(50, 3)
    expected = run_singles(lambda: Canvas(space, reuses=False), range(3), actions)
    vector = envs.make_vector(env_id, 3, env_args={"space": space})
    assert vector.single_observation_space == Box(space.low, space.high, (2, 3), dtype=becomes)
    observations = run_vector(vector, range(3), actions).observations
    assert observations.dtype == becomes and (observations == expected.observations.astype(becomes)).all()


@pytest.mark.parametrize("env_id", ["Canvas-v0", "ForeignCanvas-v0"])
@pytest.mark.parametrize(
    ("space", "becomes"),
    [
        (Box(-3, 7, (2, 3), dtype=np.float64), Box(-3, 7, (2, 3), dtype=np.float32)),
        (Box(-3, 7, (), dtype=np.float64), Box(-3, 7, (), dtype=np.float32)),
        (Box(0, 255, (6,), dtype=np.uint8), Box(0, 255, (6,), dtype=np.float32)),
        (Box(-3, 7, (6,), dtype=np.float64), Box(-3, 7, (6,), dtype=np.float32)),
    ],
    ids=str,
)
def test_a_box_of_one_axis_and_a_box_of_float64_become_float32(env_id, space, becomes):
    actions = random_actions(100, 3)
    expected = run_singles(lambda: Canvas(space, reuses=False), range(3), actions)
    expected = Trajectory(*(rows.astype(np.float32) for rows in expected[:3]), *expected[3:])
    vector = envs.make_vector(env_id, 3, env_args={"space": space})
    assert vector.single_observation_space == becomes
    assert_bit_equal(run_vector(vector, range(3), actions), expected)


def test_the_bounds_of_each_entry_stay_and_a_bound_beyond_float32_becomes_infinite():
    low, high = np.arange(6.0).reshape(2, 3), np.full((2, 3), 8.0)
    high[1, 2] = 1e300
    vector = envs.make_vector("Canvas-v0", 2, env_args={"space": Box(low, high, dtype=np.float64)})
    space = vector.single_observation_space
    assert space.dtype == np.float32 and space.low.tolist() == low.tolist()
    assert space.high.tolist() == [[8.0, 8.0, 8.0], [8.0, 8.0, np.inf]]


@pytest.mark.parametrize("env_id", ["Canvas-v0", "ForeignCanvas-v0"])
def test_arrays_of_images_may_be_written_to(env_id):
    one, other = (envs.make_vector(env_id, 3, env_args={"space": IMAGE}) for _ in range(2))
    expected, written, ends = one.reset(seed=0)[0], other.reset(seed=0)[0], 0
    for action in random_actions(60, 3):
        assert (written == expected).all()
        written[:] = 0
        expected, *_, infos = one.step(action)
        written, *_, same_infos = other.step(action)
        if infos:
            ended, ends = infos["_final_obs"], ends + 1
            assert same_infos["final_obs"].dtype == np.uint8
            assert (infos["final_obs"][ended] == same_infos["final_obs"][ended]).all()
            same_infos["final_obs"][:] = 0
    assert ends > 10


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("space", [IMAGE, SPACES["scalar"]], ids=["image", "scalar"])
def test_a_copy_made_in_the_middle_of_an_episode_shows_the_same_images(space, duplicate):
    original = envs.make_vector("Canvas-v0", 2, env_args={"space": space})
    original.reset(seed=0)
    actions = random_actions(60, 2)
    for action in actions[:20]:
        original.step(action)
    other = duplicate(original)
    for action in actions[20:]:
        assert (original.step(action)[0] == other.step(action)[0]).all()


def test_an_environment_may_return_a_plain_number_as_a_scalar_observation():
    class Thermometer(Canvas):
        def _observe(self):
            return float(super()._observe())

    gymnasium.register("Thermometer-v0", Thermometer)
    space = SPACES["scalar"]
    vector = envs.make_vector("Thermometer-v0", 2, env_args={"space": space})
    actions = random_actions(50, 2)
    expected = run_singles(lambda: Canvas(space, reuses=False), range(2), actions)
    assert_bit_equal(run_vector(vector, range(2), actions), expected)


@pytest.mark.parametrize("scale", ["l2", "255"])
@pytest.mark.parametrize("space", [IMAGE, SPACES["matrix"], SPACES["scalar"]], ids=["image", "matrix", "scalar"])
def test_a_scale_refuses_observations_of_another_number_of_axes_in_one_line(scale, space):
    with pytest.raises(ValueError) as error:
        envs.make_vector("Canvas-v0", 2, env_args={"space": space}, observation_scale=scale)
    needed = "observation_scale needs observations of one axis, and one observation of Canvas-v0 is "
    assert str(error.value) == needed + " ".join(str(space).split())


def test_a_scale_in_the_metadata_of_an_image_environment_is_refused_too():
    class Scaled(Canvas):
        metadata = {"render_modes": [], "observation_scale": (255.0,)}  # noqa: RUF012

    gymnasium.register("Scaled-v0", Scaled)
    with pytest.raises(ValueError, match=r"^observation_scale needs observations of one axis, and one .* Scaled-v0 is"):
        envs.make_vector("Scaled-v0", 2, env_args={"space": IMAGE})
    plain = envs.make_vector("Scaled-v0", 2, env_args={"space": IMAGE}, observation_scale="none")
    assert plain.single_observation_space == IMAGE
