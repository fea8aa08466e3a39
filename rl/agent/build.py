"""Builds the agent that a config describes."""

from contextlib import AbstractContextManager, nullcontext

import gymnasium
import numpy as np
import torch
from torch import nn

from rl.agent.actions.make import make_actions
from rl.agent.actions.mask import mask_of
from rl.agent.agent import Agent
from rl.agent.cores import Core, orthogonal_linear
from rl.agent.own_generator import OwnGenerator
from rl.agent.scales import make_scales
from rl.agent.torsos.mlp import ACTIVATIONS
from rl.agent.twin import TwinCore, TwinTorso
from rl.config import Config
from rl.names import CORES, DIAGONAL, TORSOS, load
from rl.shared.generators import seeded_generators


def make_agent(config: Config, observation_space: gymnasium.spaces.Box, action_space: gymnasium.Space) -> Agent:
    """Build the agent that a config describes, its parameters drawn from the config's seed alone.

    They come from a generator of their own, and torch's global one stays as it is.

    Raises:
        ValueError: the torso cannot see such observations, or there is no distribution over such actions.
    """
    with of_own_parts(config), OwnGenerator(config.seed):
        torso, features = checked_torso(config, observation_space)
        core = make_core(config, features)
        if config.separate_critic:
            torso = TwinTorso(torso, make_torso(config, observation_space))
            core = TwinCore(core, make_core(config, features))
        actions = make_actions(action_space, config)
        scales = make_scales(observation_space, config.normalise_observations, config.normalise_returns)
        agent = Agent(torso, core, actions, config.detach_critic, mask_of(observation_space, actions), scales)
        if config.value_hidden_size or config.bounded_values:
            agent.value_head = make_value_head(config)
        if config.initialisation == "torch":
            for module in agent.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
    return agent.to(getattr(torch, config.dtype))


def of_own_parts(config: Config) -> AbstractContextManager[None]:
    """Seeds what a core or a torso of a user may draw its first numbers from; those of rl draw from torch alone."""
    if config.core in CORES and config.torso in TORSOS:
        return nullcontext()
    return seeded_generators(np.random.SeedSequence(config.seed))


def make_torso(config: Config, space: gymnasium.spaces.Box) -> nn.Module:
    """What stands before the core; one of rl's own has layers and an activation to choose."""
    options = {}
    if config.torso in TORSOS:
        options = {"layers": config.torso_layers, "activation": ACTIVATIONS[config.activation]}
    return load(config.torso, TORSOS)(space, config.torso_size, **options)


def checked_torso(config: Config, space: gymnasium.spaces.Box) -> tuple[nn.Module, int]:
    """A torso, and the numbers that it makes of one observation.

    Raises:
        ValueError: it cannot see such observations; one line that names the option.
    """
    try:
        torso = make_torso(config, space)
        features = features_of(torso, space)
        if config.torso not in TORSOS:
            check_leading_axes(torso, space, features)
        return torso, features
    except Exception as error:  # a torso of a user may raise anything
        if config.torso in TORSOS:
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"--torso {config.torso}: it cannot see observations {space} ({reason})") from error


@torch.no_grad()
def check_leading_axes(torso: nn.Module, space: gymnasium.spaces.Box, features: int) -> None:
    """Check that a torso keeps the axes of time and batch.

    Raises:
        ValueError: it does not.
    """
    said = torso(torch.zeros(2, 3, *space.shape, dtype=observed_dtype(space))).shape
    if tuple(said) != (2, 3, features):
        raise ValueError(
            f"it must return features [time, batch, feature] of observations [time, batch, *shape], (2, 3, {features}) "
            f"of 2 steps of 3 environments, not {tuple(said)}"
        )


@torch.no_grad()
def features_of(torso: nn.Module, space: gymnasium.spaces.Box) -> int:
    """Numbers that a torso makes of one observation."""
    return torso(torch.zeros(1, *space.shape, dtype=observed_dtype(space))).shape[-1]


def observed_dtype(space: gymnasium.spaces.Box) -> torch.dtype:
    """The dtype in which a torso sees observations while the agent is being built: floating-point ones as float32."""
    dtype = torch.from_numpy(np.empty(0, space.dtype)).dtype
    return torch.float32 if dtype.is_floating_point else dtype


def make_core(config: Config, inputs: int) -> Core:
    """What remembers, with the options of one of rl's own."""
    options = {}
    if config.core == "mlp":
        options = {"activation": ACTIVATIONS[config.activation]}
    elif config.core in DIAGONAL:
        options = {"longest_memory": config.longest_memory}
    return load(config.core, CORES)(inputs, config.hidden_size, config.core_layers, **options)


def make_value_head(config: Config) -> nn.Module:
    """The critic's layers behind the core, where they are more than one linear layer."""
    hidden, layers = config.hidden_size, []
    if config.value_hidden_size:
        layers += [orthogonal_linear(hidden, config.value_hidden_size, gain=2**0.5), ACTIVATIONS[config.activation]()]
        hidden = config.value_hidden_size
    layers.append(orthogonal_linear(hidden, 1, gain=1.0))
    if config.bounded_values:
        layers.append(nn.Tanh())
    return nn.Sequential(*layers)


def agent_for(config: Config, environments: gymnasium.vector.VectorEnv) -> Agent:
    """The agent that a config describes, for the spaces of these environments.

    Raises:
        ValueError: as `make_agent`.
    """
    return make_agent(config, environments.single_observation_space, environments.single_action_space)
