"""Faults at random moments: real runs are hurt, and held to what is promised of them.

A run that is hurt ends in time and names the cause, or goes on; no process and no shared memory of it is left; its
record is whole to the last interval; what it counts adds up; and `--resume` goes on from there to the end, with no
step lost or twice. `TRIALS=500 SEED=2 make test-all` makes other trials than the 100 of seed 1; each draws its run,
fault and moment from the seed and its number, but what a run is at in that moment hangs on the machine.
"""

import collections
import contextlib
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from test_processes import ROOT, Program, left_of, shared_memory

import envs
from experiments.records import read_run
from rl.checkpoint import load_checkpoint
from rl.config import Config
from rl.train import new_run, resumed_run

TRIALS, SEED = int(os.environ.get("TRIALS", 100)), int(os.environ.get("SEED", 1))
WORKERS, BATCH, LENGTH = 2, 2, 2
SECONDS = 2.5  # of training in a run, its continuation included
TINY = {  # short segments, so that a large share of the time is pushes
    "env": "faulty_envs:Faulty-v0", "workers": WORKERS, "envs_per_worker": BATCH, "segment_length": LENGTH,
    "hidden_size": 32, "torso_size": 32, "total_env_steps": 10_000_000, "max_seconds": SECONDS, "log_interval": 64,
    "checkpoint_interval": 1000, "eval_episodes": 2, "worker_timeout": 20,
}  # fmt: skip
FOR_GOOD, THEN_KILLED, THEN_ON = "stopped for good", "stopped, then killed", "stopped, then continued"
REPLACED = "another one takes its place, 0 more may follow"


class Kind(NamedTuple):
    """What is done to a run, and to whom."""

    target: str
    action: str
    in_push: bool = False  # while it holds the learner's lock

    def __str__(self):
        return f"{self.target} {self.action}{' in a push' if self.in_push else ''}"


KINDS = [
    *[Kind("worker", "SIGKILL", in_push) for in_push in (False, True, True, True)],
    *[Kind("worker", action, in_push) for action in (FOR_GOOD, THEN_KILLED, THEN_ON) for in_push in (False, True)],
    *[Kind("worker", action) for action in ("SIGTERM", "SIGINT")],
    *[Kind("parent", action) for action in ("SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", THEN_KILLED, THEN_ON)],
    *[Kind("everyone", action) for action in ("SIGTERM", "SIGINT", THEN_ON)],
    *[Kind("wandb", action) for action in ("SIGKILL", "SIGTERM", "SIGINT", FOR_GOOD, THEN_KILLED, THEN_ON)],
    *[Kind("environment", action) for action in
      ("raises", "exits", "leaves", "nan_reward", "nan_observation", "hangs", "slow")],
]  # fmt: skip
CAUSES = {
    ("worker", "SIGKILL"): r"worker \d was killed by SIGKILL",
    ("worker", THEN_KILLED): r"worker \d was killed by SIGKILL",
    ("worker", FOR_GOOD): r"worker \d made no progress for 2 s \(--worker-timeout\), and cannot tell where",
    ("environment", "raises"): r"worker 1 failed:.*RuntimeError: the pole fell on my foot",
    ("environment", "exits"): r"worker 1 failed:.*SystemExit: bye",
    ("environment", "leaves"): r"worker 1 ended early: exit code 0",
    ("environment", "nan_reward"): r"worker 1 failed:.*FloatingPointError: the advantages are not finite",
    ("environment", "nan_observation"): r"worker 1 failed:.*FloatingPointError: the loss is nan",
    ("environment", "hangs"): r"worker 1 made no progress for 2 s \(--worker-timeout\), at File .*faulty_envs\.py",
}


