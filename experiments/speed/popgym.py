"""Measure how many times as fast the rewritten environments of POPGym are as those of the package popgym.

Question: what does the array arithmetic of `envs.popgym` buy?
Command:  python -m experiments.speed.popgym
Time:     6 seconds an id with the defaults.
Output:   popgym.json and popgym.md in --out.

Both forms of an id are made by `make_vector`, with as many environments, in one process. They take turns in each
round, so a machine that drifts does so for both. Actions are random, and are drawn before the clock starts. The package
needs pip install -e .[popgym].
"""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.lab.options import at_least, listed
from experiments.lab.tables import publish

BLOCK = 64  # batches of actions, which are taken again and again


@dataclass(frozen=True)
class Command:
    """The options of the command."""

    names: str = ""
    """Which environments, separated by commas: RepeatFirstEasy,HigherLowerHard. All, if it is empty."""
    num_envs: int = 32
    """Environments in a batch."""
    rounds: int = 3
    """How often each id is measured."""
    seconds: float = 1.0
    """Seconds of a measurement, at least."""
    out: Path = Path("runs/popgym_speed")
    """Folder of the numbers and the page."""


def main() -> None:
    """Parse the command line, measure, write."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: run(parse(Command, __doc__)))


def run(command: Command) -> None:
    """Measure, then write numbers and page.

    Raises:
        ValueError: an option cannot work, or the package is missing.
    """
    from envs.popgym.table import POPGYM
    from experiments.speed.machine import describe

    at_least(1, num_envs=command.num_envs, rounds=command.rounds)
    known = {name: name for name, *_ in POPGYM}
    needed = f"a list of {', '.join(known)}"
    names = listed("--names", command.names, known.__getitem__, needed) if command.names else list(known)
    found = measured(names, command)
    rows = [row(name, found[name]) for name in names]
    command.out.mkdir(parents=True, exist_ok=True)
    options = {"num_envs": command.num_envs, "rounds": command.rounds, "seconds": command.seconds}
    numbers = {"machine": describe(), **options, "rows": rows}
    (command.out / "popgym.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    publish(command.out, "popgym", page(rows, command.num_envs, command.rounds))


def measured(names: Sequence[str], command: Command) -> dict[str, list[tuple[float, float]]]:
    """Measure env steps a second, ours and the package's, in each round, by name."""
    from envs.popgym.table import fast_id, official_id

    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(command.rounds):
        for name in names:
            ours, official = (speed(make(name), command.num_envs, command.seconds) for make in (fast_id, official_id))
            found[name].append((ours, official))
    return found


def speed(env_id: str, num_envs: int, seconds: float) -> float:
    """Measure the env steps a second of one id with random actions in this process."""
    from envs import make_vector

    environments = make_vector(env_id, num_envs)
    environments.action_space.seed(0)
    actions = [environments.action_space.sample() for _ in range(BLOCK)]
    environments.reset(seed=0)
    for action in actions:
        environments.step(action)
    steps, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        for action in actions:
            environments.step(action)
        steps += BLOCK
    environments.close()
    return steps * num_envs / passed


def row(name: str, rounds: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return the medians over rounds of (ours, the package's) env steps a second, and of their ratio."""
    ours, official = zip(*rounds, strict=True)
    ratio = statistics.median(one / other for one, other in rounds)
    return {"name": name, "ours": statistics.median(ours), "official": statistics.median(official), "ratio": ratio}


def page(rows: Sequence[dict[str, Any]], num_envs: int, rounds: int) -> str:
    """Tabulate the rows."""
    lines = ["# POPGym on whole batches, and the package", ""]
    lines += ["| environment | popgym-fast, env steps/s | popgym 1.0.7, env steps/s | ratio |", "|---|---:|---:|---:|"]
    for one in rows:
        lines.append(f"| {one['name']} | {one['ours']:,.0f} | {one['official']:,.0f} | {one['ratio']:.1f} |")
    ratios = [one["ratio"] for one in rows]
    lines += [
        "",
        f"The median ratio is {statistics.median(ratios):.1f}, the least {min(ratios):.1f}. Batches of {num_envs}, one "
        f"process, random actions, medians of {rounds} rounds.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
