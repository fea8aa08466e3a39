"""Small replay learners for tests, and the slow definition of what they learn: one step and one window at a time."""

import copy
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

import envs
from rl.acting.randomness import TRAINING
from rl.acting.segment import Segment
from rl.agent.agent import Agent, AgentOutput
from rl.agent.build import agent_for
from rl.agent.flat import FlatAgent
from rl.config import Config
from rl.learning.replay.buffer import Window
from rl.learning.replay.experience import ReplayExperience
from rl.loop import build_worker
from rl.running.setup import set_up
from tests.support.rl_small import enlivened, small_config

SEQUENCES = ("zero", "zero_burn_in", "stored", "stored_burn_in")
WAYS = ("transitions", *SEQUENCES, "episodes")


def replay_config(**options) -> Config:
    """Dice, 3 environments, segments of 4, 24 rows of each; sequences of 4 behind a burn-in of 3, 2-step targets."""
    small = {
        "env": "Dice-v0",
        "algorithm": "q_replay",
        "replay_capacity": 72,
        "replay_warm_up": 12,
        "replay_batch": 7,
        "sequence_length": 4,
        "burn_in": 3,
        "target_steps": 2,
        "discount": 0.9,
        "wandb": "disabled",
        "epsilon_first": 0.5,
        "epsilon_last": 0.5,
    }
    return small_config(**{**small, **options})


class Step(NamedTuple):
    """A step of one environment, as it happened."""

    observation: Tensor  # [feature]
    is_first: bool
    action: Tensor  # [*shape of an action]
    reward: float
    terminated: bool
    truncated: bool
    final_observation: Tensor  # [feature]; of a step that is truncated and not terminated
    log_prob: float


class Replay:
    """A worker that fills its buffer, and every step that it ever took: `history[column][number]`."""

    def __init__(self, config: Config, segments: int = 0) -> None:
        setup = set_up(config, envs.make_vector)
        self.learner, self.collector, experience = build_worker(0, config, envs.make_vector, setup.memory, TRAINING)
        assert isinstance(experience, ReplayExperience)
        self.config, self.setup, self.experience = config, setup, experience
        self.learner.parameters.copy_(FlatAgent(self.lively(config)).parameters)
        self.segments: list[Segment] = []
        self.history: list[list[Step]] = [[] for _ in range(config.envs_per_worker)]
        for _ in range(segments):
            self.act()

    def lively(self, config: Config) -> Agent:
        """An agent with strong opinions, of the seed of a config."""
        return enlivened(agent_for(config, self.collector.environments), config.seed)

    def act(self) -> int:
        """One more segment; how many updates are due."""
        self.learner.pull(self.experience.flat)
        segment = self.collector.collect()
        self.segments.append(segment)
        for b, column in enumerate(self.history):
            for t in range(len(segment.actions)):
                column.append(
                    Step(
                        segment.observations[t, b],
                        bool(segment.is_first[t, b]),
                        segment.actions[t, b],
                        float(segment.rewards[t, b]),
                        bool(segment.terminated[t, b]),
                        bool(segment.truncated[t, b]),
                        segment.final_observations[t, b],
                        float(segment.log_probs[t, b]),
                    )
                )
        return self.experience.add(segment)

    def use_target(self, seed: int = 9) -> Agent | None:
        """Give the target network, if there is one, parameters of its own, which stay until the next copy is due."""
        if not self.config.has_q_values:
            return None
        target = self.experience.target
        target.load(FlatAgent(self.lively(replace(self.config, seed=seed))).parameters)
        self.experience.target_copy = 0
        return target.agent

    def place(self, window: Window, b: int) -> tuple[int, int]:
        """Column and number of the first row of a drawn window, by its observation: those of Dice are all different."""
        return self.places[tuple(window.observations[0, b].tolist())]

    @property
    def places(self) -> dict[tuple[float, ...], tuple[int, int]]:
        return {
            tuple(step.observation.tolist()): (b, number)
            for b, column in enumerate(self.history)
            for number, step in enumerate(column)
        }

    def stored_state(self, b: int, number: int) -> tuple[Tensor, ...]:
        """The state that the actor had before a row that starts a segment, [layer, 1, hidden] each."""
        segment, row = divmod(number, self.config.segment_length)
        assert row == 0
        return tuple(part[:, b : b + 1] for part in self.segments[segment].core_state)


