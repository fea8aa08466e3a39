"""How wrong the core states are that a recurrent learner starts from, measured while it learns.

Parameters change between the step that made a core state and the update that starts from it. Three states of one moment
are compared, all seen with the newest parameters:

  training   the state in the training unroll: carried over from the segment before (online), zero, or what an actor
             stored, with or without burn-in;
  stored     what the actor had, when it acted;
  true       the newest parameters unrolled over the 128 rows before, or what there is of them.

R2D2's measure is ΔQ = ‖Q(training) − Q(stored)‖₂ / max |Q(stored)|, at the first and the last trained step (Kapturowski
et al. 2019, §3); the same of V, and KL(π ‖ π), for actor-critics.
"""

import json
import time
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl.acting.policies import q_values
from rl.acting.randomness import TRAINING, generator
from rl.acting.segment import Segment
from rl.agent.agent import AgentOutput
from rl.agent.cores import CoreState
from rl.config import Config
from rl.learning.replay.experience import ReplayExperience

HISTORY = 128  # rows before
WINDOWS = 64  # at a time
MOMENTS = (0.3, 0.6, 0.9)  # of the env steps: the learning rate is not yet 0
Measures = dict[str, float]


class Watched:
    """An Experience that is measured three times in a run; what was found goes to measures.jsonl in its folder.

    What measuring costs is not counted as the run's CPU seconds, and draws from a generator of its own, so the run is
    the same as without.
    """

    def __init__(self, experience: Any, config: Config, rank: int) -> None:
        """Watch an experience of rank 0, from here on."""
        self.experience, self.config, self.flat = experience, config, experience.flat
        self.moments = [share * config.total_env_steps for share in MOMENTS if rank == 0]
        self.generator = generator(config.seed, TRAINING, "measure", rank)
        self.env_steps = 0
        self.segments: deque[Segment] = deque(maxlen=HISTORY // max(1, config.segment_length) + 1)
        self.versions: deque[int] = deque(maxlen=2)  # of the parameters that acted the last two

    def add(self, segment: Segment) -> int:
        """Hand it on, and measure at the moments of it."""
        updates = self.experience.add(segment)
        if not isinstance(self.experience, ReplayExperience):
            self.segments.append(segment._replace(recording=None))
            self.versions.append(self.experience.learner.pulled_version)
        self.env_steps += segment.env_steps * self.config.workers
        if self.moments and self.env_steps >= self.moments[0]:
            began = time.thread_time()
            self.moments.pop(0)
            self.measure()
            self.experience.learner.busy_since += time.thread_time() - began
        return updates

    def differentiate(self) -> dict[str, float]:
        """As the experience does."""
        return self.experience.differentiate()

    def state(self) -> dict[str, Any]:
        """That of the experience; what is measured of a resumed run begins anew."""
        return self.experience.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self.experience.load_state(state)

    @torch.no_grad()
    def measure(self) -> None:
        """Append a line to the run's measures."""
        from experiments.online_vs_replay.measures.memory import memory_measures

        agent, found = self.flat.agent, {}
        online = not isinstance(self.experience, ReplayExperience)
        if agent.initial_state(1):
            found |= self.of_segments() if online else of_buffer(self.experience, self.generator)
        if not online:
            found["bytes"] = self.experience.buffer.nbytes
        found |= memory_measures(agent, self.config, last=not self.moments)
        with open(Path(self.config.run_dir) / "measures.jsonl", "a") as file:
            file.write(json.dumps({"env_steps": self.env_steps, **found}) + "\n")

    def of_segments(self) -> Measures:
        """Online: the state carried into the newest segment against the newest parameters over the rows before it."""
        *before, newest = self.segments
        agent = self.flat.agent
        if len(before) < HISTORY // self.config.segment_length:
            return {}
        state = before[0].core_state
        for segment in before:
            _, state = agent.unroll(segment.observations[:-1], state, segment.is_first[:-1])
        rows = newest.observations, newest.is_first
        carried, true = (agent.unroll(rows[0], start, rows[1])[0] for start in (newest.core_state, state))
        age = float(self.versions[-1] - self.versions[-2])  # of the carried state, in updates
        found = gaps("true", carried, true, self.config, (0, self.config.segment_length - 1))
        return found | {"age_mean": age, "age_p95": age}


class Rows(NamedTuple):
    """Consecutive rows of some columns of a buffer."""

    observations: Tensor  # [rows, windows, feature]
    is_first: Tensor  # [rows, windows]


def of_buffer(experience: ReplayExperience, generator: np.random.Generator) -> Measures:
    """Replay: at windows drawn like those of an update, but for priorities; {} while the buffer is too short."""
    config, buffer, agent = experience.config, experience.buffer, experience.agent
    if config.replay_way == "episodes":
        return of_episodes(experience)
    segment, burn_in, trained = config.segment_length, config.burn_in_rows, config.trained_rows
    whole = min(-(-HISTORY // segment), (buffer.filled - burn_in - trained - 1) // segment)  # segments before
    if whole < 1:
        return {}
    history = whole * segment
    length = history + burn_in + trained + 1
    places = (buffer.filled - length) // segment + 1
    starts = buffer.oldest + segment * generator.integers(places, size=WINDOWS)
    columns = generator.integers(buffer.batch, size=WINDOWS)
    rows, before = rows_of(buffer, starts, columns, length)
    true, _ = agent.unroll(*_unrolled(rows, before))
    start = Rows(*(part[history:] for part in rows))
    stored_state = state_at(buffer, starts + history, columns)
    fresh = agent.initial_state(WINDOWS)
    used = stored_state if config.replay_way.startswith("stored") else fresh
    training, _ = agent.unroll(*_unrolled(start, used))
    truly = AgentOutput(*(part[history:] for part in true))
    first, last = burn_in, burn_in + trained - 1
    found = gaps("true", training, truly, config, (first, last))
    for name, row in (("first", first), ("last", burn_in + trained)):  # the row behind the last: states are at segments
        if row % segment == 0 and config.replay_way != "transitions":
            stored, _ = agent.step(
                start.observations[row], state_at(buffer, starts + history + row, columns), start.is_first[row]
            )
            found |= {f"stored_{name}": gap(at(training, row), stored, config)}
    drawable = (
        (buffer.oldest + np.arange(0, buffer.filled - config.sequence_span + 1, segment)) % buffer.rows // segment
    )
    ages = experience.learner.pulled_version - buffer.versions[drawable]
    return found | {"age_mean": float(ages.mean()), "age_p95": float(np.percentile(ages, 95))}


def of_episodes(experience: ReplayExperience) -> Measures:
    """Whole episodes: the state carried from the piece before, at the first row of the next."""
    config, buffer, reader, agent = experience.config, experience.buffer, experience.reader, experience.agent
    segment = config.segment_length
    begins = (reader.numbers - HISTORY) // segment * segment
    whole = np.flatnonzero(begins >= buffer.oldest)
    if not len(whole):
        return {}
    numbers, columns, begins = reader.numbers[whole], reader.columns[whole], begins[whole]
    length = int((numbers - begins).max()) + 1  # some of them need fewer: those behind the newest repeat it
    rows, before = rows_of(buffer, begins, columns, length)
    outputs, _ = agent.unroll(*_unrolled(rows, before))
    places = torch.from_numpy(numbers - begins), torch.arange(len(whole))
    true = AgentOutput(outputs.logits[places][None], outputs.values[places][None])
    state = tuple(part[:, whole] for part in experience.state_read)
    carried, _ = agent.step(rows.observations[places], state, rows.is_first[places])
    training = AgentOutput(carried.logits[None], carried.values[None])
    found = gaps("true", training, true, config, (0,))
    ages = experience.learner.pulled_version - buffer.versions[numbers % buffer.rows // segment]
    return found | {"age_mean": float(ages.mean()), "age_p95": float(np.percentile(ages, 95))}


def rows_of(buffer: Any, starts: np.ndarray, columns: np.ndarray, length: int) -> tuple[Rows, CoreState]:
    """Rows of a buffer from each start on, in its column, and the actor's state before them."""
    numbers = np.minimum(starts + np.arange(length)[:, None], buffer.seen - 1) % buffer.rows
    rows = Rows(*(torch.from_numpy(part[numbers, columns]) for part in (buffer.observations, buffer.is_first)))
    return rows, state_at(buffer, starts, columns)


def state_at(buffer: Any, numbers: np.ndarray, columns: np.ndarray) -> CoreState:
    """What the actor had before these rows, which start segments."""
    segments = numbers % buffer.rows // buffer.segment_length
    parts = (part[segments, :, columns] for part in buffer.core_states)
    return tuple(torch.from_numpy(part).transpose(0, 1).contiguous() for part in parts)


def _unrolled(rows: Rows, state: CoreState) -> tuple[Tensor, CoreState, Tensor]:
    return rows.observations, state, rows.is_first


def at(output: AgentOutput, row: int) -> AgentOutput:
    """One row of outputs."""
    return AgentOutput(output.logits[row], output.values[row])


def gaps(name: str, output: AgentOutput, other: AgentOutput, config: Config, rows: tuple[int, ...]) -> Measures:
    """Gap, share of other greedy actions and, for actor-critics, KL at the first row and the last."""
    found: Measures = {}
    for place, row in zip(("first", "last"), rows, strict=False):
        here, there = at(output, row), at(other, row)
        found[f"{name}_{place}"] = gap(here, there, config, scale=other)
        found[f"disagree_{place}"] = (here.logits.argmax(-1) != there.logits.argmax(-1)).double().mean().item()
        if not config.has_q_values:
            log, log_other = here.logits.log_softmax(-1), there.logits.log_softmax(-1)
            found[f"kl_{place}"] = (log_other.exp() * (log_other - log)).sum(-1).mean().item()
    return found


def gap(output: AgentOutput, other: AgentOutput, config: Config, scale: AgentOutput | None = None) -> float:
    """ΔQ or ΔV of outputs of some windows: their distance by the largest value of the window, mean over windows."""
    read = q_values if config.has_q_values else (lambda said: said.values.unsqueeze(-1))
    distance = (read(output) - read(other)).norm(dim=-1)
    values = read(scale or other).abs().amax(-1)
    largest = values.amax(0) if values.dim() > 1 else values
    return (distance / (largest + 1e-8)).mean().item()


def watch(experience: Any, config: Config, rank: int) -> Watched:
    """An experience that is measured (rl/loop.py Overrides)."""
    return Watched(experience, config, rank)
