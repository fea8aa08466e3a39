"""Builds the agent that a config describes."""

import gymnasium
import torch
from torch import nn

from rl.agent.agent import Agent
from rl.agent.cores import CORES, Core, TwinCore, orthogonal_linear
from rl.agent.torsos import ACTIVATIONS, TwinTorso, make_torso
from rl.config import Config


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
