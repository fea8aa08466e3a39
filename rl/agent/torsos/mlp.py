"""The torso of vectors."""

from collections.abc import Callable
from itertools import pairwise

import gymnasium
from torch import nn

from rl.agent.cores import orthogonal_linear

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
Activation = Callable[[], nn.Module]


class MLPTorso(nn.Sequential):
    """Linear layers, each with its activation: observations [..., feature] -> [..., size]; without layers, themselves.

    Any module whose class takes an observation space and a size, and that maps observations [..., *shape of the space]
    to features [..., feature], can stand in its place. Floating-point observations come in the network's precision, all
    others as they are.

    Raises:
        ValueError: the observations have another number of axes than one.
    """

    def __init__(
        self, space: gymnasium.spaces.Box, size: int, layers: int = 1, activation: Activation = nn.Tanh
    ) -> None:
        if len(space.shape) != 1:
            raise ValueError(f"observations of one axis are needed, not of shape {space.shape}")
        super().__init__()
        sizes = [space.shape[0]] + [size] * layers
        self.features = sizes[-1]
        for inputs, outputs in pairwise(sizes):
            self.extend([orthogonal_linear(inputs, outputs, gain=2**0.5), activation()])
