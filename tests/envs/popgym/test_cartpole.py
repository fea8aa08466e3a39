"""POPGym's CartPoles: what they show and earn, their noise, and the oddities of the package."""

import numpy as np
import pytest

import envs
from envs.popgym.cartpole import (
    NoisyPositionOnlyCartPoleVectorEnv,
    PositionOnlyCartPoleVectorEnv,
    VelocityOnlyCartPoleVectorEnv,
)
from envs.popgym.table import POPGYM, fast_id
from tests.support.bits import assert_bit_equal
from tests.support.cartpole_rules import GAINS
from tests.support.popgym import assert_equals_official

NAMES = [name for name, family, _ in POPGYM if family.startswith("cartpole:")]
BOUNDS = np.array([4.8, 0.41887903], dtype=np.float32)  # m, rad
RIGHT = np.array([1])


def put_state(official, ours, column):
    ours._rows[:4, column] = np.array(official.state)[[0, 2, 1, 3]]


def balance(singles):
    return np.array([int(np.array(one.state) @ GAINS > 0) for one in singles])


@pytest.mark.parametrize("name", NAMES)
def test_a_player_that_sees_the_state_earns_1_as_in_the_package(name):
    returns = assert_equals_official(name, 3, batch=3, act=balance)
    assert returns == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", [name for name in NAMES if "Noisy" not in name])
def test_with_the_packages_states_and_other_seeds_the_rules_give_the_same_over_20_episodes(name):
    """Of 10 actions 8 are random, so that a pole falls after 20 to 200 steps."""
    generator = np.random.default_rng(0)

    def act(singles):
        return np.where(generator.random(10) < 0.8, generator.integers(2, size=10), balance(singles))

    returns = assert_equals_official(name, 20, put=put_state, act=act)
    assert returns.min() < returns.max() < 1


@pytest.mark.parametrize("name", NAMES)
def test_it_is_truncated_after_200_400_or_600_steps_and_with_noise_always_after_200(name):
    steps = 200 if name.endswith("Easy") or name.startswith("Noisy") else 400 if name.endswith("Medium") else 600
    vector = envs.make_vector(fast_id(name), 2)
    vector.reset(seed=0)
    for step in range(1, steps + 1):
        actions = (vector._rows[[0, 2, 1, 3]].T @ GAINS > 0).astype(np.int64)
        _, rewards, terminated, truncated, _ = vector.step(actions)
        assert rewards.tolist() == [1 / steps] * 2
        assert truncated.tolist() == [step == steps] * 2 and not terminated.any()


def steps_to_a_fall(env):
    """Push to the right until the pole falls; return rewards and both flags of the last step."""
    env.reset(seed=0)
    rewards, terminated = [], False
    while not terminated:
        _, reward, terminated, truncated, _ = env.step(RIGHT if isinstance(env, PositionOnlyCartPoleVectorEnv) else 1)
        rewards.append(float(np.squeeze(reward)))
    return rewards, bool(terminated), bool(truncated)


def test_oddity_the_step_of_a_fall_earns_a_200th_as_the_others_do():
    """The package means to take 1 for it: its `reward_transform` makes -1 of a reward of 0."""
    official = pytest.importorskip("popgym.envs.position_only_cartpole").PositionOnlyCartPole()
    assert official.reward_transform(0.0) == -1
    found = steps_to_a_fall(PositionOnlyCartPoleVectorEnv(1))
    assert 8 <= len(found[0]) <= 11 and found == ([1 / 200] * len(found[0]), True, False)
    assert found == steps_to_a_fall(official)


def test_a_fall_in_the_last_step_sets_both_flags_as_in_the_package():
    module = pytest.importorskip("popgym.envs.position_only_cartpole")
    falls = len(steps_to_a_fall(PositionOnlyCartPoleVectorEnv(1))[0])
    found = steps_to_a_fall(PositionOnlyCartPoleVectorEnv(1, max_episode_length=falls))
    assert found == ([1 / falls] * falls, True, True)
    assert found == steps_to_a_fall(module.PositionOnlyCartPole(max_episode_length=falls))


