"""The two-headed network: torso -> core -> policy head and value head."""

from typing import NamedTuple

import gymnasium
import torch
from torch import Tensor, nn

from rl.config import Config
from rl.cores import CORES, Core, CoreState, orthogonal_linear


class AgentOutput(NamedTuple):
    """What the two heads say; leading axes as the input's."""

    logits: Tensor  # [..., action] unnormalised log-probabilities of the actions
    values: Tensor  # [...] expected return


class Agent(nn.Module):
    """A policy and a value function that share a torso and a core (Mnih et al. 2016, §5; the LSTM variant there).

    The agent holds parameters and no state: every call takes the core state and returns the next one.
    """

    def __init__(self, torso: nn.Module, core: Core, num_actions: int, detach_critic: bool = False) -> None:
        super().__init__()
        self.torso, self.core, self.detach_critic = torso, core, detach_critic
        self.policy_head = orthogonal_linear(core.hidden_size, num_actions, gain=0.01)
        self.value_head = orthogonal_linear(core.hidden_size, 1, gain=1.0)

    def initial_state(self, batch_size: int) -> CoreState:
        """Fresh core state of `batch_size` environments."""
        return self.core.initial_state(batch_size)

    def step(self, observation: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[AgentOutput, CoreState]:
        """Consume one observation of every environment.

        Args:
            observation: [batch, feature].
            core_state: the state before this observation.
            is_first: [batch] bool; such rows are reset before they consume it.

        Returns:
            Logits [batch, action] and values [batch], and the state after this observation.
        """
        output, core_state = self.core.step(self.torso(observation), core_state, is_first)
        return self.heads(output), core_state

    def unroll(self, observations: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[AgentOutput, CoreState]:
        """Consume a segment: observations [time, batch, feature], is_first [time, batch], the state before row 0.

        Returns:
            Logits [time, batch, action] and values [time, batch], and the state after the last row.
        """
        outputs, core_state = self.core.unroll(self.torso(observations), core_state, is_first)
        return self.heads(outputs), core_state

    def heads(self, core_output: Tensor) -> AgentOutput:
        """Logits and values of core outputs [..., hidden]."""
        critic_input = core_output.detach() if self.detach_critic else core_output
        return AgentOutput(self.policy_head(core_output), self.value_head(critic_input).squeeze(-1))


def make_agent(config: Config, observation_size: int, num_actions: int) -> Agent:
    """Build the agent that a config describes, its parameters drawn from the config's seed alone.

    Leaves torch's global generator as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        layers: list[nn.Module] = []
        size = observation_size
        for _ in range(config.torso_layers):
            layers += [orthogonal_linear(size, config.torso_size, gain=2**0.5), nn.Tanh()]
            size = config.torso_size
        core = CORES[config.core](size, config.hidden_size, config.core_layers)
        agent = Agent(nn.Sequential(*layers), core, num_actions, config.detach_critic)
    return agent.to(getattr(torch, config.dtype))


def agent_for(config: Config, environments: gymnasium.vector.VectorEnv) -> Agent:
    """The agent that a config describes, with the sizes that the environments' spaces ask for."""
    return make_agent(config, environments.single_observation_space.shape[0], int(environments.single_action_space.n))
