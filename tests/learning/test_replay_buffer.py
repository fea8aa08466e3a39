"""The replay buffer: what is drawn is what happened, row by row, in one environment, with the state before it."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from rl.acting.segment import Segment
from rl.agent.actions.categorical import Categorical
from rl.learning.replay.buffer import SequenceBuffer
from rl.learning.replay.episodes import EpisodeReader
from tests.support.rl_small import lively_agent, small_config

FEATURES = 2


class EveryPlace:
    """Stands for a generator: draws each of the places once, in order; there must be as many as are asked for."""

    def integers(self, places, size):
        assert places == size
        return np.arange(size)


SPACE = Box(-np.inf, np.inf, (FEATURES,), np.float64)


class Stream:
    """A buffer of `batch` environments, and what went in: row i of environment b observes (i, b) and so on.

    A row ends its episode, by termination, truncation or both, where chance says so."""

    def __init__(self, rows, batch, segment_length, ends=0.3, seed=0, generator=None, **options):
        self.random = np.random.default_rng(seed)
        state = (torch.zeros(1, batch, 3), torch.zeros(1, batch, 3)) if options.pop("lstm", True) else ()
        self.buffer = SequenceBuffer(
            rows,
            batch,
            segment_length,
            SPACE,
            Categorical(2),
            state,
            torch.float64,
            generator or self.random,
            **options,
        )
        self.batch, self.segment_length, self.ends, self.state = batch, segment_length, ends, state
        self.opens = np.ones(batch, bool)
        self.rows = []  # of every row since the beginning: a dict name -> [batch, ...]
        self.states = []  # of every segment

    def add(self, terminated=None, truncated=None, version=None):
        """One more segment, with ends where they are given or where chance has them."""
        n, start, shape = self.segment_length, len(self.rows), (self.segment_length, self.batch)
        if terminated is None:
            chance = self.random.random(shape)
            terminated, truncated = chance < 0.6 * self.ends, (chance > 0.4 * self.ends) & (chance < self.ends)
        ended = terminated | truncated
        numbers = np.stack(np.meshgrid(np.arange(start, start + n + 1), np.arange(self.batch), indexing="ij"), -1)
        numbers = numbers.astype(float)
        single = 100 * numbers[:-1, :, 0] + numbers[:-1, :, 1]
        state = tuple(torch.full_like(part, 7.0 * start + k) for k, part in enumerate(self.state))
        for part in state:
            part += torch.arange(self.batch)[None, :, None] / 8
        rows = {
            "observations": numbers[:-1],
            "is_first": np.concatenate([self.opens[None], ended[:-1]]),
            "actions": single.astype(int),
            "rewards": single + 0.25,
            "terminated": terminated,
            "truncated": truncated,
            "final_observations": -numbers[:-1],
            "log_probs": -single,
        }
        opens = np.concatenate([rows["is_first"], ended[-1:]])
        tensors = {name: torch.from_numpy(values) for name, values in rows.items()}
        tensors |= {"observations": torch.from_numpy(numbers), "is_first": torch.from_numpy(opens)}
        tensors["truncation_values"] = torch.zeros(shape)
        self.buffer.add(Segment(**tensors, core_state=state), start if version is None else version)
        self.rows += [{name: values[t] for name, values in rows.items()} for t in range(n)]
        self.states.append(state)
        self.opens = ended[-1]

    def assert_happened(self, window, starts, columns, observed=None):
        """Every entry of a window is that of the rows from `starts` on, in their columns."""
        steps = len(window.actions)
        for place, (start, column) in enumerate(zip(starts, columns, strict=True)):
            for name in ("actions", "rewards", "terminated", "truncated", "final_observations", "log_probs"):
                got = getattr(window, name)[:, place].tolist()
                assert got == [self.rows[start + t][name][column].tolist() for t in range(steps)], name
            for t in range(steps + 1) if observed is None else observed:
                row = self.rows[start + t]
                at = t if observed is None else observed.index(t)
                assert window.observations[at, place].tolist() == row["observations"][column].tolist()
                assert observed is not None or window.is_first[at, place] == row["is_first"][column]
            segment = start // self.segment_length
            assert window.versions[place] == segment * self.segment_length
            for part, kept in zip(window.core_state, self.states[segment], strict=True):
                assert torch.equal(part[:, place], kept[:, column])


def test_every_window_that_can_be_drawn_is_a_stretch_of_one_environments_rows_and_all_of_them_can():
    """All sizes of buffers up to 6 rows of segments of 1, 2 and 3, of windows that fit, while the ring is filled and
    until it has gone round twice. Windows overlap where they are longer than a segment, and cross borders of episodes,
    which is_first marks (opendilab/DI-engine#52, ray-project/ray#26833, pytorch/rl#4474)."""
    seen = 0
    for n, batch in itertools.product((1, 2, 3), (1, 2)):
        for rows, window_rows in itertools.product(range(n, 7, n), range(2, 7)):
            stream = Stream(rows, batch, n, generator=EveryPlace())
            for filled in range(n, 3 * rows + 1, n):
                stream.add()
                oldest = max(0, filled - rows)
                starts = [start for start in range(0, filled, n) if oldest <= start <= filled - window_rows]
                assert stream.buffer.can_draw(window_rows) == bool(starts)
                if starts:
                    places = list(itertools.product(starts, range(batch)))
                    window = stream.buffer.draw_sequences(len(places), window_rows)
                    stream.assert_happened(window, *zip(*places, strict=True))
                    assert window.slots.T.tolist() == [[start % rows, column] for start, column in places]
                    assert window.weights.tolist() == [1.0] * len(places)
                    seen += len(places)
    assert seen > 1000


def test_every_stretch_of_n_steps_can_be_drawn_as_a_transition_from_any_row():
    """Its two observations are the first, and the one behind the last step; each is to be seen by itself."""
    for n, batch, rows, steps in itertools.product((1, 2, 3), (1, 2), (3, 6), (1, 2, 3)):
        if rows % n or rows <= steps:
            continue
        stream = Stream(rows, batch, n, generator=EveryPlace())
        for filled in range(n, 3 * rows + 1, n):
            stream.add()
            starts = range(max(0, filled - rows), filled - steps)
            if starts:
                places = list(itertools.product(starts, range(batch)))
                window = stream.buffer.draw_transitions(len(places), steps)
                stream.assert_happened(window, *zip(*places, strict=True), observed=[0, steps])
                assert window.is_first.all() and window.is_first.shape == window.observations.shape[:2]
                assert window.slots.T.tolist() == [[start % rows, column] for start, column in places]


def test_no_border_of_an_episode_within_a_window_is_without_its_flag():
    """pytorch/rl#4474: slices were joined across episodes, and one hidden stream went through them."""
    stream, borders = Stream(60, 3, 4, generator=np.random.default_rng(5)), 0
    for _ in range(20):
        stream.add()
    for _ in range(30):
        window = stream.buffer.draw_sequences(8, 9)
        ended = window.terminated | window.truncated
        assert torch.equal(window.is_first[1:], ended)
        assert torch.equal(window.observations.diff(dim=0), torch.tensor([1.0, 0.0]).expand(8, 8, 2))
        borders += int(ended.sum())
    assert borders > 100


def test_windows_are_drawn_uniformly_from_all_environments_and_segments():
    """12 rows of 2 environments in segments of 2: windows of 3 rows start at 5 places of each. Of 10,000 draws each of
    the 10 has 1000, to within four standard deviations of 30."""
    stream = Stream(12, 2, 2, generator=np.random.default_rng(1))
    for _ in range(9):
        stream.add()
    starts = stream.buffer.draw_sequences(10_000, 3).observations[0].tolist()
    counts = {place: starts.count(list(place)) for place in set(map(tuple, starts))}
    assert sorted(counts) == [(start, column) for start in (6, 8, 10, 12, 14) for column in (0, 1)]
    assert all(abs(count - 1000) < 120 for count in counts.values())


def test_rows_are_whole_segments():
    for rows in (0, 3, 5):
        with pytest.raises(ValueError, match=f"^{rows} rows: whole segments of 4 are needed, at least one$"):
            Stream(rows, 1, 4)


def test_what_was_drawn_is_a_copy_that_later_segments_do_not_change():
    stream = Stream(4, 2, 2, generator=np.random.default_rng(1))
    stream.add(), stream.add()
    window = stream.buffer.draw_sequences(4, 3)
    kept = [part.clone() for part in (*window[:8], *window.core_state, window.versions)]
    for _ in range(4):
        stream.add()
    assert all(map(torch.equal, kept, (*window[:8], *window.core_state, window.versions)))


def test_a_buffer_holds_as_many_bytes_as_its_arrays():
    """6 rows of 2 environments in float64: 12 steps with 2 + 2 features, a reward and a log-probability of 8 bytes
    each, an action of 8 and 3 flags of 1, make 12 · 59 = 708. 3 segments: 2 states of 2 · 3 numbers and a version,
    3 · (96 + 8) = 312. Priorities are 8 bytes a step where they are used."""
    assert Stream(6, 2, 2).buffer.nbytes == 708 + 312
    assert Stream(6, 2, 2, priority_exponent=0.5).buffer.nbytes == 708 + 312 + 96
    assert Stream(6, 2, 2, lstm=False).buffer.nbytes == 708 + 24


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_are_kept_in_the_networks_precision_and_observations_and_actions_in_their_own(dtype):
    state = lively_agent(small_config(core="gru"), FEATURES).initial_state(2)
    image = Box(0, 255, (3, 4, 1), np.uint8)
    buffer = SequenceBuffer(4, 2, 2, image, Categorical(2), state, dtype, np.random.default_rng(0))
    for array in (buffer.observations, buffer.final_observations):
        assert array.dtype == np.uint8 and array.shape == (4, 2, 3, 4, 1)
    assert buffer.actions.dtype == np.int64 and buffer.actions.shape == (4, 2)
    kept = [buffer.rewards, buffer.log_probs, *buffer.core_states]
    assert {array.dtype for array in kept} == {np.dtype(str(dtype).removeprefix("torch."))}


# --- priorities


def counted(buffer, draws, rows):
    """How often each place was drawn, by (start, column)."""
    starts = buffer.draw_sequences(draws, rows).observations[0].tolist()
    return {place: starts.count(list(place)) for place in set(map(tuple, starts))}


@pytest.mark.parametrize(("exponent", "shares"), [(1.0, [1, 4, 4, 16]), (0.5, [1, 2, 2, 4]), (0.0, [1, 1, 1, 1])])
def test_windows_are_drawn_with_probability_p_to_the_exponent_over_their_sum(exponent, shares):
    """Of 20,000 draws, to within four standard deviations (of at most 71). The priority of a window stands at its
    first row: those of rows where none can start are 100 here, and never counted."""
    stream = Stream(6, 2, 2, generator=np.random.default_rng(2), priority_exponent=exponent)
    for _ in range(5):
        stream.add()
    if exponent:
        stream.buffer.priorities[:] = 100.0
        slots = np.array([[4 % 6, 4 % 6, 6 % 6, 6 % 6], [0, 1, 0, 1]])
        stream.buffer.set_priorities(slots, np.array([1.0, 4.0, 4.0, 16.0]) - 1e-6)
    found = counted(stream.buffer, 20_000, 3)
    expected = {(4, 0): shares[0], (4, 1): shares[1], (6, 0): shares[2], (6, 1): shares[3]}
    assert found.keys() == expected.keys()
    for place, share in expected.items():
        assert abs(found[place] - 20_000 * share / sum(shares)) < 284, place


def test_the_weight_of_a_window_is_its_probability_to_the_minus_exponent_over_the_largest_of_the_batch():
    """Priorities 1, 4, 16 and exponent 1/2: probabilities are as 1, 2, 4. w = p^-β with β = 1: as 4, 2, 1 over 4; with
    β = 1/2 as 2, √2, 1 over 2; the largest is 1."""
    for importance, weights in [(1.0, [1, 1 / 2, 1 / 4]), (0.5, [1, 2**-0.5, 1 / 2]), (0.0, [1, 1, 1])]:
        stream = Stream(
            3, 1, 1, generator=np.random.default_rng(2), priority_exponent=0.5, importance_exponent=importance
        )
        for _ in range(3):
            stream.add()
        stream.buffer.set_priorities(np.array([[0, 1, 2], [0, 0, 0]]), np.array([1.0, 4.0, 16.0]) - 1e-6)
        window = stream.buffer.draw_sequences(60, 1)
        expected = [weights[int(start)] for start in window.observations[0, :, 0]]
        assert window.weights.tolist() == pytest.approx(expected, abs=1e-12)
        assert window.weights.dtype == window.rewards.dtype and set(window.observations[0, :, 0].tolist()) == {0, 1, 2}


def test_weights_are_relative_to_the_largest_that_was_drawn_and_not_to_the_largest_that_there_is():
    """Only the place of priority 16 is drawn: its weight is 1."""
    stream = Stream(
        2,
        1,
        1,
        generator=SimpleNamespace(random=lambda size: np.full(size, 0.9)),
        priority_exponent=1.0,
        importance_exponent=1.0,
    )
    stream.add(np.array([[False]]), np.array([[False]])), stream.add(np.array([[False]]), np.array([[False]]))
    stream.buffer.set_priorities(np.array([[0, 1], [0, 0]]), np.array([1.0, 16.0]))
    assert stream.buffer.draw_sequences(3, 1).weights.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-53])
