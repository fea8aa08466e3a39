"""Rows become finished runs, and the numbers of a run follow from its rows."""

import math

import pytest

from experiments.lab.rows import append_csv, write_csv
from experiments.online_vs_replay.report.rows import read_part
from tests.support.finished_runs import a_run, write


def test_the_seconds_of_a_solved_run_grow_with_the_price_and_those_of_an_unsolved_one_are_infinite():
    """2 s and 3,000 steps of 10 ms: 32 s."""
    solved = a_run("a2c lstm", solved=(3_000, 5, 2.0))
    assert [solved.seconds_at(price) for price in (0, 10)] == [2, 32]
    assert solved.until_solved("updates") == 5
    unsolved = a_run("a2c lstm")
    assert [unsolved.seconds_at(price) for price in (0, 10)] == [math.inf] * 2
    assert unsolved.until_solved("env_steps") == math.inf


def test_the_return_at_equal_cpu_seconds_is_interpolated_from_random_at_0_and_held_at_the_end():
    run = a_run("a2c lstm", task="masked", points=[(1, 1, 2.0, 100.0), (2, 2, 4.0, 200.0)])
    assert [run.greedy_at(budget) for budget in (0, 1, 2, 3, 9)] == [22, 61, 100, 150, 200]


def test_the_area_of_a_run_that_ended_sooner_holds_its_last_value():
    """2, 4 and then 4, 4: 14 / 4."""
    run = a_run("a2c lstm", points=[(1, 1, 1.0, 2.0), (2, 2, 2.0, 4.0)])
    assert run.area(4) == 3.5 and run.area(2) == 3


def test_a_normalised_return_is_0_at_random_and_1_at_the_best():
    assert a_run("a2c lstm", 261.0, "masked").normalised() == 0.5
    assert a_run("a2c lstm", -0.2).normalised() == -0.2


def test_rows_become_runs_by_seed_and_blanks_are_absent(tmp_path):
    moments = [{"true_first": 0.5}, {"true_first": 0.25, "kl_first": 0.0}]
    write(
        tmp_path,
        [
            a_run("a2c lstm", 0.4, seed=2, moments=moments),
            a_run("a2c lstm", 0.3, solved=(7, 8, 9.5)),
            a_run("q mlp", 0.2, "masked", "30000"),
        ],
    )
    append_csv(
        tmp_path / "curves.csv",
        [{"arm": "masked / q mlp", "seed": 9, "env_steps": 1, "updates": 1, "cpu_seconds": 1, "greedy": 1}],
    )
    part = read_part(tmp_path)
    one, two = part.of("recall 4", "a2c lstm")
    assert (one.seed, one.row["final_greedy"], one.row["solved_cpu_seconds"], one.moments) == (1, 0.3, 9.5, [])
    assert "solved_env_steps" not in two.row and "after" not in one.row
    assert [{key: moment[key] for key in moment if key != "env_steps"} for moment in two.moments] == moments
    assert one.points == [{"env_steps": 100, "updates": 1, "cpu_seconds": 1, "greedy": 0.3}]
    assert part.tasks() == ["masked", "recall 4"] and part.arms() == ["a2c lstm", "q mlp"] and len(part) == 3
    assert [len(part.of("masked", "q mlp", variant)) for variant in ("", "30000", None)] == [0, 1, 1]
    assert read_part(tmp_path / "nothing") == []


def test_rows_of_unknown_tasks_or_of_different_options_are_refused_in_one_line(tmp_path):
    for number, name in enumerate(("masked", "masked / dqn", "pong / a2c lstm")):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_csv(folder / "runs.csv", [{"arm": name, "seed": 1, "digest": "d", "exit_reason": "x"}])
        with pytest.raises(ValueError, match=rf"runs.csv: '{name}' names no task and arm"):
            read_part(folder)
    rows = [{"arm": "masked / a2c lstm", "seed": seed, "digest": f"d{seed}", "exit_reason": "x"} for seed in (1, 2)]
    write_csv(tmp_path / "runs.csv", rows)
    with pytest.raises(ValueError, match="rows of masked / a2c lstm are of different options"):
        read_part(tmp_path)
