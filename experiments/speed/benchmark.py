"""Measure how fast we are, and how fast this machine would let us be.

Question: how many env steps a second are trained on, what limits them, and how do they scale?
Command:  python -m experiments.speed.benchmark (or: make bench)
Time:     8 minutes on 2 cores; nothing else should run meanwhile.
Output:   benchmark.json (every number), benchmark.md (tables), benchmark.png (figure) in --out.

Every speed is of a real run (async, 2 workers unless said otherwise) with record, checkpoints and W&B offline, and is
the median (smallest to largest) of its repetitions. Repetitions are interleaved (A B C A B C), so that a machine that
drifts does so for all alike. The roofline is what arithmetic alone would cost, see experiments/speed/machine.py.
"""

import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.lab.study import RunFailed
from experiments.speed.benchmark_report import PARTS, report
from experiments.speed.machine import describe, measure_rates, resident_bytes, roofline, spread
from rl.acting.denormals import denormals_as_zeros
from rl.config import Config, option
from rl.presets import SPEED

if TYPE_CHECKING:
    import numpy as np

    from rl.running.run import Run

NETWORK = {"env": "MaskedVelocityCartPole-v1", "core": "lstm", "hidden_size": 64, "torso_size": 64}
BASE = Config(**NETWORK, mode="async", workers=2, wandb="offline")
SECTIONS = ("throughput", "solved", "scaling", "contention", "parts", "roofline", "startup", "memory")
AXES = {
    "envs_per_worker": [8, 32, 64, 128, 256],
    "hidden_size": [64, 128, 256],
    "segment_length": [8, 32, 128],
    "mode": ["async", "sync"],
    "unroll": ["recorded", "again"],
}
ENDLESS = {"total_env_steps": 100_000_000, "stop_when_solved": False}  # such runs are stopped from here
PART_SECONDS, WARM_UP = 1.0, 5  # of the timed loop; segments before it
ROOT = Path(__file__).parents[2]
Measured = dict[str, dict[str, list[dict[str, Any]]]]  # kind -> name -> one measurement a repetition


