"""The options of the benchmark."""

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
    """What to measure. throughput: env steps a second of each preset; solved: what it takes them to
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
        """Return the values of every field that is scaled over, the base's among them."""
        from experiments.lab.options import counts

        axes = {"workers": counts("--workers", self.workers), **AXES}
        return {axis: sorted({*values, getattr(BASE, axis)}) for axis, values in axes.items()}
