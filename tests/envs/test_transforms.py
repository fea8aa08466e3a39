"""Scale, frame stack, previous action and reward on an environment that counts its steps, with readable numbers."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import envs
from envs.vector.adapter import VectorAdapter
from envs.vector.chain import Chain, Transformed, make_chain
from envs.vector.scaling import NormaliseObservations, ScaleObservations
from envs.vector.transforms import PreviousAction, PreviousReward, StackFrames


class Counting(gymnasium.Env):
    """Observes the step count and earns 10 times it; an episode has 3 steps."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self):
        self.observation_space, self.action_space = Box(0, 8, (1,), dtype=np.float32), Discrete(3)

    def reset(self, *, seed=None, options=None):
        self._count = 0
        return np.array([0], dtype=np.float32), {}

    def step(self, action):
        self._count += 1
        return np.array([self._count], dtype=np.float32), 10.0 * self._count, self._count == 3, False, {}


class Shown(gymnasium.Env):
    """Shows the given observations one after the other; the last one ends the episode."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, shows):
        self._shows = np.array(shows, dtype=np.float32)
        self.observation_space = Box(-np.inf, np.inf, self._shows.shape[1:], dtype=np.float32)
        self.action_space = Discrete(3)

    def reset(self, *, seed=None, options=None):
        self._step = 0
        return self._shows[0].copy(), {}

    def step(self, action):
        self._step += 1
        return self._shows[self._step].copy(), 10.0 * self._step, self._step == len(self._shows) - 1, False, {}


def shown(*shows):
    return VectorAdapter(SyncVectorEnv([lambda: Shown(shows)], autoreset_mode=AutoresetMode.SAME_STEP))


def counting(num_envs=1):
    return VectorAdapter(SyncVectorEnv([Counting] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP))


def transformed(env, *transforms):
    """A vector environment behind transforms, each made for the space of the one before it."""
    chain = Chain(env.single_observation_space)
    for make in transforms:
        chain.append(make(chain.space))
    return Transformed(env, chain)


def two_frames(space):
    return StackFrames(space, 2)


def three_frames(space):
    return StackFrames(space, 3)


def one_of_three(space):
    return PreviousAction(space, Discrete(3))


def observe(envs, actions=(0, 0, 0, 0)):
    """Return the observations of the one column, and its final observation."""
    observations, _ = envs.reset(seed=0)
    seen, final = [observations[0].tolist()], None
    for action in actions:
        observations, *_, infos = envs.step(np.array([action]))
        seen.append(observations[0].tolist())
        if "final_obs" in infos:
            assert final is None
            assert infos["final_obs"].dtype == np.float32
            final = infos["final_obs"][0].tolist()
    assert observations.dtype == np.float32
    return seen, final


def test_frames_are_oldest_first_and_padded_with_the_episodes_first():
    stacked = transformed(counting(), three_frames)
    assert observe(stacked, [0] * 5) == ([[0, 0, 0], [0, 0, 1], [0, 1, 2], [0, 0, 0], [0, 0, 1], [0, 1, 2]], [1, 2, 3])
    assert stacked.single_observation_space == Box(0, 8, (3,), dtype=np.float32)
    assert stacked.observation_space.shape == (1, 3)


def test_padding_repeats_the_first_observation_and_is_not_zeros():
    stacked = envs.make_vector("CartPole-v1", 4, frame_stack=3)
    observations, _ = stacked.reset(seed=0)
    assert (observations[:, :4] == observations[:, 8:]).all() and observations.all()
    ended = np.zeros(4, dtype=bool)
    while not ended.any():
        observations, _, ended, _, infos = stacked.step(np.ones(4, dtype=np.int64))
    assert (observations[ended, :4] == observations[ended, 8:]).all()
    assert (infos["final_obs"][ended, :4] != infos["final_obs"][ended, 8:]).all()


def test_the_previous_action_is_a_one_hot_zeros_at_first_and_the_true_one_on_a_final_observation():
    seen, final = observe(transformed(counting(), one_of_three), [1, 2, 0, 2])
    assert seen == [[0, 0, 0, 0], [1, 0, 1, 0], [2, 0, 0, 1], [0, 0, 0, 0], [1, 0, 0, 1]]
    assert final == [3, 1, 0, 0]


def test_the_previous_reward_is_the_environments_zero_at_first_and_the_true_one_on_a_final_observation():
    """ray-project/ray#12118, #8970: one option forced the other, and the action was a float. Here they are separate."""
    seen, final = observe(transformed(counting(), PreviousReward))
    assert seen == [[0, 0], [1, 10], [2, 20], [0, 0], [1, 10]]
    assert final == [3, 30]


