"""A worker in this process, to be measured."""

from typing import TYPE_CHECKING

from rl.config import Config

if TYPE_CHECKING:
    from rl.acting.collector import Collector
    from rl.learning.experience import Experience
    from rl.parameters.learner import Learner


def built_worker(config: Config) -> tuple["Learner", "Collector", "Experience"]:
    """Build the only worker of a run that nobody records, with the parameters that it was drawn with."""
    from envs.vector.make_vector import make_vector
    from rl.agent.build import agent_for
    from rl.agent.flat import FlatAgent
    from rl.agent.scales import sums_size
    from rl.loop import build_worker
    from rl.shared.learner_memory import LearnerMemory

    environments = make_vector(config.env, 1, **config.environment_options)
    drawn = FlatAgent(agent_for(config, environments))
    memory = LearnerMemory(config, len(drawn), sums=sums_size(drawn.agent.scales))
    environments.close()
    learner, collector, experience = build_worker(0, config, make_vector, memory, 0)
    experience.flat.gradient.zero_()
    learner.parameters.copy_(drawn.parameters)
    return learner, collector, experience
