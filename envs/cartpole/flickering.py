"""FlickeringCartPole: CartPole in which some observations, chosen by chance, are blank."""

from numbers import Real
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.spaces import Box
from gymnasium.utils import RecordConstructorArgs

from envs.cartpole.disturbed import BLOCK, Disturbance, DisturbedCartPoleVectorEnv, DisturbedObservation
from envs.cartpole.masked_velocity import make_masked_velocity_cartpole


class Flicker(Disturbance):
    """Blanks: all entries are 0 where u < blank_probability, with one uniform u on [0, 1) for a whole observation."""

    def __init__(self, blank_probability: float):
        if not isinstance(blank_probability, Real) or not 0 <= blank_probability <= 1:
            raise ValueError(f"blank_probability must be a number from 0 to 1, got {blank_probability!r}")
        self._blank_probability = float(blank_probability)

    def space(self, space: Box) -> Box:
        return Box(np.minimum(space.low, 0), np.maximum(space.high, 0), dtype=space.dtype)

    def draw(self, generator: np.random.Generator) -> np.ndarray:
        if self._blank_probability == 0:  # leaves the generator as it is, so that first states are those without blanks
            return np.zeros((BLOCK, 1))
        return generator.random((BLOCK, 1))

    def disturb(self, observations: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        # Not a product with 0 and 1, in which a negative entry would become -0.0.
        return np.where(drawn < self._blank_probability, observations.dtype.type(0), observations)


class FlickeringObservation(DisturbedObservation, RecordConstructorArgs):
    """Replaces each observation by zeros with probability `blank_probability`, independently of all others.

    Raises:
        ValueError: blank_probability is not a number from 0 to 1; the observation is not a 1-D Box.
    """

    def __init__(self, env: gymnasium.Env, blank_probability: float = 0.5):
        disturbance = Flicker(blank_probability)
        RecordConstructorArgs.__init__(self, blank_probability=float(blank_probability))
        DisturbedObservation.__init__(self, env, disturbance)


class FlickeringCartPoleVectorEnv(DisturbedCartPoleVectorEnv):
    """A batch of `make_flickering_cartpole`, equal to it step for step, with the same arguments."""

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int = 500,
        sutton_barto_reward: bool = False,
        blank_probability: float = 0.5,
        mask_velocity: bool = False,
    ):
        super().__init__(
            Flicker(blank_probability),
            num_envs,
            max_episode_steps=max_episode_steps,
            sutton_barto_reward=sutton_barto_reward,
            mask_velocity=_require_bool(mask_velocity),
        )


def make_flickering_cartpole(
    blank_probability: float = 0.5, mask_velocity: bool = False, **kwargs: Any
) -> gymnasium.Env:
    """Make the single form: CartPole whose observations are all zeros with probability `blank_probability` each.

    Blanks are independent, and first and final observations can be blank too. The other observations hold position (m),
    velocity (m/s), angle (rad) and angular velocity (rad/s); with `mask_velocity` they hold position and angle, as in
    MaskedVelocityCartPole. The other arguments are those of CartPole. The table shows how many of 500 steps simple
    rules keep the pole up at a probability of 0.5, in the mean:

        action at a blank observation               four numbers    velocities masked
        a random one                                     190                41
        the opposite of the last action                  496                59
        that of the state the dynamics predict           500               500

    So with four numbers one bit of memory is enough, and an agent that sees its previous action has it. With masked
    velocities an agent needs more.

    Source: Hausknecht & Stone (2015), "Deep Recurrent Q-Learning for Partially Observable MDPs", arXiv 1507.06527,
    where each frame of Pong is blank with probability 0.5.

    Raises:
        ValueError: blank_probability is not a number from 0 to 1, or mask_velocity is neither True nor False.
    """
    make = make_masked_velocity_cartpole if _require_bool(mask_velocity) else CartPoleEnv
    return FlickeringObservation(make(**kwargs), blank_probability)


def _require_bool(mask_velocity: bool) -> bool:
    # The command line gives mask_velocity=false as a string, which would count as true.
    if not isinstance(mask_velocity, bool | np.bool_):
        raise ValueError(f"mask_velocity must be True or False, got {mask_velocity!r}")
    return bool(mask_velocity)
