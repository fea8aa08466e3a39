"""Studies: a row is what 'done' means, and a kill at any byte is healed."""

import csv
import itertools
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import envs
from experiments.chapter5 import length_figure
from experiments.chapter5.length_results import curves_of, length_result
from experiments.lab import learning_curves
from experiments.lab import study as studies
from experiments.lab.digest import digest
from experiments.lab.rows import read_csv
from experiments.lab.study import Arm, Study, StudyCommand
from rl.acting.evaluate import evaluate
from rl.loop import NO_OVERRIDES, Overrides
from rl.record.saved_agent import load_agent
from rl.running.folder import claim
from tests.support.tiny_studies import ARMS, EVERY_RUN, contents, keys, one_hundred, tiny_study


def timeless(rows):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def records(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def test_a_study_trains_every_arm_with_every_seed_and_writes_a_row_of_each_as_it_ends(trained):
    folder, rows = trained
    assert sorted(path.name for path in (folder / "runs").iterdir()) == ["N---2-s1", "N---2-s2", "plain-s1", "plain-s2"]
    assert keys(read_csv(folder / "out" / "runs.csv")) == EVERY_RUN
    assert keys(rows) == [("plain", "1"), ("plain", "2"), ("N = 2", "1"), ("N = 2", "2")]  # arms together
    assert [(row["env_steps"], row["updates"]) for row in rows] == [("200", "25")] * 2 + [("200", "50")] * 2
    assert {row["digest"] for row in rows} == {digest(*ARMS["plain"]), digest(*ARMS["N = 2"])}


def test_the_curve_of_a_run_is_its_record_where_episodes_ended(trained):
    folder, _ = trained
    for arm, seed in EVERY_RUN:
        record = records(folder / "runs" / f"{studies.file_name(arm)}-s{seed}")
        updates = itertools.accumulate(row["losses/updates"] for row in record)
        expected = [
            (row["global_step"], sum_of_updates, row["time/seconds"], row["charts/episodic_length"])
            for row, sum_of_updates in zip(record, updates, strict=True)
            if row["charts/episodes"]
        ]
        points = [point for point in read_csv(folder / "out" / "curves.csv") if keys([point]) == [(arm, seed)]]
        got = [tuple(float(point[name]) for name in ("env_steps", "updates", "seconds", "length")) for point in points]
        assert len(got) >= 4
        np.testing.assert_allclose(got, expected, rtol=0, atol=0.005)


def test_a_row_agrees_with_the_summary_and_with_episodes_played_again(trained):
    folder, rows = trained
    row, run_dir = rows[0], folder / "runs" / "plain-s1"
    summary = json.loads((run_dir / "summary.json").read_text())
    assert float(row["seconds"]) == round(summary["seconds"], 3)
    assert float(row["staleness"]) == 0.0 and summary["staleness"] == [25]
    agent, config, _ = load_agent(run_dir, envs.make_vector)
    for greedy, offset, name in ((True, 10_000, "greedy_length"), (False, 20_000, "sampled_length")):
        lengths = evaluate(agent, config, envs.make_vector, 2, greedy, seed=1, offset=offset)
        assert float(row[name]) == lengths.mean()  # CartPole-v1 earns 1 a step


def test_an_arm_is_trained_with_its_own_parts(tmp_path):
    """Values begin near 0: half the mean square of 100 − V is about 5,000. The policy's part of the loss is near 0."""
    systems = {"own": ARMS["plain"], "hundred": ARMS["plain"]._replace(overrides=Overrides(one_hundred))}
    study = tiny_study(tmp_path, systems, seeds=1)
    digests = [row["digest"] for row in study.complete()]
    own, hundred = (run.rows[0]["loss"] for (run,) in curves_of(study).values())
    assert abs(own) < 1 and hundred == pytest.approx(0.5 * 100**2, rel=0.02)
    assert digests == [digest(*arm) for arm in systems.values()]


def test_a_run_of_other_parts_is_not_found_in_the_place_of_an_arm(tmp_path):
    """Its config is the same, and a folder does not tell its parts: without its row it would pass for a new one."""
    for parts, loss in ((NO_OVERRIDES, 0.0), (Overrides(one_hundred), 5_000.0)):
        study = tiny_study(tmp_path, {"arm": ARMS["plain"]._replace(overrides=parts)}, seeds=1)
        study.complete()
        assert curves_of(study)["arm"][0].rows[0]["loss"] == pytest.approx(loss, rel=0.02, abs=1)
        (tmp_path / "out" / "runs.csv").unlink()  # as the refusal of its row advises


def test_the_runs_have_the_seed_the_folder_the_group_and_the_env_steps_of_the_study(tmp_path):
    study = tiny_study(tmp_path, first_seed=7, env_steps=300)
    assert list(study.planned) == [("plain", 7), ("N = 2", 7), ("plain", 8), ("N = 2", 8)]
    config, parts = study.planned["N = 2", 8]
    assert parts == NO_OVERRIDES and config == replace(
        ARMS["N = 2"].config,
        seed=8,
        total_env_steps=300,
        wandb="disabled",
        wandb_group="tiny",
        run_dir=str(tmp_path / "runs" / "N---2-s8"),
    )
    assert tiny_study(tmp_path).planned["plain", 1][0].total_env_steps == 200  # those of the arm
    assert Study("tiny", ARMS, StudyCommand(runs_dir=tmp_path), length_result).out == tmp_path
    assert list(tmp_path.iterdir()) == []  # a plan is not written


def test_a_second_call_trains_nothing_and_changes_no_file(trained, no_training):
    folder, rows = trained
    before = contents(folder)
    assert tiny_study(folder).complete() == rows
    assert contents(folder) == before


def test_rows_and_curves_are_enough_for_the_same_table_and_figure(trained, no_training, monkeypatch, tmp_path):
    """As in a fresh clone, which has the two CSV files and no run folders."""
    folder, rows = trained
    shutil.copytree(folder / "out", tmp_path / "out")
    study = tiny_study(tmp_path)
    assert study.complete() == rows and not (tmp_path / "runs").exists()
    assert curves_of(study) == curves_of(tiny_study(folder))
    monkeypatch.setattr(learning_curves, "CURVE_RESAMPLES", 10)
    drawn = []
    for source in (folder, tmp_path):
        length_figure.length_figure(curves_of(tiny_study(source)), rows, tmp_path / "figure.png", seconds=True)
        drawn.append((tmp_path / "figure.png").read_bytes())
    assert drawn[0] == drawn[1]


def test_only_the_run_whose_row_is_missing_is_trained_and_comes_out_the_same(trained, tmp_path, monkeypatch):
    folder, rows = trained
    shutil.copytree(folder / "out", tmp_path / "out")
    lines = (tmp_path / "out" / "runs.csv").read_text().splitlines(keepends=True)
    (tmp_path / "out" / "runs.csv").write_text("".join(lines[:2] + lines[3:]))  # without N = 2, seed 1
    again = tiny_study(tmp_path).complete()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["N---2-s1"]
    assert timeless(again) == timeless(rows)
    for both in zip(curves_of(tiny_study(tmp_path)).items(), curves_of(tiny_study(folder)).items(), strict=True):
        (arm, runs), (arm_before, runs_before) = both
        without_time = [[[{**row, "time/seconds": 0} for row in run.rows] for run in of] for of in (runs, runs_before)]
        assert arm == arm_before and without_time[0] == without_time[1]


def test_more_seeds_train_only_the_new_ones_and_fewer_arms_leave_the_rows_of_others(asked, tmp_path):
    tiny_study(tmp_path, seeds=1).complete()
    assert asked == ["plain-s1", "N---2-s1"]
    rows = tiny_study(tmp_path, seeds=3).complete()
    assert asked == ["plain-s1", "N---2-s1", "plain-s2", "N---2-s2", "plain-s3", "N---2-s3"]
    before = contents(tmp_path)
    assert keys(tiny_study(tmp_path, arms="N = 2", seeds=1, first_seed=2).complete()) == [("N = 2", "2")]
    assert keys(rows) == list(itertools.product(("plain", "N = 2"), "123"))
    assert contents(tmp_path) == before and len(asked) == 6


def test_rows_and_curves_come_in_the_order_in_which_arms_are_named(asked, tmp_path):
    tiny_study(tmp_path).complete()
    study = tiny_study(tmp_path)
    turned = tiny_study(tmp_path, arms="N = 2, plain")
    assert keys(study.complete()) == [("plain", "1"), ("plain", "2"), ("N = 2", "1"), ("N = 2", "2")]
    assert keys(turned.complete()) == [("N = 2", "1"), ("N = 2", "2"), ("plain", "1"), ("plain", "2")]
    assert list(curves_of(study)) == ["plain", "N = 2"] and list(curves_of(turned)) == ["N = 2", "plain"]


def test_curves_are_runs_of_lengths_over_env_steps_and_seconds(asked, tmp_path):
    study = tiny_study(tmp_path)
    study.complete()
    (first, second), _ = curves_of(study).values()
    assert second.config == {"seed": 2} and first.path == Path("plain-s1")
    assert second.rows[0] == {
        "global_step": 1.0,
        "updates": 1.0,
        "time/seconds": 0.5,
        "charts/episodic_length": 3.0,
        "loss": 2.0,
    }
    assert [row["charts/episodic_length"] for row in first.rows] == [2, 3, 4]


@pytest.mark.parametrize("runs", [1, 4])
def test_files_cut_off_at_any_byte_of_the_last_run_become_those_of_an_uninterrupted_study(asked, runs, tmp_path):
    """Points are written first and their row last: a kill leaves a part of the points, or of the row."""
    study = tiny_study(tmp_path, **({"seeds": 1, "arms": "plain"} if runs == 1 else {}))
    study.complete()
    assert len(asked) == runs
    last = asked[-1]
    whole = contents(tmp_path)
    points, row = whole["curves.csv"], whole["runs.csv"]
    of_others = [0, 0] if runs == 1 else [file.index(b"N = 2,2,") for file in (points, row)]
    states = [(cut, of_others[1]) for cut in range(of_others[0], len(points) + 1)]
    states += [(len(points), cut) for cut in range(of_others[1], len(row))]
    for points_left, row_left in states:
        (tmp_path / "out" / "curves.csv").write_bytes(points[:points_left])
        (tmp_path / "out" / "runs.csv").write_bytes(row[:row_left])
        asked.clear()
        study.complete()
        assert asked == [last]
        assert contents(tmp_path) == whole


@pytest.mark.parametrize("write", range(8))  # two a run: its points, then its row
@pytest.mark.parametrize("before", [True, False])
def test_a_study_that_is_killed_before_or_after_any_write_is_healed_by_the_next_call(
    asked, write, before, monkeypatch, tmp_path
):
    tiny_study(tmp_path / "whole").complete()
    append, writes = studies.append_csv, itertools.count()

    def killed(file, rows):
        if next(writes) != write:
            append(file, rows)
            return
        if not before:
            append(file, rows)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(studies, "append_csv", killed)
        tiny_study(tmp_path).complete()
    tiny_study(tmp_path).complete()
    assert contents(tmp_path) == contents(tmp_path / "whole")


@pytest.mark.parametrize("lines", [0, 1, 3])
def test_a_kill_while_a_file_is_written_anew_leaves_it_as_it_was(trained, tmp_path, monkeypatch, lines):
    """As each call does with the curves, and each finished run with the rows of those before it."""
    folder, _ = trained
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    write = csv.DictWriter.writerows

    def killed(writer, rows):
        write(writer, rows[:lines])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(csv.DictWriter, "writerows", killed)
        tiny_study(tmp_path).complete()
    assert contents(tmp_path) == contents(folder)
    tiny_study(tmp_path).complete()
    assert contents(tmp_path) == contents(folder)


def test_a_run_that_ended_before_its_row_was_written_is_not_trained_again(trained, tmp_path):
    """Its folder is complete: the row and the points are read from it, to the same bytes."""
    folder, _ = trained
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    text = (tmp_path / "out" / "runs.csv").read_text()
    (tmp_path / "out" / "runs.csv").write_text(text[:-9])  # the last row is cut off
    before = (tmp_path / "runs" / "N---2-s2" / "metrics.jsonl").stat().st_mtime_ns
    tiny_study(tmp_path).complete()
    assert contents(tmp_path) == contents(folder)
    assert (tmp_path / "runs" / "N---2-s2" / "metrics.jsonl").stat().st_mtime_ns == before


def test_a_row_of_other_options_is_refused_in_one_line_and_nothing_is_trained(trained, no_training, tmp_path):
    folder, _ = trained
    shutil.copytree(folder / "out", tmp_path / "out")
    other = {**ARMS, "N = 2": Arm(replace(ARMS["N = 2"].config, discount=0.9))}
    with pytest.raises(ValueError) as refused:
        tiny_study(tmp_path, other, seeds=3).complete()
    file = tmp_path / "out" / "runs.csv"
    words = "its row of N = 2, seed 1, is of other options; name another --out, or remove the row"
    assert str(refused.value) == f"{file}: {words}"
    with pytest.raises(ValueError, match=r"its row of plain, seed 1, is of other options"):
        tiny_study(tmp_path, env_steps=400).complete()
    assert contents(tmp_path) == contents(folder)


def test_a_row_of_another_seed_is_of_the_same_options_or_refused(trained, no_training, tmp_path):
    folder, _ = trained
    shutil.copytree(folder / "out", tmp_path / "out")
    with pytest.raises(ValueError, match=r"its row of plain, seed 1, is of other options"):
        tiny_study(tmp_path, first_seed=11, env_steps=400).complete()
    assert contents(tmp_path) == contents(folder)


@pytest.mark.parametrize(
    "text",
    ["a,b\n1,2\n", "arm,seed,digest\nplain,one,abc\n", "arm,seed,digest\nplain\n", "arm,seed,digest\nplain,1,\n"],
)
def test_a_file_of_something_else_is_one_line_and_stays_as_it_was(text, no_training, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "runs.csv").write_text(text)
    with pytest.raises(
        ValueError, match=r"^.*/runs.csv: rows of runs are needed, with arm, seed \(a number\) and digest;"
    ):
        tiny_study(tmp_path).complete()
    assert (tmp_path / "out" / "runs.csv").read_text() == text


def test_the_folder_is_held_until_the_last_row_is_written(tmp_path, monkeypatch):
    held = []

    def meanwhile(configs, processes, overrides, finished, holds):
        with pytest.raises(ValueError, match="another process is writing there"):
            claim(tmp_path / "out")
        held.append(len(configs))

    monkeypatch.setattr(studies, "train_missing", meanwhile)
    with pytest.raises(KeyError):  # of the rows that nobody trained
        tiny_study(tmp_path).complete()
    os.close(claim(tmp_path / "out"))
    assert held == [4]


def test_results_go_beside_the_runs_where_no_other_folder_is_named(tmp_path):
    """It held the folder of its results, and then found itself at work in that of its runs."""
    study = tiny_study(tmp_path, out=None, seeds=1)
    assert [row["seed"] for row in study.complete()] == ["1", "1"]
    assert (tmp_path / "runs" / "runs.csv").exists()


def test_a_study_that_finds_another_at_work_leaves_its_curves_alone(trained, tmp_path):
    """The other may be between writing a curve and its row."""
    folder, _ = trained
    shutil.copytree(folder / "out", tmp_path / "out")
    (tmp_path / "out" / "runs.csv").unlink()
    before = (tmp_path / "out" / "curves.csv").read_bytes()
    descriptor = claim(tmp_path / "out")
    try:
        with pytest.raises(ValueError, match="another process is writing there"):
            tiny_study(tmp_path).complete()
    finally:
        os.close(descriptor)
    assert (tmp_path / "out" / "curves.csv").read_bytes() == before


def test_results_in_a_file_are_one_line(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(ValueError, match=r"--out .*/out: it is a file, a folder is needed$"):
        tiny_study(tmp_path)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"seeds": 0}, "--seeds 0: a whole number of at least 1 is needed"),
        ({"processes": 0}, "--processes 0: a whole number of at least 1 is needed"),
        ({"first_seed": -1}, "--first-seed -1: a whole number of at least 0 is needed"),
        ({"env_steps": -1}, "--env-steps -1: a whole number of at least 0 is needed"),
        ({"env_steps": 199}, "--env-steps 199: at least 200 is needed, five points of a curve"),
        ({"arms": "plain,N = 3"}, "--arms 'N = 3': all, or a list out of plain,N = 2, is needed"),
        ({"arms": ""}, "--arms '': all, or a list out of plain,N = 2, is needed"),
        ({"arms": "plain,plain"}, "--arms 'plain,plain': each value once is needed"),
    ],
)
def test_a_study_that_cannot_be_made_is_one_line(options, line, tmp_path):
    with pytest.raises(ValueError) as refused:
        Study("tiny", ARMS, StudyCommand(runs_dir=tmp_path, **options), length_result)
    assert str(refused.value) == line
