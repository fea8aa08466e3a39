"""Environments that start processes: they train, and what they have started ends with whoever made them."""

import multiprocessing
import os
import signal
import time

import pytest

import envs
from rl.acting.evaluate import evaluate
from rl.running.run import new_run
from tests.support.configs import cartpole_config
from tests.support.parent_envs import alive, end_all
from tests.support.programs import assert_ended_by, soon, train_program
from tests.support.runs import SERIAL

PARENT = {"env": "tests.support.parent_envs:Parent-v0", "envs_per_worker": 1, "total_env_steps": 10_000_000}


@pytest.fixture
def started(tmp_path):
    """A folder in which environments leave the numbers of what they start."""
    folder = tmp_path / "started"
    folder.mkdir()
    yield folder
    end_all(folder)


def program_of(tmp_path, started, *words, **options):
    program = train_program(tmp_path / "run", f"--env-arg=folder={started}", *words, **{**PARENT, **options})
    program.wait_until(lambda: program.has_rows() or (tmp_path / "run" / "summary.json").exists())
    return program


def wait_until_gone(folder, seconds):
    deadline = time.monotonic() + soon(seconds)
    while alive(folder):
        assert time.monotonic() < deadline, "processes left"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("end", "mode"),
    [
        ("the parent is killed", "async"),
        pytest.param("a worker is killed", "sync", marks=pytest.mark.slow),
        pytest.param("SIGTERM", "sync", marks=pytest.mark.slow),
        pytest.param("Ctrl-Z, then the parent is killed", "async", marks=pytest.mark.slow),
        pytest.param("its end", "async", marks=pytest.mark.slow),
    ],
)
def test_what_environments_of_workers_have_started_ends_with_them(tmp_path, started, end, mode):
    """pytorch/rl#3198: workers that are daemons may not have children. Three processes of each worker: one is forked,
    one is spawned, one is a program in a session of its own; and where the worker can still look for it, one is a
    program that has no variable of the worker's either."""
    kinds = ["fork", "spawn", "program", *(["stranger"] if end != "a worker is killed" else [])]
    options = {"total_env_steps": 640} if end == "its end" else {}
    program = program_of(tmp_path, started, f"--env-arg=kinds={','.join(kinds)}", mode=mode, **options)
    try:
        if end == "its end":
            assert program.process.wait(soon(60)) == 0, program.said()
        else:
            # A worker first makes one environment to ask it for action masks.
            assert len(alive(started)) == 2 * 2 * len(kinds)
        if end == "a worker is killed":
            os.kill(min(program.workers() - alive(started)), signal.SIGKILL)
            assert program.process.wait(soon(20)) == 1
        elif end == "SIGTERM":
            os.killpg(program.process.pid, signal.SIGTERM)
            summary = assert_ended_by(program, signal.SIGTERM)
            assert summary["env_steps"] > 0
        elif end.endswith("the parent is killed"):
            if end.startswith("Ctrl-Z"):
                program.process.send_signal(signal.SIGTSTP)
                program.wait_until(lambda: state_of(program.process.pid) == "T")
                assert all(state_of(pid) == "T" for pid in program.workers())
            program.process.kill()
            program.process.wait()
        wait_until_gone(started, 2)
    finally:
        program.end()


def state_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(") ")[2][0]


@pytest.mark.slow
def test_ctrl_z_stops_the_workers_with_the_parent_and_they_go_on_with_it(tmp_path, started):
    program = program_of(tmp_path, started, mode="sync")
    try:
        everyone = {program.process.pid, *program.workers()}
        program.process.send_signal(signal.SIGTSTP)
        program.wait_until(lambda: all(state_of(pid) == "T" for pid in everyone))
        rows = len(program.lines())
        program.process.send_signal(signal.SIGCONT)
        program.wait_until(lambda: len(program.lines()) > rows + 5)
        assert all(state_of(pid) in "RSD" for pid in everyone)
        program.process.send_signal(signal.SIGINT)
        assert_ended_by(program, signal.SIGINT)
        wait_until_gone(started, 2)
    finally:
        program.end()


def test_what_environments_of_this_process_have_started_ends_with_them(tmp_path, started):
    """The probe, the one that is asked for masks, serial training, evaluation; a process of the caller's lives on."""
    mine = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
    mine.start()
    try:
        options = {**SERIAL, **PARENT, "total_env_steps": 64, "run_dir": str(tmp_path / "run")}
        given = (f"folder={started}", "kinds=fork")
        run = new_run(cartpole_config(**options, env_arg=given), envs.make_vector)
        assert len(list(started.iterdir())) == 1 + 1 and not alive(started, "MainProcess")
        summary = run.execute(lambda _line: None)
        assert summary["exit_code"] == 0 and summary["eval_greedy"] == 8.0
        evaluate(run.setup.agent.agent, run.setup.config, envs.make_vector, 2, greedy=True)
        assert len(list(started.iterdir())) == 1 + 1 + 1 + 2 * 2 + 2 and not alive(started, "MainProcess")
        assert multiprocessing.active_children() == [mine] and mine.is_alive()
    finally:
        mine.kill()
        mine.join()
