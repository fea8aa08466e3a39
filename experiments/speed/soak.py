"""Train for an hour and look whether anything grows.

Question: can a run be left alone for days: flat memory, file descriptors and shared memory, steady speed?
Command:  python -m experiments.speed.soak --minutes 60
Time:     as long as --minutes.
Output:   samples.csv, a row a process and look, and soak.md in --out; exit code 1 if something grew or speed fell.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

GROWTH = 16.0  # MiB of memory that a process may gain in an hour
SLOWER = 0.9  # of the first speed is steady
PARTS = 5  # of the time: in the first everything still fills up, the second is compared with the last
MIB = 2**20


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    minutes: float = 60.0
    """How long to train; below 20, what only fills up at first can look like growth."""
    mode: Literal["async", "sync"] = "async"
    """Of the run."""
    every: float = 10.0
    """Seconds between two looks."""
    out: Path = Path("runs/soak")
    """New folder for the run, the samples and the page."""


def main() -> None:
    """Parse the command line, train, judge."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: soak(parse(Command, __doc__)))


def soak(command: Command) -> None:
    """Train in a process of its own, look at it and at its children from outside, then judge what was seen.

    Raises:
        ValueError: an option cannot work.
    """
    for option, value in (("--minutes", command.minutes), ("--every", command.every)):
        if not 0 < value < 1e6:
            raise ValueError(f"{option} {value:g}: a number above 0 is needed")
    if command.out.exists() and any(command.out.iterdir()):
        raise ValueError(f"--out {command.out}: it is not empty, name a new folder")
    import json

    from experiments.lab.records import read_run
    from rl.record.wandb_mirror import exit_process

    command.out.mkdir(parents=True, exist_ok=True)
    folder = command.out / "run"
    exit_code, samples = train(command, folder)
    if exit_code:
        exit_process(exit_code)  # it has said why
    verdicts = judged(samples, read_run(folder).rows)
    page = table(verdicts, json.loads((folder / "summary.json").read_text()), command)
    (command.out / "soak.md").write_text(page)
    print(page)
    if bad := [row[0] for row in verdicts if row[-1] not in ("flat", "steady")]:
        print(f"not flat: {', '.join(bad)}")
        exit_process(1)


def train(command: Command, folder: Path) -> tuple[int, list[dict[str, Any]]]:
    """Exit code of a run that trains as long as is asked, and what its processes held while it trained.

    Each look is appended to samples.csv: a soak that is killed keeps what it saw.
    """
    import subprocess
    import sys
    import time

    from experiments.lab.learning_study import append_csv

    options = {
        "mode": command.mode,
        "max_seconds": 60 * command.minutes,
        "log_interval": 2**15,
        "checkpoint_interval": 2**23,
        "wandb": "offline",
        "run_dir": folder,
        "total_env_steps": round(6e7 * command.minutes) + 1,  # a million a second: more than there will be
    }
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    process = subprocess.Popen([sys.executable, "-m", "experiments.train", *words, "--no-anneal-learning-rate"])
    record, samples, began = folder / "metrics.jsonl", [], None
    try:
        while process.poll() is None:
            if began is None and record.exists() and record.stat().st_size:  # training has begun
                began = time.monotonic()
            if began is not None and time.monotonic() - began < 60 * command.minutes:
                samples += (seen := held_by(process.pid, time.monotonic() - began))
                append_csv(command.out / "samples.csv", seen)
            time.sleep(command.every if began is not None else 0.1)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    return process.returncode, samples