def test_oddity_the_first_observation_of_velocity_only_shows_position_and_angle():
    """All first states are between -0.05 and 0.05, so that one step to the right makes velocities of 0.15 to 0.25."""
    official = pytest.importorskip("popgym.envs.velocity_only_cartpole").VelocityOnlyCartPole()
    vector = VelocityOnlyCartPoleVectorEnv(1)
    [first], [seen] = vector.reset(seed=3)[0], official.reset(seed=3)[:1]
    assert_bit_equal(first, seen)
    assert_bit_equal(first, np.array(official.state)[[0, 2]].astype(np.float32))
    assert_bit_equal(first, PositionOnlyCartPoleVectorEnv(1).reset(seed=3)[0][0])
    [second], [seen] = vector.step(RIGHT)[0], official.step(1)[:1]
    assert_bit_equal(second, seen)
    assert_bit_equal(second, np.array(official.state)[[1, 3]].astype(np.float32))
    assert second[0] > 0.14


def test_only_the_column_whose_pole_fell_shows_positions_in_that_step():
    vector, falls = VelocityOnlyCartPoleVectorEnv(6), 0
    vector.reset(seed=0)
    for actions in np.random.default_rng(0).integers(2, size=(200, 6)):
        observations, _, terminated, _, _ = vector.step(actions)
        positions, velocities = vector._rows[:2].T.astype(np.float32), vector._rows[2:4].T.astype(np.float32)
        assert (observations == np.where(terminated[:, None], positions, velocities)).all()
        falls += terminated.sum()
    assert falls > 30


@pytest.mark.parametrize("sigma", [0.1, 0.2, 0.3])
def test_noise_is_normal_with_one_deviation_for_metres_and_radians_and_then_clipped(sigma):
    """In 4000 columns a deviation has a standard error of 1.1 %. Position is not clipped; of the angle the share that
    a normal number has beyond 0.419 - 0.025 or so, the angles' own deviation being 0.029."""
    vector = NoisyPositionOnlyCartPoleVectorEnv(4000, noise_sigma=sigma)
    seen = vector.reset(seed=0)[0]
    noise = seen - vector._rows[:2].T
    assert noise[:, 0].std() == pytest.approx(sigma, rel=0.044)
    assert abs(noise[:, 0].mean()) < 4 * sigma / np.sqrt(4000)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 4 / np.sqrt(4000)
    assert (abs(seen) <= BOUNDS).all()
    beyond = {0.1: 0.0001, 0.2: 0.0383, 0.3: 0.1645}[sigma]
    assert np.mean(abs(seen[:, 1]) == BOUNDS[1]) == pytest.approx(beyond, abs=4 * np.sqrt(beyond / 4000) + 1e-4)


def test_noise_is_independent_from_step_to_step_and_between_columns():
    vector = NoisyPositionOnlyCartPoleVectorEnv(4000, noise_sigma=0.1)
    first = vector.reset(seed=0)[0] - vector._rows[:2].T
    second = vector.step(np.zeros(4000, dtype=np.int64))[0] - vector._rows[:2].T
    for one, other in ((first, second), (first[1:], first[:-1])):
        assert abs(np.corrcoef(one[:, 0], other[:, 0])[0, 1]) < 4 / np.sqrt(4000)


def test_without_noise_it_equals_position_only_bit_for_bit_until_the_first_fall():
    noisy, plain = NoisyPositionOnlyCartPoleVectorEnv(3, noise_sigma=0), PositionOnlyCartPoleVectorEnv(3)
    assert_bit_equal(noisy.reset(seed=0), plain.reset(seed=0))
    for _ in range(7):
        assert_bit_equal(noisy.step(np.ones(3, dtype=np.int64)), plain.step(np.ones(3, dtype=np.int64)))


@pytest.mark.parametrize(
    ("name", "value", "needed"),
    [("max_episode_length", 0, "an integer of at least 1")]
    + [("noise_sigma", value, "a finite number of at least 0") for value in (-0.1, np.inf, float("nan"), "much")],
)
def test_a_wrong_argument_is_refused_in_one_line_that_names_it(name, value, needed):
    with pytest.raises(ValueError) as error:
        envs.make_vector(fast_id("NoisyPositionOnlyCartPoleEasy"), 2, env_args={name: value})
    assert str(error.value).endswith(f": {name} must be {needed}, got {value!r}")
