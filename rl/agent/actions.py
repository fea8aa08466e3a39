"""Actions: how they are drawn from what the policy head says."""

import torch
from torch import Tensor


def sample_actions(logits: Tensor, noise: Tensor, out: Tensor | None = None) -> Tensor:
    """Actions [batch] drawn from softmax(logits), logits and Gumbel noise [batch, action], into `out` if given.

    a = argmax (logits + g),   g ~ Gumbel(0, 1)   (Gumbel 1954; Maddison et al. 2014, §2): two small operations, where
    inverting the cumulative distribution takes five.
    """
    return torch.argmax(logits + noise, dim=-1, out=out)
