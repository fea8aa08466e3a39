"""Measure how fast we are, and how fast this machine would let us be.

Question: how many env steps a second are trained on, what limits them, and how do they scale?
Command:  python -m experiments.benchmark (or: make bench)
Time:     under 10 minutes on 2 cores; nothing else should run meanwhile.
Output:   benchmark.json (every number), benchmark.md (tables), benchmark.png (figure) in --out.

Every speed is of a real run (async, 2 workers unless said otherwise) with record, checkpoints and W&B offline, and is
the median (smallest to largest) of its repetitions. Repetitions are interleaved (A B C A B C), so that a machine that
drifts does so for all alike. The roofline is what arithmetic alone would cost, see experiments/machine.py.
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
from typing import Any, NamedTuple

from experiments.benchmark_report import PARTS, report
from experiments.machine import describe, measure_rates, resident_bytes, roofline, spread
from experiments.study import RunFailed
from rl import config as run_config
from rl.config import Config, option

NETWORK = {"env": "MaskedVelocityCartPole-v1", "core": "lstm", "hidden_size": 64, "torso_size": 64}
BASE = Config(**NETWORK, mode="async", workers=2, wandb="offline")
SECTIONS = ("throughput", "solved", "scaling", "parts", "roofline", "startup", "memory")
AXES = {"envs_per_worker": [8, 32, 128], "hidden_size": [64, 128, 256], "segment_length": [8, 32, 128],
        "mode": ["async", "sync"], "unroll": ["recorded", "again"]}  # fmt: skip
ENDLESS = {"total_env_steps": 100_000_000, "stop_when_solved": False}  # such runs are stopped after so many seconds
PART_SECONDS, WARM_UP = 1.0, 5  # of the timed loop; segments before it
ROOT = Path(__file__).parents[1]
Measured = dict[str, dict[str, list[dict[str, Any]]]]  # kind -> name -> one measurement a repetition


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    sections: str = ",".join(SECTIONS)
    """What to measure. throughput: env steps a second of the default and each preset; solved: what it takes them to
    solve the task; scaling: over workers, environments, hidden size, segment length, sync and async, learning from
    recorded activations and unrolling again; parts: acting, learning, push, pull and environment apart; roofline: the
    fraction of the machine's matrix-product rate; startup: from command to first update; memory: of a worker."""
    repetitions: int = 3
    """Measurements of everything but `solved`."""
    seeds: int = 3
    """Runs to solved of each configuration."""
    run_seconds: float = 2.0
    """Training seconds after which a run that measures throughput is stopped."""
    solve_seconds: float = 40.0
    """Training seconds after which a run that has not solved the task is stopped, and counts as not solved."""
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
        from experiments.command_line import listed

        for name in ("repetitions", "seeds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{option(name)} {getattr(self, name)}: a whole number of at least 1 is needed")
        for name in ("run_seconds", "solve_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{option(name)} {getattr(self, name)}: a number above 0 is needed")
        known = {name: name for name in SECTIONS}
        return set(listed("--sections", self.sections, known.__getitem__, f"a list out of {','.join(SECTIONS)}"))

    def axes(self) -> dict[str, list[Any]]:
        """Field -> its values, the default's among them, for every field that is scaled over."""
        from experiments.command_line import counts

        axes = {"workers": counts("--workers", self.workers), **AXES}
        return {axis: sorted({*values, getattr(BASE, axis)}) for axis, values in axes.items()}


def configurations() -> dict[str, Config]:
    """The default and each preset, under their names."""
    presets = getattr(run_config, "PRESETS", {})
    return {"default": BASE, **{name: replace(BASE, **options) for name, options in presets.items()}}


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
    runs = {}
    if sections & {"throughput", "roofline", "memory"}:
        runs |= named
    if "scaling" in sections:
        runs |= scaled(axes)

    def jobs(kind: str, configs: dict[str, Config], measure: Callable, repetitions: int = command.repetitions):
        def of(name: str, config: Config) -> Job:
            def once(repetition: int) -> dict[str, Any]:
                folder = runs_dir / f"{kind}-{name.replace(' ', '-')}-{repetition}"
                return measure(replace(config, seed=repetition + 1, run_dir=str(folder)))

            return Job(kind, name, repetitions, once)

        return [of(name, config) for name, config in configs.items()]

    found = jobs("run", runs, lambda config: measure_run(config, command.run_seconds))
    if "solved" in sections:
        found += jobs("solved", named, lambda config: measure_solving(config, command.solve_seconds), command.seeds)
    if "parts" in sections:
        found += jobs("parts", {**named, "--unroll again": replace(BASE, unroll="again")}, measure_parts)
    if "roofline" in sections:
        found += jobs("rates", runs, measure_rates)
    if "startup" in sections:
        found += jobs("startup", {"default": BASE}, measure_startup)
    if "memory" in sections:
        found += jobs("torch", {"default": BASE}, measure_torch)
    return found


