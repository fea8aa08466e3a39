"""Scales of observations: fixed numbers, or each observation's own length."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from envs.vector.transforms import Transform, one_axis_space

OPTION = "observation_scale"


class ScaleObservations(Transform):
    """Divides observations by fixed positive numbers, one a feature: o / scale."""

    def __init__(self, env: VectorEnv, scale: Sequence[float]):
        space = one_axis_space(env, OPTION)
        self._scale = np.array(scale, dtype=np.float32)
        super().__init__(env, space.low / self._scale, space.high / self._scale)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        observations, infos = self.env.reset(seed=seed, options=options)
        return observations / self._scale, infos

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        if "final_obs" in infos:
            infos = {**infos, "final_obs": infos["final_obs"] / self._scale}
        return observations / self._scale, rewards, terminated, truncated, infos


class NormaliseObservations(Transform):
    """Divides each observation by its own length: o / ‖o‖₂, so that only its direction is left; 0 stays 0."""

    def __init__(self, env: VectorEnv):
        features = one_axis_space(env, OPTION).shape[0]
        super().__init__(env, -np.ones(features), np.ones(features))

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        observations, infos = self.env.reset(seed=seed, options=options)
        return _directions(observations), infos

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        if "final_obs" in infos:
            infos = {**infos, "final_obs": _directions(infos["final_obs"])}
        return _directions(observations), rewards, terminated, truncated, infos


def _directions(observations: np.ndarray) -> np.ndarray:
    wide = observations.astype(np.float64)  # which holds the square of any float32
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)  # "batch feature -> batch 1"
    return np.clip(wide / np.where(lengths > 0.0, lengths, 1.0), -1.0, 1.0).astype(np.float32)


def scaled(vector: VectorEnv, observation_scale: str, env: str) -> VectorEnv:
    """Wrap a vector environment as `make_vector`'s argument `observation_scale` says; `env` is its id in messages."""
    if observation_scale == "none":
        return vector
    if observation_scale == "l2":
        return NormaliseObservations(vector)
    scale = tuple(vector.metadata.get("observation_scale", ())) if observation_scale == "auto" else ()
    if observation_scale != "auto":
        try:
            scale = tuple(float(number) for number in observation_scale.split(","))
        except ValueError:
            expected = '"auto", "none", "l2" or numbers such as "2.4,0.2095"'
            raise ValueError(f"observation_scale must be {expected}, got {observation_scale!r}") from None
    if not scale:
        return vector
    if not all(0 < number < math.inf for number in scale):
        raise ValueError(f"observation_scale numbers must be positive and finite, got {observation_scale!r}")
    features = one_axis_space(vector, OPTION).shape[0]
    if len(scale) != features:
        raise ValueError(f"observation_scale {observation_scale!r} is not {features} numbers, one a feature of {env}")
    return ScaleObservations(vector, scale)
