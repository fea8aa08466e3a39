"""Policy heads: core outputs in, the numbers of a distribution over actions out."""

import torch
from torch import Tensor, nn

from rl.agent.actions.distribution import Actions
from rl.agent.cores import orthogonal_linear


class FreeHead(nn.Module):
    """A linear layer, and behind its numbers some that are parameters: the same whatever is observed, 0 at first."""

    def __init__(self, inputs: int, outputs: int, free: int) -> None:
        super().__init__()
        self.linear = orthogonal_linear(inputs, outputs, gain=0.01)
        self.free = nn.Parameter(torch.zeros(free))

    def forward(self, inputs: Tensor) -> Tensor:
        """Numbers [..., outputs + free] of inputs [..., hidden]."""
        said = self.linear(inputs)
        return torch.cat([said, self.free.expand(*said.shape[:-1], -1)], dim=-1)


def make_policy_head(inputs: int, actions: Actions) -> nn.Linear | FreeHead:
    """The policy head of a distribution, near zero at first: all actions are nearly alike."""
    if actions.free:
        return FreeHead(inputs, actions.head_size - actions.free, actions.free)
    return orthogonal_linear(inputs, actions.head_size, gain=0.01)