def test_scale_divides_observations_final_observations_and_bounds():
    scaled = transformed(counting(), lambda space: ScaleObservations(space, (4.0,)))
    assert observe(scaled) == ([[0], [0.25], [0.5], [0], [0.25]], [0.75])
    assert scaled.single_observation_space == Box(0, 2, (1,), dtype=np.float32)


def test_scale_comes_first_then_frames_then_the_previous_action_then_the_previous_reward():
    gymnasium.register("CountingForTransforms-v0", entry_point=Counting)
    try:
        vector = envs.make_vector(
            "CountingForTransforms-v0",
            1,
            frame_stack=2,
            previous_action=True,
            previous_reward=True,
            observation_scale="2",
        )
    finally:
        del gymnasium.registry["CountingForTransforms-v0"]
    seen, final = observe(vector, [1, 2, 0])
    assert seen == [[0, 0, 0, 0, 0, 0], [0, 0.5, 0, 1, 0, 10], [0.5, 1, 0, 0, 1, 20], [0, 0, 0, 0, 0, 0]]
    assert final == [1, 1.5, 1, 0, 0, 30]
    low, high = np.array([0, 0, 0, 0, 0, -np.inf]), np.array([4, 4, 1, 1, 1, np.inf])
    assert vector.single_observation_space == Box(low.astype(np.float32), high.astype(np.float32))
    assert vector.single_action_space == Discrete(3)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


# --- l2: each observation by its own length


def rounded(numbers):
    """Round to 6 digits, the precision of float32."""
    return [[round(number, 6) for number in row] for row in numbers]


def test_l2_leaves_the_direction_so_that_3_4_0_0_becomes_point_6_point_8_0_0_and_0_stays_0():
    """So it does with final observations: 0, 0, −5, 12 has length 13. No entry of a 0 becomes −0 or nan."""
    normalised = transformed(shown([3, 4, 0, 0], [0, 0, 0, 0], [0, -2, 0, 0], [0, 0, -5, 12]), NormaliseObservations)
    seen, final = observe(normalised, [0] * 4)
    first, last = [0.6, 0.8, 0, 0], [0, 0, -0.384615, 0.923077]
    assert rounded(seen) == [first, [0, 0, 0, 0], [0, -1, 0, 0], first, [0, 0, 0, 0]]
    assert rounded([final]) == [last]
    assert normalised.single_observation_space == Box(-1, 1, (4,), dtype=np.float32)
    assert normalised.observation_space == Box(-1, 1, (1, 4), dtype=np.float32)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e30, 8e37, 1e19, 1.0, 1e-19, 1e-22, 1e-30, 1e-37])
def test_l2_works_for_any_size_that_a_float32_can_have(size):
    """The square of 1e30 is more than a float32 holds, and that of 1e-30 is less."""
    seen, final = observe(transformed(shown([3 * size, 4 * size], [-4 * size, 3 * size]), NormaliseObservations), [0])
    assert rounded([*seen, final]) == [[0.6, 0.8], [0.6, 0.8], [-0.8, 0.6]]


