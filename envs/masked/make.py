"""Environments of Gymnasium that show positions alone, or velocities alone: `MaskedVelocityPendulum-v1` and others."""

from typing import Any

import gymnasium
from gymnasium.envs.registration import load_env_creator

from envs.cartpole.velocities import MaskVelocity
from envs.masked.entries import ENTRIES, HIDES
from envs.vector.extras import let_mujoco_warn_once

# The environments of which `envs` registers a masked form; a name of an id is that of Gymnasium.
MASKED = (
    *("Acrobot-v1", "Pendulum-v1", "MountainCar-v0", "MountainCarContinuous-v0"),
    *("LunarLander-v3", "LunarLanderContinuous-v3", "BipedalWalker-v3"),
    *("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "Swimmer-v5", "InvertedPendulum-v5"),
    *("InvertedDoublePendulum-v5", "Humanoid-v5", "HumanoidStandup-v5", "Reacher-v5", "Pusher-v5"),
)


def make_masked(of: str, hide: str = "velocities", **kwargs: Any) -> gymnasium.Env:
    """Make an environment of Gymnasium without its velocities.

    Args:
        of: its id, which is in `ENTRIES`.
        hide: "velocities", or "positions" to hide those instead.
        kwargs: arguments of the environment.

    Raises:
        ValueError: something else is to be hidden.
    """
    if hide not in HIDES:
        raise ValueError(f"hide {hide!r}: one of {', '.join(HIDES)} is needed")
    spec = gymnasium.spec(of)
    # gymnasium.make sets the spec after this returns, so the entries cannot be looked up by id here.
    creator = load_env_creator(spec.entry_point)
    let_mujoco_warn_once()
    env = creator(**{**spec.kwargs, **kwargs})
    return MaskVelocity(env, indices=ENTRIES[of][HIDES[hide]])
