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
from pathlib import Path
from typing import Any

from experiments.speed.benchmark.command import Command


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
    print((command.out / "benchmark.md").read_text(encoding="utf-8"))
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
