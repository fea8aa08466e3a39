"""MaskVelocity hides velocities and nothing else, has exact spaces, and refuses the rest in one line."""

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Discrete
from gymnasium.utils.env_checker import check_env

from envs.cartpole.velocities import VELOCITY_INDICES, MaskVelocity

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")


class StandIn(gymnasium.Env):
    """Has the spaces of LunarLander, which needs Box2D. Entry i of an observation is i + step / 100."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, low=-20.0, high=20.0, shape=(8,), spec_id="LunarLander-v3"):
        self.observation_space = Box(low, high, shape, dtype=np.float32)
        self.action_space = Discrete(4)
        self.spec = EnvSpec(spec_id, entry_point=StandIn, kwargs={"spec_id": spec_id})

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._elapsed = 0
        return self._observe(), {}

    def step(self, action):
        self._elapsed += 1
        return self._observe(), 0.0, False, False, {}

    def _observe(self):
        size = self.observation_space.shape
        return (np.arange(np.prod(size)).reshape(size) + self._elapsed / 100).astype(np.float32)


def make_known(env_id):
    return StandIn(spec_id=env_id) if env_id.startswith("LunarLander") else gymnasium.make(env_id)


CLASSIC = ("CartPole", "Acrobot", "Pendulum", "MountainCar", "LunarLander")


@pytest.mark.parametrize("env_id", [name for name in VELOCITY_INDICES if name.startswith(CLASSIC)])
@pytest.mark.parametrize("zero", [False, True])
def test_gymnasiums_check_env_accepts_every_environment_of_classic_control_known_by_id(env_id, zero):
    check_env(MaskVelocity(make_known(env_id), zero=zero), skip_render_check=True)


@pytest.mark.parametrize(
    ("env_id", "seen"),
    [
        ("CartPole-v1", ["position", "angle"]),
        ("Acrobot-v1", ["cos 1", "sin 1", "cos 2", "sin 2"]),
        ("Pendulum-v1", ["cos", "sin"]),
        ("MountainCar-v0", ["position"]),
        ("MountainCarContinuous-v0", ["position"]),
        ("LunarLander-v2", ["x", "y", "angle", "left leg", "right leg"]),
    ],
)
def test_positions_stay_and_velocities_go(env_id, seen):
    entries = {
        "CartPole-v1": ["position", "velocity", "angle", "angular velocity"],
        "Acrobot-v1": ["cos 1", "sin 1", "cos 2", "sin 2", "angular velocity 1", "angular velocity 2"],
        "Pendulum-v1": ["cos", "sin", "angular velocity"],
        "MountainCar-v0": ["position", "velocity"],
        "MountainCarContinuous-v0": ["position", "velocity"],
        "LunarLander-v2": ["x", "y", "x velocity", "y velocity", "angle", "angular velocity", "left leg", "right leg"],
    }[env_id]
    trio = make_known(env_id), MaskVelocity(make_known(env_id)), MaskVelocity(make_known(env_id), zero=True)
    full, removed, zeroed = (env.reset(seed=3)[0] for env in trio)
    for _ in range(4):
        assert removed.tolist() == [full[entries.index(name)] for name in seen]
        assert zeroed.tolist() == [value if name in seen else 0.0 for name, value in zip(entries, full, strict=True)]
        action = trio[0].action_space.sample()
        full, removed, zeroed = (env.step(action)[0] for env in trio)


def test_spaces_are_exact_without_removed_entries_and_0_at_zeroed_ones():
    env = StandIn(low=np.arange(-8.0, 0.0), high=np.arange(8.0, 16.0), shape=None)
    assert MaskVelocity(env).observation_space == Box(
        np.array([-8, -7, -4, -2, -1], dtype=np.float32), np.array([8, 9, 12, 14, 15], dtype=np.float32)
    )
    assert MaskVelocity(env, zero=True).observation_space == Box(
        np.array([-8, -7, 0, 0, -4, 0, -2, -1], dtype=np.float32),
        np.array([8, 9, 0, 0, 12, 0, 14, 15], dtype=np.float32),
    )


@pytest.mark.parametrize("arguments", [{}, {"zero": True}, {"indices": (0, 2)}, {"indices": np.array([1])}])
def test_gymnasium_makes_the_wrapper_again_from_its_spec_also_through_json(arguments):
    env = MaskVelocity(gymnasium.make("CartPole-v1"), **arguments)
    for spec in (env.spec, EnvSpec.from_json(env.spec.to_json())):
        again = gymnasium.make(spec)
        assert again.observation_space == env.observation_space
        assert (again.reset(seed=3)[0] == env.reset(seed=3)[0]).all()


def test_an_observation_is_a_copy_of_the_environments_array():
    env = MaskVelocity(StandIn(), zero=True)
    given = np.ones(8, dtype=np.float32)
    assert env.observation(given).tolist() == [1, 1, 0, 0, 1, 0, 1, 1]
    assert given.tolist() == [1] * 8


@pytest.mark.parametrize(
    ("env", "arguments", "message"),
    [
        (StandIn(spec_id="Walker-v0"), {}, "MaskVelocity does not know the velocities of Walker-v0: pass indices"),
        (StandIn(), {"indices": (2, 8)}, r"MaskVelocity indices \[8\] are out of range 0..7 for LunarLander-v3"),
        (StandIn(), {"indices": (-1,)}, r"MaskVelocity indices \[-1\] are out of range 0..7 for LunarLander-v3"),
        (StandIn(), {"indices": (2, 2)}, r"MaskVelocity indices \[2, 2\] for LunarLander-v3 name an entry twice"),
        (StandIn(), {"indices": range(8)}, "MaskVelocity indices .* leave nothing to see of LunarLander-v3"),
        (StandIn(shape=(4, 4)), {}, r"MaskVelocity needs a 1-D Box observation; that of LunarLander-v3 is Box\("),
        (StandIn(shape=(9,)), {"indices": (9,)}, "out of range 0..8"),
        (
            gymnasium.wrappers.TimeAwareObservation(gymnasium.make("CartPole-v1")),
            {},
            "MaskVelocity knows CartPole-v1, but other wrappers changed its observation: pass indices",
        ),
    ],
)
def test_what_cannot_be_masked_is_refused_in_one_line_that_names_it(env, arguments, message):
    with pytest.raises(ValueError, match="^" + message if message.startswith("Mask") else message) as error:
        MaskVelocity(env, **arguments)
    assert "\n" not in str(error.value)
