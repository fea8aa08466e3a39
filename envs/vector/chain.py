"""Several transforms, one after the other, and the vector environment that applies them.

The order is: scale, stack frames, append the previous action, append the previous reward. So the frames of a stack are
scaled and hold no actions or rewards. An agent sees one longer observation; of an image, or of several entries, the
previous action and reward are two more entries.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from envs.vector.autoreset import require_same_step
from envs.vector.entry_transforms import PreviousActionEntry, PreviousRewardEntry, StackEntries
from envs.vector.scaling import scaling
from envs.vector.transforms import PreviousAction, PreviousReward, StackFrames, Transform, is_vector


class Chain:
    """Transforms that are applied one after the other. `space` is the space of one observation behind the last."""

    def __init__(self, space: Box):
        self.space, self.transforms = space, []

    def append(self, transform: Transform) -> None:
        """Add a transform behind the last."""
        self.transforms.append(transform)
        self.space = transform.space

    def open(self, observations: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Pass observations that open an episode through all transforms, as `Transform.open`."""
        for transform in self.transforms:
            observations = transform.open(observations, rows)
        return observations

    def step(self, observations: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        """Pass observations that follow a step through all transforms, as `Transform.step`."""
        for transform in self.transforms:
            observations = transform.step(observations, actions, rewards)
        return observations


def make_chain(
    space: Box,
    actions: Space,
    env: str,
    scale_of_env: Sequence[float] = (),
    *,
    frame_stack: int = 1,
    previous_action: bool = False,
    previous_reward: bool = False,
    observation_scale: str = "auto",
) -> Chain:
    """The transforms that `make_vector`'s arguments of the same names ask for.

    Args:
        space: that of one observation, as an array.
        actions: the space of actions, as agents take them.
        env: the name of the environment.
        scale_of_env: the scale that the environment names for itself.

    Raises:
        ValueError: an argument does not go with the space; one line.
    """
    chain, vector = Chain(space), is_vector(space)
    if scale := scaling(space, observation_scale, scale_of_env, env):
        chain.append(scale)
    if frame_stack > 1:
        chain.append((StackFrames if vector else StackEntries)(chain.space, frame_stack))
    if previous_action:
        chain.append((PreviousAction if vector else PreviousActionEntry)(chain.space, actions))
    if previous_reward:
        chain.append((PreviousReward if vector else PreviousRewardEntry)(chain.space))
    return chain


# Gymnasium's VectorObservationWrapper refuses SAME_STEP, hence the plain VectorWrapper.
class Transformed(VectorWrapper):
    """A SAME_STEP vector environment whose observations pass through a chain, final observations too."""

    def __init__(self, env: VectorEnv, chain: Chain):
        super().__init__(env)
        require_same_step(env)
        self.chain, self.steps_differ = chain, any(transform.steps_differ for transform in chain.transforms)
        self.single_observation_space = chain.space
        self.observation_space = batch_space(chain.space, env.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        observations, infos = self.env.reset(seed=seed, options=options)
        return self.chain.open(observations, np.ones(self.num_envs, dtype=bool)), infos

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        if "final_obs" not in infos:
            return self.chain.step(observations, actions, rewards), rewards, terminated, truncated, infos
        ended, final = infos["_final_obs"], self.chain.step(infos["final_obs"], actions, rewards)
        if self.steps_differ:
            seen = final.copy()  # in the rows that go on, the final observation is the observation
            seen[ended] = self.chain.open(observations[ended], ended)
        else:  # all rows at once, which is faster
            seen = self.chain.open(observations, ended)
        return seen, rewards, terminated, truncated, {**infos, "final_obs": final}

    def state_dict(self) -> dict[str, Any] | None:
        """Return the state in plain Python; None where the environment within has none to return."""
        state_of_env = getattr(self.env, "state_dict", None)
        state = state_of_env() if state_of_env else None
        if state is None:
            return None
        for transform in self.chain.transforms:
            state = {"arrays": transform.state_dict(), "within": state}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the `state_dict()` of an equal environment; this one must have been reset."""
        for transform in reversed(self.chain.transforms):
            transform.load_state_dict(state["arrays"])
            state = state["within"]
        self.env.load_state_dict(state)
