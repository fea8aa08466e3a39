"""Train for an hour and look whether anything grows.

Question: can a run be left alone for days: flat memory, file descriptors and shared memory, steady speed?
Command:  python -m experiments.soak --minutes 60
Time:     as long as --minutes.
Output:   samples.csv, a row a process every ten seconds, and soak.md in --out; exit code 1 if something grew.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FIRST = 0.2  # of the samples: what is compared with the last; before them everything still fills up
GROWTH_BYTES = 16 * 2**20  # of a process in an hour
SLOWER = 0.9  # of the first speed


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    minutes: float = 60.0
    """How long to train."""
    mode: Literal["async", "sync"] = "async"
    """Of the run."""
    every: float = 10.0
    """Seconds between two looks."""
    out: Path = Path("runs/soak")
    """Folder of the run, the samples and the page."""


def main() -> None:
    """Parse the command line, train, judge."""
    from experiments.command_line import experiment, parse

    experiment(lambda: soak(parse(Command, __doc__)))


def soak(command: Command) -> None:
    """Train and sample, then write what was seen.

    Raises:
        ValueError: an option cannot work.
    """
    for option, value in (("--minutes", command.minutes), ("--every", command.every)):
        if not 0 < value < 1e6:
            raise ValueError(f"{option} {value:g}: a number above 0 is needed")
    if command.out.exists() and any(command.out.iterdir()):
        raise ValueError(f"--out {command.out}: it is not empty, name a new folder")
    import threading

    import envs
    from experiments.learning_study import write_csv
    from rl.config import Config
    from rl.tracking import leave
    from rl.train import new_run

    config = Config(
        mode=command.mode, total_env_steps=2**40, max_seconds=60 * command.minutes, log_interval=10_000_000,
        checkpoint_interval=10_000_000, anneal_learning_rate=False, wandb="offline", run_dir=str(command.out / "run"),
    )  # fmt: skip
    run, samples, over = new_run(config, envs.make_vector), [], threading.Event()

    def look() -> None:
        while not over.wait(command.every):
            samples.extend(sample(run))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    summary = run.execute()
    over.set()
    thread.join()
    write_csv(command.out / "samples.csv", samples)
    verdicts = judged(samples)
    page = table(verdicts, summary)
    (command.out / "soak.md").write_text(page)
    print(page)
    grown = [row[0] for row in verdicts if row[-1] not in ("flat", "steady")]
    if grown:
        print(f"not flat: {', '.join(grown)}")
    leave(summary["exit_code"] or int(bool(grown)))


def sample(run: Any) -> list[dict[str, Any]]:
    """What every process of a run holds now: bytes of memory of its own, descriptors, bytes of shared memory."""
    import multiprocessing
    import os

    processes = {"parent": os.getpid()} | {one.name: one.pid for one in multiprocessing.active_children()}
    rows = []
    for name, pid in processes.items():
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            lines = (line.split() for line in status.splitlines() if line.startswith("Rss"))
            held = {name: int(kilobytes) * 1024 for name, kilobytes, _ in lines}
            descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        except (OSError, ValueError, IndexError):
            continue  # it has just ended
        rows.append({"process": name, "seconds": round(run.ledger.seconds(), 1), "env_steps": run.ledger.env_steps,
                     "memory": held["RssAnon:"], "shared": held["RssShmem:"], "descriptors": descriptors})  # fmt: skip
    return rows


def judged(samples: list[dict[str, Any]]) -> list[list[str]]:
    """For each process and thing, what it was in the first fifth of the samples and in the last; whether it is flat."""
    from statistics import median

    table = []
    for process in dict.fromkeys(row["process"] for row in samples):
        mine = [row for row in samples if row["process"] == process]
        count = max(1, round(FIRST * len(mine)))
        hours = (mine[-1]["seconds"] - mine[0]["seconds"]) / 3600
        for thing, limit in (("memory", GROWTH_BYTES * max(hours, 0.1)), ("shared", 2**20), ("descriptors", 0)):
            first, last = (median(row[thing] for row in part) for part in (mine[:count], mine[-count:]))
            said = [f"{value / 2**20:.1f} MiB" if thing != "descriptors" else f"{value:g}" for value in (first, last)]
            table.append([f"{thing} of {process}", *said, "flat" if last - first <= limit else "grew"])
    parent = [row for row in samples if row["process"] == "parent"]
    count = max(2, round(FIRST * len(parent)))
    speeds = [speed(part) for part in (parent[:count], parent[-count:])]
    steady = "steady" if speeds[1] >= SLOWER * speeds[0] else "slower"
    return [*table, ["env steps a second", *(f"{value:,.0f}" for value in speeds), steady]]


def speed(rows: list[dict[str, Any]]) -> float:
    """Env steps a second between the first and the last of these samples."""
    first, last = rows[0], rows[-1]
    return (last["env_steps"] - first["env_steps"]) / max(last["seconds"] - first["seconds"], 1e-9)


def table(verdicts: list[list[str]], summary: dict[str, Any]) -> str:
    """The page."""
    rows = [["", "first fifth", "last fifth", ""], ["---"] * 4, *verdicts]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return (f"{lines}\n\n{summary['env_steps']:,} env steps and {summary['updates']:,} updates in "
            f"{summary['seconds'] / 60:.1f} minutes; medians of samples. {summary['exit_reason']}\n")  # fmt: skip


if __name__ == "__main__":
    main()