def test_a_draw_at_the_edge_is_a_place_that_there_is(uniform):
    """The smallest and the largest number that a generator draws, with priorities that do not add up exactly."""
    stream = Stream(
        3, 1, 1, generator=SimpleNamespace(random=lambda size: np.full(size, uniform)), priority_exponent=1.0
    )
    for _ in range(3):
        stream.add(np.array([[False]]), np.array([[False]]))
    stream.buffer.set_priorities(np.array([[0, 1, 2], [0, 0, 0]]), np.array([0.1, 0.1, 0.1]))
    [[number, _]] = stream.buffer.draw_sequences(1, 1).observations[0].tolist()
    assert number == {0.0: 0, 0.5: 1, 1 - 2**-53: 2}[uniform]


def test_what_is_new_has_the_highest_priority_that_was_ever_set_and_nothing_has_none():
    """1 before any error is known. An error of 0 leaves a little: what was learnt once may be forgotten."""
    stream = Stream(6, 2, 2, priority_exponent=1.0)
    for _ in range(3):
        stream.add()
    assert (stream.buffer.priorities == 1.0).all()
    stream.buffer.set_priorities(np.array([[0, 2], [0, 1]]), np.array([5.0, 0.0]))
    assert stream.buffer.priorities[0].tolist() == [5.0 + 1e-6, 1.0] and 0 < stream.buffer.priorities[2, 1] < 1e-5
    stream.buffer.set_priorities(np.array([[0], [0]]), np.array([0.5]))
    stream.add()
    assert stream.buffer.priorities[:2].tolist() == [[5.0 + 1e-6] * 2] * 2
    assert stream.buffer.priorities[2].tolist() == [1.0, 1e-6]  # of rows that stay


