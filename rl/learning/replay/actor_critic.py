"""Actor-critic from a replay buffer, corrected by V-trace."""

from torch import Tensor

from rl.agent.agent import AgentOutput
from rl.agent.unrolled import values_of_final_observations
from rl.learning.actor_critic import actor_critic_gradient, moments, normalised
from rl.learning.replay.buffer import Window
from rl.learning.replay.experience import ReplayExperience
from rl.learning.returns import vtrace_returns


class ReplayActorCritic(ReplayExperience):
    """The online loss, with V-trace's returns and advantages (Espeholt et al. 2018, §4)."""

    def gradient(self, window: Window, output: AgentOutput) -> tuple[AgentOutput, dict[str, float], Tensor]:
        """Gradient, logged numbers, and errors v − V."""
        config, first, distribution = self.config, self.config.burn_in_rows, self.agent.actions
        rewards, discounts = self.continued(window)
        steps = AgentOutput(output.logits[first:-1], output.values[first:-1])
        actions = window.actions[first:]
        log_ratios = distribution.log_probs(steps.logits, actions) - window.log_probs[first:]
        trace_lambda = config.gae_lambda if config.returns == "gae" else 1.0
        returns, advantages = vtrace_returns(rewards, discounts, output.values[first:], log_ratios, trace_lambda)
        errors = returns - steps.values
        if config.normalise_advantages:
            advantages = normalised(advantages, self.learner.sum_over_workers(moments(advantages)))
        return *actor_critic_gradient(steps, distribution, actions, returns, advantages, config), errors

    def final_values(self, window: Window, cut: Tensor) -> Tensor:
        """V(final observation)."""
        return values_of_final_observations(
            self.agent, self.unrolled, window.final_observations, cut, self.single
        ).values
