"""Faults at random moments: real runs are hurt, and held to what is promised of them.

A run that is hurt ends in time and names the cause, or goes on; no process and no shared memory of it is left; its
record is whole to the last interval; what it counts adds up; and `--resume` goes on from there to the end, with no
step lost or twice: in sync and serial mode with the very rows of a run that was never hurt. `TRIALS=500 SEED=2 make
test-all` makes other trials than the 100 of seed 1; each draws its run, fault and moment from the seed and its number,
but what a run is at in that moment hangs on the machine.
"""

import collections
import contextlib
import functools
import json
import math
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import envs
from experiments.lab.records import read_record
from rl.record.checkpoint import load_checkpoint
from rl.running.resume import is_evaluated
from rl.running.run import new_run, resumed_run
from tests.support.configs import cartpole_config
from tests.support.programs import Program, arguments, execute, left_of, shared_memory, soon, train_program
from tests.support.runs import SERIAL, untimed, without_times, words

TRIALS, SEED = int(os.environ.get("TRIALS", 100)), int(os.environ.get("SEED", 1))
WORKERS, BATCH, LENGTH = 2, 2, 2
SECONDS = 2.0  # of training in most runs
BUSY = {  # short segments, so that a large share of the time is pushes
    "env": "MaskedVelocityCartPole-v1",
    "workers": WORKERS,
    "envs_per_worker": BATCH,
    "segment_length": LENGTH,
    "hidden_size": 32,
    "torso_size": 32,
    "total_env_steps": 10_000_000,
    "log_interval": 64,
    "checkpoint_interval": 256,
    "eval_episodes": 2,
    "worker_timeout": 20,
}
FOR_GOOD, THEN_KILLED, THEN_ON = "stopped for good", "stopped, then killed", "stopped, then continued"
FILES = {
    "config.json",
    "metrics.jsonl",
    "summary.json",
    "checkpoint.pt",
    "checkpoint.previous.pt",
    "wandb",
    "wandb.json",
}
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
    *[
        Kind("environment", action)
        for action in ("raises", "exits", "leaves", "nan_reward", "nan_observation", "hangs", "slow")
    ],
]
NOT_FINITE = r"worker 1 failed: Faulty-v0: step gave .*nan.*"
CAUSES = {
    ("worker", "SIGKILL"): r"worker \d was killed by SIGKILL",
    ("worker", THEN_KILLED): r"worker \d was killed by SIGKILL",
    ("worker", FOR_GOOD): r"worker \d made no progress for 2 s \(--worker-timeout\), and cannot tell where",
    ("environment", "raises"): r"worker 1 failed:.*RuntimeError: the pole fell on my foot",
    ("environment", "exits"): r"worker 1 failed:.*SystemExit: bye",
    ("environment", "leaves"): r"worker 1 ended early: exit code 0",
    ("environment", "nan_reward"): NOT_FINITE,
    ("environment", "nan_observation"): NOT_FINITE,
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
    def seconds(self):
        """Of training, its continuation included: a hang is to be found before the others have come to the end."""
        return SECONDS + 3 * (self.kind.action in (FOR_GOOD, "hangs") and self.kind.target != "wandb")

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
        options = {
            **BUSY,
            "mode": self.mode,
            "run_dir": folder / "run",
            "restart_workers": int(self.restart),
            "max_seconds": self.seconds,
        }
        if self.mode == "serial":
            options["workers"] = 1
        options["wandb"] = "offline" if self.kind.target in ("wandb", "everyone", "parent") else "disabled"
        if self.kind.action in (FOR_GOOD, "hangs") or self.kind in (Kind("everyone", THEN_ON), Kind("parent", THEN_ON)):
            options["worker_timeout"] = 2  # the last two stand still for longer, which is no fault of a worker
        given = words(options)
        if self.kind.target == "environment":
            given.append("--env=tests.support.faulty_envs:Faulty-v0")
            how = arguments(fault=self.kind.action, at=self.at, folder=folder, once=True)
            given += [f"--env-arg={argument}" for argument in how]
        return given


def plan(number):
    """Trial `number`: each kind once, in an order of their own, then each again."""
    order = list(KINDS)
    random.Random(f"{SEED} order {number // len(KINDS)}").shuffle(order)
    kind, dice = order[number % len(KINDS)], random.Random(f"{SEED} trial {number}")
    mode = dice.choice(["async", "sync", "serial"] if kind.target == "parent" else ["async", "sync"])
    restart = mode == "async" and kind[:2] in CAUSES and dice.random() < 0.5
    starting = kind.target in ("worker", "parent", "everyone") and not kind.in_push and kind.action != FOR_GOOD
    starting = starting and mode != "serial" and dice.random() < 0.2
    pause = dice.uniform(0.1, 0.8) if kind.target == "worker" else dice.uniform(0.1, 3.0)
    return Plan(kind, mode, restart, starting, dice.uniform(0, 0.4 * SECONDS), pause, dice.randrange(10, 400))


class Training(Program):
    """The command line, whose temporary files are in a folder of their own."""

    def __init__(self, folder, options, temporary):
        self.began, self.temporary = time.monotonic(), temporary
        self.alone = False  # its workers had done their work when it was killed
        temporary.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "experiments.train", *options]
        super().__init__(folder, command, COLUMNS="1000", TMPDIR=str(temporary))

    def ended(self):
        return self.process.poll() is not None

    def target(self, name, dice):
        """The process to hurt; None where it is not there (any more)."""
        if name == "parent":
            return None if self.ended() else self.process.pid
        found = self.workers() if name == "worker" else {pid for pid in self.everyone() if command(pid) == "wandb-core"}
        return dice.choice(sorted(found)) if found else None

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