@dataclass(frozen=True)
class Command:
    """What the command line says."""

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
    """Training seconds after which a run that measures throughput is stopped. The same for all: episodes are short at
    first, and cost more."""
    solve_seconds: float = 40.0
    """Training seconds after which a run that has not solved the task is stopped, and counts as not solved."""
    memory_env_steps: int = 10_000_000
    """Env steps of the long run of `memory`, with the preset throughput."""
    workers: str = "1,2,4,8"
    """Workers to scale over."""
    runs_dir: Path = Path("runs/benchmark")
    """Folder of the run folders, which are removed at the end."""
    out: Path = Path("experiments/results/benchmark")
    """Folder of numbers, tables and figure."""

    def chosen(self) -> set[str]:
        """The sections to measure.

        Raises:
            ValueError: an unknown one, or another option that cannot work.
        """
        from experiments.lab.command_line import listed

        for name, least in (("repetitions", 1), ("seeds", 1), ("first_seed", 0), ("memory_env_steps", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{option(name)} {getattr(self, name)}: a whole number of at least {least} is needed")
        for name in ("run_seconds", "solve_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{option(name)} {getattr(self, name)}: a number above 0 is needed")
        known = {name: name for name in SECTIONS}
        return set(listed("--sections", self.sections, known.__getitem__, f"a list out of {','.join(SECTIONS)}"))

    def axes(self) -> dict[str, list[Any]]:
        """Field -> its values, the default's among them, for every field that is scaled over."""
        from experiments.lab.command_line import counts

        axes = {"workers": counts("--workers", self.workers), **AXES}
        return {axis: sorted({*values, getattr(BASE, axis)}) for axis, values in axes.items()}


def configurations() -> dict[str, Config]:
    """The default and each preset for speed, under their names."""
    return {"default": BASE, **{name: replace(BASE, **options) for name, options in SPEED.items()}}


def scaled(axes: dict[str, list[Any]]) -> dict[str, Config]:
    """The default, and every config that differs from it in one value of one axis; its name says which."""
    return {name_on(axis, v): replace(BASE, **{axis: v}) for axis, values in axes.items() for v in values}


def name_on(axis: str, value: Any) -> str:
    """The name of the config with this value on an axis, shared by all axes where it is the default's."""
    return "default" if value == getattr(BASE, axis) else f"{option(axis)} {value}"


# --- what is measured when


class Job(NamedTuple):
    """Something to measure several times."""

    kind: str
    name: str
    repetitions: int
    measure: Callable[[int], dict[str, Any]]  # of the repetition's number


def interleaved(jobs: list[Job]) -> Iterator[tuple[Job, int]]:
    """Every job once, then every job again, until each has had its repetitions: A B C A B C."""
    for repetition in range(max(job.repetitions for job in jobs)):
        yield from ((job, repetition) for job in jobs if repetition < job.repetitions)


def jobs_of(command: Command, runs_dir: Path) -> list[Job]:
    """All jobs of the chosen sections; runs leave their folders in `runs_dir`."""
    sections, axes, named = command.chosen(), command.axes(), configurations()
    runs = named if sections & {"throughput", "roofline", "memory"} else {}
    runs = {**runs, **scaled(axes)} if "scaling" in sections else runs

    def jobs(kind: str, configs: dict[str, Config], measure: Callable, repetitions: int = command.repetitions):
        def of(name: str, config: Config) -> Job:
            def once(repetition: int) -> dict[str, Any]:
                folder = runs_dir / f"{kind}-{name.replace(' ', '-')}-{repetition}"
                return measure(replace(config, seed=command.first_seed + repetition, run_dir=str(folder)))

            return Job(kind, name, repetitions, once)

        return [of(name, config) for name, config in configs.items()]

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
        found += jobs("startup", {"default": BASE}, measure_startup)
    if "memory" in sections:
        found += jobs("torch", {"default": BASE}, measure_torch)
        long = {"throughput": named["throughput"]}
        found += jobs("growth", long, lambda config: measure_growth(config, command.memory_env_steps), 1)
    return found


def measure_all(jobs: list[Job]) -> Measured:
    """Measure all jobs in turn, showing progress."""
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


# --- real runs


class MeasurementFailed(RunFailed):
    """A run of the benchmark did not come to its end; `exit_code` is the run's."""

    def __init__(self, what: str, reason: str, exit_code: int) -> None:
        Exception.__init__(self, f"{what}: {reason}; nothing was written")
        self.exit_code = exit_code


def run_of(config: Config) -> "Run":
    """A run that is not started yet."""
    import envs
    from rl.running.run import new_run

    return new_run(config, envs.make_vector)


def train(run: "Run", enough: Callable[[dict[str, float]], bool]) -> dict[str, Any]:
    """Train until the run ends, or until `enough`, asked with each row of the record, says so; returns the summary."""

    def on_row(row: dict[str, float]) -> None:
        if enough(row):
            run.ledger.request_stop()

    summary = run.execute(on_row=on_row)
    if summary["exit_code"] != 0:
        raise MeasurementFailed(run.run_dir.name, summary["exit_reason"], summary["exit_code"])
    return summary


def largest_worker() -> int | None:
    """Resident bytes of the run's largest worker."""
    held = [resident_bytes(child.pid) for child in multiprocessing.active_children()]
    return max((size for size in held if size), default=None)


def measure_run(config: Config, seconds: float) -> dict[str, Any]:
    """Env steps a second and bytes of the largest worker, of a run of so many training seconds."""
    seen = {}

    def enough(row: dict[str, float]) -> bool:
        if row["time/seconds"] >= seconds and not seen:
            seen.update(sps=row["global_step"] / row["time/seconds"], worker_bytes=largest_worker())
        return bool(seen)

    summary = train(run_of(replace(config, **ENDLESS)), enough)
    return {**seen, "summary_sps": summary["sps"], "startup_seconds": summary["startup_seconds"]}


def measure_solving(config: Config, seconds: float) -> dict[str, Any]:
    """Training seconds and env steps at the crossing that was confirmed; None where there was none in time."""
    run = run_of(replace(config, stop_when_solved=True))
    summary = train(run, lambda row: row["time/seconds"] >= seconds)
    return {"seconds": summary["solved_at_seconds"], "env_steps": summary["solved_at_env_steps"]}


def measure_growth(config: Config, env_steps: int) -> dict[str, list[int | None]]:
    """Resident bytes of the largest worker and of this process after each tenth of so many env steps."""
    held = {"env_steps": [], "worker": [], "parent": []}
    due = [env_steps * tenth / 10 for tenth in range(1, 11)]

    def enough(row: dict[str, float]) -> bool:
        if due and row["global_step"] >= due[0]:
            for name, value in zip(held, (row["global_step"], largest_worker(), resident_bytes()), strict=True):
                held[name].append(value)
            due[:] = [mark for mark in due if mark > row["global_step"]]
        return not due

    endless = {**ENDLESS, "total_env_steps": env_steps + ENDLESS["total_env_steps"]}
    train(run_of(replace(config, **endless)), enough)
    return held


def measure_contention(config: Config, seconds: float) -> dict[str, float]:
    """How long async workers wait for the learner's lock and hold it, for so many seconds from a run's first row on."""
    from experiments.speed.timers import TimedLock

    run, looks = run_of(replace(config, **ENDLESS)), []
    lock = run.memory.lock = TimedLock(run.memory.lock)

    def enough(_row: dict[str, float]) -> bool:
        now = time.perf_counter()
        if not looks or (len(looks) == 1 and now >= looks[0][0] + seconds):
            looks.append((now, lock.shared.spent.copy()))
        return len(looks) == 2

    train(run, enough)
    (start, before), (end, after) = looks
    return contention(after - before, config.workers * (end - start))


def contention(spent: "np.ndarray", worker_seconds: float) -> dict[str, float]:
    """The share of workers' time that they wait for the lock, and mean seconds of a wait and a hold.

    Args:
        spent: [pull or push, (acquisitions, seconds waited, seconds held)], summed over workers.
        worker_seconds: how long that took, summed over workers.
    """
    pull, push = (spent[:, 1:] / spent[:, :1]).tolist()
    means = {"pull_wait": pull[0], "push_wait": push[0], "pull_hold": pull[1], "push_hold": push[1]}
    return {"waiting": float(spent[:, 1].sum() / worker_seconds), **means}


# --- one worker in this process


@denormals_as_zeros()  # as in `run_segments`
def measure_parts(config: Config) -> dict[str, float]:
    """Seconds an env step of each part of a worker's life, alone on the machine and with nobody else at the lock."""
    from experiments.speed.timers import TimedEnvironments
    from rl.loop import build_worker

    config = replace(config, **ENDLESS, mode="async", workers=1)
    run = run_of(config)  # for what it shares with workers; it is not started
    learner, collector, experience = build_worker(0, config, run.make_environments, run.memory, run.ledger, run.key)
    timed = collector.environments = TimedEnvironments(collector.environments)
    run.ledger.start_clock()

    def once() -> list[float]:
        """`run_segments` does this; seconds of each of PARTS."""
        timed.seconds = 0.0
        start = time.perf_counter()
        learner.pull(experience.flat)
        pulled = time.perf_counter()
        segment = collector.collect()
        acted = time.perf_counter()
        experience.add(segment)
        losses = experience.differentiate()
        learnt = time.perf_counter()
        learner.push(experience.flat.gradient, segment.env_steps, losses, collector.take_finished_episodes())
        pushed = time.perf_counter()
        return [pulled - start, timed.seconds, acted - pulled - timed.seconds, learnt - acted, pushed - learnt]

    for _ in range(WARM_UP):
        once()
    laps, end = [], time.perf_counter() + PART_SECONDS
    while time.perf_counter() < end or not laps:
        laps.append(once())
    timed.environments.close()
    env_steps = len(laps) * config.segment_length * config.envs_per_worker
    return {part: sum(lap) / env_steps for part, lap in zip(PARTS, zip(*laps, strict=True), strict=True)}


# --- from outside


def measure_startup(config: Config) -> dict[str, float]:
    """Seconds from the command to the first update on disk, of the start-up within, and of --help.

    Looked at from outside: the parent writes a row within 20 ms after the update that closed it.
    """
    train_command = [sys.executable, "-m", "experiments.train"]
    quiet = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    start = time.perf_counter()
    subprocess.run([*train_command, "--help"], check=True, **quiet)
    help_seconds = time.perf_counter() - start
    folder = Path(config.run_dir).resolve()
    options = {**NETWORK, "workers": config.workers, "total_env_steps": 20_000, "log_interval": 1, "wandb": "offline"}
    words = [f"{option(name)}={value}" for name, value in options.items()]
    start = time.perf_counter()
    with subprocess.Popen([*train_command, *words, f"--run-dir={folder}"], **quiet) as process:
        try:
            while not ((folder / "metrics.jsonl").exists() and (folder / "metrics.jsonl").stat().st_size):
                if process.poll() is not None:
                    raise MeasurementFailed("startup", f"exit code {process.returncode}", 1)
                time.sleep(0.002)
            first_update_seconds = time.perf_counter() - start
            process.wait()
        finally:
            process.terminate()
    startup_seconds = json.loads((folder / "summary.json").read_text())["startup_seconds"]
    return {"help": help_seconds, "first_update": first_update_seconds, "startup": startup_seconds}


def measure_torch(_config: Config) -> dict[str, int | None]:
    """Resident bytes of a process that has done nothing but import torch."""
    words = "import torch; from experiments.machine import resident_bytes; print(resident_bytes())"
    said = subprocess.run([sys.executable, "-c", words], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {"bytes": None if said.strip() == "None" else int(said)}


# --- results


def summarise(command: Command, measured: Measured) -> dict[str, Any]:
    """All numbers in seconds, bytes and FLOP; what was not measured is left out.

    `run` holds the throughput of every config, `scaling` the names of those along each axis.
    """
    configs = {**scaled(command.axes()), **configurations()}
    results: dict[str, Any] = {"options": {**asdict(command), "runs_dir": None, "out": None}}
    for kind, names in measured.items():
        if kind == "growth":
            results[kind] = {name: only for name, (only,) in names.items()}
        elif kind != "rates":
            results[kind] = {name: spreads(repetitions) for name, repetitions in names.items()}
    for name, run in results.get("run", {}).items():
        run["options"] = differing(configs[name])
        if rates := measured.get("rates", {}).get(name):
            run["roofline"] = roofline(rates, configs[name].workers, run["sps"]["values"])
    if "scaling" in command.chosen():
        results["scaling"] = {a: [[v, name_on(a, v)] for v in values] for a, values in command.axes().items()}
    return results


def spreads(repetitions: list[dict[str, Any]]) -> dict[str, Any]:
    """The spread of each number over repetitions."""
    return {name: spread([one[name] for one in repetitions]) for name in repetitions[0]}


def differing(config: Config) -> dict[str, Any]:
    """The options in which a config differs from the default."""
    return {name: value for name, value in asdict(config).items() if value != getattr(BASE, name)}


def write(results: dict[str, Any], out: Path) -> None:
    """Write numbers, tables and, where throughput was measured, the figure."""
    from experiments.lab.figures import benchmark_figure
    from rl.record.files import write_json

    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "benchmark.json", results)
    (out / "benchmark.md").write_text(report(results))
    if "run" in results:
        benchmark_figure(results, out / "benchmark.png")


def main() -> None:
    """Parse the command line, measure, write."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        command = parse(Command, __doc__)
        machine, start = describe(), time.monotonic()
        command.chosen(), command.axes()  # a wrong option is found before anything is made
        command.runs_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=command.runs_dir, ignore_cleanup_errors=True) as runs_dir:
            measured = measure_all(jobs_of(command, Path(runs_dir)))
        wall = {"benchmark_seconds": time.monotonic() - start}
        write({"machine": machine, **wall, **summarise(command, measured)}, command.out)
        print((command.out / "benchmark.md").read_text())
        figure = ", benchmark.png" if "run" in measured else ""
        print(f"Written to {command.out}: benchmark.json, benchmark.md{figure}.")

    experiment(run)


if __name__ == "__main__":
    main()
