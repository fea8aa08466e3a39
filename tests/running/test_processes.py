"""Processes: whatever ends a run, it ends soon, says why, keeps its record and leaves no process behind."""

import gc
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

import envs
from rl.loop import Overrides
from rl.record.checkpoint import load_checkpoint
from rl.record.record import Record
from rl.running.crew import Crew
from rl.running.run import new_run, resumed_run
from rl.running.worker import OWN_WORKERS
from tests.support import dying
from tests.support.configs import cartpole_config
from tests.support.programs import (
    ENDLESS,
    arguments,
    assert_ended_by,
    assert_whole,
    execute,
    left_of,
    shared_memory,
    soon,
    train_program,
)
from tests.support.runs import ROOT, read_rows

# --- faults in a worker


@pytest.mark.parametrize(
    ("fault", "mode", "reason", "words"),
    [
        ("killed", "sync", "worker 1 was killed by SIGKILL", []),
        ("raises", "async", "worker 1 failed: RuntimeError: the pole fell on my foot", ["raise RuntimeError("]),
        pytest.param(
            *("exits", "sync", "worker 1 failed: SystemExit: bye", ['sys.exit("bye")']), marks=pytest.mark.slow
        ),
        pytest.param(*("leaves", "sync", "worker 1 ended early: exit code 0", []), marks=pytest.mark.slow),
        pytest.param(
            *("nan_reward", "sync", "worker 1 failed: Faulty-v0: step gave the reward nan; a finite number is needed"),
            [],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("nan_observation", "async", "worker 1 failed: Faulty-v0: step gave [nan nan], which is not in Box(", []),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_fault_of_one_worker_ends_the_run_within_5_seconds_and_is_named(tmp_path, fault, mode, reason, words):
    """alex-petrenko/sample-factory#285, ray-project/ray#4358: one worker dies, the rest wait and no cause is shown."""
    env_arg = arguments(fault=fault, at=1200, folder=tmp_path)
    summary, said, ended = execute(tmp_path / "run", *env_arg, mode=mode)
    assert ended - float((tmp_path / "fault").read_text()) < soon(5)
    assert summary["exit_code"] == 1 and summary["exit_reason"].startswith(reason)
    assert said.startswith(reason.partition(": ")[0]) and all(word in said for word in words)
    assert said.count("Traceback (most recent call last)") == bool(words)  # the culprit's and no other
    assert summary["env_steps"] > 1000 and summary["eval_greedy"] is None


@pytest.mark.slow
def test_a_worker_that_fails_while_a_crossing_is_confirmed_ends_the_run_within_5_seconds(tmp_path):
    """The evaluation would take 10 · 80 · 0.05 = 40 s; the only worker, already gone, must not be taken for done."""
    env_arg = arguments(
        fault="raises",
        at=12_000,
        process="worker 0",
        folder=tmp_path,
        length=80,
        slow_process="MainProcess",
        sleep=0.05,
    )
    options = {"env": "tests.support.faulty_envs:Easy-v0", "workers": 1, "eval_episodes": 10}
    summary, said, ended = execute(tmp_path / "run", *env_arg, **options)
    assert ended - float((tmp_path / "fault").read_text()) < soon(5)
    assert summary["exit_code"] == 1 and summary["exit_reason"].startswith("worker 0 failed: RuntimeError")
    assert "the pole fell on my foot" in said
    [attempt] = summary["solve_attempts"]
    assert attempt["confirmation"] is None and not attempt["confirmed"] and not summary["solved"]


# --- workers that hang

HANGS = {"worker_timeout": 2.0, "total_env_steps": 10_000_000}


@pytest.mark.parametrize(
    ("fault", "mode", "where"),
    [
        ("hangs", "sync", ', at File ".*faulty_envs.py", line \\d+ in step'),
        pytest.param("stopped", "async", ", and cannot tell where", marks=pytest.mark.slow),
    ],
)
def test_a_worker_without_progress_for_2_seconds_is_a_fault_and_the_message_says_where_it_stood(
    tmp_path, fault, mode, where
):
    """The first sleeps in a step of its environment, the second is stopped there as by SIGSTOP. 2 s, then it is asked
    where it stands, and the others have their second to end."""
    env_arg = arguments(fault=fault, at=1200, folder=tmp_path)
    summary, said, ended = execute(tmp_path / "run", *env_arg, mode=mode, **HANGS)
    assert 2 < ended - float((tmp_path / "fault").read_text()) < 2 + soon(5)
    assert summary["exit_code"] == 1 and summary["env_steps"] > 1000
    assert re.fullmatch(rf"worker 1 made no progress for 2 s \(--worker-timeout\){where}", said)
    assert summary["exit_reason"] == said


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["async", "sync"])
def test_a_worker_stopped_while_it_waits_for_the_others_is_found_too(tmp_path, mode):
    """Worker 0 takes 4 · 8 · 0.02 = 0.64 s for a segment, worker 1 none: in sync it waits at the gate most of the time
    and is stopped there, in async it waits for the lock, which a thread here holds for a moment."""

    def stop_worker_1_as_it_waits(run):
        def watch():
            while run.setup.ledger.env_steps < 100:
                time.sleep(0.01)
            if mode == "async":
                run.setup.memory.lock.acquire()
            while not run.setup.memory.signs.waiting[1]:
                time.sleep(0.001)
            [worker] = [one for one in multiprocessing.active_children() if one.name == "worker 1"]
            os.kill(worker.pid, signal.SIGSTOP)
            (tmp_path / "fault").write_text(str(time.time()))
            if mode == "async":
                run.setup.memory.lock.release()

        threading.Thread(target=watch, daemon=True).start()

    env_arg = arguments(slow_process="worker 0", sleep=0.02)
    summary, said, ended = execute(tmp_path / "run", *env_arg, mode=mode, meanwhile=stop_worker_1_as_it_waits, **HANGS)
    assert ended - float((tmp_path / "fault").read_text()) < 2 + soon(5)
    assert summary["exit_code"] == 1 and said.startswith("worker 1 made no progress for 2 s (--worker-timeout)")


@pytest.mark.slow
def test_a_worker_stopped_in_the_middle_of_what_it_says_does_not_stop_the_parent(tmp_path):
    """It tells where it stands for a checkpoint at 1000 env steps; whoever reads all of that waits for ever."""
    folder, options = tmp_path / "run", {"mode": "sync", "checkpoint_interval": 1000, **HANGS}
    summary, said, ended = execute(folder, overrides=Overrides(watch=dying.stopped_as_it_tells), **options)
    assert ended - float((folder / "fault").read_text()) < 2 + soon(5)
    assert summary["exit_code"] == 1 and summary["env_steps"] == 1024
    assert said == "worker 1 made no progress for 2 s (--worker-timeout), and cannot tell where"
    first, second = load_checkpoint(folder / "checkpoint.pt")[1]["workers"]
    assert first is not None and second is None


@pytest.mark.slow
def test_whoever_waits_for_another_does_not_hang(tmp_path):
    """A segment of worker 0 takes 4 · 8 · 0.05 = 1.6 s, and the evaluation of its parent 4 · 8 · 0.1 = 3.2 s: worker 1
    waits for both for longer than its time, which is a second; a step takes 0.2 s."""
    env_arg = arguments(slow_process="worker 0", sleep=0.05)
    summary, said, _ = execute(
        tmp_path / "run",
        *env_arg,
        mode="sync",
        worker_timeout=1.0,
        total_env_steps=192,
        meanwhile=slow_evaluations,
        eval_interval=64,
        interval_episodes=1,
    )
    assert (summary["exit_code"], summary["env_steps"], said) == (0, 192, "")


def slow_evaluations(run):
    evaluation = run.duties.rows.evaluation
    run.duties.rows.evaluation = lambda stop: (time.sleep(2), evaluation(stop))[1]


@pytest.mark.slow
def test_time_in_which_the_parent_was_stopped_itself_is_nobodys_fault(tmp_path):
    """It stops for 2 s, which is more than the time of a worker, and goes on."""
    program = train_program(tmp_path / "run", mode="sync", worker_timeout=1.0)
    try:
        program.wait_until(program.has_rows)
        os.killpg(program.process.pid, signal.SIGSTOP)
        time.sleep(2)
        rows = (program.folder / "metrics.jsonl").read_text().count("\n")
        os.killpg(program.process.pid, signal.SIGCONT)
        program.wait_until(lambda: (program.folder / "metrics.jsonl").read_text().count("\n") > rows + 20)
        program.process.send_signal(signal.SIGINT)
        assert_ended_by(program, signal.SIGINT)
    finally:
        program.end()


# --- workers killed in the middle of an update, and those that take their place


@pytest.mark.slow
@pytest.mark.parametrize(
    ("watch", "cause"),
    [
        (dying.killed, "was killed by SIGKILL"),
        pytest.param(dying.stopped, "made no progress for 2 s (--worker-timeout), and cannot", marks=pytest.mark.slow),
    ],
)
def test_the_others_go_on_when_a_worker_ends_within_an_update_and_another_takes_its_place(tmp_path, watch, cause):
    """It had written nan to every other parameter, and held the lock: one update is missing, no other is touched. The
    rows count who took whose place."""
    options = {
        "workers": 3,
        "restart_workers": 2,
        "total_env_steps": 40_000,
        "worker_timeout": 2.0,
        "checkpoint_interval": 10_000,
    }
    summary, said, _ = execute(tmp_path / "run", overrides=Overrides(watch=watch), **options)
    assert summary["exit_code"] == 0 and summary["env_steps"] >= 40_000 and summary["restarts"] == 1
    assert said.startswith(f"worker 1 {cause}") and said.endswith("another one takes its place, 1 more may follow")
    state = load_checkpoint(tmp_path / "run" / "checkpoint.pt")[1]
    assert all(vector.isfinite().all() for vector in state["learner"].values())
    assert state["learner"]["step"].item() == summary["updates"] == sum(summary["staleness"])
    assert state["restarts"] == 1 and all(worker is not None for worker in state["workers"])
    rows = read_rows(tmp_path / "run")
    assert sum(row["losses/updates"] for row in rows) == summary["updates"] == summary["env_steps"] / 32
    counted = [row["worker/restarts"] for row in rows]
    assert counted == sorted(counted) and {counted[0], counted[-1]} == {0, 1}


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_worker_is_replaced_as_often_as_that_is_allowed_and_then_the_run_ends(tmp_path, workers):
    """Each that begins anew fails at its own step 400: twice another one takes its place, the third is a fault. The run
    that goes on has its two again, and counts on. A checkpoint is due at every push, so also when one fails."""
    folder = tmp_path / "run"
    env_arg = arguments(fault="raises", at=400, process=f"worker {workers - 1}")
    summary, said, _ = execute(folder, *env_arg, workers=workers, restart_workers=2, checkpoint_interval=1)
    assert summary["exit_code"] == 1 and summary["restarts"] == 2
    assert summary["exit_reason"] == f"worker {workers - 1} failed: RuntimeError: the pole fell on my foot"
    assert said.count("takes its place") == 2 and said.count("Traceback") == 3
    said = []
    summary = resumed_run(folder, envs.make_vector).execute(said.append)
    assert summary["exit_code"] == 1 and summary["restarts"] == 4
    assert_whole(folder, summary)
    assert read_rows(folder)[-1]["worker/restarts"] == 4


def test_workers_that_begin_anew_draw_random_numbers_that_nobody_has_drawn(tmp_path):
    """Worker 1's environments are seeded by the run's seed, their number and this key."""
    run = new_run(
        cartpole_config(**{**ENDLESS, "run_dir": str(tmp_path / "run"), "restart_workers": 3}), envs.make_vector
    )
    crew = Crew(run.setup, OWN_WORKERS, run.outcome, run.duties, [None, None])
    keys = [crew.arguments_of(1)[3]]
    for _ in range(3):
        assert crew.replaces_worker("worker 1 fell", outside=True)
        keys.append(crew.arguments_of(1)[3])
    assert not crew.replaces_worker("worker 1 fell", outside=True) and len(set(keys)) == 4


def test_the_parent_writes_under_the_lock_or_not_at_all(tmp_path):
    """Somebody else holds it: a crossing stays pending, a row whose evaluation is due is not written, nothing is saved.
    Later, all of it is done."""
    config = cartpole_config(
        **{**ENDLESS, "env": "tests.support.faulty_envs:Easy-v0", "run_dir": str(tmp_path), "eval_interval": 64}
    )
    run = new_run(config, envs.make_vector)
    record, duties = Record(tmp_path, config, None, None, print, None, 0), run.duties
    duties.rows.open(record, print)
    for _ in range(4):
        run.setup.learner.push(None, 32, {}, [(8.0, 8)] * 25)
    duties.checkpoints.receive({0: b"0", 1: b"1"})
    run.setup.ledger.pages.now.checkpoint_due[0] = 1
    assert run.setup.ledger.crossings.pending
    ready, theirs = multiprocessing.Pipe()
    holder = multiprocessing.get_context("fork").Process(target=hold, args=(run.setup.memory.lock, theirs))
    holder.start()
    assert ready.recv() == "held"
    before = run.setup.ledger.state()
    assert not duties.answer() and run.setup.ledger.state() == before
    assert duties.verdicts.attempts == [] and read_rows(tmp_path) == [] and not (tmp_path / "checkpoint.pt").exists()
    holder.kill()
    holder.join()
    duties.answer()
    assert run.setup.ledger.dues.count() == 0 and len(duties.verdicts.attempts) == 1
    assert [row["global_step"] for row in read_rows(tmp_path)] == [64, 128]
    record.close({})


def hold(lock, channel):
    lock.acquire()
    channel.send("held")
    time.sleep(3600)


def test_without_restarts_rows_do_not_count_them(tmp_path):
    summary, _, _ = execute(tmp_path / "run", mode="sync", total_env_steps=640)
    assert summary["restarts"] == 0 and not any("worker/restarts" in row for row in read_rows(tmp_path / "run"))


def test_a_worker_killed_within_an_update_ends_the_run_with_a_whole_checkpoint_from_which_it_goes_on(tmp_path):
    folder = tmp_path / "run"
    summary, said, ended = execute(folder, overrides=Overrides(watch=dying.killed))
    assert ended - float((folder / "fault").read_text()) < soon(5)
    assert said == summary["exit_reason"] == "worker 1 was killed by SIGKILL"
    state = load_checkpoint(folder / "checkpoint.pt")[1]
    assert state["learner"]["parameters"].isfinite().all() and state["learner"]["step"].item() == summary["updates"]
    again = resumed_run(folder, envs.make_vector)
    seen = []

    def on_row(row):
        seen.append(row["global_step"])
        if len(seen) == 20:
            again.outcome.note_signal(signal.SIGTERM)

    summary = again.execute(lambda _line: None, on_row)
    assert summary["exit_reason"] == "SIGTERM" and seen == sorted(set(seen))
    assert_whole(folder, summary)


@pytest.mark.slow
def test_many_runs_in_one_process_leave_no_descriptor_and_no_thread_behind(tmp_path):
    """A lock and a file for tracebacks each, a channel and an ear for each worker."""

    def held():
        gc.collect()
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    execute(tmp_path / "first", mode="sync", workers=1, total_env_steps=64)  # starts what Python itself keeps
    before = held()
    execute(tmp_path / "sync", mode="sync", total_env_steps=64)
    failing = arguments(fault="raises", at=40)
    execute(tmp_path / "async", *failing, total_env_steps=64_000, restart_workers=1)
    for number in range(20):
        new_run(cartpole_config(**{**ENDLESS, "run_dir": str(tmp_path / f"never {number}")}), envs.make_vector)
    assert held() == before


# --- faults in the parent


@pytest.mark.parametrize(
    ("fault", "at", "reason"),
    [
        ("raises", 108, "the run failed: RuntimeError: the pole fell on my foot"),
        ("exits", 108, "the run failed: SystemExit: bye"),
        ("nan_reward", 108, "the run failed: Faulty-v0: step gave the reward nan; a finite number is needed (float32)"),
        ("raises", 658, "the run failed: RuntimeError: the pole fell on my foot"),  # in the evaluation at the end
    ],
)
def test_a_fault_without_processes_ends_the_run_as_orderly(tmp_path, monkeypatch, fault, at, reason):
    """The environment is tried out for 8 steps first."""
    monkeypatch.setattr("tests.support.faulty_envs.steps_of_this_process", 0, raising=False)
    env_arg = arguments(fault=fault, at=at, process="MainProcess")
    summary, said, _ = execute(tmp_path / "run", *env_arg, mode="serial", workers=1, total_env_steps=640)
    assert summary["exit_code"] == 1 and summary["exit_reason"].startswith(reason)
    assert said.count("Traceback") == (fault != "nan_reward")
    assert summary["env_steps"] == (640 if at > 648 else 96)
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["env_steps"] == summary["env_steps"]


def test_a_factory_that_workers_cannot_import_is_one_line_before_anything_starts(tmp_path):
    config = cartpole_config(**{**ENDLESS, "run_dir": str(tmp_path / "run")})
    with pytest.raises(
        ValueError, match=r"^make_environments <function .*lambda.*>: a top-level function is needed.*$"
    ):
        new_run(config, lambda *arguments, **options: envs.make_vector(*arguments, **options))
    assert not (tmp_path / "run").exists() and multiprocessing.active_children() == []


# --- signals, and what workers look like from inside


@pytest.fixture
def start(tmp_path):
    programs = []

    def start(name, *options, **config):
        programs.append(train_program(tmp_path / name, *options, **config))
        return programs[-1]

    yield start
    for program in programs:
        program.end()


@pytest.mark.parametrize(
    ("number", "mode"),
    [
        pytest.param(signal.SIGINT, "async", id="SIGINT"),
        pytest.param(signal.SIGTERM, "sync", id="SIGTERM", marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, "sync", id="SIGHUP", marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, "async", id="SIGUSR1", marks=pytest.mark.slow),
    ],
)
def test_a_signal_to_the_whole_group_even_twice_ends_the_run_orderly_with_wandb_finished(start, tmp_path, number, mode):
    """wandb/wandb#9963, #5244: the signal kills W&B's own process before the run has finished it."""
    program = start("run", f"--env-arg=folder={tmp_path}", mode=mode, wandb="offline")
    program.wait_until(program.has_rows)
    program.wait_until(lambda: list(program.folder.glob("wandb/offline-run-*/*.wandb")))
    memory = shared_memory(program.process.pid)
    assert memory and not left_of(memory)  # nothing has a name while it runs, so no kill leaves anything behind
    for _ in range(2):
        os.killpg(program.process.pid, number)
        time.sleep(0.05)
    summary = assert_ended_by(program, number)
    assert summary["env_steps"] > 0 and not left_of(memory)
    assert all((tmp_path / f"worker {rank} closed").exists() for rank in (0, 1))  # after a last update, not killed
    [run] = program.folder.glob("wandb/offline-run-*")
    inspected = subprocess.run(
        [Path(sys.executable).parent / "wandb", "leet", "inspect", "--json", run],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(inspected.stdout.splitlines()[-1])["exit"]["exit_code"] == 128 + number


@pytest.mark.slow
def test_a_signal_during_start_up_ends_the_run_orderly_too(start):
    program = start("run")
    program.wait_until(lambda: (program.folder / "config.json").exists())
    program.process.send_signal(signal.SIGINT)
    assert assert_ended_by(program, signal.SIGINT)["env_steps"] == 0


@pytest.mark.parametrize("moment", ["training", pytest.param("start-up", marks=pytest.mark.slow)])
def test_when_the_parent_is_killed_its_workers_are_gone_within_2_seconds(start, moment):
    """PrimeIntellect-ai/prime-rl#2028: orphans keep the machine busy when the parent ends in any but the normal way."""
    program = start("run", mode="sync" if moment == "training" else "async")
    program.wait_until(program.has_rows if moment == "training" else lambda: len(program.workers()) == 2)
    if moment == "training":
        assert len(program.workers()) == 2
    memory = shared_memory(program.process.pid)
    program.process.kill()
    program.process.wait()
    assert program.seconds_until_all_are_gone(limit=60) < soon(2)
    assert not left_of(memory)
    if moment == "training":
        lines = (program.folder / "metrics.jsonl").read_text().splitlines(keepends=True)
        assert all(json.loads(line)["global_step"] for line in lines if line.endswith("\n"))
        assert not (program.folder / "summary.json").exists()


AFTER_LSTM = """
import sys
import torch

import envs
from rl.config import Config
from rl.presets import MASKED_CARTPOLE
from rl.running.run import new_run

if __name__ == "__main__":
    torch.set_num_threads(4)
    lstm = torch.nn.LSTM(256, 256)
    lstm(torch.randn(20, 32, 256))[0].sum().backward()
    config = Config(**MASKED_CARTPOLE | dict(
        env="tests.support.faulty_envs:Faulty-v0", env_arg=("fault=probe", f"folder={sys.argv[1]}"), wandb="offline",
        workers=2, envs_per_worker=2, segment_length=8, total_env_steps=500,
        run_dir=f"{sys.argv[1]}/run", eval_episodes=1,
    ))
    sys.exit(new_run(config, envs.make_vector).execute()["exit_code"])
"""


def test_workers_are_started_with_one_thread_and_without_wandb_even_after_a_large_lstm_in_the_parent(tmp_path):
    """pytorch/pytorch#123828: a process forked after a parallel LSTM call hangs; workers are forked from a server that
    makes none. ikostrikov/pytorch-a3c#33: threads of all workers fight for the CPUs. wandb/wandb#2233: W&B in a child
    hangs at its exit."""
    program = tmp_path / "program.py"
    program.write_text(AFTER_LSTM)
    path = os.pathsep.join([str(ROOT), str(ROOT)])
    without = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    subprocess.run(
        [sys.executable, program, tmp_path],
        env={**without, "PYTHONPATH": path},
        cwd=tmp_path,
        timeout=soon(60),
        check=True,
    )
    for rank in (0, 1):
        assert json.loads((tmp_path / f"worker {rank}.json").read_text()) == {
            "torch_threads": 1,
            "wandb_imported": False,
            "start_method": "forkserver",
            "threads_at_start": ["1", "1", "1"],  # of the process, so before numpy or torch were imported
            "sigint_blocked": True,
        }
    assert json.loads((tmp_path / "MainProcess.json").read_text())["torch_threads"] == 1
