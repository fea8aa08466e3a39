"""The replay buffer: rows of environments in columns, and the core states that the actor had before them.

A column is one environment's stream, never joined from several, and a row t holds what was known when acting at t and
what the action caused, as in a Segment. What is drawn is a window of consecutive rows of a column; where an episode
opens within it `is_first` says so, so a window never has to end with an episode and nothing is padded.
"""

from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from rl.acting.segment import Segment
from rl.agent.actions.distribution import Actions
from rl.agent.cores import CoreState


class Window(NamedTuple):
    """Rows that were drawn; `rows` of them come with observations to unroll, one fewer with steps.

    Windows of single transitions have two observations instead, the first and the one behind the last step.
    """

    observations: Tensor  # [rows, batch, *shape]
    is_first: Tensor  # [rows, batch] bool
    actions: Tensor  # [rows − 1, batch, *shape of an action]
    rewards: Tensor  # [rows − 1, batch]
    terminated: Tensor  # [rows − 1, batch] bool
    truncated: Tensor  # [rows − 1, batch] bool
    final_observations: Tensor  # [rows − 1, batch, *shape]; read only where truncated and not terminated
    log_probs: Tensor  # [rows − 1, batch] log μ(aₜ) of the actor
    core_state: CoreState  # the actor's, before observations[0]
    versions: Tensor  # [batch] int64: the parameters' version when the first row was acted
    slots: np.ndarray  # [batch] where to put the priority
    weights: Tensor  # [batch] importance weights, at most 1


