"""Runs in processes: the command line as a program that can be hurt, and what no run may leave behind.

Each looks at its own processes and memory only, so that tests which run at the same time do not see each other.
"""

import contextlib
import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import envs
from rl.loop import NO_OVERRIDES, Overrides
from rl.record.checkpoint import load_checkpoint
from rl.running.run import Run, new_run
from rl.shared.processes import available_cpus
from tests.support.configs import cartpole_config
from tests.support.runs import ROOT, TINY, read_rows, words

FAULTY = {**TINY, "env": "tests.support.faulty_envs:Faulty-v0", "log_interval": 64, "eval_episodes": 4}
ENDLESS = {**FAULTY, "total_env_steps": 10_000_000}


def soon(seconds: float) -> float:
    """The limit of so many seconds on a machine with nothing else to do: a slower or busy one may take a multiple."""
    return seconds * 4 * max(1.0, os.getloadavg()[0] / available_cpus())


# --- a program


class Program:
    """A command in a process group of its own. Whatever it starts carries a mark in its environment."""

    def __init__(self, folder: Path, command: Sequence[str | Path], **environment: str) -> None:
        self.folder, self.mark = folder, uuid.uuid4().hex
        self.stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115  a pipe could fill up
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=self.stderr,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "MARK": self.mark, **environment},
        )

    def everyone(self) -> set[int]:
        """Process ids that carry the mark and are not zombies."""
        found = set()
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if f"MARK={self.mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
        return found

    def workers(self) -> set[int]:
        """Process ids of what the server has forked: they have its command line."""
        parents = {}
        for pid in self.everyone():
            with contextlib.suppress(OSError):
                if b"multiprocessing.forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    parents[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
        return {pid for pid, parent in parents.items() if parent in parents}

    def wait_until(self, condition: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + soon(seconds)
        while not condition():
            assert time.monotonic() < deadline and self.process.poll() is None, self.said()
            time.sleep(0.02)

    def lines(self) -> list[str]:
        """The lines of the record that are whole."""
        path = self.folder / "metrics.jsonl"
        found = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [line for line in found if line.endswith("\n")]

    def has_rows(self) -> bool:
        return bool(self.lines())

    def said(self) -> str:
        self.stderr.seek(0)
        return self.stderr.read()

    def seconds_until_all_are_gone(self, limit: float) -> float:
        began = time.monotonic()
        while self.everyone() - ({self.process.pid} if self.process.poll() is None else set()):
            assert time.monotonic() - began < limit, "processes left"
            time.sleep(0.01)
        return time.monotonic() - began

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for pid in self.everyone():  # those that are in a session of their own
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.stderr.close()


def train_program(folder: Path, *options: str, **config: Any) -> Program:
    """The command line with an endless run of two workers."""
    command = [sys.executable, "-m", "experiments.train", *words({**ENDLESS, "run_dir": folder, **config}), *options]
    return Program(folder, command)


def assert_ended_by(program: Program, number: signal.Signals) -> dict[str, Any]:
    """A signal ended it in order: its exit code, its summary, nothing left. Returns the summary."""
    code = program.process.wait(soon(60))
    said = program.said()
    assert code == 128 + number and "Traceback" not in said and "leaked" not in said, said
    summary = json.loads((program.folder / "summary.json").read_text())
    assert summary["exit_code"] == code and summary["exit_reason"] == signal.Signals(number).name
    assert_whole(program.folder, summary)
    program.seconds_until_all_are_gone(limit=soon(3))
    return summary


# --- what may not be left behind


def assert_whole(folder: Path, summary: dict[str, Any]) -> None:
    """No child is left, every line of the record is readable, the summary is on disk, the checkpoint loads."""
    assert multiprocessing.active_children() == []
    steps = [row["global_step"] for row in read_rows(folder)]
    assert steps == sorted(set(steps)) and (not steps or steps[-1] == summary["env_steps"])
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert load_checkpoint(folder / "checkpoint.pt")[1]["env_steps"] == summary["env_steps"]


def shared_memory(pid: int) -> set[int]:
    """Inodes under /dev/shm that a process has mapped: its shared blocks, whatever they are called."""
    maps = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    return {int(words[4]) for words in maps if len(words) > 5 and words[5].startswith("/dev/shm/")}


def left_of(inodes: set[int]) -> set[int]:
    """Those of these inodes that still have a name."""
    return inodes & {entry.inode() for entry in os.scandir("/dev/shm")}


def execute(
    folder: Path,
    *env_arg: str,
    overrides: Overrides = NO_OVERRIDES,
    meanwhile: Callable[[Run], object] = lambda run: None,
    **options: Any,
) -> tuple[dict[str, Any], str, float]:
    """An endless run in this process with its workers, which something must end: its summary, what it said, and when
    it ended. It leaves nothing behind."""
    config = cartpole_config(**{**ENDLESS, **options, "run_dir": str(folder), "env_arg": env_arg})
    run = new_run(config, envs.make_vector, overrides)
    said: list[str] = []
    meanwhile(run)
    summary = run.execute(said.append)
    ended = time.time()
    assert_whole(folder, summary)
    memory = shared_memory(os.getpid())
    del run
    gc.collect()
    assert not left_of(memory)
    return summary, "\n".join(said), ended


def arguments(**named: Any) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in named.items())
