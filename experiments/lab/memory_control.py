"""Whether a policy uses its memory: the same episodes, its state intact and meddled with."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from experiments.lab.statistics import stratified_bootstrap
from rl.acting.control import FrozenPlayer, ResetPlayer, SwappedPlayer
from rl.acting.player import AgentPlayer


class Control(NamedTuple):
    """What was done to the state, and what came of it."""

    how: str  # in words that follow "the state is"
    returns: np.ndarray  # [episode]


def controls(frozen_after: int, together: bool) -> dict[str, tuple[str, Callable[..., AgentPlayer]]]:
    """What is done to the state, by name: in words, and who plays like that.

    Args:
        frozen_after: steps of an episode after which the state is frozen.
        together: whether several environments are played at a time; a single one has none to swap with.
    """
    swapped = {"swapped": ("swapped between environments at every step", SwappedPlayer)}
    return {
        "intact": ("intact", AgentPlayer),
        "reset": ("reset before every step", ResetPlayer),
        "frozen": (f"frozen after {frozen_after} steps", partial(FrozenPlayer, steps=frozen_after)),
        **(swapped if together else {}),
    }


def mean_with_interval(values: np.ndarray) -> str:
    """A mean over episodes and its 95 % bootstrap interval."""
    low, high = stratified_bootstrap([values], partial(np.mean, axis=-1))
    return f"{values.mean():.2f} [{low:.2f}, {high:.2f}]"


def lost(intact: np.ndarray, returns: np.ndarray) -> tuple[float, float, float]:
    """What the same episodes earn less, and its interval."""
    low, high = stratified_bootstrap([intact - returns], partial(np.mean, axis=-1))
    return float((intact - returns).mean()), float(low), float(high)


def verdict(played: dict[str, Control], has_state: bool) -> str:
    """One sentence.

    Args:
        played: the controls by name, "intact" among them.
        has_state: whether the core carries anything.
    """
    if not has_state:
        return "The core carries no state, so that there is no memory to use."
    intact, costs, free = played["intact"].returns, [], []
    for name, control in played.items():
        if name != "intact":
            loss, low, high = lost(intact, control.returns)
            if low > 0:
                costs.append(f"{loss:.2f} [{low:.2f}, {high:.2f}] less where the state is {control.how}")
            else:
                free.append(control.how)
    episodes = f"{len(intact)} episodes"
    if not costs:
        as_much = f"they earn as much where the state is {' or '.join(free)}"
        return f"These {episodes} do not show that the memory is used: {as_much}."
    words = f"The memory is used: of these {episodes}, each earns on average {', '.join(costs)}"
    return words + (f"; they show no loss where it is {' or '.join(free)}." if free else ".")
