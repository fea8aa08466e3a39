"""The two-headed network: torso -> core -> policy head and value head."""

from itertools import pairwise
from typing import NamedTuple

import gymnasium
import torch
from torch import Tensor, nn

from rl.config import Config
from rl.cores import CORES, Core, CoreState, TwinCore, orthogonal_linear


class AgentOutput(NamedTuple):
    """What the two heads say; leading axes as the input's."""

    logits: Tensor  # [..., action] unnormalised log-probabilities of the actions
    values: Tensor  # [...] expected return


class TwinTorso(nn.Module):
    """Two torsos that see the same observation; what they say lies side by side, [..., 2 · feature]."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, observations: Tensor) -> Tensor:
        """Both torsos of observations [..., feature]."""
        return torch.cat([self.first(observations), self.second(observations)], dim=-1)


class Agent(nn.Module):
    """A policy and a value function that share a torso and a core (Mnih et al. 2016, §5; the LSTM variant there).

    The agent holds parameters and no state: every call takes the core state and returns the next one. With a TwinCore
    (behind a TwinTorso) they share nothing: the policy reads the first half of its outputs and the critic the second.
    """

    def __init__(self, torso: nn.Module, core: Core | TwinCore, num_actions: int, detach_critic: bool = False) -> None:
        super().__init__()
        self.torso, self.core, self.detach_critic = torso, core, detach_critic
        self.separate_critic = isinstance(core, TwinCore)
        size = core.first.hidden_size if self.separate_critic else core.hidden_size
        self.policy_head = orthogonal_linear(size, num_actions, gain=0.01)
        self.value_head: nn.Module = orthogonal_linear(size, 1, gain=1.0)

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
        policy_input, critic_input = (
            core_output.chunk(2, dim=-1) if self.separate_critic else (core_output, core_output)
        )
        if self.detach_critic:
            critic_input = critic_input.detach()
        return AgentOutput(self.policy_head(policy_input), self.value_head(critic_input).squeeze(-1))


ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}


def make_agent(config: Config, observation_size: int, num_actions: int) -> Agent:
    """Build the agent that a config describes, its parameters drawn from the config's seed alone.

    Leaves torch's global generator as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        torso, core = make_torso(config, observation_size), make_core(config, observation_size)
        if config.separate_critic:
            torso = TwinTorso(torso, make_torso(config, observation_size))
            core = TwinCore(core, make_core(config, observation_size))
        agent = Agent(torso, core, num_actions, config.detach_critic)
        if config.value_hidden_size or config.bounded_values:
            agent.value_head = make_value_head(config)
        if config.initialisation == "torch":
            for module in agent.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
    return agent.to(getattr(torch, config.dtype))


def make_torso(config: Config, observation_size: int) -> nn.Sequential:
    """Linear layers before the core, each with its activation."""
    layers: list[nn.Module] = []
    sizes = [observation_size] + [config.torso_size] * config.torso_layers
    for inputs, outputs in pairwise(sizes):
        layers += [orthogonal_linear(inputs, outputs, gain=2**0.5), ACTIVATIONS[config.activation]()]
    return nn.Sequential(*layers)


def make_core(config: Config, observation_size: int) -> Core:
    """What remembers; the one without memory has the torso's activation."""
    size = config.torso_size if config.torso_layers else observation_size
    options = {"activation": ACTIVATIONS[config.activation]} if config.core == "mlp" else {}
    return CORES[config.core](size, config.hidden_size, config.core_layers, **options)


def make_value_head(config: Config) -> nn.Module:
    """The critic's layers behind the core, where they are more than one linear layer."""
    hidden, parts = config.hidden_size, []
    if config.value_hidden_size:
        parts += [orthogonal_linear(hidden, config.value_hidden_size, gain=2**0.5), ACTIVATIONS[config.activation]()]
        hidden = config.value_hidden_size
    parts.append(orthogonal_linear(hidden, 1, gain=1.0))
    if config.bounded_values:
        parts.append(nn.Tanh())
    return nn.Sequential(*parts)


def agent_for(config: Config, environments: gymnasium.vector.VectorEnv) -> Agent:
    """The agent that a config describes, with the sizes that the environments' spaces ask for."""
    return make_agent(config, environments.single_observation_space.shape[0], int(environments.single_action_space.n))
