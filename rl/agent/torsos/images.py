"""The torsos of images: convolutions, then one linear layer."""

import math
from typing import NamedTuple

import gymnasium
import numpy as np
import torch
from einops import rearrange, unpack
from torch import Tensor, nn

from rl.agent.cores import orthogonal_linear
from rl.agent.torsos.mlp import Activation

IN_ONE_AXIS = "number channel height width -> number (channel height width)"
AS_THEY_CAME = "* feature"  # of a batch


class Convolution(NamedTuple):
    """A convolution without padding, behind it ReLU."""

    filters: int
    kernel: int
    stride: int


class ImageTorso(nn.Module):
    """Images [..., *shape] -> features [..., size]. Bytes come as they are; what an image can hold at most becomes 1.

    The shape is height and width, with channels before or behind them: see `as_image`. ReLU follows each convolution
    and the activation follows the linear layer. First weights are orthogonal with gain √2, as in `MLPTorso`.

    Raises:
        ValueError: the observations are no images, or these are too small.
    """

    name: str
    convolutions: tuple[Convolution, ...]

    def __init__(self, space: gymnasium.spaces.Box, size: int, activation: Activation = nn.Tanh) -> None:
        super().__init__()
        image = as_image(space.shape)
        if image is None:
            raise ValueError(
                f"images are needed, height and width with channels before or behind them, not shape {space.shape}"
            )
        self.in_one_batch, self.axes = in_one_batch(space.shape, "channel height width"), len(space.shape)
        self.scale, self.features = scale(space), size
        height, width = (self.size_behind(side) for side in (image.height, image.width))
        if min(height, width) < 1:
            least = next(side for side in range(1, 1_000) if self.size_behind(side) >= 1)
            raise ValueError(f"images of at least {least} x {least} are needed, not of {image.height} x {image.width}")
        layers, channels = [], image.channels
        for filters, kernel, stride in self.convolutions:
            layers.append(orthogonal_convolution(channels, filters, kernel, stride))
            channels = filters
        self.layers = nn.ModuleList(layers)
        self.linear = orthogonal_linear(channels * height * width, size, gain=2**0.5)
        self.activation = activation()

    @classmethod
    def size_behind(cls, side: int) -> int:
        """Pixels of a side behind all convolutions; below 1 where they do not fit."""
        for _, kernel, stride in cls.convolutions:
            side = (side - kernel) // stride + 1
        return side

    def forward(self, observations: Tensor) -> Tensor:
        """Features [..., size] of observations [..., *shape], all of them as one batch."""
        first, *others = self.layers
        image = rearrange(observations, self.in_one_batch).to(self.linear.weight.dtype)
        # The scale of a few weights takes less time than that of all pixels.
        seen = nn.functional.conv2d(image, first.weight * self.scale, first.bias, first.stride).relu_()
        for layer in others:
            seen = layer(seen).relu_()
        features = self.activation(self.linear(rearrange(seen, IN_ONE_AXIS)))
        return unpack(features, [observations.shape[: observations.dim() - self.axes]], AS_THEY_CAME)[0]


class ConvTorso(ImageTorso):
    """Two small convolutions, for images of about 20 to 60 pixels a side: a third of the work of `NatureTorso`'s."""

    name, convolutions = "conv", (Convolution(16, 5, 3), Convolution(32, 3, 2))


class NatureTorso(ImageTorso):
    """The three convolutions of Mnih et al. 2015 (Nature, Methods), for 84 x 84; there 512 units and ReLU follow."""

    name, convolutions = "nature", (Convolution(32, 8, 4), Convolution(64, 4, 2), Convolution(64, 3, 1))


class Image(NamedTuple):
    """What the axes of an array mean that is read as an image."""

    height: int
    width: int
    channels: int
    last: bool  # whether the channels are the last axis


def as_image(shape: tuple[int, ...]) -> Image | None:
    """How an array is read as an image; None if it has neither two axes nor three, or holds nothing.

    Of three axes the channels are the first or the last one: where the other two are equal, the one that is not; else
    the shorter one; the last one where nothing tells. The environment layer stacks frames by the same rule
    (`envs.vector.channels`).
    """
    if len(shape) not in (2, 3) or 0 in shape:
        return None
    if len(shape) == 2:
        return Image(*shape, 1, True)
    first, middle, last = shape
    if middle == last != first:
        return Image(middle, last, first, False)
    if first == middle != last or first >= last:
        return Image(first, middle, last, True)
    return Image(middle, last, first, False)


def in_one_batch(shape: tuple[int, ...], order: str) -> str:
    """The einops pattern of arrays [..., *shape] as one batch of images, with their axes in this order."""
    if len(shape) == 2:
        return f"... height width -> (...) {order.replace('channel', '1')}"
    return f"... {'height width channel' if as_image(shape).last else 'channel height width'} -> (...) {order}"


def scale(space: gymnasium.spaces.Box) -> float:
    """What makes 1 of the largest number that a space has: 1/255 of a byte; 1 where there is no bound."""
    largest = float(max(abs(np.max(space.low, initial=0.0)), abs(np.max(space.high, initial=0.0))))
    return 1.0 / largest if math.isfinite(largest) and largest > 0.0 else 1.0


def orthogonal_convolution(channels: int, filters: int, kernel: int, stride: int) -> nn.Conv2d:
    """A convolution with orthogonal weights, a row a filter, of gain √2, and zero bias."""
    layer = nn.Conv2d(channels, filters, kernel, stride)
    nn.init.orthogonal_(layer.weight, 2**0.5)
    torch.nn.init.zeros_(layer.bias)
    return layer
