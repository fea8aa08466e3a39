"""Actions within the graph: the environment's own ones out, and the previous one as the network sees it."""

from typing import Any

import numpy as np
import torch
from einops import rearrange
from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiBinary
from torch import Tensor

from envs.vector.actions import Shown
from rl.agent.actions.bernoullis import Bernoullis
from rl.agent.actions.categoricals import Categoricals
from rl.agent.actions.distribution import Actions
from rl.agent.actions.gaussian import Gaussian


def action_dtype(space: Space) -> torch.dtype:
    """The dtype of the file's actions: the environment's own, and int64 where actions are numbered."""
    return torch.from_numpy(np.empty(0, space.dtype)).dtype if isinstance(space, Box | MultiBinary) else torch.int64


def own_action(distribution: Actions, head: Tensor, space: Space) -> Tensor:
    """The environment's own greedy actions [batch, ...], of what the policy head says [batch, head]."""
    action = distribution.for_environment(distribution.mode(head)).to(action_dtype(space))
    if isinstance(space, Box):  # float32 rounds the bounds of a wider Box, perhaps to the outside
        return action.clamp(torch.from_numpy(space.low), torch.from_numpy(space.high))
    return action + torch.as_tensor(getattr(space, "start", 0)).to(action.dtype)


def shown(transform: Shown, previous: Tensor, space: Space) -> Tensor:
    """What an agent sees [batch, feature] of its previous action, given as the environment's own."""
    if isinstance(space, Box):
        numbers = previous.reshape(previous.shape[0], transform.size).float().double()
        return ((numbers - torch.from_numpy(transform.zero)) / torch.from_numpy(transform.unit)).float()
    counted = previous - torch.as_tensor(getattr(space, "start", 0)).to(previous.dtype)
    if isinstance(space, MultiBinary):
        return counted.reshape(previous.shape[0], transform.size).float()
    counts = np.ravel(space.n if isinstance(space, Discrete) else space.nvec).tolist()
    columns = counted.reshape(previous.shape[0], len(counts))
    return torch.cat([one_hot(columns[:, k], count) for k, count in enumerate(counts)], dim=-1)


def one_hot(values: Tensor, count: int) -> Tensor:
    """One-hots [batch, count] of values [batch] from 0."""
    return (rearrange(values, "batch -> batch 1") == torch.arange(count)).float()


def said_of_actions(distribution: Actions, head: Tensor) -> Tensor:
    """What the file calls logits: the head's numbers; of normal numbers all μ, then all log σ."""
    return torch.cat(distribution.parts(head), dim=-1) if isinstance(distribution, Gaussian) else head


def about_logits(distribution: Actions) -> dict[str, Any]:
    """What one must know to sample from them."""
    match distribution:
        case Gaussian():
            words = "mean of each number, then the logarithm of each standard deviation, before bounds are kept"
            return {"distribution": "normal", "logits": words, "squashed_by_tanh": distribution.squashed.tolist()}
        case Bernoullis():
            return {"distribution": "bits", "logits": "of each bit: it is 1 with probability sigmoid(logit)"}
        case Categoricals():
            return {"distribution": "categoricals", "logits": "of each number's options, side by side"}
    return {"distribution": "categorical", "logits": "of each action"}


def is_clear(distribution: Actions, head: Tensor, tolerance: float) -> np.ndarray:
    """Whether the mode does not hang on a rounding [batch, *shape of a sampled action]; numbers are always clear."""
    match distribution:
        case Gaussian():
            return np.ones((len(head), distribution.size), dtype=bool)
        case Bernoullis():
            return (head.abs() > tolerance).numpy().reshape(len(head), *distribution.shape)
        case Categoricals():
            parts = distribution.in_parts(head)
        case _:
            parts = head
    if parts.shape[-1] == 1:
        return np.ones(parts.shape[:-1], dtype=bool)
    best, second = parts.topk(2, dim=-1).values.unbind(-1)
    return (best - second > 2 * tolerance * best.abs().clamp_min(1.0)).numpy().reshape(len(head), *distribution.shape)