def held_by(parent: int, seconds: float) -> list[dict[str, Any]]:
    """What the processes of a run hold: MiB of memory of their own and of shared memory, and file descriptors."""
    import os

    workers, rows = 0, []
    for pid in [parent, *children(parent)]:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text()
            status = Path(f"/proc/{pid}/status").read_text().splitlines()
            maps = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
            descriptors = len(os.listdir(f"/proc/{pid}/fd"))
            [kilobytes] = [int(line.split()[1]) for line in status if line.startswith("RssAnon:")]
        except (OSError, ValueError):
            continue  # it has just ended
        if pid == parent:
            name = "parent"
        elif "spawn_main" in words:
            name, workers = f"worker {workers}", workers + 1  # started in order of rank
        elif "wandb-core" in words:
            name = "W&B"
        else:
            continue  # the one that only waits to remove semaphores
        shared = [entry[0].split("-") for entry in maps if len(entry) > 5 and entry[5].startswith("/dev/shm/")]
        rows.append(
            {
                "process": name,
                "seconds": round(seconds, 1),
                "memory": kilobytes / 1024,
                "shared memory": sum(int(end, 16) - int(start, 16) for start, end in shared) / MIB,
                "file descriptors": descriptors,
            }
        )
    return rows


def children(parent: int) -> list[int]:
    """Process ids of a process's children, in the order in which they were started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append((int(fields[19]), int(stat.parent.name)))
    return [pid for _, pid in sorted(found)]


def judged(samples: list[dict[str, Any]], rows: list[dict[str, float]]) -> list[list[str]]:
    """Lines of the table: what it is, its medians in the second part of the time and in the last, and the verdict.

    Args:
        samples: of `held_by`.
        rows: of the record.
    """
    lines = []
    for process in dict.fromkeys(row["process"] for row in samples):
        early, late = second_and_last([row for row in samples if row["process"] == process], "seconds")
        hours = (middle(late, "seconds") - middle(early, "seconds")) / 3600
        for thing in ("memory", "shared memory", "file descriptors"):
            before, after = middle(early, thing), middle(late, thing)
            if thing == "memory":
                growth = (after - before) / hours
                said = [f"{before:.1f} MiB", f"{after:.1f} MiB", f"{growth:+.1f} MiB an hour"]
                flat = growth <= GROWTH
            else:
                unit = " MiB" if thing == "shared memory" else ""
                said = [f"{before:g}{unit}", f"{after:g}{unit}", f"{after - before:+g}{unit}"]
                flat = after == before
            lines.append([f"{thing} of {process}", *said, "flat" if flat else "grew" if after > before else "changed"])
    before, after = (middle(part, "charts/SPS") for part in second_and_last(rows, "time/seconds"))
    verdict = "steady" if after >= SLOWER * before else "slower"
    said = [f"{before:,.0f}", f"{after:,.0f}", f"{100 * (after / before - 1):+.1f} %"]
    return [*lines, ["env steps a second", *said, verdict]]


def second_and_last(rows: list[dict[str, Any]], time: str) -> list[list[dict[str, Any]]]:
    """Those rows that fall into the second part of the time, and those of the last.

    Raises:
        ValueError: there are none.
    """
    last = max((row[time] for row in rows), default=0.0)
    parts = [
        [row for row in rows if low * last <= PARTS * row[time] <= high * last]
        for low, high in ((1, 2), (PARTS - 1, PARTS))
    ]
    if last == 0 or not all(parts):
        raise ValueError("too short to judge: more --minutes, or less --every, is needed")
    return parts


def middle(rows: list[dict[str, Any]], key: str) -> float:
    """The median of a column."""
    from statistics import median

    return median(row[key] for row in rows)


def table(verdicts: list[list[str]], summary: dict[str, Any], command: Command) -> str:
    """The page."""
    rows = [["", "second fifth", "last fifth", "difference", ""], ["---"] * 5, *verdicts]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return (
        f"{lines}\n\nMedians over fifths of the time; in the first one everything still fills up. "
        f"{summary['env_steps']:,} env steps and {summary['updates']:,} updates in {summary['seconds'] / 60:.1f} "
        f"minutes of `python -m experiments.speed.soak --minutes {command.minutes:g} --mode {command.mode}`.\n"
    )


if __name__ == "__main__":
    main()
