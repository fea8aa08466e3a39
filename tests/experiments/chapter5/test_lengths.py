"""Episode lengths: each number of a row by hand, and the figure."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rl.acting.evaluate
import rl.record.saved_agent
from experiments.chapter5 import length_figure, length_results
from experiments.chapter5.length_results import length_result, loss_of
from experiments.chapter5.printed import AS_PRINTED
from experiments.lab.digest import digest
from experiments.lab.records import Record
from rl.loop import NO_OVERRIDES
from tests.support.configs import cartpole_config
from tests.support.tiny_studies import row_of

CONFIG = cartpole_config(
    env="FallPenaltyCartPole-v1",
    env_arg=("penalty=5",),
    value_coefficient=0.1,
    entropy_coefficient=0.01,
    log_interval=100,
    total_env_steps=1000,
    seed=3,
)


@pytest.fixture(scope="module", autouse=True)
def two_episodes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(length_results, "EVALUATION_EPISODES", 2)
        yield


@pytest.fixture
def hand_made_run(tmp_path, monkeypatch):
    """A record of 1,000 env steps; evaluations that say how they were asked for, and give 2 and 4 or 5 and 8."""
    evaluations = []

    def fake_evaluate(agent, config, make_environments, episodes, greedy, seed, offset):
        evaluations.append((agent, config.env, config.env_arg, episodes, greedy, seed, offset))
        return np.array([2.0, 4.0] if greedy else [5.0, 8.0])

    monkeypatch.setattr(rl.record.saved_agent, "load_agent", lambda run_dir, _make: (f"agent of {run_dir}", None, 0))
    monkeypatch.setattr(rl.acting.evaluate, "evaluate", fake_evaluate)
    config = replace(CONFIG, run_dir=str(tmp_path))
    # env steps, updates, episodes, mean length, policy loss, value loss, entropy
    rows = [
        (700, 5, 9, 1.0, 0.10, 0.2, 1.0),
        (800, 4, 5, 10.0, 0.20, 0.2, 1.0),
        (900, 3, 1, 4.0, 0.30, 0.2, 1.0),
        (950, 2, 0, None, 0.35, 0.2, 1.0),
        (1000, 1, 3, 8.0, 0.40, 0.2, 1.0),
    ]
    lines = [
        {
            "global_step": step,
            "time/seconds": step / 100,
            "losses/updates": updates,
            "charts/episodes": episodes,
            "losses/policy_loss": policy,
            "losses/value_loss": value,
            "losses/entropy": entropy,
        }
        | ({"charts/episodic_length": length} if episodes else {})
        for step, updates, episodes, length, policy, value, entropy in rows
    ]
    summary = {"env_steps": 1000, "updates": 15, "seconds": 10.00049, "staleness": [2, 0, 2], "exit_code": 0}
    (tmp_path / "config.json").write_text(json.dumps({"config": {"env": "x", "core": "mlp", "seed": 3}}))
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    return config, evaluations


def test_the_final_length_is_the_mean_over_the_episodes_of_the_last_fifth(hand_made_run):
    """Of 1,000 env steps the last 200: 1 episode of length 4 and 3 of length 8 are 28 / 4 = 7."""
    row, _ = length_result(hand_made_run[0], NO_OVERRIDES)
    assert row["final_length"] == 7.0


def test_the_final_length_is_0_where_no_episode_ended_in_the_last_fifth(hand_made_run):
    config, _ = hand_made_run
    record = Path(config.run_dir) / "metrics.jsonl"
    early = [line for line in record.read_text().splitlines() if json.loads(line)["global_step"] <= 800]
    record.write_text("\n".join(early) + "\n")
    assert length_result(config, NO_OVERRIDES)[0]["final_length"] == 0.0


@pytest.mark.parametrize("lines", [0, 1])
def test_fewer_than_two_points_have_no_correlation(hand_made_run, lines):
    """As a limit of a few seconds may leave; the run has its row all the same, or the study could never go on."""
    config, _ = hand_made_run
    record = Path(config.run_dir) / "metrics.jsonl"
    record.write_text("".join(record.read_text().splitlines(keepends=True)[:lines]))
    row, others = length_result(config, NO_OVERRIDES)
    points = others["curves"]
    assert len(points) == lines and row["loss_rank_correlation"] == 0.0


def test_points_are_of_whole_intervals_in_which_episodes_ended(hand_made_run):
    """An interval has 100 env steps: the one of 50 before 1,000 is half of one and a point, one of 40 would be none."""
    config, _ = hand_made_run
    _, others = length_result(config, NO_OVERRIDES)
    points = others["curves"]
    assert [(point["env_steps"], point["updates"], point["seconds"], point["length"]) for point in points] == [
        (700, 5, 7.0, 1.0),
        (800, 9, 8.0, 10.0),
        (900, 12, 9.0, 4.0),
        (1000, 15, 10.0, 8.0),
    ]
    record = Path(config.run_dir) / "metrics.jsonl"
    record.write_text(record.read_text().replace('"global_step": 950', '"global_step": 960'))
    assert [point["env_steps"] for point in length_result(config, NO_OVERRIDES)[1]["curves"]] == [700, 800, 900]


def test_losses_of_the_points_are_those_of_the_record_and_their_ranks_are_correlated_with_lengths(hand_made_run):
    """Losses rise, ranks 1 2 3 4; lengths 1 10 4 8 have ranks 1 4 2 3: 1 − 6 (0 + 4 + 1 + 1) / (4 · 15) = 0.4."""
    row, others = length_result(hand_made_run[0], NO_OVERRIDES)
    points = others["curves"]
    assert [point["loss"] for point in points] == [0.11, 0.21, 0.31, 0.41]  # + 0.1 · 0.2 − 0.01 · 1
    assert row["loss_rank_correlation"] == 0.4


def test_final_policies_play_fresh_episodes_of_plain_cartpole_greedy_and_sampled(hand_made_run):
    config, evaluations = hand_made_run
    row, _ = length_result(config, NO_OVERRIDES)
    agent = f"agent of {config.run_dir}"
    assert evaluations == [
        (agent, "CartPole-v1", (), 2, True, 3, 10_000),
        (agent, "CartPole-v1", (), 2, False, 3, 20_000),
    ]
    assert (row["greedy_length"], row["sampled_length"]) == (3.0, 6.5)


def test_the_other_numbers_of_a_row_are_those_of_the_summary(hand_made_run):
    row, _ = length_result(hand_made_run[0], AS_PRINTED)
    assert (row["env_steps"], row["updates"], row["seconds"], row["staleness"]) == (1000, 15, 10.0, 1.0)
    assert row["digest"] == digest(CONFIG, AS_PRINTED)


def test_a_loss_is_its_three_terms_weighted():
    row = {"losses/policy_loss": 1.0, "losses/value_loss": 4.0, "losses/entropy": 0.5}
    config = cartpole_config(value_coefficient=0.25, entropy_coefficient=0.5)
    assert loss_of(row, config) == 1.0 + 0.25 * 4.0 - 0.5 * 0.5 == 1.75


@pytest.mark.parametrize("seconds", [False, True])
def test_a_study_is_drawn_as_mean_curves_of_lengths_and_the_ends_of_its_seeds(monkeypatch, tmp_path, seconds):
    """Returns are −1 and lengths 10, 20, … here: means of up to five are 10, 15, 20, 25, 30, 40. Of the ends 0, 1, 2
    and 100 of the second arm the middle two have a mean of 1.5."""
    points = [
        {"global_step": 100 * k, "time/seconds": k, "charts/episodic_return": -1.0, "charts/episodic_length": 10.0 * k}
        for k in range(1, 7)
    ]
    drawn = {}

    def keep(figure, _file):
        drawn.update({panel.get_xlabel(): [line.get_xydata() for line in panel.lines] for panel in figure.axes})
        drawn["labels"] = figure.axes[0].get_ylabel(), [label.get_text() for label in figure.axes[-1].get_yticklabels()]

    monkeypatch.setattr(length_figure, "write_figure", keep)
    curves = {arm: [Record(Path("run"), {}, points, {}, None)] for arm in ("N = 1", "N = 2")}
    rows = [row_of("N = 1", 1, 7.0), *(row_of("N = 2", seed, end) for seed, end in enumerate((0, 1, 2, 100)))]
    length_figure.length_figure(curves, rows, tmp_path / "x.png", seconds)
    assert drawn["labels"] == ("mean episode length", ["N = 1", "N = 2"])
    assert ("seconds of training" in drawn) == seconds
    for line in drawn["environment steps"]:
        assert np.interp([100, 300, 600], *line.T).tolist() == pytest.approx([10, 20, 40], rel=0.01)
    seeds, _, mean = drawn["episode length at the end"][3:]  # dots, bar and diamond of each arm
    assert seeds.tolist() == [[0, 1], [1, 1], [2, 1], [100, 1]] and mean.tolist() == [[1.5, 1]]
