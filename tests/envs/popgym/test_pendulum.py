"""POPGym's Pendulums: the equations, what they show and earn, their noise, and the oddities of the package."""

import math

import numpy as np
import pytest

import envs
from envs.popgym.pendulum import NoisyPositionOnlyPendulumVectorEnv, PositionOnlyPendulumVectorEnv
from envs.popgym.table import POPGYM, fast_id
from tests.support.bits import assert_bit_equal
from tests.support.popgym import assert_equals_official

NAMES = [name for name, family, _ in POPGYM if family.startswith("pendulum:")]
REST = np.zeros((1, 1), dtype=np.float32)


def put_state(official, ours, column):
    ours._angle[column], ours._velocity[column] = official.state


def swing(singles):
    """Push along the velocity while the pendulum hangs, and to the upright position near it."""
    states = np.array([one.state for one in singles])
    angle, velocity = (states[:, 0] + np.pi) % (2 * np.pi) - np.pi, states[:, 1]
    near = (np.cos(angle) > 0.85) & (abs(velocity) < 3)
    return np.where(near, -10 * angle - 2 * velocity, 2 * np.sign(velocity))[:, None].astype(np.float32)


@pytest.mark.parametrize("name", [name for name in NAMES if "Noisy" not in name])
def test_swinging_up_with_the_packages_states_and_other_seeds_shows_the_same_and_earns_the_same_to_1e_12(name):
    """Torques up to 30 N m are clipped to 2. Random torques earn -0.5 and less."""
    returns = assert_equals_official(name, 10, put=put_state, act=swing)
    assert returns.max() > 0.5 and len(returns) >= 10


@pytest.mark.parametrize("name", [name for name in NAMES if "Noisy" in name])
def test_swinging_up_through_noise_shows_the_same_as_the_package(name):
    assert assert_equals_official(name, 10, act=swing).max() > 0.5


def column_at(angle, velocity, form=PositionOnlyPendulumVectorEnv, **arguments):
    vector = form(1, **arguments)
    vector.reset(seed=0)
    vector._angle[0], vector._velocity[0] = angle, velocity
    return vector


def test_standing_upright_earns_a_200th_a_step_and_hanging_still_minus_a_1000th():
    """1 - π² / 8.1368 is -0.213."""
    for angle, reward in ((0.0, 1 / 200), (np.pi, -0.21296 / 200), (-np.pi, -0.21296 / 200)):
        vector = column_at(angle, 0.0)
        for _ in range(5):
            observations, rewards, *_ = vector.step(REST)
            assert rewards == pytest.approx(reward, abs=1e-7)
        assert observations == pytest.approx(np.array([[math.cos(angle), 0]]), abs=1e-6)


def test_the_least_reward_is_minus_one_over_the_steps():
    """Upside down at 8 rad/s and with 2 N m: π² + 6.4 + 0.004 = 16.2736."""
    [reward] = column_at(np.pi, 8.0, max_episode_length=100).step(REST + 2)[1]
    assert reward == pytest.approx(-1 / 100, abs=1e-9)


def test_a_step_moves_the_state_as_the_equations_say():
    """From θ = 0.5 and θ' = 1 with 1 N m: θ'' = 15 sin 0.5 + 3. At 7.9 rad/s the velocity stops at 8."""
    vector = column_at(0.5, 1.0)
    [[cos, sin]], [reward], *_ = vector.step(REST + 1)
    velocity = 1 + 0.05 * (15 * math.sin(0.5) + 3)
    assert (cos, sin) == pytest.approx((math.cos(0.5 + 0.05 * velocity), math.sin(0.5 + 0.05 * velocity)), abs=1e-6)
    assert reward == pytest.approx((1 - (0.25 + 0.1 + 0.001) / 8.1368022) / 200, abs=1e-9)
    fast = column_at(1.5, 7.9)
    fast.step(REST)
    assert (fast._velocity[0], fast._angle[0]) == (8.0, 1.5 + 8.0 * 0.05)