class Plan(NamedTuple):
    """One trial."""

    kind: Kind
    mode: str
    restart: bool  # --restart-workers 1
    starting: bool  # the moment is in start-up and not in training
    delay: float  # seconds from its first sign of that
    pause: float  # seconds that what is stopped and goes on stands still
    at: int  # step of a worker at which its environment fails

    def __str__(self):
        return f"{self.kind}, {self.mode}{', restart' if self.restart else ''}{', start-up' if self.starting else ''}"

    @property
    def cause(self):
        """What ends it, as a regular expression; "" where it goes on."""
        return CAUSES.get(self.kind[:2], "")

    @property
    def code(self):
        """The exit code."""
        if self.kind.target == "parent" and self.kind.action in ("SIGKILL", THEN_KILLED):
            return -signal.SIGKILL
        if self.kind.target in ("parent", "everyone") and self.kind.action in ("SIGTERM", "SIGINT"):
            return 128 + signal.Signals[self.kind.action]
        return 1 if self.cause and not self.restart else 0

    def options(self, folder):
        """Of the command line."""
        options = {**TINY, "mode": self.mode, "run_dir": folder / "run", "restart_workers": int(self.restart)}
        options["wandb"] = "offline" if self.kind.target in ("wandb", "everyone", "parent") else "disabled"
        if self.kind.action in (FOR_GOOD, "hangs") or self.kind in (Kind("everyone", THEN_ON), Kind("parent", THEN_ON)):
            options["worker_timeout"] = 2  # the last two stand still for longer, which is no fault of a worker
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        if self.kind.target == "environment":
            given = {"fault": self.kind.action, "at": self.at, "folder": folder, "once": True}
            words += [f"--env-arg={name}={value}" for name, value in given.items()]
        return words


def plan(number):
    """Trial `number`: each kind once, in an order of their own, then each again."""
    order = list(KINDS)
    random.Random(f"{SEED} order {number // len(KINDS)}").shuffle(order)
    kind, dice = order[number % len(KINDS)], random.Random(f"{SEED} trial {number}")
    mode = dice.choice(["async", "sync"])
    restart = mode == "async" and kind[:2] in CAUSES and dice.random() < 0.5
    starting = kind.target in ("worker", "parent", "everyone") and not kind.in_push and kind.action != FOR_GOOD
    starting = starting and dice.random() < 0.2
    pause = dice.uniform(0.1, 0.8) if kind.target == "worker" else dice.uniform(0.1, 3.0)
    return Plan(kind, mode, restart, starting, dice.uniform(0, 1.2), pause, dice.randrange(10, 800))


class Training(Program):
    """The command line in a process group of its own; everything it starts carries a mark."""

    def __init__(self, folder, words):
        self.folder, self.mark, self.began = folder, uuid.uuid4().hex, time.monotonic()
        self.stderr = open(folder.with_suffix(f".stderr-{self.mark}"), "w+")  # noqa: SIM115  a pipe could fill up
        self.process = subprocess.Popen(
            [sys.executable, "-m", "experiments.train", *words], cwd=ROOT, stdout=subprocess.DEVNULL,
            stderr=self.stderr, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "tests"), "MARK": self.mark, "COLUMNS": "1000"},
        )  # fmt: skip

    def ended(self):
        return self.process.poll() is not None

    def target(self, name, dice):
        """The process to hurt; None where it is not there (any more)."""
        if name == "parent":
            return None if self.ended() else self.process.pid
        found = self.workers() if name == "worker" else {pid for pid in self.everyone() if command(pid) == "wandb-core"}
        return dice.choice(sorted(found)) if found else None

    def lines(self):
        """The record, without a line that is being written."""
        path = self.folder / "metrics.jsonl"
        return path.read_text().splitlines(keepends=True) if path.exists() else []

    def memory(self):
        """Of all its processes, what lies under /dev/shm."""
        inodes = set()
        for pid in self.everyone():
            with contextlib.suppress(OSError):
                inodes |= shared_memory(pid)
        return inodes


