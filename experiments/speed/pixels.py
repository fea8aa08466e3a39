"""Environments whose observations are images, for measuring: `experiments.speed.pixels:Catch-v0` and others."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete


class Catch(gymnasium.Env):
    """A ball falls through an image of bytes, and a paddle at its bottom is to be under it: the cheapest such game."""

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own convention)
    action_space = Discrete(3)

    def __init__(self, side: int = 42, channels: int = 1):
        self.side, self.observation_space = side, Box(0, 255, (side, side, channels), dtype=np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.row, self.paddle = 0, self.side // 2
        self.column = int(self.np_random.integers(1, self.side - 1))
        return self._observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.row, self.paddle = self.row + 1, min(self.side - 2, max(1, self.paddle + int(action) - 1))
        over = self.row == self.side - 1
        reward = (1.0 if abs(self.paddle - self.column) <= 1 else -1.0) if over else 0.0
        return self._observe(), reward, over, False, {}

    def _observe(self) -> np.ndarray:
        image = np.zeros(self.observation_space.shape, dtype=np.uint8)
        image[self.row, self.column] = 255
        image[-1, self.paddle - 1 : self.paddle + 2] = 255
        return image


def make_memory_pixels() -> gymnasium.Env:
    """Make MiniGrid's MemoryS7 as the image that MiniGrid draws of it, 42 x 42 x 3."""
    from minigrid.wrappers import ImgObsWrapper, RGBImgPartialObsWrapper

    return ImgObsWrapper(RGBImgPartialObsWrapper(gymnasium.make("MiniGrid-MemoryS7-v0").unwrapped, tile_size=6))


gymnasium.register("Catch-v0", Catch)
gymnasium.register("MemoryPixels-v0", make_memory_pixels, max_episode_steps=245)
