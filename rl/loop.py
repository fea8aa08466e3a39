"""Workers: processes that own environments and a local agent, pull parameters, act, differentiate and push.

Nothing here imports torch before the worker watches its parent: a worker must end with its parent even while it is
still importing.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from rl.acting.denormals import denormals_as_zeros
from rl.config import Config
from rl.shared.learner_memory import LearnerMemory
from rl.shared.ledger import Ledger

if TYPE_CHECKING:
    import gymnasium

    from rl.acting.collector import Collector
    from rl.learning.experience import Experience
    from rl.parameters.learner import Learner
from rl.record.worker_state import load_worker_state, worker_state


class Overrides(NamedTuple):
    """Overrides of learning that an experiment puts in the place of rl's own (None); spawned workers import them."""

    targets: Callable[..., Any] | None = None  # as rl.learning.actor_critic.targets
    make_learner: Callable[..., Any] | None = None  # as rl.parameters.learner.make_learner
    watch: Callable[..., Any] | None = None  # wraps an Experience, to measure while it learns; is given config and rank


NO_OVERRIDES = Overrides()  # all of them rl's own


def build_worker(
    rank: int,
    config: Config,
    make_environments: Callable[..., "gymnasium.vector.VectorEnv"],
    memory: LearnerMemory,
    ledger: Ledger,
    training_key: int,
    parts: Overrides = NO_OVERRIDES,
) -> tuple["Learner", "Collector", "Experience"]:
    """The learner's end, the Collector and the experience of worker `rank`, which owns its block of environments."""
    from rl.acting.collector import Collector
    from rl.acting.policies import acting_policy
    from rl.acting.randomness import ActionNoise, environment_seeds
    from rl.agent.build import agent_for
    from rl.agent.flat import FlatAgent
    from rl.learning.actor_critic import targets
    from rl.learning.experience import OnlineExperience
    from rl.parameters.sync import make_learner

    owned = range(rank * config.envs_per_worker, (rank + 1) * config.envs_per_worker)
    environments = make_environments(config.env, config.envs_per_worker, **config.environment_options)
    flat = FlatAgent(agent_for(config, environments))
    noise = ActionNoise(config.seed, training_key, owned)
    seeds = environment_seeds(config.seed, training_key, owned)
    collector = Collector(
        environments,
        flat.agent,
        noise,
        seeds,
        config.segment_length,
        config.carry_state,
        record=config.unroll == "recorded",
        stop_at_episode_end=config.stops_at_episode_end,
        policy=acting_policy(config, owned),
        for_replay=config.replays,
        progress=memory.signs.progress[rank : rank + 1],
    )
    learner = (parts.make_learner or make_learner)(config, memory, ledger, rank)
    if config.replays:
        from rl.learning.replay.experience import ReplayExperience

        features = environments.single_observation_space.shape[0]
        experience = ReplayExperience(config, flat, learner, features, training_key)
    else:
        experience = OnlineExperience(config, flat, learner, parts.targets or targets)
    return learner, collector, parts.watch(experience, config, rank) if parts.watch else experience


@denormals_as_zeros()
def run_segments(
    learner: "Learner", collector: "Collector", experience: "Experience", between: Callable[[int], Any], left: int = 0
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
    work: tuple["Learner", "Collector", "Experience"], saved: bytes | None, tell: Callable[[str, dict[int, bytes]], Any]
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
        learner.wait_for_parent()

    learner.publish()
    learner.wait_for_parent()  # a run that goes on may have stopped before a verdict
    stand(run_segments(learner, collector, experience, between, left))
    collector.environments.close()
    tell("done", {})
