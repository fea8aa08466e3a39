"""Large observations are read piece by piece, so that what convolutions keep of them does not fill the memory."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

LARGE = 512  # numbers of an observation that is large
MOST = 2**20  # numbers of a piece that are read at once: some 40 images of 84 x 84 x 4, and 10 MB of what is kept


def pieces_of(rows: int, batch: int, numbers: int) -> list[slice]:
    """Cut rows of so many observations, of so many numbers each, into pieces; one piece where they are small."""
    if numbers < LARGE:
        return [slice(0, rows)]
    step = max(1, MOST // (batch * numbers))
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def read(features: Callable[[Tensor], Tensor], observations: Tensor) -> Tensor:
    """Features [time, batch, feature] of observations [time, batch, *shape].

    With a gradient, a piece is read once more on the way back, and nothing but its features is kept until then.
    """
    time, batch, *shape = observations.shape
    pieces = pieces_of(time, batch, torch.Size(shape).numel())
    if len(pieces) == 1:
        return features(observations)
    if not torch.is_grad_enabled():
        return torch.cat([features(observations[piece]) for piece in pieces])
    said = (checkpoint(features, observations[piece], use_reentrant=False) for piece in pieces)
    return torch.cat(list(said))
