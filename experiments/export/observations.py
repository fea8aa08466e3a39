"""Observations within the graph: the environment's own in, entry by entry, what the network sees out."""

import copy
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from einops import rearrange
from gymnasium import Space
from gymnasium.spaces import Box, MultiBinary
from torch import Tensor, nn

from envs.vector.entry_transforms import PreviousActionEntry, PreviousRewardEntry, Stack, StackEntries
from envs.vector.packing import MASK, Packed
from envs.vector.scaling import NormaliseObservations, ScaleObservations
from envs.vector.transforms import PreviousAction, PreviousReward, StackFrames, Transform
from experiments.export.actions import one_hot, shown
from rl.agent.actions.mask import ActionMask
from rl.agent.agent import Agent
from rl.agent.scales import MOST, Scales
from rl.agent.torsos.entries import Entries
from rl.play import Player

WIDE, IN_ROWS = "batch -> batch 1", "batch ... -> batch (...)"
TRANSFORMS = (
    *(ScaleObservations, NormaliseObservations, StackFrames, PreviousAction, PreviousReward),
    *(StackEntries, PreviousActionEntry, PreviousRewardEntry),
)
ALONE = ""  # the name of an observation that is one array


class Input(NamedTuple):
    """A tensor that a step takes."""

    shape: tuple[int | str, ...]  # "batch" where the rows lie
    dtype: torch.dtype

    def zeros(self, batch: int) -> Tensor:
        """Such a tensor of so many rows."""
        return torch.zeros([batch if size == "batch" else size for size in self.shape], dtype=self.dtype)


