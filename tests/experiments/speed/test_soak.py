"""The soak: what counts as growth, on samples made by hand, and that it looks at every process of a real run."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from experiments.speed.soak import __main__ as soak
from experiments.speed.soak.processes import children, held_by
from experiments.speed.soak.verdicts import judged
from tests.support.programs import Program, left_of, shared_memory, soon, train_program
from tests.support.runs import ROOT


def samples(process="parent", memory=lambda hours: 100.0, shared=lambda hours: 8.0, descriptors=lambda hours: 20):
    """What a process held every 36 s of an hour."""
    hours = [number / 100 for number in range(101)]
    return [
        {
            "process": process,
            "seconds": 3600 * hour,
            "memory": memory(hour),
            "shared memory": shared(hour),
            "file descriptors": descriptors(hour),
        }
        for hour in hours
    ]


def rows(speed=lambda hours: 1000.0):
    """The record of that hour."""
    return [{"time/seconds": 36.0 * number, "charts/SPS": speed(number / 100)} for number in range(1, 101)]


def verdicts(of_samples, of_rows):
    return {line[0]: line[-1] for line in judged(of_samples, of_rows)}


def test_constant_memory_is_flat_and_constant_speed_is_steady():
    assert judged(samples(), rows()) == [
        ["memory of parent", "100.0 MiB", "100.0 MiB", "+0.0 MiB an hour", "flat"],
        ["shared memory of parent", "8 MiB", "8 MiB", "+0 MiB", "flat"],
        ["file descriptors of parent", "20", "20", "+0", "flat"],
        ["env steps a second", "1,000", "1,000", "+0.0 %", "steady"],
    ]


@pytest.mark.parametrize(
    ("thing", "change", "verdict"),
    [
        ("memory", lambda hours: 100 + 15 * hours, "flat"),
        ("memory", lambda hours: 100 + 17 * hours, "grew"),
        ("memory", lambda hours: 100 - 50 * hours, "flat"),
        ("memory", lambda hours: 100 + 500 * min(hours, 0.2), "flat"),  # to fill up at the start is not to grow
        ("shared", lambda hours: 8 + (hours > 0.7) * 4 / 1024, "grew"),  # by one page
        ("shared", lambda hours: 8 - (hours > 0.7) * 4 / 1024, "changed"),
        ("descriptors", lambda hours: 20 + (hours > 0.7), "grew"),
        ("descriptors", lambda hours: 20 + (round(100 * hours) % 10 == 0), "flat"),  # one open for a moment, at times
    ],
)
def test_growth_is_found_in_memory_from_16_mib_an_hour_and_elsewhere_from_the_smallest(thing, change, verdict):
    found = verdicts([*samples(), *samples("worker 1", **{thing: change})], rows())
    name = {"shared": "shared memory", "descriptors": "file descriptors"}.get(thing, thing)
    assert found.pop(f"{name} of worker 1") == verdict
    assert set(found.values()) == {"flat", "steady"}  # and nothing else is blamed


@pytest.mark.parametrize(
    ("speed", "verdict"),
    [
        (lambda hours: 1000 - 80 * (hours > 0.7), "steady"),
        (lambda hours: 1000 - 120 * (hours > 0.7), "slower"),
        (lambda hours: 1000 + 500 * (hours > 0.7), "steady"),
        (lambda hours: 1000 + 4000 * (hours < 0.15), "steady"),  # before that it was the start
        (lambda hours: 1000 - 900 * (round(100 * hours) % 10 == 0), "steady"),  # one interval in ten
    ],
)
def test_a_run_that_gets_slower_by_more_than_a_tenth_is_not_steady(speed, verdict):
    assert verdicts(samples(), rows(speed))["env steps a second"] == verdict


def test_too_few_samples_are_one_line():
    with pytest.raises(ValueError, match=r"^too short to judge: more --minutes, or less --every, is needed$"):
        judged(samples()[:1], rows())
    with pytest.raises(ValueError, match=r"^too short"):
        judged(samples(), [])


def test_what_a_process_holds_is_seen_from_outside():
    """A child's child that opens three files, 64 KiB under /dev/shm, a fourth, and has 50 MiB of its own."""
    code = """
import mmap, os, sys
if os.fork():
    sys.exit(os.wait()[1])
name = f"/dev/shm/{os.getpid()}"
held = [open(os.devnull) for _ in range(3)]
with open(name, "w+b") as file:
    file.truncate(65536)
    held.append(mmap.mmap(file.fileno(), 65536))
os.unlink(name)
held.append(bytearray(os.urandom(50 * 2**20)))
print("ready", flush=True)
sys.stdin.read()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code, "multiprocessing.forkserver"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        child.stdout.readline()
        assert child.pid in children(os.getpid())
        [worker] = children(child.pid)
        ours, theirs = held_by(os.getpid(), 3.0)[0], held_by(worker, 3.0)[0]
        assert (ours["process"], theirs["process"]) == ("parent", "parent")
        assert "worker 0" in [row["process"] for row in held_by(os.getpid(), 3.0)]
        assert theirs["file descriptors"] == 3 + 4 and theirs["shared memory"] == 0.0625
        assert 50 < theirs["memory"] < 70 and theirs["seconds"] == 3.0
    finally:
        child.communicate("")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--minutes=0"], "--minutes 0: a number above 0 is needed"),
        (["--every=nan"], "--every nan: a number above 0 is needed"),
        (["--out=tests"], "--out tests: it is not empty, name a new folder"),
    ],
)
def test_an_option_that_cannot_work_is_one_line(monkeypatch, capsys, words, line):
    monkeypatch.setattr(sys, "argv", ["soak", *words])
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as end:
        soak.main()
    assert end.value.code == 2 and capsys.readouterr().err == f"error: {line}\n"


@pytest.mark.slow
def test_a_short_soak_looks_at_parent_workers_and_wandb_and_writes_its_page(tmp_path):
    """30 seconds; so short a time may be judged either way."""
    ended = subprocess.run(
        [sys.executable, "-m", "experiments.speed.soak", "--minutes=0.5", "--every=0.5", f"--out={tmp_path / 'soak'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ended.returncode in (0, 1), ended.stderr
    page = (tmp_path / "soak" / "soak.md").read_text()
    for process in ("parent", "worker 0", "worker 1", "W&B"):
        assert f"| memory of {process} | " in page and f"| file descriptors of {process} | " in page
    assert "| env steps a second | " in page and page in ended.stdout
    with open(tmp_path / "soak" / "samples.csv") as file:
        found = list(csv.DictReader(file))
    assert {row["process"] for row in found} == {"parent", "worker 0", "worker 1", "W&B"}
    assert (ended.returncode == 1) == ("not flat: " in ended.stdout)


@pytest.mark.slow
def test_a_soak_that_sigterm_ends_ends_its_run(tmp_path):
    command = [sys.executable, "-m", "experiments.speed.soak", "--minutes=5", f"--out={tmp_path / 'soak'}"]
    program = Program(tmp_path / "soak" / "run", command)
    try:
        program.wait_until(program.has_rows)
        program.process.terminate()
        assert program.process.wait(soon(60)) == 143
        program.seconds_until_all_are_gone(limit=soon(3))
    finally:
        program.end()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["async", "sync"])
def test_between_updates_100_and_1100_no_process_grows_and_nothing_is_left_under_dev_shm(tmp_path, mode):
    """A row and 32 env steps (sync: 64) an update, and a checkpoint every 50: 2 MiB in 1000 updates would be 2 GiB in a
    million. pytorch/pytorch#13246: memory that grows until the run is killed."""
    steps = 64 if mode == "sync" else 32
    program = train_program(tmp_path / "run", mode=mode, log_interval=steps, checkpoint_interval=50 * steps)
    try:
        first, last = (held_at(program, updates * steps) for updates in (100, 1100))
        memory = shared_memory(program.process.pid)
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(60) == 128 + signal.SIGTERM and not left_of(memory)
    finally:
        program.end()
    assert list(first) == list(last) == ["parent", "worker 0", "worker 1"]
    for name, before in first.items():
        after = last[name]
        assert after["file descriptors"] == before["file descriptors"]
        assert after["shared memory"] == before["shared memory"]
        assert after["memory"] < before["memory"] + 2


def held_at(program, env_steps):
    """What the processes of a run hold when it has made so many env steps, by name: the least of five looks, since a
    checkpoint may be open."""
    program.wait_until(lambda: program.has_rows() and last_step(program) >= env_steps, seconds=240)
    looks = []
    for _ in range(5):
        looks.append({row.pop("process"): row for row in held_by(program.process.pid, 0.0)})
        time.sleep(0.05)
    return {name: {thing: min(look[name][thing] for look in looks) for thing in row} for name, row in looks[0].items()}


def last_step(program):
    """The env steps of the last row that is whole."""
    return max((json.loads(line)["global_step"] for line in program.lines()), default=0)
