"""The report of online against replay: every number by hand, verdicts in both directions, pages from any rows."""

import base64
import math
import re

import numpy as np
import pytest

from experiments.lab.learning_study import append_csv, compared, read_csv, with_interval, write_csv
from experiments.lab.statistics import contrast, iqm, optimality_gap, performance_profile
from experiments.online_vs_replay.__main__ import Command, run
from experiments.online_vs_replay.arms import ARMS, MORE_TASKS, TASKS, tuned
from experiments.online_vs_replay.measures import memory as memory_measures
from experiments.online_vs_replay.measures.measured import MEASURES
from experiments.online_vs_replay.report import figures as report_figures
from experiments.online_vs_replay.report.claims import (
    against,
    best_way,
    core_second_budget,
    duels,
    online_against_replay,
    other_metrics,
    otherwise_measured,
    ways,
)
from experiments.online_vs_replay.report.differences import (
    SIDES,
    headline,
    interactions,
    recurrence,
    source_and_algorithm,
    weighed,
)
from experiments.online_vs_replay.report.memory import known, memory_section, short_memories, staleness_section
from experiments.online_vs_replay.report.pages import headline_section, price_section, what
from experiments.online_vs_replay.report.parts import (
    arms_table,
    at_moments,
    bytes_table,
    carry_table,
    learning_rate_table,
    measure,
    shared_settings,
    staleness_table,
    trials_table,
    tuning_table,
    workers_table,
)
from experiments.online_vs_replay.report.report import PARTS, html, write_report
from experiments.online_vs_replay.report.rows import KEY_ARMS, Part, Run, read_part
from experiments.online_vs_replay.report.tables import (
    aggregate_table,
    count,
    digits_of,
    duel_table,
    final_table,
    markdown,
    overtakes,
    overtaking_table,
    price_table,
    scores_by_task,
    seconds,
    seeds_in_words,
    solved_table,
    spread,
    whole_arms,
    words,
)
from experiments.online_vs_replay.report.why import (
    age_of,
    buffer_section,
    by_variant,
    lengths_section,
    seeds,
    with_tuned,
)

LOW, HIGH = [0.1, 0.11, 0.12, 0.13, 0.14], [0.5, 0.51, 0.52, 0.53, 0.54]
REPLAY = "q lstm stored burn in"


def a_run(arm, final=0.5, task="recall 4", variant="", seed=1, solved=None, points=None, moments=(), **more):
    """One run; `solved` is env steps, updates and CPU seconds."""
    finals = dict.fromkeys(("final_greedy", "final_sampled", "greedy_100"), final)
    row = {"env_steps": 300_000.0, "updates": 300.0, "cpu_seconds": 10.0, **finals, **more}
    if solved:
        row |= dict(zip(("solved_env_steps", "solved_updates", "solved_cpu_seconds"), map(float, solved), strict=True))
    if points is None:
        points = [(100, 1, 1.0, final)]
    names = ("env_steps", "updates", "cpu_seconds", "greedy")
    return Run(task, arm, variant, seed, row, [dict(zip(names, point, strict=True)) for point in points], list(moments))


def cell(arm, finals, task="recall 4", variant="", **more):
    """Runs of a cell, a seed for each final return."""
    return [a_run(arm, final, task, variant, seed, **more) for seed, final in enumerate(finals, start=1)]


def write(folder, runs):
    """Rows as the study writes them."""
    for one in runs:
        identity = {"arm": " / ".join(filter(None, one[:3])), "seed": one.seed}
        blank = dict.fromkeys(
            (*(f"solved_{key}" for key in ("env_steps", "updates", "cpu_seconds")), "after", "window_solved_env_steps"),
            "",
        )
        columns = {"final_greedy": 0.0, "late_greedy": 0.5}
        append_csv(folder / "curves.csv", [identity | point for point in one.points])
        append_csv(
            folder / "measures.csv",
            [identity | {"env_steps": 1} | dict.fromkeys(MEASURES, "") | moment for moment in one.moments],
        )
        append_csv(
            folder / "runs.csv", [identity | {"digest": "d"} | blank | columns | one.row | {"exit_reason": one.ended}]
        )


def line(table, *starts):
    """The one row of a table that starts with these cells."""
    (found,) = [row for row in table[1:] if tuple(row[: len(starts)]) == starts]
    return dict(zip(table[0], found, strict=True))


@pytest.fixture(autouse=True)
def few_points(monkeypatch):
    monkeypatch.setattr(report_figures, "POINTS", 5)
    monkeypatch.setattr(report_figures, "RESAMPLES", 20)


@pytest.fixture
def drawn(monkeypatch):
    """Instead of files: lines of each panel by its title, as label: x and y."""
    found = {}

    def keep(figure, file):
        found[file.name] = {
            panel.get_title(loc="left"): {line.get_label(): line.get_xydata().T for line in panel.lines}
            for panel in figure.axes
        }
        found[file.name, "legend"] = [text.get_text() for legend in figure.legends for text in legend.get_texts()]

    monkeypatch.setattr(report_figures, "write_png", keep)
    return found


