"""Evaluation: a Player that carries the state, and the mean return of fresh episodes."""

from collections.abc import Callable

import gymnasium
import numpy as np
import torch

from rl.acting.denormals import denormals_as_zeros
from rl.acting.player import Player
from rl.acting.policies import evaluated_policy
from rl.acting.randomness import environment_seeds, evaluation_key
from rl.agent.agent import Agent
from rl.config import Config

MakeEnvironments = Callable[..., gymnasium.vector.VectorEnv]  # (env, num_envs, **Config.environment_options)


MOST_STEPS = 20_000  # of an evaluated episode


@denormals_as_zeros()
def evaluate(
    agent: Agent,
    config: Config,
    make_environments: MakeEnvironments,
    episodes: int,
    greedy: bool,
    seed: int = 0,
    offset: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> np.ndarray | None:
    """Undiscounted returns [episode] of fresh episodes, one in each of `episodes` environments.

    One episode an environment, all played to their end: short episodes are not favoured. One that has not ended after
    20,000 steps, as a policy may go in circles where there is no time limit, counts with what it has earned. Seeds are
    disjoint from all training seeds, and training's random numbers and core state are not touched.

    Args:
        agent: not modified.
        config: names the environment and its options.
        make_environments: builds vector environments.
        episodes: how many.
        greedy: take the most probable, or most valuable, action; else sample.
        seed: of the episodes and the sampling.
        offset: number of the first episode, so that several evaluations of one seed share none.
        stop: asked at every step; True ends the evaluation without a result.

    Returns:
        The returns, or None where it was stopped.
    """
    torch.set_num_threads(1)  # a second thread makes networks of this size slower
    environments = make_environments(config.env, episodes, **config.environment_options)
    try:
        seeds = environment_seeds(seed, evaluation_key(), range(offset, offset + episodes))
        observation, _ = environments.reset(seed=seeds)
        player = Player(agent, episodes, greedy, seed, offset, evaluated_policy(config, episodes))
        returns = np.zeros(episodes)
        running = np.ones(episodes, dtype=bool)
        is_first = running.copy()
        for _ in range(MOST_STEPS):
            if not running.any():
                break
            if stop():
                return None
            observation, rewards, terminated, truncated, _ = environments.step(player.act(observation, is_first))
            returns += rewards * running
            is_first = terminated | truncated
            running &= ~is_first
    finally:
        environments.close()
    return returns
