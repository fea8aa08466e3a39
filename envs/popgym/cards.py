"""Decks of cards, and games of which the cards alone decide what is shown and which answers are right."""

from typing import Any

import numpy as np
from gymnasium import Space

from envs.popgym.forms import PopgymVectorEnv

DECK = 52
SUITS, RANKS, COLORS = 4, 13, 2
KINDS = {"colors": COLORS, "suits": SUITS, "ranks": RANKS}  # how many of each there are


def kind_of(cards: np.ndarray, kind: str) -> np.ndarray:
    """Return the colour, suit or rank of cards, which the package numbers: by deck, then by rank, then by suit."""
    return cards % DECK // SUITS if kind == "ranks" else cards % KINDS[kind]


def shuffled(generator: np.random.Generator, num_decks: int) -> np.ndarray:
    """Return the cards [card] of some decks as the package lays them; `permutation` draws what its `shuffle` draws."""
    return generator.permutation(DECK * num_decks)


def require_whole(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Refuse an argument that is not an integer of at least `least`, and of at most `most` if that is given.

    Raises:
        ValueError: names the argument.
    """
    if not isinstance(value, int | np.integer) or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be an integer {bounds}, got {value!r}")


def require_kind(name: str, value: Any, kinds: tuple[str, ...]) -> None:
    """Refuse an argument that is none of `kinds`.

    Raises:
        ValueError: names the argument.
    """
    if value not in kinds:
        raise ValueError(f"{name} must be one of {', '.join(kinds)}, got {value!r}")


class AnswersVectorEnv(PopgymVectorEnv):
    """Games in which actions are answers and change nothing but the reward.

    All columns begin their episodes together, and all episodes have `length` steps. A subclass writes `_draw`.

    Args:
        num_envs: the number of columns.
        own_observation_space: that of the package.
        action_space: Discrete.
        length: the steps of an episode.
        reward: what a right answer earns and a wrong one costs.
        rows: float32 [kind, feature], the observations that there are.
    """

    def __init__(
        self,
        num_envs: int,
        own_observation_space: Space,
        action_space: Space,
        length: int,
        reward: float,
        rows: np.ndarray,
    ):
        super().__init__(num_envs, own_observation_space, action_space)
        self._length, self._reward, self._rows = length, reward, rows
        self._shown = np.zeros((length + 1, num_envs), dtype=np.int64)  # at each step which of the rows
        self._right = np.zeros((length, num_envs), dtype=np.int64)  # -1 where nothing is asked
        self._otherwise = np.zeros((length, num_envs))  # the rewards of all other answers
        self._elapsed = np.zeros((), dtype=np.int64)  # an array, since those are saved

    def _draw(self) -> tuple[np.ndarray, np.ndarray]:
        """Draw an episode in every column: `_shown` [length + 1, batch], and `_right` [length, batch]."""
        raise TypeError(f"{type(self).__name__} must define _draw")

    def _decks(self, num_decks: int) -> np.ndarray:
        """Return shuffled cards [card, batch] in the order in which they are dealt: from the end of the package's."""
        return np.stack([shuffled(generator, num_decks)[::-1] for generator in self._generators], axis=1)

    def _start_episodes(self, columns: np.ndarray) -> None:
        self._shown[:], self._right[:] = self._draw()
        self._otherwise = np.where(self._right < 0, 0.0, -self._reward)
        self._elapsed.fill(0)

    def _observe(self) -> np.ndarray:
        return self._rows.take(self._shown[int(self._elapsed)], axis=0)

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        step = int(self._elapsed)
        rewards = np.where(actions == self._right[step], self._reward, self._otherwise[step])
        terminated, truncated = np.zeros((2, self.num_envs), dtype=bool)
        terminated[:] = step + 1 == self._length
        self._elapsed += 1
        return rewards, terminated, truncated
