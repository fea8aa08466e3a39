"""Observations with several entries come as one packed array; this is where it is taken apart."""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium
import torch
from torch import Tensor

from rl.agent.axes import in_shape

MASK = "action_mask"  # an entry for the policy, which no torso reads


class Part(NamedTuple):
    """An entry of an observation."""

    name: str  # "" of an observation without entries
    space: gymnasium.spaces.Box  # of its array


class Entries:
    """What is observed of a space, entry by entry, without the action mask. A space without entries is one part.

    A packed space has `entries`, each with name, shape, dtype, start and stop, and `boxes`, the space of each.
    """

    def __init__(self, space: gymnasium.spaces.Box) -> None:
        entries = getattr(space, "entries", None)
        if entries is None:
            self.parts, self._places = [Part("", space)], []
            return
        pairs = [pair for pair in zip(entries, space.boxes, strict=True) if pair[0].name != MASK]
        self.parts, self._places = [Part(entry.name, box) for entry, box in pairs], places(entries)

    def placed(self, entries: Sequence[Any]) -> "Entries":
        """The same parts, at other places within a packed array."""
        other = copy.copy(self)
        other._places = places(entries)
        return other

    @property
    def packed(self) -> bool:
        """Whether observations come as one packed array."""
        return bool(self._places)

    def unpack(self, observations: Tensor) -> list[Tensor]:
        """Each part [..., *shape] of observations, in its dtype: floats in the precision that they come in."""
        if not self._places:
            return [observations]
        parts = []
        for start, stop, dtype, shape in self._places:
            part = observations[..., start:stop]
            if not observations.is_floating_point() and dtype != observations.dtype:
                part = part.view(dtype)
            parts.append(in_shape(part, shape))
        return parts


def places(entries: Sequence[Any]) -> list[tuple[int, int, torch.dtype, tuple[int, ...]]]:
    """Start, stop, dtype and shape of each entry but the action mask."""
    return [
        (entry.start, entry.stop, getattr(torch, entry.dtype), tuple(entry.shape))
        for entry in entries
        if entry.name != MASK
    ]