def plain_q(output: AgentOutput) -> Tensor:
    """Q(a) = V + A(a) − the mean of A, action by action; [action] of one observation. −∞ of those that are masked."""
    advantages = output.logits[0]
    those = [advantage for advantage in advantages if advantage > -1e7]
    mean = sum(those) / len(those)
    return torch.stack(
        [output.values[0] + a - mean if a > -1e7 else torch.full_like(a, -torch.inf) for a in advantages]
    )


class Look(NamedTuple):
    """What an agent sees at one row of a window: its output there, and what it would say of the final observation."""

    output: AgentOutput
    final: AgentOutput


def looks(agent: Agent, steps: list[Step], state: tuple[Tensor, ...], burn_in: int, fresh: bool) -> list[Look]:
    """Step through consecutive rows of one environment from a state, or see each by itself; burn-in has no gradient."""
    seen = []
    for t, step in enumerate(steps):
        with torch.set_grad_enabled(t >= burn_in):
            output, state = agent.step(step.observation[None], state, torch.tensor([step.is_first or fresh]))
        with torch.no_grad():
            final, _ = agent.step(step.final_observation[None], state, torch.tensor([fresh]))
        seen.append(Look(output, final))
    return seen


class Slow(NamedTuple):
    """The definition's answer."""

    loss: float
    gradient: Tensor  # [parameter]
    errors: Tensor  # [time, batch]


def flat_gradient(agent: Agent, loss: Tensor) -> Tensor:
    parts = torch.autograd.grad(loss, list(agent.parameters()), materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


def windows_of(replay: Replay, window: Window) -> list[tuple[list[Step], tuple[Tensor, ...]]]:
    """The rows of each drawn window in the history, burn-in included, and the state that its way starts from."""
    config, found = replay.config, []
    for b in range(window.observations.shape[1]):
        column, number = replay.place(window, b)
        rows = replay.history[column][number : number + config.sequence_span]
        stored = config.replay_way.startswith("stored")
        state = replay.stored_state(column, number) if stored else replay.experience.agent.initial_state(1)
        found.append((rows, state))
    return found


def learnt_reward(step: Step, config: Config) -> float:
    """A step's reward as the loss has it."""
    return config.reward_scale * (max(-1.0, min(step.reward, 1.0)) if config.clip_rewards else step.reward)


def slow_q_learning(replay: Replay, window: Window, agent: Agent, target: Agent) -> Slow:
    """½ mean w (Q(oₜ, aₜ) − Gₜ)² of drawn windows, each target added up reward by reward as the textbook has it."""
    config, losses, errors = replay.config, [], []

    def worth(online: AgentOutput, frozen: AgentOutput) -> float:
        q_target = plain_q(frozen)
        best = plain_q(online) if config.double_q else q_target
        return q_target[best.argmax()].item()

    for b, (rows, state) in enumerate(windows_of(replay, window)):
        fresh = config.replay_way == "transitions"
        seen, frozen = (looks(who, rows, state, config.burn_in_rows, fresh) for who in (agent, target))
        for t in range(config.burn_in_rows, config.burn_in_rows + config.trained_rows):
            earned, discount = 0.0, 1.0
            for k in range(config.target_steps):
                step = rows[t + k]
                earned += discount * learnt_reward(step, config)
                discount *= config.discount
                if step.terminated:
                    break
                if step.truncated:
                    earned += discount * worth(seen[t + k].final, frozen[t + k].final)
                    break
            else:
                behind = t + config.target_steps
                earned += discount * worth(seen[behind].output, frozen[behind].output)
            error = plain_q(seen[t].output)[rows[t].action] - earned
            losses.append(0.5 * float(window.weights[b]) * error.square())
            errors.append(error.item())
    loss = sum(losses) / (len(losses) if config.loss_reduction == "mean" else 1)
    table = torch.tensor(errors, dtype=torch.float64).view(-1, config.trained_rows).T
    return Slow((sum(losses) / len(losses)).item(), flat_gradient(agent, loss), table)


def own_copy(agent: Agent) -> Agent:
    """The same parameters, and gradients that nobody else sees."""
    return copy.deepcopy(agent)


def differentiated(replay: Replay, window: Window) -> tuple[dict[str, float], Tensor, Any]:
    """What `differentiate` logs, the gradient that it leaves, and the priorities that it sets, for given windows."""
    experience, given = replay.experience, []
    experience.draw = lambda: window
    experience.buffer.set_priorities = lambda slots, priorities: given.append(priorities)
    losses = experience.differentiate()
    return losses, experience.flat.gradient.clone(), given[0]
