"""Scales of observations: fixed numbers, or each observation's own length."""

import math
from collections.abc import Sequence

import numpy as np
from gymnasium.spaces import Box

from envs.vector.transforms import Transform, box, require_one_axis

OPTION = "observation_scale"


class ScaleObservations(Transform):
    """Divides observations by fixed positive numbers, one a feature: o / scale."""

    def __init__(self, space: Box, scale: Sequence[float]):
        self._scale = np.array(scale, dtype=np.float32)
        super().__init__(box(space.low / self._scale, space.high / self._scale))

    @property
    def scale(self) -> np.ndarray:
        """The numbers, float32 [feature]."""
        return self._scale

    def open(self, observations: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return observations / self._scale

    def step(self, observations: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        return observations / self._scale


class NormaliseObservations(Transform):
    """Divides each observation by its own length: o / ‖o‖₂, so that only its direction is left; 0 stays 0."""

    def __init__(self, space: Box):
        features = space.shape[0]
        super().__init__(box(-np.ones(features), np.ones(features)))

    def open(self, observations: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return _directions(observations)

    def step(self, observations: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        return _directions(observations)


def _directions(observations: np.ndarray) -> np.ndarray:
    wide = observations.astype(np.float64)  # which holds the square of any float32
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)  # "batch feature -> batch 1"
    return np.clip(wide / np.where(lengths > 0.0, lengths, 1.0), -1.0, 1.0).astype(np.float32)


def scaling(space: Box, observation_scale: str, of_env: Sequence[float], env: str) -> Transform | None:
    """The transform that `make_vector`'s argument `observation_scale` asks for, or None.

    Args:
        space: that of one observation.
        observation_scale: "auto", "none", "l2" or numbers.
        of_env: the scale that the environment names for itself; () where it names none.
        env: the name of the environment.

    Raises:
        ValueError: one line about the argument.
    """
    if observation_scale == "none":
        return None
    if observation_scale == "l2":
        require_one_axis(space, OPTION, env)
        return NormaliseObservations(space)
    scale = tuple(of_env) if observation_scale == "auto" else ()
    if observation_scale != "auto":
        try:
            scale = tuple(float(number) for number in observation_scale.split(","))
        except ValueError:
            expected = '"auto", "none", "l2" or numbers such as "2.4,0.2095"'
            raise ValueError(f"observation_scale must be {expected}, got {observation_scale!r}") from None
    if not scale:
        return None
    if not all(0 < number < math.inf for number in scale):
        raise ValueError(f"observation_scale numbers must be positive and finite, got {observation_scale!r}")
    require_one_axis(space, OPTION, env)
    features = space.shape[0]
    if len(scale) != features:
        raise ValueError(f"observation_scale {observation_scale!r} is not {features} numbers, one a feature of {env}")
    return ScaleObservations(space, scale)
