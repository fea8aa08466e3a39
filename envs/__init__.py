"""Partially observable environments, and `make_vector`, which makes the vector environments that agents train on.

Importing this package registers the environments of the table below with Gymnasium, so that `make_vector`,
`gymnasium.make("envs:RecallCue-v0")` and `gymnasium.make_vec("envs:RecallCue-v0")` find them in any process.
It needs NumPy and Gymnasium only, and imports the module of an environment when that environment is made.
"""

import gymnasium

from envs.masked.make import MASKED
from envs.popgym.table import POPGYM, fast_id
from envs.vector.forms import OTHER_SINGLE_FORMS, OTHER_VECTOR_FORMS
from envs.vector.make_vector import make_vector

__all__ = ["make_vector"]

# The vector form of `Name-v0` is the class `NameVectorEnv` in the same module.
ENVIRONMENTS = (
    # id, module, single form, step limit, reward threshold
    ("MaskedVelocityCartPole-v1", "envs.cartpole.masked_velocity", "make_masked_velocity_cartpole", 500, 475.0),
    ("NoisyPositionCartPole-v1", "envs.cartpole.noisy_position", "make_noisy_position_cartpole", 500, 475.0),
    ("FlickeringCartPole-v1", "envs.cartpole.flickering", "make_flickering_cartpole", 500, 475.0),
    ("FallPenaltyCartPole-v1", "envs.cartpole.fall_penalty", "make_fall_penalty_cartpole", 500, 475.0),
    ("RecallCue-v0", "envs.memory.recall_cue", "RecallCueEnv", None, 0.95),
    ("RepeatPrevious-v0", "envs.memory.repeat_previous", "RepeatPreviousEnv", None, 0.95),
    ("TMaze-v0", "envs.memory.t_maze", "TMazeEnv", None, 0.95),
)


def _register() -> None:
    for env_id, module, single, step_limit, reward_threshold in ENVIRONMENTS:
        gymnasium.register(
            id=env_id,
            entry_point=f"{module}:{single}",
            vector_entry_point=f"{module}:{env_id.rpartition('-v')[0]}VectorEnv",
            max_episode_steps=step_limit,
            reward_threshold=reward_threshold,
        )
    for of in MASKED:  # MaskedVelocityPendulum-v1 and others, single forms alone
        spec = gymnasium.registry[of]
        gymnasium.register(
            id=f"MaskedVelocity{of}",
            entry_point="envs.masked.make:make_masked",
            kwargs={"of": of},
            max_episode_steps=spec.max_episode_steps,
            reward_threshold=spec.reward_threshold,
        )
    for name, family, arguments in POPGYM:  # popgym-fast/RepeatFirstEasy-v0 and others
        gymnasium.register(
            id=fast_id(name),
            entry_point=f"envs.popgym.{family}Env",
            vector_entry_point=f"envs.popgym.{family}VectorEnv",
            kwargs=arguments,
        )
    # Gymnasium's own vector CartPole resets on the next step and has one generator for all columns.
    OTHER_VECTOR_FORMS["CartPole-v1"] = "envs.cartpole.cartpole:CartPoleVectorEnv"
    # ALE's own show colours, and their vector form resets a step after an end.
    OTHER_VECTOR_FORMS["ALE/"] = "envs.atari.vector:AtariVectorEnv"
    OTHER_SINGLE_FORMS["ALE/"] = "envs.atari.single:make_atari"


_register()
