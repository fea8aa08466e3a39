"""Train for an hour and look whether anything grows.

Question: can a run be left alone for days: flat memory, file descriptors and shared memory, steady speed?
Command:  python -m experiments.speed.soak --minutes 60 (or: make soak)
Time:     as long as --minutes.
Output:   samples.csv, a row for each process and look, and soak.md in --out; exit code 1 if anything grew or slowed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from experiments.lab.rows import Row


@dataclass(frozen=True)
class Command:
    """The options of the command."""

    minutes: float = 60.0
    """How long to train; below 20, what only fills up at first can look like growth."""
    mode: Literal["async", "sync"] = "async"
    """Mode of the run."""
    every: float = 10.0
    """Seconds between two looks."""
    out: Path = Path("runs/soak")
    """New folder for the run, the samples and the page."""


def main() -> None:
    """Parse the command line, train, judge."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: soak(parse(Command, __doc__)))


def soak(command: Command) -> None:
    """Train in another process, look at it and its children from outside, and judge what was seen.

    Raises:
        ValueError: an option cannot work.
    """
    for option, value in (("--minutes", command.minutes), ("--every", command.every)):
        if not 0 < value < 1e6:
            raise ValueError(f"{option} {value:g}: a number above 0 is needed")
    if command.out.exists() and any(command.out.iterdir()):
        raise ValueError(f"--out {command.out}: it is not empty, name a new folder")
    import json

    from experiments.lab.records import read_record
    from experiments.lab.tables import publish
    from experiments.speed.soak.verdicts import judged
    from rl.record.exit_process import exit_process

    command.out.mkdir(parents=True, exist_ok=True)
    folder = command.out / "run"
    exit_code, samples = train(command, folder)
    if exit_code:
        exit_process(exit_code)  # the run has printed why
    verdicts = judged(samples, read_record(folder).rows)
    publish(
        command.out, "soak", page(verdicts, json.loads((folder / "summary.json").read_text(encoding="utf-8")), command)
    )
    if bad := [row[0] for row in verdicts if row[-1] not in ("flat", "steady")]:
        print(f"not flat: {', '.join(bad)}")
        exit_process(1)


def train(command: Command, folder: Path) -> tuple[int, list[Row]]:
    """Train as long as is asked; return the run's exit code, and what its processes held while it trained.

    Each look is appended to samples.csv, so a soak that is killed keeps what it saw.
    """
    import subprocess
    import sys
    import time

    from experiments.lab.rows import append_csv
    from experiments.speed.soak.processes import held_by

    options = {
        "mode": command.mode,
        "max_seconds": 60 * command.minutes,
        "log_interval": 2**15,
        "checkpoint_interval": 2**23,
        "wandb": "offline",
        "run_dir": folder,
        "total_env_steps": round(6e7 * command.minutes) + 1,  # a million a second, more than any run makes
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


def page(verdicts: list[list[str]], summary: dict, command: Command) -> str:
    """Write the table of verdicts, and what was trained."""
    rows = [["", "second fifth", "last fifth", "difference", ""], ["---"] * 5, *verdicts]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return (
        f"{lines}\n\nMedians over fifths of the time; in the first one everything still fills up. "
        f"{summary['env_steps']:,} env steps and {summary['updates']:,} updates in {summary['seconds'] / 60:.1f} "
        f"minutes of `python -m experiments.speed.soak --minutes {command.minutes:g} --mode {command.mode}`.\n"
    )


if __name__ == "__main__":
    main()