def test_a_torque_of_50_is_one_of_2():
    assert_bit_equal(column_at(2.0, 0.0).step(REST + 50), column_at(2.0, 0.0).step(REST + 2))


def test_oddity_three_times_a_torque_is_rounded_to_float32_as_in_the_package():
    """float32 0.1 is 0.100000001490116. Three times that is 0.30000000447 exactly and 0.30000001192 in float32."""
    official = pytest.importorskip("popgym.envs.position_only_pendulum").PositionOnlyPendulum()
    official.reset(seed=0)
    official.state = np.zeros(2)
    official.step(np.array([0.1], dtype=np.float32))
    vector = column_at(0.0, 0.0)
    vector.step(REST + np.float32(0.1))
    assert vector._velocity[0] == official.state[1] == float(np.float32(0.1) * np.float32(3)) * 0.05
    assert vector._velocity[0] != 3 * float(np.float32(0.1)) * 0.05


@pytest.mark.parametrize("name", NAMES)
def test_it_is_truncated_after_200_150_or_100_steps_and_with_noise_always_after_200(name):
    steps = 200 if name.endswith("Easy") or name.startswith("Noisy") else 150 if name.endswith("Medium") else 100
    vector = envs.make_vector(fast_id(name), 2)
    vector.reset(seed=0)
    for step in range(1, 2 * steps + 1):
        _, _, terminated, truncated, _ = vector.step(np.zeros((2, 1), dtype=np.float32))
        assert truncated.tolist() == [step % steps == 0] * 2 and not terminated.any()


def test_first_angles_are_uniform_on_the_circle_and_first_velocities_from_minus_1_to_1():
    """Kolmogorov's bound at 1 of 1000 is 1.95 / √n."""
    vector = PositionOnlyPendulumVectorEnv(4000)
    vector.reset(seed=0)
    for drawn, high in ((vector._angle, np.pi), (vector._velocity, 1)):
        uniform = np.sort((drawn / high + 1) / 2)
        assert abs(uniform - (np.arange(4000) + 0.5) / 4000).max() < 1.95 / np.sqrt(4000)
    assert abs(np.corrcoef(vector._angle, vector._velocity)[0, 1]) < 4 / np.sqrt(4000)


@pytest.mark.parametrize("sigma", [0.1, 0.2, 0.3])
def test_oddity_upright_the_cosine_is_shown_04_deviations_below_1_and_half_of_the_time_as_1(sigma):
    """The mean of min(0, z) is -1 / √(2π), its deviation 0.58. The sine's noise is hardly clipped."""
    vector = column_at(0.0, 0.0, NoisyPositionOnlyPendulumVectorEnv, max_episode_length=4000, noise_sigma=sigma)
    cosines, sines = np.array([vector.step(REST)[0][0] for _ in range(3999)]).T
    assert np.mean(cosines - 1) / sigma == pytest.approx(-0.3989, abs=4 * 0.58 / np.sqrt(3999))
    assert np.mean(cosines == 1) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(3999))
    assert sines.std() == pytest.approx(sigma, rel=0.045) and abs(sines.mean()) < 4 * sigma / np.sqrt(3999)
    assert abs(np.corrcoef(sines[1:], sines[:-1])[0, 1]) < 4 / np.sqrt(3999)
    assert abs(np.corrcoef(cosines, sines)[0, 1]) < 4 / np.sqrt(3999)


@pytest.mark.parametrize(
    ("name", "value", "needed"),
    [("max_episode_length", 1.5, "an integer of at least 1"), ("noise_sigma", -1, "a finite number of at least 0")],
)
def test_a_wrong_argument_is_refused_in_one_line_that_names_it(name, value, needed):
    with pytest.raises(ValueError) as error:
        envs.make_vector(fast_id("NoisyPositionOnlyPendulumEasy"), 2, env_args={name: value})
    assert str(error.value).endswith(f": {name} must be {needed}, got {value!r}")
