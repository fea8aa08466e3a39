"""Compares the gradient that is carried with the exact one, while an agent learns.

Sensitivities are derivatives of the state by the parameters that acted, and parameters change. The exact gradient of a
segment starts at the first step of each episode, with the parameters of now: all steps since are unrolled again, and
the same ∂L/∂logits and ∂L/∂values go back through all of them.
"""

import json
import time
from collections import deque
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.lab.watching import Watching
from rl.acting.segment import Segment
from rl.agent.agent import Agent, AgentOutput
from rl.config import Config

MOMENTS = (0.1, 0.3, 0.5, 0.7, 0.9)  # shares of the env steps
EACH = 8  # segments that follow each other are measured at a moment
HISTORY = 256  # steps that are kept: a moment is passed over where an episode began before them


class Watched(Watching):
    """Appends what it measures to gradients.jsonl in the run folder."""

    def __init__(self, experience: Any, config: Config, rank: int) -> None:
        """Wrap an experience; only that of rank 0 is measured."""
        super().__init__(experience, config, MOMENTS if rank == 0 else ())
        self.left = 0
        self.segments: deque[Segment] = deque(maxlen=-(-HISTORY // config.segment_length) + 1)

    def add(self, segment: Segment) -> int:
        """Add a segment to the experience, and see whether it is measured."""
        self.segments.append(segment)
        updates = super().add(segment)
        if self.moment_comes():
            self.left = EACH
        return updates

    def differentiate(self) -> dict[str, float]:
        """Differentiate as the experience does, and measure if a moment has come."""
        if not self.left:
            return self.experience.differentiate()
        self.left -= 1
        unrolled, taken = self.experience.unrolled, []
        backward = unrolled.backward

        def noted(gradient: AgentOutput) -> None:
            taken.append(AgentOutput(*(part.clone() for part in gradient)))
            backward(gradient)

        unrolled.backward = noted
        try:
            losses = self.experience.differentiate()
        finally:
            del unrolled.backward
        began = time.thread_time()
        found = compared_gradients(self.flat.agent, list(self.segments), taken[0])
        if found:
            with open(Path(self.config.run_dir) / "gradients.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps({"env_steps": self.env_steps, **found}) + "\n")
        self.experience.learner.busy_since += time.thread_time() - began
        return losses


def compared_gradients(agent: Agent, segments: list[Segment], gradient: AgentOutput) -> dict[str, float]:
    """Cosine and ratio of lengths of the gradient in the agent, and of the cut one, with the exact one.

    Args:
        agent: has the gradient of the newest segment.
        segments: consecutive ones, the newest last.
        gradient: ∂L/∂logits and ∂L/∂values of the newest one.

    Returns:
        carried_cosine, carried_ratio, cut_cosine, cut_ratio; {} where an episode began before the oldest segment.
    """
    newest, steps = segments[-1], sum(len(segment.actions) for segment in segments[:-1])
    is_first = torch.cat([segment.is_first[:-1] for segment in segments])
    if not is_first[: steps + 1].any(0).all():
        return {}
    recurrent = [part for name, part in agent.core.named_parameters() if ".mix." not in name]
    carried = flat(part.grad for part in recurrent)
    observations = torch.cat([segment.observations[:-1] for segment in segments])
    h = segments[0].core_state[:1]
    exact = gradient_of(agent, recurrent, (observations, h, is_first), gradient)
    rows = newest.observations[:-1], newest.core_state[:1], newest.is_first[:-1]
    cut = gradient_of(agent, recurrent, rows, gradient)
    found = {}
    for name, one in (("carried", carried), ("cut", cut)):
        found[f"{name}_cosine"] = torch.nn.functional.cosine_similarity(one, exact, dim=0).item()
        found[f"{name}_ratio"] = (one.norm() / exact.norm()).item()
    return found


def gradient_of(agent: Agent, parameters: list[Tensor], rows: tuple[Any, ...], gradient: AgentOutput) -> Tensor:
    """The gradient of an unroll over rows, of which the last ones have ∂L/∂logits and ∂L/∂values."""
    with torch.enable_grad():
        output, _ = agent.unroll(*rows)
        said = [part[-len(gradient.values) :] for part in output]
        return flat(torch.autograd.grad(said, parameters, list(gradient)))


def flat(gradients: Any) -> Tensor:
    """One vector in float64."""
    return torch.cat([part.detach().double().flatten() for part in gradients])


def watch(experience: Any, config: Config, rank: int) -> Watched:
    """Wrap an experience in a `Watched`, as `rl.loop.Overrides.watch` asks for it."""
    return Watched(experience, config, rank)
