"""A sweep tries settings, survives a kill, trains nothing twice, and says what the best one's lead is worth."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import yaml

from experiments import train
from experiments.lab.rows import read_csv
from experiments.sweep.__main__ import Command, run
from experiments.sweep.page import command_of, sentences, table
from experiments.sweep.plan import Plan, Trial
from experiments.sweep.space import range_of, space_of
from experiments.sweep.wandb_file import sweep_file
from tests.support.configs import cartpole_config
from tests.support.runs import ROOT, SHORT, words

CONFIG = cartpole_config(**SHORT)
OPTIONS = ["--algorithm=a2c", *words(SHORT)[1:]]  # without the preset
RANGES = ("learning_rate=log(1e-4,1e-2)", "entropy_coefficient=choice(0,0.01,0.03)")


def optuna():
    return pytest.importorskip("optuna")


# --- what is tried


def test_a_range_is_read_as_its_option_needs_it():
    """Whole numbers for whole numbers, truth values and names for choices; dashes are as on the command line."""
    texts = (
        "hidden-size=log(4,64)",
        "gae_lambda = uniform( 0.5 , 1 )",
        "carry_state=choice(true,false)",
        "core=choice(gru,lstm)",
    )
    ranges = [range_of(text) for text in texts]
    assert [one.values for one in ranges] == [(4, 64), (0.5, 1.0), (True, False), ("gru", "lstm")]
    assert [one.name for one in ranges] == ["hidden_size", "gae_lambda", "carry_state", "core"]
    assert [type(one.values[0]) for one in ranges] == [int, float, bool, str]


@pytest.mark.parametrize(
    ("texts", "part"),
    [
        ((), "nothing to try"),
        (("learning_rate",), "option=log(low,high)"),
        (("learning_rat=log(1e-4,1e-2)",), "no option learning_rat; learning_rate is one"),
        (("seed=choice(1,2)",), "cannot try --seed"),
        (("run_dir=choice(a,b)",), "cannot try --run-dir"),
        (("learning_rate=exp(1,2)",), "exp is unknown"),
        (("learning_rate=log(1e-2,1e-4)",), "the lower one first"),
        (("learning_rate=log(1e-2)",), "two numbers"),
        (("learning_rate=log(0,1)",), "above 0 are needed for log"),
        (("learning_rate=log(-1,1)",), "above 0 are needed for log"),
        (("learning_rate=uniform(nan,1)",), "'nan' is not a number"),
        (("learning_rate=uniform(1,inf)",), "'inf' is not a number"),
        (("learning_rate=log(a,b)",), "'a' is not a number"),
        (("hidden_size=uniform(4.5,8)",), "'4.5' is not a whole number"),
        (("core=log(1,2)",), "core is no number, core=choice(...)"),
        (("core=choice(gru)",), "at least two values"),
        (("core=choice(gru,gru)",), "each once"),
        (("core=choice(gru,transformer)",), "core=choice(gru,transformer): --core 'transformer'"),
        (("mode=choice(sync,never)",), "'never' is none of async, sync, serial"),
        (("carry_state=choice(yes,no)",), "'yes' is neither true nor false"),
        (("discount=uniform(0.9,1.1)",), "--discount 1.1: a number from 0 to 1 is needed"),
        (("learning_rate=log(1e-4,1e-2)", "learning-rate=choice(1,2)"), "given twice"),
        (("returns=choice(gae,n_step)", "bootstrap=choice(true,false)"), "bootstrap=choice(True,False): --returns gae"),
        (("workers=choice(1,2)", "learning_rate=log(1e-4,1e-2)"), "--workers 2: --mode serial"),
        (
            ("segment_length=choice(1,4)", "envs_per_worker=choice(1,4)"),
            "a trial with segment_length 1, envs_per_worker 1: --normalise-advantages",
        ),
    ],
)
def test_a_wrong_range_is_one_line_before_anything_starts(tmp_path, texts, part):
    with pytest.raises(ValueError) as caught:
        run(Command(texts, out=tmp_path / "out", config=CONFIG))
    assert part in str(caught.value) and "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "part"),
    [({"trials": 0}, "--trials 0"), ({"seeds": 0}, "--seeds 0"), ({"fresh_seeds": -2}, "--fresh-seeds -2")],
)
def test_a_wrong_option_is_one_line(tmp_path, options, part):
    with pytest.raises(ValueError, match=part):
        run(Command(RANGES, out=tmp_path / "out", config=CONFIG, **options))


def test_an_environment_that_cannot_be_made_is_one_line_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.sweep.trials.optuna_of", lambda: None)
    with pytest.raises(ValueError, match=r"^--env Nowhere-v0"):
        run(Command(RANGES, out=tmp_path / "out", config=replace(CONFIG, env="Nowhere-v0")))
    assert list(tmp_path.iterdir()) == []


def test_without_optuna_a_sweep_is_one_line_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ValueError, match=r"^a sweep needs Optuna: pip install -e \.\[sweep\]$"):
        run(Command(RANGES, out=tmp_path / "out", config=CONFIG))
    assert list(tmp_path.iterdir()) == []


# --- a sweep


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Ten trials of two seeds, the first of them with the options as given; what was printed, and the command."""
    optuna()
    out = tmp_path_factory.mktemp("sweep") / "out"
    given = ["--trials=10", "--seeds=2", "--fresh-seeds=1", f"--out={out}", *OPTIONS, *RANGES]
    return out, given, sweep(given)


