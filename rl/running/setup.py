"""What a run trains: environments, agent, learner, and the memory that its processes share."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from rl.acting.evaluate import MakeEnvironments
from rl.acting.randomness import sequence, training_key
from rl.acting.started_processes import started_processes_ended
from rl.acting.threads import one_thread
from rl.agent.build import agent_for
from rl.agent.check import check_own_parts
from rl.agent.flat import FlatAgent
from rl.agent.scales import sums_size
from rl.config import Config
from rl.loop import NO_OVERRIDES, Overrides
from rl.parameters.learner import Learner
from rl.parameters.sync import make_learner
from rl.running.playing import Playing
from rl.running.preflight import probe_environment, require_importable, require_may_start_workers, require_room
from rl.running.probe import time_limit, try_out
from rl.running.sizes import require_memory, require_memory_of_frames
from rl.shared.generators import seeded_generators
from rl.shared.learner_memory import LearnerMemory
from rl.shared.ledger import Ledger

LOCK_SECONDS = 1.0


class Setup(NamedTuple):
    """What a run trains. Nothing is started or written for it."""

    config: Config
    make_environments: MakeEnvironments
    overrides: Overrides
    training_key: int  # of the random numbers
    began: float  # time.monotonic() at the beginning of start-up
    reward_threshold: float | None  # of the config, or else of the environment
    agent: FlatAgent  # the parent's own, with the parameters of a new run at first
    memory: LearnerMemory
    learner: Learner  # the parent's end of it
    spaces: dict[str, Any] | None  # of the environment itself, in plain JSON; None where it does not say them
    playing: Playing  # what is played in evaluations
    notes: tuple[str, ...]  # lines for the user, said when the run begins

    @property
    def ledger(self) -> Ledger:
        return self.memory.ledger

    @property
    def repeats(self) -> bool:
        """Whether the run repeats bit for bit, also when it is resumed."""
        return self.config.mode != "async"

    @contextlib.contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the learner's lock; False if a second was not enough, since a worker hangs that holds it."""
        held = self.memory.lock.acquire(timeout=LOCK_SECONDS)
        try:
            yield held
        finally:
            if held:
                self.memory.lock.release()


@one_thread()
def set_up(
    config: Config, make_environments: MakeEnvironments, overrides: Overrides = NO_OVERRIDES, start_env_steps: int = 0
) -> Setup:
    """Check the environment, draw the parameters, allocate the shared memory.

    Args:
        config: everything about the run.
        make_environments: builds vector environments from (env, num_envs, **options); a top-level function, since
            workers import it.
        overrides: what an experiment puts in the place of rl's own.
        start_env_steps: env steps of the checkpoint that a resumed run continues from.

    Raises:
        ValueError: the environment cannot be made or is not supported, or workers could not make it.
    """
    began, key = time.monotonic(), training_key(start_env_steps)
    require_may_start_workers(config)
    require_memory_of_frames(config)
    if config.mode != "serial":
        require_importable(make_environments=make_environments, **overrides._asdict())
    if config.replays and overrides.targets:
        raise ValueError(
            f"--algorithm {config.algorithm}: an experiment's targets are those of segments as they "
            "come, a2c or q_online is needed"
        )
    seeds = sequence(config.seed, key, "process", config.workers)  # of this process, beside those of the workers
    with seeded_generators(seeds), started_processes_ended():
        probe = probe_environment(config, make_environments)  # a bad env ends here, in one line
        spaces = getattr(probe, "own_spaces", None)
        reward_threshold = config.reward_threshold
        if reward_threshold is None and probe.spec:
            reward_threshold = probe.spec.reward_threshold
        require_room(config, time_limit(config, probe))
        check_own_parts(config)
        require_memory(config, probe)
        agent = FlatAgent(agent_for(config, probe))
        notes = try_out(config, probe)
    sums = sums_size(agent.agent.scales)
    memory = LearnerMemory(config, len(agent), reward_threshold, start_env_steps, sums)
    learner = make_learner(config, memory)
    learner.parameters.copy_(agent.parameters)
    return Setup(
        config,
        make_environments,
        overrides,
        key,
        began,
        reward_threshold,
        agent,
        memory,
        learner,
        spaces,
        Playing(),
        notes,
    )
