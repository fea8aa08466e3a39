"""What an update costs a group of workers: bytes and time.

Question: how do bytes and time of an update over gloo grow with workers and parameters, in order and all together?
Command:  python -m experiments.speed.group_scaling
Time:     10 minutes on 2 CPUs that do nothing else; after an interruption the same command measures what is missing.
Output:   group_scaling.csv, group_scaling.md and group_scaling.png in --out.

The workers are processes of this machine that talk over its loopback device. They do only what an update needs of the
others: they sum three numbers for the advantages, push a gradient of so many parameters, and pull. Seconds are those of
worker 0, in exchanges and between them (adding up, clipping, Adam). Bytes are what the kernel counted on each process's
TCP connections. If there are more workers than CPUs, they take turns, as they would not on several hosts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.lab.rows import append_csv, read_csv
from experiments.lab.runs import held
from experiments.lab.tables import publish


@dataclass(frozen=True)
class Command:
    """The options of the command."""

    workers: str = "1,2,3,4,6,8"
    """How many workers, separated by commas."""
    parameters: str = "30000,100000,300000,1000000,3000000"
    """How many parameters, separated by commas; the default network has 34,179."""
    repetitions: int = 5
    """Groups of each size, started in turn; the page reports medians."""
    pdf: bool = False
    """Write the figure as a PDF too."""
    out: Path = Path("runs/group_scaling")
    """Folder of rows, page and figure; rows that it has are not measured again."""


def main() -> None:
    """Parse the command line, measure, tabulate, draw."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: group_scaling(parse(Command, __doc__)))


def group_scaling(command: Command) -> None:
    """Measure what is missing, then write rows, page and figure.

    Raises:
        ValueError: an option cannot work.
    """
    from experiments.lab.figures import pdf_too
    from experiments.lab.options import counts
    from experiments.speed.group_scaling.figure import draw
    from experiments.speed.group_scaling.medians import medians
    from experiments.speed.group_scaling.page import page

    workers, parameters = counts("--workers", command.workers), counts("--parameters", command.parameters)
    if command.repetitions < 1:
        raise ValueError(f"--repetitions {command.repetitions}: a whole number of at least 1 is needed")
    with held(command.out):
        measure_missing(command.out / "group_scaling.csv", workers, parameters, command.repetitions)
        rows = [
            row
            for row in read_csv(command.out / "group_scaling.csv")
            if int(row["repetition"]) <= command.repetitions
            and int(row["workers"]) in workers
            and int(row["parameters"]) in parameters
        ]
        table, machines = medians(rows), list(dict.fromkeys(row["machine"] for row in rows))
        with pdf_too(command.pdf):
            draw(table, command.out / "group_scaling.png")
        publish(command.out, "group_scaling", page(table, machines))


def measure_missing(file: Path, workers: Sequence[int], parameters: Sequence[int], repetitions: int) -> None:
    """Measure the rows that a file does not hold yet, and append those of a group when it ends."""
    from experiments.speed.group_scaling import group
    from experiments.speed.group_scaling.page import count

    found = {tuple(int(row[key]) for key in ("repetition", "workers", "parameters")) for row in read_csv(file)}
    for repetition in range(1, repetitions + 1):  # A B C A B C: a machine that drifts does so for all of them
        for size in workers:
            missing = [many for many in parameters if (repetition, size, many) not in found]
            if not missing:
                continue
            measured = group.measure_group(size, missing)
            append_csv(file, [{"repetition": repetition} | row | {"machine": this_machine()} for row in measured])
            short = [f"{row['reduce']} {count(row['parameters'])} {1e3 * row['seconds']:.2f} ms" for row in measured]
            print(f"repetition {repetition}, {size} workers: {', '.join(short)}", flush=True)


def this_machine() -> str:
    """Write date, processor, torch and commit of a measurement."""
    from experiments.speed.machine import describe

    machine = describe()
    commit = (machine["git_commit"] or "unknown")[:7]
    return (
        f"{machine['date'][:10]}: {machine['processor']}, {machine['cpus']} CPUs, torch "
        f"{machine['versions']['torch']}, commit {commit}"
    )


if __name__ == "__main__":
    main()
