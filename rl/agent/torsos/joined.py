"""The torso of observations with several entries, and of arrays that are read as vectors."""

import math
from collections.abc import Callable

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from rl.agent.axes import in_one_axis
from rl.agent.torsos.entries import Entries
from rl.agent.torsos.images import scale
from rl.agent.torsos.mlp import Activation, MLPTorso

Choose = Callable[[gymnasium.spaces.Box], type[nn.Module] | None]  # None: the array is read as a vector


class JoinedTorso(nn.Module):
    """Each image or grid passes a torso of its own; what they say and all vectors side by side pass an `MLPTorso`.

    Vectors are read as they are; arrays of whole numbers that are read as vectors are scaled as images are.
    """

    def __init__(
        self, space: gymnasium.spaces.Box, size: int, choose: Choose, layers: int = 1, activation: Activation = nn.Tanh
    ) -> None:
        """Make the torso of each entry.

        Args:
            space: what the agent observes, packed or not.
            size: numbers that it says.
            choose: says the torso of an entry.
            layers: how many the MLPTorso behind them has; 0: what they say stands side by side.
            activation: what stands behind every layer.
        """
        super().__init__()
        self.entries = Entries(space)
        chosen = [(choose(part.space), part.space) for part in self.entries.parts]
        self.parts = nn.ModuleList(torso(one, size, activation) if torso else Vector(one) for torso, one in chosen)
        joined = sum(part.features for part in self.parts)
        self.join = MLPTorso(gymnasium.spaces.Box(-np.inf, np.inf, (joined,)), size, layers, activation)
        self.features = self.join.features

    def forward(self, observations: Tensor) -> Tensor:
        """Features [..., size] of observations [..., *shape]."""
        return self.joined(self.entries.unpack(observations))

    def joined(self, parts: list[Tensor]) -> Tensor:
        """Features [..., size] of the entries [..., *shape] of observations."""
        said = [torso(part) for torso, part in zip(self.parts, parts, strict=True)]
        return self.join(torch.cat(said, dim=-1) if len(said) > 1 else said[0])


class Vector(nn.Module):
    """An array [..., *shape] as a vector [..., feature]; whole numbers are divided by the largest of the space."""

    def __init__(self, space: gymnasium.spaces.Box) -> None:
        super().__init__()
        self.shape, self.features = space.shape, math.prod(space.shape)
        self.scale = 1.0 if space.dtype.kind == "f" else scale(space)
        self.register_buffer("precision", torch.empty(0), persistent=False)

    def forward(self, part: Tensor) -> Tensor:
        """In the network's precision."""
        part = in_one_axis(part, self.shape).to(self.precision.dtype)
        return part if self.scale == 1.0 else part * self.scale
