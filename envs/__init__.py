"""Partially observable environments and the factory of vector environments that agents train on.

Importing this package registers with Gymnasium

* `MaskedVelocityCartPole-v1`, `NoisyPositionCartPole-v1` and `FlickeringCartPole-v1`, which hide parts of the state,
* `RecallCue-v0` and `RepeatPrevious-v0`, where memory is all there is,
* `FallPenaltyCartPole-v1`, where a fall costs something,

so that `make_vector`, `gym.make("envs:RecallCue-v0")` and `gym.make_vec("envs:RecallCue-v0")` find them in any process.
It imports NumPy and Gymnasium only: spawned workers import it.
"""

import gymnasium

from envs.cartpole.cartpole import CartPoleVectorEnv
from envs.cartpole.fall_penalty import FallPenalty
from envs.cartpole.flickering import FlickeringObservation
from envs.cartpole.masked_velocity import MaskVelocity
from envs.cartpole.noisy_position import NoisyObservation
from envs.memory.recall_cue import RecallCueEnv, RecallCueVectorEnv
from envs.memory.repeat_previous import RepeatPreviousEnv, RepeatPreviousVectorEnv
from envs.vector.make_vector import make_vector

__all__ = [
    "CartPoleVectorEnv",
    "FallPenalty",
    "FlickeringObservation",
    "MaskVelocity",
    "NoisyObservation",
    "RecallCueEnv",
    "RecallCueVectorEnv",
    "RepeatPreviousEnv",
    "RepeatPreviousVectorEnv",
    "make_vector",
]

gymnasium.register(
    id="MaskedVelocityCartPole-v1",
    entry_point="envs.cartpole.masked_velocity:make_masked_velocity_cartpole",
    vector_entry_point="envs.cartpole.cartpole:MaskedVelocityCartPoleVectorEnv",
    max_episode_steps=500,
    reward_threshold=475.0,
)
gymnasium.register(
    id="NoisyPositionCartPole-v1",
    entry_point="envs.cartpole.noisy_position:make_noisy_position_cartpole",
    vector_entry_point="envs.cartpole.noisy_position:NoisyPositionCartPoleVectorEnv",
    max_episode_steps=500,
    reward_threshold=475.0,
)
gymnasium.register(
    id="FlickeringCartPole-v1",
    entry_point="envs.cartpole.flickering:make_flickering_cartpole",
    vector_entry_point="envs.cartpole.flickering:FlickeringCartPoleVectorEnv",
    max_episode_steps=500,
    reward_threshold=475.0,
)
gymnasium.register(
    id="FallPenaltyCartPole-v1",
    entry_point="envs.cartpole.fall_penalty:make_fall_penalty_cartpole",
    vector_entry_point="envs.cartpole.fall_penalty:FallPenaltyCartPoleVectorEnv",
    max_episode_steps=500,
    reward_threshold=475.0,
)
gymnasium.register(
    id="RecallCue-v0",
    entry_point="envs.memory.recall_cue:RecallCueEnv",
    vector_entry_point="envs.memory.recall_cue:RecallCueVectorEnv",
    reward_threshold=0.95,
)
gymnasium.register(
    id="RepeatPrevious-v0",
    entry_point="envs.memory.repeat_previous:RepeatPreviousEnv",
    vector_entry_point="envs.memory.repeat_previous:RepeatPreviousVectorEnv",
    reward_threshold=0.95,
)