# --- statistics


def test_a_contrast_is_the_weighted_sum_of_the_middles_of_its_cells():
    """Middles 1.5, 0.5 and 2, weights 1, −1 and 0.5: 1.5 − 0.5 + 1 = 2; constant cells have no spread."""
    assert contrast([(1.0, [0, 1, 2, 100]), (-1.0, [0.5]), (0.5, [2, 2])])[0] == 2
    assert contrast([(1.0, [3, 3]), (-1.0, [1, 1])]) == (2, (2, 2))
    with pytest.raises(ValueError, match="no cells"):
        contrast([])


def test_the_interval_of_a_contrast_draws_the_runs_of_each_cell_on_their_own():
    """Two runs 0 and 1 in each of two cells: means 0, ½, 1 each, so differences reach −1 and 1 with 1/16 each."""
    estimate, (low, high) = contrast([(1.0, [0, 1]), (-1.0, [0, 1])])
    assert (estimate, low, high) == (0, -1, 1)


def test_a_performance_profile_is_the_share_of_runs_strictly_above_each_threshold():
    """Of 0.2, 0.4, 0.6 and 1.0 on two tasks: 4, 3, 2 and 0 of 4 are above 0, 0.2, 0.5 and 1."""
    share, (low, high) = performance_profile([[0.2, 0.4, 0.6], [1.0]], [0, 0.2, 0.5, 1], resamples=500)
    assert share.tolist() == [1, 0.75, 0.5, 0]
    assert (low[0], high[0], low[3], high[3]) == (1, 1, 0, 0)
    assert low[2] == 0.25 and high[2] == 1.0  # the run of the second task is always there


def test_the_optimality_gap_counts_no_run_above_the_target_as_more():
    assert optimality_gap([0.5, 2.0]) == 0.25 and optimality_gap([0.0, 1.0, 5.0], target=2.0) == 1.0


# --- one run


def test_an_unsolved_run_takes_for_ever_at_any_price_and_a_solved_one_its_seconds_and_its_steps():
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


# --- rows


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


def test_rows_of_what_there_is_not_or_of_different_options_are_one_line(tmp_path):
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


# --- claims


@pytest.mark.parametrize(
    ("x", "y", "verdict"),
    [
        (HIGH, LOW, "holds"),
        (LOW, HIGH, "does not hold: the opposite does"),
        (LOW, LOW, "not decided"),
        (HIGH[:3], LOW, "not decided: too few seeds"),
    ],
)
def test_a_verdict_flips_with_the_rows_and_agrees_with_that_of_other_studies(x, y, verdict):
    finding = against("X is better", [x], [y], ("X", "Y"))
    assert finding.verdict == verdict
    assert compared(x, y)[0].removesuffix(" (too few seeds to tell)") == finding.chance
    assert compared(x, y)[1] == {"holds": 1, "does not hold: the opposite does": -1}.get(verdict, 0)
    assert finding.numbers.startswith(f"P(X > Y) = {finding.chance}; normalised {iqm(x):.2f} against {iqm(y):.2f}")
    assert finding.sentence() == f"X is better: **{verdict}**. {finding.numbers}."


def test_tasks_with_too_few_seeds_are_left_out_unless_there_is_no_other():
    """The second task, of three seeds, would turn the first around."""
    finding = against("", [HIGH, LOW[:3]], [LOW, HIGH], ("X", "Y"))
    assert (finding.verdict, finding.chance) == ("holds", "1.00 [1.00, 1.00]")
    assert "] over 1 of 2 tasks, those with 4 seeds a side; normalised 0.52 against 0.12" in finding.numbers
    both = against("", [HIGH[:3], LOW[:3]], [LOW, HIGH], ("X", "Y"))
    assert both.verdict == "not decided: too few seeds" and "= 0.50 [0.50, 0.50] over 2 tasks; " in both.numbers


def test_how_it_is_measured_is_varied_with_the_same_runs():
    """Online takes 4 CPU seconds and rises to 0.4 by then, replay rises to 0.8 by its 16th: 0.05 at 1, 0.1 at 2."""
    online = cell("a2c lstm", [0.4] * 4, points=[(1, 1, 4.0, 0.4)], cpu_seconds=4.0, greedy_100=0.1, final_sampled=0.9)
    replay = cell("q lstm zero", [0.8] * 4, points=[(1, 1, 16.0, 0.8)], cpu_seconds=16.0, greedy_100=0.3)
    found = {duel.metric: (duel.online[0], duel.replay[0]) for duel in duels(Part([*online, *replay]), other_metrics)}
    assert found == {
        "at the end, 100 fresh episodes": (0.1, 0.3),
        "at the end, actions sampled": (0.9, 0.8),
        "at 0.25 times the CPU seconds": (pytest.approx(0.1), pytest.approx(0.05)),
        "at 0.5 times the CPU seconds": (pytest.approx(0.2), pytest.approx(0.1)),
        "at 2 times the CPU seconds": (0.4, pytest.approx(0.4)),
        "at 4 times the CPU seconds": (0.4, 0.8),
    }
    said = {finding.claim: finding.verdict for finding in otherwise_measured(Part([*online, *replay]))}
    assert said["at the end, actions sampled"] == "holds" and said["at 4 times the CPU seconds"].startswith("does not")


