"""How stale the core states are that a recurrent learner starts from.

Parameters change between the step that made a core state and the update that starts from it. Three states of one moment
are compared, and the newest parameters see all of them:

  training   the state in the training unroll: carried over from the segment before (online), zero, or the one that an
             actor stored, with or without burn-in;
  stored     the state that the actor had when it acted;
  true       the newest parameters unrolled over the 128 rows before, or over as many as there are.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from experiments.online_vs_replay.measures.gaps import Measures, at, gap, gaps
from rl.acting.segment import Segment
from rl.agent.agent import Agent, AgentOutput
from rl.agent.cores import CoreState
from rl.config import Config
from rl.learning.replay.experience import ReplayExperience

HISTORY = 128  # rows that lead to the true state
WINDOWS = 64  # drawn for one measure


def of_segments(agent: Agent, segments: Sequence[Segment], age: float, config: Config) -> Measures:
    """Online: compare the state that was carried into the newest segment with the true one; {} if rows are missing.

    Args:
        agent: with the newest parameters.
        segments: oldest first.
        age: updates since the carried state was computed.
        config: the run's.
    """
    *before, newest = segments
    if len(before) < HISTORY // config.segment_length:
        return {}
    state = before[0].core_state
    for segment in before:
        _, state = agent.unroll(segment.observations[:-1], state, segment.is_first[:-1])
    rows = newest.observations, newest.is_first
    carried, true = (agent.unroll(rows[0], start, rows[1])[0] for start in (newest.core_state, state))
    found = gaps("true", carried, true, config, (0, config.segment_length - 1))
    return found | {"age_mean": age, "age_p95": age}


class Rows(NamedTuple):
    """Consecutive rows of some columns of a buffer."""

    observations: Tensor  # [rows, windows, feature]
    is_first: Tensor  # [rows, windows]


def of_buffer(experience: ReplayExperience, generator: np.random.Generator) -> Measures:
    """Replay: compare the states of windows that are drawn without priorities; {} if the buffer is too short."""
    config, buffer, agent = experience.config, experience.buffer, experience.agent
    if config.replay_way == "episodes":
        return of_episodes(experience)
    segment, burn_in, trained = config.segment_length, config.burn_in_rows, config.trained_rows
    segments_before = min(-(-HISTORY // segment), (buffer.filled - burn_in - trained - 1) // segment)
    if segments_before < 1:
        return {}
    history = segments_before * segment
    length = history + burn_in + trained + 1
    places = (buffer.filled - length) // segment + 1
    starts = buffer.oldest + segment * generator.integers(places, size=WINDOWS)
    columns = generator.integers(buffer.batch, size=WINDOWS)
    rows, before = rows_of(buffer, starts, columns, length)
    over_all, _ = agent.unroll(rows.observations, before, rows.is_first)
    true = AgentOutput(*(output[history:] for output in over_all))
    window = Rows(*(column[history:] for column in rows))
    stored = config.replay_way.startswith("stored")
    state = state_at(buffer, starts + history, columns) if stored else agent.initial_state(WINDOWS)
    training, _ = agent.unroll(window.observations, state, window.is_first)
    found = gaps("true", training, true, config, (burn_in, burn_in + trained - 1))
    for name, row in (("first", burn_in), ("last", burn_in + trained)):  # actors store states between segments only
        if row % segment == 0 and config.replay_way != "transitions":
            state = state_at(buffer, starts + history + row, columns)
            acted, _ = agent.step(window.observations[row], state, window.is_first[row])
            found |= {f"stored_{name}": gap(at(training, row), acted, config)}
    drawable = np.arange(0, buffer.filled - config.sequence_span + 1, segment)
    return found | ages(experience, buffer.oldest + drawable)


def of_episodes(experience: ReplayExperience) -> Measures:
    """Whole episodes: compare the states carried from one piece of an episode to the first row of the next."""
    config, buffer, reader, agent = experience.config, experience.buffer, experience.reader, experience.agent
    segment = config.segment_length
    starts = (reader.numbers - HISTORY) // segment * segment
    held = np.flatnonzero(starts >= buffer.oldest)
    if not len(held):
        return {}
    numbers, columns, starts = reader.numbers[held], reader.columns[held], starts[held]
    length = int((numbers - starts).max()) + 1  # some need fewer rows: those past the newest row repeat it
    rows, before = rows_of(buffer, starts, columns, length)
    over_all, _ = agent.unroll(rows.observations, before, rows.is_first)
    places = torch.from_numpy(numbers - starts), torch.arange(len(held))
    true = AgentOutput(over_all.logits[places][None], over_all.values[places][None])
    state = tuple(part[:, held] for part in experience.state_read)
    carried, _ = agent.step(rows.observations[places], state, rows.is_first[places])
    training = AgentOutput(carried.logits[None], carried.values[None])
    return gaps("true", training, true, config, (0,)) | ages(experience, numbers)


def ages(experience: ReplayExperience, numbers: np.ndarray) -> Measures:
    """Return mean and 95th percentile of the ages, in updates, of the segments that hold these rows."""
    buffer = experience.buffer
    segments = numbers % buffer.rows // buffer.segment_length
    found = experience.learner.pulled_version - buffer.versions[segments]
    return {"age_mean": float(found.mean()), "age_p95": float(np.percentile(found, 95))}


def rows_of(buffer: Any, starts: np.ndarray, columns: np.ndarray, length: int) -> tuple[Rows, CoreState]:
    """Read rows of a buffer from each start on, in its column, and the actor's state before them."""
    numbers = np.minimum(starts + np.arange(length)[:, None], buffer.seen - 1) % buffer.rows
    rows = Rows(*(torch.from_numpy(part[numbers, columns]) for part in (buffer.observations, buffer.is_first)))
    return rows, state_at(buffer, starts, columns)


def state_at(buffer: Any, numbers: np.ndarray, columns: np.ndarray) -> CoreState:
    """Read the actor's states before these rows, each the first of a segment."""
    segments = numbers % buffer.rows // buffer.segment_length
    parts = (part[segments, :, columns] for part in buffer.core_states)
    return tuple(torch.from_numpy(rearrange(part, "window layer unit -> layer window unit").copy()) for part in parts)
