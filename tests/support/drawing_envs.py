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


class Telling(Drawing):
    """It can tell its state, and draws from the generators of the process alone."""

    def observation(self):
        return np.array([random.random(), np.random.uniform(), torch.rand(()).item(), 0.0, 0.0], np.float32)

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]


gymnasium.register("Telling-v0", Telling)
