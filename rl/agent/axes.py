"""Changes of shape where only a space says how many axes there are: its shape in one axis, and back."""

from typing import TypeVar

import numpy as np
from einops import rearrange
from torch import Tensor

Numbers = TypeVar("Numbers", Tensor, np.ndarray)


def in_one_axis(numbers: Numbers, shape: tuple[int, ...]) -> Numbers:
    """Numbers [..., *shape] as [..., number]."""
    names = axes(shape)
    return rearrange(numbers, f"... {names} -> ... ({names})")


def in_shape(numbers: Numbers, shape: tuple[int, ...]) -> Numbers:
    """Numbers [..., number] as [..., *shape]."""
    names = axes(shape)
    return rearrange(numbers, f"... ({names}) -> ... {names}", **dict(zip(names.split(), shape, strict=True)))


def axes(shape: tuple[int, ...]) -> str:
    """A name for each axis: "axis0 axis1"."""
    return " ".join(f"axis{number}" for number in range(len(shape)))
