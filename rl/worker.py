"""Workers: processes that own environments and a local agent, pull parameters, act, differentiate and push.

Nothing here imports torch before the worker watches its parent: a worker must end with its parent even while it is
still importing.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, NamedTuple

from rl.config import Config
from rl.ledger import Ledger
from rl.memory import LearnerMemory

if TYPE_CHECKING:
    import gymnasium

    from rl.collector import Collector
    from rl.learner import FlatAgent, Learner


class Parts(NamedTuple):
    """Parts of learning that an experiment puts in the place of rl's own (None); spawned workers import them."""

    targets: Callable[..., Any] | None = None  # as rl.loss.targets
    make_learner: Callable[..., Any] | None = None  # as rl.learner.make_learner


OWN = Parts()  # all of them rl's own


def run_worker(
    rank: int,
    config: Config,
    make_environments: Callable[..., "gymnasium.vector.VectorEnv"],
    memory: LearnerMemory,
    ledger: Ledger,
    training_key: int,
    parts: Parts,
    channel: Connection,
) -> None:
    """The life of a worker process: get ready, wait for the start, run segments, report what went wrong.

    Args:
        rank: 0 to workers − 1.
        config: of the run.
        make_environments: builds vector environments from (env, num_envs, **options).
        memory: shared with the other workers and the parent.
        ledger: likewise.
        training_key: of the random numbers.
        parts: of an experiment.
        channel: sends "ready", then "done" or a traceback to the parent, receives the start.
    """
    end_with_parent()
    leave_signals_to_parent()
    try:
        import torch

        torch.set_num_threads(1)
        learner, collector, flat = build_worker(
            rank, config, make_environments, memory, ledger, training_key, parts
        )  # fmt: skip
        channel.send("ready")
        channel.recv()
        run_segments(learner, collector, flat, config, lambda: await_verdict(ledger), parts)
        collector.environments.close()
        channel.send("done")
    except BaseException:  # SystemExit from an environment is a failure too
        channel.send(f"failed:\n{traceback.format_exc()}")
        sys.exit(1)


def build_worker(
    rank: int,
    config: Config,
    make_environments: Callable[..., "gymnasium.vector.VectorEnv"],
    memory: LearnerMemory,
    ledger: Ledger,
    training_key: int,
    parts: Parts = OWN,
) -> tuple["Learner", "Collector", "FlatAgent"]:
    """The learner's end, the Collector and the local agent of worker `rank`, which owns its block of environments."""
    from rl.agent import agent_for
    from rl.collector import Collector
    from rl.learner import FlatAgent, make_learner
    from rl.randomness import ActionNoise, environment_seeds

    owned = range(rank * config.envs_per_worker, (rank + 1) * config.envs_per_worker)
    environments = make_environments(config.env, config.envs_per_worker, **config.environment_options)
    flat = FlatAgent(agent_for(config, environments))
    noise = ActionNoise(config.seed, training_key, owned)
    seeds = environment_seeds(config.seed, training_key, owned)
    collector = Collector(
        environments, flat.agent, noise, seeds, config.segment_length, config.carry_state,
        record=config.unroll == "recorded", stop_at_episode_end=config.stops_at_episode_end,
    )  # fmt: skip
    return (parts.make_learner or make_learner)(config, memory, ledger, rank), collector, flat


def run_segments(
    learner: "Learner",
    collector: "Collector",
    flat: "FlatAgent",
    config: Config,
    between: Callable[[], Any],
    parts: Parts = OWN,
) -> None:
    """Pull, act for N steps, differentiate, push: until the ledger says that the run is over.

    Args:
        learner: owner of the parameters.
        collector: owner of environments and core state.
        flat: the local agent.
        config: of the loss.
        between: called after every push.
        parts: of an experiment.
    """
    from rl.fast_path import differentiate
    from rl.loss import targets

    targets = parts.targets or targets

    while not learner.ledger.finished:
        learner.pull(flat)
        segment = collector.collect()
        losses = differentiate(flat.agent, segment, config, learner.sum_over_workers, targets)
        learner.push(flat.gradient, segment.env_steps, losses, collector.take_finished_episodes())
        between()


def await_verdict(ledger: Ledger) -> None:
    """Sync workers stand still while a crossing is being confirmed, so that the record repeats; async ones go on."""
    while ledger.waits_for_verdict and ledger.attempt_pending:
        time.sleep(0.001)


def end_with_parent() -> None:
    """End this process as soon as its parent has ended, however that ended."""
    sentinel = multiprocessing.parent_process().sentinel

    def watch() -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def leave_signals_to_parent() -> None:
    """Go on at Ctrl-C and SIGTERM, which reach a whole group of processes: the parent answers them.

    This process was started with both held back. SIGINT stays so; SIGTERM is let through to a handler that does
    nothing, so that programs that an environment starts can still be ended by it.
    """
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
