"""Numbers that are none end a run where they come from, and not where a network has spread them."""

import math

import gymnasium
import numpy as np


class NotFinite(ValueError):
    """An environment gave nan or an infinity: one line that names it."""

    in_one_line = True  # who reports it shows the line without a traceback


def require_finite(environments: gymnasium.vector.VectorEnv, observations: np.ndarray, rewards: np.ndarray) -> None:
    """Check the rows of a segment: a few calls for all of its steps.

    Raises:
        NotFinite: an observation or a reward is nan or infinite.
    """
    for name, array in (("observation", observations), ("reward", rewards)):
        if array.dtype.kind != "f" or math.isfinite(array.sum()):  # the sum alone is half as dear
            continue
        if not np.isfinite(array).all():
            spec = environments.spec
            env = spec.id if spec else type(environments.unwrapped).__name__
            wrong = array[~np.isfinite(array)][0]
            raise NotFinite(f"{env}: it gave {wrong} in the {name} of a step; finite numbers are needed")
