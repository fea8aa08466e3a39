"""A W&B run rebuilt from a record has the history, the config and the end of the run, and no row twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import envs
from experiments.lab.records import read_record
from rl.running.run import new_run, resumed_run
from tests.support.configs import cartpole_config
from tests.support.runs import ROOT, SHORT


def program(name, *words, code=0, **environment):
    """Run an experiment without a key; what it printed."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    ended = subprocess.run(
        [sys.executable, "-m", f"experiments.{name}", *map(str, words)],
        env=own | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.returncode == code, ended.stderr
    return ended.stdout if code == 0 else ended.stderr


def mirrored(folder):
    """What W&B was given, as it wrote it down."""
    [found] = (folder / "wandb").glob("offline-run-*")
    return read_record(found)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that W&B saw from its first row, of ten, to its end."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    options = {**SHORT, "wandb": "offline", "wandb_group": "of mine", "run_dir": folder}
    program(
        "train", "--preset=masked-cartpole", *(f"--{key.replace('_', '-')}={value}" for key, value in options.items())
    )
    return folder


@pytest.mark.slow
def test_a_replayed_run_is_what_wandb_was_given_while_it_trained(whole, tmp_path):
    said = program("replay_to_wandb", whole, "--out", tmp_path, "--wandb", "offline")
    assert said == f"10 rows of {whole} are in {tmp_path}/wandb\n"
    first, again = mirrored(whole), mirrored(tmp_path)
    assert again.rows == first.rows == read_record(whole).rows and len(again.rows) == 10
    assert again.config == first.config == read_record(whole).config
    assert again.summary == first.summary
    names = [described(folder) for folder in (whole, tmp_path)]
    assert names[0] == names[1]
    assert names[0]["run_group"] == "of mine" and names[0]["tags"] == ["lstm", "MaskedVelocityCartPole-v1", "serial"]


def described(folder):
    """Names of a W&B run, as it keeps them itself."""
    [found] = (folder / "wandb").glob("offline-run-*")
    ended = subprocess.run(
        [Path(sys.executable).parent / "wandb", "leet", "inspect", "--json", found],
        capture_output=True,
        text=True,
        check=True,
    )
    [run] = [record["run"] for record in map(json.loads, ended.stdout.splitlines()) if record["type"] == "run"]
    return {key: run[key] for key in ("project", "run_group", "display_name", "job_type", "tags")}


@pytest.mark.slow
def test_a_run_that_was_killed_in_the_middle_of_a_row_is_replayed_up_to_it(whole, tmp_path):
    """Nine rows and half of the tenth; W&B gets nine, and that the run did not end well."""
    cut = tmp_path / "cut"
    shutil.copytree(whole, cut, ignore=shutil.ignore_patterns("wandb", "summary.json"))
    text = (cut / "metrics.jsonl").read_text()
    (cut / "metrics.jsonl").write_text(text[: text.rindex('"losses/updates"')])
    said = program("replay_to_wandb", cut, "--wandb", "offline", "--wandb-project", "other")
    assert said == f"9 rows of {cut} are in {cut}/wandb\n"
    again = mirrored(cut)
    assert again.rows == read_record(whole).rows[:9]
    assert (again.summary["exit_reason"], again.summary["exit_code"]) == ("killed", 1)
    assert described(cut)["project"] == "other"


@pytest.mark.slow
def test_a_run_that_was_killed_and_resumed_is_replayed_with_no_row_twice(tmp_path):
    """Rows of 40 steps to 400; killed when its checkpoint was of 160 and its record had come to 240."""
    folder = tmp_path / "run"
    run = new_run(cartpole_config(**SHORT, checkpoint_interval=160, run_dir=str(folder)), envs.make_vector)

    def kill(row):
        if row["global_step"] == 200:
            shutil.copy(folder / "checkpoint.pt", tmp_path / "kept.pt")
        if row["global_step"] == 240:
            run.outcome.note_signal(signal.SIGTERM)

    run.execute(print, kill)
    shutil.copy(tmp_path / "kept.pt", folder / "checkpoint.pt")
    resumed_run(folder, envs.make_vector).execute(print)
    program("replay_to_wandb", folder, "--wandb", "offline")
    rows = mirrored(folder).rows
    assert [row["global_step"] for row in rows] == list(range(40, 401, 40))
    assert rows == read_record(folder).rows and sum(row["losses/updates"] for row in rows) == 50


@pytest.mark.slow
def test_a_row_that_stands_in_a_record_twice_is_sent_once(whole, tmp_path):
    """As in records of before a resumed run cut what it would write again: the later one counts."""
    double = tmp_path / "double"
    shutil.copytree(whole, double, ignore=shutil.ignore_patterns("wandb"))
    lines = (double / "metrics.jsonl").read_text().splitlines(keepends=True)
    later = json.dumps({**json.loads(lines[4]), "charts/SPS": 7.0}) + "\n"
    (double / "metrics.jsonl").write_text("".join([*lines[:5], later, *lines[5:]]))
    program("replay_to_wandb", double, "--wandb", "offline")
    rows = mirrored(double).rows
    assert len(rows) == 10 and rows[4] == json.loads(later)


@pytest.mark.slow
def test_what_cannot_be_replayed_is_one_line(whole, tmp_path):
    (tmp_path / "empty").mkdir()
    [bare] = (whole / "wandb").glob("offline-run-*")
    for folder, environment, words in (
        (tmp_path / "empty", {}, "empty folder"),
        (bare, {}, "it is a W&B run already; a run folder with config.json is needed"),
        (whole, {"WANDB_MODE": "disabled"}, "nothing would be sent, --wandb online or offline is needed"),
    ):
        said = program("replay_to_wandb", folder, "--out", tmp_path / "out", code=2, **environment)
        assert said.startswith("error: ") and words in said and said.count("\n") == 1
    assert not list((tmp_path).glob("out/wandb/*run-*"))


@pytest.mark.slow
def test_a_wandb_that_fails_while_it_is_given_a_record_is_one_line(whole, tmp_path):
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "__init__.py").write_text("raise RuntimeError('broken installation')")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    said = program("replay_to_wandb", whole, "--out", tmp_path / "out", code=2, PYTHONPATH=path)
    assert said.startswith(f"error: {whole}: W&B stopped (RuntimeError: broken installation)")
    assert said.count("\n") == 1


def test_a_run_whose_wandb_run_is_not_known_has_nothing_missing(whole, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("wandb", "wandb.json"))
    said = program("replay_to_wandb", folder, "--missing", code=2)
    assert said == f"error: {folder}: its W&B run is not known, it has no wandb.json; leave --missing out\n"