def test_l2_gives_every_observation_of_cartpole_length_1_and_its_own_direction():
    """Each of 5 columns has its own length, and the environment's other results do not change."""
    plain, normalised = (envs.make_vector("CartPole-v1", 5, observation_scale=scale) for scale in ("none", "l2"))
    (seen, _), (directions, _) = plain.reset(seed=3), normalised.reset(seed=3)
    pairs = [(seen, directions)]
    for step in range(60):
        actions = np.array([0, 1, step % 2, 1, 0])
        seen, *results, infos = plain.step(actions)
        directions, *same_results, same_infos = normalised.step(actions)
        assert all((one == other).all() for one, other in zip(results, same_results, strict=True))
        assert list(infos) == list(same_infos)
        pairs.append((seen, directions))
        if infos:
            ended = infos["_final_obs"]
            assert (ended == same_infos["_final_obs"]).all() and same_infos["final_obs"].dtype == np.float32
            pairs.append((infos["final_obs"][ended], same_infos["final_obs"][ended]))
    seen, directions = (np.concatenate(column) for column in zip(*pairs, strict=True))
    assert len(seen) > 5 * 61 + 10 and directions.dtype == np.float32
    lengths = np.sqrt((seen.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(directions, seen / lengths, rtol=0, atol=1e-6)
    np.testing.assert_allclose((directions.astype(np.float64) ** 2).sum(axis=1), 1.0, rtol=0, atol=1e-6)
    assert all(direction in normalised.single_observation_space for direction in directions)


def test_l2_comes_before_frames_and_the_previous_action_and_reward_so_that_each_frame_has_length_1():
    gymnasium.register("ShownForTransforms-v0", entry_point=Shown)
    try:
        vector = envs.make_vector(
            "ShownForTransforms-v0",
            1,
            env_args={"shows": [[3, 4], [0, 0], [-8, 6]]},
            frame_stack=2,
            previous_action=True,
            previous_reward=True,
            observation_scale="l2",
        )
    finally:
        del gymnasium.registry["ShownForTransforms-v0"]
    seen, final = observe(vector, [1, 2])
    opens = [0.6, 0.8, 0.6, 0.8, 0, 0, 0, 0]
    assert rounded(seen) == [opens, [0.6, 0.8, 0, 0, 0, 1, 0, 10], opens]
    assert rounded([final]) == [[0, 0, -0.8, 0.6, 0, 0, 1, 20]]
    low, high = np.array([-1] * 4 + [0] * 3 + [-np.inf]), np.array([1] * 4 + [1] * 3 + [np.inf])
    assert vector.single_observation_space == Box(low.astype(np.float32), high.astype(np.float32))


def test_l2_replaces_the_scale_that_the_environment_names():
    """After a division by 2.4 and 0.2095 the directions would differ."""
    plain, normalised = (
        envs.make_vector("MaskedVelocityCartPole-v1", 3, observation_scale=scale) for scale in ("none", "l2")
    )
    seen, directions = plain.reset(seed=0)[0], normalised.reset(seed=0)[0]
    np.testing.assert_allclose(directions[:, 0] * seen[:, 1], directions[:, 1] * seen[:, 0], rtol=0, atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0, rtol=0, atol=1e-6)


# --- all of them


def test_a_column_that_ends_changes_nothing_in_the_others():
    stacked = transformed(counting(2), two_frames, PreviousReward)
    stacked.reset(seed=0)
    for _ in range(2):
        stacked.step(np.array([0, 0]))
    stacked.unwrapped.envs[1]._count = 7  # column 1 never ends; column 0 ends now
    observations, *_, infos = stacked.step(np.array([0, 0]))
    assert observations.tolist() == [[0, 0, 0], [2, 8, 80]]
    assert infos["_final_obs"].tolist() == [True, False]
    assert infos["final_obs"][0].tolist() == [2, 3, 30]


@pytest.mark.parametrize(
    "transform",
    [{"frame_stack": 3}, {"previous_action": True}, {"previous_reward": True}, {"observation_scale": "l2"}, {}],
)
def test_the_arrays_of_a_transform_may_be_written_to(transform):
    one, other = (envs.make_vector("MaskedVelocityCartPole-v1", 3, **transform) for _ in range(2))
    expected, written = one.reset(seed=0)[0], other.reset(seed=0)[0]
    for step in range(40):
        assert (written == expected).all()
        written[:] = np.nan
        actions = np.array([step % 2, 1, 0])
        expected, *_ = one.step(actions)
        written, rewards, *_, infos = other.step(actions)
        rewards[:] = np.nan
        if "final_obs" in infos:
            infos["final_obs"][:] = np.nan


def test_the_auto_scale_is_that_of_the_metadata_and_numbers_may_replace_it():
    scales = "none", "auto", "4.8, 1"
    plain, auto, given = (envs.make_vector("MaskedVelocityCartPole-v1", 3, observation_scale=scale) for scale in scales)
    observations = plain.reset(seed=0)[0]
    assert (auto.reset(seed=0)[0] == observations / np.array([2.4, 0.2095], dtype=np.float32)).all()
    assert (given.reset(seed=0)[0] == observations / np.array([4.8, 1.0], dtype=np.float32)).all()
    full = envs.make_vector("CartPole-v1", 3)  # names no scale
    assert np.abs(full.reset(seed=0)[0]).max() < 0.05


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ("2.4", "observation_scale '2.4' is not 2 numbers, one a feature of MaskedVelocityCartPole-v1"),
        ("1,2,3", "observation_scale '1,2,3' is not 2 numbers, one a feature of MaskedVelocityCartPole-v1"),
        (
            "2.4,angle",
            'observation_scale must be "auto", "none", "l2" or numbers such as "2.4,0.2095", got \'2.4,angle\'',
        ),
        ("", 'observation_scale must be "auto", "none", "l2" or numbers such as "2.4,0.2095", got \'\''),
        ("2.4,0", "observation_scale numbers must be positive and finite, got '2.4,0'"),
        ("2.4,-1", "observation_scale numbers must be positive and finite, got '2.4,-1'"),
        ("2.4,nan", "observation_scale numbers must be positive and finite, got '2.4,nan'"),
        ("inf,1", "observation_scale numbers must be positive and finite, got 'inf,1'"),
    ],
)
def test_a_wrong_scale_is_refused_in_one_line(scale, message):
    with pytest.raises(ValueError) as error:
        envs.make_vector("MaskedVelocityCartPole-v1", 2, observation_scale=scale)
    assert str(error.value) == message


