"""The obvious slow loop that every fast path of `envs` is tested against: single environments, one after the other."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import gymnasium
import numpy as np


class Trajectory(NamedTuple):
    """What came of actions [time, batch]."""

    first: np.ndarray  # [batch, feature] at the reset
    observations: np.ndarray  # [time, batch, feature] for the next action: after an end, the next episode's first
    successors: np.ndarray  # [time, batch, feature] what the step led to: at an end, the final observation
    rewards: np.ndarray  # [time, batch]
    terminated: np.ndarray  # [time, batch]
    truncated: np.ndarray  # [time, batch]


def run_singles(make: Callable[[], gymnasium.Env], seeds: Sequence[int], actions: np.ndarray) -> Trajectory:
    columns = []
    for column, seed in enumerate(seeds):
        env = make()
        first, _ = env.reset(seed=seed)
        rows = []
        for action in actions[:, column]:
            successor, reward, terminated, truncated, _ = env.step(action)
            observation = env.reset()[0] if terminated or truncated else successor
            rows.append((first, observation, successor, reward, terminated, truncated))
        columns.append([np.array(part) for part in zip(*rows, strict=True)])
    first, *rest = (np.stack(part, axis=1) for part in zip(*columns, strict=True))
    return Trajectory(first[0], *rest)


def run_vector(envs: gymnasium.vector.VectorEnv, seeds: Sequence[int], actions: np.ndarray) -> Trajectory:
    first, _ = envs.reset(seed=list(seeds))
    rows = []
    for action in actions:
        observations, rewards, terminated, truncated, infos = envs.step(action)
        successors = observations
        if (terminated | truncated).any():
            assert (infos["_final_obs"] == (terminated | truncated)).all()
            successors = observations.copy()
            successors[infos["_final_obs"]] = infos["final_obs"][infos["_final_obs"]]
        else:
            assert "final_obs" not in infos and "_final_obs" not in infos
        rows.append((observations, successors, rewards, terminated, truncated))
    return Trajectory(first, *(np.array(part) for part in zip(*rows, strict=True)))


def random_actions(steps: int, batch: int, count: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(count, size=(steps, batch))
