"""What an environment shows becomes one array: that of its one entry, or a packed one of several.

Whoever has an environment's own observations encodes them in this way: training, evaluation and a Player alike.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import Space

from envs.vector.entries import Leaf, observed_leaves
from envs.vector.masks import Mask, choices
from envs.vector.messages import one_line
from envs.vector.observations import SUPPORTED, Bits, Numbers, OneHots, array_encoder, lost_precision, packable
from envs.vector.packing import MASK, Packed

WHOLE_OBSERVATION = "observation"  # the name of one without entries, beside an action mask or what is appended


class Part(NamedTuple):
    """An entry and what turns it into an array."""

    leaf: Leaf
    encode: Numbers | OneHots | Bits


class Encoder:
    """Turns observations of a space into new arrays of the Box `space`; `notes` are lines for the user.

    An observation with one entry is that entry's array; several are packed. An action mask is an entry beside them.

    Raises:
        ValueError: the space has nothing that is supported, or an action mask goes with no such actions.
    """

    def __init__(
        self,
        space: Space,
        actions: Space,
        observe: Sequence[str] = (),
        mask_in_infos: bool = False,
        env: str = "the environment",
    ):
        """Take the spaces of an environment.

        Args:
            space: the space of its observations.
            actions: the space of its actions.
            observe: names of the entries that are observed; () for all.
            mask_in_infos: whether its infos have an action mask, which becomes an entry behind the others.
            env: its name.
        """
        self.observed, self.mask_in_infos, found = space, mask_in_infos, observed_leaves(space, observe, env)
        plain = [leaf for leaf in found if leaf.name != MASK]
        encoders = [(leaf, array_encoder(leaf.space)) for leaf in plain]
        self.parts = [Part(leaf, encode) for leaf, encode in encoders if encode]
        if not self.parts:
            raise ValueError(f"{env} has observations {one_line(space)}; supported: {SUPPORTED}")
        self._mask_leaf = next((leaf for leaf in found if leaf.name == MASK), None)
        self.masked = mask_in_infos or self._mask_leaf is not None
        if self.masked and not choices(actions):
            raise ValueError(f"{env} gives an {MASK}, which goes with Discrete, MultiDiscrete and MultiBinary actions")
        self._mask = Mask(actions, env) if self.masked else None
        boxes = {part.leaf.name or WHOLE_OBSERVATION: part.encode.space for part in self.parts}
        [self._first, *others] = self.parts
        self.packed = bool(others) or self.masked
        if self.packed:
            boxes = {name: packable(box) for name, box in boxes.items()}
            self.space = Packed(boxes | ({MASK: self._mask.space} if self._mask else {}))
        else:
            [self.space] = boxes.values()
        self.notes = tuple(self._notes(encoders))

    def _notes(self, encoders: Sequence[tuple[Leaf, Any]]) -> list[str]:
        lines = []
        for leaf, encode in encoders:
            entry = f"entry {leaf.name}: " if leaf.name else ""
            if not encode:
                lines.append(f"{entry}{type(leaf.space).__name__} is left out of what is observed")
            elif lost := lost_precision(leaf.space, self.packed):
                lines.append(f"{entry}{lost}")
            if leaf.path[-1:] == (MASK,):
                lines.append(f"{entry}it is observed and masks no action; an {MASK} is an entry of the outermost Dict")
        return lines

    @property
    def plain(self) -> Numbers | OneHots | Bits | None:
        """What alone turns an observation without entries into its array; None of others."""
        return None if self.packed or self._first.leaf.name else self._first.encode

    def __call__(self, observation: Any, call: str = "step", mask: Any = None, over: bool = False) -> np.ndarray:
        """Return an observation as a new array.

        Args:
            observation: the environment's own.
            call: what gave it.
            mask: the action mask in its infos, if that is where it is.
            over: the episode has ended, and no action follows.

        Raises:
            ValueError: it is not one of its space. Bounds of numbers are not looked at.
        """
        if not self.packed:
            return self._encoded(self._first, observation)
        row, arrays = self.space.empty(), [self._encoded(part, observation) for part in self.parts]
        if self._mask:
            arrays.append(self.mask_of(observation, mask, call, over))
        for entry, array in zip(self.space.entries, arrays, strict=True):
            part = row[entry.start : entry.stop]
            part.view(entry.dtype)[:] = array.ravel()  # half the time of `Packed.views`
        return row

    def mask_of(self, observation: Any, mask: Any, call: str = "step", over: bool = False) -> np.ndarray:
        """Return the action mask of an observation, or the one in its infos, as an array; arguments as of a call."""
        return self._mask(mask if self._mask_leaf is None else self._mask_leaf.of(observation), call, over)

    def _encoded(self, part: Part, observation: Any) -> np.ndarray:
        if not part.leaf.name:
            return part.encode(observation)
        value = part.leaf.of(observation)
        try:
            return part.encode(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"entry {part.leaf.name}: {error}") from None
