"""Play with a short memory: a core state that is unrolled over the last k observations only.

Source: Kapturowski et al. 2019, "Recurrent Experience Replay in Distributed Reinforcement Learning", §5, figure 5.
"""

import numpy as np
import torch
from torch import Tensor

from rl.acting.randomness import environment_seeds, evaluation_key
from rl.agent.agent import Agent
from rl.config import Config

LENGTHS = (1, 2, 4, 8, 16)
EPISODES = 20
MOST_STEPS = 500
FIRST_EPISODE = 2**25  # a number that no other evaluation has


@torch.no_grad()
def return_with_memory_of(agent: Agent, config: Config, length: int) -> float:
    """Play 20 greedy episodes, each step from a fresh state over the last `length` observations; return their mean."""
    import envs

    environments = envs.make_vector(config.env, EPISODES, **config.environment_options)
    episodes = range(FIRST_EPISODE, FIRST_EPISODE + EPISODES)
    seeds = environment_seeds(config.seed, evaluation_key(), episodes)
    observation, _ = environments.reset(seed=seeds)
    rows: list[tuple[Tensor, Tensor]] = []
    first, running = (np.ones(EPISODES, bool) for _ in range(2))
    returns = np.zeros(EPISODES)
    for _ in range(MOST_STEPS):
        rows = [*rows, (torch.tensor(observation), torch.from_numpy(first.copy()))][-length:]
        state = agent.initial_state(EPISODES)
        for seen, is_first in rows:
            output, state = agent.step(seen, state, is_first)
        actions = agent.actions.mode(output.logits).numpy()
        observation, rewards, terminated, truncated, _ = environments.step(actions)
        returns += rewards * running
        first = terminated | truncated
        running &= ~first
        if not running.any():
            break
    environments.close()
    return float(returns.mean())
