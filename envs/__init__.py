"""Partially observable environments and the factory of vector environments that agents train on.

Importing this package registers `MaskedVelocityCartPole-v1`, `RecallCue-v0` and `FallPenaltyCartPole-v1` with
Gymnasium, so that `make_vector`, `gym.make("envs:RecallCue-v0")` and `gym.make_vec("envs:RecallCue-v0")` find them in
any process. It imports NumPy and Gymnasium only: spawned workers import it.
"""

import gymnasium

from envs.cartpole import CartPoleVectorEnv
from envs.fall_penalty import FallPenalty
from envs.masked_velocity import MaskVelocity
from envs.recall_cue import RecallCueEnv, RecallCueVectorEnv
from envs.vector import make_vector

__all__ = ["CartPoleVectorEnv", "FallPenalty", "MaskVelocity", "RecallCueEnv", "RecallCueVectorEnv", "make_vector"]

gymnasium.register(
    id="MaskedVelocityCartPole-v1",
    entry_point="envs.masked_velocity:make_masked_velocity_cartpole",
    vector_entry_point="envs.cartpole:MaskedVelocityCartPoleVectorEnv",
    max_episode_steps=500,
    reward_threshold=475.0,
)
gymnasium.register(
    id="FallPenaltyCartPole-v1",
    entry_point="envs.fall_penalty:make_fall_penalty_cartpole",
    vector_entry_point="envs.fall_penalty:FallPenaltyCartPoleVectorEnv",
    max_episode_steps=500,
    reward_threshold=475.0,
)
gymnasium.register(
    id="RecallCue-v0",
    entry_point="envs.recall_cue:RecallCueEnv",
    vector_entry_point="envs.recall_cue:RecallCueVectorEnv",
    reward_threshold=0.95,
)
