"""What an environment says of itself, before any adapter or transform, in plain JSON."""

from typing import Any

import gymnasium
from gymnasium import Space
from gymnasium.vector import VectorEnv

from envs.vector.adapter import SingleAdapter
from envs.vector.spaces import describe


def own_spaces(vector: VectorEnv) -> dict[str, Any] | None:
    """Return the spaces of the environment itself, and the scale that it names for its observations.

    Args:
        vector: what `make_form` made.

    Returns:
        {"observation": description, "action": description, "observation_scale": numbers, "mask_in_infos": whether its
        infos have an action mask}; None where a space is of a class of its own.
    """
    observed, actions = _spaces(vector)
    try:
        spaces = {"observation": describe(observed), "action": describe(actions)}
    except ValueError:
        return None
    scale = [float(number) for number in vector.metadata.get("observation_scale", ())]
    encoder = getattr(vector, "encoder", None)
    return {**spaces, "observation_scale": scale, "mask_in_infos": bool(encoder and encoder.mask_in_infos)}


def _spaces(vector: VectorEnv) -> tuple[Space, Space]:
    one = next(iter(getattr(vector.unwrapped, "envs", ())), None)
    while isinstance(one, gymnasium.Wrapper):
        if isinstance(one, SingleAdapter):
            return one.env.observation_space, one.env.action_space
        one = one.env
    bare = vector.unwrapped
    return getattr(bare, "own_observation_space", bare.single_observation_space), bare.single_action_space
