"""Train our agent and its peers on the same task and the same machine, by the same rule, in turn.

Question: how fast are other codebases on CartPole without velocities, in env steps a second and in time to solve it?
Command:  python -m experiments.speed.benchmark_peers (or: make bench-peers)
Time:     about 9 minutes a round on 2 cores, and 5 once to install the peers.
Output:   peers.json, peers.md (table) and peers.csv in --out; virtual environments, logs and records in --runs-dir.

Round r is ours, the first peer, the second and so on with seed --seed + r - 1: a machine that drifts does so for all.
Solved, for all: the mean return of the last max(100, 2 x environments) finished training episodes is at least 475, and
so is that of 100 fresh episodes with sampled actions at the parameters of the crossing. Where a peer's cannot be frozen
there, its first checkpoint after it plays, and the table says so. An unconfirmed crossing empties the window.
Each peer is a script of experiments/peers in a virtual environment of its own; one that fails is reported.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from experiments.speed.peers.table import OURS, Outcome, our_outcome, peer_outcome, rounded, set_ratios, write

ROOT = Path(__file__).parents[2]
LAST_LINES = 12  # of a failed peer's log
OUR_ENVIRONMENTS = 64


class Peer(NamedTuple):
    """What the script of this name in experiments/peers is called, and what it needs."""

    title: str
    packages: tuple[str, ...]


TORCH = ("torch==2.13.0", "gymnasium==1.4.0", "numpy==2.4.6")
JAX = ("jax==0.10.2", "jaxlib==0.10.2", "flax==0.12.8", "optax==0.2.8", "gymnax==1.0.1", "six==1.17.0")
PEERS = {
    "sb3": Peer("sb3-contrib RecurrentPPO", ("sb3-contrib==2.9.2", *TORCH)),
    "sample_factory": Peer(
        "Sample Factory", ("sample-factory==2.1.1", "torch==2.13.0", "gymnasium==0.29.1", "numpy==1.26.4")
    ),
    "rllib": Peer("RLlib PPO", ("ray[rllib]==2.60.0", "torch==2.13.0", "gymnasium==1.2.2", "numpy==2.4.6")),
    "torch_ppo": Peer("CleanRL-style PPO-LSTM", TORCH),
    "jax_ppo": Peer("compiled PPO-GRU", (*JAX, "gymnasium==1.3.0", "numpy==2.4.6")),
    "chapter": Peer("book chapter's loop, with LSTM", TORCH),
}


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    peers: str = ",".join(PEERS)
    """Peers to run, in this order."""
    rounds: int = 1
    """Times that ours and each peer are run."""
    seed: int = 1
    """Seed of the first round; each further round has the next."""
    cores: int = 0
    """Cores for each run, 0 for all. Ours has a worker on each, and 64 environments over all workers."""
    peer_seconds: float = 60.0
    """Seconds of training that each has to solve the task."""
    grace_seconds: float = 120.0
    """Seconds beyond these to start, compile and confirm; what still runs then is stopped and counts as failed."""
    ours: str = ""
    """More options of our run, those of experiments.train, as in --ours="--core gru"."""
    runs_dir: Path = Path("runs/peers")
    """Folder of virtual environments, logs and records."""
    out: Path = Path("experiments/results/peers")
    """Folder of the results."""

    def checked(self, most_cores: int) -> "Command":
        """This command with its number of cores.

        Raises:
            ValueError: an unknown peer, or an option out of range.
        """
        self.names()
        for name, value, low, high in (
            ("--cores", self.cores, 0, most_cores),
            ("--rounds", self.rounds, 1, 1000),
            ("--seed", self.seed, 0, 10**6),
            ("--peer-seconds", self.peer_seconds, 1, 10**6),
            ("--grace-seconds", self.grace_seconds, 1, 10**6),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} {value}: a number from {low} to {high} is needed")
        return replace(self, cores=self.cores or most_cores)

    def names(self) -> list[str]:
        """The peers to run."""
        from experiments.lab.command_line import listed

        known = {name: name for name in PEERS}
        return listed("--peers", self.peers, known.__getitem__, f"a list out of {','.join(PEERS)}")


class PeerFailed(Exception):
    """A run could not be installed or did not come to its end; the message ends with what it said last."""


def run_process(command: list[str], log: Path, seconds: float, **environment: str) -> None:
    """Run a command with all that it starts, its output going to a file.

    Raises:
        PeerFailed: it ended with an error, or had to be stopped.
    """
    with open(log, "w") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        cause = f"still running after {seconds:.0f} s"
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(seconds)
                cause = f"exit code {code}" if code else ""
        finally:
            end(process)
    if cause:
        lines = [line for line in without_folders(log.read_text(errors="replace")).splitlines() if line.strip()]
        raise PeerFailed("\n".join([cause, *lines[-LAST_LINES:]]))


def end(process: subprocess.Popen) -> None:
    """End a process and what it left behind in its group: by asking, and after 10 seconds for good."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def without_folders(text: str) -> str:
    """A log without colours, and without the folders of this machine."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    for folder, short in ((ROOT, "."), (sys.base_prefix, "<python>"), (Path.home(), "~")):
        text = text.replace(str(folder), short)
    return text


def install(name: str, runs_dir: Path) -> Path:
    """A peer's interpreter, in a virtual environment that is made if it is missing or was made for other packages.

    Raises:
        PeerFailed: pip could not install it.
    """
    folder, packages = (runs_dir / name).absolute(), PEERS[name].packages
    python, installed = folder / "venv/bin/python", folder / "venv/installed"
    if not installed.exists() or installed.read_text().split() != list(packages):
        print(f"installing {', '.join(packages)}", flush=True)
        venv.create(folder / "venv", clear=True, symlinks=True, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
        run_process([*pip, *packages], folder / "install.log", 1800)
        installed.write_text("\n".join(packages) + "\n")
    return python


def run_peer(name: str, python: Path, folder: Path, command: Command, seed: int) -> Outcome:
    """Train a peer once."""
    record = folder.absolute() / f"{name}.jsonl"
    values = {
        "record": record,
        "seed": seed,
        "cores": command.cores,
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


def run_ours(folder: Path, command: Command, seed: int) -> Outcome:
    """Train our agent once."""
    from experiments.lab.records import read_run

    run_dir = folder.absolute() / OURS
    values = {
        "run-dir": run_dir,
        "seed": seed,
        "wandb": "disabled",
        "workers": command.cores,
        "envs-per-worker": max(1, OUR_ENVIRONMENTS // command.cores),
    }
    words = ["--stop-when-solved", *(f"--{key}={value}" for key, value in values.items()), *shlex.split(command.ours)]
    run_process(
        [sys.executable, "-m", "experiments.train", *words],
        folder / f"{OURS}.log",
        command.peer_seconds + command.grace_seconds,
    )
    return our_outcome(read_run(run_dir), command.peer_seconds)


def measured(run: Callable[[], Outcome], **known: Any) -> Outcome:
    """What a run came to, a failure included."""
    known["load_average"] = os.getloadavg()[0]
    try:
        return {**known, **run()}
    except (PeerFailed, ValueError) as failure:
        return {**known, "sps": None, "solved": False, "error": without_folders(str(failure))}


def outcomes(command: Command, folder: Path) -> Iterator[Outcome]:
    """Every run, in turn."""
    runs: dict[str, Callable[..., Outcome]] = {OURS: run_ours}
    for name in command.names():
        try:
            runs[name] = partial(run_peer, name, install(name, command.runs_dir))
        except PeerFailed as failure:
            runs[name] = partial(fail, failure)
    for number in range(1, command.rounds + 1):
        place, seed = folder / f"round-{number}", command.seed + number - 1
        place.mkdir(parents=True)
        for name, run in runs.items():
            yield measured(partial(run, folder=place, command=command, seed=seed), round=number, peer=name, seed=seed)


def fail(failure: PeerFailed, **_arguments: Any) -> Outcome:
    """Stand in for a peer that could not be installed."""
    raise failure


def in_words(machine: dict[str, Any], command: Command) -> str:
    """The sentence above the table."""
    memory = "" if machine["memory_bytes"] is None else f", {machine['memory_bytes'] / 2**30:.0f} GiB"
    load = "" if machine["load_average"] is None else f", load average {machine['load_average']:.1f} before"
    return (
        f"Measured on {machine['date'][:10]}: {machine['processor']}, {command.cores} cores{memory}, "
        f"{machine['system']}, Python {machine['versions']['python']}, commit {(machine['git_commit'] or '–')[:7]}; "
        f"each had {command.peer_seconds:g} seconds of training{load}."
    )


def main() -> None:
    """Parse the command line, run ours and the peers in turn, write the results after each."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        from experiments.speed.machine import describe
        from rl.shared.processes import available_cpus

        command = parse(Command, __doc__).checked(available_cpus())
        if hasattr(os, "sched_setaffinity"):  # what is started from here inherits it
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: command.cores])
        machine = describe()
        titles = {OURS: "**carryover (ours)**"} | {name: PEERS[name].title for name in command.names()}
        results = {"words": in_words(machine, command), "machine": machine, "titles": titles, "outcomes": []}
        folder = command.runs_dir / "records" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
        for one in outcomes(command, folder):
            results["outcomes"].append(one)
            set_ratios(results["outcomes"])
            write(results, command.out)
            how = "failed" if one["error"] else "solved" if one["solved"] else "not solved"
            print(f"round {one['round']}: {one['peer']} {how}, {rounded(one['sps'])} env steps a second", flush=True)
        print((command.out / "peers.md").read_text())
        print(f"Written to {command.out}: peers.json, peers.md, peers.csv; logs and records in {folder}.")

    experiment(run)


if __name__ == "__main__":
    main()
