"""An agent whose parameters and gradients are flat vectors."""

import torch
from einops import rearrange
from torch import Tensor

from rl.agent.agent import Agent


class FlatAgent:
    """An agent whose parameters and gradients are views of two flat vectors."""

    def __init__(self, agent: Agent) -> None:
        """Move the agent's parameters into one vector, in the order of `agent.parameters()`."""
        parameters = list(agent.parameters())
        self.agent = agent
        self.parameters = torch.cat([rearrange(parameter.detach(), "... -> (...)") for parameter in parameters])
        self.gradient = torch.zeros_like(self.parameters)
        offset = 0
        for parameter in parameters:
            size = parameter.numel()
            parameter.data = self.parameters[offset : offset + size].view_as(parameter)
            parameter.grad = self.gradient[offset : offset + size].view_as(parameter)
            offset += size

    def __len__(self) -> int:
        return len(self.parameters)

    def load(self, vector: Tensor) -> None:
        """Copy a flat vector into the agent's parameters."""
        self.parameters.copy_(vector)
