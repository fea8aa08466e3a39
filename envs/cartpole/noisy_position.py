"""NoisyPositionCartPole: CartPole seen through noise and without its velocities."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import RecordConstructorArgs

from envs.cartpole.cartpole import CARTPOLE_POSITION_SCALE
from envs.cartpole.disturbed import BLOCK, Disturbance, DisturbedCartPoleVectorEnv, DisturbedObservation
from envs.cartpole.masked_velocity import make_masked_velocity_cartpole


class Noise(Disturbance):
    """Gaussian noise: o + noise · scale · z, with an independent standard normal z for each entry of an observation."""

    def __init__(self, noise: float, scale: Sequence[float]):
        if not isinstance(noise, Real) or not 0 <= noise < math.inf:
            raise ValueError(f"noise must be a finite number of at least 0, got {noise!r}")
        self._deviations = (noise * np.array(scale)).astype(np.float32)

    def space(self, space: Box) -> Box:
        if not self._deviations.any():
            return space
        return Box(-np.inf, np.inf, space.shape, dtype=np.result_type(space.dtype, np.float32))

    def draw(self, generator: np.random.Generator) -> np.ndarray:
        shape = BLOCK, len(self._deviations)
        if not self._deviations.any():  # leaves the generator as it is, so that first states are those without noise
            return np.zeros(shape, dtype=np.float32)
        return generator.standard_normal(shape, dtype=np.float32)

    def disturb(self, observations: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        return observations + self._deviations * drawn


class NoisyObservation(DisturbedObservation, RecordConstructorArgs):
    """Adds Gaussian noise of standard deviation noise · scale to every observation, one scale a feature.

    The new observations have no bounds, since noise has none.

    Raises:
        ValueError: noise is not a finite number of at least 0; scale does not hold one positive number a feature; the
            observation is not a 1-D Box.
    """

    def __init__(self, env: gymnasium.Env, noise: float, scale: Sequence[float]):
        saved = [float(number) for number in scale]  # a list, as JSON gives it back
        disturbance = Noise(noise, saved)
        RecordConstructorArgs.__init__(self, noise=float(noise), scale=saved)
        DisturbedObservation.__init__(self, env, disturbance)
        features = env.observation_space.shape[0]
        if len(saved) != features or not all(0 < number < math.inf for number in saved):
            raise ValueError(f"scale must be {features} positive numbers, one a feature, got {saved}")


class NoisyPositionCartPoleVectorEnv(DisturbedCartPoleVectorEnv):
    """A batch of `make_noisy_position_cartpole`, equal to it step for step, with the same arguments."""

    def __init__(
        self, num_envs: int = 1, max_episode_steps: int = 500, sutton_barto_reward: bool = False, noise: float = 0.2
    ):
        super().__init__(
            Noise(noise, CARTPOLE_POSITION_SCALE),
            num_envs,
            max_episode_steps=max_episode_steps,
            sutton_barto_reward=sutton_barto_reward,
            mask_velocity=True,
        )


def make_noisy_position_cartpole(noise: float = 0.2, **kwargs: Any) -> gymnasium.Env:
    """Make the single form: CartPole seen as position (m) and angle (rad) through noise, without its velocities.

    Every observation, the first and the final one included, is the true one plus independent Gaussian noise of standard
    deviation noise · (2.4 m, 0.2095 rad): by default 0.48 m and 0.042 rad. The other arguments are those of CartPole.

    Without noise, as in MaskedVelocityCartPole, two frames give the velocities. With noise their difference says less,
    and an average over many frames comes late. The table shows how many of 500 steps the best linear rules found keep
    the pole up, in the mean:

        noise                                        0.05     0.1     0.2
        the present frame                              45      50      51
        the last two frames                           500     478     220
        a line through the last four                  500     498     440
        exponential averages                          498     494     467
        a Kalman filter that knows its own actions    500     500     500

    So noise of 0.05 needs two frames only, and noise of 0.2 needs a memory of several frames, which can solve it. An
    agent that samples its actions knows them for certain only if it has `previous_action`. POPGym's
    NoisyPositionOnlyCartPole is similar, with the same standard deviation for metres and for radians.

    Source: Morad et al. (2023), "POPGym: Benchmarking Partially Observable Reinforcement Learning", arXiv 2303.01859.

    Raises:
        ValueError: noise is not a finite number of at least 0.
    """
    return NoisyObservation(make_masked_velocity_cartpole(**kwargs), noise, CARTPOLE_POSITION_SCALE)
