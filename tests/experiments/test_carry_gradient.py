"""The study of the carried gradient: its arms, its page, and its measure of staleness."""

import json

import pytest

from experiments.carry_gradient.__main__ import Command, parts_of, return_at, with_parts
from experiments.carry_gradient.arms import GRADIENT, STATE, TASKS, arms
from experiments.carry_gradient.page import figure, page
from experiments.carry_gradient.staleness import page as staleness_page
from experiments.carry_gradient.watch import watch
from rl.loop import Overrides
from tests.support.runs import train


def test_each_task_has_60_arms_whose_names_say_what_they_are():
    """Six lengths x (two cores x three ways and two cores x two); a gradient is carried where it can be."""
    named = {name: parts_of(name) for name in arms()}
    for task in TASKS:
        assert len([name for name, parts in named.items() if parts[0] == task]) == 60
    for name, arm in arms().items():
        _, core, carried, length = named[name]
        config = arm.config
        assert (config.core, config.segment_length) == (core, length)
        assert config.carry_gradient == (carried == GRADIENT) and config.carry_state == (carried != "zeroed")


def test_chosen_tasks_cores_and_lengths_make_the_studies_and_others_are_refused_in_one_line(tmp_path):
    [study] = Command(tasks="RecallCue 8", cores="rtu,lstm", lengths="2,8", seeds=2, out=tmp_path).studies()
    assert len(study.planned) == 2 * (3 + 2) * 2  # lengths x ways x seeds
    both = Command(tasks="TMaze,HalfCheetah positions", cores="rtu", lengths="4").studies()
    assert [len(study.planned) for study in both] == [3 * 5, 3 * 3]  # three seeds on HalfCheetah
    for options, line in (
        ({"lengths": "3"}, "--lengths 3: one of 1, 2, 4, 8, 16, 32 is needed"),
        ({"cores": "rnn"}, "--cores 'rnn': a list out of rtu,mingru,lstm,gru is needed"),
        ({"tasks": "Pong"}, "--tasks 'Pong': all, or a list out of RepeatPreviousEasy,"),
    ):
        with pytest.raises(ValueError) as error:
            Command(**options).studies()
        assert str(error.value).startswith(line)


def rows_and_points():
    """Two ways at N = 2, four seeds each: 0.9 in 4 CPU seconds, and 0.1 in 2; curves rise by as much a point."""
    rows, points = [], []
    for carried, score, seconds in ((GRADIENT, 0.9, 4.0), (STATE, 0.1, 2.0)):
        arm = f"RecallCue 8 / rtu / {carried} / N = 2"
        for seed in range(4):
            rows.append({"arm": arm, "seed": str(seed), "final_return": str(score), "cpu_seconds": str(seconds)})
            for k in range(1, 11):
                point = {"global_step": k, "cpu_seconds": seconds * k / 10, "charts/episodic_return": score * k / 10}
                points.append({"arm": arm, "seed": str(seed), **{key: str(value) for key, value in point.items()}})
    return rows, points


def test_at_equal_core_seconds_the_slower_arm_counts_up_to_the_end_of_the_quicker():
    """After 2 of 4 seconds the curve stands at 0.45, its fifth point; the last fifth of five points is one."""
    rows = with_parts(*rows_and_points())
    assert {(row["carried"], round(row["equal_seconds_return"], 3)) for row in rows} == {
        (GRADIENT, 0.45),
        (STATE, 0.095),
    }
    assert return_at([], 1.0) != return_at([], 1.0)  # nan


def test_the_page_has_means_and_a_verdict_and_the_figure_is_drawn(tmp_path):
    rows = with_parts(*rows_and_points())
    text = page(rows)
    assert "| rtu | state and gradient | 0.90 (0.90 to 0.90) |" in text
    assert "| rtu | state and gradient, at equal CPU seconds | 0.45 (0.45 to 0.45) |" in text
    assert "- rtu, gradient carried against the state alone: N = 2: 1.00 [1.00, 1.00]" in text
    figure(rows, tmp_path / "carry_gradient.png")
    assert (tmp_path / "carry_gradient.png").stat().st_size > 5_000


@pytest.mark.parametrize("core", ["rtu", pytest.param("mingru", marks=pytest.mark.slow)])
def test_of_parameters_that_stand_still_the_carried_gradient_is_the_exact_one(tmp_path, monkeypatch, core):
    """Segments of 2 steps, episodes of 6: the cut gradient points elsewhere, and watching changes nothing."""
    monkeypatch.setattr("experiments.carry_gradient.watch.HISTORY", 16)
    options = {"core": core, "carry_gradient": True, "env": "RecallCue-v0", "env_arg": ("delay=5",), "dtype": "float64"}
    options |= {"segment_length": 2, "learning_rate": 1e-12, "total_env_steps": 1_200}
    watched = train(tmp_path / "watched", Overrides(watch=watch), **options)
    plain = train(tmp_path / "plain", **options)
    assert (watched.learnt["parameters"] == plain.learnt["parameters"]).all() and watched.rows == plain.rows
    found = [json.loads(line) for line in (tmp_path / "watched" / "gradients.jsonl").read_text().splitlines()]
    assert len(found) == 5 * 8  # moments x segments
    assert all(abs(line["carried_cosine"] - 1.0) < 1e-6 and abs(line["carried_ratio"] - 1.0) < 1e-6 for line in found)
    assert min(line["cut_cosine"] for line in found) < 0.99
    rows = [{"arm": core, "seed": "1", "final_return": "0.5"}]
    measured = [{"arm": core} | {key: str(value) for key, value in line.items()} for line in found]
    assert f"| {core} | 1.000 | 1.000 |" in staleness_page(rows, measured)