def measure_all(jobs: list[Job]) -> Measured:
    """Measure all jobs in turn, showing progress."""
    from experiments.display import training_progress

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


def train(config: Config, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train until the run ends, or until a row of its record is so many training seconds old.

    Returns:
        The summary, and what was seen when the run was stopped: env steps a second until then, and the resident bytes
        of its largest worker; nothing where it ended by itself.
    """
    import envs
    from rl.train import new_run

    run, seen = new_run(config, envs.make_vector), {}

    def stop_in_time(row: dict[str, float]) -> None:
        if row["time/seconds"] >= seconds and not seen:
            held = [resident_bytes(child.pid) for child in multiprocessing.active_children()]
            seen["sps"] = row["global_step"] / row["time/seconds"]
            seen["worker_bytes"] = max((size for size in held if size), default=None)
            run.ledger.request_stop()

    summary = run.execute(on_row=stop_in_time)
    if summary["exit_code"] != 0:
        raise MeasurementFailed(Path(config.run_dir).name, summary["exit_reason"], summary["exit_code"])
    return summary, seen


def measure_run(config: Config, seconds: float) -> dict[str, Any]:
    """Env steps a second and bytes of the largest worker, of a run of so many training seconds."""
    summary, seen = train(replace(config, **ENDLESS), seconds)
    return {**seen, "summary_sps": summary["sps"], "startup_seconds": summary["startup_seconds"]}


def measure_solving(config: Config, seconds: float) -> dict[str, Any]:
    """Training seconds and env steps at the crossing that was confirmed; None where there was none in time."""
    summary, _ = train(replace(config, stop_when_solved=True), seconds)
    return {"seconds": summary["solved_at_seconds"], "env_steps": summary["solved_at_env_steps"]}


# --- one worker in this process


class TimedEnvironments:
    """A vector environment that counts the seconds in its `step`."""

    def __init__(self, environments: Any) -> None:
        self.environments, self.seconds = environments, 0.0

    def step(self, actions: Any) -> Any:
        """Step, timed."""
        start = time.perf_counter()
        result = self.environments.step(actions)
        self.seconds += time.perf_counter() - start
        return result


def measure_parts(config: Config) -> dict[str, float]:
    """Seconds an env step of each part of a worker's life, alone on the machine and with nobody else at the lock."""
    import envs
    from rl.loss import actor_critic_loss
    from rl.train import new_run
    from rl.worker import build_worker

    config = replace(config, **ENDLESS, mode="async", workers=1)
    run = new_run(config, envs.make_vector)  # for what it shares with workers; it is not started
    learner, collector, flat = build_worker(0, config, envs.make_vector, run.memory, run.ledger, run.key)
    timed = collector.environments = TimedEnvironments(collector.environments)
    run.ledger.start_clock()

    def once() -> list[float]:
        """`run_segments` does this; seconds of each of PARTS."""
        timed.seconds = 0.0
        start = time.perf_counter()
        learner.pull(flat)
        pulled = time.perf_counter()
        segment = collector.collect()
        acted = time.perf_counter()
        flat.gradient.zero_()
        loss, losses = actor_critic_loss(flat.agent, segment, config, learner.sum_over_workers)
        loss.backward()
        learnt = time.perf_counter()
        learner.push(flat.gradient, segment.env_steps, losses, collector.take_finished_episodes())
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
        if kind != "rates":
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
    from experiments.figures import benchmark_figure
    from rl.tracking import write_json

    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "benchmark.json", results)
    (out / "benchmark.md").write_text(report(results))
    if "run" in results:
        benchmark_figure(results, out / "benchmark.png")


def main() -> None:
    """Parse the command line, measure, write."""
    from experiments.command_line import experiment, parse

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
        print(f"Written to {command.out}: benchmark.json, benchmark.md, benchmark.png.")

    experiment(run)


if __name__ == "__main__":
    main()
