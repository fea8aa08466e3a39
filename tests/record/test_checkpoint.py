"""Checkpoints: whole or absent, harmless to open, and enough to go on from."""

import io
import json
import os
import pickle
import re
import shutil
import signal
import sys
import zipfile

import numpy as np
import pytest
import torch

import envs
from experiments.train import main
from rl.record.checkpoint import load_checkpoint, save_checkpoint
from rl.running.run import new_run, resumed_run
from tests.support.configs import cartpole_config
from tests.support.runs import SERIAL, read_rows

SMALL = {**SERIAL, "total_env_steps": 1600, "log_interval": 100}


def silent(_line):
    pass


def train(folder, stop_at=None, run=None, **options):
    """Train a small run; a signal comes when its record reaches `stop_at` env steps."""
    run = run or new_run(cartpole_config(**{**SMALL, "run_dir": str(folder), **options}), envs.make_vector)

    def on_row(row):
        if stop_at and row["global_step"] >= stop_at:
            run.outcome.note_signal(signal.SIGINT)

    return run, run.execute(silent, on_row)


# --- the file


def test_a_crash_while_saving_leaves_the_old_checkpoint_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, cartpole_config(), {"env_steps": 1})
    before = path.read_bytes()

    class Crash(Exception):
        pass

    def half_a_file(_state, file):
        file.write(before[: len(before) // 2])
        raise Crash

    def no_rename(*_paths):
        raise Crash

    for place, crash in (("torch.save", half_a_file), ("os.fsync", no_rename), ("os.replace", no_rename)):
        with monkeypatch.context() as patch, pytest.raises(Crash):
            patch.setattr(place, crash)
            save_checkpoint(path, cartpole_config(), {"env_steps": 2})
        assert path.read_bytes() == before and load_checkpoint(path)[1]["env_steps"] == 1
        assert os.listdir(tmp_path) == ["checkpoint.pt"]
    save_checkpoint(path, cartpole_config(), {"env_steps": 2})
    assert load_checkpoint(path)[1]["env_steps"] == 2
    assert (tmp_path / "checkpoint.previous.pt").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.previous.pt", "checkpoint.pt"]


def test_where_a_file_can_have_one_name_only_the_newest_checkpoint_is_kept(tmp_path, monkeypatch):
    """Some file systems of networks have no links."""
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, cartpole_config(), {"env_steps": 1})

    def refuse(*_paths):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    save_checkpoint(path, cartpole_config(), {"env_steps": 2})
    assert load_checkpoint(path)[1]["env_steps"] == 2 and os.listdir(tmp_path) == ["checkpoint.pt"]


def test_the_config_comes_back_as_it_was(tmp_path):
    config = cartpole_config(env_arg=("delay=8", "cues=3"), learning_rate=1e-4, seed=7)
    save_checkpoint(tmp_path / "checkpoint.pt", config, {})
    assert load_checkpoint(tmp_path / "checkpoint.pt")[0] == config


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_malicious_checkpoint_executes_nothing(tmp_path):
    trap, path = tmp_path / "owned", tmp_path / "checkpoint.pt"
    torch.save({"format": 1, "config": Malicious(str(trap))}, path)
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps({"format": 1, "config": Malicious(str(trap))}, protocol=2))
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        load_checkpoint(path)
    assert not trap.exists()
    torch.load(io.BytesIO(save_bytes(Malicious(str(trap)))), weights_only=False)
    assert trap.exists()  # the trap works


