"""Evaluation: returns of fresh episodes."""

from collections.abc import Callable

import gymnasium
import numpy as np

from rl.acting.denormals import denormals_as_zeros
from rl.acting.player import AgentPlayer
from rl.acting.policies import evaluated_policy
from rl.acting.randomness import environment_seeds, evaluation_key
from rl.acting.threads import one_thread
from rl.agent.agent import Agent
from rl.config import Config

MakeEnvironments = Callable[..., gymnasium.vector.VectorEnv]  # (env, num_envs, **Config.environment_options)
MOST_STEPS = 20_000  # of an evaluated episode


@one_thread()
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
    make_player: Callable[..., AgentPlayer] = AgentPlayer,
) -> np.ndarray | None:
    """Undiscounted returns [episode] of fresh episodes, one in each of `episodes` environments.

    Every environment plays one episode to its end, so that short episodes are not favoured. An episode that has not
    ended after 20,000 steps counts with what it has earned: without a time limit a policy may circle for ever. Seeds
    are disjoint from all training seeds. Training's random numbers and core state stay as they are.

    Args:
        agent: evaluation does not modify it.
        config: names the environment and its options.
        make_environments: builds vector environments.
        episodes: number of episodes.
        greedy: take the most probable, or most valuable, action; else sample.
        seed: seeds the episodes and the sampling.
        offset: number of the first episode, so that several evaluations of one seed share none.
        stop: asked at every step; True ends the evaluation without a result.
        make_player: makes what plays; another one than AgentPlayer meddles with its memory.

    Returns:
        The returns, or None where `stop` ended the evaluation.
    """
    environments = make_environments(config.env, episodes, **config.environment_options)
    try:
        seeds = environment_seeds(seed, evaluation_key(), range(offset, offset + episodes))
        observation, _ = environments.reset(seed=seeds)
        player = make_player(agent, episodes, greedy, seed, offset, evaluated_policy(config, episodes))
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
