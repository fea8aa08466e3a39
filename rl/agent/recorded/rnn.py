"""The fast path of the simple recurrent network; the notation is in rl/agent/recorded/recording.py."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from rl.agent.recorded.buffers import arrays
from rl.agent.recorded.gated import GatedRecording


class RNNRecording(GatedRecording):
    """RNN: h = tanh(p);   dp = dh (1 − h²)."""

    blocks = 1

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.states = [(h[None, :, :-1],) for h in self.outputs]
        self.cell_rows = list(zip(*map(arrays, (self.p, self.outputs[..., :-1])), strict=True))
        self.dp_rows = arrays(self.dp)

    def advance(self, t: int, before: Sequence[np.ndarray]) -> None:
        p, h = self.cell_rows[t]
        np.tanh(p, out=h)

    def prepare(self, n: slice) -> None:
        """∂p of h is 1 − h²."""
        torch.mul(self.outputs[n][..., :-1], self.outputs[n][..., :-1], out=self.dp[n])
        torch.sub(1.0, self.dp[n], out=self.dp[n])

    def retreat(self, t: int) -> None:
        """dp = dh · ∂p."""
        np.multiply(self.dp_rows[t], self.dh, out=self.dp_rows[t])
