"""Pong from pixels, one picture at a time: an LSTM, and what it is worth beside no memory and four pictures.

Question: does the chapter's algorithm learn the harder game that it names, and at what price?
Command:  python -m experiments.pong --arms lstm --seeds 1
Time:     about an hour on 2 CPUs a run; seven runs in all. A study that stopped goes on.
Output:   pong.md and .png (table, score against env steps and against CPU minutes), runs.csv and curves.csv in --out;
          run folders, each with a checkpoint.

Arms: lstm (three seeds); one seed each: no memory, no memory 4 pictures, lstm flickering, no memory 4 pictures
flickering, where half of the pictures are blank. All have --preset pong but for what their name says. An agent counts
as solved where the last 100 episodes score 19 in the mean and 20 fresh ones do so too; that ends its run.
Needs ale-py: pip install "carryover-rl[atari]".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.lab.arms import COLOURS
from experiments.lab.digest import digest
from experiments.lab.figures import STYLE, pdf_too, thousands, write_figure
from experiments.lab.learning_curves import RETURN
from experiments.lab.records import read_record
from experiments.lab.rows import Row, read_csv
from experiments.lab.study import Arm, Study, StudyCommand
from experiments.lab.tables import publish
from rl.config import Config
from rl.loop import Overrides
from rl.presets import ATARI

SOLVED = 19.0
PONG = ATARI["pong"]
FLICKERING = {"env_arg": (*PONG["env_arg"], "blank_probability=0.5")}
SYSTEMS: dict[str, tuple[dict[str, Any], int]] = {  # what an arm has of its own, and how many seeds
    "lstm": ({}, 3),
    "no memory": ({"core": "mlp"}, 1),
    "no memory 4 pictures": ({"core": "mlp", "frame_stack": 4}, 1),
    "lstm flickering": (FLICKERING, 1),
    "no memory 4 pictures flickering": ({"core": "mlp", "frame_stack": 4, **FLICKERING}, 1),
}
LOOKS = {
    "lstm": (COLOURS["lstm"], "-"),
    "no memory": (COLOURS["mlp"], "-"),
    "no memory 4 pictures": (COLOURS["mlp 2 frames"], "-"),
    "lstm flickering": (COLOURS["lstm"], ":"),
    "no memory 4 pictures flickering": (COLOURS["mlp 2 frames"], ":"),
}
# What others report of Pong with an LSTM, which was not run here: who, with what, result, price.
ELSEWHERE = (
    ("CleanRL ppo_atari_lstm", "one picture, 10 M env steps, 3 seeds", "19.8", "not given"),
    ("ikostrikov/pytorch-a3c", "42 x 42, LSTM, deterministic frame skip", "solved", "240 CPU minutes"),
    ("openai/universe-starter-agent", "42 x 42, LSTM, 16 workers", "solved", "a laptop for 2 hours"),
)


@dataclass(frozen=True)
class Command(StudyCommand):
    """What the command line says."""

    seeds: int = 3
    """Runs of the arm lstm, from --first-seed on; the other arms have one."""
    runs_dir: Path = Path("runs/pong")
    """Folder of the run folders."""
    pdf: bool = False
    """Write the figure as a PDF file, too."""


def arms() -> dict[str, Arm]:
    """Every arm."""
    return {name: Arm(config_of(name)) for name in SYSTEMS}


def config_of(name: str) -> Config:
    """The config of an arm's runs."""
    own = {"log_interval": 25_000, "checkpoint_interval": 100_000, "reward_threshold": SOLVED, "stop_when_solved": True}
    return Config(**{**PONG, **own, **SYSTEMS[name][0]})


def studies(command: Command) -> list[Study]:
    """One study for the arms with several seeds, and one for those with a single one.

    Raises:
        ValueError: an option cannot work.
    """
    chosen = Study("pong", arms(), command, result).arms  # refuses what does not exist
    found = []
    for several in (True, False):
        names = {name: arms()[name] for name in chosen if (SYSTEMS[name][1] > 1) == several}
        if names:
            seeds = command.seeds if several else 1
            found.append(Study("pong", names, with_options(command, seeds), result))
    return found


def with_options(command: Command, seeds: int) -> StudyCommand:
    """The command of a part of the study: all of its arms, with so many seeds."""
    return StudyCommand(
        seeds=seeds,
        first_seed=command.first_seed,
        env_steps=command.env_steps,
        runs_dir=command.runs_dir,
        out=command.out,
        wandb=command.wandb,
    )


