"""The torso of small grids whose cells hold categories, such as those of MiniGrid."""

import gymnasium
import numpy as np
import torch
from einops import rearrange, reduce, unpack
from torch import Tensor, nn

from rl.agent.cores import orthogonal_linear
from rl.agent.torsos.images import AS_THEY_CAME, IN_ONE_AXIS, as_image, in_one_batch, orthogonal_convolution
from rl.agent.torsos.mlp import Activation

EMBEDDED = 16  # numbers of a cell
CELLS = "number height width channel embedded -> number embedded height width"
FILTERS = 32
KERNEL = 3
MOST = 256  # categories of a channel
LARGEST = 16  # cells of a side that is read as a grid if nothing else is asked for


class GridTorso(nn.Module):
    """Grids [..., *shape] of whole numbers -> features [..., size]; the numbers are names, not amounts.

    Each value of each channel has 16 numbers of its own, and a cell is the sum over its channels: the same as one-hots
    behind a linear layer. As many of two convolutions of 3 x 3 follow as fit, each behind ReLU, then one linear layer.

    Raises:
        ValueError: the observations are no grids of whole numbers, or have too many categories.
    """

    def __init__(self, space: gymnasium.spaces.Box, size: int, activation: Activation = nn.Tanh) -> None:
        super().__init__()
        image, counts = as_image(space.shape), categories(space)
        if image is None or counts is None:
            raise ValueError(
                f"grids of whole numbers with at most {MOST} categories are needed, not {space.dtype} of shape "
                f"{space.shape}"
            )
        self.in_one_batch, self.axes = in_one_batch(space.shape, "height width channel"), len(space.shape)
        self.features = size
        starts = np.cumsum(counts) - counts - lowest(space)  # the embedding of value v is at this + v
        self.register_buffer("starts", torch.from_numpy(starts), persistent=False)
        self.embedding = nn.Embedding(int(counts.sum()), EMBEDDED)
        nn.init.normal_(self.embedding.weight, std=image.channels**-0.5)  # a cell's numbers have deviation 1
        height, width, layers, channels = image.height, image.width, [], EMBEDDED
        while len(layers) < 2 and min(height, width) >= KERNEL:
            layers.append(orthogonal_convolution(channels, FILTERS, KERNEL, 1))
            height, width, channels = height - KERNEL + 1, width - KERNEL + 1, FILTERS
        self.layers = nn.ModuleList(layers)
        self.linear = orthogonal_linear(channels * height * width, size, gain=2**0.5)
        self.activation = activation()

    def forward(self, observations: Tensor) -> Tensor:
        """Features [..., size] of observations [..., *shape], all of them as one batch."""
        cells = rearrange(observations, self.in_one_batch)
        seen = reduce(self.embedding(cells.long() + self.starts), CELLS, "sum")
        for layer in self.layers:
            seen = layer(seen).relu_()
        features = self.activation(self.linear(rearrange(seen, IN_ONE_AXIS)))
        return unpack(features, [observations.shape[: observations.dim() - self.axes]], AS_THEY_CAME)[0]


def categories(space: gymnasium.spaces.Box) -> np.ndarray | None:
    """How many values each channel can have, int64 [channel]; None if these are no categories, or too many."""
    image = as_image(space.shape)
    if image is None or space.dtype.kind not in "biu":
        return None
    low, high = (of_channels(space, bounds.astype(np.float64)) for bounds in (space.low, space.high))
    counts = high.max(axis=1) - low.min(axis=1) + 1  # int64 would overflow where the bounds are those of the dtype
    return counts.astype(np.int64) if counts.max() <= MOST else None


def lowest(space: gymnasium.spaces.Box) -> np.ndarray:
    """The least value of each channel, int64 [channel]."""
    return of_channels(space, space.low).min(axis=1).astype(np.int64)


def of_channels(space: gymnasium.spaces.Box, bounds: np.ndarray) -> np.ndarray:
    """Bounds of a space [channel, cell]."""
    return rearrange(bounds, in_one_batch(space.shape, "channel (height width)"))[0]
