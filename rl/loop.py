"""Training on one page: build a worker, pull parameters, act, differentiate, push.

Nothing here imports torch before the worker watches its parent: a worker must end with its parent even while it is
still importing.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from rl.acting.denormals import denormals_as_zeros
from rl.config import Config
from rl.names import load
from rl.record.worker_state import load_worker_state, worker_state
from rl.shared.generators import seed_generators
from rl.shared.learner_memory import LearnerMemory

if TYPE_CHECKING:
    import gymnasium

    from rl.acting.collector import Collector
    from rl.learning.experience import Experience
    from rl.parameters.learner import Learner


class Overrides(NamedTuple):
    """What an experiment puts in the place of rl's own (None); workers import these functions."""

    targets: Callable[..., Any] | None = None  # in the place of rl.learning.returns.targets
    make_learner: Callable[..., Any] | None = None  # in the place of rl.parameters.sync.make_learner
    watch: Callable[..., Any] | None = None  # wraps an Experience, given config and rank, to measure while it learns


NO_OVERRIDES = Overrides()


def build_worker(
    rank: int,
    config: Config,
    make_environments: Callable[..., "gymnasium.vector.VectorEnv"],
    memory: LearnerMemory,
    training_key: int,
    overrides: Overrides = NO_OVERRIDES,
) -> tuple["Learner", "Collector", "Experience"]:
    """The learner's end, the Collector and the experience of worker `rank`, which owns its block of environments.

    The generators that all code of this process shares are seeded.
    """
    from rl.acting.collector import Collector
    from rl.acting.policies import acting_policy
    from rl.acting.randomness import ActionNoise, environment_seeds, sequence
    from rl.acting.tally import Tally
    from rl.agent.build import agent_for
    from rl.agent.flat import FlatAgent
    from rl.agent.recorded.which import make_unrolled
    from rl.parameters.sync import make_learner

    seed_generators(sequence(config.seed, training_key, "process", rank))
    owned = range(rank * config.envs_per_worker, (rank + 1) * config.envs_per_worker)
    environments = make_environments(config.env, config.envs_per_worker, **config.environment_options)
    flat = FlatAgent(agent_for(config, environments))
    if config.carry_gradient:
        flat.agent.core.carries_gradient = True  # of this agent, since it learns: whoever only acts carries the state
    rows = 0 if config.stops_at_episode_end else config.segment_length + 1  # of a segment with its bootstrap
    unrolled = make_unrolled(flat.agent, rows, config.envs_per_worker, config.unroll == "recorded")
    collector = Collector(
        environments,
        flat.agent,
        ActionNoise(config.seed, training_key, owned),
        environment_seeds(config.seed, training_key, owned),
        config.segment_length,
        config.carry_state,
        unrolled,
        config.stops_at_episode_end,
        policy=acting_policy(config, owned),
        for_replay=config.replays,
        progress=memory.signs.progress[rank : rank + 1],
        logged_infos=len(config.logged_infos),
        tally=flat.agent.scales
        and Tally(flat.agent.scales, config.envs_per_worker, config.discount, config.clip_rewards),
    )
    learner = (overrides.make_learner or make_learner)(config, memory, rank)
    make_experience, space = load(config.algorithm_record.experience), environments.single_observation_space
    options = {"targets": overrides.targets} if overrides.targets else {}
    experience = make_experience(config, flat, unrolled, learner, space, training_key, **options)
    return learner, collector, overrides.watch(experience, config, rank) if overrides.watch else experience


@denormals_as_zeros()
def run_segments(
    learner: "Learner",
    collector: "Collector",
    experience: "Experience",
    between: Callable[[int], Any],
    updates_left: int = 0,
) -> int:
    """Pull, act for N steps, differentiate, push: until the ledger says that the run is over.

    Args:
        learner: owns the parameters.
        collector: owns the environments and the core state.
        experience: owns what is learnt from, and the local agent.
        between: called after every push with the updates that are left to do of the segment; the run may be saved
            there, and stopped.
        updates_left: updates that a resumed run still has to do of its last segment.

    Returns:
        The updates that are left at the end.
    """
    flat = experience.flat
    while not learner.ledger.finished:
        learner.pull(flat)
        env_steps, episodes = 0, []
        if not updates_left:
            segment = collector.collect()
            env_steps, episodes = segment.env_steps, collector.take_finished_episodes()
            updates_left = experience.add(segment)
        if updates_left:
            losses = experience.differentiate()
            updates_left = experience.still_due(updates_left - 1)
            # Scales change behind the last update of a segment: all of them see what acting saw.
            tally = None if updates_left else collector.take_tally()
            learner.push(flat.gradient, env_steps, losses, episodes, tally)
        else:
            learner.push(None, env_steps, {}, episodes, collector.take_tally())
        between(updates_left)
    return updates_left


def run_work(
    work: tuple["Learner", "Collector", "Experience"], saved: bytes | None, tell: Callable[[str, dict[int, bytes]], Any]
) -> None:
    """Run a worker to the end of the run.

    Args:
        work: what `build_worker` made.
        saved: the `worker_state` to continue from, or None for a beginning.
        tell: is given "state" and worker states by rank, for each checkpoint that is due and at the end; and "done",
            with no state, when all is closed.
    """
    learner, collector, experience = work
    updates_left = 0 if saved is None else load_worker_state(collector, experience, saved)
    told = -1  # number of the last checkpoint that got this worker's state

    def tell_state(updates_left: int) -> None:
        tell("state", learner.gather(worker_state(collector, experience, updates_left)))

    def between(updates_left: int) -> None:
        nonlocal told
        number = learner.ledger.dues.checkpoint_number
        if learner.ledger.dues.checkpoint and told != number:
            told = number
            tell_state(updates_left)
        learner.wait_for_parent()

    learner.publish()
    learner.wait_for_parent()  # a resumed run may have stopped before a verdict
    tell_state(run_segments(learner, collector, experience, between, updates_left))
    collector.environments.close()
    tell("done", {})