def test_without_an_exponent_no_priority_is_kept():
    stream = Stream(4, 2, 2)
    stream.add(), stream.add()
    stream.buffer.set_priorities(np.array([[0], [0]]), np.array([5.0]))
    assert stream.buffer.priorities.size == 0 and stream.buffer.highest_priority == 1.0


# --- whole episodes


def whole_episodes(stream):
    """(number of the first row, column) -> length, of episodes whose rows are all there: found row by row."""
    oldest, found = max(0, len(stream.rows) - stream.buffer.rows), {}
    for column in range(stream.batch):
        start = None
        for number in range(oldest, len(stream.rows)):
            row = stream.rows[number]
            if row["is_first"][column]:
                start = number
            if start is not None and (row["terminated"][column] or row["truncated"][column]):
                found[start, column] = number - start + 1
                start = None
    return found


@pytest.mark.parametrize("ends", [0.0, 0.1, 0.5, 1.0])
def test_the_episodes_that_can_be_read_are_those_whose_rows_are_all_there(ends):
    stream, most = Stream(12, 3, 3, ends=ends), 0
    for _ in range(12):
        stream.add()
        expected = whole_episodes(stream)
        assert sorted(map(tuple, stream.buffer.openings().tolist())) == sorted(expected)
        most = max(most, len(expected))
    assert {0.0: most == 0, 0.1: most > 0, 0.5: most > 5, 1.0: most == 36}[ends]


