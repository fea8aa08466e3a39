"""The chapter's two figures: mean episode length over the first 45 seconds of training.

Question: does N-step learn faster and more smoothly than Monte Carlo, as the chapter's figures 5.14 and 5.15 show?
Command:  python -m experiments.chapter5.first_45_seconds
Time:     12 minutes on 2 CPUs for 4 systems x 3 seeds; 36 with --seeds 10. The machine should do nothing else.
Output:   first_45_seconds.md and .png (table, learning curves), runs.csv and curves.csv in --out; run folders.

Monte Carlo and N-step (N = 10) DA2C have 7 asynchronous workers with one environment each, the chapter's network and
-10 for a fall. "As printed" has the faults of the listings (see experiments/chapter5/printed.py), "repaired" has none.
The dashed lines are about where the chapter's curves end: 140 (jagged) and 300 (smooth).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from experiments.chapter5.length_results import curves_of, length_result
from experiments.chapter5.length_study import COLUMNS, FOOTNOTE, LengthCommand
from experiments.lab.arms import COLOURS
from experiments.lab.figures import STYLE, pdf_too, write_figure
from experiments.lab.learning_curves import LENGTH, mean_curve, smoothed
from experiments.lab.records import Record
from experiments.lab.study import Arm, Study
from experiments.lab.tables import Column, publish, study_table
from rl.config import Config
from rl.presets import PRESETS

SECONDS = 45.0
BOOK = {"Monte Carlo": 140.0, "N-step": 300.0}  # read off the figures
EXTRA = (
    Column("book", "the chapter's figure, about", 0, median=True),
    Column("seconds_to_book", "seconds to that", 1, median=True),
    Column("env_steps_to_book", "env steps to that", 0, median=True),
    Column("jaggedness", "jaggedness", 2, median=False),
)
EXPLAINED = (
    " To that: until the mean of five intervals of 4,000 env steps reached it, median over seeds. Jaggedness: mean "
    "absolute change of the episode length from one interval to the next, as a share of the mean length, over the "
    "second half of the run."
)


def arms(seconds: float) -> dict[str, Arm]:
    """Every arm, by name; time limits its runs, and not env steps.

    Raises:
        ValueError: the limit is not above 0.
    """
    from experiments.chapter5.printed import AS_PRINTED, MONTE_CARLO_AS_PRINTED, PRINTED_ENV

    if not seconds > 0:
        raise ValueError(f"--seconds {seconds}: a number above 0 is needed")
    limit = {"max_seconds": seconds, "total_env_steps": 4_000_000, "log_interval": 4_000}
    systems = {"Monte Carlo": "monte-carlo", "N-step": "chapter5"}
    repaired = {name: Config(**PRESETS[preset] | limit) for name, preset in systems.items()}
    faults = {"Monte Carlo": MONTE_CARLO_AS_PRINTED, "N-step": AS_PRINTED}
    printed = {name: replace(config, env=PRINTED_ENV, reward_scale=1.0) for name, config in repaired.items()}
    return {f"{name} as printed": Arm(printed[name], faults[name]) for name in systems} | {
        f"{name} repaired": Arm(repaired[name]) for name in systems
    }


@dataclass(frozen=True)
class Command(LengthCommand):
    """What the command line says."""

    seconds: float = SECONDS
    """Training seconds of each run."""
    runs_dir: Path = Path("runs/chapter5/first_45_seconds")
    """Folder of the run folders."""


def main() -> None:
    """Parse the command line, train what is missing, tabulate and draw."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        command = parse(Command, __doc__)
        study = Study("chapter5-first-45-seconds", arms(command.seconds), command, length_result)
        rows = study.complete()
        curves = curves_of(study)
        with pdf_too(command.pdf):
            draw(curves, study.out / "first_45_seconds.png")
        table = study_table([row | beside_the_book(row, curves) for row in rows], (*COLUMNS, *EXTRA))
        publish(study.out, "first_45_seconds", f"{table}\n\n{FOOTNOTE}{EXPLAINED}")

    experiment(run)


def beside_the_book(row: dict, curves: dict[str, list[Record]]) -> dict[str, float]:
    """Where the chapter's curve ends, when the run's curve got there (inf: never), and how much it jumps."""
    run = next(run for run in curves[row["arm"]] if run.config["seed"] == int(row["seed"]))
    found = {"book": next(end for system, end in BOOK.items() if row["arm"].startswith(system))}
    for name, x_key in (("seconds_to_book", "time/seconds"), ("env_steps_to_book", "global_step")):
        x, y = smoothed(run, x_key, LENGTH)
        reached = x[y >= found["book"]]
        found[name] = float(reached[0]) if len(reached) else float("inf")
    _, lengths = run.curve("time/seconds", LENGTH)
    late = lengths[len(lengths) // 2 :]
    found["jaggedness"] = float(np.abs(np.diff(late)).mean() / late.mean()) if len(late) > 1 else 0.0
    return found


def draw(curves: dict[str, list[Record]], file: Path) -> None:
    """Draw a panel for Monte Carlo and one for N-step, with runs, their mean, and the end of the chapter's curve."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    colours = {"as printed": COLOURS["mlp"], "repaired": COLOURS["lstm"]}
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
        for panel, system in zip(panels, BOOK, strict=True):
            for version, colour in colours.items():
                runs = curves.get(f"{system} {version}", [])
                for run in runs:
                    panel.plot(*run.curve("time/seconds", LENGTH), color=colour, linewidth=0.5, alpha=0.3)
                curve = mean_curve(runs, "time/seconds", LENGTH) if runs else None
                if curve:
                    grid, mean, (low, high) = curve
                    panel.fill_between(grid, low, high, color=colour, alpha=0.2, linewidth=0)
                    panel.plot(grid, mean, color=colour, linewidth=2.2, label=version)
            panel.axhline(BOOK[system], color="#444444", linewidth=1, linestyle="--", zorder=1)
            panel.set_title(system, loc="left", fontsize=10, fontweight="bold")
            panel.set_xlabel("seconds of training")
            panel.set_xlim(left=0)
            panel.grid(axis="y", color="#E5E5E5", linewidth=0.8)
            panel.set_axisbelow(True)
        panels[0].set_ylabel("mean episode length")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
        write_figure(figure, file)


if __name__ == "__main__":
    main()
