"""Trains our agent and each peer, round by round."""

import json
import os
import shlex
import sys
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from experiments.speed.benchmark_peers.command import Command
from experiments.speed.benchmark_peers.outcomes import OURS, Outcome, beside, our_outcome, peer_outcome
from experiments.speed.benchmark_peers.peers import PEERS
from experiments.speed.benchmark_peers.processes import ROOT, ProcessFailed, run_process, without_folders

OUR_ENVIRONMENTS = 64


def outcomes(command: Command, folder: Path) -> Iterator[Outcome]:
    """Yield the outcome of every run, in turn."""
    runs: dict[str, Callable[..., Outcome]] = {OURS: run_ours}
    for name in command.names():
        try:
            runs[name] = partial(run_peer, name, install(name, PEERS[name].packages, command.runs_dir))
        except ProcessFailed as failure:
            runs[name] = partial(fail, failure)
        for apart, options in PEERS[name].alike.items():
            mine = beside(name, apart)
            runs[mine] = partial(run_ours, name=mine, alike=options)
    yield from in_turn(runs, command, folder)


def in_turn(runs: Mapping[str, Callable[..., Outcome]], command: Any, folder: Path) -> Iterator[Outcome]:
    """Yield the outcome of each run, round by round."""
    for number in range(1, command.rounds + 1):
        round_folder, seed = folder / f"round-{number}", command.seed + number - 1
        round_folder.mkdir(parents=True)
        for name, run in runs.items():
            yield measured(
                partial(run, folder=round_folder, command=command, seed=seed), round=number, peer=name, seed=seed
            )


def measured(run: Callable[[], Outcome], **known: Any) -> Outcome:
    """Return the outcome of a run, a failure included."""
    known["load_average"] = os.getloadavg()[0]
    try:
        return {**known, **run()}
    except (ProcessFailed, ValueError) as failure:
        return {**known, "sps": None, "solved": False, "error": without_folders(str(failure))}


def run_ours(folder: Path, command: Any, seed: int, name: str = OURS, alike: str = "") -> Outcome:
    """Train our agent once, as it is tuned for the task or with the options that make it like a peer."""
    from experiments.lab.records import read_record

    run_dir = folder.absolute() / name
    values = {"run-dir": run_dir, "seed": seed, "wandb": "disabled", "workers": command.cpus}
    options = shlex.split(alike) or [
        "--preset=masked-cartpole",
        f"--envs-per-worker={max(1, OUR_ENVIRONMENTS // command.cpus)}",
        *shlex.split(command.ours),
    ]
    if alike:
        values["max-seconds"] = command.peer_seconds
    words = ["--stop-when-solved", *(f"--{key}={value}" for key, value in values.items()), *options]
    run_process(
        [sys.executable, "-m", "experiments.train", *words],
        folder / f"{name}.log",
        command.peer_seconds + command.grace_seconds,
    )
    return our_outcome(read_record(run_dir), command.peer_seconds)


def run_peer(name: str, python: Path, folder: Path, command: Any, seed: int) -> Outcome:
    """Train a peer once."""
    record = folder.absolute() / f"{name}.jsonl"
    values = {
        "record": record,
        "seed": seed,
        "cpus": command.cpus,
        "seconds": command.peer_seconds,
        "began": time.time(),
    }
    run_process(
        [str(python), "-m", f"experiments.speed.peers.{name}", *(f"--{key}={value}" for key, value in values.items())],
        record.with_suffix(".log"),
        command.peer_seconds + command.grace_seconds,
        PYTHONPATH=str(ROOT),
        CUDA_VISIBLE_DEVICES="",
        JAX_PLATFORMS="cpu",
        RAY_USAGE_STATS_ENABLED="0",
    )
    return peer_outcome([json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()])


def install(name: str, packages: tuple[str, ...], runs_dir: Path) -> Path:
    """Return a peer's interpreter; a virtual environment that is missing or has other packages is made.

    Raises:
        ProcessFailed: pip could not install it.
    """
    folder = (runs_dir / name).absolute()
    python, installed = folder / "venv/bin/python", folder / "venv/installed"
    if not installed.exists() or installed.read_text(encoding="utf-8").split() != list(packages):
        print(f"installing {', '.join(packages)}", flush=True)
        venv.create(folder / "venv", clear=True, symlinks=True, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
        run_process([*pip, *packages], folder / "install.log", 1800)
        installed.write_text("\n".join(packages) + "\n", encoding="utf-8")
    return python


def fail(failure: ProcessFailed, **_arguments: Any) -> Outcome:
    """Fail as the installation of a peer failed."""
    raise failure