def test_the_best_way_is_chosen_for_each_task_and_metric_and_the_budget_is_that_of_the_fastest_arm():
    """Zero ends higher, episodes is higher over all and sooner; a2c takes 4 CPU seconds and is at 0.4 by then, zero
    at 0.2 and episodes at 0.8. Q-learning online, which is faster, is not compared."""
    slow = [(1, 1, 5.0, 0.25), (2, 2, 10.0, 0.9)]
    runs = [
        *cell("a2c lstm", [0.4] * 4, points=[(1, 1, 2.0, 0.2), (2, 2, 4.0, 0.4)], cpu_seconds=4.0),
        *cell("q lstm zero", [0.9] * 4, points=slow),
        *cell("q lstm episodes", [0.8] * 4, points=[(1, 1, 4.0, 0.8), (2, 2, 10.0, 0.8)]),
        *cell("q lstm online", [1.0] * 4, cpu_seconds=0.5),
    ]
    end, area, equal = duels(Part(runs))
    assert (end.way, end.online[0], end.replay[0]) == ("q lstm zero", 0.4, 0.9)
    assert (area.way, area.online[0], area.replay[0]) == ("q lstm episodes", pytest.approx(0.3), 0.8)
    assert (equal.way, equal.budget) == ("q lstm episodes", 4.0)
    assert (equal.online[0], equal.replay[0]) == (0.4, 0.8)
    assert core_second_budget(Part([a_run("q mlp", cpu_seconds=at) for at in (1, 5, 6)])) == 5
    table = duel_table([end, area, equal])
    assert line(table, "recall 4", "at equal CPU seconds") == {
        "task": "recall 4",
        "compared": "at equal CPU seconds",
        "online": "0.40 [0.40, 0.40]",
        "replay": "0.80 [0.80, 0.80]",
        "its way": "episodes",
        "seeds": "4",
        "P(online > replay)": "0.00 [0.00, 0.00]",
        "online is better": "does not hold: the opposite does",
    }


def test_the_best_way_of_odd_seeds_is_judged_by_even_ones_and_the_other_way_round():
    """Zero is best on seeds 1 and 3, episodes on 2 and 4: each is judged where the other shone. Of 3, all choose."""
    scores = {"q lstm zero": {1: 0.9, 2: 0.1, 3: 0.8, 4: 0.2}, "q lstm episodes": {1: 0.3, 2: 0.6, 3: 0.4, 4: 0.7}}
    assert best_way(scores) == ([0.1, 0.2, 0.3, 0.4], "q lstm episodes / q lstm zero")
    three = {way: {seed: of[seed] for seed in (1, 2, 3)} for way, of in scores.items()}
    assert best_way(three) == ([0.9, 0.1, 0.8], "q lstm zero")


def test_six_equal_ways_are_not_called_better_than_an_equal_seventh():
    """Chosen by the runs that it is judged by, the best of six would be above half of them nine times in ten."""
    generator = np.random.default_rng(0)
    wins = []
    for _ in range(200):
        ways = {f"way {k}": dict(enumerate(generator.normal(size=10).tolist())) for k in range(6)}
        wins.append(np.mean(best_way(ways)[0]) > generator.normal(size=10).mean())
    assert 0.4 < np.mean(wins) < 0.6


def test_a_row_whose_curve_is_lost_is_in_no_comparison_of_curves():
    runs = [*cell("a2c lstm", HIGH), *cell(REPLAY, LOW), a_run("a2c lstm", 9.0, points=[])]
    assert [duel.online for duel in duels(Part(runs))] == [HIGH] * 3


@pytest.mark.parametrize(("online", "replay", "verdict"), [(HIGH, LOW, "holds"), (LOW, HIGH, "does not hold")])
def test_the_claim_over_tasks_flips_with_the_rows(online, replay, verdict):
    grid = Part(
        [
            run
            for task in ("recall 4", "recall 48")
            for run in (*cell("a2c lstm", online, task), *cell(REPLAY, replay, task))
        ]
    )
    found = online_against_replay(grid)
    assert len(found) == 3 and all(one.verdict.startswith(verdict) for one in found)
    assert all("over 2 tasks" in one.numbers for one in found)
    assert all(one.numbers.endswith(f"; {one.verdict} on recall 4, recall 48") for one in found)


