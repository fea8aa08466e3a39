"""The torso of a recording: linear layers behind tanh are written out, any other torso keeps autograd.

The notation is in rl/agent/recorded/recording.py.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from rl.agent.agent import Agent
from rl.agent.pieces import pieces_of, read
from rl.agent.recorded.buffers import laid_out, rows, set_gradient, tanh_backward, with_ones


class RecordedTorso(Protocol):
    """What fills the core's inputs [time + 1, batch, feature], and takes their gradient."""

    def begin(self) -> None:
        """Take the parameters as they are now."""

    def step(self, t: int, observation: Tensor) -> None:
        """Fill row t from observations [batch, *shape]."""

    def unroll(self, observations: Tensor) -> None:
        """Fill all rows from observations [time + 1, batch, *shape]."""

    def backward(self, n: slice, d_features: Tensor) -> None:
        """Set the gradients of the torso's parameters by ∂L/∂features [time, batch, feature] of the rows n."""


class LinearTorso:
    """Linear layers, each behind tanh, or none: one product a layer and step, one a layer of a whole segment back."""

    def __init__(self, agent: Agent, features: Tensor) -> None:
        self.layers: list[nn.Linear] = [layer for layer in agent.torso if isinstance(layer, nn.Linear)]
        time, batch, _ = features.shape
        self.below = [with_ones(rows(agent, time, batch, layer.in_features + 1)) for layer in self.layers]  # [x, 1]
        self.d_layers = [rows(agent, time, batch, layer.out_features) for layer in self.layers]
        # Making a view costs as much as a small operation: all that a step needs are made here, once.
        observed, *self.above = [*(below[..., :-1] for below in self.below), features]
        layers = (zip(*pair, strict=True) for pair in zip(self.below, self.above, strict=True))
        self.layer_rows = list(zip(*layers, strict=True)) or [()] * time
        self.observed, self.observed_rows = observed, list(observed.numpy())
        self.scales = agent.scales

    def begin(self) -> None:
        """Lay the weights out with their biases, [in + 1, out] each."""
        self.weights = [laid_out(layer).T for layer in self.layers]

    def step(self, t: int, observation: Tensor) -> None:
        if self.scales:
            observation = self.scales.observations(observation)
        self.observed_rows[t][:] = observation.numpy()
        for (below, above), weight in zip(self.layer_rows[t], self.weights, strict=True):
            torch.mm(below, weight, out=above).tanh_()

    def unroll(self, observations: Tensor) -> None:
        """One product a layer over all rows."""
        self.observed.copy_(self.scales.observations(observations) if self.scales else observations)
        for below, above, weight in zip(self.below, self.above, self.weights, strict=True):
            torch.mm(below.flatten(0, 1), weight, out=above.flatten(0, 1)).tanh_()

    def backward(self, n: slice, d_features: Tensor) -> None:
        """dy of a layer:   dp = dy (1 − y²),   dW = Σ dp [x, 1]ᵀ,   dx = Wᵀ dp."""
        d_above = d_features
        torso = zip(self.layers, self.weights, self.below, self.above, self.d_layers, strict=True)
        for layer, weight, below, above, d_layer in reversed(list(torso)):
            tanh_backward(d_above, above[n], grad_input=d_layer[n])
            dp = d_layer[n].flatten(0, 1)
            set_gradient(layer, dp.T @ below[n].flatten(0, 1))
            if layer is not self.layers[0]:
                d_above = (dp @ weight[:-1].T).unflatten(0, d_features.shape[:2])


class AnyTorso:
    """Any other torso: it acts step by step without a graph, and learns from all rows as one batch, or a few."""

    def __init__(self, agent: Agent, features: Tensor) -> None:
        self.agent, self.features = agent, features
        self.seen: list[Tensor] = [features[0]] * len(features)
        self.live: Tensor | None = None  # features of rows that were not acted, with their graph

    def begin(self) -> None:
        """The torso's own parameters are used; the rows of the segment before are let go."""
        self.seen, self.live = [self.features[0]] * len(self.features), None

    @torch.no_grad()
    def step(self, t: int, observation: Tensor) -> None:
        self.seen[t] = observation
        self.features[t] = self.agent.features(observation)

    def unroll(self, observations: Tensor) -> None:
        """All rows as one batch, whose graph `backward` uses, or as a few without one."""
        time, batch = observations.shape[:2]
        if len(pieces_of(time, batch, observations[0, 0].numel())) == 1:
            with torch.enable_grad():
                self.live = self.agent.features(observations)
            self.features.copy_(self.live.detach())
            return
        self.seen = list(observations)
        self.features.copy_(read(self.agent.features, observations))

    def backward(self, n: slice, d_features: Tensor) -> None:
        """By autograd, once over the rows n."""
        self.agent.torso.zero_grad(set_to_none=False)
        if self.live is not None:
            if self.live.requires_grad:
                with torch.enable_grad():
                    self.live[n].backward(d_features)
            return
        seen = self.seen[n]
        for piece in pieces_of(len(seen), len(seen[0]), seen[0][0].numel()):
            with torch.enable_grad():
                features = self.agent.features(torch.stack(seen[piece]))
                if features.requires_grad:
                    features.backward(d_features[piece])
