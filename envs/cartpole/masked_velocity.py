"""MaskedVelocityCartPole: CartPole seen as position (m) and angle (rad), without its two velocities."""

from typing import Any

import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

from envs.cartpole.cartpole import CARTPOLE_POSITION_SCALE, CartPoleVectorEnv
from envs.cartpole.velocities import VELOCITY_INDICES, MaskVelocity


class MaskedVelocityCartPoleVectorEnv(CartPoleVectorEnv):
    """A batch of cart-poles without their velocities. `CartPoleVectorEnv` explains the arguments."""

    def __init__(self, num_envs: int = 1, max_episode_steps: int = 500, sutton_barto_reward: bool = False):
        super().__init__(num_envs, max_episode_steps, sutton_barto_reward, mask_velocity=True)


def make_masked_velocity_cartpole(**kwargs: Any) -> gymnasium.Env:
    """Make the single form. The arguments are those of CartPole."""
    # gymnasium.make sets the spec after this returns, so the indices cannot be looked up by id here.
    env = MaskVelocity(CartPoleEnv(**kwargs), indices=VELOCITY_INDICES["CartPole-v1"])
    env.metadata = {**env.metadata, "observation_scale": CARTPOLE_POSITION_SCALE}
    return env
