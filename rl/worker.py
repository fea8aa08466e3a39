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
from rl.denormals import denormals_as_zeros
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


BEAT_SECONDS = 0.25
OWN = Parts()  # all of them rl's own


class GroupLost(ConnectionError):
    """Workers of other machines are gone or do not answer; says in one line who."""

    def __init__(self, words: str, failed: bool = False) -> None:
        """With that line.

        Args:
            words: the line.
            failed: whether one of them has said that it failed.
        """
        super().__init__(words)
        self.failed = failed


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
        standing: `worker_state` of the workers that this one starts, by rank; None where one begins with new episodes.
        in_group: whether the others are on other machines, or started by torchrun on this one.
        channel: sends to the parent what it is about and what goes with that ("ready"; "state" with workers' states by
            rank; "done"; "failed" with a traceback; "lost" with who of a group), receives the start.
    """
    end_with_parent(lambda: memory.signs.beat(rank))
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
        channel.send(("failed" if lost.failed else "lost", str(lost)))
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


@denormals_as_zeros()
def run_segments(
    learner: "Learner",
    collector: "Collector",
    experience: "Experience",
    between: Callable[[int], Any],
    left: int = 0,
) -> int:
    """Pull, act for N steps, differentiate, push: until the ledger says that the run is over.

    Args:
        learner: owner of the parameters.
        collector: owner of environments and core state.
        experience: owner of what is learnt from, and of the local agent.
        between: called after every push with the number of updates that are left to do of the segment; the run may be
            saved there, and stopped.
        left: where a run goes on, as many.

    Returns:
        How many are left at the end.
    """
    flat = experience.flat
    while not learner.ledger.finished:
        learner.pull(flat)
        env_steps, episodes = 0, []
        if not left:
            segment = collector.collect()
            env_steps, episodes = segment.env_steps, collector.take_finished_episodes()
            left = experience.add(segment)
        if left:
            left -= 1
            losses = experience.differentiate()
            learner.push(flat.gradient, env_steps, losses, episodes)
        else:
            learner.push(None, env_steps, {}, episodes)
        between(left)
    return left


def run_work(
    work: tuple["Learner", "Collector", "Experience"],
    saved: bytes | None,
    tell: Callable[[str, dict[int, bytes]], Any],
) -> None:
    """Run a worker that was built from where it stood to the end of the run.

    Args:
        work: of `build_worker`.
        saved: of `worker_state`, or None for a beginning.
        tell: is given "state" and where the workers stand that are told of here, for each checkpoint that is due and at
            the end; and "done", with nothing, when all is closed.
    """
    learner, collector, experience = work
    left = 0 if saved is None else load_worker_state(collector, experience, saved)
    told = -1  # the number of the checkpoint

    def stand(left: int) -> None:
        tell("state", learner.gather(worker_state(collector, experience, left)))

    def between(left: int) -> None:
        nonlocal told
        number = learner.ledger.checkpoint_number
        if learner.ledger.checkpoint_due and told != number:
            told = number
            stand(left)
        learner.stand_still()

    learner.publish()
    learner.stand_still()  # a run that goes on may have stopped before a verdict
    stand(run_segments(learner, collector, experience, between, left))
    collector.environments.close()
    tell("done", {})


def worker_state(collector: "Collector", experience: "Experience", left: int) -> bytes:
    """What a worker goes on from, between two pushes; as bytes, since multiprocessing would share tensors instead.

    Args:
        collector: between two segments.
        experience: likewise.
        left: updates of the last segment that are still to do.
    """
    import torch

    of_collector = collector.state()
    if not can_be_read(of_collector["environments"]):
        of_collector["environments"] = None
    file = io.BytesIO()
    torch.save({"collector": of_collector, "experience": experience.state(), "left": left}, file)
    return file.getvalue()


def can_be_read(content: Any) -> bool:
    """Whether this comes back from a checkpoint, which reads tensors and plain Python alone."""
    import torch

    file = io.BytesIO()
    try:
        torch.save(content, file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except Exception:  # whatever cannot be pickled raises
        return False
    return True


def load_worker_state(collector: "Collector", experience: "Experience", saved: bytes) -> int:
    """Go on from `worker_state`; returns how many updates are left to do."""
    import torch

    state = torch.load(io.BytesIO(saved), weights_only=True)
    collector.load_state(state["collector"])
    experience.load_state(state["experience"])
    return state["left"]


def has_environments(saved: bytes) -> bool:
    """Whether the environments of a `worker_state` could tell where they stood."""
    import torch

    return torch.load(io.BytesIO(saved), weights_only=True)["collector"]["environments"] is not None


def end_with_parent(meanwhile: Callable[[], None] = lambda: None) -> None:
    """End this process as soon as its parent has ended, however that ended; meanwhile do this four times a second."""
    sentinel = multiprocessing.parent_process().sentinel

    def watch() -> None:
        while not wait([sentinel], timeout=BEAT_SECONDS):
            meanwhile()
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def leave_signals_to_parent() -> None:
    """Go on at Ctrl-C and SIGTERM, which reach a whole group of processes: the parent answers them.

    This process was started with both held back. SIGINT stays so; SIGTERM is let through to a handler that does
    nothing, so that programs that an environment starts can still be ended by it.
    """
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