def result(config: Config, overrides: Overrides) -> tuple[Row, dict[str, list[Row]]]:
    """A finished run's row, and the points of its curve."""
    run = read_record(Path(config.run_dir))
    summary = run.summary
    minutes, scores = run.curve("time/cpu_seconds")
    steps, _ = run.curve("global_step")
    row = {
        "digest": digest(config, overrides),
        "solved": bool(summary["solved"]),
        "env_steps": summary["solved_at_env_steps"] or summary["env_steps"],
        "seconds": summary["solved_at_seconds"] or summary["seconds"],
        "cpu_minutes": summary["cpu_seconds"] / 60.0,
        "last_100": summary["mean_return"],
        "sampled": summary["eval_sampled"],
        "greedy": summary["eval_greedy"],
    }
    points = zip(steps, minutes / 60.0, scores, strict=True)
    return row, {
        "curves": [
            {"global_step": int(step), "cpu_minutes": round(minute, 3), RETURN: round(score, 3)}
            for step, minute, score in points
        ]
    }


def page(rows: Sequence[Row]) -> str:
    """A Markdown table with a line for each run, the median price, and what others report."""
    lines = [
        "| agent | seed | solved | env steps | minutes | CPU minutes | last 100 | 20 fresh: sampled, greedy |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        numbers = {key: float(row[key]) for key in ("env_steps", "seconds", "cpu_minutes", "last_100")}
        fresh = ", ".join(f"{float(row[key]):.1f}" for key in ("sampled", "greedy"))
        lines.append(
            f"| {row['arm']} | {row['seed']} | {'yes' if str(row['solved']) == 'True' else 'no'} | "
            f"{numbers['env_steps']:,.0f} | {numbers['seconds'] / 60:.0f} | {numbers['cpu_minutes']:.0f} | "
            f"{numbers['last_100']:.1f} | {fresh} |"
        )
    lines.append("")
    mine = [row for row in rows if row["arm"] == "lstm"]
    if mine:
        prices = [float(row["cpu_minutes"]) if str(row["solved"]) == "True" else np.inf for row in mine]
        price = np.median(prices)
        words = f"{price:.0f} CPU minutes" if np.isfinite(price) else "not reached"
        lines += [f"Solved by the LSTM from one picture, median of {len(mine)} seeds: **{words}**.", ""]
    lines += [
        f"Solved: the last 100 episodes score {SOLVED:g} in the mean, and 20 fresh ones do so too; env steps and",
        "minutes are those of that moment. CPU minutes: CPU time of all workers over the whole run. Minutes: of",
        "training, on a machine of two CPUs.",
        "",
        "What others report, not reproduced here:",
        "",
        "| who | setting | result | price |",
        "|---|---|---|---|",
        *(f"| {' | '.join(cells)} |" for cells in ELSEWHERE),
    ]
    return "\n".join(lines)


def figure(points: Sequence[Row], file: Path) -> None:
    """Draw score against env steps and against CPU minutes, a line for each run."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    runs: dict[tuple[str, str], list[Row]] = {}
    for point in points:
        runs.setdefault((point["arm"], str(point["seed"])), []).append(point)
    with plt.rc_context(STYLE):
        drawn, panels = plt.subplots(1, 2, figsize=(10.0, 4.0), sharey=True, layout="constrained")
        for panel, key, title in zip(panels, ("global_step", "cpu_minutes"), ("env steps", "CPU minutes"), strict=True):
            for (arm, _), mine in sorted(runs.items(), key=lambda run: (list(SYSTEMS).index(run[0][0]), run[0][1])):
                colour, line = LOOKS[arm]
                x, y = ([float(point[name]) for point in mine] for name in (key, RETURN))
                panel.plot(x, y, line, color=colour, linewidth=1.8, label=arm)
            panel.axhline(SOLVED, color="#444444", linewidth=1, linestyle=(0, (1, 2)))
            panel.set_xlabel(title)
            panel.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        panels[0].xaxis.set_major_formatter(thousands)
        panels[0].set_ylabel("score")
        named = {}
        for handle, label in zip(*panels[0].get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
        drawn.legend(named.values(), named, loc="outside upper center", ncols=3, frameon=False)
        write_figure(drawn, file)


def main() -> None:
    """Parse the command line, train what is missing, tabulate and draw."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        command = parse(Command, __doc__)
        parts = studies(command)
        rows = [row for study in parts for row in study.complete()]
        out = parts[0].out
        shown = {(row["arm"], str(row["seed"])) for row in rows}
        points = [point for point in read_csv(out / "curves.csv") if (point["arm"], str(point["seed"])) in shown]
        with pdf_too(command.pdf):
            figure(points, out / "pong.png")
        publish(out, "pong", page(rows))

    experiment(run)


if __name__ == "__main__":
    main()