def test_the_episodes_are_looked_for_once_a_segment():
    stream = Stream(12, 3, 3)
    stream.add()
    assert stream.buffer.openings() is stream.buffer.openings()


def test_episodes_are_drawn_all_alike():
    """Episodes of 1, 2 and 3 steps in one environment, and one of 6 in the other: 2500 of 10,000 draws each."""
    stream = Stream(6, 2, 6, generator=np.random.default_rng(3))
    ends = np.zeros((6, 2), bool)
    ends[[0, 2, 5], 0] = ends[5, 1] = True
    stream.add(ends, ~ends & False)
    window = EpisodeReader(stream.buffer, 10_000).read(1, 1)
    starts = window.observations[0].tolist()
    assert window.is_first[0].all()
    for place in ([0, 0], [1, 0], [3, 0], [0, 1]):
        assert abs(starts.count(place) - 2500) < 174


def test_an_episode_is_read_from_its_first_step_to_its_last_over_as_many_readings_as_it_takes():
    """3 rows are trained on and 2 more follow, with the first of which the next reading begins. Step by step: after a
    step that ends an episode comes the first of one that is whole, after any other the next, none left out or twice."""
    stream, border = Stream(40, 3, 5, ends=0.15), 0
    for _ in range(8):
        stream.add()
    reader = EpisodeReader(stream.buffer, 6)
    whole, read = whole_episodes(stream), [[] for _ in range(6)]
    for _ in range(60):
        window = reader.read(3, 2)
        assert window.observations.shape[:2] == (5, 6) and len(window.actions) == 4
        for column, steps in enumerate(read):
            rows = [tuple(map(int, row)) for row in window.observations[:, column].tolist()]
            assert not steps or steps[-1] == rows[0]  # what followed is what comes
            steps += rows[1:4] if steps else rows[:4]
            border += int(window.is_first[3, column])
            assert rows[4] in whole if window.is_first[4, column] else rows[4] == (rows[3][0] + 1, rows[3][1])
            for t, (number, b) in enumerate(rows):
                row = stream.rows[number]
                assert bool(window.is_first[t, column]) == row["is_first"][b]
                if t < 4:
                    assert bool(window.truncated[t, column]) == row["truncated"][b]
                    assert window.rewards[t, column] == row["rewards"][b]
    for steps in read:
        assert steps[0] in whole
        for (number, b), following in itertools.pairwise(steps):
            ended = stream.rows[number]["terminated"][b] or stream.rows[number]["truncated"][b]
            assert (following in whole) if ended else following == (number + 1, b)
    assert len({place for steps in read for place in steps if place in whole}) == len(whole) > 10
    assert border > 20  # an episode opened just where a reading stopped, too


