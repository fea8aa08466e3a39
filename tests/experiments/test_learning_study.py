"""Learning studies: a row is what 'done' means, a kill at any byte is healed, and each number of a row by hand."""

import csv
import itertools
import json
import os
import shutil
import sys
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import envs
import rl.acting.evaluate
import rl.record.saved_agent
from experiments.chapter5 import (
    first_45_seconds,
    length_figure,
    length_results,
    length_study,
    n_steps,
    policy_gradients,
    repairs,
)
from experiments.chapter5.length_results import curves_of, length_result, loss_of
from experiments.chapter5.length_study import COLUMNS
from experiments.chapter5.printed import AS_PRINTED, MONTE_CARLO_AS_PRINTED, OwnAdamLearner, listed, listed_returns
from experiments.lab import digest as digests
from experiments.lab import learning_curves
from experiments.lab import study as studies
from experiments.lab.digest import digest
from experiments.lab.records import Record, mean_staleness
from experiments.lab.rows import read_csv
from experiments.lab.study import Arm, Study, StudyCommand
from experiments.lab.tables import Column, publish, study_table
from rl.acting.evaluate import evaluate
from rl.config import Config
from rl.config_rules import option
from rl.loop import NO_OVERRIDES, Overrides
from rl.record.saved_agent import load_agent
from rl.running.folder import claim

TINY = {
    "env": "CartPole-v1",
    "core": "mlp",
    "hidden_size": 4,
    "torso_size": 4,
    "mode": "serial",
    "workers": 1,
    "envs_per_worker": 2,
    "segment_length": 4,
    "total_env_steps": 200,
    "log_interval": 40,
    "eval_episodes": 1,
}
ARMS = {"plain": Arm(Config(**TINY)), "N = 2": Arm(Config(**{**TINY, "segment_length": 2}))}
EVERY_RUN = [("plain", "1"), ("N = 2", "1"), ("plain", "2"), ("N = 2", "2")]  # in the order of training
FILES = ("runs.csv", "curves.csv")


@pytest.fixture(scope="module", autouse=True)
def short_evaluations():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(length_results, "EVALUATION_EPISODES", 2)
        yield


def tiny_study(folder, systems=ARMS, **options):
    own = {"seeds": 2, "processes": 1, "runs_dir": folder / "runs", "out": folder / "out", "wandb": "disabled"}
    return Study("tiny", systems, StudyCommand(**{**own, **options}), length_result)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder and rows of a study of 2 arms and 2 seeds, 200 env steps each; nobody writes to it."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, tiny_study(folder).complete()


@pytest.fixture
def no_training(monkeypatch):
    monkeypatch.setattr(studies, "train_missing", lambda *_, **__: pytest.fail("it trained"))


@pytest.fixture
def asked(monkeypatch):
    """Instead of training: the names of the runs that were asked for; each has 2 points and a row of its digest."""
    names = []

    def train_missing(configs, processes, overrides, finished, holds):
        for config in configs:
            names.append(Path(config.run_dir).name)
            finished(config)

    def hand_made(config, overrides):
        points = [
            {"env_steps": at, "updates": at, "seconds": 0.5, "length": config.seed + at, "loss": 2.0}
            for at in (1, 2, 3)
        ]
        row = {"digest": digest(config, overrides), **dict.fromkeys((column.key for column in COLUMNS), config.seed)}
        return row, {"curves": points}

    monkeypatch.setattr(studies, "train_missing", train_missing)
    for module in (length_study, first_45_seconds, sys.modules[__name__]):
        monkeypatch.setattr(module, "length_result", hand_made)
    return names


def contents(folder):
    return {name: (folder / "out" / name).read_bytes() for name in FILES}


def keys(rows):
    return [(row["arm"], row["seed"]) for row in rows]


