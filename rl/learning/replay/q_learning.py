"""Double, duelling Q-learning from a replay buffer, with a target network and n-step targets."""

import copy
from typing import Any

from einops import rearrange
from torch import Tensor

from rl.acting.policies import q_values
from rl.agent.actions.distribution import ONE_LESS
from rl.agent.agent import AgentOutput
from rl.agent.flat import FlatAgent
from rl.agent.recorded.which import make_unrolled
from rl.agent.unrolled import values_of_final_observations
from rl.learning.q_learning import q_gradient
from rl.learning.replay.buffer import Window
from rl.learning.replay.experience import ReplayExperience
from rl.learning.returns import fixed_n_step_returns


class ReplayQLearning(ReplayExperience):
    """Double Q-learning with n-step targets (van Hasselt et al. 2016, eq. 4; Hessel et al. 2018).

    G = Σ γᵏ rₜ₊ₖ + γⁿ Q⁻(oₜ₊ₙ, argmax Q(oₜ₊ₙ)), the target network Q⁻ unrolled over the same rows.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Add a target network to a ReplayExperience."""
        super().__init__(*arguments, **options)
        config = self.config
        self.target = FlatAgent(copy.deepcopy(self.agent))
        recorded = config.unroll == "recorded"
        self.target_unrolled = make_unrolled(self.target.agent, self.rows, config.replay_batch, recorded, self.rows)
        self.target_copy = -1  # number of the last copy of the parameters
        self.target_state_read = self.agent.initial_state(config.replay_batch)

    def gradient(self, window: Window, output: AgentOutput) -> tuple[AgentOutput, dict[str, float], Tensor]:
        """Gradient, logged numbers, and errors Q(a) − G."""
        config = self.config
        self.renew_target()
        target_output = self.unroll(self.target_unrolled, window, self.target_state_read)
        if self.reads_episodes:
            self.target_state_read = self.state_after_trained(self.target_unrolled)
        first = config.burn_in_rows
        following = slice(1, None) if self.single else slice(first + config.target_steps, None)
        values = self.best_values(rows_of(output, following), rows_of(target_output, following))
        rewards, discounts = self.continued(window)
        returns = fixed_n_step_returns(rewards, discounts, values, config.target_steps)
        trained = slice(first, first + config.trained_rows)
        return q_gradient(rows_of(output, trained), window.actions[trained], returns, window.weights, config)

    def best_values(self, output: AgentOutput, target_output: AgentOutput) -> Tensor:
        """What the target network says of the best action: the online network's best, or its own."""
        q_target = q_values(target_output)
        if not self.config.double_q:
            return q_target.amax(-1)
        return rearrange(q_target.gather(-1, output.logits.argmax(-1, keepdim=True)), ONE_LESS)

    def final_values(self, window: Window, cut: Tensor) -> Tensor:
        """Q⁻(final observation, best action)."""
        networks = (self.agent, self.unrolled), (self.target.agent, self.target_unrolled)
        said = (
            values_of_final_observations(agent, unrolled, window.final_observations, cut, self.single)
            for agent, unrolled in networks
        )
        return self.best_values(*said)

    def renew_target(self) -> None:
        """Copy the parameters into the target network, where another interval of updates has begun."""
        number = self.learner.pulled_version // self.config.target_interval
        if number != self.target_copy:
            self.target.load(self.flat.parameters)
            self.target_copy = number

    def state(self) -> dict[str, Any]:
        """The base class's state, and the target network with its core state."""
        own = {"target": self.target.parameters.clone(), "target_copy": self.target_copy}
        return super().state() | own | {"target_state_read": [part.clone() for part in self.target_state_read]}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from `state()`."""
        super().load_state(state)
        self.target.load(state["target"])
        self.target_copy, self.target_state_read = state["target_copy"], tuple(state["target_state_read"])


def rows_of(output: AgentOutput, rows: slice) -> AgentOutput:
    """Some rows of an output."""
    return AgentOutput(output.logits[rows], output.values[rows])
