"""Segments that end with their episodes: whole episodes (N = 0), and N steps or less (--stop-at-episode-end).

A segment is what a Collector of a fixed length would have seen of the same steps: nothing is left out at the seams of
the pieces that an episode of unknown length is acted in, nor at the end of it.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

import rl.acting.collector
from rl.acting.collector import PIECE, Collector
from rl.acting.segment import Segment
from rl.agent.actions.categorical import Categorical
from rl.learning.returns import targets
from tests.support.rl_small import (
    assert_same_segment,
    differentiate,
    is_recorded,
    joined,
    segment_loss,
    small_collector,
    small_config,
)

every_recurrent_core = pytest.mark.parametrize("core", ["rnn", "gru", "lstm"])
LENGTHS = [1, 3, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 150]  # of episodes; around the seams of pieces, and beyond


def options_of(segment_length, length, end="terminated", **options):
    """A config of one environment that counts episodes and steps, and ends its episodes after `length` steps."""
    ends = {"env": "Count-v0", "env_arg": (f"length={length}", f"end={end}"), "envs_per_worker": 1}
    return small_config(**{**ends, "segment_length": segment_length, "stop_at_episode_end": True, **options})


class NotedNoise:
    """Noise that notes what it gave."""

    def __init__(self, noise):
        self.noise, self.given = noise, []

    def draw(self, steps, actions):
        self.given.append(self.noise.draw(steps, actions))
        return self.given[-1]


class KnownNoise:
    """Noise that is known beforehand, [time, batch, action]."""

    def __init__(self, rows):
        self.rows, self.drawn = rows, 0

    def draw(self, steps, actions):
        self.drawn += steps
        return self.rows[self.drawn - steps : self.drawn].numpy()


def noise_used(noted: NotedNoise, steps: list[int]) -> torch.Tensor:
    """Of what was drawn, a draw for each piece, the rows that steps were taken with; `steps` of each segment."""
    used, draws = [], iter(noted.given)
    for left in steps:
        while left > 0:
            rows = next(draws)[:left]
            used.append(torch.from_numpy(rows))
            left -= len(rows)
    assert next(draws, None) is None
    return torch.cat(used)


def of_fixed_length(config, steps: int, noise=None) -> Segment:
    """One segment of so many steps, in which episodes end where they may."""
    collector = small_collector(replace(config, segment_length=steps, stop_at_episode_end=False))
    collector.noise = noise or collector.noise
    return collector.collect()


def outputs_of(collector: Collector) -> list:
    """A list that fills with what the agent says at each step of its environments."""
    said, newest = [], []
    agent_step, environment_step = collector.agent.step, collector.environments.step

    def noting_step(*arguments):
        newest[:] = [agent_step(*arguments)]
        return newest[0]

    def noting_environment_step(actions):
        said.append(newest[0][0])
        return environment_step(actions)

    collector.agent.step, collector.environments.step = noting_step, noting_environment_step
    return said


# --- whole episodes


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("end", ["terminated", "truncated", "both"])
def test_a_monte_carlo_segment_is_one_whole_episode(length, end):
    """Count observes (episode, step) / 8 and earns t + 1: every row is known beforehand."""
    collector = small_collector(options_of(0, length, end))
    for episode in range(2):
        segment = collector.collect()
        assert segment.env_steps == length and len(segment.observations) == len(segment.is_first) == length + 1
        seen = (segment.observations[:, 0] * 8).tolist()
        assert seen == [*([episode, step] for step in range(length)), [episode + 1, 0]]  # then the next one's first
        assert segment.is_first.flatten().tolist() == [True, *[False] * (length - 1), True]
        assert segment.rewards.flatten().tolist() == [float(step + 1) for step in range(length)]
        last = [*[False] * (length - 1), True]
        assert segment.terminated.flatten().tolist() == [flag and end != "truncated" for flag in last]
        assert segment.truncated.flatten().tolist() == [flag and end != "terminated" for flag in last]
        assert collector.take_finished_episodes() == [(length * (length + 1) / 2, length)]


@pytest.mark.product
@every_recurrent_core
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_a_long_episode_is_the_segment_that_a_collector_of_just_that_length_collects(core, length, end):
    """Bit for bit: observations, actions by the same noise, truncation values, and the state before the first row."""
    config = options_of(0, length, end, core=core)
    segment = small_collector(config).collect()
    assert_same_segment(segment, of_fixed_length(config, length))
    assert length < 10 or 0 < segment.actions.sum() < length
    assert (segment.truncation_values != 0).flatten().tolist() == [*[False] * (length - 1), end == "truncated"]


@pytest.mark.product
@every_recurrent_core
@pytest.mark.parametrize("segment_length", [0, 10])
@pytest.mark.parametrize(
    ("world", "segments"),
    [({"env": "Dice-v0"}, 40), ({"env": "Count-v0", "env_arg": ("length=70", "end=truncated")}, 9)],
)
def test_segments_that_end_with_their_episodes_are_one_stream_of_a_fixed_length(core, segment_length, world, segments):
    """Episodes of random lengths and endings, and some of more than a piece: end to end, the segments are the rows that
    a fixed length sees by the noise that they used, and each starts where the last one stopped. The noise is one
    stream, of which what an ended piece has left over is not used."""
    config = small_config(
        envs_per_worker=1, core=core, segment_length=segment_length, stop_at_episode_end=True, **world
    )
    collector = small_collector(config)
    collector.noise = noted = NotedNoise(collector.noise)
    collected = [collector.collect() for _ in range(segments)]
    lengths = [segment.env_steps for segment in collected]
    whole, used = joined(collected), noise_used(noted, lengths)
    assert_same_segment(whole, of_fixed_length(config, sum(lengths), KnownNoise(used)))
    for segment, following in pairwise(collected):
        assert torch.equal(segment.observations[-1], following.observations[0])
        assert torch.equal(segment.is_first[-1], following.is_first[0])
    stream = small_collector(config).noise.draw(sum(map(len, noted.given)), Categorical(2))
    assert (stream == np.concatenate(noted.given)).all()
    assert whole.is_first.sum() > 1 and 0 < whole.actions.sum() < whole.env_steps


@pytest.mark.parametrize("segment_length", [0, 4])
def test_the_same_seed_collects_the_same_segments_and_another_one_others(segment_length):
    def collected(seed):
        config = small_config(
            env="Dice-v0", envs_per_worker=1, segment_length=segment_length, stop_at_episode_end=True, seed=seed
        )
        collector = small_collector(config)
        return joined([collector.collect() for _ in range(20)])

    assert_same_segment(collected(1), collected(1))
    assert not torch.equal(collected(1).actions[:20], collected(2).actions[:20])


@pytest.mark.parametrize("core", ["gru", "lstm", pytest.param("rnn", marks=pytest.mark.slow)])
@pytest.mark.parametrize("length", [3, PIECE + 1, 150])
def test_the_core_state_of_a_whole_episode_is_that_before_its_first_row_and_not_before_its_last_piece(core, length):
    """Of the first episode: zeros. Of the next: the state after the first one's last row, which its own first row,
    marked as opening an episode, does not see."""
    collector = small_collector(options_of(0, length, core=core))
    first = collector.collect()
    assert all(part.count_nonzero() == 0 for part in first.core_state)
    kept = [part.clone() for part in first.core_state]
    with torch.no_grad():
        _, state = collector.agent.unroll(first.observations[:-1], first.core_state, first.is_first[:-1])
    second = collector.collect()
    assert second.is_first[0].all()
    for part, expected in zip(second.core_state, state, strict=True):
        torch.testing.assert_close(part, expected, rtol=0, atol=1e-12)
        assert part.count_nonzero() == part.numel()
    assert all(torch.equal(part, before) for part, before in zip(first.core_state, kept, strict=True))
    sick = second._replace(core_state=tuple(part * torch.nan for part in second.core_state))
    outputs = [collector.agent.unroll(s.observations, s.core_state, s.is_first)[0] for s in (second, sick)]
    assert torch.equal(outputs[0].logits, outputs[1].logits)


@every_recurrent_core
@pytest.mark.parametrize("length", [3, PIECE, 150])
def test_the_truncation_at_the_end_of_a_whole_episode_has_the_value_of_its_final_observation(core, length):
    """V(final observation) with the state after the last row; it is what the last step's target goes on with, and the
    bootstrap, which is the next episode's first observation, does not enter."""
    config = options_of(0, length, "truncated", core=core, discount=0.5, returns="n_step")
    collector = small_collector(config)
    segment = collector.collect()
    with torch.no_grad():
        output, _ = collector.agent.unroll(segment.observations, segment.core_state, segment.is_first)
        _, state = collector.agent.unroll(segment.observations[:-1], segment.core_state, segment.is_first[:-1])
        final = torch.tensor([[0.0, length / 8]], dtype=torch.float64)  # (episode, step) / 8
        following, _ = collector.agent.step(final, state, torch.tensor([False]))
    torch.testing.assert_close(segment.truncation_values[-1], following.values, rtol=0, atol=1e-12)
    assert segment.truncation_values[:-1].count_nonzero() == 0 and following.values.abs() > 1e-3
    last = targets(segment, output.values, config)[-1]
    torch.testing.assert_close(last, length + 0.5 * following.values, rtol=0, atol=1e-12)
    assert (following.values - output.values[-1]).abs() > 1e-3  # the next episode's first is worth something else