def timeless(rows):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def records(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


# --- what is trained, and what is written of it


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


def one_hundred(segment, _values, _config):
    """Targets of 100, whatever was earned."""
    return torch.full_like(segment.rewards, 100.0)


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


# --- a row is what 'done' means


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


# --- interrupted writes


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


# --- what a row is of


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


NOT_OF_LEARNING = {
    "seed": 2,
    "run_dir": "elsewhere",
    "wandb": "offline",
    "wandb_project": "x",
    "wandb_group": "x",
    "checkpoint_interval": 1,
}
BASE = Config(mode="serial", workers=1, envs_per_worker=1, returns="n_step", core="mlp")
OTHER = {
    "env": "CartPole-v1",
    "env_arg": ("a=1",),
    "observation_scale": "l2",
    "core": "gru",
    "torso": "a_module:ATorso",
    "activation": "relu",
    "initialisation": "torch",
    "unroll": "again",
    "mode": "sync",
    "workers": 3,
    "returns": "gae",
    "baseline": "none",
    "loss_reduction": "sum",
    "dtype": "float64",
    "discount": 0.5,
    "gae_lambda": 0.5,
    "adam_beta1": 0.5,
    "adam_beta2": 0.5,
    "algorithm": "q_online",
    "epsilon_first": 0.5,
    "epsilon_last": 0.5,
    "replay_way": "zero",
    "eval_interval": 10_000,
    "reduce": "all_reduce",
}


def changed(name):
    """BASE, and the same with another value of one option; more workers, or others, only where the mode has any."""
    of_async = name in ("workers", "restart_workers")
    base, value = replace(BASE, mode="async") if of_async else BASE, getattr(BASE, name)
    if name not in OTHER:
        value = not value if isinstance(value, bool) else value + 1
    return base, replace(base, **{name: OTHER.get(name, value)})


@pytest.mark.parametrize("name", [field.name for field in fields(Config) if field.name not in NOT_OF_LEARNING])
def test_a_digest_changes_with_every_option_that_a_run_learns_by(name):
    base, other = changed(name)
    assert other != base and digest(other, NO_OVERRIDES) != digest(base, NO_OVERRIDES), option(name)


@pytest.mark.parametrize("name", NOT_OF_LEARNING)
def test_a_digest_does_not_change_with_the_seed_or_where_the_record_goes(name):
    assert digest(replace(BASE, **{name: NOT_OF_LEARNING[name]}), NO_OVERRIDES) == digest(BASE, NO_OVERRIDES)


def test_a_digest_is_eight_letters_of_the_options_that_are_not_at_their_default(monkeypatch):
    """So a row stays valid when Config gets an option later: here one that is always at its default."""
    before = digest(BASE, NO_OVERRIDES)
    assert before == "23502995", "rows that were written before would no longer be found"
    assert digest(BASE, AS_PRINTED) == "a8cd987c"  # in any process: not of addresses
    assert digest(replace(BASE, discount=Config().discount), NO_OVERRIDES) == before
    everything = digests.asdict
    monkeypatch.setattr(digests, "asdict", lambda config: {**everything(config), "later": 0})
    assert digest(BASE, NO_OVERRIDES) == before


def test_a_digest_changes_with_the_parts_and_with_their_arguments():
    faults = [
        NO_OVERRIDES,
        *(listed(*flags) for flags in itertools.product((False, True), repeat=4) if any(flags)),
        Overrides(partial(listed_returns, off_by_one=True)),
        Overrides(partial(listed_returns, 1)),
        Overrides(partial(listed_returns, 2)),
        Overrides(listed_returns),
        Overrides(None, Config),
    ]
    assert len({digest(BASE, parts) for parts in faults}) == len(faults) == 21
    assert digest(BASE, listed(True, True, True, True)) == digest(BASE, AS_PRINTED)
    assert digest(BASE, Overrides(None, OwnAdamLearner)) == digest(BASE, listed(False, False, False, True))
    assert digest(BASE, MONTE_CARLO_AS_PRINTED) != digest(BASE, AS_PRINTED)
    assert digest(BASE, Overrides(watch=print)) == digest(BASE, NO_OVERRIDES)  # nothing is learnt by what only watches


# --- each number of a row by hand

CONFIG = Config(
    env="FallPenaltyCartPole-v1",
    env_arg=("penalty=5",),
    value_coefficient=0.1,
    entropy_coefficient=0.01,
    log_interval=100,
    total_env_steps=1000,
    seed=3,
)


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
    config = Config(value_coefficient=0.25, entropy_coefficient=0.5)
    assert loss_of(row, config) == 1.0 + 0.25 * 4.0 - 0.5 * 0.5 == 1.75


@pytest.mark.parametrize(
    ("histogram", "mean"),
    [([2, 0, 2], 1.0), ([7], 0.0), ([0, 3], 1.0), ([1, 2, 1], 1.0), ([3, 0, 0, 1], 0.75), ([], 0.0)],
)
def test_the_mean_staleness_of_2_gradients_of_age_0_and_2_of_age_2_is_1(histogram, mean):
    assert mean_staleness(histogram) == mean


# --- tables and figures


def row_of(arm, seed, final, **options):
    row = {"arm": arm, "seed": str(seed), "env_steps": "70000", "updates": "7001", "seconds": "1.25"}
    return {**row, "final_length": str(final), "greedy_length": "500.0", "sampled_length": "12.34", **options}


def test_a_table_of_one_seed_has_no_intervals():
    assert study_table([row_of("N = 10", 1, 99.96)], COLUMNS).splitlines() == [
        "| | seeds | env steps | updates | seconds | episode length at the end | greedy | sampled |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        "| N = 10 | 1 | 70,000 | 7,001 | 1.2 | 100.0 | 500.0 | 12.3 |",
    ]


def test_a_table_of_several_seeds_has_a_row_an_arm_medians_and_interquartile_means_with_intervals():
    """Of 0, 1, 2 and 100 the middle two: 1.5. Two runs of 0 and 100: every mean from 0 to 100 is in the interval."""
    rows = [row_of("b", seed, 100 * seed, updates=10**seed) for seed in (0, 1)]
    rows += [row_of("a", seed, final, updates=final) for seed, final in enumerate((0, 1, 2, 100))]
    table = study_table(
        rows, (Column("updates", "median", 1, True), Column("final_length", "mean", 0, False))
    ).splitlines()
    assert table[0] == "| | seeds | median | mean |"
    assert table[2] == "| b | 2 | 5.5 | 50 [0, 100] |"
    assert table[3].startswith("| a | 4 | 1.5 | 2 [") and len(table) == 4
    assert study_table(rows[:1] * 3, COLUMNS).splitlines()[2].endswith("| 500.0 [500.0, 500.0] | 12.3 [12.3, 12.3] |")


def test_a_page_is_written_and_printed_with_the_files_beside_it(tmp_path, capsys):
    (tmp_path / "runs.csv").touch()
    (tmp_path / "plain-s1").mkdir()
    publish(tmp_path, "page", "| table |\n\n")
    assert (tmp_path / "page.md").read_text() == "| table |\n"
    assert capsys.readouterr().out.endswith(f"Written to {tmp_path}: page.md, runs.csv\n")


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


def test_what_a_repair_buys_is_the_change_against_the_arm_before_it_and_how_likely_it_is_one():
    """All of 20 to 24 are above all of 10 to 14; their middles are 12 and 22."""
    ends = {"as printed": (10, 11, 12, 13, 14), "bootstrap": (20, 21, 22, 23, 24), "time limit": (20, 21, 22, 23, 24)}
    rows = [row_of(arm, seed, end) for arm, seeds in ends.items() for seed, end in enumerate(seeds)]
    lines = repairs.gains(rows).splitlines()
    assert lines[4] == "| bootstrap | +10.0 | 1.00 [1.00, 1.00] |"
    assert lines[5].startswith("| time limit | +0.0 | 0.50 [0.") and len([x for x in lines if x.startswith("| ")]) == 3


def test_all_repairs_together_are_held_against_the_listing():
    rows = [
        row_of(arm, seed, end + seed)
        for seed in range(4)
        for arm, end in (("as printed", 10), ("nothing after end", 30))
    ]
    assert "| these but the last, against as printed | +20.0 | 1.00 [1.00, 1.00] |" in repairs.gains(rows)


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


# --- the command line


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


STUDIES = {policy_gradients: 5, n_steps: 7, repairs: 7, first_45_seconds: 4}  # and how many arms


def arms_of(module):
    named = module.arms if hasattr(module, "arms") else module.ARMS
    return named(45.0) if module is first_45_seconds else named() if callable(named) else named


@pytest.mark.parametrize("module", STUDIES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_wrong_option_ends_each_study_with_one_line_before_anything_is_trained(
    module, no_training, monkeypatch, capsys, tmp_path
):
    for words, line in (
        (["--seeds", "0"], "--seeds 0: a whole number of at least 1 is needed"),
        (["--seeds", "many"], "--seeds 'many': a whole number is needed"),
        (["--arms", "dqn"], f"--arms 'dqn': all, or a list out of {','.join(arms_of(module))}, is needed"),
        (["--env-steps", "100"], "--env-steps 100: at least"),
    ):
        monkeypatch.setattr(sys, "argv", ["study", "--runs-dir", str(tmp_path / "runs"), *words])
        with pytest.raises(SystemExit) as end:
            module.main()
        said = capsys.readouterr().err
        assert end.value.code == 2 and said.startswith(f"error: {line}") and said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("module", STUDIES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_each_study_leaves_rows_curves_a_table_and_a_figure_of_every_arm(module, asked, monkeypatch, tmp_path, capsys):
    name = module.__name__.rpartition(".")[2]
    monkeypatch.setattr(sys, "argv", ["study", "--seeds", "1", "--out", str(tmp_path), "--wandb", "disabled"])
    monkeypatch.setattr(learning_curves, "CURVE_RESAMPLES", 10)
    with pytest.raises(SystemExit) as end:
        module.main()
    assert end.value.code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"runs.csv", "curves.csv", f"{name}.md", f"{name}.png"}
    arms = list(arms_of(module))
    assert len(arms) == len(set(asked)) == STUDIES[module]  # folders of their own
    assert [row["arm"] for row in csv.DictReader((tmp_path / "runs.csv").open())] == arms
    table = [line for line in (tmp_path / f"{name}.md").read_text().splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in table[1 : len(arms) + 1]] == [f"| {arm}" for arm in arms]
    assert str(tmp_path) in capsys.readouterr().out


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_no_seconds_are_one_line_and_not_a_run_without_a_limit(seconds, no_training, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["study", "--runs-dir", str(tmp_path / "runs"), "--seconds", seconds])
    with pytest.raises(SystemExit) as end:
        first_45_seconds.main()
    assert end.value.code == 2
    assert capsys.readouterr().err == f"error: --seconds {float(seconds)}: a number above 0 is needed\n"


def test_a_run_is_held_against_the_book_by_when_it_got_there_and_how_much_it_jumps():
    """Means of up to five lengths are 10, 15, 10, 80, 70, 142, …: 140 is reached at the sixth point. Over the second
    half lengths jump by 340, 270 and 70, at a mean of 167.5; what is before does not count."""
    lengths = [10.0, 20.0, 0.0, 290.0, 30.0, 370.0, 100.0, 170.0]
    rows = [
        {"charts/episodic_length": length, "time/seconds": k, "global_step": 1000 * k}
        for k, length in enumerate(lengths, start=1)
    ]
    short = Record(Path("x"), {"seed": 2}, rows[:2], {}, None)
    curves = {"Monte Carlo as printed": [short, Record(Path("x"), {"seed": 1}, rows, {}, None)]}
    got = first_45_seconds.beside_the_book({"arm": "Monte Carlo as printed", "seed": "1"}, curves)
    jumps = (340 + 270 + 70) / 3 / ((30 + 370 + 100 + 170) / 4)
    assert got == {
        "book": 140.0,
        "seconds_to_book": 6.0,
        "env_steps_to_book": 6000.0,
        "jaggedness": pytest.approx(jumps),
    }
    never = first_45_seconds.beside_the_book({"arm": "Monte Carlo as printed", "seed": "2"}, curves)
    assert never["seconds_to_book"] == never["env_steps_to_book"] == float("inf")
    assert study_table([row_of("a", 1, 1.0) | never], first_45_seconds.EXTRA[1:2]).endswith("| not reached |")
