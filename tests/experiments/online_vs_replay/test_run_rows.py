"""Each number of a finished run's rows, by hand."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.online_vs_replay.run_rows import MEASURES, run_result
from rl.loop import NO_OVERRIDES
from tests.support.configs import cartpole_config


@pytest.fixture
def hand_made_run(tmp_path):
    """Ten evaluations; the threshold is 475. The third, fifth and tenth reach it."""
    greedy = [10, 20, 475, 400, 500, 100, 200, 300, 400, 480]
    config = replace(cartpole_config(), run_dir=str(tmp_path), seed=3)
    header = {"config": {"env": "MaskedVelocityCartPole-v1", "core": "lstm", "seed": 3}, "reward_threshold": 475.0}
    lines = []
    for k, value in enumerate(greedy, start=1):
        between = {"global_step": 1000 * k - 500, "losses/updates": 2, "time/cpu_seconds": 0.1 * k - 0.05}
        lines += [
            between,
            {
                "global_step": 1000 * k,
                "losses/updates": 3,
                "eval/cpu_seconds": 0.1 * k,
                "eval/episodic_return": value,
                "eval/episodic_return_sampled": value / 2,
            },
        ]
    lines[1]["charts/episodic_return"] = 9.5
    summary = {
        "env_steps": 10_000,
        "updates": 50,
        "seconds": 1.5,
        "cpu_seconds": 1.0,
        "solved_at_env_steps": None,
        "eval_greedy": 470.0,
        "exit_reason": "total_env_steps",
        "exit_code": 0,
        "staleness": [30, 15, 5],
    }
    (tmp_path / "config.json").write_text(json.dumps(header))
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    return config


def test_solved_is_the_first_evaluation_at_the_threshold_and_after_is_the_share_of_later_ones(hand_made_run):
    """At 3,000 env steps, 3 · 5 updates and 0.3 CPU seconds; of the seven later ones two reach 475: 0.286."""
    row, tables = run_result(hand_made_run, NO_OVERRIDES)
    assert [row[f"solved_{name}"] for name in ("env_steps", "updates", "cpu_seconds")] == [3000, 15, 0.3]
    assert row["after"] == 0.286 and row["window_solved_env_steps"] == ""
    assert tables["curves"][0] == {
        "env_steps": 1000,
        "updates": 5,
        "cpu_seconds": 0.1,
        "greedy": 10,
        "sampled": 5.0,
        "training": 9.5,
    }
    assert tables["curves"][1]["training"] == "" and len(tables["curves"]) == 10 and tables["measures"] == []


def test_final_late_and_mean_returns_are_of_the_last_tenth_the_second_half_and_all(hand_made_run):
    """480; (100 + 200 + 300 + 400 + 480) / 5 = 296; the ten together 2,885 / 10."""
    row, _ = run_result(hand_made_run, NO_OVERRIDES)
    assert (row["final_greedy"], row["final_sampled"], row["late_greedy"], row["mean_greedy"]) == (480, 240, 296, 288.5)


def test_the_lag_is_the_mean_age_of_gradients_in_updates_of_others(hand_made_run):
    """30 of age 0, 15 of age 1 and 5 of age 2: 25 / 50."""
    assert run_result(hand_made_run, NO_OVERRIDES)[0]["lag"] == 0.5


def with_record(config, lines):
    (Path(config.run_dir) / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run_result(config, NO_OVERRIDES)


def test_of_25_evaluations_the_end_is_the_last_two_and_the_second_half_the_last_thirteen(hand_made_run):
    """1 to 25: (24 + 25) / 2 = 24.5, and 13 to 25 are 19 in the middle."""
    row, _ = with_record(
        hand_made_run,
        [
            {"global_step": 1000 * k, "losses/updates": 3, "eval/episodic_return": k, "eval/episodic_return_sampled": k}
            for k in range(1, 26)
        ],
    )
    assert (row["final_greedy"], row["final_sampled"], row["late_greedy"]) == (24.5, 24.5, 19.0)


def test_asynchronous_rows_behind_one_evaluation_are_one_point_at_the_env_steps_of_its_parameters(hand_made_run):
    """Others went on by 100, 300 and 100 env steps; updates are those of all rows so far: 2, 2 + 3 + 4."""
    times = ((1100, 1000, 2), (1300, 1000, 3), (2100, 2000, 4))
    _, tables = with_record(
        hand_made_run,
        [
            {
                "global_step": now,
                "eval/global_step": of,
                "losses/updates": updates,
                "eval/episodic_return": 5,
                "eval/episodic_return_sampled": 5,
            }
            for now, of, updates in times
        ],
    )
    assert [(point["env_steps"], point["updates"]) for point in tables["curves"]] == [(1000, 2), (2000, 9)]


def test_totals_and_the_last_evaluation_of_100_episodes_are_the_summarys(hand_made_run):
    row, _ = run_result(hand_made_run, NO_OVERRIDES)
    assert [row[name] for name in ("env_steps", "updates", "seconds", "cpu_seconds", "greedy_100", "exit_reason")] == [
        10_000,
        50,
        1.5,
        1.0,
        470.0,
        "total_env_steps",
    ]


def test_an_unsolved_run_has_blanks_and_not_zeros(hand_made_run):
    record = Path(hand_made_run.run_dir) / "metrics.jsonl"
    record.write_text(record.read_text().replace("475", "474").replace("500,", "474,").replace("480", "474"))
    record.write_text(record.read_text().replace('_return": 500', '_return": 474'))
    row, _ = run_result(hand_made_run, NO_OVERRIDES)
    assert [row[f"solved_{name}"] for name in ("env_steps", "updates", "cpu_seconds")] == ["", "", ""]
    assert row["after"] == ""


def test_measures_are_rows_with_a_column_for_each_and_blanks_for_what_a_learner_does_not_have(hand_made_run):
    lines = [{"env_steps": 300, "true_first": 0.123456, "r2_pole": 0.5}, {"env_steps": 600, "bytes": 1_234_567}]
    (Path(hand_made_run.run_dir) / "measures.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    first, second = run_result(hand_made_run, NO_OVERRIDES)[1]["measures"]
    assert list(first) == ["env_steps", *MEASURES]
    assert (first["true_first"], first["r2_pole"], first["bytes"]) == (0.1235, 0.5, "")
    assert (second["env_steps"], second["bytes"], second["true_first"]) == (600, 1_235_000, "")
