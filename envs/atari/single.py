"""The single form of Atari games: Gymnasium's environment of ale-py, seen and seeded as the vector form is."""

from typing import Any, NamedTuple

import gymnasium
import numpy as np
from ale_py import ALEInterface, LoggerMode
from ale_py.env import AtariEnv
from gymnasium.spaces import Box
from gymnasium.utils.seeding import np_random

from envs.atari.options import Options, game_seed, is_blank

OURS = tuple(Options.__dataclass_fields__)
ROUNDING = 1e-9  # of a pixel
THEIRS = ("mode", "difficulty", "render_mode")  # of ale-py's environment


class GreyPictures(gymnasium.Wrapper):
    """Shows a game as uint8 [size, size, 1]; `AtariVectorEnv` says when a picture is taken."""

    def __init__(self, env: AtariEnv, options: Options):
        """Wrap a game with a frame skip of 1; `options` has that of a step."""
        super().__init__(env)
        self.options, self.ale = options, env.ale
        height, width = self.ale.getScreenDims()
        self.observation_space = Box(0, 255, (options.size, options.size, 1), np.uint8)
        self._rows, self._columns = area_shares(height, options.size), area_shares(width, options.size)
        self._frames = np.zeros((2, height, width), dtype=np.uint8)
        self._seeded, self._steps, self._lives, self._goes_on = False, 0, 0, False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a game; where only a life was lost, continue it."""
        if seed is not None or not self._seeded:
            self.unwrapped.np_random, _ = np_random(seed)
            self.ale.setInt("random_seed", game_seed(self.np_random))
            self.unwrapped.load_game()
            self._seeded = True
        elif self._goes_on:
            self._goes_on = False
            return self._shown(), {}
        self.ale.reset_game()
        for _ in range(int(self.np_random.integers(self.options.noops + 1)) if self.options.noops else 0):
            self.ale.act(0)
            if self.ale.game_over():
                self.ale.reset_game()
        self._frames[:] = 0
        self.ale.getScreenGrayscale(self._frames[0])
        self._steps, self._lives, self._goes_on = 0, self.ale.lives(), False
        return self._shown(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Play `frameskip` frames."""
        reward, over = 0.0, False
        for left in reversed(range(self.options.frameskip)):
            reward += self.ale.act(self.unwrapped._action_set[action])
            over = self.ale.game_over(with_truncation=False)
            if over:
                break
            if left < 2:
                self.ale.getScreenGrayscale(self._frames[left])
        self._steps += 1
        lives, before, self._lives = self.ale.lives(), self._lives, self.ale.lives()
        truncated = self._steps >= self.options.step_limit
        lost = self.options.episodic_life and 0 < lives < before
        self._goes_on = lost and not over and not truncated
        np.maximum(*self._frames, out=self._frames[0])
        return self._shown(), reward, over or lost, truncated, {"lives": lives}

    def _shown(self) -> np.ndarray:
        if is_blank(self.np_random, self.options.blank_probability):
            return np.zeros(self.observation_space.shape, dtype=np.uint8)
        return smaller(self._frames[0], self._rows, self._columns)[..., None]


def make_atari(game: str, **arguments: Any) -> gymnasium.Env:
    """Make the single form.

    Args:
        game: its name, such as "ms_pacman".
        arguments: fields of `Options`, and mode, difficulty and render_mode of ale-py's own environment.

    Raises:
        ValueError: one line about the first option found wrong.
    """
    for name in arguments:
        if name not in OURS + THEIRS:
            raise ValueError(f"an Atari game has no option {name!r}, but {', '.join(OURS + THEIRS)}")
    options = Options(**{name: value for name, value in arguments.items() if name in OURS})
    others = {name: value for name, value in arguments.items() if name not in OURS}
    ALEInterface.setLoggerMode(LoggerMode.Error)  # without lines about its version
    return GreyPictures(
        AtariEnv(
            game,
            frameskip=1,
            repeat_action_probability=float(options.repeat_action_probability),
            full_action_space=bool(options.full_action_space),
            **others,
        ),
        options,
    )


class Shares(NamedTuple):
    """Which pixels of a side each new pixel takes from, and what share of it each is; both [tap, new pixel]."""

    pixels: np.ndarray
    shares: np.ndarray  # float32


def area_shares(pixels: int, size: int) -> Shares:
    """Return the shares by which a side of `pixels` becomes one of `size`: what a new pixel covers of the old ones."""
    edges, old = np.arange(size + 1) * (pixels / size), np.arange(pixels)
    low, high = np.maximum(edges[:-1, None], old), np.minimum(edges[1:, None], old + 1)
    covered = high - low  # [new, old], negative where nothing is
    shares = np.where(covered > ROUNDING, covered * (size / pixels), 0.0)
    taps = np.count_nonzero(shares, axis=1).max()
    places = (shares > 0).argmax(axis=1) + np.arange(taps)[:, None]
    taken = np.minimum(places, pixels - 1)
    return Shares(taken, np.where(places < pixels, shares[np.arange(size), taken], 0.0).astype(np.float32))


def smaller(picture: np.ndarray, rows: Shares, columns: Shares) -> np.ndarray:
    """Return a picture with fewer pixels, rounded as OpenCV rounds: float32 summed from left to right, then down."""
    narrow = sum(picture[:, place] * share for place, share in zip(*columns, strict=True))
    small = sum(narrow[place] * share[:, None] for place, share in zip(*rows, strict=True))
    return np.rint(small).astype(np.uint8)
