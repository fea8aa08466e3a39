"""Torsos: what stands between an observation and the core."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from rl.agent.cores import orthogonal_linear
from rl.config import Config


class TwinTorso(nn.Module):
    """Two torsos that see the same observation; what they say lies side by side, [..., 2 · feature]."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, observations: Tensor) -> Tensor:
        """Both torsos of observations [..., feature]."""
        return torch.cat([self.first(observations), self.second(observations)], dim=-1)


ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}


def make_torso(config: Config, observation_size: int) -> nn.Sequential:
    """Linear layers before the core, each with its activation."""
    layers: list[nn.Module] = []
    sizes = [observation_size] + [config.torso_size] * config.torso_layers
    for inputs, outputs in pairwise(sizes):
        layers += [orthogonal_linear(inputs, outputs, gain=2**0.5), ACTIVATIONS[config.activation]()]
    return nn.Sequential(*layers)
