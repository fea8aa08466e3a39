"""A core that counts the observations of an episode, and an environment that counts too."""

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import nn

from rl.acting.collector import Collector
from rl.acting.randomness import ActionNoise
from rl.agent.actions.categorical import Categorical
from rl.agent.agent import Agent
from rl.agent.cores import CellCore
from rl.agent.recorded.which import make_unrolled


class CountingCore(CellCore):
    """Its state is the number of observations consumed since the episode opened, and so is its output."""

    parts = 1

    def make_cell(self, input_size, hidden_size):
        return nn.Identity()

    def initial_state(self, batch_size):
        return (torch.zeros(1, batch_size, 1),)

    def advance(self, cell, inputs, state):
        return (state[0] + 1,)


class CountingEnv(gymnasium.Env):
    """Observes the step number; ends by itself after `length` steps or is cut after `limit`; every step is worth 1."""

    observation_space = gymnasium.spaces.Box(0, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, length, limit):
        self.length, self.limit = length, limit

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.array([0.0], np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.array([self.steps], np.float32), 1.0, self.steps >= self.length, self.steps >= self.limit, {}


def counting_agent():
    agent = Agent(nn.Identity(), CountingCore(1, 1), actions=Categorical(2))
    nn.init.ones_(agent.value_head.weight)
    return agent


def collector(segment_length, lengths=(10,), limit=1000, agent=None, carry_state=True, record=False):
    """A Collector over one counting environment for each of `lengths`."""
    environments = SyncVectorEnv(
        [lambda length=length: CountingEnv(length, limit) for length in lengths], autoreset_mode=AutoresetMode.SAME_STEP
    )
    agent, batch = agent or counting_agent(), len(lengths)
    unrolled = make_unrolled(agent, segment_length + 1, batch, record)
    noise = ActionNoise(0, 0, range(batch))
    return Collector(environments, agent, noise, range(batch), segment_length, carry_state, unrolled)
