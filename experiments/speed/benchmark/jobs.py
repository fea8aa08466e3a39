"""What is measured, and in which order."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from experiments.speed.benchmark.command import Command
from experiments.speed.benchmark.command_starts import measure_startup, measure_torch
from experiments.speed.benchmark.configurations import BASE, BASE_NAME, configurations, scaled
from experiments.speed.benchmark.roofline import measure_rates
from experiments.speed.benchmark.runs import measure_contention, measure_growth, measure_run, measure_solving
from experiments.speed.benchmark.worker_parts import measure_parts
from rl.config import Config

Measured = dict[str, dict[str, list[dict[str, Any]]]]  # kind -> name -> one measurement for each repetition


class Job(NamedTuple):
    """A thing to measure several times."""

    kind: str
    name: str
    repetitions: int
    measure: Callable[[int], dict[str, Any]]  # takes the number of the repetition


def interleaved(jobs: list[Job]) -> Iterator[tuple[Job, int]]:
    """Yield every job once, then every job again, until each has had its repetitions: A B C A B C."""
    for repetition in range(max(job.repetitions for job in jobs)):
        yield from ((job, repetition) for job in jobs if repetition < job.repetitions)


def jobs_of(command: Command, runs_dir: Path) -> list[Job]:
    """Return all jobs of the chosen sections; runs leave their folders in `runs_dir`."""
    sections, axes, named = command.chosen(), command.axes(), configurations()
    runs = named if sections & {"throughput", "roofline", "memory"} else {}
    runs = {**runs, **scaled(axes)} if "scaling" in sections else runs

    def jobs(kind: str, configs: dict[str, Config], measure: Callable, repetitions: int = command.repetitions):
        def job(name: str, config: Config) -> Job:
            def once(repetition: int) -> dict[str, Any]:
                folder = runs_dir / f"{kind}-{name.replace(' ', '-')}-{repetition}"
                return measure(replace(config, seed=command.first_seed + repetition, run_dir=str(folder)))

            return Job(kind, name, repetitions, once)

        return [job(name, config) for name, config in configs.items()]

    found = jobs("run", runs, lambda config: measure_run(config, command.run_seconds))
    if "solved" in sections:
        found += jobs("solved", named, lambda config: measure_solving(config, command.solve_seconds), command.seeds)
    if "contention" in sections:
        crowds = {str(workers): replace(BASE, workers=workers) for workers in axes["workers"]}
        found += jobs("contention", crowds, lambda config: measure_contention(config, command.run_seconds))
    if "parts" in sections:
        found += jobs("parts", {**named, "--unroll again": replace(BASE, unroll="again")}, measure_parts)
    if "roofline" in sections:
        found += jobs("rates", runs, measure_rates)
    if "startup" in sections:
        found += jobs("startup", {BASE_NAME: BASE}, measure_startup)
    if "memory" in sections:
        found += jobs("torch", {BASE_NAME: BASE}, measure_torch)
        long = {"throughput": named["throughput"]}
        found += jobs("growth", long, lambda config: measure_growth(config, command.memory_env_steps), 1)
    return found


def measure_all(jobs: list[Job]) -> Measured:
    """Measure all jobs in turn, and show progress."""
    from experiments.lab.display import training_progress

    measured: Measured = {}
    total = sum(job.repetitions for job in jobs)
    with training_progress() as progress:
        task = progress.add_task("benchmark", total=total, numbers="")
        for done, (job, repetition) in enumerate(interleaved(jobs)):
            progress.update(task, completed=done, numbers=f"{done} of {total} measured, now {job.kind} of {job.name}")
            measured.setdefault(job.kind, {}).setdefault(job.name, []).append(job.measure(repetition))
        progress.update(task, completed=total, numbers=f"{total} of {total} measured")
    return measured