def sweep(given, code=0):
    ended = subprocess.run(
        [sys.executable, "-m", "experiments.sweep", *given], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_a_sweep_leaves_a_run_folder_a_trial_and_seed_a_table_a_figure_and_the_command_of_the_best(swept):
    out, _, said = swept
    rows = read_csv(out / "trials.csv")
    assert [row["trial"] for row in rows] == list(map(str, range(10)))
    assert rows[0]["learning_rate"] == "0.001" and rows[0]["entropy_coefficient"] == "0.03"  # the defaults of a2c
    complete = [row for row in rows if row["state"] == "complete"]
    best = max(complete, key=lambda row: float(row["value"]))
    for row in rows:
        folders = sorted(out.glob(f"trial-{int(row['trial']):03}-s[12]"))
        assert len(folders) == (0 if row["state"] == "repeated" else len(row["scores"].split()))
        for folder in folders:
            config = json.loads((folder / "config.json").read_text())["config"]
            assert str(config["learning_rate"]) == row["learning_rate"] and config["wandb_group"] == "sweep-out"
            assert config["wandb_name"] == folder.name
    assert (out / "sweep.png").stat().st_size > 10_000 and f"number {best['trial']}" in (out / "sweep.md").read_text()
    assert said.splitlines()[-1].startswith("The best: python -m experiments.train ")
    assert f"--learning-rate {best['learning_rate']}" in said or best["trial"] == "0"
    assert best["fresh"] and (out / f"trial-{int(best['trial']):03}-s3" / "summary.json").exists()


@pytest.mark.slow
def test_a_sweep_that_is_complete_trains_nothing_again_and_says_the_same(swept):
    out, given, said = swept
    times = {path: path.stat().st_mtime_ns for path in out.glob("trial-*/summary.json")}
    assert sweep(given) == said
    assert times == {path: path.stat().st_mtime_ns for path in out.glob("trial-*/summary.json")}


@pytest.mark.slow
def test_another_sweep_in_the_same_folder_is_one_line(swept):
    _, given, _ = swept
    sweep([*given[:-1], "entropy_coefficient=choice(0,0.5)"], code=2)
    sweep([*given, "--discount=0.9"], code=2)


@pytest.mark.slow
def test_a_sweep_that_is_killed_goes_on_and_comes_to_the_same_end_with_nothing_trained_twice(swept, tmp_path):
    """optuna/optuna#913, #1532: trials of a killed process stay `running` for ever; #1865: a number of trials is begun
    anew at each start. Killed three times, wherever it stands."""
    out, given, _ = swept
    again = [word.replace(str(out), str(tmp_path / "out")) for word in given]
    for runs in (3, 8, 12):
        process = subprocess.Popen(
            [sys.executable, "-m", "experiments.sweep", *again], cwd=ROOT, start_new_session=True
        )
        while len(list((tmp_path / "out").glob("trial-*/summary.json"))) < runs and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(1)  # its processes end by themselves
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("trial-*/summary.json")}
    sweep(again)
    assert all(path.stat().st_mtime_ns == at for path, at in finished.items())
    first, second = (read_csv(folder / "trials.csv") for folder in (out, tmp_path / "out"))
    assert first == second


@pytest.mark.slow
def test_trials_that_diverge_are_said_and_the_sweep_goes_on(tmp_path):
    """A learning rate of 1e300 makes numbers that are none in the second update."""
    optuna()
    given = ["--trials=3", "--seeds=1", "--fresh-seeds=0", f"--out={tmp_path}/out", *OPTIONS]
    said = sweep([*given, "learning_rate=choice(0.003,1e11)"])
    rows = read_csv(tmp_path / "out" / "trials.csv")
    assert {row["state"] for row in rows} >= {"complete"} and "The best" in said
    assert any(row["state"] in ("failed", "repeated") for row in rows)


