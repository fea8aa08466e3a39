"""Every number of the report's tables, by hand."""

import math

import pytest

from experiments.lab.rows import read_csv
from experiments.lab.statistics import with_interval
from experiments.online_vs_replay.report.cells import (
    count,
    digits_of,
    markdown,
    measure,
    seconds,
    seeds,
    seeds_in_words,
    spread,
)
from experiments.online_vs_replay.report.lines import by_variant, known
from experiments.online_vs_replay.report.rows import Part, at_moments, read_part
from experiments.online_vs_replay.report.sections.aggregates import aggregate_table, whole_arms
from experiments.online_vs_replay.report.sections.buffer_age import age_of
from experiments.online_vs_replay.report.sections.carry import carry_table
from experiments.online_vs_replay.report.sections.headline import final_table
from experiments.online_vs_replay.report.sections.learning_rates import learning_rate_table
from experiments.online_vs_replay.report.sections.memory import short_memories
from experiments.online_vs_replay.report.sections.prices import (
    bytes_table,
    overtakes,
    overtaking_table,
    price_section,
    price_table,
)
from experiments.online_vs_replay.report.sections.solved import solved_table
from experiments.online_vs_replay.report.sections.staleness import staleness_table
from experiments.online_vs_replay.report.sections.tuning import trials_table, tuning_table
from experiments.online_vs_replay.report.sections.workers import workers_table
from experiments.online_vs_replay.settings import tuned
from tests.support.finished_runs import HIGH, LOW, REPLAY, a_run, cell, line, write


def test_solved_is_a_median_over_all_seeds_in_which_unsolved_runs_are_infinite():
    """20k, 40k and never: 40k; never twice of three: not reached."""
    grid = Part(
        [
            a_run("a2c lstm", 0.9, seed=1, solved=(20_000, 20, 0.5), after=0.5, window_solved_env_steps=30_000.0),
            a_run("a2c lstm", 0.8, seed=2, solved=(40_000, 40, 1.25), after=1.0),
            a_run("a2c lstm", 0.25, seed=3),
            a_run(REPLAY, 0.7, seed=1, solved=(12_000, 1_234, 100.5)),
            *(a_run(REPLAY, 0.6, seed=seed) for seed in (2, 3)),
            a_run("q mlp", -0.5),
        ]
    )
    table = solved_table(grid, "recall 4")
    assert line(table, "a2c lstm") == {
        "arm": "a2c lstm",
        "solved": "2 of 3",
        "unsolved": "33%",
        "env steps": "40k (20k–not reached)",
        "updates": "40 (20–not reached)",
        "CPU seconds": "1.2 (0.50–not reached)",
        "env steps, training window": "not reached (soonest 30k)",
        "later evaluations at the threshold": "75%",
        "final return, worst seed": "0.25",
    }
    assert list(line(table, REPLAY).values())[1:8] == [
        "1 of 3",
        "67%",
        "not reached (soonest 12k)",
        "not reached (soonest 1234)",
        "not reached (soonest 100)",
        "not reached",
        "–",
    ]
    assert line(table, "q mlp")["env steps"] == "not reached" and line(table, "q mlp")["unsolved"] == "100%"
    assert len(solved_table(grid, "masked")) == 1


def test_numbers_are_short_and_missing_ones_are_dashes():
    assert [count(x) for x in (950, 9_999, 12_345, 2_500_000, math.inf)] == [
        "950",
        "9999",
        "12k",
        "2.5M",
        "not reached",
    ]
    assert [seconds(x) for x in (0.25, 3.14, 250.4, math.inf)] == ["0.25", "3.1", "250", "not reached"]
    assert spread([], count) == "–" and spread([5, 5], count) == "5" and spread([1, 2, 9], count) == "2 (1–9)"
    assert seeds_in_words([3, 10, 4]) == "3–10" and seeds_in_words([3, 3]) == "3"
    assert [measure(x) for x in (None, 0.01234, 123.4)] == ["–", "0.012", "123"]
    assert [digits_of(task) for task in ("masked", "recall 4")] == [0, 2]


def test_the_final_table_has_the_returns_of_the_rows_and_the_number_of_seeds(tmp_path):
    runs = [*cell("a2c lstm", HIGH), *cell("a2c lstm", [400.0, 480.0, 500.0], "masked"), *cell("q mlp", [0.1])]
    write(tmp_path, runs)
    table = final_table(read_part(tmp_path))
    assert table[0] == ["arm", "seeds", "masked", "recall 4"]
    values = [
        float(row["final_greedy"]) for row in read_csv(tmp_path / "runs.csv") if row["arm"] == "recall 4 / a2c lstm"
    ]
    mean, low, high = with_interval(values)
    assert line(table, "a2c lstm", "3–5")["recall 4"] == f"{mean:.2f} [{low:.2f}, {high:.2f}]"
    assert line(table, "a2c lstm")["masked"].startswith("460 [4")
    assert line(table, "q mlp", "1") == {"arm": "q mlp", "seeds": "1", "masked": "–", "recall 4": "0.10"}


