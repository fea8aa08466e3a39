"""What arguments of POPGym's environments may be."""

import math
from numbers import Real
from typing import Any

import numpy as np


def require_whole(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Refuse an argument that is not an integer of at least `least`, and of at most `most` if that is given.

    Raises:
        ValueError: names the argument.
    """
    if not isinstance(value, int | np.integer) or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be an integer {bounds}, got {value!r}")


def require_kind(name: str, value: Any, kinds: tuple[str, ...]) -> None:
    """Refuse an argument that is none of `kinds`.

    Raises:
        ValueError: names the argument.
    """
    if value not in kinds:
        raise ValueError(f"{name} must be one of {', '.join(kinds)}, got {value!r}")


def require_noise(noise_sigma: float) -> None:
    """Refuse what is not a standard deviation.

    Raises:
        ValueError: it is not a finite number of at least 0.
    """
    if not isinstance(noise_sigma, Real) or not 0 <= noise_sigma < math.inf:
        raise ValueError(f"noise_sigma must be a finite number of at least 0, got {noise_sigma!r}")
