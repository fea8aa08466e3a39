"""When two things are the same."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch


def assert_bit_equal(one: Any, other: Any, where: str = "") -> None:
    """Equal in type, shape and every bit, whatever it is made of: 0.0 is not -0.0 here."""
    if isinstance(one, (torch.Tensor, np.ndarray)):
        assert type(one) is type(other) and (one.dtype, one.shape) == (other.dtype, other.shape), where
        first, second = (np.frombuffer(_array(part).tobytes(), np.uint8) for part in (one, other))
        different = np.flatnonzero(first != second)
        assert len(different) == 0, f"{where}: first difference at byte {different[0]} of {len(first)}"
    elif isinstance(one, Mapping):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_bit_equal(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, Sequence) and not isinstance(one, (str, bytes)):
        assert type(one) is type(other) and len(one) == len(other), where
        names = getattr(one, "_fields", range(len(one)))
        for name, *pair in zip(names, one, other, strict=True):
            assert_bit_equal(*pair, f"{where}/{name}")
    else:
        assert type(one) is type(other) and one == other, f"{where}: {one!r} and {other!r}"


def _array(array: torch.Tensor | np.ndarray) -> np.ndarray:
    return array.detach().numpy() if isinstance(array, torch.Tensor) else array
