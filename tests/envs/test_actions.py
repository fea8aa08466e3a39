"""Actions of every kind: an environment gets its own, whatever the vector form, and the previous one is shown."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import envs
from envs.vector.actions import OwnActions, Shown
from envs.vector.adapter import VectorAdapter
from envs.vector.own_spaces import own_spaces
from envs.vector.spaces import space_of
from tests.support.action_envs import HIGH, ID, LOW, SPACES, Acts

AGENTS = {
    "one": Discrete(3),
    "several": MultiDiscrete([2, 3]),
    "table": MultiDiscrete([[2, 3], [3, 2]]),
    "bits": MultiBinary(3),
    "table of bits": MultiBinary((2, 2)),
    "numbers": Box(LOW.astype(np.float32), HIGH.astype(np.float32)),
    "number": Box(-1, 3, ()),
    "free": Box(-np.inf, np.inf, (1, 2)),
}
every_kind = pytest.mark.parametrize("acts", SPACES)


@every_kind
@pytest.mark.parametrize("foreign", [False, True])
def test_an_environment_gets_its_own_actions_and_the_agents_stay_as_they_are(acts, foreign):
    """It asserts kind, dtype and bounds of each, and writes into it. A vector form of somebody else's gets them too."""
    if foreign:
        same_step = SyncVectorEnv([lambda: Acts(acts)] * 3, autoreset_mode=AutoresetMode.SAME_STEP)
        vector = VectorAdapter(same_step)
    else:
        vector = envs.make_vector(ID, 3, env_args={"acts": acts})
    assert vector.single_action_space == AGENTS[acts] and vector.single_action_space.dtype == AGENTS[acts].dtype
    assert vector.action_space.shape == (3, *AGENTS[acts].shape)
    vector.reset(seed=1), vector.action_space.seed(1)
    for _ in range(40):
        actions = vector.action_space.sample()
        before = actions.copy()
        vector.step(actions)
        assert np.array_equal(actions, before)


@every_kind
def test_the_spaces_that_a_run_keeps_are_the_environments_own(acts):
    vector = envs.make_vector(ID, 1, env_args={"acts": acts})
    kept = space_of(vector.own_spaces["action"])
    assert kept == SPACES[acts] and kept.dtype == SPACES[acts].dtype
    assert OwnActions(kept).space == vector.single_action_space
    assert own_spaces(VectorAdapter(SyncVectorEnv([lambda: Acts(acts)], autoreset_mode="SameStep")))["action"]


def test_bounds_that_float32_rounds_outwards_are_kept():
    """0.1 becomes 0.10000000149 and 0.7 becomes 0.69999998808 in float32; −0.1 and 0.1 go beyond their bounds."""
    own = Box(np.array([-0.1, 0.1]), np.array([0.1, 0.7]), dtype=np.float64)
    actions = OwnActions(own)
    for bound in (actions.space.low, actions.space.high):
        assert actions.one(bound) in own
    assert actions.space.high.astype(np.float64)[0] > 0.1


@pytest.mark.parametrize(
    ("space", "actions", "shown"),
    [
        (Discrete(3), [2, 0], [[0, 0, 1], [1, 0, 0]]),
        (MultiDiscrete([2, 3]), [[1, 2], [0, 1]], [[0, 1, 0, 0, 1], [1, 0, 0, 1, 0]]),
        (MultiDiscrete([[2], [2]]), [[[1], [0]]], [[0, 1, 1, 0]]),
        (MultiBinary(3), [[1, 0, 1]], [[1, 0, 1]]),
        (MultiBinary((2, 1)), [[[1], [0]]], [[1, 0]]),
        (Box(np.array([-2, 0, 3], np.float32), np.array([4, 8, 3], np.float32)), [[-2, 8, 3], [1, 2, 3]],
         [[-1, 1, 0], [0, -0.5, 0]]),
        (Box(np.array([0, -np.inf, -np.inf], np.float32), np.array([np.inf, 3, np.inf], np.float32)), [[0, 3, 9]],
         [[-1, 1, 9]]),
        (Box(-1, 3, ()), [3, 1], [[1], [0]]),
    ],
    ids=str,
)  # fmt: skip
def test_the_previous_action_is_shown_as_one_hots_bits_or_numbers_from_minus_1_to_1(space, actions, shown):
    show = Shown(space)
    rows = show(np.array(actions, dtype=space.dtype))
    assert rows.tolist() == shown and rows.dtype == np.float32
    assert (rows >= show.low).all() and (rows <= show.high).all() and show.size == rows.shape[1]


@every_kind
def test_a_vector_environment_appends_what_was_done_and_zeros_where_an_episode_opens(acts):
    plain = envs.make_vector(ID, 4, env_args={"acts": acts})
    vector = envs.make_vector(ID, 4, env_args={"acts": acts}, previous_action=True)
    show = Shown(vector.single_action_space)
    assert vector.single_observation_space.shape == (2 + show.size,)
    first = vector.reset(seed=3)[0]
    assert not first[:, 2:].any() and np.array_equal(first[:, :2], plain.reset(seed=3)[0])
    vector.action_space.seed(1)
    for _ in range(30):
        actions = vector.action_space.sample()
        observations, *_, infos = vector.step(actions)
        same = plain.step(actions)[0]
        ended = infos.get("_final_obs", np.zeros(4, bool))
        assert np.array_equal(observations[:, :2], same) and not observations[ended, 2:].any()
        assert np.array_equal(observations[~ended, 2:], show(actions)[~ended])
        if ended.any():
            assert np.array_equal(infos["final_obs"][ended, 2:], show(actions)[ended])
        assert all(row in vector.single_observation_space for row in observations)


def test_pendulum_is_made():
    vector = envs.make_vector("Pendulum-v1", 2, previous_action=True)
    assert vector.single_action_space == gymnasium.make("Pendulum-v1").action_space
    vector.reset(seed=1)
    assert vector.step(np.array([[2.0], [-1.0]], np.float32))[0][:, 3].tolist() == [1.0, -0.5]
