"""One step of a policy as one torch module: what the environment shows and the state in, action and state out."""

from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from gymnasium.spaces import Box
from torch import Tensor, nn

from envs.vector.scaling import NormaliseObservations, ScaleObservations
from envs.vector.transforms import PreviousAction, PreviousReward, StackFrames, Transform
from experiments.export.actions import action_dtype, one_hot, own_action, said_of_actions, shown
from rl.play import Player

WIDE = "batch -> batch 1"
TRANSFORMS = (ScaleObservations, NormaliseObservations, StackFrames, PreviousAction, PreviousReward)


class Input(NamedTuple):
    """A tensor that a step takes."""

    shape: tuple[int | str, ...]  # "batch" where the rows lie
    dtype: torch.dtype

    def zeros(self, batch: int) -> Tensor:
        """Such a tensor of so many rows."""
        return torch.zeros([batch if size == "batch" else size for size in self.shape], dtype=self.dtype)


class PolicyStep(nn.Module):
    """The agent behind all that a Player does to observations, one-hots included.

    A row whose `is_first` is true begins anew inside the step: nothing that was carried to it is looked at.
    """

    def __init__(self, player: Player) -> None:
        """Take the policy of a Player.

        Raises:
            ValueError: a transform has no form here.
        """
        super().__init__()
        self.agent, self.space, self.encoded_space = player.agent, player.observation_space, player.encode.space
        self.transforms, self.action_space = player.chain.transforms, player.action_space
        if unknown := [type(one).__name__ for one in self.transforms if type(one) not in TRANSFORMS]:
            raise ValueError(f"{unknown[0]} has no form in a graph")
        core_state = player.agent.initial_state(1)
        states = {f"core_state_{k}": Input(with_batch(part, 1), part.dtype) for k, part in enumerate(core_state)}
        self.core_names = list(states)
        for transform in self.transforms:
            if isinstance(transform, StackFrames):
                states["frames"] = Input(("batch", *transform.space.shape), torch.float32)
        dtype = torch.from_numpy(np.empty(0, self.space.dtype)).dtype
        self.inputs = {
            "observation": Input(("batch", *self.space.shape), dtype),
            "is_first": Input(("batch",), torch.bool),
        }
        if any(isinstance(one, PreviousAction) for one in self.transforms):
            self.inputs["previous_action"] = Input(("batch", *self.action_space.shape), action_dtype(self.action_space))
        if any(isinstance(one, PreviousReward) for one in self.transforms):
            self.inputs["previous_reward"] = Input(("batch",), torch.float32)
        self.inputs |= states
        self.carried = {name: f"next_{name}" for name in states}  # input of a step: output of the step before
        if "previous_action" in self.inputs:
            self.carried["previous_action"] = "action"
        self.outputs = ["action", "logits", "value", *(f"next_{name}" for name in states)]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The tensors of `outputs`, from those of `inputs`."""
        given = dict(zip(self.inputs, inputs, strict=True))
        said: dict[str, Tensor] = {}
        seen = self.encoded(given["observation"])
        for transform in self.transforms:
            seen = self.transformed(transform, seen, given)
            if isinstance(transform, StackFrames):
                said["next_frames"] = seen
        core_state = tuple(given[name] for name in self.core_names)
        output, core_state = self.agent.step(seen, core_state, given["is_first"])
        said |= {f"next_{name}": part for name, part in zip(self.core_names, core_state, strict=True)}
        said["action"] = own_action(self.agent.actions, output.logits, self.action_space)
        said["logits"], said["value"] = said_of_actions(self.agent.actions, output.logits), output.values
        return tuple(said[name] for name in self.outputs)

    def encoded(self, observation: Tensor) -> Tensor:
        """What the Player's `encode` makes of observations [batch, *shape]."""
        if isinstance(self.space, Box):
            return observation.to(torch.from_numpy(np.empty(0, self.encoded_space.dtype)).dtype)
        starts = np.ravel(self.space.start).tolist()
        counts = np.ravel(getattr(self.space, "nvec", getattr(self.space, "n", None))).tolist()
        columns = observation.reshape(-1, len(counts))
        hots = [one_hot(columns[:, k] - start, n) for k, (start, n) in enumerate(zip(starts, counts, strict=True))]
        return torch.cat(hots, dim=-1)

    def transformed(self, transform: Transform, seen: Tensor, given: dict[str, Tensor]) -> Tensor:
        """What a transform makes of observations [batch, feature], in torch's operations."""
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


def with_batch(part: Tensor, axis: int) -> tuple[int | str, ...]:
    """The shape of a tensor, with a name in the place of its batch axis."""
    return *part.shape[:axis], "batch", *part.shape[axis + 1 :]
