"""Experience from a replay buffer: segments go in, windows are drawn, gradients come out."""

from typing import Any

import gymnasium
import numpy as np
from torch import Tensor

from rl.acting.randomness import generator
from rl.acting.segment import Segment
from rl.agent.agent import AgentOutput
from rl.agent.cores import CoreState
from rl.agent.flat import FlatAgent
from rl.agent.recorded.which import make_unrolled
from rl.agent.unrolled import Unrolled
from rl.config import Config
from rl.learning.experience import LearnerView
from rl.learning.replay.buffer import SequenceBuffer, Window
from rl.learning.replay.episodes import EpisodeReader
from rl.learning.returns import clipped, discounts_of
from rl.shared.not_finite import not_finite

ETA = 0.9  # of a sequence's priority: η max |δ| + (1 − η) mean |δ| (Kapturowski et al. 2019, §2.3)


class ReplayExperience:
    """One worker's buffer, and the unrolls of what is drawn from it (DRQN, Hausknecht & Stone 2015; R2D2).

    Every worker has a buffer of its own environments and learns from that one, as in Gorila (Nair et al. 2015, §3); its
    gradients go to the same learner as an online worker's. A subclass says what the gradient of a window is.
    """

    def __init__(
        self,
        config: Config,
        flat: FlatAgent,
        unrolled: Unrolled,
        learner: LearnerView,
        space: gymnasium.spaces.Box,
        training_key: int,
    ) -> None:
        """Allocate the buffer and the unroll of its windows.

        Args:
            config: sizes of the buffer and of what is drawn.
            flat: the worker's agent.
            unrolled: the agent over the segment just acted; this experience does not learn from it.
            learner: knows the workers that update together.
            space: observation space.
            training_key: key of the random numbers.
        """
        self.config, self.flat, self.learner, self.agent = config, flat, learner, flat.agent
        batch = config.replay_batch
        self.buffer = SequenceBuffer(
            config.replay_rows,
            config.envs_per_worker,
            config.segment_length,
            space,
            self.agent.actions,
            self.agent.initial_state(config.envs_per_worker),
            self.agent.dtype,
            generator(config.seed, training_key, "replay", learner.rank),
            config.priority_exponent,
            config.importance_exponent,
        )
        self.reader = EpisodeReader(self.buffer, batch)
        self.single = config.replay_way == "transitions"
        self.rows = 2 if self.single else config.sequence_span  # rows that are unrolled
        recorded = config.unroll == "recorded"
        self.unrolled = make_unrolled(self.agent, self.rows, batch, recorded, config.burn_in_rows)
        self.state_read = self.agent.initial_state(batch)  # of whole episodes, between their pieces
        self.due = 0.0  # updates that are due in part

    def add(self, segment: Segment) -> int:
        """Write a segment to the buffer; updates are due once it is warm, `replay_ratio` steps for each that came.

        Raises:
            FloatingPointError: a reward is not finite.
        """
        config, buffer = self.config, self.buffer
        if not segment.rewards.isfinite().all():  # else it would be drawn later, or never
            raise not_finite(
                "the rewards of a segment are not finite: look for nan or inf in what the environment gives"
            )
        buffer.add(segment, self.learner.pulled_version)
        warm = buffer.seen * config.total_environments >= config.replay_warm_up
        if not warm or not buffer.can_draw(config.sequence_span):
            return 0
        if self.reads_episodes and not self.learner.all_ready(len(buffer.openings()) > 0):
            return 0
        self.due += config.replay_ratio * segment.env_steps / (config.replay_batch * config.trained_rows)
        updates, self.due = divmod(self.due, 1.0)
        return int(updates)

    def differentiate(self) -> dict[str, float]:
        """Draw windows and leave the gradient of their loss in the agent.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        window = self.draw()
        output = self.unroll(self.unrolled, window, self.state_read)
        gradient, losses, errors = self.gradient(window, output)
        self.unrolled.backward(gradient)
        self.buffer.set_priorities(window.slots, sequence_priorities(errors))
        if self.reads_episodes:
            self.state_read = self.state_after_trained(self.unrolled)
        ages = self.learner.pulled_version - window.versions
        return losses | {"state_age": ages.double().mean().item()}

    def still_due(self, left: int) -> int:
        """All that are left."""
        return left

    def gradient(self, window: Window, output: AgentOutput) -> tuple[AgentOutput, dict[str, float], Tensor]:
        """The gradient of a window's loss, what is logged, and the errors of the values [trained, batch].

        Rows before `burn_in_rows` have no loss.

        Args:
            window: what was drawn.
            output: logits [rows, batch, head] and values [rows, batch].
        """
        raise TypeError(f"{type(self).__name__} must define gradient")

    def final_values(self, window: Window, cut: Tensor) -> Tensor:
        """What the final observations are worth [number], in the order of `cut.nonzero()`."""
        raise TypeError(f"{type(self).__name__} must define final_values")

    @property
    def reads_episodes(self) -> bool:
        """Whether whole episodes are read, in pieces."""
        return self.config.replay_way == "episodes"

    def draw(self) -> Window:
        """The windows of one update."""
        config = self.config
        if self.single:
            return self.buffer.draw_transitions(config.replay_batch, config.following_rows)
        if self.reads_episodes:
            return self.reader.read(config.trained_rows, config.following_rows)
        return self.buffer.draw_sequences(config.replay_batch, self.rows)

    def unroll(self, unrolled: Unrolled, window: Window, state_read: CoreState) -> AgentOutput:
        """Unroll windows from the state read so far of whole episodes, from the actor's state, or from a fresh one."""
        if self.reads_episodes:
            state = state_read
        elif self.config.replay_way.startswith("stored"):
            state = window.core_state
        else:
            state = self.agent.initial_state(self.config.replay_batch)
        return unrolled.unroll(window.observations, state, window.is_first)

    def state_after_trained(self, unrolled: Unrolled) -> CoreState:
        """A copy of the state behind the last row that was trained on: a recording's own lies in its buffers."""
        return tuple(part.clone() for part in unrolled.state_after(self.config.trained_rows - 1))

    def continued(self, window: Window) -> tuple[Tensor, Tensor]:
        """Scaled rewards with γ V(final observation) of truncated steps added, and discounts.

        Returns:
            Both [rows − 1 − burn-in, batch], as `rl.learning.returns.targets` has them.
        """
        config, first = self.config, self.config.burn_in_rows
        rewards = config.reward_scale * clipped(window.rewards, config)
        if self.agent.scales:
            rewards = self.agent.scales.rewards(rewards)
        cut = window.truncated & ~window.terminated
        cut[:first] = False
        if cut.any():
            rewards[cut] += config.discount * self.final_values(window, cut)
        return rewards[first:], discounts_of(rewards, window.terminated | window.truncated, config)[first:]

    def state(self) -> dict[str, Any]:
        """The buffer, what is read of whole episodes, and the updates that are due in part."""
        reader = self.reader
        return {
            "buffer": self.buffer.state(),
            "reader": [reader.numbers.tolist(), reader.columns.tolist()],
            "state_read": [part.clone() for part in self.state_read],
            "due": self.due,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from `state()`."""
        self.buffer.load_state(state["buffer"])
        self.reader.numbers[:], self.reader.columns[:] = state["reader"]
        self.state_read, self.due = tuple(state["state_read"]), state["due"]


def sequence_priorities(errors: Tensor) -> np.ndarray:
    """η max |δ| + (1 − η) mean |δ| of each column [batch] of errors [time, batch]."""
    sizes = errors.abs()
    return (ETA * sizes.amax(0) + (1.0 - ETA) * sizes.mean(0)).double().numpy()