def test_aggregates_list_the_arms_that_have_all_tasks_best_first():
    """Pooled 0, 0.2, 0.4, 1.2: IQM 0.3, gap 1 − (0 + 0.2 + 0.4 + 1) / 4 = 0.6."""
    grid = Part(
        [
            *cell("a2c lstm", [0.0, 0.2]),
            *cell("a2c lstm", [0.4, 1.2], "recall 24"),
            *cell("q mlp", HIGH),
            *cell("a2c gru", [1.0] * 2),
            *cell("a2c gru", [1.0], "recall 24"),
        ]
    )
    assert whole_arms(grid) == ["a2c gru", "a2c lstm"]
    header, first, second = aggregate_table(grid)
    assert first == ["a2c gru", "1–2", "1.00 [1.00, 1.00]", "0.00 [0.00, 0.00]"]
    assert second[0] == "a2c lstm" and second[2].startswith("0.30 [") and second[3].startswith("0.60 [")
    assert len(aggregate_table(Part([]))) == 1 and header[0] == "arm"


@pytest.mark.parametrize(
    ("online", "replay", "said"),
    [
        ((2, 100_000), (12, 20_000), "from 0.12 ms"),  # 10 s dearer, 80,000 steps saved
        ((2, 100_000), (202, 99_000), "from 200 ms"),
        ((2, 100_000), (1, 20_000), "always"),
        ((2, 100_000), (1, 100_000), "always"),
        ((2, 100_000), (2, 20_000), "always"),
        ((2, 100_000), (3, 200_000), "never"),
        ((2, 100_000), (3, 100_000), "never"),
        ((2, 100_000), (2, 100_000), "never"),
        ((2, 100_000), (2, 200_000), "never"),
        ((2, 100_000), (1, 200_000), "below 0.01 ms"),
        ((2, 100_000), (math.inf, math.inf), "never"),
        ((math.inf, math.inf), (3, 100_000), "always"),
        ((math.inf, math.inf), (math.inf, math.inf), "neither solves"),
        ((2, 100_000), None, "–"),
    ],
)
def test_replay_overtakes_where_the_two_lines_cross(online, replay, said):
    assert overtakes(online, replay) == said


def test_the_price_of_a_step_is_added_to_each_run_before_the_median():
    """At 10 ms: 1 + 100, 2 + 10, 3 + 20 s: median 23; at 0: 2."""
    runs = [
        a_run("a2c lstm", seed=seed, solved=(env_steps, 1, core))
        for seed, core, env_steps in ((1, 1.0, 10_000), (2, 2.0, 1_000), (3, 3.0, 2_000))
    ]
    runs += [a_run(REPLAY, seed=seed, solved=(1_000, 1, 10.0)) for seed in (1, 2)]
    runs += [
        *cell("q lstm zero", LOW),
        a_run("q lstm online", solved=(1, 1, 0.1)),
        a_run("a2c mlp", solved=(1, 1, 0.1)),
    ]
    grid = Part(runs)
    table = price_table(grid, "recall 4")
    assert line(table, "a2c lstm") == {
        "arm": "a2c lstm",
        "0 ms": "2.0",
        "0.1 ms": "2.1",
        "1 ms": "5.0",
        "10 ms": "23.0",
    }
    assert [row[0] for row in table[1:]] == ["a2c mlp", "a2c lstm", REPLAY, "q lstm online"]  # zero solves nowhere
    # medians 2 s and 2,000 steps against 10 s and 1,000: 8 s for 1,000 steps
    assert overtaking_table(grid) == [["replay", "recall 4"], ["q lstm zero", "never"], [REPLAY, "from 8 ms"]]
    said = "\n\n".join(price_section(grid, None))
    assert markdown(table) in said and markdown(overtaking_table(grid)) in said and "Computed from the measured" in said


def test_staleness_is_a_median_at_each_moment_of_the_runs_that_have_it():
    moments = [
        [{"true_first": 0.1, "age_mean": 100.4}, {"true_first": 0.4}],
        [{"true_first": 0.3}, {}, {"true_first": 9.0}],
    ]
    grid = Part([a_run(REPLAY, seed=seed, moments=of) for seed, of in enumerate(moments)] + cell("a2c mlp", LOW))
    assert at_moments(grid.of("recall 4", REPLAY), "true_first") == [0.2, 0.4, 9.0]
    assert at_moments(grid.of("recall 4", "a2c mlp"), "true_first") == []
    table = staleness_table(grid, "recall 4")
    assert table == [["arm", "data's age, mean", "from true, first"], [REPLAY, "100 / – / –", "0.2 / 0.4 / 9"]]
    assert known([0.5, None, 0.25]) == ([0.3, 0.9], [0.5, 0.25])


def test_what_buffers_hold_is_what_they_held_last():
    held = [a_run(REPLAY, moments=[{"bytes": 1e6}, {"bytes": 2e6}]), a_run(REPLAY, seed=2, moments=[{"bytes": 4e6}])]
    grid = Part([*held, a_run("a2c lstm", moments=[{"kl_first": 1.0}])])
    assert bytes_table(grid) == [["arm", "MB"], [REPLAY, "3.0 (2.0–4.0)"]]


