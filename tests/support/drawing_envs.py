"""An environment that draws from generators which a run does not own; `state` says what it can tell. Spawned workers
import this file."""

import random

import gymnasium
import numpy as np
import torch


class Drawing(gymnasium.Env):
    """It observes a number of each kind; its reset forgets the seed, and an episode has 8 steps."""

    observation_space = gymnasium.spaces.Box(-10, 10, (5,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def observation(self):
        drawn = [random.random(), np.random.uniform(), torch.rand(()).item()]
        return np.array([*drawn, self.np_random.uniform(), self.observation_space.sample()[0]], np.float32)

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return self.observation(), {}

    def step(self, action):
        self.steps += 1
        return self.observation(), float(np.random.normal()), self.steps >= 8, False, {}


gymnasium.register("Drawing-v0", Drawing)
