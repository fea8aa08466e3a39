"""Transforms of what an agent observes, for whole batches, applied to final observations as well.

`make_vector` applies them in this order: scale, stack frames, append the previous action, append the previous reward.
The frames of a stack are thus scaled, and hold no actions or rewards. To an agent it is all one longer observation.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from envs.vector.adapter import require_same_step
from envs.vector.columns import arrays_of, load_arrays

# Gymnasium's VectorObservationWrapper refuses SAME_STEP, hence the plain VectorWrapper.


class Transform(VectorWrapper):
    """A change of the observations of a SAME_STEP vector environment, whose new bounds are low and high [feature]."""

    def __init__(self, env: VectorEnv, low: np.ndarray, high: np.ndarray):
        super().__init__(env)
        require_same_step(env)
        self.single_observation_space = Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)

    def state_dict(self) -> dict[str, Any] | None:
        """As ColumnsVectorEnv's; None where the environment within cannot tell where it stands."""
        tell = getattr(self.env, "state_dict", None)
        within = tell() if tell else None
        return None if within is None else {"arrays": arrays_of(self), "within": within}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()` of an equal environment that was reset."""
        load_arrays(self, state["arrays"])
        self.env.load_state_dict(state["within"])


class ScaleObservations(Transform):
    """Divides observations by fixed positive numbers, one a feature: o / scale."""

    def __init__(self, env: VectorEnv, scale: Sequence[float]):
        self._scale = np.array(scale, dtype=np.float32)
        space = env.single_observation_space
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
        features = env.single_observation_space.shape[0]
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
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.clip(wide / np.where(lengths > 0.0, lengths, 1.0), -1.0, 1.0).astype(np.float32)


class StackFrames(Transform):
    """Concatenates the last `frames` observations, oldest first; an episode's first stands in for those before it."""

    def __init__(self, env: VectorEnv, frames: int):
        self._frames = frames
        space = env.single_observation_space
        super().__init__(env, np.tile(space.low, frames), np.tile(space.high, frames))

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        observations, infos = self.env.reset(seed=seed, options=options)
        self._stack = np.tile(observations, self._frames)  # [batch, (frame feature)]
        return self._stack.copy(), infos

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        recent = self._stack[:, observations.shape[1] :]
        self._stack = np.concatenate((recent, observations), axis=1)
        if "final_obs" in infos:
            ended = infos["_final_obs"]
            self._stack[ended] = np.tile(observations[ended], self._frames)
            infos = {**infos, "final_obs": np.concatenate((recent, infos["final_obs"]), axis=1)}
        return self._stack.copy(), rewards, terminated, truncated, infos


class _AppendPrevious(Transform):
    """Appends columns [batch, extra] about the last step: zeros where an episode opens, the truth on a final one."""

    def __init__(self, env: VectorEnv, low: np.ndarray, high: np.ndarray):
        self._extra = len(low)
        space = env.single_observation_space
        super().__init__(env, np.append(space.low, low), np.append(space.high, high))

    def _previous(self, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} must define _previous")

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        observations, infos = self.env.reset(seed=seed, options=options)
        nothing = np.zeros((self.num_envs, self._extra), dtype=np.float32)
        return np.concatenate((observations, nothing), axis=1), infos

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        previous = self._previous(actions, rewards)
        if "final_obs" in infos:
            infos = {**infos, "final_obs": np.concatenate((infos["final_obs"], previous), axis=1)}
            previous[infos["_final_obs"]] = 0.0
        return np.concatenate((observations, previous), axis=1), rewards, terminated, truncated, infos


class PreviousAction(_AppendPrevious):
    """Appends a one-hot of the previous action."""

    def __init__(self, env: VectorEnv):
        actions = int(env.single_action_space.n)
        self._one_hot = np.eye(actions, dtype=np.float32)
        super().__init__(env, np.zeros(actions), np.ones(actions))

    def _previous(self, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        return self._one_hot[actions]


class PreviousReward(_AppendPrevious):
    """Appends the previous reward, as the environment gave it."""

    def __init__(self, env: VectorEnv):
        super().__init__(env, np.array([-np.inf]), np.array([np.inf]))

    def _previous(self, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        return rewards[:, None].astype(np.float32)
