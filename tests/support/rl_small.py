"""Small agents and collectors for tests, and two environments: one can be known beforehand, one ends in every way."""

from collections.abc import Callable
from dataclasses import replace

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

import envs
from rl.acting.collector import Collector
from rl.acting.policies import acting_policy
from rl.acting.randomness import TRAINING, ActionNoise, environment_seeds
from rl.acting.segment import Segment
from rl.agent import build
from rl.agent.agent import Agent, AgentOutput, PlainUnrolled
from rl.agent.recorded.recording import Recording
from rl.agent.recorded.which import make_unrolled
from rl.config import Config
from rl.learning.actor_critic import actor_critic_loss, moments, normalised
from rl.learning.returns import targets
from rl.names import load
from tests.support.bits import assert_bit_equal
from tests.support.configs import cartpole_config

# What a segment holds [time, batch] or [time + 1, batch] of.
ROWS = ("observations", "is_first", "actions", "rewards", "terminated", "truncated", "truncation_values")


class Count(gymnasium.Env):
    """Observes (episode, step), both over 8; step t earns t + 1; ends after `length` steps, in the way of `end`."""

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own convention)
    observation_space = Box(0, 1000, (2,))
    action_space = Discrete(2)

    def __init__(self, length: int = 3, end: str = "terminated"):
        self._length, self._end, self._episode, self._step = length, end, -1, 0

    def reset(self, *, seed=None, options=None):
        self._episode, self._step = self._episode + 1, 0
        return self._observe(), {}

    def step(self, action):
        self._step += 1
        last = self._step == self._length
        flags = last and self._end in ("terminated", "both"), last and self._end in ("truncated", "both")
        return self._observe(), float(self._step), *flags, {}

    def _observe(self):
        return np.array([self._episode, self._step], dtype=np.float32) / 8


class Dice(gymnasium.Env):
    """Observes two random numbers, the second shifted by the action; earns 0 to 9; terminates with probability 0.15, is
    truncated with 0.15, both at once with 0.05 of each: whatever the policy, all endings come."""

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own convention)
    observation_space = Box(-1, 1, (2,))
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observe(0), {}

    def step(self, action):
        throw, reward = self.np_random.random(), int(self.np_random.integers(10))
        return self._observe(action), float(reward), throw < 0.15, 0.1 < throw < 0.25, {}

    def _observe(self, action):
        return (self.np_random.random(2) - (0, action)).astype(np.float32)


gymnasium.register("Count-v0", Count)
gymnasium.register("Dice-v0", Dice)


def small_config(**options) -> Config:
    """3 environments, segments of 4 steps, a network of a few units in float64, the environment's own rewards."""
    small = {"mode": "serial", "workers": 1, "envs_per_worker": 3, "segment_length": 4, "reward_scale": 1.0}
    network = {"core": "lstm", "hidden_size": 5, "torso_size": 6, "dtype": "float64", "unroll": "again"}
    return cartpole_config(**{**small, **network, "normalise_advantages": False, **options})


def make_agent(config: Config, observation_size: int, num_actions: int = 2) -> Agent:
    """The agent of a config for so many features and actions."""
    return build.make_agent(config, Box(-np.inf, np.inf, (observation_size,)), Discrete(num_actions))


def lively_agent(config: Config, observation_size: int, num_actions: int = 2) -> Agent:
    """An agent with strong opinions: a new one finds all actions equally good, so that no test would notice much."""
    return enlivened(make_agent(config, observation_size, num_actions), config.seed)


def enlivened(agent: Agent, seed: int) -> Agent:
    """The agent, with strong opinions."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in agent.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        layer = getattr(agent.policy_head, "linear", agent.policy_head)
        layer.weight *= 2.0
        layer.bias.zero_()  # what it sees and remembers decides
    return agent


def small_collector(config: Config, wrap=lambda environments: environments, first: int = 0) -> Collector:
    """A Collector of the config's environments, numbered from `first`, with a lively agent."""
    environments = wrap(envs.make_vector(config.env, config.envs_per_worker, **config.environment_options))
    owned = range(first, first + config.envs_per_worker)
    agent = enlivened(build.agent_for(config, environments), config.seed)
    rows = 0 if config.stops_at_episode_end else config.segment_length + 1
    return Collector(
        environments,
        agent,
        ActionNoise(config.seed, TRAINING, owned),
        environment_seeds(config.seed, TRAINING, owned),
        config.segment_length,
        config.carry_state,
        make_unrolled(agent, rows, config.envs_per_worker, config.unroll == "recorded"),
        stop_at_episode_end=config.stops_at_episode_end,
        policy=acting_policy(config, owned),
        for_replay=config.replays,
    )


def is_recorded(collector: Collector) -> bool:
    """Whether the collector keeps the activations of acting."""
    return isinstance(collector.unrolled, Recording)


def alone(values: Tensor) -> Tensor:
    """The sum over one worker."""
    return values


