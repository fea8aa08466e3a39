"""The fast path of the simple recurrent network; the notation is in rl/agent/recorded/recording.py."""

from typing import Any

import torch

from rl.agent.cores import CoreState
from rl.agent.recorded.buffers import tanh_backward
from rl.agent.recorded.recording import Recording


class RNNRecording(Recording):
    """RNN: h = tanh(p);   dp = dh (1 − h²)."""

    blocks = 1

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.states = [(h[None, :, :-1],) for h in self.outputs]
        self.d_outputs_now = torch.from_numpy(self.dh)
        self.cell_rows = list(zip(self.p, self.outputs[..., :-1], self.dp, strict=True))

    def advance(self, t: int) -> CoreState:
        p, h, _ = self.cell_rows[t]
        torch.tanh(p, out=h)
        return self.states[t]

    def retreat(self, t: int) -> None:
        _, h, dp = self.cell_rows[t]
        tanh_backward(self.d_outputs_now, h, grad_input=dp)
