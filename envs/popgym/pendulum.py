"""POPGym's Pendulums: the position alone, and the position through noise."""

import numpy as np
from gymnasium.spaces import Box

from envs.popgym.cards import require_whole
from envs.popgym.cartpole import require_noise
from envs.popgym.forms import PopgymEnv, PopgymVectorEnv

TIME_STEP = 0.05  # s
MAX_TORQUE, MAX_VELOCITY = 2.0, 8.0  # N m, rad/s
GRAVITY_TERM, TORQUE_TERM = 15.0, 3.0  # 3g / 2l in 1/s² with g = 10 m/s², and 3 / ml² in 1/(kg m²); m = 1 kg, l = 1 m
FIRST_STATES = np.array([np.pi, 1.0])  # rad, rad/s: they are uniform between minus this and this
HALF_RANGE = 16.2736044 / 2  # of the costs: π² + 8² / 10 + 2² / 1000 is the largest


class PositionOnlyPendulumVectorEnv(PopgymVectorEnv):
    """A pendulum that must be swung up by too small a torque and kept there, without its velocity.

    θ is the angle from the upright position; at first it is uniform on -π to π, and θ' on -1 to 1 rad/s. With torque u,
    between -2 and 2 N m (others are clipped), and a time step of 0.05 s:

        θ'' = 15 sin θ + 3u,   θ' ← θ' + 0.05 θ'', between -8 and 8 rad/s,   then θ ← θ + 0.05 θ'

    Observation: cos θ and sin θ, float32 [2]. Action: u, float32 [1].
    Reward: with c = θ² + θ'² / 10 + u² / 1000 of the state before the step, θ from -π to π, and L =
    `max_episode_length`, (1 - c / 8.1368) / L, between -1 / L and 1 / L. To stand upright all the time earns 1.
    Episode: truncated after L steps. All columns begin their episodes together.

    Easy has 200 steps, Medium 150, Hard 100: the swing is a larger part of a shorter episode.

    An oddity of the package: an action is float32, and so NumPy 2 rounds 3u and u² / 1000 to float32. They are rounded
    here too. Squares are not rounded alike: rewards differ by up to 10⁻¹⁷, and nothing else does.

    S. Morad et al., *POPGym: Benchmarking Partially Observable Reinforcement Learning*, ICLR 2023, arXiv 2303.01859.

    Raises:
        ValueError: max_episode_length < 1.
    """

    def __init__(self, num_envs: int = 1, max_episode_length: int = 200):
        require_whole("max_episode_length", max_episode_length, 1)
        torque = Box(-MAX_TORQUE, MAX_TORQUE, (1,), dtype=np.float32)
        super().__init__(num_envs, Box(-1.0, 1.0, (2,), dtype=np.float32), torque)
        self._length = max_episode_length
        self._angle, self._velocity = np.zeros((2, num_envs))
        self._elapsed = np.zeros((), dtype=np.int64)  # an array, since those are saved

    def _start_episodes(self, columns: np.ndarray) -> None:
        drawn = [generator.uniform(-FIRST_STATES, FIRST_STATES) for generator in self._generators]
        self._angle, self._velocity = np.array(drawn).T.copy()
        self._elapsed.fill(0)

    def _observe(self) -> np.ndarray:
        observations = np.empty((self.num_envs, 2), dtype=np.float32)
        observations[:, 0] = np.cos(self._angle)
        observations[:, 1] = np.sin(self._angle)
        return observations

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        torque = np.asarray(actions, dtype=np.float32)[:, 0].clip(-MAX_TORQUE, MAX_TORQUE)
        angle = (self._angle + np.pi) % (2 * np.pi) - np.pi
        costs = angle**2 + 0.1 * self._velocity**2 + 0.001 * torque**2
        acceleration = GRAVITY_TERM * np.sin(self._angle) + TORQUE_TERM * torque
        self._velocity = (self._velocity + acceleration * TIME_STEP).clip(-MAX_VELOCITY, MAX_VELOCITY)
        self._angle = self._angle + self._velocity * TIME_STEP
        self._elapsed += 1
        terminated, truncated = np.zeros((2, self.num_envs), dtype=bool)
        truncated[:] = self._elapsed == self._length
        return (HALF_RANGE - costs) / HALF_RANGE / self._length, terminated, truncated


class NoisyPositionOnlyPendulumVectorEnv(PositionOnlyPendulumVectorEnv):
    """A pendulum seen through noise and without its velocity; all but observations is `PositionOnlyPendulumVectorEnv`.

    Observation: cos θ and sin θ, each with a normal number of standard deviation `noise_sigma` added to it, and then
    clipped to -1 to 1, float32 [2].

    Easy has a noise of 0.1, Medium 0.2, Hard 0.3, all with 200 steps.

    An oddity of the package: noise is clipped where the pendulum should be, upright at (1, 0). There the mean of what
    shows cos θ is not 1, but 0.4 standard deviations less.

    S. Morad et al., *POPGym: Benchmarking Partially Observable Reinforcement Learning*, ICLR 2023, arXiv 2303.01859.

    Raises:
        ValueError: max_episode_length < 1, or noise_sigma is not a finite number of at least 0.
    """

    def __init__(self, num_envs: int = 1, max_episode_length: int = 200, noise_sigma: float = 0.1):
        super().__init__(num_envs, max_episode_length)
        require_noise(noise_sigma)
        self._sigma = noise_sigma
        self._noise = np.zeros((max_episode_length + 1, num_envs, 2), dtype=np.float32)  # of each observation

    def _start_episodes(self, columns: np.ndarray) -> None:
        super()._start_episodes(columns)
        for column, generator in enumerate(self._generators):
            self._noise[:, column] = self._sigma * generator.standard_normal((self._length + 1, 2))

    def _observe(self) -> np.ndarray:
        observations = super()._observe()
        observations += self._noise[int(self._elapsed)]
        return observations.clip(-1.0, 1.0, out=observations)


class PositionOnlyPendulumEnv(PopgymEnv):
    """One column of `PositionOnlyPendulumVectorEnv`, with the same arguments."""

    vector_form = PositionOnlyPendulumVectorEnv


class NoisyPositionOnlyPendulumEnv(PopgymEnv):
    """One column of `NoisyPositionOnlyPendulumVectorEnv`, with the same arguments."""

    vector_form = NoisyPositionOnlyPendulumVectorEnv
