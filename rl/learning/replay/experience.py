"""Experience from a replay buffer: segments go in, windows are drawn, gradients come out."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl.acting.policies import q_values
from rl.acting.randomness import generator
from rl.acting.segment import Segment
from rl.agent.agent import AgentOutput
from rl.agent.build import make_agent
from rl.agent.flat import FlatAgent
from rl.config import Config
from rl.learning.actor_critic import actor_critic_gradient, normalise
from rl.learning.q_learning import q_gradient
from rl.learning.replay.buffer import SequenceBuffer, Window
from rl.learning.replay.episodes import EpisodeReader
from rl.learning.returns import fixed_n_step_returns, vtrace_returns
from rl.learning.unrolled import make_unroll, values_of_final_observations
from rl.parameters.learner import Learner

ETA = 0.9  # of a sequence's priority: η max |δ| + (1 − η) mean |δ| (Kapturowski et al. 2019, §2.3)


class ReplayExperience:
    """One worker's buffer, and the unrolls of what is drawn from it (DRQN, Hausknecht & Stone 2015; R2D2).

    Every worker has a buffer of its own environments and learns from that one, as in Gorila (Nair et al. 2015, §3); its
    gradients go to the same learner as an online worker's.
    """

    def __init__(self, config: Config, flat: FlatAgent, learner: Learner, features: int, training_key: int) -> None:
        """Allocate the buffer and the unrolls.

        Args:
            config: of the run.
            flat: the worker's agent.
            learner: is asked for the version of the parameters.
            features: of an observation.
            training_key: of the random numbers.
        """
        self.config, self.flat, self.learner, self.agent = config, flat, learner, flat.agent
        actions = self.agent.policy_head.out_features
        batch = config.replay_batch
        self.buffer = SequenceBuffer(
            config.replay_rows,
            config.envs_per_worker,
            config.segment_length,
            features,
            self.agent.initial_state(config.envs_per_worker),
            self.agent.policy_head.weight.dtype,
            generator(config.seed, training_key, "replay", learner.rank),
            config.priority_exponent,
            config.importance_exponent,
        )
        self.reader = EpisodeReader(self.buffer, batch)
        self.single = config.replay_way == "transitions"
        self.rows = 2 if self.single else config.sequence_span  # that are unrolled
        recorded = config.unroll == "recorded"
        self.unroll = make_unroll(self.agent, config.burn_in_rows, self.rows, batch, recorded)
        self.target = FlatAgent(make_agent(config, features, actions))
        self.target_unroll = make_unroll(self.target.agent, self.rows, self.rows, batch, recorded)
        self.target_copy = -1  # which of the copies it is
        self.state_read = self.target_state = self.agent.initial_state(batch)  # of whole episodes, between their pieces
        self.due = 0.0

    def add(self, segment: Segment) -> int:
        """Write a segment to the buffer; updates are due once it is warm, `replay_ratio` steps for each that came."""
        config, buffer = self.config, self.buffer
        buffer.add(segment, self.learner.pulled_version)
        warm = buffer.seen * config.total_environments >= config.replay_warm_up and buffer.can_draw(
            config.sequence_span
        )
        if not warm:
            return 0
        if config.replay_way == "episodes" and not self.learner.all_ready(len(buffer.openings()) > 0):
            return 0
        self.due += config.replay_ratio * segment.env_steps / (config.replay_batch * config.trained_rows)
        updates, self.due = divmod(self.due, 1.0)
        return int(updates)

    def differentiate(self) -> dict[str, float]:
        """Draw windows and leave the gradient of their loss in the agent."""
        config, window = self.config, self.draw()
        state = self.state_read if config.replay_way == "episodes" else self.starting_state(window)
        output = self.unroll.forward(window.observations, state, window.is_first)
        gradient = self.q_learning if config.has_q_values else self.actor_critic
        d_logits, d_values, losses, priorities = gradient(window, output)
        self.unroll.backward(d_logits, d_values)
        self.buffer.set_priorities(window.slots, priorities)
        if config.replay_way == "episodes":
            self.state_read = copied(self.unroll.state_after(config.trained_rows - 1))
        ages = self.learner.pulled_version - window.versions
        return losses | {"state_age": ages.double().mean().item()}

    def draw(self) -> Window:
        """The windows of one update."""
        config = self.config
        if self.single:
            return self.buffer.draw_transitions(config.replay_batch, config.following_rows)
        if config.replay_way == "episodes":
            return self.reader.read(config.trained_rows, config.following_rows)
        return self.buffer.draw_sequences(config.replay_batch, self.rows)

    def starting_state(self, window: Window) -> tuple[Tensor, ...]:
        """What the first row of each window is seen from."""
        if self.config.replay_way.startswith("stored"):
            return window.core_state
        return self.agent.initial_state(self.config.replay_batch)

    def state(self) -> dict[str, Any]:
        """The buffer, what is read of whole episodes, the target network, and the updates that are due in part."""
        reader = self.reader
        return {
            "buffer": self.buffer.state(),
            "reader": [reader.numbers.tolist(), reader.columns.tolist()],
            "states": [[part.clone() for part in of] for of in (self.state_read, self.target_state)],
            "target": self.target.parameters.clone(),
            "target_copy": self.target_copy,
            "due": self.due,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self.buffer.load_state(state["buffer"])
        self.reader.numbers[:], self.reader.columns[:] = state["reader"]
        self.state_read, self.target_state = (tuple(parts) for parts in state["states"])
        self.target.load(state["target"])
        self.target_copy, self.due = state["target_copy"], state["due"]

    # --- the losses; rows before `burn_in_rows` have none

    def q_learning(self, window: Window, output: AgentOutput) -> tuple[Tensor, Tensor, dict[str, float], np.ndarray]:
        """Double Q-learning with n-step targets (van Hasselt et al. 2016, eq. 4; Hessel et al. 2018).

        G = Σ γᵏ rₜ₊ₖ + γⁿ Q⁻(oₜ₊ₙ, argmax Q(oₜ₊ₙ)), the target network Q⁻ unrolled over the same rows.
        """
        config = self.config
        self.renew_target()
        state = self.target_state if config.replay_way == "episodes" else self.starting_state(window)
        target_output = self.target_unroll.forward(window.observations, state, window.is_first)
        if config.replay_way == "episodes":
            self.target_state = copied(self.target_unroll.state_after(config.trained_rows - 1))
        first, trained = config.burn_in_rows, config.trained_rows
        following = slice(1, None) if self.single else slice(first + config.target_steps, None)
        values = self.chosen_values(
            AgentOutput(*(part[following] for part in output)),
            AgentOutput(*(part[following] for part in target_output)),
        )
        rewards, discounts = self.continued(window, first)
        returns = fixed_n_step_returns(rewards, discounts, values, config.target_steps)
        rows = slice(first, first + trained)
        d_logits, d_values, losses, errors = q_gradient(
            AgentOutput(*(part[rows] for part in output)), window.actions[rows], returns, window.weights, config
        )
        return d_logits, d_values, losses, sequence_priorities(errors)

    def actor_critic(self, window: Window, output: AgentOutput) -> tuple[Tensor, Tensor, dict[str, float], np.ndarray]:
        """The online loss, with V-trace's returns and advantages (Espeholt et al. 2018, §4)."""
        config, first = self.config, self.config.burn_in_rows
        rewards, discounts = self.continued(window, first)
        steps = AgentOutput(output.logits[first:-1], output.values[first:-1])
        actions = window.actions[first:]
        log_probs = steps.logits.log_softmax(-1).gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        trace_lambda = config.gae_lambda if config.returns == "gae" else 1.0
        returns, advantages = vtrace_returns(
            rewards, discounts, output.values[first:], log_probs - window.log_probs[first:], trace_lambda
        )
        errors = returns - steps.values
        if config.normalise_advantages:
            advantages = normalise(advantages, self.learner.sum_over_workers)
        return *actor_critic_gradient(steps, actions, returns, advantages, config), sequence_priorities(errors)

    def continued(self, window: Window, first: int) -> tuple[Tensor, Tensor]:
        """Scaled rewards with γ V(final observation) of truncated steps added, and discounts, of rows from `first` on.

        Both [rows − 1 − first, batch], as in rl.learning.actor_critic.targets.
        """
        config = self.config
        rewards = config.reward_scale * window.rewards
        cut = window.truncated & ~window.terminated
        cut[:first] = False
        if cut.any():
            said = values_of_final_observations(self.agent, self.unroll, window.final_observations, cut, self.single)
            if config.has_q_values:
                target = values_of_final_observations(
                    self.target.agent, self.target_unroll, window.final_observations, cut, self.single
                )
                values = self.chosen_values(said, target)
            else:
                values = said.values
            rewards[cut] += config.discount * values
        ended = window.terminated | window.truncated
        discounts = torch.full_like(rewards, config.discount).masked_fill(ended, 0.0)
        return rewards[first:], discounts[first:]

    def chosen_values(self, output: AgentOutput, target_output: AgentOutput) -> Tensor:
        """What the target network holds of the best action: the online network's best, or its own."""
        q_target = q_values(target_output)
        if not self.config.double_q:
            return q_target.amax(-1)
        return q_target.gather(-1, output.logits.argmax(-1, keepdim=True)).squeeze(-1)

    def renew_target(self) -> None:
        """Copy the parameters into the target network, where another interval of updates has begun."""
        copy = self.learner.pulled_version // self.config.target_interval
        if copy != self.target_copy:
            self.target.load(self.flat.parameters)
            self.target_copy = copy


def sequence_priorities(errors: Tensor) -> np.ndarray:
    """η max |δ| + (1 − η) mean |δ| of each column [batch] of errors [time, batch]."""
    sizes = errors.abs()
    return (ETA * sizes.amax(0) + (1.0 - ETA) * sizes.mean(0)).double().numpy()


def copied(core_state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """A core state that does not lie in a recording's buffers."""
    return tuple(part.clone() for part in core_state)