def test_the_share_of_the_grid_of_learning_rates_that_solves_weighs_each_rate_alike():
    """Of rates 0.5 (1 of 2 seeds), 1 (3 of 3) and 4 (0 of 1): (½ + 1 + 0) / 3."""
    part = Part(
        [
            a_run("a2c lstm", 0.5, "masked", "0.5", 1, (1, 1, 1)),
            a_run("a2c lstm", 100.0, "masked", "0.5", 2),
            *(a_run("a2c lstm", 400.0, "masked", "1", seed, (1, 1, 1)) for seed in (1, 2, 3)),
            a_run("a2c lstm", 30.0, "masked", "4"),
            a_run("q mlp", 500.0, "CartPole", "1", 1, (1, 1, 1)),
        ]
    )
    table = learning_rate_table(part)
    assert table[1:] == [
        ["a2c lstm", "masked", "1–3", "50, 1 of 2", "400, 3 of 3", "30, 0 of 1", "50%"],
        ["q mlp", "CartPole", "1", "–", "500, 1 of 1", "–", "100%"],
    ]
    assert table[0][3:] == ["x 0.5", "x 1", "x 4", "solve"]


def test_carrying_is_compared_with_zeroing_by_the_runs_of_the_grid():
    grid = Part([*cell("a2c lstm", HIGH), *cell("a2c gru", HIGH)])
    carry = Part([*cell("a2c lstm", LOW[:4], variant="zeroed"), *cell("a2c lstm", LOW, "masked", "zeroed")])
    (found,) = carry_table(grid, carry)[1:]
    assert (
        found[:3] == ["recall 4", "a2c lstm", "4–5"] and found[3].startswith("0.52 [") and found[4].startswith("0.11 [")
    )
    assert found[5:] == ["1.00 [1.00, 1.00]", "holds"]


def test_workers_are_in_the_order_of_their_number():
    part = Part(
        [
            a_run("a2c lstm", 100.0, "masked", "10", cpu_seconds=8.0),
            a_run("a2c lstm", 500.0, "masked", "2", 1, (12_000, 5, 3.0), cpu_seconds=4.0, lag=0.5),
        ]
    )
    assert workers_table(part)[1:] == [
        ["a2c lstm", "2", "1", "1 of 1", "12k", "3.0", "4.0", "0.50", "500"],
        ["a2c lstm", "10", "1", "0 of 1", "not reached", "not reached", "8.0", "–", "100"],
    ]


def test_lengths_and_ages_are_points_at_the_number_of_their_variant():
    part = Part(
        [
            a_run(REPLAY, 0.5, variant="16", moments=[{"age_mean": 1.0}, {"age_mean": 7.0}]),
            a_run(REPLAY, 0.7, variant="16", seed=2),
            a_run(REPLAY, 0.2, variant="8", after=0.5),
        ]
    )
    assert by_variant(part, "recall 4", "final_greedy") == {REPLAY: ([8.0, 16.0], [0.2, pytest.approx(0.6)])}
    assert by_variant(part, "recall 4", "after") == {REPLAY: ([8.0], [0.5])}
    assert age_of(part.of("recall 4", REPLAY, "16")) == 7 and age_of(part.of("recall 4", REPLAY, "8")) is None
    assert seeds(part) == "1–2"


def test_tuning_shows_the_score_of_each_trial_and_marks_the_one_that_tune_chose():
    """Trial 0: (0.25 + 0.75) / 2; trial 1: 0.9, but one of its two runs is missing."""
    rows = [
        {"arm": f"{task} / a2c lstm / {trial}", "late_greedy": late}
        for task, trial, late in (
            ("masked", 0, 22 + 478 * 0.25),
            ("recall 24", 0, 0.75),
            ("recall 24", 1, 0.9),
            ("masked", 2, 22),
            ("recall 24", 2, 0.2),
        )
    ]
    assert tuned("a2c lstm", rows) == 0
    table = tuning_table(rows)
    assert table[0] == ["arm", "tuned on", "0", "1", "2", "chosen"]
    assert table[1:] == [
        ["a2c lstm", "masked, recall 24", "0.50*", "0.90 (1 of 2 runs)", "0.10", "learning rate 0.003"]
    ]
    trials = trials_table(["a2c lstm", "a2c gru", "q lstm online"])
    assert trials[0] == ["trial", "a2c lstm, a2c gru", "q lstm online"] and len(trials) == 9
    assert trials[3][1] == "learning rate 0.003, entropy coefficient 0.01"


def test_returns_with_short_memories_are_medians_at_the_last_moment():
    def moments(scale):
        return [{"true_first": 0.1}, {f"memory_{k}": scale * k for k in (1, 2, 4, 8, 16)}]

    three = ((1, 50.0, 1.0), (2, 60.0, 2.0), (3, 90.0, 9.0))
    runs = [a_run("a2c lstm", final, seed=seed, moments=moments(scale)) for seed, final, scale in three]
    runs.append(a_run("a2c lstm", 70.0, seed=4, moments=moments(0)[:1]))  # stopped before it was measured
    assert short_memories(Part(runs + cell("q mlp", LOW)), "recall 4") == {"a2c lstm": [2, 4, 8, 16, 32, 60]}
