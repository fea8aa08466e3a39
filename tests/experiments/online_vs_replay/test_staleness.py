"""Core states are compared with the true ones, and measuring leaves the run as it is."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

import envs
from experiments.online_vs_replay.arms import ARMS, config_of
from experiments.online_vs_replay.measures import staleness
from experiments.online_vs_replay.measures import watch as watching
from experiments.online_vs_replay.measures.gaps import gap, gaps
from experiments.online_vs_replay.measures.staleness import of_buffer
from experiments.online_vs_replay.measures.watch import Watched, watch
from experiments.online_vs_replay.tasks import TASKS
from rl.acting.segment import Segment
from rl.agent.actions.categorical import Categorical
from rl.agent.agent import AgentOutput
from rl.learning.replay.buffer import SequenceBuffer
from rl.loop import NO_OVERRIDES, Overrides
from rl.running.run import new_run
from tests.support.configs import cartpole_config

SMALL = {
    "hidden_size": 6,
    "torso_size": 5,
    "envs_per_worker": 4,
    "segment_length": 8,
    "eval_interval": 0,
    "eval_episodes": 1,
    "wandb": "disabled",
    "total_env_steps": 8 * 4 * 60,
    "dtype": "float64",
}
SMALL_REPLAY = {"replay_capacity": 4 * 240, "replay_warm_up": 4 * 56, "replay_batch": 4}


def small(name, tmp_path, **options):
    """A few thousand env steps of an arm on the masked CartPole, in float64."""
    config = config_of(TASKS["masked"], ARMS[name], ARMS[name].trials[0])
    replays = SMALL_REPLAY if config.replays else {}
    if config.replay_way == "episodes":
        replays = {**replays, "replay_capacity": 4 * 512}  # which hold an episode of 500 steps
    own = {**SMALL, **replays, "run_dir": str(tmp_path / name.replace(" ", "-")), **options}
    return replace(config, **own)


def trained(config, parts=NO_OVERRIDES):
    run = new_run(config, envs.make_vector, parts)
    assert run.execute(notify=lambda _line: None)["exit_code"] == 0
    return run


def measured(config):
    run = trained(config, Overrides(watch=watch))
    return run, [json.loads(line) for line in (Path(config.run_dir) / "measures.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "name",
    [
        "q lstm stored burn in",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("a2c rtu gradient", "a2c lstm", "q lstm episodes")),
    ],
)
def test_a_measured_run_learns_what_the_same_run_learns_unmeasured_bit_for_bit(name, tmp_path):
    run, found = measured(small(name, tmp_path / "measured"))
    other = trained(small(name, tmp_path / "plain"))
    assert len(found) == 3 and all(("bytes" in line) == run.setup.config.replays for line in found)
    assert torch.equal(run.setup.learner.parameters, other.setup.learner.parameters)


STILL = {"learning_rate": 1e-300, "carry_state": True}  # no parameter moves, so nothing is stale


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("a2c rtu gradient", marks=pytest.mark.slow),
        pytest.param("a2c lstm", marks=pytest.mark.slow),
        pytest.param("a2c rtu", marks=pytest.mark.slow),
        pytest.param("q rtu stored burn in", marks=pytest.mark.slow),
        pytest.param("q rtu episodes", marks=pytest.mark.slow),
        pytest.param("a2c gru", marks=pytest.mark.slow),
        pytest.param("q lstm online", marks=pytest.mark.slow),
        pytest.param("q lstm stored", marks=pytest.mark.slow),
        "q lstm stored burn in",
        pytest.param("q lstm episodes", marks=pytest.mark.slow),
        pytest.param("a2c lstm replay", marks=pytest.mark.slow),
    ],
)
def test_while_parameters_are_constant_carried_and_stored_states_are_the_true_ones(name, tmp_path):
    """To 1e-10, over 128 rows before: the measure itself adds nothing (google-deepmind/acme#259: a state that is one
    observation too late would show here)."""
    _, found = measured(small(name, tmp_path, **STILL))
    gaps_found = {key: value for line in found for key, value in line.items() if key.startswith(("true", "stored"))}
    assert "true_first" in gaps_found and max(gaps_found.values()) < 1e-10
    assert all(line.get("disagree_first", 0.0) == 0.0 for line in found)


@pytest.mark.slow
def test_while_parameters_are_constant_zero_states_are_wrong_at_first_and_burn_in_helps(tmp_path):
    last = {
        name: measured(small(name, tmp_path, **STILL))[1][-1]
        for name in ("q lstm zero", "q lstm zero burn in", "q lstm transitions")
    }
    zero, burn_in, transitions = (last[f"q lstm {way}"] for way in ("zero", "zero burn in", "transitions"))
    assert zero["true_first"] > 3 * burn_in["true_first"] > 0.0
    assert zero["stored_first"] > 0.0 and zero["true_first"] > 10 * zero["true_last"]
    assert transitions["true_first"] == transitions["true_last"] > 0.0 and "stored_first" not in transitions


def test_the_age_of_stored_states_is_counted_in_updates(tmp_path):
    """30 segments, an update every 2 of them (8 · 4 · 2 = 64 of the 4 · 32 steps of an update). A sequence takes 37
    rows, so the first 26 of them can be drawn: of ages 29 to 4 segments, 15 or 14 to 2 updates, mean 8 and a bit."""
    _, found = measured(small("q lstm stored", tmp_path))
    assert 8.0 <= found[-1]["age_mean"] <= 9.0 and 13 < found[-1]["age_p95"] <= 15


def test_a_carried_state_is_one_update_old(tmp_path):
    """It came out of the segment before, whose gradient was applied meanwhile."""
    _, found = measured(small("a2c lstm", tmp_path))
    assert [line["age_mean"] for line in found] == [1.0, 1.0, 1.0]


def test_the_gap_is_the_distance_divided_by_the_largest_value_of_the_window():
    """Rows 0 and 1 of one window: V = 3 and 4 against 2 and -5, so 1 / 5 and 9 / 5; of another, 10 and 10 against 20
    and 40: 10 / 40 and 30 / 40. The first row alone: 1 / 2 in both."""
    ours, other = (
        AgentOutput(torch.zeros(2, 2, 2), torch.tensor(values))
        for values in ([[3.0, 10.0], [4.0, 10.0]], [[2.0, 20.0], [-5.0, 40.0]])
    )
    found = gaps("true", ours, other, cartpole_config(), (0, 1))
    assert found["true_first"] == pytest.approx((1 / 5 + 10 / 40) / 2)
    assert found["true_last"] == pytest.approx((9 / 5 + 30 / 40) / 2)
    first = AgentOutput(ours.logits[0], ours.values[0]), AgentOutput(other.logits[0], other.values[0])
    assert gap(*first, cartpole_config()) == pytest.approx(0.5)


def test_the_gap_of_action_values_is_the_euclidean_distance_of_q():
    """V = 1 and A = (3, -3) make Q = (4, -2); V = 1, A = 0 make (1, 1): distance √18, largest |Q| of the other 1."""
    ours = AgentOutput(torch.tensor([[3.0, -3.0]]), torch.tensor([1.0]))
    other = AgentOutput(torch.zeros(1, 2), torch.tensor([1.0]))
    assert gap(ours, other, cartpole_config(algorithm="q_replay")) == pytest.approx(18**0.5)


def test_kl_and_disagreement_of_two_policies_by_hand():
    """π = (3/4, 1/4) truly, (3/8, 5/8) in training: KL = 3/4 log 2 - 1/4 log 5/2 = 0.2908, not 0.3128 as from the
    other side, and other actions. Action values are no policy, so Q-learning has none."""
    true = AgentOutput(torch.tensor([[[3.0, 1.0]]]).log(), torch.ones(1, 1))
    ours = AgentOutput(torch.tensor([[[3.0, 5.0]]]).log(), torch.ones(1, 1))
    found = gaps("true", ours, true, cartpole_config(), (0,))
    assert found["kl_first"] == pytest.approx(0.2908, abs=1e-4) and found["disagree_first"] == 1.0
    assert "kl_first" not in gaps("true", ours, true, cartpole_config(algorithm="q_online"), (0,))


class Halving:
    """An agent whose state is halved at every row, and zero where an episode opens; what it says is its state."""

    def initial_state(self, batch):
        return (torch.zeros(1, batch, 1),)

    def step(self, _observation, state, is_first):
        value = torch.where(is_first, 0.0, state[0][0, :, 0] / 2)
        return AgentOutput(torch.zeros(len(value), 2), value), (value[None, :, None],)

    def unroll(self, observations, state, is_first):
        said = []
        for observation, first in zip(observations, is_first, strict=True):
            output, state = self.step(observation, state, first)
            said.append(output.values)
        return AgentOutput(torch.zeros(len(said), len(said[0]), 2), torch.stack(said)), state


def two_rows(state):
    """A segment of one environment, in mid-episode, which the actor began with this state."""
    zeros = torch.zeros(2, 1)
    return Segment(
        torch.zeros(3, 1, 1),
        zeros.new_zeros(3, 1).bool(),
        zeros.long(),
        zeros,
        zeros.bool(),
        zeros.bool(),
        zeros,
        (torch.full((1, 1, 1), state),),
        torch.zeros(2, 1, 1),
        zeros,
    )


def replayed(states, version, **options):
    """A buffer of 12 rows into which segments of two rows went, of versions 0, 1, 2, …"""
    agent = Halving()
    config = cartpole_config(
        **{
            "algorithm": "a2c_replay",
            "segment_length": 2,
            "sequence_length": 4,
            "burn_in": 2,
            "envs_per_worker": 1,
            "workers": 1,
            "replay_batch": 1,
            "replay_capacity": 12,
            "replay_warm_up": 12,
            **options,
        }
    )
    space, state = Box(-1, 1, (1,)), agent.initial_state(1)
    buffer = SequenceBuffer(12, 1, 2, space, Categorical(2), state, torch.float32, np.random.default_rng(0))
    for number, state in enumerate(states):
        buffer.add(two_rows(state), number)
    return SimpleNamespace(config=config, buffer=buffer, agent=agent, learner=SimpleNamespace(pulled_version=version))


UNREAD = float("nan")


def test_online_the_true_state_is_unrolled_over_the_rows_before_and_is_not_the_carried_one(monkeypatch):
    """16 is halved at each of the four rows before, to 1; so V = 0.5 and 0.25 where the carried 3 says 1.5 and 0.75.
    The distances 1 and 0.5 by 0.5, the largest, are 2 and 1."""
    monkeypatch.setattr(staleness, "HISTORY", 4)
    watched = Watched(SimpleNamespace(flat=SimpleNamespace(agent=Halving())), cartpole_config(segment_length=2), 0)
    newest = two_rows(3.0)
    newest.is_first[2] = True  # the bootstrap's row is none of the segment's
    watched.segments.extend([two_rows(16.0), two_rows(UNREAD), newest])
    watched.versions.extend([7, 8])
    found = watched.of_segments()
    assert (found["true_first"], found["true_last"], found["age_mean"]) == (pytest.approx(2), pytest.approx(1), 1)
    watched.segments.popleft()
    assert watched.of_segments() == {}  # not enough rows yet


def test_in_a_buffer_the_true_and_the_stored_state_are_those_before_their_rows(monkeypatch):
    """Rows 0 to 3 are before, 4 and 5 the burn-in, 6 to 9 trained. Truly 1024 is halved to V = 32 at row 4, the
    window's largest, 8 at row 6 and 1 at row 9; from the stored 128 at row 4 it is 16 and 2: 8 / 32 and 1 / 32. What
    the actor had at rows 6 and 10, 20 and 4, says 10 and 2, and training there 16 and 1: 6 / 10 and 1 / 2. Windows
    start at versions 0, 1 and 2."""
    monkeypatch.setattr(staleness, "HISTORY", 4)
    experience = replayed([1024.0, UNREAD, 128.0, 20.0, UNREAD, 4.0], 5, replay_way="stored_burn_in")
    found = of_buffer(experience, np.random.default_rng(0))
    expected = {
        "true_first": 1 / 4,
        "true_last": 1 / 32,
        "stored_first": 0.6,
        "stored_last": 0.5,
        "age_mean": 4.0,
        "age_p95": 4.9,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_in_episodes_the_carried_state_is_compared_where_the_next_piece_begins(monkeypatch):
    """Rows 2 to 13 are there. From row 8 to 13 halving makes 128 into 2 where the carried 6 says 3: 1 / 2. From row 6
    to 10 it makes 64 into 2, as the carried 4 says: 0. Of the four rows before row 4 two are gone. Rows 13 and 10 are
    of versions 6 and 5, which are 3 and 4 updates old."""
    monkeypatch.setattr(staleness, "HISTORY", 4)
    experience = replayed([UNREAD, UNREAD, UNREAD, 64.0, 128.0, UNREAD, UNREAD], 9, replay_way="episodes")
    experience.reader = SimpleNamespace(numbers=np.array([4, 13, 10]), columns=np.zeros(3, np.int64))
    experience.state_read = (torch.tensor([[[UNREAD], [6.0], [4.0]]]),)
    found = of_buffer(experience, np.random.default_rng(0))
    assert (found["true_first"], found["age_mean"]) == (pytest.approx(0.25), 3.5)


def test_the_first_worker_measures_at_30_60_and_90_percent_of_all_workers_steps_off_the_clock(monkeypatch):
    """Two workers' segments of 10 steps each are 20 at a time, of 100: the second, third and fifth. Each measure takes
    3 CPU seconds, by which the update counts as begun later."""
    clock, segment = iter([5.0, 8.0] * 3), two_rows(0.0)._replace(rewards=torch.zeros(5, 2))
    monkeypatch.setattr(watching, "time", SimpleNamespace(thread_time=lambda: next(clock)))
    for rank, moments, busy_since in ((0, [40, 60, 100], 10.0), (1, [], 1.0)):
        learner = SimpleNamespace(pulled_version=0, busy_since=1.0)
        experience = SimpleNamespace(flat=None, learner=learner, add=lambda _segment: 1)
        watched, found = Watched(experience, cartpole_config(workers=2, total_env_steps=100), rank), []
        monkeypatch.setattr(watched, "measure", lambda watched=watched, found=found: found.append(watched.env_steps))
        assert [watched.add(segment) for _ in range(5)] == [1] * 5
        assert (found, learner.busy_since) == (moments, busy_since)


def test_three_moments_are_measured_and_short_memories_only_at_the_last(tmp_path):
    _, found = measured(small("a2c lstm", tmp_path))
    total = SMALL["total_env_steps"]
    assert [line["env_steps"] / total for line in found] == [
        pytest.approx(share, abs=0.02) for share in (0.3, 0.6, 0.9)
    ]
    assert ["memory_4" in line for line in found] == [False, False, True]
    assert watching.MOMENTS == (0.3, 0.6, 0.9)