class SequenceBuffer:
    """A ring of rows for every environment of a worker, allocated once.

    A core state is kept before every segment, since sequences start there: rows / N states for each environment.
    """

    def __init__(
        self,
        rows: int,
        batch: int,
        segment_length: int,
        space: gymnasium.spaces.Box,
        distribution: Actions,
        core_state: CoreState,
        dtype: torch.dtype,
        generator: np.random.Generator,
        priority_exponent: float = 0.0,
        importance_exponent: float = 0.0,
    ) -> None:
        """Allocate.

        Args:
            rows: rows of each environment; a multiple of the segment length.
            batch: environments.
            segment_length: N.
            space: shape and dtype of an observation.
            distribution: shape and dtype of an action.
            core_state: a state of `batch` environments, for its shapes.
            dtype: precision of the network.
            generator: draws windows.
            priority_exponent: α of p ~ priority^α; 0 draws uniformly.
            importance_exponent: β of w ~ p^−β.

        Raises:
            ValueError: rows are not whole segments.
        """
        if rows % segment_length or rows < segment_length:
            raise ValueError(f"{rows} rows: whole segments of {segment_length} are needed, at least one")
        self.rows, self.batch, self.segment_length, self.generator = rows, batch, segment_length, generator
        self.priority_exponent, self.importance_exponent = priority_exponent, importance_exponent
        floating = numpy_dtype(dtype)
        shape, segments = (rows, batch), rows // segment_length
        self.observations = np.zeros((*shape, *space.shape), space.dtype)
        self.final_observations = np.zeros_like(self.observations)
        self.is_first, self.terminated, self.truncated = (np.zeros(shape, bool) for _ in range(3))
        self.actions = np.zeros((*shape, *distribution.shape), numpy_dtype(distribution.dtype))
        self.rewards, self.log_probs = np.zeros(shape, floating), np.zeros(shape, floating)
        self.core_states = [np.zeros((segments, *part.shape), floating) for part in core_state]
        self.versions = np.zeros(segments, np.int64)
        self.priorities = np.ones(shape if priority_exponent else (0, batch))
        self.highest_priority = 1.0
        self.seen = 0  # rows ever written; row i is at i % rows
        self._openings: tuple[int, np.ndarray] = -1, np.empty((0, 2), np.int64)  # when they were found, and where

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(array.nbytes for array in self._arrays().values())

    def _arrays(self) -> dict[str, np.ndarray]:
        """Everything that holds rows."""
        arrays = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return arrays | {f"core_state{number}": part for number, part in enumerate(self.core_states)}

    @property
    def filled(self) -> int:
        """Rows of each environment that are there."""
        return min(self.seen, self.rows)

    @property
    def oldest(self) -> int:
        """Number of the oldest row that is there."""
        return self.seen - self.filled

    def add(self, segment: Segment, version: int) -> None:
        """Write a segment over the oldest one.

        Args:
            segment: N steps, with final observations and the actor's log-probabilities.
            version: version of the parameters that acted.
        """
        start = self.seen % self.rows
        here = slice(start, start + self.segment_length)
        self.observations[here] = segment.observations[:-1].numpy()
        self.is_first[here] = segment.is_first[:-1].numpy()
        for name in ("actions", "rewards", "terminated", "truncated", "final_observations", "log_probs"):
            getattr(self, name)[here] = getattr(segment, name).numpy()
        for states, part in zip(self.core_states, segment.core_state, strict=True):
            states[start // self.segment_length] = part.numpy()
        self.versions[start // self.segment_length] = version
        self.priorities[here] = self.highest_priority
        self.seen += self.segment_length

    def state(self) -> dict[str, Any]:
        """All rows, the place of the next one, and the generator, as tensors and plain Python."""
        arrays = {name: torch.from_numpy(value.copy()) for name, value in self._arrays().items()}
        return {
            "arrays": arrays,
            "highest_priority": self.highest_priority,
            "seen": self.seen,
            "generator": self.generator.bit_generator.state,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from `state()` of a buffer of the same sizes."""
        for name, value in self._arrays().items():
            value[:] = state["arrays"][name].numpy()
        self.highest_priority, self.seen = state["highest_priority"], state["seen"]
        self.generator.bit_generator.state = state["generator"]

    # --- what is drawn

    def draw_sequences(self, batch: int, rows: int) -> Window:
        """Windows of so many rows that start where segments do, with the actor's core state."""
        last = (self.filled - rows) // self.segment_length  # the last segment that a window can start from
        starts, columns, weights = self._draw(batch, last + 1, self.segment_length)
        return self._window(starts, columns, weights, rows)

    def draw_transitions(self, batch: int, steps: int) -> Window:
        """Windows of `steps` steps from any row; of their observations the first, and the one behind the steps.

        Each of the two opens an episode: they are to be seen from a fresh state.
        """
        starts, columns, weights = self._draw(batch, self.filled - steps, 1)
        window = self._window(starts, columns, weights, steps + 1)
        ends = window.observations[::steps]
        return window._replace(observations=ends, is_first=torch.ones(2, batch, dtype=torch.bool))

    def can_draw(self, rows: int) -> bool:
        """Whether there is a window of so many rows."""
        return self.filled >= rows

    def _draw(self, batch: int, places: int, stride: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Numbers of first rows [batch], their columns, and importance weights: out of `places` starts a column."""
        if not self.priority_exponent:
            drawn = self.generator.integers(places * self.batch, size=batch)
            weights = np.ones(batch)
        else:
            numbers = (self.oldest + stride * np.arange(places)) % self.rows
            cumulative = np.cumsum(self.priorities[numbers] ** self.priority_exponent)  # place by place, columns within
            drawn = np.searchsorted(cumulative, self.generator.random(batch) * cumulative[-1], "right")  # u < 1
            shares = np.diff(cumulative, prepend=0.0)[drawn]
            weights = (shares.min() / shares) ** self.importance_exponent
        return self.oldest + stride * (drawn // self.batch), drawn % self.batch, weights

    def _window(self, starts: np.ndarray, columns: np.ndarray, weights: np.ndarray, rows: int) -> Window:
        """The rows behind each start, in its column."""
        numbers = starts + rearrange(np.arange(rows), "row -> row 1")
        return self.gather(numbers, np.broadcast_to(columns, numbers.shape), weights)

    def gather(self, numbers: np.ndarray, columns: np.ndarray, weights: np.ndarray) -> Window:
        """The rows of these numbers and columns, both [rows, batch].

        The core state is the one before the segment of the first row: it is right where that row starts a segment.
        """
        at = numbers % self.rows, columns
        steps = at[0][:-1], at[1][:-1]
        segment, column = at[0][0] // self.segment_length, columns[0]
        values = {name: torch.from_numpy(getattr(self, name)[at]) for name in ("observations", "is_first")}
        values |= {
            name: torch.from_numpy(getattr(self, name)[steps])
            for name in ("actions", "rewards", "terminated", "truncated", "final_observations", "log_probs")
        }
        parts = (part[segment, :, column] for part in self.core_states)
        states = [rearrange(part, "batch layer hidden -> layer batch hidden") for part in parts]
        return Window(
            **values,
            core_state=tuple(torch.from_numpy(part.copy()) for part in states),
            versions=torch.from_numpy(self.versions[segment]),
            slots=np.stack([at[0][0], column]),
            weights=torch.from_numpy(weights).to(values["rewards"].dtype),
        )

    def set_priorities(self, slots: np.ndarray, priorities: np.ndarray) -> None:
        """How much is still to be learnt from windows that were drawn, [batch]."""
        if self.priority_exponent:
            priorities = priorities + 1e-6  # or it would never be drawn again
            self.priorities[tuple(slots)] = priorities
            self.highest_priority = max(self.highest_priority, float(priorities.max()))

    # --- whole episodes

    def openings(self) -> np.ndarray:
        """Number of the first row, and column, of each episode that is there from its first step to its last.

        Returns:
            [episode, 2].
        """
        if self._openings[0] != self.seen:
            at = np.arange(self.oldest, self.seen) % self.rows
            ended = (self.terminated | self.truncated)[at]
            # An episode has ended if any row from its first on has.
            later = np.logical_or.accumulate(ended[::-1])[::-1]
            found = np.argwhere(self.is_first[at] & later)
            found[:, 0] += self.oldest
            self._openings = self.seen, found
        return self._openings[1]


def numpy_dtype(dtype: torch.dtype) -> np.dtype:
    """NumPy's name of a type of number."""
    return np.dtype(str(dtype).removeprefix("torch."))
