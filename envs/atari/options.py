"""The options that both forms of an Atari game share, checked, and what follows from them."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

SMALLEST, LARGEST = 8, 160  # pixels of a side; the screen of most games is 210 x 160
SEEDS = 2**31 - 1  # how many seeds a game knows


@dataclass(frozen=True)
class Options:
    """What is shown of a game, and when an episode begins and ends. ale-py's own names stay as they are.

    Raises:
        ValueError: one line about the first option found wrong.
    """

    size: int = 84
    """Pixels of a side of the picture."""
    frameskip: int = 4
    """Frames of the game that a step lasts. The picture is the brighter one of its last two, pixel by pixel."""
    repeat_action_probability: float = 0.25
    """Sticky actions: how likely the game is, frame by frame, to repeat the action before instead of the one given."""
    full_action_space: bool = False
    """Offer all 18 actions instead of those that matter in the game."""
    noops: int = 0
    """An episode begins after 0 to this many frames without an action, drawn anew each time."""
    episodic_life: bool = False
    """A lost life ends the episode; the next one continues the same game until that is over."""
    blank_probability: float = 0.0
    """How likely each picture is to be black."""
    max_num_frames_per_episode: int = 108_000
    """Frames after which a game is truncated, those without an action not counted: half an hour by default."""
    max_episode_steps: int | None = None
    """Steps after which a game is truncated, if these are fewer; None or -1: there is no such limit."""

    def __post_init__(self) -> None:
        self._whole("size", SMALLEST, LARGEST)
        self._whole("frameskip", 1)
        self._whole("noops", 0)
        self._whole("max_num_frames_per_episode", 1)
        if self.max_episode_steps not in (None, -1):
            self._whole("max_episode_steps", 1)
        for name in ("repeat_action_probability", "blank_probability"):
            value = getattr(self, name)
            if not isinstance(value, Real) or not 0 <= value <= 1:
                raise ValueError(f"{name} must be a number from 0 to 1, got {value!r}")
        for name in ("full_action_space", "episodic_life"):
            value = getattr(self, name)
            if not isinstance(value, bool | np.bool_):
                raise ValueError(f"{name} must be True or False, got {value!r}")

    def _whole(self, name: str, least: int, most: int | None = None) -> None:
        value: Any = getattr(self, name)
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not whole or value < least or (most is not None and value > most):
            wanted = f"from {least} to {most}" if most else f"of at least {least}"
            raise ValueError(f"{name} must be a whole number {wanted}, got {value!r}")

    @property
    def step_limit(self) -> int:
        """Steps after which a game is truncated."""
        by_frames = -(-self.max_num_frames_per_episode // self.frameskip)
        return by_frames if self.max_episode_steps in (None, -1) else min(by_frames, self.max_episode_steps)


def game_seed(generator: np.random.Generator) -> int:
    """Draw the seed of a game from the generator of its environment."""
    return int(generator.integers(SEEDS))


def is_blank(generator: np.random.Generator, probability: float) -> bool:
    """Draw whether the next picture is black; nothing is drawn where none is."""
    return probability > 0 and generator.random() < probability