# --- what is said of it


def plan_of(tmp_path, ranges=RANGES):
    return Plan(CONFIG, space_of(ranges, CONFIG), range(1, 4), 10, "greedy", True, 2, tmp_path)


def trials_of(*values):
    settings = {"learning_rate": 1e-3, "entropy_coefficient": 0.0}
    return [Trial(number, settings, [value - 1, value, value + 1], "complete") for number, value in enumerate(values)]


@pytest.mark.parametrize(
    ("fresh", "part"),
    [
        ({}, "--fresh-seeds would show"),
        ({1: [16.0, 17.0, 18.0, 19.0], 0: [10.0, 10.0, 11.0, 11.0]}, "was +10.00 in the sweep, and is +7.00 ["),
        ({1: [8.0, 9.0, 9.0, 8.0], 0: [10.0, 10.0, 11.0, 11.0]}, "the lead is gone"),
        ({1: [8.0, 13.0, 9.0, 12.0], 0: [10.0, 10.0, 11.0, 11.0]}, "the lead may be luck"),
    ],
)
def test_the_lead_of_the_best_is_measured_on_seeds_that_did_not_choose_it(tmp_path, fresh, part):
    """It was at 20 in the sweep, and the first trial at 10."""
    trials = trials_of(10.0, 20.0, 15.0)
    said = " ".join(sentences(plan_of(tmp_path), trials, trials[1], fresh))
    assert part in said and "The best of 3 trials is number 1, at 20.00" in said
    if fresh:
        assert f"{20 - sum(fresh[1]) / 4:.2f} less than there" in said


def test_the_table_has_the_best_first_and_what_failed_last(tmp_path):
    trials = trials_of(10.0, 20.0)
    trials += [Trial(2, trials[0].settings, [3.0], "pruned"), Trial(3, trials[0].settings, [], "failed", "diverged")]
    lines = table(plan_of(tmp_path), trials).splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == ["1", "0", "2", "3"]
    assert "failed: diverged" in lines[3] and "pruned" in lines[2]


@pytest.mark.parametrize(
    "options",
    [
        {"env_arg": ("a=1", "b=2")},
        {"algorithm": "a2c", "entropy_coefficient": 0.01, "envs_per_worker": 16},
        {"env": "Pendulum-v1", "entropy_coefficient": 0.01},
    ],
    ids=str,
)
def test_the_command_of_the_best_makes_its_config(monkeypatch, options):
    """With options that a Config has by default, and the algorithm on this environment has not."""
    settings = {"learning_rate": 0.001, "carry_state": False, "core": "gru"}
    config = replace(CONFIG, **options)
    monkeypatch.setattr(sys, "argv", shlex.split(command_of(config, settings))[2:])
    assert train.command().config == replace(config, **settings)


def test_the_file_for_wandb_has_the_ranges_in_its_own_words(tmp_path):
    space = space_of((*RANGES, "hidden_size=uniform(4,8)", "torso_size=log(4,8)"), CONFIG)
    found = yaml.safe_load(sweep_file(space, ["--mode", "serial"], [1, 2, 3], 20))
    parameters = found["parameters"]
    assert parameters["learning_rate"] == {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2}
    assert parameters["entropy_coefficient"] == {"values": [0.0, 0.01, 0.03]}
    assert parameters["hidden_size"] == {"distribution": "int_uniform", "min": 4, "max": 8}
    assert parameters["torso_size"]["distribution"] == "q_log_uniform_values" and parameters["seed"]["values"] == [
        1,
        2,
        3,
    ]
    assert found["metric"] == {"name": "eval_greedy", "goal": "maximize"} and found["run_cap"] == 60
    assert found["command"][-3:] == ["--mode", "serial", "${args}"]
    with pytest.raises(ValueError, match=r"^carry_state=choice\(True,False\): W&B"):
        sweep_file(space_of(("carry_state=choice(true,false)",), CONFIG), [], [1], 1)


def test_the_file_for_wandb_is_written_without_training_and_never_over_another(tmp_path):
    command = Command(RANGES, out=tmp_path / "out", config=CONFIG, wandb_sweep=tmp_path / "wandb_sweep.yaml")
    run(command)
    assert os.listdir(tmp_path) == ["wandb_sweep.yaml"]
    with pytest.raises(ValueError, match="it is there already"):
        run(command)