def holders(pids):
    """Which of these processes hold a POSIX lock, as the learner's is, and do not only wait for one."""
    lines = map(str.split, Path("/proc/locks").read_text().splitlines())
    return pids & {int(words[4]) for words in lines if words[1] == "POSIX"}


def stop(pid):
    """Stop a process, and return when it stands still."""
    os.kill(pid, signal.SIGSTOP)
    while state_of(pid) != "T":
        if state_of(pid) in ("Z", "X", ""):
            raise ProcessLookupError
        time.sleep(0.0005)


def stop_in_push(pids, dice):
    """Stop one of these processes while it holds the learner's lock: which one, if that came about in two seconds."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        for pid in holders(pids):  # in sync mode worker 0 makes the updates, and the others hold it as they pull
            time.sleep(dice.uniform(0, 0.0002))
            stop(pid)
            if holders({pid}):
                return pid
            os.kill(pid, signal.SIGCONT)
    return None


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
            pid = stop_in_push(training.workers(), dice)
            if pid is None:
                return None
            inside = True
        if action.startswith("SIG"):
            for _ in range(2 if target == "everyone" else 1):  # an impatient Ctrl-C
                send(pid, signal.Signals[action])
                time.sleep(0.02)
        else:
            send(pid, signal.SIGSTOP)
            stop(pid)  # it stands still, and did not end a moment before
            if action != FOR_GOOD:
                time.sleep(plan.pause)
                training.alone = not training.workers()
                send(pid, signal.SIGCONT if action == THEN_ON else signal.SIGKILL)
    except ProcessLookupError:
        return None
    return time.monotonic(), inside


def check_record(folder, summary):
    """Every row whole and of numbers, env steps rising; and if the run has told how it ended, no update missing and
    none twice."""
    rows = read_record(folder).rows
    steps = [row["global_step"] for row in rows]
    assert steps == sorted(set(steps))
    for line in (folder / "metrics.jsonl").read_text().splitlines() if rows else []:
        assert all(value is None or math.isfinite(value) for value in json.loads(line).values())
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


def check_repeats(folder, whole, env_steps=math.inf):
    """So many env steps of a record are those of a run that was never hurt; its last row may have been cut short."""
    rows = [row for row in without_times(read_record(folder).rows) if row["global_step"] <= env_steps][:-1]
    for row, expected in zip(rows, whole, strict=False):  # it may be the longer one
        assert row == expected


def check_ended(training, memory, slowness):
    """No process, no shared memory and no temporary file of it is left."""
    training.seconds_until_all_are_gone(limit=3 * slowness)
    deadline = time.monotonic() + 3 * slowness  # where the parent was killed, another process removes its semaphores
    while left := left_of(memory):
        assert time.monotonic() < deadline, f"shared memory left: {left}"
        time.sleep(0.05)
    left = [path for path in training.temporary.iterdir()]
    if training.process.returncode == -signal.SIGKILL:  # then nobody can remove what W&B has put there
        left = [path for path in left if not is_of_wandb(path, training.process.pid)]
        if training.alone:  # nor the folder of the socket, which a worker else removes
            left = [path for path in left if not path.name.startswith("pymp-")]
    names = [path.name for path in left]
    assert not names, f"temporary files left: {names}"


def is_of_wandb(path, pid):
    """Whether W&B has made this folder for a process: for what it uploads, for the socket of its own process, or, while
    that process starts, for the number of its port."""
    with contextlib.suppress(OSError):
        inside = [file.name for file in path.iterdir()] if path.is_dir() else []
        starts = path.name.startswith("tmp") and set(inside) <= {f"port-{pid}.txt"}
        return path.name.endswith(("wandb-media", "wandb-artifacts")) or path.name.startswith(f"wandb-{pid}-") or starts
    return True  # it has just gone


class Result:
    """Of a run that was hurt."""

    survived = in_push = exact = False  # exact: all its rows are those of a run that was never hurt, bit by bit
    seconds = None  # from then on to its end; None: it went on


@pytest.fixture(scope="module")
def table(say_at_the_end):
    """Says at the end how many trials there were of each kind, and how long a run took to end from its fault on."""
    of_kinds = collections.defaultdict(list)
    yield of_kinds
    results = [result for of_kind in of_kinds.values() for result in of_kind]
    count = {name: sum(getattr(result, name) for result in results) for name in ("survived", "in_push", "exact")}
    lines = [
        f"seed {SEED}: {count['survived']} of {len(results)} runs that were hurt survived, {count['exact']} were "
        f"a whole run bit by bit, {count['in_push']} were hurt while holding the lock"
    ]
    for kind, of_kind in sorted(of_kinds.items()):
        seconds = [result.seconds for result in of_kind if result.seconds is not None]
        times = f", ended after {statistics.median(seconds):.1f} s (at most {max(seconds):.1f})" if seconds else ""
        lines.append(f"  {kind}: {sum(result.survived for result in of_kind)} of {len(of_kind)}{times}")
    say_at_the_end("\n".join(lines))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Rows of a run that was never hurt, three times as long, by mode; none where each run has others."""

    @functools.cache
    def rows(mode):
        folder = tmp_path_factory.mktemp(mode)
        trial = Plan(Kind("nobody", ""), mode, False, False, 0, 0, 0)
        training = Training(folder / "run", [*trial.options(folder), f"--max-seconds={3 * SECONDS}"], folder / "tmp")
        try:
            assert training.process.wait(240) == 0, training.said()
        finally:
            training.end()
        return without_times(read_record(folder / "run").rows)[:-1]

    return lambda mode: [] if mode == "async" else rows(mode)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(TRIALS), ids=lambda number: f"{SEED}-{number}-{plan(number)}")
