"""Workers: processes that own environments and a local agent, pull parameters, act, differentiate and push.

Nothing here imports torch before the worker watches its parent: a worker must end with its parent even while it is
still importing.
"""

import faulthandler
import io
import multiprocessing
import os
import signal
import sys
import threading
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
    from rl.experience import Experience
    from rl.learner import Learner


class Parts(NamedTuple):
    """Parts of learning that an experiment puts in the place of rl's own (None); spawned workers import them."""

    targets: Callable[..., Any] | None = None  # as rl.loss.targets
    make_learner: Callable[..., Any] | None = None  # as rl.learner.make_learner
    watch: Callable[..., Any] | None = None  # wraps an Experience, to measure while it learns; is given config and rank


OWN = Parts()  # all of them rl's own


class GroupLost(ConnectionError):
    """Workers of other machines are gone or do not answer; says in one line who."""


def run_worker(
    rank: int,
    config: Config,
    make_environments: Callable[..., "gymnasium.vector.VectorEnv"],
    memory: LearnerMemory,
    ledger: Ledger,
    training_key: int,
    parts: Parts,
    standing: list[bytes | None],
    in_group: bool,
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
        standing: `worker_state` of every worker, where the run goes on; else None for each.
        in_group: whether the others are on other machines, or started by torchrun on this one.
        channel: sends what it is about to the parent and what goes with it ("ready"; "state" and "done" with workers'
            states by rank; "failed" with a traceback), receives the start.
    """
    end_with_parent()
    leave_signals_to_parent()
    faulthandler.register(signal.SIGUSR1, memory.signs.stacks.fd, all_threads=False)  # the parent asks where it hangs
    try:
        import torch

        torch.set_num_threads(1)
        if in_group:
            from rl.group import grouped, lead

            group = lead(config, memory, ledger.env_steps, training_key, standing)
            parts = grouped(parts, group)
        work = build_worker(rank, config, make_environments, memory, ledger, training_key, parts)
        if in_group:
            group.begin(config.worker_timeout)
        channel.send(("ready", None))
        channel.recv()
        run_work(work, standing[rank], lambda *message: channel.send(message))
    except GroupLost as lost:
        channel.send(("failed", str(lost)))
        sys.exit(1)
    except BaseException:  # SystemExit from an environment is a failure too
        channel.send(("failed", f"failed:\n{traceback.format_exc()}"))
        sys.exit(1)


def build_worker(
    rank: int,
    config: Config,
    make_environments: Callable[..., "gymnasium.vector.VectorEnv"],
    memory: LearnerMemory,
    ledger: Ledger,
    training_key: int,
    parts: Parts = OWN,
) -> tuple["Learner", "Collector", "Experience"]:
    """The learner's end, the Collector and the experience of worker `rank`, which owns its block of environments."""
    from rl.agent import agent_for
    from rl.collector import Collector
    from rl.experience import OnlineExperience
    from rl.learner import FlatAgent, make_learner
    from rl.loss import targets
    from rl.policies import acting_policy
    from rl.randomness import ActionNoise, environment_seeds

    owned = range(rank * config.envs_per_worker, (rank + 1) * config.envs_per_worker)
    environments = make_environments(config.env, config.envs_per_worker, **config.environment_options)
    flat = FlatAgent(agent_for(config, environments))
    noise = ActionNoise(config.seed, training_key, owned)
    seeds = environment_seeds(config.seed, training_key, owned)
    collector = Collector(
        environments, flat.agent, noise, seeds, config.segment_length, config.carry_state,
        record=config.unroll == "recorded", stop_at_episode_end=config.stops_at_episode_end,
        policy=acting_policy(config, owned), for_replay=config.replays, progress=memory.signs.progress[rank : rank + 1],
    )  # fmt: skip
    learner = (parts.make_learner or make_learner)(config, memory, ledger, rank)
    if config.replays:
        from rl.replay.experience import ReplayExperience

        features = environments.single_observation_space.shape[0]
        experience = ReplayExperience(config, flat, learner, features, training_key)
    else:
        experience = OnlineExperience(config, flat, learner, parts.targets or targets)
    return learner, collector, parts.watch(experience, config, rank) if parts.watch else experience


def run_segments(
    learner: "Learner",
    collector: "Collector",
    experience: "Experience",
    between: Callable[[], Any],
    after: Callable[[], Any] = lambda: None,
) -> None:
    """Pull, act for N steps, differentiate, push: until the ledger says that the run is over.

    Args:
        learner: owner of the parameters.
        collector: owner of environments and core state.
        experience: owner of what is learnt from, and of the local agent.
        between: called after every push.
        after: called after every segment, before the last of these.
    """
    flat = experience.flat
    while not learner.ledger.finished:
        learner.pull(flat)
        segment = collector.collect()
        env_steps, episodes = segment.env_steps, collector.take_finished_episodes()
        updates = experience.add(segment)
        if not updates:
            learner.push(None, env_steps, {}, episodes)
            after()
            between()
        for update in range(updates):
            if update > 0:  # the segment is entered already
                if learner.ledger.finished:
                    break
                learner.pull(flat)
                env_steps, episodes = 0, []
            losses, last = experience.differentiate(), update == updates - 1
            learner.push(flat.gradient, env_steps, losses, episodes, last)
            if last:
                after()
            between()


def run_work(
    work: tuple["Learner", "Collector", "Experience"],
    saved: bytes | None,
    tell: Callable[[str, dict[int, bytes]], Any],
) -> None:
    """Run a worker that was built from where it stood to the end of the run.

    Args:
        work: of `build_worker`.
        saved: of `worker_state`, or None for a beginning.
        tell: is given "state" or "done", and where the workers stand that are told of here.
    """
    learner, collector, experience = work
    if saved is not None:
        load_worker_state(collector, experience, saved)

    def stand(kind: str) -> None:
        tell(kind, learner.gather(worker_state(collector, experience)))

    learner.publish()
    learner.stand_still()  # a run that goes on may have stopped before a verdict
    run_segments(learner, collector, experience, learner.stand_still, StateSender(learner.ledger, stand))
    stand("done")
    collector.environments.close()


def worker_state(collector: "Collector", experience: "Experience") -> bytes:
    """What a worker goes on from, between two segments; as bytes, since multiprocessing would share tensors instead."""
    import torch

    file = io.BytesIO()
    torch.save({"collector": collector.state(), "experience": experience.state()}, file)
    return file.getvalue()


def load_worker_state(collector: "Collector", experience: "Experience", saved: bytes) -> None:
    """Go on from `worker_state`."""
    import torch

    state = torch.load(io.BytesIO(saved), weights_only=True)
    collector.load_state(state["collector"])
    experience.load_state(state["experience"])


def has_environments(saved: bytes) -> bool:
    """Whether the environments of a `worker_state` could tell where they stood."""
    import torch

    return torch.load(io.BytesIO(saved), weights_only=True)["collector"]["environments"] is not None


class StateSender:
    """Tells the parent where the worker stands, once for each checkpoint that is due."""

    def __init__(self, ledger: Ledger, tell: Callable[[str], Any]) -> None:
        self.ledger, self.tell, self.told = ledger, tell, -1

    def __call__(self) -> None:
        """Tell if it was not told yet."""
        number = self.ledger.checkpoint_number
        if self.ledger.checkpoint_due and self.told != number:
            self.told = number
            self.tell("state")


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
