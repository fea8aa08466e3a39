"""One step of a policy as one torch module: what the environment shows and the state in, action and state out."""

import torch
from torch import Tensor, nn

from envs.vector.entry_transforms import PreviousActionEntry, PreviousRewardEntry
from envs.vector.packing import Packed
from envs.vector.transforms import PreviousAction, PreviousReward
from experiments.export.actions import action_dtype, own_action, said_of_actions
from experiments.export.observations import Input, Observations, of_numbers
from rl.play import Player


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
        self.observations, self.action_space = Observations(player), player.action_space
        space = player.chain.space
        self.agent = of_numbers(player.agent, space) if isinstance(space, Packed) else player.agent
        core_state = player.agent.initial_state(1)
        states = {f"core_state_{k}": Input(with_batch(part, 1), part.dtype) for k, part in enumerate(core_state)}
        self.core_names = list(states)
        states |= self.observations.states
        self.inputs = {**self.observations.inputs, "is_first": Input(("batch",), torch.bool)}
        if self.observations.needs(PreviousAction, PreviousActionEntry):
            self.inputs["previous_action"] = Input(("batch", *self.action_space.shape), action_dtype(self.action_space))
        if self.observations.needs(PreviousReward, PreviousRewardEntry):
            self.inputs["previous_reward"] = Input(("batch",), torch.float32)
        self.inputs |= states
        self.carried = {name: f"next_{name}" for name in states}  # input of a step: output of the step before
        if "previous_action" in self.inputs:
            self.carried["previous_action"] = "action"
        self.outputs = ["action", "logits", "value", *(f"next_{name}" for name in states)]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The tensors of `outputs`, from those of `inputs`."""
        given = dict(zip(self.inputs, inputs, strict=True))
        seen, frames = self.observations.seen(given)
        core_state = tuple(given[name] for name in self.core_names)
        output, core_state = self.agent.step(seen, core_state, given["is_first"])
        said = {f"next_{name}": part for name, part in frames.items()}
        said |= {f"next_{name}": part for name, part in zip(self.core_names, core_state, strict=True)}
        said["action"] = own_action(self.agent.actions, output.logits, self.action_space)
        said["logits"], said["value"] = said_of_actions(self.agent.actions, output.logits), output.values
        return tuple(said[name] for name in self.outputs)


def with_batch(part: Tensor, axis: int) -> tuple[int | str, ...]:
    """The shape of a tensor, with a name in the place of its batch axis."""
    return *part.shape[:axis], "batch", *part.shape[axis + 1 :]
