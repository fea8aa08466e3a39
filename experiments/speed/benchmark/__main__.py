"""Measure how fast we are, and how fast this machine would let us be.

Question: how many env steps a second are trained on, what limits them, and how do they scale?
Command:  python -m experiments.speed.benchmark (or: make bench)
Time:     8 minutes on 2 CPUs; nothing else should run on them.
Output:   benchmark.json (every number), benchmark.md (tables), benchmark.png (figure) in --out.

Every speed belongs to a real run (async, 2 workers unless said otherwise) with record, checkpoints and W&B offline. It
is the median (smallest to largest) of its repetitions. Repetitions are interleaved (A B C A B C), so a machine that
drifts does so for all of them. The roofline is the cost of the arithmetic alone, see roofline.py.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.speed.benchmark.configurations import AXES, BASE
from rl.config_rules import option

SECTIONS = ("throughput", "solved", "scaling", "contention", "parts", "roofline", "startup", "memory")


@dataclass(frozen=True)
class Command:
    """The options of the command."""

    sections: str = ",".join(SECTIONS)
    """What to measure. throughput: env steps a second of the default and each preset; solved: what it takes them to
    solve the task; scaling: over workers, environments, hidden size, segment length, sync and async, learning from
    recorded activations and unrolling again; contention: waiting for the learner's lock and holding it; parts: acting,
    learning, push, pull and environment apart; roofline: the fraction of the machine's matrix-product rate; startup:
    from command to first update; memory: of a worker, and whether it grows in a long run."""
    repetitions: int = 3
    """Measurements of everything but `solved` and the long run of `memory`."""
    seeds: int = 3
    """Runs to solved of each configuration."""
    first_seed: int = 1
    """Seed of the first repetition; each further one has the next."""
    run_seconds: float = 2.0
    """Training seconds after which a run that measures throughput is stopped. All runs have the same: episodes are
    short at first, and cost more."""
    solve_seconds: float = 40.0
    """Training seconds after which a run that has not solved the task is stopped, and counts as not solved."""
    memory_env_steps: int = 10_000_000
    """Env steps of the long run of `memory`, with the preset throughput."""
    workers: str = "1,2,4,8"
    """Workers to scale over."""
    redraw: bool = False
    """Measure nothing: write tables and figure again from benchmark.json in --out."""
    pdf: bool = False
    """Write the figure as a PDF too."""
    runs_dir: Path = Path("runs/benchmark")
    """Folder of the run folders, which are removed at the end."""
    out: Path = Path("runs/benchmark")
    """Folder of numbers, tables and figure."""

    def chosen(self) -> set[str]:
        """Return the sections to measure.

        Raises:
            ValueError: a section is unknown, or another option cannot work.
        """
        from experiments.lab.options import listed

        for name, least in (("repetitions", 1), ("seeds", 1), ("first_seed", 0), ("memory_env_steps", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{option(name)} {getattr(self, name)}: a whole number of at least {least} is needed")
        for name in ("run_seconds", "solve_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{option(name)} {getattr(self, name)}: a number above 0 is needed")
        known = {name: name for name in SECTIONS}
        return set(listed("--sections", self.sections, known.__getitem__, f"a list out of {','.join(SECTIONS)}"))

    def axes(self) -> dict[str, list[Any]]:
        """Return the values of every field that is scaled over, the default's among them."""
        from experiments.lab.options import counts

        axes = {"workers": counts("--workers", self.workers), **AXES}
        return {axis: sorted({*values, getattr(BASE, axis)}) for axis, values in axes.items()}


def main() -> None:
    """Parse the command line, measure, write."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: run(parse(Command, __doc__)))


def run(command: Command) -> None:
    """Measure what is chosen, or read what was measured, and write it.

    Raises:
        ValueError: an option cannot work; nothing was measured.
    """
    from experiments.lab.figures import pdf_too
    from experiments.speed.benchmark.results import read, write

    command.chosen(), command.axes()  # finds a wrong option before any folder is made
    results = read(command.out) if command.redraw else measured(command)
    with pdf_too(command.pdf):
        write(results, command.out)
    print((command.out / "benchmark.md").read_text())
    files = ["benchmark.json", "benchmark.md", *(["benchmark.png"] if "run" in results else [])]
    print(f"Written to {command.out}: {', '.join(files)}.")


def measured(command: Command) -> dict[str, Any]:
    """Measure what is chosen on this machine."""
    from experiments.speed.benchmark.jobs import jobs_of, measure_all
    from experiments.speed.benchmark.results import summarise
    from experiments.speed.machine import describe

    machine, start = describe(), time.monotonic()
    command.runs_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=command.runs_dir, ignore_cleanup_errors=True) as runs_dir:
        found = measure_all(jobs_of(command, Path(runs_dir)))
    return {"machine": machine, "benchmark_seconds": time.monotonic() - start, **summarise(command, found)}


if __name__ == "__main__":
    main()
