"""Processes: whatever ends a run, it ends soon, says why, keeps its record and leaves no process behind."""

import contextlib
import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import torch

import envs
from rl.checkpoint import load_checkpoint
from rl.config import Config
from rl.train import new_run

ROOT = Path(__file__).parents[1]
SMALL = {
    "env": "faulty_envs:Faulty-v0", "envs_per_worker": 4, "segment_length": 8, "hidden_size": 8, "torso_size": 8,
    "log_interval": 64, "eval_episodes": 4, "wandb": "disabled", "total_env_steps": 10_000_000,
}  # fmt: skip


def arguments(**named):
    return tuple(f"{name}={value}" for name, value in named.items())


def execute(folder, *env_arg, **options):
    """Run in this process with its workers; returns the summary, what was said, and when it ended."""
    run = new_run(Config(**{**SMALL, **options, "run_dir": str(folder), "env_arg": env_arg}), envs.make_vector)
    said = []
    summary = run.execute(said.append)
    ended = time.time()
    assert_clean(folder, summary)
    memory = shared_memory(os.getpid())
    del run
    gc.collect()
    assert not left_of(memory)
    return summary, "\n".join(said), ended


def assert_clean(folder, summary):
    """No child left, every line of the record readable, the summary on disk, a checkpoint that loads."""
    assert multiprocessing.active_children() == []
    steps = [json.loads(line)["global_step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)) and (not steps or steps[-1] == summary["env_steps"])
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert load_checkpoint(folder / "checkpoint.pt")[1]["env_steps"] == summary["env_steps"]


def shared_memory(pid):
    """Inodes under /dev/shm that a process has mapped: its semaphores and shared blocks, whatever they are called."""
    maps = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    return {int(words[4]) for words in maps if len(words) > 5 and words[5].startswith("/dev/shm/")}


def left_of(inodes):
    """Those of these inodes that still have a name."""
    return inodes & {entry.inode() for entry in os.scandir("/dev/shm")}


# --- faults in a worker


@pytest.mark.parametrize(
    ("fault", "mode", "reason", "words"),
    [
        ("killed", "sync", "worker 1 was killed by SIGKILL", []),
        ("raises", "async", "worker 1 failed: RuntimeError: the pole fell on my foot", ["raise RuntimeError("]),
        ("exits", "sync", "worker 1 failed: SystemExit: bye", ['sys.exit("bye")']),
        ("leaves", "sync", "worker 1 ended early: exit code 0", []),
        ("nan_reward", "sync", "worker 1 failed: FloatingPointError: the advantages are not finite", ["loss.py"]),
        ("nan_observation", "async", "worker 1 failed: FloatingPointError: the loss is nan", ["loss.py"]),
    ],
)  # fmt: skip
def test_a_fault_of_one_worker_ends_the_run_within_5_seconds_and_is_named(tmp_path, fault, mode, reason, words):
    """alex-petrenko/sample-factory#285, ray-project/ray#4358: one worker dies, the rest wait and no cause is shown."""
    env_arg = arguments(fault=fault, at=5000, folder=tmp_path)
    summary, said, ended = execute(tmp_path / "run", *env_arg, mode=mode)
    assert ended - float((tmp_path / "fault").read_text()) < 5
    assert summary["exit_code"] == 1 and summary["exit_reason"].startswith(reason)
    assert said.startswith(reason.partition(": ")[0]) and all(word in said for word in words)
    assert said.count("Traceback (most recent call last)") == bool(words)  # the culprit's and no other
    assert summary["env_steps"] > 1000 and summary["eval_greedy"] is None


def test_a_worker_that_fails_while_a_crossing_is_confirmed_ends_the_run_within_5_seconds(tmp_path):
    """The evaluation would take 8 · 40 · 0.05 = 16 s; the only worker, already gone, must not be taken for done."""
    env_arg = arguments(
        fault="raises", at=5000, process="worker 0", folder=tmp_path, slow_process="MainProcess", sleep=0.05
    )
    summary, said, ended = execute(
        tmp_path / "run", *env_arg, env="faulty_envs:Easy-v0", workers=1, eval_episodes=40
    )  # fmt: skip
    assert ended - float((tmp_path / "fault").read_text()) < 5
    assert summary["exit_code"] == 1 and summary["exit_reason"].startswith("worker 0 failed: RuntimeError")
    assert "the pole fell on my foot" in said
    [attempt] = summary["solve_attempts"]
    assert attempt["confirmation"] is None and not attempt["confirmed"] and not summary["solved"]


# --- faults in the parent


@pytest.mark.parametrize(
    ("fault", "at", "reason"),
    [
        ("raises", 100, "the run failed: RuntimeError: the pole fell on my foot"),
        ("exits", 100, "the run failed: SystemExit: bye"),
        ("nan_reward", 100, "the run failed: FloatingPointError: the advantages are not finite"),
        ("raises", 650, "the run failed: RuntimeError: the pole fell on my foot"),  # in the evaluation at the end
    ],
)
def test_a_fault_without_processes_ends_the_run_as_orderly(tmp_path, monkeypatch, fault, at, reason):
    monkeypatch.setattr("faulty_envs.steps_of_this_process", 0, raising=False)
    env_arg = arguments(fault=fault, at=at, process="MainProcess")
    summary, said, _ = execute(tmp_path / "run", *env_arg, mode="serial", workers=1, total_env_steps=640)
    assert summary["exit_code"] == 1 and summary["exit_reason"].startswith(reason)
    assert said.count("Traceback") == 1
    assert summary["env_steps"] == (640 if at > 640 else 96)
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["env_steps"] == summary["env_steps"]


def test_a_factory_that_workers_cannot_import_is_one_line_before_anything_starts(tmp_path):
    config = Config(**{**SMALL, "run_dir": str(tmp_path / "run")})
    with pytest.raises(
        ValueError, match=r"^make_environments <function .*lambda.*>: a top-level function is needed.*$"
    ):
        new_run(config, lambda *arguments, **options: envs.make_vector(*arguments, **options))
    assert not (tmp_path / "run").exists() and multiprocessing.active_children() == []


# --- signals, and what workers look like from inside


class Program:
    """The command line in a process group of its own; everything it starts carries a mark."""

    def __init__(self, folder, *options, program=("-m", "experiments.train"), **config):
        self.folder, self.mark = folder, uuid.uuid4().hex
        words = [
            f"--{name.replace('_', '-')}={value}" for name, value in {**SMALL, "run_dir": folder, **config}.items()
        ]
        self.stderr = open(folder.with_suffix(".stderr"), "w+")  # noqa: SIM115  a pipe could fill up
        self.process = subprocess.Popen(
            [sys.executable, *program, *words, *options], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=self.stderr,
            start_new_session=True, env={**os.environ, "PYTHONPATH": str(ROOT / "tests"), "MARK": self.mark},
        )  # fmt: skip

    def everyone(self):
        """Process ids that carry the mark and are not zombies."""
        found = set()
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if f"MARK={self.mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
        return found

    def workers(self):
        """Process ids of spawned children."""
        found = set()
        for pid in self.everyone():
            with contextlib.suppress(OSError):
                if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.add(pid)
        return found

    def wait_until(self, condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline and self.process.poll() is None, self.said()
            time.sleep(0.02)

    def has_rows(self):
        path = self.folder / "metrics.jsonl"
        return path.exists() and path.stat().st_size > 0

    def said(self):
        self.stderr.seek(0)
        return self.stderr.read()

    def seconds_until_all_are_gone(self, limit):
        began = time.monotonic()
        while self.everyone() - ({self.process.pid} if self.process.poll() is None else set()):
            assert time.monotonic() - began < limit, "processes left"
            time.sleep(0.01)
        return time.monotonic() - began

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.stderr.close()


@pytest.fixture
def start(tmp_path):
    programs = []

    def start(name, *options, **config):
        programs.append(Program(tmp_path / name, *options, **config))
        return programs[-1]

    yield start
    for program in programs:
        program.end()


def assert_ended_by(program, number):
    code = program.process.wait(60)
    said = program.said()
    assert code == 128 + number and "Traceback" not in said and "leaked" not in said, said
    summary = json.loads((program.folder / "summary.json").read_text())
    assert summary["exit_code"] == code and summary["exit_reason"] == signal.Signals(number).name
    assert_clean(program.folder, summary)
    program.seconds_until_all_are_gone(limit=3)
    return summary


@pytest.mark.parametrize(
    ("number", "mode"), [(signal.SIGINT, "async"), (signal.SIGTERM, "sync")], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_to_the_whole_group_even_twice_ends_the_run_orderly_with_wandb_finished(start, tmp_path, number, mode):
    """wandb/wandb#9963, #5244: the signal kills W&B's own process before the run has finished it."""
    program = start("run", f"--env-arg=folder={tmp_path}", mode=mode, wandb="offline")
    program.wait_until(program.has_rows)
    program.wait_until(lambda: list(program.folder.glob("wandb/offline-run-*/*.wandb")))
    memory = shared_memory(program.process.pid)
    assert left_of(memory)  # the lock, at least
    for _ in range(2):
        os.killpg(program.process.pid, number)
        time.sleep(0.05)
    summary = assert_ended_by(program, number)
    assert summary["env_steps"] > 0 and not left_of(memory)
    assert all((tmp_path / f"worker {rank} closed").exists() for rank in (0, 1))  # after a last update, not killed
    [run] = program.folder.glob("wandb/offline-run-*")
    inspected = subprocess.run(
        [Path(sys.executable).parent / "wandb", "leet", "inspect", "--json", run],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(inspected.stdout.splitlines()[-1])["exit"]["exit_code"] == 128 + number


def test_a_signal_during_start_up_ends_the_run_orderly_too(start):
    program = start("run")
    program.wait_until(lambda: (program.folder / "config.json").exists())
    program.process.send_signal(signal.SIGINT)
    assert assert_ended_by(program, signal.SIGINT)["env_steps"] == 0


@pytest.mark.parametrize("moment", ["training", "start-up"])
def test_when_the_parent_is_killed_its_workers_are_gone_within_2_seconds(start, moment):
    """PrimeIntellect-ai/prime-rl#2028: orphans keep the machine busy when the parent ends in any but the normal way."""
    program = start("run", mode="sync" if moment == "training" else "async")
    program.wait_until(program.has_rows if moment == "training" else lambda: len(program.workers()) == 2)
    if moment == "training":
        assert len(program.workers()) == 2
    memory = shared_memory(program.process.pid)
    program.process.kill()
    program.process.wait()
    assert program.seconds_until_all_are_gone(limit=10) < 3  # 2, and one for a busy machine
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
from rl.train import new_run

if __name__ == "__main__":
    torch.set_num_threads(4)
    lstm = torch.nn.LSTM(256, 256)
    lstm(torch.randn(20, 32, 256))[0].sum().backward()
    config = Config(
        env="faulty_envs:Faulty-v0", env_arg=("fault=probe", f"folder={sys.argv[1]}"), wandb="offline", workers=2,
        envs_per_worker=2, segment_length=8, total_env_steps=500, run_dir=f"{sys.argv[1]}/run", eval_episodes=1,
    )
    sys.exit(new_run(config, envs.make_vector).execute()["exit_code"])
"""


def test_workers_are_spawned_with_one_thread_and_without_wandb_even_after_a_large_lstm_in_the_parent(tmp_path):
    """pytorch/pytorch#123828: a process forked after a parallel LSTM call hangs. ikostrikov/pytorch-a3c#33: threads of
    all workers fight for the cores. wandb/wandb#2233: W&B in a child hangs at its exit."""
    program = tmp_path / "program.py"
    program.write_text(AFTER_LSTM)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    without = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    subprocess.run(
        [sys.executable, program, tmp_path], env={**without, "PYTHONPATH": path}, cwd=tmp_path, timeout=60, check=True
    )
    for rank in (0, 1):
        assert json.loads((tmp_path / f"worker {rank}.json").read_text()) == {
            "torch_threads": 1, "wandb_imported": False, "start_method": "spawn",
            "threads_at_start": ["1", "1", "1"],  # of the process, so before numpy or torch were imported
            "sigint_blocked": True,
        }  # fmt: skip
    assert json.loads((tmp_path / "MainProcess.json").read_text())["torch_threads"] == 1
