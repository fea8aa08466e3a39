"""Measure what images and grids cost: trained env steps a second beside the environment's own, and a worker's memory.

Question: does the network keep up with an environment that shows images?
Command:  python -m experiments.speed.images
Time:     5 minutes on 2 CPUs that do nothing else.
Output:   images.json and images.md in --out.

The environment's own speed is that of one process that takes random actions in it and does nothing else, right before
the runs. A run has two workers. The ratio by CPU seconds is that of a machine with two free CPUs: what a run trains
in two seconds of its workers' CPU time, beside what the environment alone does in one. MiniGrid needs
pip install -e .[minigrid].
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.lab.tables import publish
from rl.config import Config

HERE = "experiments.speed.pixels"
TASKS = {
    "MemoryS7, 7 x 7 x 3": {"env": "minigrid:MiniGrid-MemoryS7-v0"},
    "MemoryS7 drawn, 42 x 42 x 3": {"env": f"{HERE}:MemoryPixels-v0"},
    "Catch, 42 x 42 x 1": {"env": f"{HERE}:Catch-v0"},
    "Catch, 84 x 84 x 4": {
        **{"env": f"{HERE}:Catch-v0", "env_arg": ("side=84", "channels=4")},
        **{"envs_per_worker": 16, "segment_length": 128},
    },
}
ALGORITHMS = ("a2c", "ppo")


@dataclass(frozen=True)
class Command:
    """The options of the command."""

    tasks: str = ",".join(name.partition(",")[0] for name in TASKS)
    """Which tasks: the words of their names before the comma, separated by commas."""
    core: str = "lstm"
    """The core of every run."""
    seconds: float = 20.0
    """Training seconds of each run; an environment's own speed takes a quarter of that."""
    out: Path = Path("runs/images")
    """Folder of the numbers and the page."""


def main() -> None:
    """Parse the command line, measure, write."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: run(parse(Command, __doc__)))


def run(command: Command) -> None:
    """Measure, then write numbers and page.

    Raises:
        ValueError: an option cannot work.
    """
    from experiments.speed.machine import describe

    names = command.tasks.split(",")
    known = {name.partition(",")[0] for name in TASKS}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"--tasks {unknown[0]}: some of {', '.join(sorted(known))} are needed")
    rows = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for name, options in TASKS.items():
            if name.partition(",")[0] in names:
                rows += measured(command, name, options, Path(folder) / str(len(rows)))
    command.out.mkdir(parents=True, exist_ok=True)
    found = {"machine": describe(), "rows": rows}
    (command.out / "images.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    publish(command.out, "images", page(found))


def measured(command: Command, name: str, options: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Measure the environment's own speed, then a run of each algorithm."""
    (own, own_cpu), torch_bytes, rows = own_speeds(options, command.seconds / 4), bytes_of_torch(), []
    for algorithm in ALGORITHMS:
        named = {**options, "algorithm": algorithm, "core": command.core, "workers": 2, "wandb": "disabled"}
        config = Config(**named, run_dir=f"{folder}-{algorithm}", log_interval=4096)
        found = measure(config, command.seconds)
        rows.append(
            {
                "task": name,
                "algorithm": algorithm,
                "own": own,
                "trained": found["sps"],
                "ratio": found["sps"] / own,
                "cpu_ratio": 2.0 * found["steps_a_cpu_second"] / own_cpu,
                "worker_bytes": found["worker_bytes"],
                "beyond_torch": (found["worker_bytes"] or torch_bytes) - torch_bytes,
            }
        )
    return rows


def measure(config: Config, seconds: float) -> dict[str, Any]:
    """Measure env steps a second and a CPU second, and bytes of the largest worker, in so many training seconds."""
    from experiments.speed.benchmark.configurations import ENDLESS
    from experiments.speed.benchmark.runs import largest_worker, run_of, train

    seen: dict[str, Any] = {}

    def enough(row: dict[str, float]) -> bool:
        if row["time/seconds"] >= seconds and not seen:
            seen["sps"] = row["global_step"] / row["time/seconds"]
            seen["steps_a_cpu_second"] = row["global_step"] / row["time/cpu_seconds"]
            seen["worker_bytes"] = largest_worker()
        return bool(seen)

    train(run_of(replace(config, **ENDLESS)), enough)
    return seen


def own_speeds(options: Mapping[str, Any], seconds: float) -> tuple[float, float]:
    """Measure the steps a second, and a CPU second, of one environment with random actions in this process."""
    import gymnasium

    from envs.vector.forms import find_spec

    env = gymnasium.make(find_spec(options["env"]), disable_env_checker=True, **Config(**dict(options)).env_args)
    env.action_space.seed(0)
    env.reset(seed=0)
    began, cpu, steps = time.perf_counter(), time.process_time(), 0
    while (passed := time.perf_counter() - began) < seconds:
        for _ in range(100):
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                env.reset()
        steps += 100
    env.close()
    return steps / passed, steps / (time.process_time() - cpu)


def bytes_of_torch() -> int:
    """Measure the resident bytes of a process that has imported torch and nothing else."""
    words = "import torch; from experiments.speed.memory import resident_bytes; print(resident_bytes())"
    return int(subprocess.run([sys.executable, "-c", words], capture_output=True, check=True, text=True).stdout)


def page(found: Mapping[str, Any]) -> str:
    """Tabulate the rows, and say what the columns are."""
    machine = found["machine"]
    lines = [
        "# What images and grids cost",
        "",
        f"Measured on {machine['date'][:10]}: {machine['processor']}, {machine['cpus']} CPUs.",
        "",
        "Own: one process takes random actions in one environment. Trained: an agent with convolutions and an LSTM",
        "learns by two workers. By CPU seconds: the ratio of what the workers do in two seconds of CPU time to what",
        "the environment alone does in one. A worker's MB: memory beyond that of a process that has imported torch.",
        "Catch is drawn by one line of NumPy, and no real task is as fast. With 84 x 84 x 4, a worker has 16",
        "environments and segments of 128.",
        "",
        "| task | algorithm | own env steps/s | trained env steps/s | ratio | by CPU seconds | a worker's MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        speeds = f"{row['own']:,.0f} | {row['trained']:,.0f} | {row['ratio']:.2f} | {row['cpu_ratio']:.2f}"
        lines.append(f"| {row['task']} | {row['algorithm']} | {speeds} | {row['beyond_torch'] / 1e6:.0f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
