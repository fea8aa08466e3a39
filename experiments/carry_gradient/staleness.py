"""How stale is a carried gradient? Cosine and length against the exact one, by learning rate and segment length.

Question: parameters change while sensitivities are carried; how far does that lead the gradient astray?
Command:  python -m experiments.carry_gradient.staleness
Time:     30 minutes on 2 CPUs (two serial runs at a time).
Output:   staleness.md (table), runs.csv and gradients.csv (each measured segment) in --out; run folders.

The exact gradient starts at each episode's first step, with the parameters of now, and has the same loss. The cut one
ends at the segment's first step. Both cores learn to recall a cue 24 steps later, with their gradient carried.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from experiments.carry_gradient.arms import GRADIENT, config_of
from experiments.carry_gradient.watch import watch
from experiments.lab.digest import digest
from experiments.lab.records import final_score, read_record
from experiments.lab.rows import Row, read_csv
from experiments.lab.study import Arm, Study, StudyCommand
from experiments.lab.tables import publish
from rl.config import Config
from rl.loop import Overrides
from rl.names import DIAGONAL

TASK = "RecallCue 24"
RATES, LENGTHS = (1e-3, 5e-3, 2e-2), (1, 4, 16)
NUMBERS = ("carried_cosine", "carried_ratio", "cut_cosine", "cut_ratio")


@dataclass(frozen=True)
class Command(StudyCommand):
    """What the command line says."""

    runs_dir: Path = Path("runs/carry_gradient_staleness")
    """Folder of the run folders."""


def arms() -> dict[str, Arm]:
    """Each core with each learning rate and length of a segment."""
    return {
        f"{core} lr={rate:g} N={length}": Arm(
            replace(config_of(TASK, core, GRADIENT, length), learning_rate=rate), Overrides(watch=watch)
        )
        for core in DIAGONAL
        for rate in RATES
        for length in LENGTHS
    }


def result(config: Config, overrides: Overrides) -> tuple[Row, dict[str, list[Row]]]:
    """A finished run's row, and a row for each segment that was measured."""
    file = Path(config.run_dir) / "gradients.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    row = {"digest": digest(config, overrides), "final_return": final_score(read_record(config.run_dir))}
    return row, {"gradients": [{key: round(value, 5) for key, value in json.loads(line).items()} for line in lines]}


def page(rows: Sequence[Row], measured: Sequence[Row]) -> str:
    """A Markdown table with a line for each arm: medians over seeds, moments and segments."""
    lines = [
        "| core, learning rate, N | cosine, carried | length, carried | cosine, cut | length, cut | return |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for arm in dict.fromkeys(row["arm"] for row in rows):
        mine = [row for row in measured if row["arm"] == arm]
        cells = [f"{np.median([float(row[name]) for row in mine]):.3f}" if mine else "" for name in NUMBERS]
        returns = np.mean([float(row["final_return"]) for row in rows if row["arm"] == arm])
        lines.append(f"| {arm} | {' | '.join(cells)} | {returns:.2f} |")
    lines += [
        "",
        "Against the exact gradient: 1 and 1 would be the same. Lengths are ratios; medians over all measured",
    ]
    lines += ["segments of all seeds. Return: mean over seeds of the last fifth of training."]
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, train what is missing, write the page."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        study = Study("carry-gradient-staleness", arms(), parse(Command, __doc__), result, tables=("gradients",))
        rows = study.complete()
        publish(study.out, "staleness", page(rows, read_csv(study.out / "gradients.csv")))

    experiment(run)


if __name__ == "__main__":
    main()
