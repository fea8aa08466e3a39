"""From measurements to benchmark.json, benchmark.md and benchmark.png."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.speed.benchmark.command import Command
from experiments.speed.benchmark.configurations import configurations, differing, name_on, scaled
from experiments.speed.benchmark.jobs import Measured
from experiments.speed.benchmark.page import page
from experiments.speed.benchmark.roofline import roofline
from experiments.speed.benchmark.spread import spread

NOT_MEASURED = ("runs_dir", "out", "redraw", "pdf")  # options that change no number


def summarise(command: Command, measured: Measured) -> dict[str, Any]:
    """Return all measured numbers, in seconds, bytes and FLOP.

    `run` holds the throughput of every config, `scaling` the names of the configs along each axis.
    """
    configs = {**scaled(command.axes()), **configurations()}
    results: dict[str, Any] = {
        "options": {name: value for name, value in asdict(command).items() if name not in NOT_MEASURED}
    }
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
        results["scaling"] = {
            axis: [[value, name_on(axis, value)] for value in values] for axis, values in command.axes().items()
        }
    return results


def spreads(repetitions: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the spread of each number over repetitions."""
    return {name: spread([one[name] for one in repetitions]) for name in repetitions[0]}


def read(out: Path) -> dict[str, Any]:
    """Read the numbers of a folder.

    Raises:
        ValueError: the folder has none.
    """
    file = out / "benchmark.json"
    if not file.exists():
        raise ValueError(f"--out {out}: it holds no benchmark.json to draw from")
    return json.loads(file.read_text(encoding="utf-8"))


def write(results: dict[str, Any], out: Path) -> None:
    """Write numbers, tables and, if throughput was measured, the figure."""
    from experiments.speed.benchmark.figure import benchmark_figure
    from rl.record.files import write_json

    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "benchmark.json", results)
    (out / "benchmark.md").write_text(page(results), encoding="utf-8")
    if "run" in results:
        benchmark_figure(results, out / "benchmark.png")