def command(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()


def state_of(pid):
    """R, S, T (stopped), Z, ...; "" of none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    return ""


def holds_lock(pid):
    """Whether a process holds a POSIX lock, as the learner's is, and does not only wait for one."""
    return any(
        words[1] == "POSIX" and int(words[4]) == pid
        for words in map(str.split, Path("/proc/locks").read_text().splitlines())
    )


def stop(pid):
    """Stop a process, and return when it stands still."""
    os.kill(pid, signal.SIGSTOP)
    while state_of(pid) not in ("T", "Z", "X", ""):
        time.sleep(0.0005)


def stop_in_push(pid, dice):
    """Stop a process while it holds the learner's lock: whether one of 500 moments was of that kind."""
    for _ in range(500):
        stop(pid)
        if holds_lock(pid):
            return True
        os.kill(pid, signal.SIGCONT)
        time.sleep(dice.uniform(0.0, 0.004))
    return False


def hurt(training, plan, dice):
    """Do it: when (time.monotonic), and whether inside a push; None where it came too late."""
    if plan.kind.target == "environment":
        fault = training.folder.parent / "fault"
        while not fault.exists() or not fault.read_text():
            if training.ended():
                return None
            time.sleep(0.01)
        return time.monotonic() - (time.time() - float(fault.read_text())), False
    target, action = plan.kind.target, plan.kind.action
    pid = training.process.pid if target == "everyone" else training.target(target, dice)
    if pid is None or training.ended():
        return None
    send, inside = (os.killpg if target == "everyone" else os.kill), False
    try:
        if plan.kind.in_push:
            inside = stop_in_push(pid, dice)
            if not inside:
                return None
        if action.startswith("SIG"):
            for _ in range(2 if target == "everyone" else 1):  # an impatient Ctrl-C
                send(pid, signal.Signals[action])
                time.sleep(0.02)
        else:
            send(pid, signal.SIGSTOP)
            if action != FOR_GOOD:
                time.sleep(plan.pause)
                send(pid, signal.SIGCONT if action == THEN_ON else signal.SIGKILL)
    except ProcessLookupError:
        return None
    return time.monotonic(), inside


def check_record(folder, summary):
    """Every row whole, env steps rising; and if the run has told how it ended, no update missing and none twice."""
    rows = read_run(folder).rows
    steps = [row["global_step"] for row in rows]
    assert steps == sorted(set(steps))
    for line in (folder / "metrics.jsonl").read_text().splitlines() if rows else []:
        json.loads(line)
    if summary:
        assert sum(row["losses/updates"] for row in rows) == summary["updates"] == sum(summary["staleness"])
        assert (steps[-1] if steps else 0) == summary["env_steps"]


def check_checkpoint(folder, mode):
    """It loads, and is of one moment: as many steps of Adam as updates, as many env steps as those have learnt from."""
    _, state = load_checkpoint(folder / "checkpoint.pt")
    [updates], learner = state["ledger"]["arrays"]["updates"], state["learner"]
    assert updates == int(learner["step"]) and all(torch.isfinite(vector).all() for vector in learner.values())
    assert state["env_steps"] == updates * BATCH * LENGTH * (WORKERS if mode == "sync" else 1)
    return state


def check_ended(training, memory, slowness):
    """No process and no shared memory of it is left."""
    training.seconds_until_all_are_gone(limit=3 * slowness)
    deadline = time.monotonic() + 3 * slowness  # where the parent was killed, another process removes its semaphores
    while left := left_of(memory):
        assert time.monotonic() < deadline, f"shared memory left: {left}"
        time.sleep(0.05)


RESULTS = collections.defaultdict(list)  # of a kind: (survived, seconds to exit or None, whether in a push)


@pytest.fixture(scope="module")
def table(say_at_the_end):
    """Says at the end how many trials there were of each kind, and how long a run took to end from its fault on."""
    yield RESULTS
    results = [result for of_kind in RESULTS.values() for result in of_kind]
    lines = [f"seed {SEED}: {sum(survived for survived, *_ in results)} of {len(results)} runs survived, "
             f"{sum(in_push for *_, in_push in results)} were hurt while holding the lock"]  # fmt: skip
    for kind, of_kind in sorted(RESULTS.items()):
        seconds = [value for _, value, _ in of_kind if value is not None]
        times = f", ended after {statistics.median(seconds):.1f} s (at most {max(seconds):.1f})" if seconds else ""
        lines.append(f"  {kind}: {sum(survived for survived, *_ in of_kind)} of {len(of_kind)}{times}")
    say_at_the_end("\n".join(lines))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(TRIALS), ids=lambda number: f"{SEED}-{number}-{plan(number)}")
