"""POPGym's CartPoles: positions alone, velocities alone, and positions through noise."""

import math
from numbers import Real

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector.utils import batch_space

from envs.cartpole.cartpole import CartPoleVectorEnv
from envs.popgym.cards import require_whole
from envs.popgym.forms import PopgymEnv, PopgymVectorEnv


class PositionOnlyCartPoleVectorEnv(CartPoleVectorEnv, PopgymVectorEnv):
    """CartPole without its velocities, in episodes of at most L = `max_episode_length` steps.

    Observation: position (m) and angle (rad), float32 [2]. Action: 0 pushes to the left, 1 to the right.
    Reward: 1 / L at each step. The optimum is 1; random actions keep the pole up for 22 steps in the mean.
    Episode: terminated by a fall, which is beyond 2.4 m or 12°, truncated after L steps; both at once are possible.

    Easy has 200 steps, Medium 400, Hard 600.

    An oddity of the package: the step of a fall earns 1 / L as all others do. Its code means to take 1 for a fall, but
    looks for a reward of 0, which CartPole gives only to steps after the end.

    S. Morad et al., *POPGym: Benchmarking Partially Observable Reinforcement Learning*, ICLR 2023, arXiv 2303.01859.

    Raises:
        ValueError: max_episode_length < 1.
    """

    def __init__(self, num_envs: int = 1, max_episode_length: int = 200):
        require_whole("max_episode_length", max_episode_length, 1)
        super().__init__(num_envs, max_episode_steps=max_episode_length, mask_velocity=True)
        self.metadata = PopgymVectorEnv.metadata  # the package names no scale
        self._step_rewards /= max_episode_length
        # Places within CartPole's rows, [batch, 2]: of position and angle, and of what is seen.
        self._positions = self._seen = self._places[:, ::2].copy()

    def _observe(self) -> np.ndarray:
        return self._rows.take(self._seen).astype(np.float32)  # half the time of turning the rows


class VelocityOnlyCartPoleVectorEnv(PositionOnlyCartPoleVectorEnv):
    """CartPole without its positions, in episodes of at most L = `max_episode_length` steps.

    Observation: velocity (m/s) and angular velocity (rad/s), float32 [2], but for the first one of an episode. Action,
    reward, episode and levels are those of `PositionOnlyCartPoleVectorEnv`.

    Oddities of the package: the first observation shows position (m) and angle (rad). The velocities are integrals of
    the acceleration from there, so that who adds them up knows the whole state. Its ids are spelled `Cartpole`.

    S. Morad et al., *POPGym: Benchmarking Partially Observable Reinforcement Learning*, ICLR 2023, arXiv 2303.01859.

    Raises:
        ValueError: max_episode_length < 1.
    """

    def __init__(self, num_envs: int = 1, max_episode_length: int = 200):
        super().__init__(num_envs, max_episode_length)
        self.own_observation_space = Box(-np.inf, np.inf, (2,), dtype=np.float32)
        self.single_observation_space = self.own_observation_space
        self.observation_space = batch_space(self.own_observation_space, num_envs)
        self._velocities = self._places[:, 1::2].copy()
        self._entries = np.arange(2 * num_envs).reshape(num_envs, 2)
        self._seen = self._velocities

    def _start_episodes(self, columns: np.ndarray) -> None:
        super()._start_episodes(columns)  # all columns, or some right after `_advance`
        self._seen = self._velocities.copy()
        self._seen.put(self._entries.take(columns, axis=0), self._positions.take(columns, axis=0))

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self._seen = self._velocities
        return super()._advance(actions)


class NoisyPositionOnlyCartPoleVectorEnv(PositionOnlyCartPoleVectorEnv):
    """CartPole seen through noise and without its velocities, in episodes of at most L = `max_episode_length` steps.

    Observation: position (m) and angle (rad), each with a normal number of standard deviation `noise_sigma` added to
    it, and then clipped to ±4.8 m and ±0.419 rad, float32 [2]. Action, reward and episode are those of
    `PositionOnlyCartPoleVectorEnv`.

    Easy has a noise of 0.1, Medium 0.2, Hard 0.3, all with 200 steps.

    An oddity of the package: the noise is the same for metres and for radians. A fall is at 2.4 m, but at 0.209 rad, so
    that the noise hides the angle much more than the position. In Hard 16 of 100 angles that are 0 are shown at a bound.

    S. Morad et al., *POPGym: Benchmarking Partially Observable Reinforcement Learning*, ICLR 2023, arXiv 2303.01859.

    Raises:
        ValueError: max_episode_length < 1, or noise_sigma is not a finite number of at least 0.
    """

    def __init__(self, num_envs: int = 1, max_episode_length: int = 200, noise_sigma: float = 0.1):
        super().__init__(num_envs, max_episode_length)
        require_noise(noise_sigma)
        self._sigma = np.array(float(noise_sigma))
        self._low, self._high = self.single_observation_space.low, self.single_observation_space.high
        self._normals = np.zeros((num_envs, 2))  # of the present observations

    def _start_episodes(self, columns: np.ndarray) -> None:
        super()._start_episodes(columns)
        for column in columns.tolist():
            self._generators[column].standard_normal(out=self._normals[column])

    def _observe(self) -> np.ndarray:
        observations = super()._observe()
        observations += (self._normals * self._sigma).astype(np.float32)
        np.minimum(observations, self._high, out=observations)  # these two take a third of the time of np.clip
        return np.maximum(observations, self._low, out=observations)

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        moved = super()._advance(actions)
        for generator, normals in zip(self._generators, self._normals, strict=True):
            generator.standard_normal(out=normals)
        return moved


def require_noise(noise_sigma: float) -> None:
    """Refuse what is not a standard deviation.

    Raises:
        ValueError: it is not a finite number of at least 0.
    """
    if not isinstance(noise_sigma, Real) or not 0 <= noise_sigma < math.inf:
        raise ValueError(f"noise_sigma must be a finite number of at least 0, got {noise_sigma!r}")


class PositionOnlyCartPoleEnv(PopgymEnv):
    """One column of `PositionOnlyCartPoleVectorEnv`, with the same arguments."""

    vector_form = PositionOnlyCartPoleVectorEnv


class VelocityOnlyCartPoleEnv(PopgymEnv):
    """One column of `VelocityOnlyCartPoleVectorEnv`, with the same arguments."""

    vector_form = VelocityOnlyCartPoleVectorEnv


class NoisyPositionOnlyCartPoleEnv(PopgymEnv):
    """One column of `NoisyPositionOnlyCartPoleVectorEnv`, with the same arguments."""

    vector_form = NoisyPositionOnlyCartPoleVectorEnv
