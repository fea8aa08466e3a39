"""Measures an agent three times in a run, and leaves the run as it would be without."""

import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from experiments.lab.watching import Watching
from experiments.online_vs_replay.measures.probe import MASKED, r_squared_of_agent
from experiments.online_vs_replay.measures.short_memory import LENGTHS, return_with_memory_of
from experiments.online_vs_replay.measures.staleness import HISTORY, of_buffer, of_segments
from rl.acting.randomness import TRAINING, generator
from rl.acting.segment import Segment
from rl.agent.agent import Agent
from rl.config import Config
from rl.learning.replay.experience import ReplayExperience

MOMENTS = (0.3, 0.6, 0.9)  # shares of the env steps; the learning rate is not yet 0


class Watched(Watching):
    """Appends what it measures to measures.jsonl in the run folder.

    It draws its random numbers from its own generator.
    """

    def __init__(self, experience: Any, config: Config, rank: int) -> None:
        """Wrap an experience; only that of rank 0 is measured."""
        super().__init__(experience, config, MOMENTS if rank == 0 else ())
        self.generator = generator(config.seed, TRAINING, "measure", rank)
        self.segments: deque[Segment] = deque(maxlen=HISTORY // max(1, config.segment_length) + 1)
        self.versions: deque[int] = deque(maxlen=2)  # of the parameters that acted the last two segments

    def add(self, segment: Segment) -> int:
        """Add a segment to the experience, and measure if a moment has come."""
        updates = super().add(segment)
        if not isinstance(self.experience, ReplayExperience):
            self.segments.append(segment)
            self.versions.append(self.experience.learner.pulled_version)
        if self.moment_comes():
            began = time.thread_time()
            self.measure()
            self.experience.learner.busy_since += time.thread_time() - began
        return updates

    @torch.no_grad()
    def measure(self) -> None:
        """Append a line to the run's measures."""
        agent, found = self.flat.agent, {}
        replays = isinstance(self.experience, ReplayExperience)
        with playing(agent):
            if agent.initial_state(1):
                found |= of_buffer(self.experience, self.generator) if replays else self.of_segments()
            found |= memory_measures(agent, self.config, last=not self.moments)
        if replays:
            found["bytes"] = self.experience.buffer.nbytes
        with open(Path(self.config.run_dir) / "measures.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"env_steps": self.env_steps, **found}) + "\n")

    def of_segments(self) -> dict[str, float]:
        """Measure the state that was carried into the newest segment."""
        age = float(self.versions[-1] - self.versions[-2])
        return of_segments(self.flat.agent, list(self.segments), age, self.config)


@contextmanager
def playing(agent: Agent) -> Iterator[None]:
    """Let an agent carry its state alone for the length of a block, as one that only plays does."""
    carries = getattr(agent.core, "carries_gradient", False)
    if carries:
        agent.core.carries_gradient = False
    try:
        yield
    finally:
        if carries:
            agent.core.carries_gradient = True


def memory_measures(agent: Agent, config: Config, last: bool) -> dict[str, float]:
    """Measure R² of the velocities on the masked CartPole, and at the last moment the returns with short memories."""
    found: dict[str, float] = {}
    if config.env == MASKED and config.frame_stack == 1:
        found["r2_cart"], found["r2_pole"] = r_squared_of_agent(agent)
    if last and agent.initial_state(1):
        found |= {f"memory_{length}": return_with_memory_of(agent, config, length) for length in LENGTHS}
    return found


def watch(experience: Any, config: Config, rank: int) -> Watched:
    """Wrap an experience in a `Watched`, as `rl.loop.Overrides.watch` asks for it."""
    return Watched(experience, config, rank)
