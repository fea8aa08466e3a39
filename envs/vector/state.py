"""The state of an environment in plain Python: each environment here keeps in arrays whatever its steps change."""

from typing import Any

import numpy as np


def arrays_of(environment: Any) -> dict[str, Any]:
    """Return the arrays among an environment's own attributes, as lists by name."""
    return {name: value.tolist() for name, value in vars(environment).items() if isinstance(value, np.ndarray)}


def load_arrays(environment: Any, arrays: dict[str, Any]) -> None:
    """Set the attributes that `arrays_of` an equal environment returned."""
    for name, values in arrays.items():
        setattr(environment, name, np.array(values, dtype=getattr(environment, name).dtype))