def test_tasks_that_are_decided_both_ways_are_the_verdict():
    sides = {"masked": (LOW, LOW), "recall 4": (HIGH, LOW), "recall 24": (LOW, HIGH), "recall 48": (HIGH, LOW)}
    grid = Part(
        [
            run
            for task, pair in sides.items()
            for arm, values in zip(("a2c lstm", REPLAY), pair, strict=True)
            for run in cell(arm, values, task)
        ]
    )
    one = online_against_replay(grid)[0]
    assert one.verdict == "depends on the task"
    by_task = "not decided on masked; holds on recall 4, recall 48; does not hold: the opposite does on recall 24"
    assert one.numbers.endswith(f"; {by_task}")


def test_tasks_that_are_not_of_the_study_are_in_tables_but_not_in_aggregates():
    assert "noisy" in MORE_TASKS
    grid = Part(
        [*cell("a2c lstm", HIGH), *cell(REPLAY, LOW), *cell("a2c lstm", LOW, "noisy"), *cell(REPLAY, HIGH, "noisy")]
    )
    assert {duel.task for duel in duels(grid)} == {"recall 4", "noisy"}
    assert [one.verdict for one in online_against_replay(grid)] == ["holds"] * 3
    assert len(scores_by_task(grid, REPLAY)) == 1 and final_table(grid)[0] == ["arm", "seeds", "recall 4", "noisy"]


def two_by_two(a2c_online, a2c_replay, q_online, q_replay, task="recall 4", seeds=4):
    values = {"a2c lstm": a2c_online, "a2c lstm replay": a2c_replay, "q lstm online": q_online, REPLAY: q_replay}
    return [run for arm, value in values.items() for run in cell(arm, [value] * seeds, task)]


def test_source_and_algorithm_by_hand():
    """Sources: ((0.9 − 0.5) + (0.7 − 0.6)) / 2 = 0.25; algorithms: ((0.9 − 0.7) + (0.5 − 0.6)) / 2 = 0.05; both:
    0.4 − 0.1 = 0.3. A second task of the opposite halves nothing but the mean."""
    grid = Part(two_by_two(0.9, 0.5, 0.7, 0.6))
    assert [one.numbers for one in source_and_algorithm(grid)] == [
        f"{value} [{value}, {value}]" for value in ("+0.25", "+0.05", "+0.30")
    ]
    assert [one.verdict for one in source_and_algorithm(grid)] == ["holds"] * 3
    opposite = Part([*grid, *two_by_two(0.1, 0.5, 0.3, 0.4, "recall 24")])  # −0.25, −0.05, −0.3
    for one, value in zip(source_and_algorithm(opposite), (0, 0, 0), strict=True):
        assert float(one.numbers.split()[0]) == value and "over 2 tasks" in one.numbers
        assert one.verdict == "not decided"
    assert source_and_algorithm(Part(cell("a2c lstm", HIGH))) == []
    assert {one.verdict for one in source_and_algorithm(Part(two_by_two(1, 0, 1, 0, seeds=3)))} == {
        "not decided: too few seeds"
    }


def test_a_task_with_too_few_seeds_in_one_cell_does_not_count_in_differences():
    grid = Part([*two_by_two(0.9, 0.5, 0.7, 0.6), *two_by_two(0.0, 1.0, 0.0, 1.0, "recall 24", seeds=3)])
    assert source_and_algorithm(grid)[0].numbers == (
        "+0.25 [+0.25, +0.25] over 1 of 2 tasks, those with 4 seeds a side"
    )


def test_the_interaction_is_a_difference_of_leads_by_hand():
    """Leads of a2c lstm: full 0.1, masked 0.5; recall 4: 0.2, 24: 0.4, 48: 0.8, long ones (0.4 + 0.8) / 2 = 0.6.
    Differences 0.4 and 0.4, their mean 0.4. 22 + 478 x is a CartPole return of x."""
    leads = {"CartPole": 0.1, "masked": 0.5, "recall 4": 0.2, "recall 24": 0.4, "recall 48": 0.8}

    def grid(signs=1, seeds=4):
        runs = []
        for task, lead in leads.items():
            for arm, value in (("a2c lstm", 0.1 + lead), (REPLAY, 0.1)):
                value = signs * value
                runs += cell(arm, [22 + 478 * value if task in ("CartPole", "masked") else value] * seeds, task)
        return Part(runs)

    found = interactions(grid())
    assert list(found) == ["masked minus full observation", "recall 24 and recall 48 minus recall 4", "mean of both"]
    first = next(iter(SIDES))
    assert [list(of) for of in found.values()] == [[first]] * 3  # the other pairs have no runs
    assert [of[first].numbers for of in found.values()] == ["+0.40 [+0.40, +0.40]"] * 3
    assert [of[first].verdict for of in found.values()] == ["holds"] * 3
    assert first in found["mean of both"][first].claim
    flipped = interactions(grid(-1))["mean of both"][first]
    assert flipped.verdict.startswith("does not hold") and flipped.numbers.startswith("-0.40")
    few = interactions(grid(seeds=3))["mean of both"][first]
    assert few.verdict == "not decided: too few seeds"


