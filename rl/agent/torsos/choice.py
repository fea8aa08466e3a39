"""Which torso an observation gets, by the name of --torso."""

import gymnasium
from torch import nn

from rl.agent.torsos.entries import Entries
from rl.agent.torsos.grid import LARGEST, GridTorso, categories
from rl.agent.torsos.images import ConvTorso, NatureTorso, as_image
from rl.agent.torsos.joined import Choose, JoinedTorso
from rl.agent.torsos.mlp import Activation, MLPTorso

LARGE = 64  # pixels of a side from which on an image is read by `NatureTorso`
OF_ARRAYS = {"conv": ConvTorso, "nature": NatureTorso, "grid": GridTorso}


def auto_torso(space: gymnasium.spaces.Box, size: int, layers: int, activation: Activation) -> nn.Module:
    """Choose by the space of an observation, entry by entry: see `chosen`."""
    return torso_of(space, size, chosen, layers, activation)


def chosen(space: gymnasium.spaces.Box) -> type[nn.Module] | None:
    """The torso of one array; None if it is read as a vector.

    An array of two axes of bytes, or of three axes, is a grid if it holds whole numbers and no side is longer than 16;
    else an image, by `ConvTorso` below 64 pixels a side and by `NatureTorso` from there on. Any other array is a
    vector, and so is one that is too small for convolutions.
    """
    image = as_image(space.shape)
    if image is None or (len(space.shape) == 2 and space.dtype.name != "uint8"):
        return None
    if max(image.height, image.width) <= LARGEST and categories(space) is not None:
        return GridTorso
    shorter = min(image.height, image.width)
    torso = NatureTorso if shorter >= LARGE else ConvTorso
    return torso if torso.size_behind(shorter) >= 1 else None


def mlp_torso(space: gymnasium.spaces.Box, size: int, layers: int, activation: Activation) -> nn.Module:
    """Everything is a vector."""
    return torso_of(space, size, lambda part: None, layers, activation)


def conv_torso(space: gymnasium.spaces.Box, size: int, layers: int, activation: Activation) -> nn.Module:
    """Images by `ConvTorso`."""
    return named("conv", space, size, layers, activation)


def nature_torso(space: gymnasium.spaces.Box, size: int, layers: int, activation: Activation) -> nn.Module:
    """Images by `NatureTorso`."""
    return named("nature", space, size, layers, activation)


def grid_torso(space: gymnasium.spaces.Box, size: int, layers: int, activation: Activation) -> nn.Module:
    """Grids by `GridTorso`."""
    return named("grid", space, size, layers, activation)


def named(name: str, space: gymnasium.spaces.Box, size: int, layers: int, activation: Activation) -> nn.Module:
    """One kind of torso for every entry of two or three axes; the others are vectors.

    Raises:
        ValueError: an entry does not fit it, or none is there for it; one line that names the option.
    """
    torso, parts = OF_ARRAYS[name], Entries(space).parts
    try:
        if not any(as_image(part.space.shape) for part in parts):
            torso(parts[0].space, size, activation)  # raises what is needed
        return torso_of(space, size, lambda part: torso if as_image(part.shape) else None, layers, activation)
    except ValueError as error:
        raise ValueError(f"--torso {name}: {error}; --torso auto chooses by the space") from None


def torso_of(space: gymnasium.spaces.Box, size: int, choose: Choose, layers: int, activation: Activation) -> nn.Module:
    """The torso of an array where the observation is one, `MLPTorso` where it is one vector, or a joined one."""
    entries = Entries(space)
    torsos = [choose(part.space) for part in entries.parts]
    if not entries.packed and torsos[0]:
        return torsos[0](space, size, activation)
    if len(space.shape) == 1 and space.dtype.kind == "f" and not any(torsos):  # packed floats are one vector
        return MLPTorso(space, size, layers, activation)
    return JoinedTorso(space, size, choose, layers, activation)
