"""Reading runs: whole ones, killed ones, resumed ones, W&B's, and what is no run at all."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from experiments.lab.records import read_record, read_records

CONFIG = {"env": "MaskedVelocityCartPole-v1", "core": "lstm", "seed": 3, "carry_state": True, "segment_length": 32}
ROWS = [
    {"global_step": 1000, "time/seconds": 0.5, "charts/episodic_return": 20.25, "charts/episodes": 4},
    {"global_step": 2000, "time/seconds": 1.0, "charts/episodes": 0},  # no episode ended: no return
    {"global_step": 3000, "time/seconds": 1.5, "charts/episodic_return": 31.5, "charts/episodes": 2},
]
SUMMARY = {
    "env_steps": 3000,
    "solved": False,
    "solved_at_env_steps": None,
    "eval_greedy": 41.0,
    "exit_reason": "budget",
}


@pytest.fixture
def folder(tmp_path):
    """A whole run folder."""
    path = tmp_path / "lstm-s3"
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"config": CONFIG, "reward_threshold": 475.0}))
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (path / "summary.json").write_text(json.dumps(SUMMARY))
    return path


def test_a_run_folder_is_read_as_it_was_written(folder):
    assert read_record(folder) == (folder, CONFIG, ROWS, SUMMARY, 475.0)


def test_the_curve_leaves_out_intervals_in_which_no_episode_ended(folder):
    x, y = read_record(folder).curve("global_step")
    assert x.tolist() == [1000, 3000] and y.tolist() == [20.25, 31.5]


def test_the_curve_leaves_out_what_is_not_a_number(folder):
    (folder / "metrics.jsonl").write_text('{"global_step": 1, "charts/episodic_return": NaN}\n')
    assert [len(axis) for axis in read_record(folder).curve("global_step")] == [0, 0]


def test_a_killed_run_has_no_summary_and_says_so(folder):
    (folder / "summary.json").unlink()
    assert read_record(folder).summary == {"exit_reason": "killed"}
    (folder / "metrics.jsonl").unlink()  # killed before the first interval
    assert read_record(folder).rows == []


@pytest.mark.parametrize("kept", [1, 10, 60])  # bytes of the third line that reached the disk
def test_a_torn_last_line_is_dropped_and_the_rest_kept(folder, kept):
    whole = (folder / "metrics.jsonl").read_text()
    third = whole.rindex('{"global_step": 3000')
    (folder / "metrics.jsonl").write_text(whole[: third + kept])
    assert read_record(folder).rows == ROWS[:2]


def test_a_last_line_that_lacks_only_its_newline_is_kept(folder):
    whole = (folder / "metrics.jsonl").read_text()
    (folder / "metrics.jsonl").write_text(whole.removesuffix("\n"))
    assert read_record(folder).rows == ROWS


def test_a_resumed_run_replaces_what_came_after_its_checkpoint(folder):
    lines = [{"global_step": step, "charts/episodic_return": value} for step, value in [(1, 1), (2, 2), (3, 3), (2, 9)]]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_record(folder).curve("global_step")[1].tolist() == [1, 2, 9]  # at steps 1, 2, 2: 3 is gone


def test_a_folder_named_twice_is_read_once(folder, tmp_path):
    (tmp_path / "latest-run").symlink_to(folder)
    assert len(read_records([folder, tmp_path / "latest-run", str(folder)])) == 1


def test_what_is_no_run_is_named_in_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("hello")
    for path, what in [
        (tmp_path / "missing", "no such folder"),
        (tmp_path / "empty", "empty folder"),
        (tmp_path / "other", "not a run"),
        (tmp_path / "other" / "notes.txt", "not a folder"),
    ]:
        assert _error(path).startswith(f"{path}: {what}; expected a run folder")
    with pytest.raises(ValueError, match="no runs given"):
        read_records([])


def test_a_file_that_is_not_json_is_named_with_its_line(folder):
    metrics = folder / "metrics.jsonl"
    lines = metrics.read_text().splitlines()
    metrics.write_text("\n".join([lines[0], "step 2000: fine", lines[2], ""]))
    assert _error(folder).startswith(f"{metrics}:2: not JSON")
    metrics.write_text("[1, 2]\n")
    assert _error(folder) == f"{metrics}:1: not a JSON object"
    (folder / "config.json").write_text('{\n"config": {\n"env" 1}}')
    assert _error(folder).startswith(f"{folder / 'config.json'}:3: not JSON")


def test_a_config_that_is_not_of_a_run_says_what_is_missing(folder):
    (folder / "config.json").write_text('{"config": {"env": "CartPole-v1"}}')
    assert _error(folder).endswith("not the configuration of a run: it has no core, seed")
    (folder / "config.json").write_text('{"model_type": "bert"}')
    assert _error(folder).endswith("it has no env, core, seed")


LOG_OFFLINE = """
import json, sys, wandb
config, rows, summary = json.loads(sys.argv[1])
settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
run = wandb.init(mode="offline", project="test", name="lstm-s3", config=config, settings=settings)
run.define_metric("global_step")
run.define_metric("*", step_metric="global_step")
for row in rows:
    run.log(row)
run.summary.update(summary)
run.finish()
"""


@pytest.mark.slow
def test_an_offline_wandb_run_equals_what_was_logged(tmp_path):
    rows = [*ROWS, {"global_step": 4000, "losses/value_loss": math.nan, "losses/grad_norm": math.inf}]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    command = [sys.executable, "-c", LOG_OFFLINE, json.dumps([CONFIG, rows, SUMMARY])]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=300)
    path = next((tmp_path / "wandb").glob("offline-run-*"))
    run = read_record(path)
    assert (run.path, run.config, run.summary, run.reward_threshold) == (path, CONFIG, SUMMARY, None)
    assert run.rows[:3] == ROWS
    np.testing.assert_equal(run.rows[3], rows[3])  # nan equals nan here
    whole = next(path.glob("run-*.wandb")).read_bytes()

    next(path.glob("run-*.wandb")).write_bytes(whole[: whole.rindex(b"losses/grad_norm")])  # a torn tail
    assert read_record(path).summary["exit_reason"] == "killed"
    assert read_record(path).rows == ROWS

    next(path.glob("run-*.wandb")).write_bytes(whole[:7])  # killed within the first seconds
    assert "holds no configuration" in _error(path)

    next(path.glob("run-*.wandb")).write_bytes(b"not of W&B at all")
    assert "cannot read it" in _error(path)


def _error(path) -> str:
    with pytest.raises(ValueError) as caught:
        read_record(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)