def test_of_the_interaction_only_what_has_its_cells_is_said():
    grid = Part([run for task in ("recall 4", "recall 48") for run in two_by_two(0.5, 0.4, 0.3, 0.2, task)])
    assert list(interactions(grid)) == ["recall 48 minus recall 4"]
    sides = [side for side, arms in SIDES.items() if "q lstm episodes" not in arms]  # which has no runs here
    assert list(interactions(grid)["recall 48 minus recall 4"]) == sides and len(sides) == len(SIDES) - 1
    assert interactions(Part(two_by_two(1, 1, 1, 1, "masked"))) == {}


def test_the_mean_of_two_interactions_weighs_them_alike():
    """Leads masked − full: 0.2; long − short: 0.6; mean 0.4."""
    values = {"CartPole": (22, 22), "masked": (22 + 478 * 0.2, 22), "recall 4": (0, 0), "recall 24": (0.6, 0)}
    grid = Part(
        [
            run
            for task, pair in values.items()
            for arm, value in zip(("a2c lstm", REPLAY), pair, strict=True)
            for run in cell(arm, [value] * 4, task)
        ]
    )
    said = [of[next(iter(SIDES))].numbers.split()[0] for of in interactions(grid).values()]
    assert said == ["+0.20", "+0.60", "+0.40"]


def test_what_online_does_for_an_lstm_is_held_against_what_it_does_for_an_mlp():
    """(0.9 − 0.4) − (0.8 − 0.6) = 0.3."""
    values = {"a2c lstm": 0.9, REPLAY: 0.4, "a2c mlp": 0.8, "q mlp": 0.6}
    grid = Part([run for arm, v in values.items() for run in cell(arm, [22 + 478 * v] * 4, "CartPole")])
    assert recurrence(grid).numbers == "+0.30 [+0.30, +0.30]" and recurrence(Part(grid[:8])) is None


def test_a_weighed_sum_is_a_mean_over_its_tasks():
    grid = Part([*cell("a2c lstm", [0.5]), *cell("a2c lstm", [0.1], "recall 24")])
    assert weighed(grid, [{("recall 4", "a2c lstm"): 1.0}, {("recall 24", "a2c lstm"): 1.0}])[0] == pytest.approx(0.3)


def test_ways_are_compared_in_pairs_on_tasks_with_something_to_remember():
    elsewhere = [*cell("q lstm stored", [22.0] * 5, "CartPole"), *cell("q lstm zero", [500.0] * 5, "CartPole")]
    grid = Part([*cell("q lstm stored", HIGH), *cell("q lstm zero", LOW), *elsewhere])
    (finding,) = ways(grid)
    assert finding.claim == "q lstm stored ends higher than q lstm zero" and finding.verdict == "holds"
    assert finding.numbers.startswith("P(stored > zero) = 1.00 [1.00, 1.00]; normalised 0.52 against 0.12")
    assert ways(Part(cell("q lstm stored", LOW) + cell("q lstm zero", HIGH)))[0].verdict.startswith("does not hold")


def test_the_headline_has_one_finding_of_each_question():
    runs = [
        run
        for task in ("CartPole", "masked", "recall 4", "recall 24")
        for run in (
            *two_by_two(0.9, 0.5, 0.7, 0.6, task),
            *cell("q lstm zero", LOW, task),
            *cell("a2c mlp", LOW, task),
            *cell("q mlp", LOW, task),
        )
    ]
    claims = [finding.claim for finding in headline(Part(runs))]
    assert [claim[:24] for claim in claims] == [
        "Online (a2c lstm) ends h",
        "Online is higher than th",
        "Learning online ends hig",
        "The lead of online grows",
        "Online's lead over repla",
        "q lstm stored burn in en",
    ]
    assert "CPU seconds" in claims[1] and "mean of both; a2c lstm against q lstm stored burn in" in claims[3]
    assert headline(Part(cell("a2c mlp", LOW))) == []


# --- tables


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


def test_numbers_are_short_and_say_what_is_not_there():
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


def test_the_final_table_is_of_the_rows_and_says_how_many_seeds_its_cells_have(tmp_path):
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


def test_aggregates_are_of_arms_with_all_tasks_best_first():
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


def test_carrying_is_held_against_zeroing_with_the_runs_of_the_grid():
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


def test_lengths_and_ages_against_the_number_of_their_variant():
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


# --- figures


def test_every_arm_has_a_look_of_its_own_which_is_dashed_if_it_learns_from_replay():
    assert set(report_figures.LOOKS) == set(ARMS) and len(set(report_figures.LOOKS.values())) == len(ARMS)
    for arm, (_, dashes) in report_figures.LOOKS.items():
        assert (dashes == report_figures.DASHED) == ARMS[arm].options["algorithm"].endswith("replay")
    assert set(KEY_ARMS) < set(ARMS)


