"""Episodes that the parent plays: for a verdict, for a row of the record, at the end of the run."""

import copy
import math
from collections.abc import Callable

from torch import Tensor

from rl.acting.evaluate import play_episodes
from rl.agent.flat import FlatAgent
from rl.record.keys import Evaluation
from rl.running.setup import Setup
from rl.shared.not_finite import not_finite

INTERVAL_EPISODES = 2**24  # number of the first episode of an evaluation in training; no other evaluation gets there


def mean_return(
    setup: Setup, agent: FlatAgent, episodes: int, greedy: bool, offset: int, stop: Callable[[], bool]
) -> float | None:
    """Mean return of so many fresh episodes; None where `stop`, asked at every step, cut them short.

    Args:
        setup: environments and seed.
        agent: who plays.
        episodes: how many.
        greedy: take the most probable actions; else draw them.
        offset: number of the first episode, on which its random numbers depend.
        stop: whether to stop.

    Raises:
        FloatingPointError: a return is nan or inf.
    """
    played = play_episodes(
        agent.agent,
        setup.config,
        setup.make_environments,
        episodes,
        greedy,
        seed=setup.config.seed,
        offset=offset,
        stop=stop,
        progress=setup.playing.progress,
    )
    if played is None:
        return None
    setup.playing.count(played)
    mean = float(played.returns.mean())
    if not math.isfinite(mean):
        raise not_finite(f"the mean return of {episodes} evaluated episodes is {mean}: look at the rewards")
    return mean


def evaluate_newest(setup: Setup, stop: Callable[[], bool]) -> tuple[Evaluation, Tensor] | None:
    """Play the same episodes as every time with the newest parameters, which are returned too.

    None where they were cut short.

    Asynchronous workers do not wait for this. So the parameters may be younger than the row, and their own env steps
    and CPU seconds stand beside the returns.
    """
    agent = FlatAgent(copy.deepcopy(setup.agent.agent))  # the parent's own may be confirming a crossing
    with setup.locked() as held:
        if not held:
            return None
        agent.load(setup.learner.parameters)
        env_steps, cpu_seconds = setup.ledger.env_steps, setup.ledger.cpu_seconds
    episodes = setup.config.interval_episodes
    greedy, sampled = (mean_return(setup, agent, episodes, how, INTERVAL_EPISODES, stop) for how in (True, False))
    if greedy is None or sampled is None:
        return None
    return Evaluation(env_steps, cpu_seconds, greedy, sampled), agent.parameters
