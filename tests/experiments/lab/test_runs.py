"""Runs: what is trained, what is found complete, and what a failed run leaves."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch

import envs
from experiments.lab import runs
from rl.loop import NO_OVERRIDES, Overrides
from rl.running.folder import claim
from rl.running.run import new_run
from tests.support.configs import cartpole_config
from tests.support.runs import SHORT, untimed


def tiny_configs(folder, seeds=(1, 2), **options):
    return [cartpole_config(**{**SHORT, **options}, seed=seed, run_dir=str(folder / f"s{seed}")) for seed in seeds]


def test_complete_runs_are_not_trained_again(tmp_path):
    first = runs.train_missing(tiny_configs(tmp_path))
    before = [(folder / "metrics.jsonl").stat().st_mtime_ns for folder in first]
    assert runs.train_missing(tiny_configs(tmp_path)) == first == [tmp_path / "s1", tmp_path / "s2"]
    assert [(folder / "metrics.jsonl").stat().st_mtime_ns for folder in first] == before


def stop_halfway(config, overrides=NO_OVERRIDES):
    """What a signal leaves of a run of 400 env steps."""
    run = new_run(config, envs.make_vector, overrides)

    def signalled(row):
        if row["global_step"] == 200:
            run.outcome.note_signal(signal.SIGTERM)

    assert run.execute(lambda _line: None, signalled)["exit_code"] == 143


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_a_signal_stopped_goes_on_and_comes_out_as_if_it_had_not(processes, tmp_path):
    """An hour of Pong would be lost. Row for row, and no second folder."""
    (whole,) = runs.train_missing(tiny_configs(tmp_path / "whole", seeds=[1]))
    configs = tiny_configs(tmp_path / "stopped", seeds=[1])
    stop_halfway(configs[0])
    (folder,) = runs.train_missing(configs, processes)
    assert [file.name for file in folder.parent.iterdir()] == ["s1"]
    assert untimed(folder) == untimed(whole)


def test_a_stopped_run_with_parts_of_its_own_is_put_aside_and_begins_anew(tmp_path):
    """What the parts have measured is not in the checkpoint."""
    (config,) = tiny_configs(tmp_path, seeds=[1])
    stop_halfway(config, Overrides(zeros))
    (folder,) = runs.train_missing([config], overrides={config.run_dir: Overrides(zeros)})
    assert (tmp_path / "s1.unfinished-1" / "checkpoint.pt").exists()
    assert json.loads((folder / "summary.json").read_text())["exit_code"] == 0


def test_an_unfinished_run_without_a_checkpoint_is_put_aside_and_trained_from_the_start(tmp_path):
    (folder,) = runs.train_missing(tiny_configs(tmp_path, seeds=[1]))
    for file in ("summary.json", "checkpoint.pt"):  # what a kill leaves behind
        (folder / file).unlink()
    runs.train_missing(tiny_configs(tmp_path, seeds=[1]))
    assert (tmp_path / "s1.unfinished-1" / "metrics.jsonl").exists()
    assert json.loads((folder / "summary.json").read_text())["exit_code"] == 0


def test_a_folder_of_a_run_that_was_killed_before_it_wrote_its_config_is_put_aside(tmp_path):
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1" / "config.json.tmp").write_text('{"conf')
    (folder,) = runs.train_missing(tiny_configs(tmp_path, seeds=[1]))
    assert (tmp_path / "s1.unfinished-1" / "config.json.tmp").exists()
    assert json.loads((folder / "summary.json").read_text())["exit_code"] == 0


@pytest.mark.parametrize("content", ['{"conf', "{}", "5", '{"exit_code": 0}'])
def test_a_damaged_config_is_one_line_that_names_it(tmp_path, content):
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1" / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"s1/config.json is damaged: name another --runs-dir, or remove \S+/s1$"):
        runs.train_missing(tiny_configs(tmp_path, seeds=[1]))


def test_a_folder_with_another_run_is_neither_used_nor_overwritten(tmp_path):
    runs.train_missing(tiny_configs(tmp_path, seeds=[1]))
    with pytest.raises(ValueError, match=r"holds a run with learning_rate 0.003, not 0.01: name another --runs-dir"):
        runs.train_missing(tiny_configs(tmp_path, seeds=[1], learning_rate=0.01))


def one_hundred(segment, _values, _config):
    """Targets of 100, whatever was earned."""
    return torch.full_like(segment.rewards, 100.0)


def zeros(segment, _values, _config):
    """Nothing is worth anything."""
    return torch.zeros_like(segment.rewards)


def test_two_runs_at_a_time_are_the_runs_that_one_at_a_time_trains(tmp_path):
    """Each with its own parts: the second run learns that everything is worth 100."""
    folders, told = {}, {}
    for name, processes in (("in-turn", 1), ("at-once", 2)):
        configs, told[name] = tiny_configs(tmp_path / name), []
        overrides = {configs[1].run_dir: Overrides(one_hundred)}
        folders[name] = runs.train_missing(configs, processes, overrides, told[name].append)
        assert sorted(told[name], key=lambda config: config.seed) == configs
    assert [untimed(folder) for folder in folders["at-once"]] == [untimed(folder) for folder in folders["in-turn"]]
    assert len(untimed(folders["in-turn"][0])) == 10  # 400 env steps, a row for every 40
    own, hundred = ([row["losses/value_loss"] for row in untimed(folder)] for folder in folders["in-turn"])
    assert max(own) < 1 and hundred[0] == pytest.approx(100**2, rel=0.02)  # values begin near 0


def test_zeros_for_targets_leave_a_value_loss_of_the_mean_square_of_values(tmp_path):
    """With a learning rate of almost 0 values stay what they were, near 0; returns of up to 4 steps are up to 4."""
    configs = tiny_configs(tmp_path, learning_rate=1e-12, env="CartPole-v1", reward_scale=1.0)
    runs.train_missing(configs, overrides={configs[1].run_dir: Overrides(zeros)})
    own, none = ([row["losses/value_loss"] for row in untimed(tmp_path / name)] for name in ("s1", "s2"))
    assert min(own) > 1 > 0.5 > max(none) > 0


def test_each_complete_run_is_told_once_whether_it_was_found_or_trained(tmp_path):
    (found,) = tiny_configs(tmp_path, seeds=[2])
    runs.train_missing([found])
    told, complete = [], []

    def finished(config):
        told.append(config.seed)
        complete.append(json.loads((Path(config.run_dir) / "summary.json").read_text())["exit_code"] == 0)

    runs.train_missing(tiny_configs(tmp_path, seeds=(1, 2, 3)), finished=finished)
    assert told == [2, 1, 3]  # what was found, then the others as they end
    assert complete == [True] * 3
    runs.train_missing(tiny_configs(tmp_path, seeds=(1, 2, 3)), processes=2, finished=finished)
    assert told[3:] == [1, 2, 3]


def test_a_failed_run_is_not_told_and_those_before_it_are(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.support.faulty_envs.steps_of_this_process", 0, raising=False)
    options = {
        "env": "tests.support.faulty_envs:Faulty-v0",
        "env_arg": ("fault=raises", "process=MainProcess", "at=50", f"folder={tmp_path}"),
    }
    configs, told = [*tiny_configs(tmp_path, [1]), *tiny_configs(tmp_path, [2], **options)], []
    with pytest.raises(runs.RunFailed, match="s2: "):
        runs.train_missing(configs, finished=told.append)
    assert told == configs[:1]


@pytest.mark.parametrize(
    ("processes", "at_once", "in_turn"), [(2, ["s1", "s4"], ["s2", "s3"]), (1, [], ["s1", "s2", "s3", "s4"])]
)
def test_serial_runs_go_at_once_and_runs_with_workers_in_turn(processes, at_once, in_turn, monkeypatch, tmp_path):
    """Each run with workers fills the machine by itself."""
    modes = {1: "serial", 2: "async", 3: "sync", 4: "serial"}
    configs = [config for seed, mode in modes.items() for config in tiny_configs(tmp_path, [seed], mode=mode)]
    trained = {"at once": [], "in turn": []}

    def pool(some, _display, of, parts, finished):
        assert (of, parts, finished) == (processes, {"x": Overrides()}, print)
        trained["at once"] += [Path(config.run_dir).name for config in some]

    def alone(some, _display, parts, finished):
        assert (parts, finished) == ({"x": Overrides()}, print)
        trained["in turn"] += [Path(config.run_dir).name for config in some]

    monkeypatch.setattr(runs, "train_at_once", pool)
    monkeypatch.setattr(runs, "train_in_turn", alone)
    runs.train_missing(configs, processes, {"x": Overrides()}, print)
    assert trained == {"at once": at_once, "in turn": in_turn}


def test_a_run_that_fails_ends_the_study_with_its_exit_code(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.support.faulty_envs.steps_of_this_process", 0, raising=False)
    config = tiny_configs(
        tmp_path,
        seeds=[1],
        env="tests.support.faulty_envs:Faulty-v0",
        env_arg=("fault=raises", "process=MainProcess", "at=50", f"folder={tmp_path}"),
    )[0]
    with pytest.raises(runs.RunFailed, match="s1: ") as failed:
        runs.train_missing([config])
    assert failed.value.exit_code == 1


def test_two_studies_in_one_folder_and_two_runs_in_one_are_refused(tmp_path):
    """They would put each other's runs aside, or write into each other's record."""
    held = claim(tmp_path)
    with pytest.raises(ValueError, match="another process is writing there"):
        runs.train_missing(tiny_configs(tmp_path))
    with pytest.raises(ValueError, match="another process is writing there"):
        new_run(cartpole_config(**SHORT, run_dir=str(tmp_path)), envs.make_vector).execute()
    os.close(held)
    assert len(runs.train_missing(tiny_configs(tmp_path / "study"))) == 2


@pytest.mark.parametrize(("count", "read"), [(1, "mine"), (2, None)])
def test_several_runs_do_not_share_the_id_of_one_wandb_run(monkeypatch, count, read):
    """huggingface/transformers#24847: WANDB_RUN_ID is obeyed, and each run of a study overwrites the one before."""
    monkeypatch.setenv("WANDB_RUN_ID", "mine")
    said = []
    with runs.ids_of_their_own(count, said.append):
        assert os.environ.get("WANDB_RUN_ID") == read
    assert os.environ["WANDB_RUN_ID"] == "mine"
    assert said == ([] if read else ["WANDB_RUN_ID 'mine' is not read: 2 runs are trained, each has an id of its own"])