def test_a_curve_is_the_middle_of_the_runs_on_a_common_grid_and_holds_what_ended():
    """Runs at 0, 100, 200 and at 50, 150: from 50 to 200, where the second holds its last value of 3."""
    one, other = [(0, 0, 1.0, 0.0), (100, 0, 2.0, 1.0), (200, 4, 4.0, 2.0)], [(50, 0, 1.0, 2.0), (150, 8, 3.0, 3.0)]
    runs = [a_run("a2c lstm", points=points) for points in (one, other)]
    grid, mean, _ = report_figures.curve(runs, "env_steps")
    np.testing.assert_allclose(grid, [50, 87.5, 125, 162.5, 200])
    np.testing.assert_allclose(mean[[0, -1]], [(0.5 + 2) / 2, (2 + 3) / 2])
    grid, *_ = report_figures.curve(runs, "cpu_seconds")
    np.testing.assert_allclose(grid, np.geomspace(1, 4, 5))
    assert report_figures.curve(runs, "updates")[0][0] == pytest.approx(0.008)  # of a logarithmic axis from 0 on


def test_curves_are_drawn_of_each_task_and_arm_with_the_threshold(drawn, tmp_path):
    points = [(100, 1, 1.0, 100.0), (200, 2, 2.0, 300.0)]
    grid = Part([*cell("a2c lstm", [300.0] * 2, "masked", points=points), *cell("q mlp", [0.5])])
    report_figures.curves_figure(grid, ["masked", "recall 4"], ["a2c lstm", "q mlp"], tmp_path / "x.png")
    masked = drawn["x.png"]["masked"]
    assert masked.pop("a2c lstm").tolist() == [[100, 125, 150, 175, 200], [100, 150, 200, 250, 300]]
    (threshold,) = masked.values()
    assert threshold[1].tolist() == [475, 475]
    assert drawn["x.png", "legend"] == ["q mlp", "a2c lstm"]  # in the order of LOOKS
    with pytest.raises(ValueError, match=r"x.png: no panels"):
        report_figures.curves_figure(grid, [], ["a2c lstm"], tmp_path / "x.png")


def test_the_headline_figure_shows_the_tasks_of_the_study_with_few_arms(drawn, tmp_path):
    runs = [run for task in TASKS for arm in ("a2c lstm", "q mlp") for run in cell(arm, [0.5], task)]
    headline_section(Part([*runs, *cell("a2c lstm", [0.5], "noisy")]), tmp_path)
    assert list(drawn["headline.png"]) == list(TASKS) and list(drawn["curves.png"]) == [*TASKS, "noisy"]
    assert drawn["headline.png", "legend"] == ["a2c lstm"] and "q mlp" in drawn["curves.png", "legend"]


def test_what_was_measured_is_drawn_at_its_moments(drawn, monkeypatch, tmp_path):
    monkeypatch.setattr(memory_measures, "controls", lambda: {"observation": (-0.5, 0.25)})
    moments = [
        {"true_first": 0.5, "r2_cart": 0.1, "r2_pole": 0.2},
        {},
        {"true_first": 0.25, "r2_cart": 0.3, "r2_pole": 0.4},
    ]
    grid = Part([a_run(REPLAY, 300.0, "masked", moments=moments)])
    memory_section(grid, tmp_path)
    cart, pole = (drawn["probe.png"][f"{side} velocity"] for side in ("cart", "pole"))
    assert cart.pop(REPLAY).tolist() == [[0.3, 0.9], [0.1, 0.3]] and pole.pop(REPLAY).tolist()[1] == [0.2, 0.4]
    assert [level[1].tolist() for of in (cart, pole) for level in of.values()] == [[0, 0], [0.25, 0.25]]
    staleness_section(grid, tmp_path)
    assert drawn["staleness.png"]["masked: first position"][REPLAY].tolist() == [[0.3, 0.9], [0.5, 0.25]]
    assert not drawn["staleness.png"]["masked: last position"]


def test_the_tuned_learning_rate_is_that_of_the_grid_with_the_same_seeds():
    grid = Part([*cell("a2c lstm", [500.0, 22.0, 261.0], "masked"), *cell("a2c gru", [22.0], "masked")])
    part = Part(cell("a2c lstm", [100.0, 200.0], "masked", "0.5"))
    both = with_tuned(grid, part)
    assert [(run.arm, run.variant, run.seed, run.row["final_greedy"]) for run in both] == [
        ("a2c lstm", "0.5", 1, 100.0),
        ("a2c lstm", "0.5", 2, 200.0),
        ("a2c lstm", "1", 1, 500.0),
        ("a2c lstm", "1", 2, 22.0),
    ]
    assert both.variants() == ["0.5", "1"]