class Observations:
    """All that a Player does to observations, in torch's operations.

    An entry of a Dict or a Tuple is the input `observation.NAME`, and an observation of one array is `observation`. An
    action mask is the input `action_mask`, wherever the environment has it.
    """

    def __init__(self, player: Player) -> None:
        """Take the Player whose observations these are.

        Raises:
            ValueError: a transform has no form here.
        """
        self.encoder, self.chain, self.action_space = player.encode, player.chain, player.action_space
        self.packed = isinstance(player.chain.space, Packed)
        if unknown := [type(one).__name__ for one in self.chain.transforms if type(one) not in TRANSFORMS]:
            raise ValueError(f"{unknown[0]} has no form in a graph")
        parts = self.encoder.parts
        whole = len(parts) == 1 and not (parts[0].leaf.name and self.encoder.packed)
        self.inputs = {
            "observation" if whole else f"observation.{part.leaf.name}": own_input(part.leaf.space) for part in parts
        }
        if self.encoder.masked:
            self.inputs[MASK] = Input(("batch", self.encoder.space.entries[-1].shape[0]), torch.uint8)
        self.states: dict[str, Input] = {}  # what is carried from step to step
        for transform in self.chain.transforms:
            if isinstance(transform, StackFrames):
                self.states["frames"] = Input(("batch", *transform.space.shape), torch.float32)
            elif isinstance(transform, StackEntries):
                boxes = {frames_of(name, transform): stack.space for name, stack in transform.stacks.items()}
                self.states |= {name: own_input(box) for name, box in boxes.items()}

    def needs(self, *kinds: type[Transform]) -> bool:
        """Whether one of these transforms is applied."""
        return any(isinstance(transform, kinds) for transform in self.chain.transforms)

    def seen(self, given: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """What the network sees [batch, *shape], and the next state by name, of the tensors that a step is given."""
        said: dict[str, Tensor] = {}
        entries = {
            name: encoded(part.leaf.space, given[source], box)
            for (name, box), part, source in zip(self._boxes(), self.encoder.parts, self.inputs, strict=False)
        }
        if self.encoder.masked:
            entries[MASK] = given[MASK]
        for transform in self.chain.transforms:
            if isinstance(transform, StackEntries | PreviousActionEntry | PreviousRewardEntry):
                self._change(transform, entries, given, said)
            else:
                [name] = entries
                entries[name] = self._vector(transform, entries[name], given)
                if isinstance(transform, StackFrames):
                    said["frames"] = entries[name]
        if not self.packed:
            return next(iter(entries.values())), said
        return torch.cat([rearrange(entry, IN_ROWS).float() for entry in entries.values()], dim=-1), said

    def _boxes(self) -> list[tuple[str, Box]]:
        space = self.encoder.space
        return list(space.named.items()) if isinstance(space, Packed) else [("observation", space)]

    def _change(
        self, transform: Transform, entries: dict[str, Tensor], given: dict[str, Tensor], said: dict[str, Tensor]
    ) -> None:
        """Change entries by a transform of entries."""
        if isinstance(transform, StackEntries):
            for name, stack in transform.stacks.items():
                carried = frames_of(name, transform)
                entries[name] = said[carried] = stacked(stack, entries[name], given[carried], given["is_first"])
            return
        numbers = (
            shown(transform.shown, given["previous_action"], self.action_space)
            if isinstance(transform, PreviousActionEntry)
            else rearrange(given["previous_reward"], WIDE)
        )
        entries[transform.name] = torch.where(rearrange(given["is_first"], WIDE), 0.0, numbers)

    def _vector(self, transform: Transform, seen: Tensor, given: dict[str, Tensor]) -> Tensor:
        """What a transform of vectors makes of observations [batch, feature]."""
        opens = rearrange(given["is_first"], WIDE)
        match transform:
            case ScaleObservations():
                return seen / torch.tensor(transform.scale.tolist(), dtype=torch.float32)
            case NormaliseObservations():
                wide = seen.double()
                lengths = wide.square().sum(dim=-1, keepdim=True).sqrt()
                return (wide / torch.where(lengths > 0, lengths, 1.0)).clamp(-1.0, 1.0).float()
            case StackFrames():
                recent = torch.cat([given["frames"][:, seen.shape[1] :], seen], dim=-1)
                return torch.where(opens, seen.repeat(1, transform.frames), recent)
            case PreviousAction():
                previous = shown(transform.shown, given["previous_action"], self.action_space)
                return torch.cat([seen, torch.where(opens, 0.0, previous)], dim=-1)
            case PreviousReward():
                previous = rearrange(given["previous_reward"], WIDE)
                return torch.cat([seen, torch.where(opens, 0.0, previous)], dim=-1)
        raise TypeError(type(transform).__name__)

    def arrays(self, observations: Sequence[Any], masks: Sequence[Any]) -> dict[str, np.ndarray]:
        """The inputs of observations and action masks as environments give them."""
        found = {}
        for part, (name, one) in zip(self.encoder.parts, self.inputs.items(), strict=False):
            values = [part.leaf.of(observation) for observation in observations]
            found[name] = np.stack(values).astype(str(one.dtype).removeprefix("torch."))
        if self.encoder.masked:
            given = zip(observations, masks, strict=True)
            found[MASK] = np.stack([self.encoder.mask_of(one, mask) for one, mask in given])
        return found


def frames_of(name: str, transform: StackEntries) -> str:
    """The name of what is carried of an entry's frames."""
    return f"frames.{name}" if isinstance(transform.space, Packed) else "frames"


def own_input(space: Space) -> Input:
    """The input of observations of a space without entries."""
    return Input(("batch", *space.shape), torch.from_numpy(np.empty(0, space.dtype)).dtype)


def encoded(space: Space, observation: Tensor, box: Box) -> Tensor:
    """The array that stands for observations [batch, *shape] of a space without entries."""
    if isinstance(space, Box):
        return observation.to(torch.from_numpy(np.empty(0, box.dtype)).dtype)
    if isinstance(space, MultiBinary):
        return observation.reshape(-1, math.prod(space.shape)).float()
    starts = np.ravel(space.start).tolist()
    counts = np.ravel(getattr(space, "nvec", getattr(space, "n", None))).tolist()
    columns = observation.reshape(-1, len(counts))
    hots = [one_hot(columns[:, k] - start, n) for k, (start, n) in enumerate(zip(starts, counts, strict=True))]
    return torch.cat(hots, dim=-1)


def stacked(stack: Stack, seen: Tensor, frames: Tensor, is_first: Tensor) -> Tensor:
    """The last frames of an array [batch, *shape], with the frames before them."""
    frame, axis = (seen[..., None] if stack.adds_axis else seen), stack.axis % frames.dim()
    size = frame.shape[axis]
    recent = torch.cat([frames.narrow(axis, size, frames.shape[axis] - size), frame], dim=axis)
    opens = is_first.reshape(-1, *[1] * (frames.dim() - 1))
    return torch.where(opens, torch.cat([frame] * stack.frames, dim=axis), recent)


def of_numbers(agent: Agent, space: Packed) -> Agent:
    """A copy of an agent that reads packed observations as numbers side by side, each of them as a float32.

    No operation of ONNX takes the bytes of a float32 apart, and float32 holds every byte.
    """
    agent, entries, at = copy.deepcopy(agent), {}, 0
    for entry in space.entries:
        size = math.prod(entry.shape)
        entries[entry.name] = entry._replace(dtype="float32", start=at, stop=at + size)
        at += size
    modules: list[nn.Module] = [one for one in agent.modules() if isinstance(getattr(one, "entries", None), Entries)]
    for module in modules:
        module.entries = module.entries.placed(list(entries.values()))
    if agent.mask is not None:
        agent.mask = ActionMask(entries[MASK])
    if agent.scales is not None and agent.scales.numbers and agent.scales.places:
        floats = [slice(*entries[entry.name][-2:]) for entry in space.entries if entry.dtype == "float32"]
        agent.scales = NumberScales(agent.scales, floats, at)
    return agent


class NumberScales(nn.Module):
    """The scales of packed bytes, for the same observations as numbers side by side; what was a byte stays as it is."""

    def __init__(self, scales: Scales, floats: list[slice], total: int) -> None:
        """Take the scales, where the floats lie, and how many numbers an observation has."""
        super().__init__()
        self.mean, self.inverse, self.most = torch.zeros(total), torch.ones(total), torch.full((total,), math.inf)
        sizes = [place.stop - place.start for place in floats]
        for place, mean, inverse in zip(floats, scales.mean.split(sizes), scales.inverse.split(sizes), strict=True):
            self.mean[place], self.inverse[place], self.most[place] = mean, inverse, MOST

    def observations(self, observations: Tensor) -> Tensor:
        """x̃ of observations [..., number]."""
        return ((observations - self.mean) * self.inverse).clamp(-self.most, self.most)