def save_bytes(thing):
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_damaged_checkpoint_is_one_clear_line_whatever_the_damage(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, cartpole_config(), {"env_steps": 1, "learner": {"parameters": torch.arange(100.0)}})
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    damaged = [whole[: len(whole) * k // 20] for k in range(20)]  # cut, to nothing in the first
    damaged += [b"\n", b"hello", b"PK\x03\x04", b"\x80\x02.", random.bytes(1000), save_bytes([1, 2]), save_bytes({})]
    damaged += [save_bytes({"format": 1}), save_bytes({"format": 2, "config": {}})]
    damaged += [save_bytes({"format": 1, "config": {"env_arg": (), "no_such_option": 3}})]
    damaged += [save_bytes({"format": 1, "config": {"env_arg": (), "seed": -3}})]
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        pickled = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        start = whole.index(archive.read(pickled))
    one_line = f"^{re.escape(str(path))}: [^\n]+$"
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=one_line):
            load_checkpoint(path)
    for _ in range(200):  # one wrong byte where the unpickler reads: now and then another value, else an error
        flipped = bytearray(whole)
        flipped[start + random.integers(0, 200)] ^= int(random.integers(1, 256))
        path.write_bytes(flipped)
        try:
            load_checkpoint(path)
        except ValueError as error:
            assert re.match(one_line, str(error))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no checkpoint here; a run writes one at each --checkpoint-interval and at its end"),
        (b"\x80\x02", "not a readable checkpoint (BadZipFile)"),
        (b"", "not a readable checkpoint (BadZipFile)"),
        (save_bytes({"format": 7}), "not a checkpoint of format 1"),
    ],
)
def test_resuming_from_what_is_no_checkpoint_is_one_line_on_the_command_line(
    tmp_path, monkeypatch, capsys, content, words
):
    if content is not None:
        (tmp_path / "checkpoint.pt").write_bytes(content)
    monkeypatch.setattr(sys, "argv", ["train", "--resume", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capsys.readouterr().err == f"error: --resume {tmp_path}: {tmp_path}/checkpoint.pt: {words}\n"


# --- going on


def test_a_stopped_run_goes_on_where_it_stopped(tmp_path):
    """1600 env steps of 32 a push: 50 updates; stopped within the row that ends at 512 or a push later."""
    _, whole_summary = train(tmp_path / "whole")
    _, stopped = train(tmp_path / "stopped", stop_at=500)
    assert stopped["exit_reason"] == "SIGINT" and stopped["exit_code"] == 130
    assert (
        500 < stopped["env_steps"] < 600 and read_rows(tmp_path / "stopped")[-1]["global_step"] == stopped["env_steps"]
    )
    assert stopped["eval_greedy"] is None

    again = resumed_run(tmp_path / "stopped", envs.make_vector)
    assert again.setup.ledger.env_steps == stopped["env_steps"] and again.setup.ledger.updates == stopped["updates"]
    assert again.setup.learner.vectors["step"].item() == stopped["updates"]
    _, ended = train(None, run=again)

    assert ended["exit_code"] == 0 and ended["env_steps"] == 1600 == whole_summary["env_steps"]
    assert ended["updates"] == 50 == again.setup.learner.vectors["step"].item() == whole_summary["updates"]
    assert sum(ended["staleness"]) == 50 and ended["seconds"] > stopped["seconds"]
    for key in ("global_step", "charts/learning_rate", "losses/updates"):  # no row twice, none missing, one schedule
        assert [row[key] for row in read_rows(tmp_path / "stopped")] == [
            row[key] for row in read_rows(tmp_path / "whole")
        ], key


def test_a_resumed_run_starts_from_the_very_parameters_moments_and_counters(tmp_path):
    first, _ = train(tmp_path / "run", stop_at=500)
    again = resumed_run(tmp_path / "run", envs.make_vector)
    for name, vector in first.setup.learner.vectors.items():
        assert torch.equal(vector, again.setup.learner.vectors[name]), name
    state, state_again = first.setup.ledger.state(first.duties.rows.written), again.setup.ledger.state()
    for ledger_state in (state, state_again):  # the last row was closed for the record after the checkpoint
        ledger_state["arrays"].pop("sums"), ledger_state["arrays"].pop("opened"), ledger_state.pop("seconds")
    assert state == state_again


def test_a_resumed_run_draws_random_numbers_that_the_run_has_not_used(tmp_path):
    first, _ = train(tmp_path / "run", stop_at=500)
    again = resumed_run(tmp_path / "run", envs.make_vector)
    assert first.setup.training_key == 0 and again.setup.training_key == first.setup.ledger.env_steps


def test_a_killed_run_goes_on_from_its_last_checkpoint_without_a_repeated_or_missing_row(tmp_path):
    """A checkpoint at 608 env steps; the record had come to 1600 and half a line when the kill came."""
    folder = tmp_path / "run"
    run = new_run(cartpole_config(**{**SMALL, "run_dir": str(folder), "checkpoint_interval": 600}), envs.make_vector)

    def keep_the_first(row):
        if row["global_step"] == 704:
            shutil.copy(folder / "checkpoint.pt", tmp_path / "kept.pt")

    run.execute(silent, keep_the_first)
    expected = [row["global_step"] for row in read_rows(folder)]
    assert expected[-1] == 1600
    shutil.copy(tmp_path / "kept.pt", folder / "checkpoint.pt")
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"global_step": 1700, "charts/')

    again = resumed_run(folder, envs.make_vector)
    assert again.setup.ledger.env_steps == 608
    _, summary = train(None, run=again)
    assert [row["global_step"] for row in read_rows(folder)] == expected and summary["updates"] == 50


def test_a_resumed_run_has_no_summary_until_it_has_ended(tmp_path):
    train(tmp_path / "run", stop_at=500)
    again = resumed_run(tmp_path / "run", envs.make_vector)
    seen = []
    again.execute(silent, lambda _row: seen.append((tmp_path / "run" / "summary.json").exists()))
    assert seen and not any(seen)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["exit_code"] == 0


def test_a_run_interrupted_before_it_began_can_be_resumed_and_keeps_its_seconds(tmp_path):
    _, first = train(tmp_path / "run", stop_at=500)
    again = resumed_run(tmp_path / "run", envs.make_vector)
    again.train = lambda: again.outcome.note_signal(signal.SIGTERM)  # before the first segment
    summary = again.execute(silent)
    assert (summary["exit_code"], summary["exit_reason"]) == (143, "SIGTERM")
    assert summary["seconds"] == pytest.approx(first["seconds"], abs=0.5) and summary["seconds"] > 0
    third = resumed_run(tmp_path / "run", envs.make_vector)
    assert (
        third.setup.ledger.clock.seconds() == summary["seconds"] and third.setup.ledger.env_steps == first["env_steps"]
    )


def test_a_finished_run_cannot_be_resumed(tmp_path):
    train(tmp_path / "run")
    with pytest.raises(ValueError, match=re.escape(f"--resume {tmp_path}/run: the run is complete, at 1600 env steps")):
        resumed_run(tmp_path / "run", envs.make_vector)