def segment_loss(
    agent: Agent, segment: Segment, config: Config, sum_over_workers=alone, targets=targets
) -> tuple[Tensor, dict[str, float]]:
    """The scalar loss of a segment and what is logged: unroll again, make targets, then the definition."""
    output, _ = agent.unroll(segment.observations, segment.core_state, segment.is_first)
    returns = targets(segment, output.values.detach(), config)
    values = output.values[:-1]
    advantages = returns - values.detach() if config.baseline == "value" else returns
    if config.normalise_advantages:
        advantages = normalised(advantages, sum_over_workers(moments(advantages)))
    steps = AgentOutput(output.logits[:-1], values)
    return actor_critic_loss(steps, agent.actions, segment.actions, returns, advantages, config)


class Alone:
    """A learner of one worker, as far as an experience sees it."""

    rank, pulled_version = 0, 0

    def __init__(self, sum_over_workers=alone):
        self.sum_over_workers = sum_over_workers


class Flat:
    """An agent in the place of a FlatAgent, where no flat vector is wanted."""

    def __init__(self, agent: Agent):
        self.agent = agent


def differentiate(source: Collector | Agent, segment: Segment, config: Config, *sums, **options) -> dict[str, float]:
    """Leave the gradient of a segment in the agent as a worker does: by what acting kept, if a collector is given."""
    agent, unrolled = (source.agent, source.unrolled) if isinstance(source, Collector) else (source, None)
    if isinstance(unrolled, Recording):
        config = replace(config, unroll="recorded")
    make, unrolled = load(config.algorithm_record.experience), unrolled or PlainUnrolled(agent)
    experience = make(config, Flat(agent), unrolled, Alone(*sums), None, 0, **options)
    experience.add(segment)
    return experience.differentiate()


class Probe:
    """Notes the outputs that each environment step followed from, and those that each gradient was computed from."""

    def __init__(self, collector, monkeypatch):
        self.acting, self.learning, self.unrolls = [], [], 0
        agent, environments = collector.agent, collector.environments
        recording = collector.unrolled if is_recorded(collector) else None
        agent_unroll, environment_step = agent.unroll, environments.step

        def noting(step):
            def noting_step(*arguments):
                output, state = step(*arguments)
                self.newest = AgentOutput(*(part.clone() for part in output))
                return output, state

            return noting_step

        def noting_environment_step(actions):
            self.acting.append(self.newest)
            return environment_step(actions)

        def noting_unroll(*arguments):
            output, state = agent_unroll(*arguments)
            self.learning.append(output)
            self.unrolls += 1
            return output, state

        monkeypatch.setattr(agent, "step", noting(agent.step))
        monkeypatch.setattr(agent, "unroll", noting_unroll)
        monkeypatch.setattr(environments, "step", noting_environment_step)
        if recording:
            begin, acted = recording.begin, recording.acted

            def noting_acted(*arguments):
                self.learning.append(acted(*arguments))
                return self.learning[-1]

            monkeypatch.setattr(recording, "begin", lambda: noting(begin()))
            monkeypatch.setattr(recording, "acted", noting_acted)


def random_segment(config: Config, observation_size: int = 3, ends: float = 0.2, seed: int = 0) -> Segment:
    """A segment of random numbers, in which each step ends its episode with probability `ends`, half by truncation."""
    generator = np.random.default_rng(seed)
    steps, batch = config.segment_length, config.envs_per_worker
    chance = generator.random((steps, batch))
    terminated, truncated = chance < ends / 2, (chance >= ends / 2) & (chance < ends)
    is_first = np.concatenate((generator.random((1, batch)) < ends, terminated | truncated))
    observations = generator.normal(size=(steps + 1, batch, observation_size))
    rewards, values = generator.normal(size=(2, steps, batch))
    state = lively_agent(config, observation_size).initial_state(batch)
    return Segment(
        torch.from_numpy(observations),
        torch.from_numpy(is_first),
        torch.from_numpy(generator.integers(2, size=(steps, batch))),
        torch.from_numpy(rewards),
        torch.from_numpy(terminated),
        torch.from_numpy(truncated),
        torch.from_numpy(values * truncated),
        tuple(torch.from_numpy(generator.normal(size=tuple(part.shape))) for part in state),
    )


def changed(segment: Segment, change: Callable[[Tensor], Tensor]) -> Segment:
    """Another segment, whose tensors but for the core state are what `change` makes of them."""
    return segment._replace(**{name: change(getattr(segment, name)) for name in ROWS})


def joined(segments: list[Segment]) -> Segment:
    """Consecutive segments as one long one."""
    columns = {name: torch.cat([getattr(segment, name) for segment in segments]) for name in ROWS}
    for name in ("observations", "is_first"):
        columns[name] = torch.cat([getattr(s, name)[:-1] for s in segments] + [getattr(segments[-1], name)[-1:]])
    return segments[0]._replace(**columns)


def assert_same_segment(one: Segment, other: Segment) -> None:
    """Equal in every bit of what the environments and the actor made."""
    for name in (*ROWS, "core_state"):
        assert_bit_equal(getattr(one, name), getattr(other, name), name)
