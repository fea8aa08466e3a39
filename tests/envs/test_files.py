"""An environment is named by a module, or by the file that registers it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import envs
from rl.names import load
from rl.running.run import new_run
from tests.support.configs import cartpole_config
from tests.support.runs import ROOT, SERIAL

BLINK = """
import gymnasium, numpy as np
from gymnasium.spaces import Box, Discrete
import beside_{name}

class Blink(gymnasium.Env):
    observation_space, action_space = Box(-1, 1, (1,)), Discrete(2)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.array([beside_{name}.FIRST], np.float32), {{}}
    def step(self, action):
        self.steps += 1
        return np.zeros(1, np.float32), 1.0, self.steps == 4, False, {{}}

gymnasium.register("{id}", Blink, reward_threshold=0.5)
"""


def write(folder: Path, name: str, env_id: str, first: float = 1.0) -> Path:
    """Write a file that registers an environment, with a module beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(BLINK.format(name=name, id=env_id))
    (folder / f"beside_{name}.py").write_text(f"FIRST = {first}")
    return folder / f"{name}.py"


def test_a_file_registers_its_environment_and_finds_the_module_beside_it(tmp_path, monkeypatch):
    file = write(tmp_path / "mine", "blink_one", "BlinkOne-v0", 0.25)
    monkeypatch.chdir(tmp_path)
    for name in (f"{file}:BlinkOne-v0", "mine/blink_one.py:BlinkOne-v0", "mine/../mine/blink_one.py:BlinkOne-v0"):
        assert envs.make_vector(name, 2).reset(seed=0)[0].tolist() == [[0.25], [0.25]]
    assert sys.modules["blink_one"].__file__ == str(file)


def test_two_files_of_one_name_are_two_modules_and_an_installed_module_stays_what_it_is(tmp_path):
    write(tmp_path / "a", "twins", "TwinA-v0")
    write(tmp_path / "b", "twins", "TwinB-v0")
    (tmp_path / "a" / "beside_twins.py").write_text("FIRST = 0.5")
    for folder, env_id in (("a", "TwinA-v0"), ("b", "TwinB-v0")):
        envs.make_vector(f"{tmp_path}/{folder}/twins.py:{env_id}", 1)
    json = tmp_path / "json.py"
    json.write_text(
        "import gymnasium\nfrom gymnasium.envs.classic_control import CartPoleEnv\n"
        "gymnasium.register('Json-v0', CartPoleEnv)"
    )
    envs.make_vector(f"{json}:Json-v0", 1)
    import json as installed

    assert installed.loads("1") == 1


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("nowhere/x.py:Id-v0", "there is no file "),
        (f"{ROOT}/tests/support/counting.py:Id-v0", "the file registers no 'Id-v0', but nothing"),
        (f"{ROOT}/tests/support/faulty_envs.py:Id-v0", "the file registers no 'Id-v0', but Faulty-v0, Easy-v0"),
        ("x.py", "an id is needed behind the file, as in x.py:Id-v0"),
        (
            "no_such_module:Id-v0",
            "No module named 'no_such_module'; run the command in the folder that has no_such_module.py, or name the "
            "file by its path, as in path/no_such_module.py:Id-v0",
        ),
        ("no_such.sub:Id-v0", "run the command in the folder that has no_such/sub.py"),
    ],
)
def test_what_cannot_be_imported_is_refused_in_one_line_that_says_how_it_could_be(name, line):
    with pytest.raises(ValueError) as error:
        envs.make_vector(name, 1)
    assert line in str(error.value) and "\n" not in str(error.value)


def test_a_module_that_lacks_another_one_is_not_told_to_be_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "lacking.py").write_text("import no_such_thing")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=r"No module named 'no_such_thing'$"):
        envs.make_vector("lacking:Id-v0", 1)


def test_a_config_names_files_from_the_root_so_that_a_run_finds_them_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = cartpole_config(env="a/t.py:T-v0", core="c.py:MyCore", torso="~/t.py:MyTorso")
    assert config.env == f"{tmp_path}/a/t.py:T-v0" and config.core == f"{tmp_path}/c.py:MyCore"
    assert config.torso == f"{Path.home()}/t.py:MyTorso" and config.core_name == "MyCore"
    assert cartpole_config(env="module:T-v0", core="module:C").env == "module:T-v0"
    assert cartpole_config(core=config.core) == cartpole_config(core=config.core)


def test_a_core_and_an_environment_in_one_file_are_of_one_module(tmp_path):
    file = write(tmp_path, "together", "Together-v0")
    file.write_text(file.read_text() + "\nclass MyCore:\n    pass\n")
    env = envs.make_vector(f"{file}:Together-v0", 1)
    assert load(f"{file}:MyCore") is sys.modules[type(env.unwrapped.envs[0].unwrapped).__module__].MyCore


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["serial", "sync"])
def test_a_stopped_run_is_resumed_from_another_folder(tmp_path, monkeypatch, mode):
    """Its environment is named by its file, its core by its module: the run folder alone says where both are."""
    write(tmp_path / "mine", "blink_run", "BlinkRun-v0")
    (tmp_path / "mine" / "my_core.py").write_text(
        "from rl.agent.cores import GRUCore\nclass MyCore(GRUCore):\n    pass\n"
    )
    monkeypatch.chdir(tmp_path / "mine")
    monkeypatch.syspath_prepend(str(tmp_path / "mine"))  # as `python -m` does
    options = {**SERIAL, "mode": mode, "total_env_steps": 640, "log_interval": 32, "run_dir": str(tmp_path / "run")}
    run = new_run(cartpole_config(**options, env="blink_run.py:BlinkRun-v0", core="my_core:MyCore"), envs.make_vector)
    assert run.execute(lambda _: None, lambda _: run.outcome.note_signal(signal.SIGTERM))["exit_reason"] == "SIGTERM"

    def command(words):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-m", *words.split()],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = command(f"experiments.train --resume {tmp_path}/run")  # its evaluations are played there too
    assert "total_env_steps" in said and said.count("4.00") == 2
