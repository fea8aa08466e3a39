"""W&B itself, talking to a server on loopback: every row arrives once and in order, and a bad server costs nothing."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.programs import soon
from tests.support.runs import ROOT, SHORT, read_rows, untimed, without_times, words
from tests.support.wandb_server import Uploaded, wandb_server

STEPS = list(range(40, 401, 40))  # of the ten rows
NAME = "lstm-MaskedVelocityCartPole-v1"


def program(server, home, *command, **environment):
    """Run a command against a server; what it printed and said."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    own |= {"HOME": str(home), "PYTHONPATH": str(ROOT), **server.variables, **environment}
    ended = subprocess.run([*map(str, command)], env=own, cwd=home, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout, ended.stderr


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A script that has a W&B run of its own, and trains beside it: what it knows, its folder, what the server got."""
    folder = tmp_path_factory.mktemp("script")
    with wandb_server() as server:
        said, _ = program(server, folder, sys.executable, "-m", "tests.support.wandb_runs", folder)
        known = json.loads(said.splitlines()[-1])
        yield known, folder, server


def run_of(server, folder):
    """The W&B run that a run folder remembers."""
    return server.runs[json.loads((folder / "wandb.json").read_text())["id"]]


def test_every_row_arrives_once_and_in_order_with_config_group_name_and_exit_code(told):
    _, folder, server = told
    run, written = run_of(server, folder / "whole"), read_rows(folder / "whole")
    assert run.rows == written and [row["global_step"] for row in run.rows] == STEPS
    assert run.config == json.loads((folder / "whole" / "config.json").read_text())["config"]
    asked = run.asked
    assert (asked["groupName"], asked["displayName"], asked["project"]) == ("of three", f"{NAME}-s1", "carryover")
    assert asked["tags"] == ["lstm", "MaskedVelocityCartPole-v1", "serial"] and asked["jobType"] == "train"
    assert run.exit_code == 0 and run.summary["exit_reason"] == "total_env_steps"
    assert {"config.yaml", "wandb-summary.json"} <= run.files.keys()


def test_a_run_beside_the_callers_own_leaves_that_alone_and_so_does_the_next_one(told):
    """wandb/wandb#5607: a library that logs to W&B ends the caller's run, or logs into it. Settings and variables of
    the caller are what they were before."""
    known, folder, server = told
    assert known["mine"] and known["same"] and not [line for line in known["said"] if "W&B" in line]
    second = run_of(server, folder / "second")
    assert second.rows == read_rows(folder / "second") and second.asked["displayName"] == f"{NAME}-s2"
    assert second is not run_of(server, folder / "whole")
    [mine] = (folder / "wandb").glob("offline-run-*")
    assert b"x" in next(mine.glob("*.wandb")).read_bytes()


def test_a_resumed_run_goes_on_in_its_wandb_run_and_rows_that_come_again_are_not_sent_again(told):
    """ultralytics/yolov5#10380, wandb/wandb#4482: each resumption is another W&B run of the same name, or logs the rows
    behind the checkpoint twice. Here the record had come to 240 env steps, and the checkpoint is of 160."""
    _, folder, server = told
    run = run_of(server, folder / "stopped")
    assert [row["global_step"] for row in run.rows] == STEPS and run.exit_code == 0
    assert without_times(run.rows) == untimed(folder / "stopped") == untimed(folder / "whole")
    assert [row["_step"] for row in run.history] == list(range(10))
    assert run.config["seed"] == 1 and run.config["resumed_at_env_steps"] == 160


@pytest.mark.slow
def test_wandb_sync_of_an_offline_run_that_was_resumed_uploads_one_run_with_every_row_once(told, tmp_path):
    """It has two offline folders of one id. The second one has the rows that the first one lacks."""
    _, whole, server = told
    folder = tmp_path / "offline"
    program(server, tmp_path, sys.executable, "-m", "tests.support.wandb_runs", folder, "offline")
    offline = sorted((folder / "wandb").glob("offline-run-*"))
    assert len(offline) == 2
    program(server, tmp_path, Path(sys.executable).parent / "wandb", "sync", *offline)
    run = run_of(server, folder)
    assert without_times(run.rows) == untimed(folder) == untimed(whole / "whole") and run.exit_code == 0
    assert run.asked["groupName"] == NAME and run.config["seed"] == 1


def test_a_replayed_record_is_another_wandb_run_with_every_row_and_the_run_keeps_its_own(told):
    _, folder, server = told
    [replayed] = [run for run in server.runs.values() if run.asked.get("project") == "replayed"]
    assert replayed.rows == read_rows(folder / "whole") and replayed.exit_code == 0
    assert replayed is not run_of(server, folder / "whole") and replayed.asked["groupName"] == "of three"


# --- bad servers


BAD = {
    "500 from the beginning": ("500", 0),
    "hangs from the beginning": ("hang", 0),
    "500 after three rows": ("500", 3),
    "hangs after three rows": ("hang", 3),
    "is gone after three rows": ("gone", 3),
}
QUICK = """
import sys
from experiments.train import main
from rl.record import wandb_mirror
wandb_mirror.INIT_SECONDS = wandb_mirror.FINISH_SECONDS = 6
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("fault", BAD)
def test_a_bad_server_holds_nothing_up_and_nothing_is_lost(tmp_path, fault):
    """wandb/wandb#7671: training waits for a server that does not answer, or dies of it. Afterwards `wandb sync` brings
    an offline run to a server, and `replay_to_wandb --missing` sends what one lacks that had taken three rows."""
    options = {**SHORT, "total_env_steps": 8000, "log_interval": 800, "wandb": "online", "run_dir": "run"}
    began = time.monotonic()
    with wandb_server(*BAD[fault]) as server:
        often = {"WANDB__FILE_STREAM_TRANSMIT_INTERVAL": "0.1"}  # so that some rows arrive
        _, said = program(server, tmp_path, sys.executable, "-c", QUICK, *words(options), **often)
    assert time.monotonic() - began < soon(25)
    written = read_rows(tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert len(written) == 10 and summary["exit_code"] == 0 and "Traceback" not in said
    [told] = [line for line in said.splitlines() if "W&B" in line]
    if "beginning" in fault:
        assert "W&B cannot go online" in told
    else:
        assert "W&B did not end in time" in told or "W&B stopped" in told
    with wandb_server() as better:
        if "beginning" in fault:
            identity = json.loads((tmp_path / "run" / "wandb.json").read_text())["id"]
            [folder] = (tmp_path / "run" / "wandb").glob(f"offline-run-*-{identity}")
            program(better, tmp_path, Path(sys.executable).parent / "wandb", "sync", folder)
        else:
            assert "`python -m experiments.replay_to_wandb run --missing` sends what W&B lacks" in told
            run = better.runs.setdefault(json.loads((tmp_path / "run" / "wandb.json").read_text())["id"], Uploaded())
            run.history, run.summary = [{**row, "_step": step} for step, row in enumerate(written[:3])], written[2]
            program(better, tmp_path, sys.executable, "-m", "experiments.replay_to_wandb", "run", "--missing")
        run = run_of(better, tmp_path / "run")
        assert run.rows == written and run.exit_code == 0