def test_a_run_that_is_hurt_keeps_its_promise(tmp_path, table, whole, record_property, number):
    trial, dice = plan(number), random.Random(f"{SEED} moment {number}")
    for attempt in range(4):  # it may have ended before it could be hurt
        folder = tmp_path / str(attempt)
        folder.mkdir()
        training = Training(folder / "run", trial.options(folder), folder / "tmp")
        resumed = None
        try:
            found = hurt_and_watch(training, trial, dice)
            if found is None:
                trial = trial._replace(delay=trial.delay / 2, at=trial.at // 2)
                continue
            result = Result()
            table[str(trial.kind)].append(result)
            result.seconds, result.in_push, slowness = found
            for name in ("seconds", "in_push"):
                record_property(name, getattr(result, name))
            rows = [] if trial.kind.target == "environment" else whole(trial.mode)
            check_repeats(training.folder, rows)
            resumed = go_on(training, trial, slowness)
            result.exact = bool(rows) and check_exact(training.folder, trial, training.said(), resumed, rows)
            result.survived = True
            return
        finally:
            for program in (training, resumed):
                if program:
                    program.end()
    pytest.fail(f"four runs ended before they could be hurt: {trial}")


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
    came_late = code == 0 or trial.restart  # nobody takes a place then
    if code != trial.code and came_late and summary["seconds"] >= trial.seconds:
        return None  # it had trained to its end
    assert code == trial.code, said
    assert training.lines()[: len(before)] == before
    assert code < 0 or "leaked" not in said, said  # of one that was killed, others remove semaphores, and say so
    assert code == 1 or trial.restart or "Traceback" not in said, said
    if trial.cause:
        assert re.search(trial.cause, said, re.DOTALL), said
        assert trial.code == 0 or re.search(trial.cause, summary["exit_reason"]), summary["exit_reason"]
        assert (REPLACED in said) == trial.restart, said
    elif code > 0:
        assert summary["exit_reason"] == trial.kind.action
    elif trial.kind.target == "wandb" and trial.kind.action != THEN_ON:
        assert re.search(r"W&B (stopped \(|did not end in time)", said), said
    if code >= 0:
        assert summary["exit_code"] == code and set(os.listdir(training.folder)) <= FILES
    if code != 0:
        hangs, mirrored = trial.kind.action in (FOR_GOOD, "hangs"), code > 1  # W&B may take its time after a signal
        assert seconds < (8 + 2 * hangs + 20 * mirrored) * slowness
    check_ended(training, memory, slowness)
    check_record(training.folder, summary)
    return seconds if code != 0 else None, inside, slowness


def go_on(training, trial, slowness):
    """Resume what did not come to its end, and see it end well; returns the new process, if any."""
    folder, refusal = training.folder, ""
    if not (folder / "checkpoint.pt").exists():
        assert trial.code == -signal.SIGKILL  # any other run leaves one
        refusal = "no checkpoint here"
    else:
        state = check_checkpoint(folder, trial.mode)
        if trial.code == 0:
            return None
        trained = state["ledger"]["seconds"] >= trial.seconds
        if trained and not state["ledger"]["pending"] and is_evaluated(folder):
            refusal = "the run is complete"
    resumed = Training(folder, ["--resume", str(folder)], folder.with_name("tmp again"))
    try:
        code = resumed.process.wait(60 * slowness)
    except subprocess.TimeoutExpired:
        pytest.fail(f"the resumed run did not end\n{resumed.said()}")
    said = resumed.said()
    if refusal:
        assert code == 2 and refusal in said and len(said.splitlines()) == 1, said
        return resumed
    assert code == 0 and "Traceback" not in said, said
    summary = json.loads((folder / "summary.json").read_text())
    assert trained or summary["updates"] > state["ledger"]["arrays"]["updates"][0]
    assert set(os.listdir(folder)) <= FILES
    check_ended(resumed, set(), slowness)
    check_record(folder, summary)
    check_checkpoint(folder, trial.mode)
    return resumed


def check_exact(folder, trial, training_said, resumed, whole):
    """Whether a run went on to its end as if it had never been hurt: it says so where not, which is where a worker
    failed by itself or before anything was saved."""
    said = resumed.said() if resumed else ""
    anew = re.search(r"going on from (\d+) env steps, not bit by bit", said)
    check_repeats(folder, whole, int(anew[1]) if anew else math.inf)
    assert not anew or (trial.kind.target == "worker" and "stays" not in training_said), said
    return not anew and not re.search("no checkpoint|is complete", said)


@pytest.mark.slow
def test_a_worker_that_takes_anothers_place_may_start_up_for_longer_than_it_may_hang(tmp_path):
    """It imports torch for longer than a second: that was counted as a second without progress when it was ready."""
    given = arguments(fault="raises", at=100, folder=tmp_path, once=True)
    limits = {"worker_timeout": 1.0, "restart_workers": 1, "total_env_steps": 4000}
    summary, said, _ = execute(tmp_path / "run", *given, **limits)
    assert said.endswith(REPLACED) and "no progress" not in said
    assert (summary["exit_code"], summary["restarts"]) == (0, 1)


@pytest.mark.slow
def test_ctrl_c_is_kept_from_the_first_worker_of_a_program_too(tmp_path):
    """Python starts a process that removes semaphores together with the first worker, and lets SIGINT and SIGTERM
    through again where it did: that worker ended the run with a KeyboardInterrupt."""
    program = train_program(
        tmp_path / "run", "--env-arg=fault=probe", f"--env-arg=folder={tmp_path}", total_env_steps=64
    )
    try:
        assert program.process.wait(soon(60)) == 0, program.said()
    finally:
        program.end()
    for rank in (0, 1):
        assert json.loads((tmp_path / f"worker {rank}.json").read_text())["sigint_blocked"]


# --- a disk that is full, a folder that cannot be written


LONG_ENOUGH = {**SERIAL, "total_env_steps": 10_000}


@pytest.fixture
def disk(tmp_path):
    """A disk of its own of 4 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder]
    mounted = subprocess.run(mount, capture_output=True, text=True)
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
    run = run or new_run(cartpole_config(**{**LONG_ENOUGH, **options, "run_dir": str(folder)}), envs.make_vector)
    return run.execute(said.append, on_row), "\n".join(said)


@pytest.mark.parametrize(
    ("first", "options", "at", "saved"),
    [
        pytest.param(
            *("metrics.jsonl", {"log_interval": 32, "checkpoint_interval": 4000}, 4096, 4000), marks=pytest.mark.slow
        ),
        ("checkpoint.pt", {"log_interval": 1000, "checkpoint_interval": 1280}, 4000, 3840),
        pytest.param(  # only at the end
            *("checkpoint.pt", {"log_interval": 10**6, "checkpoint_interval": 10**6}, 0, None), marks=pytest.mark.slow
        ),
    ],
)
def test_a_full_disk_ends_a_run_with_the_cause_and_what_was_written_stays(disk, tmp_path, first, options, at, saved):
    """Full from a row on; what fails first is the row that takes a new page of the disk, or the next checkpoint. With
    room again the run goes on, and its record is the one it would have had."""
    folder = disk / "run"

    def fill_at(row):
        if row["global_step"] >= at and not (disk / "pad").exists():
            fill(disk)

    run = new_run(cartpole_config(**{**LONG_ENOUGH, **options, "run_dir": str(folder)}), envs.make_vector)
    begin = run.duties.begin
    run.duties.begin = lambda: (begin(), at or fill(disk))
    summary, said = train(folder, fill_at, run)
    assert summary["exit_code"] == 1
    path = re.escape(str(folder / first))
    assert re.search(rf"OSError: \[Errno 28\] No space left on device: '{path}'", summary["exit_reason"])
    assert "No space left on device" in said and not (folder / "summary.json").exists()
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


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["async", "sync"])
def test_a_disk_that_fills_up_under_workers_and_wandb_ends_the_program_in_time(disk, tmp_path, mode):
    folder = disk / "run"
    options = {**BUSY, "mode": mode, "wandb": "offline", "run_dir": folder, "max_seconds": 60}
    training = Training(folder, words(options), tmp_path / "tmp")
    try:
        training.wait_until(lambda: (folder / "checkpoint.previous.pt").exists(), seconds=80)
        memory, moment = training.memory(), time.monotonic()
        fill(disk)
        assert training.process.wait(soon(60)) == 1
        assert time.monotonic() - moment < soon(10)
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
    run = new_run(cartpole_config(**{**LONG_ENOUGH, "log_interval": 320, "run_dir": str(folder)}), envs.make_vector)
    train(folder, lambda row: run.outcome.note_signal(signal.SIGINT), run)
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
    assert summary["exit_code"] == 1 and summary["env_steps"] == 672  # the row of 640, and one more update
    assert f"FileNotFoundError: [Errno 2] No such file or directory: '{folder}/metrics.jsonl'" in summary["exit_reason"]
    assert said.count("Traceback") == 1 and not folder.exists()
