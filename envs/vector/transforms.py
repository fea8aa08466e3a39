"""Transforms change what an agent observes, for whole batches and for final observations as well.

`make_vector` applies them in this order: scale, stack frames, append the previous action, append the previous reward.
So the frames of a stack are scaled and hold no actions or rewards. An agent sees one longer observation.
"""

from typing import Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from envs.vector.autoreset import require_same_step
from envs.vector.messages import env_name, one_line
from envs.vector.state import arrays_of, load_arrays


def one_axis_space(env: VectorEnv, option: str) -> Box:
    """Return the space of one observation.

    Raises:
        ValueError: it has another number of axes than one; the line names the option that needs one.
    """
    space = env.single_observation_space
    if len(space.shape) != 1:
        raise ValueError(
            f"{option} needs observations of one axis, and one observation of {env_name(env)} is {one_line(space)}"
        )
    return space


# Gymnasium's VectorObservationWrapper refuses SAME_STEP, hence the plain VectorWrapper.
class Transform(VectorWrapper):
    """A change of the observations of a SAME_STEP vector environment, whose new bounds are low and high [feature]."""

    def __init__(self, env: VectorEnv, low: np.ndarray, high: np.ndarray):
        super().__init__(env)
        require_same_step(env)
        self.single_observation_space = Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)

    def state_dict(self) -> dict[str, Any] | None:
        """Return the state in plain Python; None where the environment within has none to return."""
        state_of_env = getattr(self.env, "state_dict", None)
        within = state_of_env() if state_of_env else None
        return None if within is None else {"arrays": arrays_of(self), "within": within}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the `state_dict()` of an equal environment; this one must have been reset."""
        load_arrays(self, state["arrays"])
        self.env.load_state_dict(state["within"])


class StackFrames(Transform):
    """Concatenates the last `frames` observations, oldest first; an episode's first stands in for those before it."""

    def __init__(self, env: VectorEnv, frames: int):
        self._frames = frames
        space = one_axis_space(env, "frame_stack")
        super().__init__(env, np.tile(space.low, frames), np.tile(space.high, frames))

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        observations, infos = self.env.reset(seed=seed, options=options)
        self._stack = np.tile(observations, self._frames)  # "batch feature -> batch (frame feature)"
        return self._stack.copy(), infos

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        recent = self._stack[:, observations.shape[1] :]  # [batch, (frame feature)] without the oldest frame
        self._stack = np.concatenate((recent, observations), axis=1)
        if "final_obs" in infos:
            ended = infos["_final_obs"]
            self._stack[ended] = np.tile(observations[ended], self._frames)
            infos = {**infos, "final_obs": np.concatenate((recent, infos["final_obs"]), axis=1)}
        return self._stack.copy(), rewards, terminated, truncated, infos


class _AppendPrevious(Transform):
    """Appends columns [batch, extra] about the last step.

    They are zeros where an episode opens, and the true ones on a final observation.
    """

    def __init__(self, env: VectorEnv, option: str, low: np.ndarray, high: np.ndarray):
        self._extra = len(low)
        space = one_axis_space(env, option)
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
        super().__init__(env, "previous_action", np.zeros(actions), np.ones(actions))

    def _previous(self, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        return self._one_hot[actions]


class PreviousReward(_AppendPrevious):
    """Appends the previous reward, as the environment gave it."""

    def __init__(self, env: VectorEnv):
        super().__init__(env, "previous_reward", np.array([-np.inf]), np.array([np.inf]))

    def _previous(self, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        return rewards[:, None].astype(np.float32)  # "batch -> batch 1"
