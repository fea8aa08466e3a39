"""The error of a number that is none."""

import math
from typing import Any


def not_finite(words: str) -> FloatingPointError:
    """An error that is told in one line: its cause lies in data or options, and in no line of code."""
    error = FloatingPointError(words)
    error.in_one_line = True
    return error


def require_finite_returns(episodes: list[tuple[Any, ...]]) -> None:
    """Refuse episodes whose return is not a number.

    Raises:
        FloatingPointError: the return of an episode is nan or inf.
    """
    for episode_return, length, *_infos in episodes:
        if not math.isfinite(episode_return):
            raise not_finite(f"the return of an episode of {length} steps is {episode_return}: look at its rewards")
