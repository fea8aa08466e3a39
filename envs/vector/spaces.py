"""Spaces as plain JSON, so that whoever has a run's files knows what its environment shows and takes."""

import math
from collections import OrderedDict
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, OneOf, Sequence, Text, Tuple

Description = dict[str, Any]
KINDS = (Box, Discrete, MultiDiscrete, MultiBinary, Text, Dict, Tuple, OneOf, Sequence, Graph)


class Unknown(Space[Any]):
    """In the place of a space of a foreign class, such as MiniGrid's missions: an entry that nobody observes."""

    def __init__(self, name: str):
        super().__init__()
        self.name = name

    def contains(self, x: Any) -> bool:
        """Take anything."""
        return True

    def __repr__(self) -> str:
        """Name the class."""
        return f"{self.name}(...)"


def describe(space: Space) -> Description:
    """Return a space in plain JSON, from which `space_of` makes an equal one.

    An entry of a class that is none of Gymnasium's, nor made from one, is only named: see `Unknown`.

    Raises:
        ValueError: the space, or one within it, is of a class of its own; one line.
    """
    if type(space) not in KINDS:
        raise ValueError(f"a space of the class {type(space).__name__} cannot be written down, those of Gymnasium can")
    return {"type": type(space).__name__, **_content(space)}


def _content(space: Space) -> Description:
    match space:
        case Box():
            bounds = {"low": _numbers(space.low), "high": _numbers(space.high)}
            return {**bounds, "shape": list(space.shape), "dtype": space.dtype.name}
        case Discrete():
            return {"n": int(space.n), "start": int(space.start), "dtype": space.dtype.name}
        case MultiDiscrete():
            counts = {"nvec": _numbers(space.nvec), "start": _numbers(space.start)}
            return {**counts, "shape": list(space.shape), "dtype": space.dtype.name}
        case MultiBinary():
            return {"shape": list(space.shape), "flat": isinstance(space.n, int)}
        case Text():
            lengths = {"min_length": int(space.min_length), "max_length": int(space.max_length)}
            return {**lengths, "characters": "".join(space.character_list)}
        case Dict():  # pairs, since their order counts
            return {"spaces": [[name, _entry(inner)] for name, inner in space.spaces.items()]}
        case Tuple():
            return {"spaces": [_entry(inner) for inner in space.spaces]}
        case OneOf():
            return {"spaces": [describe(inner) for inner in space.spaces]}
        case Sequence():
            return {"space": describe(space.feature_space), "stack": bool(space.stack)}
        case Graph():
            edges = space.edge_space
            return {"nodes": describe(space.node_space), "edges": None if edges is None else describe(edges)}


def _entry(space: Space) -> Description:
    if isinstance(space, KINDS):
        return describe(space)
    return {"type": "Unknown", "name": space.name if isinstance(space, Unknown) else type(space).__name__}


def space_of(description: Description) -> Space:
    """Return the space of a `describe`.

    Raises:
        ValueError: it describes no space; one line.
    """
    try:
        return _made(description)
    except Exception as error:  # a damaged file may hold anything
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"not the description of a space ({words})") from error


def _made(description: Description) -> Space:
    match description:
        case {"type": "Box", "low": low, "high": high, "shape": shape, "dtype": dtype}:
            bounds = (_array(numbers, shape, dtype) for numbers in (low, high))
            return Box(*bounds, tuple(shape), np.dtype(dtype).type)
        case {"type": "Discrete", "n": n, "start": start, "dtype": dtype}:
            return Discrete(n, start=start, dtype=np.dtype(dtype).type)
        case {"type": "MultiDiscrete", "nvec": nvec, "start": start, "shape": shape, "dtype": dtype}:
            start = _array(start, shape, dtype)
            return MultiDiscrete(_array(nvec, shape, dtype), np.dtype(dtype).type, start=start)
        case {"type": "MultiBinary", "shape": shape, "flat": flat}:
            return MultiBinary(shape[0] if flat else shape)
        case {"type": "Text", "min_length": least, "max_length": most, "characters": characters}:
            return Text(most, min_length=least, charset=characters)
        case {"type": "Dict", "spaces": spaces}:
            return Dict(OrderedDict((name, _made(inner)) for name, inner in spaces))
        case {"type": "Tuple", "spaces": spaces}:
            return Tuple([_made(inner) for inner in spaces])
        case {"type": "OneOf", "spaces": spaces}:
            return OneOf([_made(inner) for inner in spaces])
        case {"type": "Sequence", "space": space, "stack": stack}:
            return Sequence(_made(space), stack=stack)
        case {"type": "Graph", "nodes": nodes, "edges": edges}:
            return Graph(_made(nodes), None if edges is None else _made(edges))
        case {"type": "Unknown", "name": name}:
            return Unknown(str(name))
    raise KeyError("type")


def _numbers(array: np.ndarray) -> Any:
    """An array as lists of numbers; as one number where all are equal, since an image has many."""
    if array.size and (array == array.flat[0]).all():
        return _number(array.flat[0])
    return [_numbers(row) if row.ndim else _number(row) for row in array]


def _number(value: np.generic) -> int | float | str:
    """A number as JSON has it, which knows none that are infinite: those are texts."""
    if value.dtype.kind != "f":
        return int(value)
    return float(value) if math.isfinite(value) else str(float(value))


def _array(numbers: Any, shape: list[int], dtype: str) -> np.ndarray:
    """The array that `_numbers` wrote down."""
    kind = int if np.dtype(dtype).kind in "iu" else float  # a float does not hold every int64
    values = np.vectorize(kind, otypes=[object])(np.array(numbers, dtype=object))
    return np.broadcast_to(values, tuple(shape)).astype(dtype)
