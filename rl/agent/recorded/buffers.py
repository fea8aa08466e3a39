"""Buffers of a recording, and gradients in a layer's own form."""

import numpy as np
import torch
from torch import Tensor, nn

from rl.agent.agent import Agent
from rl.agent.heads import FreeHead

tanh_backward = torch.ops.aten.tanh_backward.grad_input  # dy (1 − y²), into grad_input
sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input  # dy (1 − y) y


def rows(agent: Agent, time: int, batch: int, size: int) -> Tensor:
    """Zeros [time, batch, size] in the network's precision."""
    return torch.zeros(time, batch, size, dtype=agent.dtype)


def with_ones(buffer: Tensor) -> Tensor:
    """The buffer with ones in its last column: they make a bias a row of the weights."""
    buffer[..., -1] = 1.0
    return buffer


def arrays(buffer: Tensor) -> list[np.ndarray]:
    """The rows of a buffer as arrays on the same memory."""
    return list(buffer.numpy())


def laid_out(layer: nn.Linear) -> Tensor:
    """A layer's weight and bias side by side, [out, in + 1]."""
    return torch.cat([layer.weight, layer.bias[:, None]], dim=1)


def laid_out_head(head: nn.Linear | FreeHead) -> Tensor:
    """A policy head's weight and bias, [head, hidden + 1]: numbers that are parameters are biases of no weight."""
    if isinstance(head, nn.Linear):
        return laid_out(head)
    weight = laid_out(head.linear)
    free = weight.new_zeros(len(head.free), weight.shape[1])
    free[:, -1] = head.free
    return torch.cat([weight, free])


def set_head_gradient(head: nn.Linear | FreeHead, d_weight: Tensor) -> None:
    """The gradient [head, hidden + 1] of what `laid_out_head` gave."""
    if isinstance(head, nn.Linear):
        set_gradient(head, d_weight)
    else:
        of_layer = head.linear.out_features
        set_gradient(head.linear, d_weight[:of_layer])
        set_or_copy(head.free, d_weight[of_layer:, -1])


def set_gradient(layer: nn.Linear, d_weight: Tensor) -> None:
    """The gradient [out, in + 1] of what `laid_out` gave."""
    set_or_copy(layer.weight, d_weight[:, :-1])
    set_or_copy(layer.bias, d_weight[:, -1])


def set_or_copy(parameter: nn.Parameter, gradient: Tensor) -> None:
    """Give a parameter its gradient, in place where it has room for one."""
    if parameter.grad is None:
        parameter.grad = gradient.clone(memory_format=torch.contiguous_format)
    else:
        parameter.grad.copy_(gradient)
