"""Chosen entries of an environment's infos at the end of each episode, as numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper

KEY = "episode_infos"


class EpisodeInfos(VectorWrapper):
    """Adds to the infos, where an episode ended, the chosen entries of that episode's last step.

    They are `infos["episode_infos"]`, float64 [batch, name]: numbers and truth values as numbers, NaN where an episode
    has no such entry, or one that is no finite number. A name with dots finds an entry within an entry.
    """

    def __init__(self, env: VectorEnv, names: Sequence[str]):
        super().__init__(env)
        self._names = names
        self._singles = getattr(
            getattr(env, "env", None), "envs", ()
        )  # stepped one after the other, if that is its form
        if not all(hasattr(single, "log_info") for single in self._singles):
            self._singles = ()
        for single in self._singles:
            single.log_info = names

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        if "_final_obs" in infos:
            found = np.full((self.num_envs, len(self._names)), np.nan)
            for column in infos["_final_obs"].nonzero()[0]:
                found[column] = self._numbers(infos, column)
            infos = {**infos, KEY: found}
        return observations, rewards, terminated, truncated, infos

    def _numbers(self, infos: dict[str, Any], column: int) -> list[float]:
        """Return the chosen entries of one column's last infos."""
        if self._singles:
            return self._singles[column].episode_infos
        final = infos.get("final_info", getattr(self.env, "infos", {}).get("final_info", {}))
        if isinstance(final, Mapping):
            return numbers(final, self._names, column)
        return numbers(final[column] or {}, self._names)  # an array of the environments' infos

    def state_dict(self) -> dict[str, Any] | None:
        """Return the state of the environment within; None where it cannot tell it."""
        tell = getattr(self.env, "state_dict", None)
        return tell() if tell else None

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the `state_dict()` of an equal environment; this one must have been reset."""
        self.env.load_state_dict(state)


def numbers(infos: Mapping[str, Any], names: Sequence[str], column: int | None = None) -> list[float]:
    """Return entries of infos as numbers; with a column, of infos whose entries are batches."""
    return [number(entry(infos, name, column)) for name in names]


def entry(infos: Mapping[str, Any], name: str, column: int | None = None) -> Any:
    """Return an entry by its name; with a column, that column's value of a batch of entries."""
    if name in infos:
        value = infos[name]
        if column is None:
            return value
        return value[column] if np.all(infos.get(f"_{name}", np.ones(column + 1, bool))[column]) else None
    outer, dot, inner = name.partition(".")
    within = infos.get(outer)
    return entry(within, inner, column) if dot and isinstance(within, Mapping) else None


def number(value: Any) -> float:
    """Return a number or a truth value as a float, and NaN for anything else."""
    try:
        value = np.asarray(value, dtype=np.float64) if not isinstance(value, str | bytes) else np.empty(0)
    except (TypeError, ValueError):
        return np.nan
    return float(value.item()) if value.size == 1 and np.isfinite(value).all() else np.nan
