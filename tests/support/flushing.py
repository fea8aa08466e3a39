"""An environment that earns 1 where denormal numbers are zeros. Spawned workers import this file."""

import gymnasium
import numpy as np
import torch

TINY = 2.0**-126  # the smallest normal number of float32


def half_of_tiny():
    """What torch and NumPy compute, which is exact as a denormal number."""
    return float(torch.tensor(TINY) / 2), float(np.float32(TINY) / np.float32(2))


class Flushing(gymnasium.Env):
    """Episodes of 8 steps; a step is worth 1 where the half of the smallest normal number is zero, else 0."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.zeros(2, np.float32), float(half_of_tiny() == (0.0, 0.0)), self.steps == 8, False, {}


gymnasium.register("Flushing-v0", Flushing)