def test_lengths_and_buffers_are_drawn_against_the_numbers_of_their_variants(drawn, tmp_path):
    age = [{"age_mean": 9.0}]
    part = Part([a_run(REPLAY, 100.0, "masked", "8", after=0.5, moments=age), a_run(REPLAY, 200.0, "masked", "32")])
    lengths_section(part, tmp_path)
    assert drawn["sequence_lengths.png"]["masked"][REPLAY].tolist() == [[8, 32], [100, 200]]
    buffer_section(part, tmp_path)
    found = [of[REPLAY].tolist() for of in drawn["buffer_age.png"].values()]
    assert found == [[[8, 32], [100, 200]], [[8], [0.5]], [[8], [9]]]


# --- the page

SIX = ("q lstm zero", "q lstm stored burn in", "q lstm online", "a2c lstm replay", "a2c mlp", "a2c lstm")


def a_study(seeds=4, tasks=("CartPole", "masked", "recall 4", "recall 24")):
    """Rows of all parts."""
    moments = [
        {
            "true_first": 0.5,
            "age_mean": 3.0,
            "r2_cart": 0.25,
            "r2_pole": 0.75,
            "bytes": 1e6,
            **{f"memory_{k}": 0.1 for k in (1, 2, 4, 8, 16)},
        }
    ]
    some = {"solved": (100, 2, 0.5), "after": 0.5, "moments": moments}
    values = np.linspace(0.2, 0.4, seeds)
    return {
        "grid": [run for task in tasks for arm in SIX for run in cell(arm, values, task, **some)],
        "learning-rates": cell("a2c lstm", values, "masked", "0.25", **some),
        "sequence-lengths": cell("a2c lstm", values, "recall 24", "8", **some),
        "buffer-age": cell(REPLAY, values, "masked", "4000", **some),
        "carry": cell("a2c lstm", values, "recall 4", "zeroed", **some),
        "workers": cell("a2c lstm", values, "masked", "2", **some),
    }


