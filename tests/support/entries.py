"""The entries of observations: of packed ones, and written out by hand."""

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple


def entries_of(space, array):
    """Each entry of packed observations, by name."""
    return dict(zip((entry.name for entry in space.entries), space.views(array), strict=True))


def by_hand(space, observation, name=""):
    """The entries of an observation as arrays, by name: one-hots and zeros and ones are written out."""
    if isinstance(space, Dict | Tuple):
        found = {}
        for key, one in space.spaces.items() if isinstance(space, Dict) else enumerate(space.spaces):
            found |= by_hand(one, observation[key], f"{name}.{key}" if name else str(key))
        return found
    if isinstance(space, Discrete):
        return {name: np.eye(space.n, dtype=np.float32)[observation - space.start]}
    if isinstance(space, MultiDiscrete):
        hots = [np.eye(n, dtype=np.float32)[value] for n, value in zip(space.nvec, observation, strict=True)]
        return {name: np.concatenate(hots)}
    if isinstance(space, MultiBinary):
        return {name: np.ravel(observation).astype(np.float32)}
    if not isinstance(space, Box):
        return {}
    keeps = name == "action_mask" or space.dtype.kind == "b" or (space.dtype == np.uint8 and len(space.shape) != 1)
    return {name: np.array(observation, np.uint8 if keeps else np.float32)}
