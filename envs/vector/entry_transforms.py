"""Transforms of observations that are packed, or have another number of axes than one: entry by entry.

`envs.vector.transforms` has those of plain vectors. An action mask stays as it is.
"""

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box

from envs.vector.actions import Shown
from envs.vector.channels import channels_last
from envs.vector.encoders import WHOLE_OBSERVATION
from envs.vector.observations import packable
from envs.vector.packing import MASK, Packed
from envs.vector.transforms import Transform, box


class Stack:
    """How the frames of one array become one array: side by side along an axis, oldest first.

    Vectors are concatenated, numbers become a vector, images are joined along their channels. An array of two axes
    becomes an image whose channels, the last axis, are the frames.
    """

    def __init__(self, space: Box, frames: int):
        self.frames, self.adds_axis = frames, len(space.shape) in (0, 2)
        self.axis = 1 if len(space.shape) == 3 and not channels_last(space.shape) else -1
        low, high = (self.opened(bound[None])[0] for bound in (space.low, space.high))
        self.space = Box(low, high, dtype=space.dtype.type)
        is_image = len(space.shape) == 3 or (len(space.shape) == 2 and space.dtype == np.uint8)
        if is_image and channels_last(low.shape) != (self.axis == -1):
            raise ValueError(
                f"frame_stack {frames}: {frames} images of shape {space.shape} would have shape {low.shape}, whose "
                "channels nobody could tell from its height; fewer frames are needed"
            )

    def opened(self, arrays: np.ndarray) -> np.ndarray:
        """The first frame [batch, *shape] in the place of those before it."""
        return np.concatenate([self._frame(arrays)] * self.frames, axis=self.axis)

    def followed(self, stacks: np.ndarray, arrays: np.ndarray) -> np.ndarray:
        """The stacks [batch, *shape of a stack] without their oldest frame, and with another one."""
        frame = self._frame(arrays)
        recent = np.split(stacks, [frame.shape[self.axis]], axis=self.axis)[1]
        return np.concatenate((recent, frame), axis=self.axis)

    def _frame(self, arrays: np.ndarray) -> np.ndarray:
        return arrays[..., None] if self.adds_axis else arrays


class StackEntries(Transform):
    """Joins the last `frames` observations, oldest first; an episode's first stands in for those before it."""

    steps_differ = True

    def __init__(self, space: Box, frames: int):
        self.frames, self._seen = frames, space
        self._stacked: np.ndarray | None = None  # [batch, *shape]
        self.stacks = {name: Stack(one, frames) for name, one in entries_of(space).items() if name != MASK}
        boxes = {name: self.stacks[name].space if name != MASK else one for name, one in entries_of(space).items()}
        super().__init__(Packed(boxes) if isinstance(space, Packed) else boxes[WHOLE_OBSERVATION])

    def open(self, observations: np.ndarray, rows: np.ndarray) -> np.ndarray:
        opened = new_arrays(self.space, len(observations))
        for name, seen, view in self._views(observations, opened):
            view[...] = self.stacks[name].opened(seen) if name != MASK else seen
        if self._stacked is None:
            self._stacked = opened.copy()
        else:
            self._stacked[rows] = opened
        return opened

    def step(self, observations: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        old, stacked = views_of(self.space, self._stacked), new_arrays(self.space, len(observations))
        for name, seen, view in self._views(observations, stacked):
            view[...] = self.stacks[name].followed(old[name], seen) if name != MASK else seen
        self._stacked = stacked
        return stacked.copy()

    def _views(self, observations: np.ndarray, made: np.ndarray) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """Name, what was seen and what is made of each entry."""
        seen, views = views_of(self._seen, observations), views_of(self.space, made)
        return [(name, seen[name], view) for name, view in views.items()]


class AppendEntry(Transform):
    """Adds an entry behind the others: what `numbers` says of the step before, zeros where an episode opens."""

    steps_differ = True
    name: str  # of the entry

    def __init__(self, space: Box, added: Box):
        self._seen = space
        super().__init__(Packed({**{name: packable(one) for name, one in entries_of(space).items()}, self.name: added}))

    def open(self, observations: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return self._copied(observations)

    def step(self, observations: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        made = self._copied(observations)
        views_of(self.space, made)[self.name][...] = self.numbers(actions, rewards)
        return made

    def numbers(self, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        """Numbers [batch, feature] of actions [batch, ...] and the rewards [batch] that they earned."""
        raise TypeError(f"{type(self).__name__} must define numbers")

    def _copied(self, observations: np.ndarray) -> np.ndarray:
        made = new_arrays(self.space, len(observations))
        views = views_of(self.space, made)
        for name, seen in views_of(self._seen, observations).items():
            views[name][...] = seen
        return made


class PreviousActionEntry(AppendEntry):
    """Adds the previous action as `Shown` shows it."""

    name = "previous_action"

    def __init__(self, space: Box, actions: Space):
        self.shown = Shown(actions)
        super().__init__(space, box(self.shown.low, self.shown.high))

    def numbers(self, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        """The actions alone."""
        return self.shown(actions)


class PreviousRewardEntry(AppendEntry):
    """Adds the previous reward, as the environment gave it."""

    name = "previous_reward"

    def __init__(self, space: Box):
        super().__init__(space, box(np.array([-np.inf]), np.array([np.inf])))

    def numbers(self, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        """The rewards alone."""
        return rewards[:, None]  # "batch -> batch 1"


def entries_of(space: Box) -> dict[str, Box]:
    """The space of each entry by its name; of an observation without entries, itself."""
    return space.named if isinstance(space, Packed) else {WHOLE_OBSERVATION: space}


def views_of(space: Box, observations: np.ndarray) -> dict[str, np.ndarray]:
    """Each entry [batch, *shape] of observations by its name, on the same memory."""
    if not isinstance(space, Packed):
        return {WHOLE_OBSERVATION: observations}
    return dict(zip(space.named, space.views(observations), strict=True))


def new_arrays(space: Box, batch: int) -> np.ndarray:
    """Zeros [batch, *shape]."""
    return np.zeros((batch, *space.shape), dtype=space.dtype)
