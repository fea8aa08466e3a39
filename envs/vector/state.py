"""The state of an environment in plain Python, which is all that a checkpoint holds."""

import pickle
from collections import deque
from typing import Any

import numpy as np

KIND = "kind of value"  # the key under which a packed value has its kind
CONTAINERS = {kind.__name__: kind for kind in (list, tuple, set, frozenset)}


def arrays_of(environment: Any) -> dict[str, Any]:
    """Return the arrays among an environment's own attributes, as lists by name.

    Each vector form here keeps in arrays whatever its steps change.
    """
    return {name: value.tolist() for name, value in vars(environment).items() if isinstance(value, np.ndarray)}


def load_arrays(environment: Any, arrays: dict[str, Any]) -> None:
    """Set the attributes that `arrays_of` an equal environment returned."""
    for name, values in arrays.items():
        setattr(environment, name, np.array(values, dtype=getattr(environment, name).dtype))


def packed(value: Any) -> Any:
    """Return a value with all arrays, NumPy's scalars and generators in it as plain Python; containers keep their kind.

    Values of other types stay as they are: whoever saves them finds out whether that can be done.
    """
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        values = np.ravel(value).tolist()
        return {KIND: kind, "dtype": value.dtype.str, "shape": list(np.shape(value)), "values": values}
    if isinstance(value, np.random.Generator):
        return {KIND: "generator", "values": packed(value.bit_generator.state)}
    if type(value) is dict:
        return {KIND: "dict", "values": [[packed(key), packed(one)] for key, one in value.items()]}
    if type(value) in CONTAINERS.values():
        return {KIND: type(value).__name__, "values": [packed(one) for one in value]}
    if type(value) is deque:
        return {KIND: "deque", "longest": value.maxlen, "values": [packed(one) for one in value]}
    return value


def unpacked(value: Any) -> Any:
    """Return the value that `packed` was given."""
    if not isinstance(value, dict):
        return value
    kind, values = value[KIND], value["values"]
    if kind in ("array", "scalar"):
        array = np.array(values, dtype=np.dtype(value["dtype"])).reshape(value["shape"])
        return array if kind == "array" else array[()]
    if kind == "generator":
        state = unpacked(values)
        generator = np.random.Generator(getattr(np.random, state["bit_generator"])())
        generator.bit_generator.state = state
        return generator
    if kind == "dict":
        return {unpacked(key): unpacked(one) for key, one in values}
    ones = [unpacked(one) for one in values]
    return deque(ones, value["longest"]) if kind == "deque" else CONTAINERS[kind](ones)


def frozen(value: Any) -> Any:
    """Return a copy that equals another one only if nothing has changed within."""
    if isinstance(value, dict):
        return [(key, frozen(one)) for key, one in value.items()]
    if isinstance(value, list | tuple):
        return [type(value).__name__, *map(frozen, value)]
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if hasattr(value, "__qualname__"):  # functions and classes
        return value.__module__, value.__qualname__
    try:
        return pickle.dumps(value)
    except Exception:  # whatever cannot be pickled raises; it equals nothing
        return object()