def test_a_run_that_is_hurt_keeps_its_promise(tmp_path, table, number):
    trial, dice = plan(number), random.Random(f"{SEED} moment {number}")
    for attempt in range(3):  # it may have ended before it could be hurt
        folder = tmp_path / str(attempt)
        folder.mkdir()
        training = Training(folder / "run", trial.options(folder))
        resumed = None
        try:
            found = hurt_and_watch(training, trial, dice)
            if found is None:
                trial = trial._replace(delay=trial.delay / 2, at=trial.at // 2)
                continue
            seconds, inside, slowness = found
            result = [False, seconds, inside]
            table[str(trial.kind)].append(result)
            resumed = go_on(training, trial, slowness)
            result[0] = True
            return
        finally:
            for program in (training, resumed):
                if program:
                    program.end()
    pytest.fail(f"three runs ended before they could be hurt: {trial}")


def hurt_and_watch(training, trial, dice):
    """Up to the end of the run: seconds that took where a fault or signal ends it, whether in a push, how slow the
    machine is (limits are those of an idle one). None: it came too late."""
    waits_for = "worker" if trial.starting else "wandb" if trial.kind.target == "wandb" else ""
    training.wait_until(lambda: training.target(waits_for, dice) if waits_for else training.has_rows(), seconds=120)
    slowness = max(1.0, (time.monotonic() - training.began) / (3 if trial.starting else 6))
    time.sleep(trial.delay)
    before, memory = training.lines(), training.memory()
    hurt_at = hurt(training, trial, dice)
    if hurt_at is None:
        return None
    moment, inside = hurt_at
    stands_still = 42 if trial.kind.target == "wandb" else 0  # W&B is waited for so long at the end
    try:
        code = training.process.wait((20 + stands_still) * slowness)
    except subprocess.TimeoutExpired:
        pytest.fail(f"it did not end\n{training.said()}")
    seconds, said = time.monotonic() - moment, training.said()
    summary = json.loads((training.folder / "summary.json").read_text()) if code >= 0 else None
    if code == 0 != trial.code and summary["seconds"] >= SECONDS and trial.kind.target != "environment":
        return None  # it had trained to its end
    assert code == trial.code, said
    assert training.lines()[: len(before)] == before
    assert "leaked" not in said and (code == 1 or trial.restart or "Traceback" not in said), said
    if trial.cause:
        assert re.search(trial.cause, said, re.DOTALL), said
        assert trial.code == 0 or re.search(trial.cause, summary["exit_reason"]), summary["exit_reason"]
        assert (REPLACED in said) == trial.restart, said
    elif code > 0:
        assert summary["exit_reason"] == trial.kind.action
    if code >= 0:
        assert summary["exit_code"] == code and not list(training.folder.glob("*.tmp"))
    if code != 0:
        assert seconds < (8 + 2 * (trial.kind.action in (FOR_GOOD, "hangs"))) * slowness
    check_ended(training, memory, slowness)
    check_record(training.folder, summary)
    return seconds if code != 0 else None, inside, slowness


def go_on(training, trial, slowness):
    """Resume what did not come to its end, and see it end well; returns the new process, if any."""
    folder, words = training.folder, ""
    if not (folder / "checkpoint.pt").exists():
        assert trial.code == -signal.SIGKILL  # any other run leaves one
        words = "no checkpoint here"
    else:
        state = check_checkpoint(folder, trial.mode)
        if trial.code == 0:
            return None
        if state["ledger"]["seconds"] >= SECONDS:
            words = "the run is complete"
    resumed = Training(folder, ["--resume", str(folder)])
    try:
        code = resumed.process.wait(60 * slowness)
    except subprocess.TimeoutExpired:
        pytest.fail(f"the resumed run did not end\n{resumed.said()}")
    said = resumed.said()
    if words:
        assert code == 2 and words in said and len(said.splitlines()) == 1, said
        return resumed
    assert code == 0 and "Traceback" not in said, said
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["updates"] > state["ledger"]["arrays"]["updates"][0]
    check_ended(resumed, set(), slowness)
    check_record(folder, summary)
    check_checkpoint(folder, trial.mode)
    return resumed


# --- a disk that is full, a folder that cannot be written


SERIAL = {
    "mode": "serial", "workers": 1, "envs_per_worker": 4, "segment_length": 8, "hidden_size": 8, "torso_size": 8,
    "total_env_steps": 10_000, "eval_episodes": 2, "wandb": "disabled",
}  # fmt: skip
TIMES = ("time/seconds", "time/core_seconds", "charts/SPS")


@pytest.fixture
def disk(tmp_path):
    """A disk of its own of 4 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder]
    mounted = subprocess.run(words, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk):
    """Leave no byte of it."""
    with open(disk / "pad", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def train(folder, on_row=lambda _row: None, run=None, **options):
    """Train in this process: the summary, and what was said."""
    said = []
    run = run or new_run(Config(**{**SERIAL, **options, "run_dir": str(folder)}), envs.make_vector)
    return run.execute(said.append, on_row), "\n".join(said)


def untimed(folder):
    return [{key: value for key, value in row.items() if key not in TIMES} for row in read_run(folder).rows]


@pytest.mark.parametrize(
    ("first", "options", "at", "saved"),
    [
        ("metrics.jsonl", {"log_interval": 32, "checkpoint_interval": 4000}, 4096, 4000),
        ("checkpoint.pt", {"log_interval": 1000, "checkpoint_interval": 1280}, 4000, 3840),
        ("checkpoint.pt", {"log_interval": 10**6, "checkpoint_interval": 10**6}, 0, None),  # only at the end
    ],
)
def test_a_full_disk_ends_a_run_with_the_cause_and_what_was_written_stays(disk, tmp_path, first, options, at, saved):
    """Full from a row on; what fails first is the row that takes a new page of the disk, or the next checkpoint. With
    room again the run goes on, and its record is the one it would have had."""
    folder = disk / "run"

    def fill_at(row):
        if row["global_step"] >= at and not (disk / "pad").exists():
            fill(disk)

    run = new_run(Config(**{**SERIAL, **options, "run_dir": str(folder)}), envs.make_vector)
    start = run.start
    run.start = lambda: (start(), at or fill(disk))
    summary, said = train(folder, fill_at, run)
    assert summary["exit_code"] == 1
    path = re.escape(str(folder / first))
    assert re.search(rf"OSError: \[Errno 28\] No space left on device: '{path}'", summary["exit_reason"])
    assert "No space left on device" in said and "the summary could not be written" in said
    assert sorted(path.name for path in folder.iterdir() if path.suffix == ".tmp") == []
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    assert all(line.endswith("\n") and json.loads(line) for line in lines)

    (disk / "pad").unlink()
    if saved is None:
        with pytest.raises(ValueError, match="no checkpoint here"):
            resumed_run(folder, envs.make_vector)
        return
    assert load_checkpoint(folder / "checkpoint.pt")[1]["env_steps"] == saved
    summary, _ = train(folder, run=resumed_run(folder, envs.make_vector))
    assert summary["exit_code"] == 0 and summary["env_steps"] >= 10_000
    train(tmp_path / "whole", **options)
    assert untimed(folder) == untimed(tmp_path / "whole")


def test_a_disk_that_is_full_at_the_start_is_one_line_and_the_folder_can_be_used_later(disk):
    fill(disk)
    with pytest.raises(ValueError) as refused:
        train(disk / "run")
    line = f"--run-dir {disk}/run: a folder that can be written is needed ([Errno 28] No space left on device)"
    assert str(refused.value) == line
    (disk / "pad").unlink()
    assert train(disk / "run", total_env_steps=320)[0]["exit_code"] == 0


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_a_disk_that_fills_up_under_workers_and_wandb_ends_the_program_in_time(disk, mode):
    folder = disk / "run"
    options = {**TINY, "mode": mode, "wandb": "offline", "run_dir": folder, "max_seconds": 60}
    training = Training(folder, [f"--{name.replace('_', '-')}={value}" for name, value in options.items()])
    try:
        training.wait_until(lambda: (folder / "checkpoint.previous.pt").exists(), seconds=80)
        memory, moment = training.memory(), time.monotonic()
        fill(disk)
        assert training.process.wait(60) == 1
        assert time.monotonic() - moment < 10
        said = training.said()
        assert re.search(r"OSError: \[Errno 28\] No space left on device: '.*/run/(metrics.jsonl|checkpoint.pt)'", said)
        check_ended(training, memory, 1)
        check_record(folder, None)
        check_checkpoint(folder, mode)
    finally:
        training.end()


def test_a_folder_that_cannot_be_written_is_one_line_and_what_is_in_it_stays(disk):
    folder = disk / "run"
    (disk / "empty").mkdir()
    run = new_run(Config(**{**SERIAL, "log_interval": 320, "run_dir": str(folder)}), envs.make_vector)
    train(folder, lambda row: run.note_signal(signal.SIGINT), run)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    for start in (
        lambda: train(disk / "new"),
        lambda: train(disk / "empty"),
        lambda: train(None, run=resumed_run(folder, envs.make_vector)),
    ):
        with pytest.raises(
            ValueError, match=r"^--run-dir .*: a folder that can be written is needed \(.*Errno 30.*\)$"
        ):
            start()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_is_removed_ends_the_run_with_the_cause(tmp_path):
    folder = tmp_path / "run"
    summary, said = train(folder, lambda row: shutil.rmtree(folder, ignore_errors=True), log_interval=320)
    assert summary["exit_code"] == 1 and summary["env_steps"] == 640
    assert f"FileNotFoundError: [Errno 2] No such file or directory: '{folder}/metrics.jsonl'" in summary["exit_reason"]
    assert "the summary could not be written" in said and not folder.exists()
