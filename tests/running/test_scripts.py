"""Runs that a script of one's own starts."""

import os
import subprocess
import sys
from multiprocessing import current_process

import pytest

import envs
from rl.running.run import new_run
from tests.support.configs import cartpole_config
from tests.support.programs import soon
from tests.support.runs import ROOT, TINY

SCRIPT = """
import envs
from rl.config import Config
from rl.presets import MASKED_CARTPOLE
from rl.running.run import new_run
options = {options!r}
new_run(Config(**MASKED_CARTPOLE | options), envs.make_vector).execute()
"""


@pytest.mark.parametrize("named", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["run_dir", "no run_dir"])
def test_a_script_without_a_main_guard_is_one_line_that_names_the_cause_and_no_folder(tmp_path, named):
    """pytorch/rl#1805: each worker imports the script, which starts the run again."""
    options = {**TINY, "workers": 2, "total_env_steps": 640, **({"run_dir": "here"} if named else {})}
    (tmp_path / "script.py").write_text(SCRIPT.format(options=options))
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=soon(60),
    )
    [line] = done.stderr.splitlines()
    assert "script.py starts the run again when a worker imports it" in line and "__main__" in line
    assert done.stdout == ""
    assert [path for path in tmp_path.rglob("*") if path.name not in ("script.py", "runs")] == []


def test_a_process_that_may_not_start_others_is_one_line(monkeypatch):
    monkeypatch.setitem(current_process()._config, "daemon", True)
    with pytest.raises(
        ValueError, match=r"^--mode async: multiprocessing lets this process, a daemon, start no workers"
    ):
        new_run(cartpole_config(**TINY), envs.make_vector)
