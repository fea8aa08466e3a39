"""Verdicts follow from the rows in both directions."""

import pytest

from experiments.lab.statistics import compared, contrast, iqm, optimality_gap, performance_profile
from experiments.online_vs_replay.report.claims import online_against_replay, otherwise_measured, ways
from experiments.online_vs_replay.report.differences import (
    SIDES,
    interactions,
    recurrence,
    source_and_algorithm,
    weighed,
)
from experiments.online_vs_replay.report.duels import cpu_second_budget, duels, other_metrics
from experiments.online_vs_replay.report.rows import Part
from experiments.online_vs_replay.report.sections.aggregates import scores_by_task
from experiments.online_vs_replay.report.sections.claims import claims_section, duel_table
from experiments.online_vs_replay.report.sections.headline import final_table, headline
from experiments.online_vs_replay.report.verdicts import against
from experiments.online_vs_replay.tasks import MORE_TASKS
from tests.support.finished_runs import HIGH, LOW, REPLAY, a_run, cell, line


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


def test_other_metrics_judge_the_same_runs():
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
    assert cpu_second_budget(Part([a_run("q mlp", cpu_seconds=at) for at in (1, 5, 6)])) == 5
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


def test_a_claim_that_tasks_decide_both_ways_depends_on_the_task():
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
    assert one.verdict == "depends on the task; replay wins on recall 24"
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


def test_an_interaction_without_its_cells_is_left_out():
    grid = Part([run for task in ("recall 4", "recall 48") for run in two_by_two(0.5, 0.4, 0.3, 0.2, task)])
    assert list(interactions(grid)) == ["recall 48 minus recall 4"]
    sides = [side for side in SIDES if "rtu" not in side and "episodes" not in side]  # these have no runs here
    assert list(interactions(grid)["recall 48 minus recall 4"]) == sides and len(sides) == 3
    assert interactions(Part(two_by_two(1, 1, 1, 1, "masked"))) == {}
    assert f"| difference of leads | {' | '.join(sides)} |" in "\n".join(claims_section(grid, None))


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


def test_onlines_lead_with_an_lstm_is_compared_with_its_lead_with_an_mlp():
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
        "The best online agent en",
        "The best online agent is",
        "Online (a2c lstm) ends h",
        "Online (a2c lstm) is hig",
        "Learning online ends hig",
        "The lead of online grows",
        "Online's lead over repla",
        "q lstm stored burn in en",
    ]
    assert all("CPU seconds" in claim for claim in (claims[1], claims[3]))
    assert "mean of both; a2c lstm against q lstm stored burn in" in claims[5]
    assert headline(Part(cell("a2c mlp", LOW))) == []
