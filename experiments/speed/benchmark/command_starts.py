"""Measures commands from outside: how long training takes to start, and what importing torch holds."""

import json
import subprocess
import sys
import time
from pathlib import Path

from experiments.speed.benchmark.configurations import NETWORK
from experiments.speed.benchmark.runs import MeasurementFailed
from rl.config import Config
from rl.config_rules import option

ROOT = Path(__file__).parents[3]


def measure_startup(config: Config) -> dict[str, float]:
    """Measure the seconds from the command to the first update on disk, of the start-up in it, and of --help.

    The parent writes a row within 20 ms after the update that closed it.
    """
    train_command = [sys.executable, "-m", "experiments.train"]
    quiet = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    start = time.perf_counter()
    subprocess.run([*train_command, "--help"], check=True, **quiet)
    help_seconds = time.perf_counter() - start
    folder = Path(config.run_dir).resolve()
    options = {**NETWORK, "workers": config.workers, "total_env_steps": 20_000, "log_interval": 1, "wandb": "offline"}
    words = ["--preset=masked-cartpole", *(f"{option(name)}={value}" for name, value in options.items())]
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
    startup_seconds = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["startup_seconds"]
    return {"help": help_seconds, "first_update": first_update_seconds, "startup": startup_seconds}


def measure_torch(_config: Config) -> dict[str, int | None]:
    """Measure the resident bytes of a process that has only imported torch."""
    code = "import torch; from experiments.speed.memory import resident_bytes; print(resident_bytes())"
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, encoding="utf-8"
    ).stdout
    return {"bytes": None if printed.strip() == "None" else int(printed)}