def test_an_environment_that_resets_on_the_next_step_is_refused():
    with pytest.raises(ValueError, match=r"has autoreset mode NEXT_STEP; supported: SAME_STEP$"):
        transformed(SyncVectorEnv([Counting]), PreviousReward)


def test_a_transform_of_an_environment_without_a_state_has_none_either():
    """A checkpoint with half a state could not be loaded."""
    vector = envs.make_vector("Acrobot-v1", 2, frame_stack=2, previous_action=True)
    vector.reset(seed=1)
    assert vector.state_dict() is None


# --- without an environment


OPTIONS = [
    {},
    {"observation_scale": "l2"},
    {"frame_stack": 3},
    {"frame_stack": 2, "previous_action": True, "previous_reward": True, "observation_scale": "1,2,3,4"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_chain_that_is_given_the_environments_own_observations_shows_what_training_saw(options):
    """google-deepmind/mujoco_playground#267, DLR-RM/stable-baselines3#946: a policy that is deployed must see what it
    saw in training. Here the chain knows no environment: it is told what opens an episode, and what follows a step."""
    vector, own = (envs.make_vector("CartPole-v1", 5, **one) for one in (options, {"observation_scale": "none"}))
    chain = make_chain(own.single_observation_space, own.single_action_space, "CartPole-v1", (), **options)
    assert chain.space == vector.single_observation_space
    expected, _ = vector.reset(seed=2)
    seen = chain.open(own.reset(seed=2)[0], np.ones(5, dtype=bool))
    ends = 0
    for step in range(120):
        assert seen.dtype == np.float32 and (seen == expected).all()
        actions = np.array([0, 1, step % 2, 1, step % 3 == 0])
        expected, *_, infos = vector.step(actions)
        observations, rewards, _, _, own_infos = own.step(actions)
        seen = chain.step(own_infos.get("final_obs", observations), actions, rewards)
        if infos:
            ended, ends = infos["_final_obs"], ends + infos["_final_obs"].sum()
            assert (seen[ended] == infos["final_obs"][ended]).all()
            seen[ended] = chain.open(observations[ended], ended)
    assert ends > 15


def test_the_state_of_an_environment_behind_transforms_has_the_form_of_older_checkpoints():
    """The outermost transform first: its arrays, and what is within."""
    vector = envs.make_vector("MaskedVelocityCartPole-v1", 2, frame_stack=2, previous_action=True)
    vector.reset(seed=1)
    for _ in range(3):
        vector.step(np.array([0, 1]))
    state, names = vector.state_dict(), []
    within = state
    while "within" in within:
        names.append(list(within["arrays"]))
        within = within["within"]
    assert names == [["_one_hot"], ["_stack"], ["_scale"]] and set(within) == {"arrays", "generators"}
    other = envs.make_vector("MaskedVelocityCartPole-v1", 2, frame_stack=2, previous_action=True)
    other.reset(seed=7)
    other.load_state_dict(state)
    for action in (0, 1, 1, 0):
        one, two = (each.step(np.array([action, 1]))[0] for each in (vector, other))
        assert (one == two).all()
