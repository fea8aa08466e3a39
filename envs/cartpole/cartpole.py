"""CartPole as array arithmetic over a batch, equal bit for bit to Gymnasium's single environment."""

import math

import numpy as np
from gymnasium.spaces import Box, Discrete

from envs.vector.columns import ColumnsVectorEnv

# These are arrays without axes: NumPy would convert a float at each call, a third of the time of so short a call.
GRAVITY = np.array(9.8)  # m/s²
POLE_MASS = np.array(0.1)  # kg
TOTAL_MASS = np.array(0.1 + 1.0)  # kg, pole and cart
HALF_LENGTH = np.array(0.5)  # m, from the pivot to the pole's centre
POLE_MASS_LENGTH = np.array(0.1 * 0.5)  # kg m
FOUR_THIRDS = np.array(4.0 / 3.0)
TIME_STEP = np.array(0.02)  # s
ONE_STEP = np.array(1)
FORCES = np.array([-10.0, 10.0])  # N, by action
FIRST_LEAST, FIRST_RANGE = np.array(-0.05), np.array(0.1)  # each number of a first state is uniform
GYMNASIUM_ORDER = np.array([0, 2, 1, 3])  # the rows here of its x, x', θ, θ'
POSITION_LIMIT = 2.4  # m
ANGLE_LIMIT = 12 * 2 * math.pi / 360  # rad
CARTPOLE_POSITION_SCALE = (2.4, 0.2095)  # m, rad: the two limits as numbers to divide observations by


class CartPoleVectorEnv(ColumnsVectorEnv):
    """A batch of cart-poles, with or without the two velocities in the observation.

    An observation holds position (m), velocity (m/s), angle (rad) and angular velocity (rad/s); with `mask_velocity`
    it holds position and angle. The reward is 1 a step; with `sutton_barto_reward` it is -1 for a fall, else 0. An
    episode is terminated beyond 2.4 m or 12° and truncated after `max_episode_steps`; a fall on the last step sets
    both flags.

        s = (F + m l θ'² sin θ) / (m + M)
        θ'' = (g sin θ - s cos θ) / (l (4/3 - m cos² θ / (m + M)))
        x'' = s - m l θ'' cos θ / (m + M)

    and one Euler step of 0.02 s. The operations have the order of Gymnasium's `CartPoleEnv.step`, since any other order
    rounds differently.

    Source: Barto, Sutton & Anderson (1983), "Neuronlike adaptive elements that can solve difficult learning control
    problems", appendix, without friction.

    Raises:
        ValueError: max_episode_steps is neither a positive integer nor -1 (no limit, as in `gymnasium.make`).
    """

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int = 500,
        sutton_barto_reward: bool = False,
        mask_velocity: bool = False,
    ):
        high = np.array([2 * POSITION_LIMIT, np.inf, 2 * ANGLE_LIMIT, np.inf], dtype=np.float32)
        if mask_velocity:
            high = high[::2]
            self.metadata = {**self.metadata, "observation_scale": CARTPOLE_POSITION_SCALE}
        super().__init__(num_envs, Box(-high, high, dtype=np.float32), Discrete(2))
        if not isinstance(max_episode_steps, int | np.integer) or (max_episode_steps < 1 and max_episode_steps != -1):
            raise ValueError(f"CartPole needs max_episode_steps of at least 1, or -1, got {max_episode_steps!r}")
        self._step_limit = np.array(np.iinfo(np.int64).max if max_episode_steps == -1 else max_episode_steps)
        self._sutton_barto_reward = sutton_barto_reward

        # Rows x, θ, x', θ', x'', θ'': rows 2..5 are the derivatives of rows 0..3, so one addition moves the state.
        self._rows = np.zeros((6, num_envs))
        self._places = GYMNASIUM_ORDER * num_envs + np.arange(num_envs)[:, None]  # [batch, 4], within all rows
        self._scratch = np.empty((3, num_envs))
        self._masses = np.repeat([[POLE_MASS_LENGTH], [POLE_MASS]], num_envs, axis=1)
        self._change = np.empty((4, num_envs))
        self._limits = np.repeat([[POSITION_LIMIT], [ANGLE_LIMIT]], num_envs, axis=1)
        self._step_rewards = np.ones(num_envs)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._observed_rows = 2 if mask_velocity else 4

    def _start_episodes(self, columns: np.ndarray) -> None:
        # Its uniform(-0.05, 0.05, 4) gives these numbers too, and takes more than twice as long.
        drawn = np.concatenate([self._generators[column].random(4) for column in columns.tolist()])
        drawn *= FIRST_RANGE
        drawn += FIRST_LEAST
        self._rows.put(self._places.take(columns, axis=0), drawn)
        self._elapsed[columns] = 0

    def _observe(self) -> np.ndarray:
        # "(derivative coordinate) batch -> batch (coordinate derivative)": x, x', θ, θ' is Gymnasium's order.
        # The view is made at each call: a stored one would no longer be a view in a copied or unpickled environment.
        state = self._rows[: self._observed_rows].reshape(-1, 2, self.num_envs).transpose(2, 1, 0)
        return state.astype(np.float32, order="C").reshape(self.num_envs, -1)

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # Each line writes into an array that exists: at 32 columns a new array costs more than the arithmetic.
        # cos θ stands in the row of x'', which comes last, and so next to θ'.
        angle, cos, angle_acceleration = self._rows[1], self._rows[4], self._rows[5]
        sin, push, work = self._scratch
        np.cos(angle, out=cos)
        np.sin(angle, out=sin)

        both = np.square(self._rows[3:5], out=self._scratch[1:])
        both *= self._masses
        push *= sin
        push += FORCES.take(actions)
        both /= TOTAL_MASS

        np.subtract(FOUR_THIRDS, work, out=work)
        work *= HALF_LENGTH
        np.multiply(sin, GRAVITY, out=angle_acceleration)
        np.multiply(cos, push, out=sin)
        angle_acceleration -= sin
        angle_acceleration /= work

        np.multiply(angle_acceleration, POLE_MASS_LENGTH, out=work)
        work *= cos
        work /= TOTAL_MASS
        np.subtract(push, work, out=cos)

        np.multiply(self._rows[2:], TIME_STEP, out=self._change)
        self._rows[:4] += self._change
        self._elapsed += ONE_STEP

        beyond = np.abs(self._rows[:2]) > self._limits
        terminated = beyond[0] | beyond[1]
        truncated = self._elapsed >= self._step_limit
        # 0 - fell, not -fell: the reward of a step without a fall is 0.0, not -0.0.
        rewards = 0.0 - terminated if self._sutton_barto_reward else self._step_rewards.copy()
        return rewards, terminated, truncated