# --- N steps, or less


def test_a_segment_has_n_steps_or_ends_with_its_episode():
    """Episodes of 25 steps, N = 10: 10, 10, 5 and so on; of 10 steps: always 10; of 3: always 3."""
    for length, expected in ((25, [10, 10, 5, 10, 10, 5, 10]), (10, [10] * 3), (3, [3] * 4), (1, [1] * 4)):
        collector = small_collector(options_of(10, length))
        segments = [collector.collect() for _ in expected]
        assert [segment.env_steps for segment in segments] == expected
        for segment in segments:
            ended = (segment.terminated | segment.truncated).flatten()
            assert not ended[:-1].any()  # an end is the last row or nowhere
            assert torch.equal(segment.is_first[1:].flatten(), ended)


def test_without_the_option_a_segment_goes_on_past_the_end_of_an_episode():
    segment = small_collector(options_of(10, 3, stop_at_episode_end=False)).collect()
    assert segment.env_steps == 10 and segment.terminated.sum() == 3


@pytest.mark.parametrize("core", ["gru", "lstm", pytest.param("rnn", marks=pytest.mark.slow)])
@pytest.mark.parametrize("n", [1, 7, 10])
def test_the_state_is_carried_over_the_segments_of_one_long_episode(core, n):
    """150 steps cut into segments of N are the episode as one segment, to the bit, and each starts with the state after
    the last one's rows; the one that ends the episode is what is left of it."""
    config = options_of(n, 150, "truncated", core=core)
    collector = small_collector(config)
    segments = [collector.collect() for _ in range(-(-150 // n))]
    assert [segment.env_steps for segment in segments[:-1]] == [n] * (len(segments) - 1)
    assert segments[-1].env_steps == 150 - n * (len(segments) - 1) and segments[-1].truncated[-1].all()
    for segment, following in pairwise(segments):
        with torch.no_grad():
            _, state = collector.agent.unroll(segment.observations[:-1], segment.core_state, segment.is_first[:-1])
        for carried, expected in zip(following.core_state, state, strict=True):
            torch.testing.assert_close(carried, expected, rtol=0, atol=1e-12)
            assert carried.count_nonzero() == carried.numel()
        assert not following.is_first[0].any()
    whole = small_collector(options_of(0, 150, "truncated", core=core)).collect()
    assert_same_segment(joined(segments), whole)


@pytest.mark.parametrize("segment_length", [0, 10])
def test_without_carrying_every_segment_starts_from_zeros_but_the_pieces_of_one_do_not(segment_length):
    config = options_of(segment_length, 150, core="gru", carry_state=False)
    collector = small_collector(config)
    said = outputs_of(collector)
    for _ in range(3):
        segment = collector.collect()
        assert all(part.count_nonzero() == 0 for part in segment.core_state)
    with torch.no_grad():
        output, _ = collector.agent.unroll(segment.observations, segment.core_state, segment.is_first)
    values = torch.stack([output.values for output in said[-segment.env_steps :]])
    torch.testing.assert_close(values, output.values[:-1], rtol=0, atol=1e-12)


# --- learning from it


@pytest.mark.parametrize("core", ["gru", "lstm", pytest.param("rnn", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("segment_length", "length"), [(0, 3), (0, PIECE), (0, 150), (10, 25)])
def test_the_learner_recomputes_what_acting_saw(core, segment_length, length):
    """Logits and values of the re-unrolled segment are those that the actions were drawn from, at every step; so is
    the loss, here −Σ log π(aₜ) Gₜ + Σ (Gₜ − Vₜ)² of numbers that were noted while acting."""
    config = options_of(
        segment_length,
        length,
        core=core,
        returns="n_step",
        baseline="none",
        loss_reduction="sum",
        value_coefficient=1.0,
    )
    collector = small_collector(config)
    said = outputs_of(collector)
    for _ in range(4):
        said.clear()
        segment = collector.collect()
        acted = list(said)
        assert len(acted) == segment.env_steps
        with torch.no_grad():
            again, _ = collector.agent.unroll(segment.observations, segment.core_state, segment.is_first)
        logits, values = (torch.stack([getattr(output, name) for output in acted]) for name in ("logits", "values"))
        torch.testing.assert_close(logits, again.logits[:-1], rtol=0, atol=1e-12)
        torch.testing.assert_close(values, again.values[:-1], rtol=0, atol=1e-12)
        returns = targets(segment, torch.cat([values, again.values[-1:]]), config)
        chosen = logits.log_softmax(-1).gather(-1, segment.actions[..., None])[..., 0]
        by_hand = -(chosen * returns).sum() + (returns - values).square().sum()
        loss, _ = segment_loss(collector.agent, segment, config)
        torch.testing.assert_close(loss.detach(), by_hand, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("core", ["gru", "lstm"])
@pytest.mark.parametrize("segment_length", [0, 10])
def test_segments_of_unknown_length_are_not_recorded_and_learn_by_the_plain_unroll(core, segment_length):
    """A recording has a fixed number of rows; --unroll recorded is no error and changes nothing here."""
    config, plain = (options_of(segment_length, 25, core=core, unroll=unroll) for unroll in ("recorded", "again"))
    collector, other = small_collector(config), small_collector(plain)
    for _ in range(4):
        segment, expected = collector.collect(), other.collect()
        assert not is_recorded(collector)
        assert_same_segment(segment, expected)
        assert differentiate(collector, segment, config) == differentiate(other, expected, config)
    fixed = small_collector(options_of(10, 25, core=core, unroll="recorded", stop_at_episode_end=False))
    assert is_recorded(fixed)  # where the length is known it is


def test_an_episode_without_end_is_cut_after_a_bounded_number_of_steps_and_goes_on(monkeypatch):
    """Otherwise such a run could not be stopped, by a limit or by Ctrl-C: it looks up between segments only."""
    monkeypatch.setattr(rl.acting.collector, "MOST_PIECES", 2)
    collector = small_collector(options_of(0, 150))
    first, second = collector.collect(), collector.collect()
    assert len(first.actions) == 2 * PIECE and not first.terminated.any() and not second.is_first[0]
    assert len(second.actions) == 150 - 2 * PIECE and second.terminated[-1]