def test_an_episode_whose_rows_are_overwritten_is_left_for_another():
    """Rows 0 to 11 are there, all of one episode of 6 and one of 6. After reading 4 of the first, 6 rows come in: the
    reading of the first goes on with another, that of the second with its row 10."""
    stream = Stream(12, 1, 6)
    ends = np.zeros((6, 1), bool)
    ends[5] = True
    for _ in range(2):
        stream.add(ends, ~ends & False)
    reader = EpisodeReader(stream.buffer, 2)
    reader.numbers, reader.columns = np.array([0, 6]), np.array([0, 0])
    assert reader.read(4, 1).observations[:, :, 0].T.tolist() == [[0, 1, 2, 3, 4], [6, 7, 8, 9, 10]]
    stream.add(ends, ~ends & False)
    left, read_on = reader.read(4, 1).observations[:, :, 0].T.tolist()
    assert left in ([6, 7, 8, 9, 10], [12, 13, 14, 15, 16]) and read_on[:2] == [10, 11] and read_on[2] in (6, 12)


def test_a_reading_does_not_move_the_one_before():
    stream = Stream(12, 2, 6)
    stream.add(), stream.add()
    reader = EpisodeReader(stream.buffer, 4)
    first = reader.read(2, 1)
    kept = first.observations.clone()
    reader.read(2, 1)
    assert torch.equal(first.observations, kept)