def write_study(out, study):
    for part, runs in study.items():
        (out / part).mkdir(parents=True)
        write(out / part, runs)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with rows of all parts and their report; nobody writes to it."""
    out = tmp_path_factory.mktemp("study")
    write_study(out, a_study())
    (out / "tuning").mkdir()
    write(out / "tuning", cell("a2c lstm", [0.5], "masked", "0"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_figures, "POINTS", 5)
        patch.setattr(report_figures, "RESAMPLES", 20)
        patch.setattr(
            memory_measures, "controls", lambda: {"observation": (0.01, -0.5), "two observations": (0.6, 0.4)}
        )
        write_report(out)
    return out


def test_all_parts_are_in_the_report_and_nothing_is_said_to_be_missing_that_is_there(written):
    text = (written / "report.md").read_text()
    assert re.findall(r"^## (.*)$", text, re.M) == [
        "Headline",
        "What is compared",
        "The claims, one by one",
        "Solved, and what came after",
        "Against CPU seconds and gradient steps",
        "Over all tasks",
        "How stale the states are",
        "What the memory holds",
        "The price of a step",
        "Robustness to the learning rate",
        "Why: length of sequences",
        "Why: age of the buffer",
        "Why: carrying the state",
        "Why: workers",
        "Tuning",
        "How to make all of it",
    ]
    missing = text.splitlines()[-1]
    assert missing.startswith("Not trained yet: flickering (grid), recall 48 (grid), a2c mlp 2 frames (grid)")
    pictures = set(re.findall(r"!\[\S+\]\((\S+)\)", text)) | {"headline.png"}
    assert pictures == {file.name for file in written.glob("*.png")} and len(pictures) == 10


def test_the_tables_of_the_page_are_those_of_the_rows(written):
    text, grid = (written / "report.md").read_text(), read_part(written / "grid")
    for table in (
        final_table(grid),
        aggregate_table(grid),
        duel_table(duels(grid)),
        overtaking_table(grid),
        *(solved_table(grid, task) for task in grid.tasks()),
        *(staleness_table(grid, task) for task in grid.tasks()),
        learning_rate_table(with_tuned(grid, read_part(written / "learning-rates"))),
        bytes_table(grid),
        carry_table(grid, read_part(written / "carry")),
        workers_table(read_part(written / "workers")),
        tuning_table(read_csv(written / "tuning" / "runs.csv")),
    ):
        assert len(table) > 1 and markdown(table) in text
    for finding in (*headline(grid), *source_and_algorithm(grid), *ways(grid)):
        assert finding.sentence() in text or f"| {finding.claim} | {finding.numbers} | {finding.verdict} |" in text
    assert "\n1. Online (a2c lstm) ends higher" in text
    assert "| two observations | 0.60 | 0.40 |" in text and "| observation | 0.01 | -0.50 |" in text
    assert f"| {REPLAY} | 0.25 | 0.75 |" in text


def test_the_html_page_needs_nothing_else_and_says_the_same(written):
    page, text = (written / "report.html").read_text(), (written / "report.md").read_text()
    sources = re.findall(r'src="([^"]*)"', page)
    names = re.findall(r"!\[\S+\]\((\S+)\)", text)
    assert len(sources) == len(names) == 9
    for source, name in zip(sources, names, strict=True):
        kind, _, data = source.partition(",")
        assert kind == "data:image/png;base64" and base64.b64decode(data) == (written / name).read_bytes()
    outside = re.sub(r'src="[^"]*"', "", page)
    assert not re.search(r"https?:|<link|<script|@import|url\(", outside) and page.count("<style>") == 1
    cells = [
        part.strip()
        for row in text.splitlines()
        if row.startswith("| ") and "---" not in row
        for part in row.strip("| ").split(" | ")
    ]
    shown = [
        re.sub("<[^>]*>", "", found).replace("&gt;", ">").replace("&lt;", "<")
        for found in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", page)
    ]
    assert shown == cells and page.count("<h2>") == 16


def test_arms_are_told_by_their_network_and_where_their_data_comes_from():
    table = arms_table(
        [
            "a2c mlp oracle",
            "a2c mlp 2 frames",
            "q mlp",
            "q lstm transitions",
            "q lstm zero",
            "q lstm stored burn in",
            "q lstm episodes",
            "a2c lstm replay",
        ]
    )
    assert [row[1:4] for row in table[1:]] == [
        ["mlp, nothing hidden", "actor and critic", "segments of 32 steps as they come"],
        ["mlp, two frames", "actor and critic", "segments of 32 steps as they come"],
        ["mlp", "values of actions", "a buffer, single steps"],
        ["lstm", "values of actions", "a buffer, single steps, each from a fresh state"],
        ["lstm", "values of actions", "a buffer, 32 steps from zeros"],
        ["lstm", "values of actions", "a buffer, 32 steps from the state that the actor stored 8 steps before them"],
        ["lstm", "values of actions", "a buffer, whole episodes 32 steps at a time, the state carried"],
        ["lstm", "actor and critic", "a buffer, 32 steps from the state that the actor stored 8 steps before them"],
    ]
    assert [row[4] for row in table[1:3]] == ["learning rate 0.003"] * 2
    shared = shared_settings()
    assert shared.startswith("Runs have 500k env steps, on recall 300k. All have one layer of 64 and a core of 64")
    assert "Actor-critics see 0.05 of CartPole's rewards and clip gradients at 1, Q-learning sees 0.1 and" in shared


def test_a_table_of_sentences_is_aligned_left_and_one_of_numbers_right():
    table = [["a", "b"], ["x", "1"]]
    assert markdown(table) == "| a | b |\n| --- | ---: |\n| x | 1 |" and "---:" not in words(table)


def test_a_picture_that_is_not_there_is_an_error_and_not_a_gap(tmp_path):
    with pytest.raises(FileNotFoundError):
        html("![x.png](x.png)", tmp_path)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_alone_makes_a_report_and_one_without_it_does_too(part, monkeypatch, tmp_path):
    monkeypatch.setattr(memory_measures, "controls", lambda: {})
    monkeypatch.setattr(report_figures, "write_png", lambda _figure, file: file.write_bytes(b"picture"))
    study = a_study(seeds=1, tasks=("recall 4",))
    write_study(tmp_path / "alone", {part: study[part]})
    write_study(tmp_path / "without", {name: runs for name, runs in study.items() if name != part})
    for folder in ("alone", "without"):
        (tmp_path / folder / "tuning").mkdir()
        write_report(tmp_path / folder)
        said = (tmp_path / folder / "report.md").read_text().splitlines()[-1]
        assert said.startswith("Not trained yet: tuning, ")
        assert (part in re.split("[:,.] ?", said.replace(": ", ", ").replace(", ", ","))) == (folder == "without")


def test_no_rows_at_all_are_refused_in_one_line_and_nothing_is_written(tmp_path):
    with pytest.raises(
        ValueError, match=r"^--out \S+: it holds no rows of any part, see --help for how to train them$"
    ):
        write_report(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_report_of_the_command_prints_the_headline_table(tmp_path, capsys):
    write_study(tmp_path, {"grid": [*cell("a2c lstm", [0.5]), *cell(REPLAY, [0.25])]})
    run(Command(part="report", out=tmp_path))
    said = capsys.readouterr().out
    assert said.startswith(markdown(final_table(read_part(tmp_path / "grid"))))
    assert "not decided: too few seeds" in (tmp_path / "report.md").read_text()


def test_runs_that_their_limit_stopped_are_counted():
    runs = cell("a2c lstm", [0.5] * 3)
    assert what(Part(runs)) == "3 runs: 1 arms on 1 tasks, 3 seeds each."
    assert "1 of them were stopped" in what(Part([runs[0]._replace(ended="max_cpu_seconds"), *runs[1:]]))
