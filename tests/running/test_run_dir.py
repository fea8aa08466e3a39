"""The folder of a run: which one it is, and what is said where it cannot be made."""

import os
import re
from pathlib import Path

import pytest

import envs
from experiments.lab.command_line import require_places
from experiments.lab.study import StudyCommand
from rl.record.checkpoint import load_checkpoint
from rl.record.paths import require_makeable
from rl.running.folder import RunFolder, choose_run_dir
from rl.running.run import new_run, resumed_run
from tests.support.configs import cartpole_config
from tests.support.runs import SERIAL


def test_a_run_without_a_name_gets_that_of_its_learner_environment_and_seed_and_a_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = []
    for options in (
        {"algorithm": "ppo"},
        {"algorithm": "ppo"},
        {"algorithm": "q_replay", "env": "module:Env-v0", "seed": 3},
    ):
        names.append(choose_run_dir(cartpole_config(core="gru", **options)))
        names[-1].mkdir(parents=True)
    env = cartpole_config().env
    assert list(map(str, names)) == [f"runs/gru-{env}-s1", f"runs/gru-{env}-s1-2", "runs/q_replay-gru-Env-v0-s3"]


def dangling(path):
    path.symlink_to("/nowhere/at/all")


def circular(path):
    path.symlink_to(path)


def file(path):
    path.write_text("not a folder")


OBSTACLES = {
    "a link to nowhere": (dangling, ""),
    "a link to itself": (circular, ""),
    "a link to nowhere on the way": (dangling, "/below/it"),
    "a file": (file, ""),
    "a file on the way": (file, "/below/it"),
    "a pipe": (os.mkfifo, ""),
    "a name that is too long": (lambda path: None, "x" * 300),
    "a path that is too long": (lambda path: None, "/xxxxxxxxxxxxxxx" * 300),
    "a null byte": (lambda path: None, "a\0b"),
    "a folder of the system": (lambda path: None, "/proc/nobody/here"),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_a_path_that_cannot_be_made_is_one_line_at_once(tmp_path, monkeypatch, name):
    """aik2mlj/polyffusion#5: a loop that tried for ever, deaf to signals. The folder is tried before it is needed, and
    where it is made: something may have come into its way."""
    monkeypatch.chdir(tmp_path)
    make, below = OBSTACLES[name]
    path = Path(below) if below.startswith("/proc") else Path(f"{tmp_path}/runs{below}")
    config = cartpole_config(**SERIAL, run_dir=str(path))
    if not below.startswith("/proc"):
        make(tmp_path / "runs")
        with pytest.raises(ValueError, match=r"^--run-dir .*: a folder that can be written is needed \(.*\)$"):
            choose_run_dir(config)
        with pytest.raises(ValueError, match=r"^--run-dir .*: a folder that can be written is needed \(.*\)$"):
            new_run(config, envs.make_vector)
        with pytest.raises(ValueError, match=r"^--runs-dir .*: a folder that can be written is needed \(.*\)$"):
            require_places(StudyCommand(runs_dir=path))
    with pytest.raises(ValueError, match=r"^--run-dir .*: a folder that can be written is needed \(.*\)$") as refused:
        RunFolder(config, path).make()
    assert len(str(refused.value).splitlines()) == 1 and "\0" not in str(refused.value)


@pytest.mark.parametrize("name", ["a link to nowhere", "a file", "a link to itself"])
def test_so_it_is_with_the_folder_of_runs_without_a_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    OBSTACLES[name][0](tmp_path / "runs")
    with pytest.raises(
        ValueError, match=r"^--run-dir runs/a2c-lstm-.*: a folder that can be written is needed \(.*\)$"
    ):
        choose_run_dir(cartpole_config())
    with pytest.raises(ValueError, match=r"^--run-dir runs/lstm: a folder that can be written is needed \(.*\)$"):
        RunFolder(cartpole_config(), Path("runs/lstm")).make()


def test_a_link_to_nowhere_takes_a_name_and_the_next_run_gets_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    first = choose_run_dir(cartpole_config())
    folder = RunFolder(cartpole_config(), first)
    dangling(first)
    folder.make()
    assert folder.path == choose_run_dir(cartpole_config()).with_name(f"{first.name}-2") and folder.path.is_dir()


def test_a_run_that_is_resumed_from_such_a_path_is_one_line(tmp_path):
    for path in (f"{tmp_path}/a\0b", tmp_path / ("x" * 300), tmp_path / "link", tmp_path / "file" / "below"):
        if path == tmp_path / "link":
            dangling(path)
            file(tmp_path / "file")
        with pytest.raises(ValueError, match=re.escape("--resume ")):
            resumed_run(path, envs.make_vector)
        with pytest.raises(ValueError):
            load_checkpoint(Path(path) / "checkpoint.pt")


def test_a_folder_that_can_be_made_is_no_obstacle_and_nothing_is_made(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    for path in (tmp_path / "there", tmp_path / "link", tmp_path / "link/new", tmp_path / "a/b/c", "", "."):
        require_makeable("--out", path)
    assert sorted(os.listdir(tmp_path)) == ["link", "there"] and not os.listdir(tmp_path / "there")
