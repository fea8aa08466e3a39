"""Evaluation: fresh episodes and their returns."""

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from rl.acting.denormals import denormals_as_zeros
from rl.acting.player import AgentPlayer
from rl.acting.policies import evaluated_policy
from rl.acting.randomness import environment_seeds, evaluation_key, reset_seeded, sequence
from rl.acting.started_processes import started_processes_ended
from rl.acting.threads import one_thread
from rl.agent.agent import Agent
from rl.config import Config
from rl.shared.generators import seeded_generators

MakeEnvironments = Callable[..., gymnasium.vector.VectorEnv]  # (env, num_envs, **Config.environment_options)
Progress = Callable[[int, int, int], Any]  # episodes that have ended, episodes, steps of those that are running


class Episodes(NamedTuple):
    """Fresh episodes."""

    returns: np.ndarray  # [episode] undiscounted
    lengths: np.ndarray  # [episode] steps
    cut: np.ndarray  # [episode] bool: it had not ended after `Config.eval_max_steps`
    infos: np.ndarray  # [episode, name] entries of `Config.log_info` at its end; NaN where there is none


def never() -> bool:
    """Let an evaluation play to its end."""
    return False


def show_nothing(_ended: int, _episodes: int, _steps: int) -> None:
    """Show no progress."""


def evaluate(*arguments: Any, **named: Any) -> np.ndarray | None:
    """Undiscounted returns [episode] of fresh episodes, or None where `stop` ended them; as `play_episodes`."""
    played = play_episodes(*arguments, **named)
    return None if played is None else played.returns


@one_thread()
@denormals_as_zeros()
def play_episodes(
    agent: Agent,
    config: Config,
    make_environments: MakeEnvironments,
    episodes: int,
    greedy: bool,
    seed: int = 0,
    offset: int = 0,
    stop: Callable[[], bool] = never,
    make_player: Callable[..., AgentPlayer] = AgentPlayer,
    progress: Progress = show_nothing,
) -> Episodes | None:
    """Play fresh episodes, each in an environment of its own.

    Every environment plays one episode to its end, so that short episodes are not favoured. An episode that has not
    ended after `eval_max_steps` counts with what it has earned: without a time limit a policy may circle for ever.
    Seeds are disjoint from all training seeds. Training's random numbers and core state stay as they are, and so do
    torch's threads and the generators of the process.

    No more environments are made at once than training has, since more may not fit on the machine; if so many cannot be
    made, half as many are tried, down to one. An episode does not depend on which others are played with it, but for
    the rounding of actions that are numbers.

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
        progress: told at every step.

    Returns:
        The episodes, or None where `stop` ended the evaluation.
    """
    played: list[Episodes] = []
    first, at_once = 0, min(episodes, config.total_environments)
    with seeded_generators(sequence(seed, evaluation_key(), "process", offset)), started_processes_ended():
        while first < episodes:
            environments = make_at_most(config, make_environments, min(at_once, episodes - first), episodes - first)
            try:
                at_once, last = environments.num_envs, first + environments.num_envs
                numbers, before = range(offset + first, offset + last), first
                player = make_player(
                    agent, len(numbers), greedy, seed, numbers.start, evaluated_policy(config, len(numbers))
                )
                seeds = environment_seeds(seed, evaluation_key(), numbers)

                def of_all(ended: int, steps: int, before: int = before) -> None:
                    progress(before + ended, episodes, steps)

                batch = _play(player, environments, seeds, config, stop, of_all)
            finally:
                environments.close()
            if batch is None:
                return None
            played.append(batch)
            first = last
    return Episodes(*(np.concatenate(parts) for parts in zip(*played, strict=True)))


def make_at_most(
    config: Config, make_environments: MakeEnvironments, number: int, all_of_them: int
) -> gymnasium.vector.VectorEnv:
    """Make so many environments; all of them where one object steps any number; fewer where so many cannot be made."""
    while True:
        try:
            environments = make_environments(config.env, number, **config.environment_options)
            break
        except Exception:  # a foreign environment may raise anything
            if number == 1:
                raise
            number //= 2
    if number == all_of_them or not environments.metadata.get("exact"):
        return environments
    environments.close()
    return make_environments(config.env, all_of_them, **config.environment_options)


def _play(
    player: AgentPlayer,
    environments: gymnasium.vector.VectorEnv,
    seeds: list[int],
    config: Config,
    stop: Callable[[], bool],
    progress: Callable[[int, int], Any],
) -> Episodes | None:
    """Play one episode in each environment."""
    batch = len(seeds)
    observation = reset_seeded(environments, seeds)
    returns, lengths = np.zeros(batch), np.zeros(batch, dtype=np.int64)
    running, entries = np.ones(batch, dtype=bool), np.full((batch, len(config.logged_infos)), np.nan)
    is_first = running.copy()
    for step in range(config.eval_max_steps):
        left = np.count_nonzero(running)
        if not left:
            break
        if stop():
            return None
        progress(batch - left, step)
        observation, rewards, terminated, truncated, infos = environments.step(player.act(observation, is_first))
        returns += rewards * running
        lengths += running
        is_first = terminated | truncated
        if "episode_infos" in infos:
            ended = running & is_first
            entries[ended] = infos["episode_infos"][ended]
        running &= ~is_first
    progress(batch - np.count_nonzero(running), int(lengths.max()))
    return Episodes(returns, lengths, running, entries)
