"""A core, a torso and an environment of a user's own are found again by the run's folder alone."""

import os
import shutil
import signal
import subprocess
import sys

import gymnasium
import pytest

import envs
from rl.play import Player
from rl.record.saved_agent import load_agent
from rl.running.run import new_run, resumed_run
from tests.support.configs import cartpole_config
from tests.support.programs import soon
from tests.support.readme import Page
from tests.support.runs import ROOT, SERIAL, TINY, words

NAMES = ("blink", "mingru")  # the two modules of the front page
OPTIONS = {"env": "blink:Blink-v0", "core": "mingru:MinGRU", "total_env_steps": 320}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the modules of the front page, a run of which was stopped there, and no way back to it."""
    forget()  # what a test before this one imported in the same process
    folder = tmp_path / "project"
    folder.mkdir()
    for text in Page(ROOT / "README.md").snippets[:2]:
        (folder / f"{text.split()[1].removesuffix(':')}").write_text(text)
    with monkeypatch.context() as there:
        there.syspath_prepend(folder)
        run = new_run(
            cartpole_config(**{**SERIAL, **OPTIONS, "log_interval": 32, "run_dir": str(folder / "run")}),
            envs.make_vector,
        )
        run.execute(lambda _line: None, lambda row: run.outcome.note_signal(signal.SIGTERM))
    forget()
    yield folder
    forget()


def forget():
    """As a new process would: nothing of the project is imported."""
    for name in [name for name in sys.modules if name.startswith(NAMES)]:
        del sys.modules[name]
    gymnasium.registry.pop("Blink-v0", None)


def test_the_modules_are_the_front_pages(project):
    assert sorted(path.name for path in project.glob("*.py")) == ["blink.py", "mingru.py"]
    with pytest.raises(ImportError):
        import mingru  # noqa: F401


def test_agent_and_player_find_them_from_anywhere_and_leave_the_callers_places_as_they_were(project, monkeypatch):
    monkeypatch.chdir("/")
    before = list(sys.path)
    agent, config, _ = load_agent(project / "run", envs.make_vector)
    assert type(agent.core).__name__ == config.core_name == "MinGRU"
    forget()
    player = Player.from_run(project / "run")
    assert type(player.agent.core).__name__ == "MinGRU" and sys.path == before
    assert player.act([1.0], True) in player.action_space


def test_they_are_found_where_the_whole_project_has_moved(project, tmp_path):
    shutil.move(project, tmp_path / "moved")
    assert type(load_agent(tmp_path / "moved" / "run", envs.make_vector)[0].core).__name__ == "MinGRU"


def test_files_that_are_named_by_their_path_are_found_where_the_project_has_moved(project, tmp_path, monkeypatch):
    named = {"env": f"{project}/blink.py:Blink-v0", "core": f"{project}/mingru.py:MinGRU"}
    options = {**SERIAL, **OPTIONS, **named, "log_interval": 32, "run_dir": str(project / "files")}
    run = new_run(cartpole_config(**options), envs.make_vector)
    run.execute(lambda _line: None, lambda row: run.outcome.note_signal(signal.SIGTERM))
    forget()
    shutil.move(project, tmp_path / "moved")
    assert Player.from_run(tmp_path / "moved" / "files").act([1.0], True) in (0, 1)
    agent, config, _ = load_agent(tmp_path / "moved" / "files", envs.make_vector)
    assert type(agent.core).__name__ == "MinGRU" and config.core == f"{tmp_path}/moved/mingru.py:MinGRU"
    forget()
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert resumed_run(tmp_path / "moved" / "files", envs.make_vector).execute(lambda _line: None)["exit_code"] == 0


def test_a_module_that_is_gone_is_one_line(project):
    (project / "mingru.py").unlink()
    for load in (Player.from_run, lambda folder: load_agent(folder, envs.make_vector)):
        with pytest.raises(
            ValueError, match=r"^--core mingru:MinGRU: it cannot be imported \(ModuleNotFoundError: No mod"
        ):
            load(project / "run")


def test_a_resumed_run_finds_them(project, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir("/")
    summary = resumed_run(project / "run", envs.make_vector).execute(lambda _line: None)
    assert (summary["exit_code"], summary["env_steps"]) == (0, 320)


@pytest.mark.slow
def test_so_do_the_workers_of_a_run_that_is_resumed_from_another_folder_and_evaluate_and_export(project, tmp_path):
    def program(module, *arguments, cwd="/"):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "WANDB_MODE": "disabled"}
        command = [sys.executable, "-m", f"experiments.{module}", *map(str, arguments)]
        return subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    options = {**TINY, **OPTIONS, "mode": "sync", "workers": 2, "total_env_steps": 10**6, "checkpoint_interval": 64}
    run_dir = project / "two"
    training = program("train", *words({**options, "run_dir": run_dir}), cwd=project)
    while not (run_dir / "checkpoint.pt").exists():
        assert training.poll() is None, training.stderr.read()
    training.send_signal(signal.SIGTERM)
    assert training.wait(soon(60)) == 143
    saved_at = (run_dir / "checkpoint.pt").stat().st_mtime_ns
    resumed = program("train", "--resume", run_dir)
    while (run_dir / "checkpoint.pt").stat().st_mtime_ns == saved_at:
        assert resumed.poll() is None, resumed.stderr.read()
    resumed.send_signal(signal.SIGTERM)
    assert resumed.wait(soon(60)) == 143
    for module, arguments in (
        ("evaluate", ["--json", "-", "--episodes", 4]),
        ("export", ["--out", tmp_path / "p.onnx"]),
    ):
        done = program(module, run_dir, *arguments)
        _, err = done.communicate(timeout=soon(120))
        assert done.returncode == 0, err
    assert (tmp_path / "p.onnx").exists()
