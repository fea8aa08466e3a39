"""Continuous control from positions alone: what memory buys where velocities are hidden.

Question: does an agent with memory control a body whose velocities it cannot see, as well as one that sees all?
Command:  python -m experiments.masked_control
Time:     hours on 2 CPUs for 3 environments x 5 arms x 3 seeds of 1 M env steps; a study that stopped goes on.
Output:   masked_control.md and .png (table, learning curves), runs.csv and curves.csv in --out; run folders.

Needs Gymnasium's MuJoCo: pip install "carryover-rl[mujoco]". All arms learn by PPO with the defaults of
experiments.train; only what they see and what they remember differs.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.lab.arms import COLOURS
from experiments.lab.digest import digest
from experiments.lab.figures import STYLE, pdf_too, thousands, write_figure
from experiments.lab.learning_curves import RETURN, mean_curve
from experiments.lab.records import Record, read_record
from experiments.lab.rows import Row, read_csv
from experiments.lab.study import Arm, Study, StudyCommand
from experiments.lab.tables import publish
from rl.algorithms import ALGORITHMS
from rl.config import Config
from rl.loop import Overrides

ENVIRONMENTS = {"Pendulum": "Pendulum-v1", "HalfCheetah": "HalfCheetah-v5", "Hopper": "Hopper-v5"}
ENV_STEPS = 1_000_000
SEES_ALL = "mlp sees all"
SYSTEMS = {
    "mlp": {"core": "mlp"},
    "mlp 2 frames": {"core": "mlp", "frame_stack": 2},
    "gru": {"core": "gru"},
    "lstm": {"core": "lstm"},
    SEES_ALL: {"core": "mlp"},
}
OWN_COLOURS = {**COLOURS, SEES_ALL: "#7F7F7F"}
BETWEEN = ": "  # an arm is "environment: system"


@dataclass(frozen=True)
class Command(StudyCommand):
    """What the command line says."""

    runs_dir: Path = Path("runs/masked_control")
    """Folder of the run folders."""
    pdf: bool = False
    """Write the figure as a PDF file, too."""


def arms() -> dict[str, Arm]:
    """Every environment with every system."""
    return {f"{name}{BETWEEN}{system}": Arm(config_of(name, system)) for name in ENVIRONMENTS for system in SYSTEMS}


def config_of(name: str, system: str) -> Config:
    """The config of a system on an environment."""
    env = ENVIRONMENTS[name] if system == SEES_ALL else f"MaskedVelocity{ENVIRONMENTS[name]}"
    return Config(
        env=env,
        algorithm="ppo",
        total_env_steps=ENV_STEPS,
        log_interval=ENV_STEPS // 100,
        checkpoint_interval=ENV_STEPS,
        eval_episodes=100,
        **ALGORITHMS["ppo"].box_defaults,
        **SYSTEMS[system],
    )


def result(config: Config, overrides: Overrides) -> tuple[Row, dict[str, list[Row]]]:
    """A finished run's row, and the points of its curve."""
    run = read_record(Path(config.run_dir))
    summary = run.summary
    row = {
        "digest": digest(config, overrides),
        "env_steps": summary["env_steps"],
        "seconds": summary["seconds"],
        "cpu_minutes": summary["cpu_seconds"] / 60.0,
        "sampled": summary["eval_sampled"],
        "greedy": summary["eval_greedy"],
    }
    steps, returns = run.curve("global_step")
    return row, {"curves": [{"global_step": int(x), RETURN: y} for x, y in zip(steps, returns, strict=True)]}


def page(rows: list[Row]) -> str:
    """A Markdown table with a line for each environment and system."""
    lines = [
        "| environment | agent | seeds | sampled return | greedy return | CPU minutes |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for arm in dict.fromkeys(row["arm"] for row in rows):
        mine = [row for row in rows if row["arm"] == arm]
        sampled, greedy = (mean_and_range([float(row[key]) for row in mine]) for key in ("sampled", "greedy"))
        minutes = np.median([float(row["cpu_minutes"]) for row in mine])
        lines.append(f"| {' | '.join(arm.split(BETWEEN))} | {len(mine)} | {sampled} | {greedy} | {minutes:.1f} |")
    lines += [
        "",
        f"{', '.join(ENVIRONMENTS.values())}, {ENV_STEPS:,} env steps a run. All agents but `{SEES_ALL}` observe",
        "positions alone. Returns: 100 fresh episodes with the final parameters; mean over seeds (smallest to",
        "largest). CPU minutes: median over seeds of the CPU time of all workers.",
    ]
    return "\n".join(lines)


def mean_and_range(values: list[float]) -> str:
    """The mean with the smallest and the largest value: an interval says no more of three."""
    return f"{np.mean(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def figure(rows: list[Row], points: list[Row], file: Path) -> None:
    """Draw the learning curves, a panel for each environment, from the study's rows alone."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(row["arm"].split(BETWEEN)[0] for row in rows))
    with plt.rc_context(STYLE):
        drawn, (panels,) = plt.subplots(
            1, len(names), figsize=(4 * len(names), 3.6), squeeze=False, layout="constrained"
        )
        for panel, name in zip(panels, names, strict=True):
            for system, colour in ((system, OWN_COLOURS[system]) for system in SYSTEMS):
                runs = curves_of(rows, points, f"{name}{BETWEEN}{system}")
                curve = mean_curve(runs, "global_step") if runs else None
                if curve:
                    grid, mean, (low, high) = curve
                    panel.fill_between(grid, low, high, color=colour, alpha=0.15, linewidth=0)
                    panel.plot(grid, mean, color=colour, linewidth=2, label=system)
            panel.set_title(name, loc="left", fontsize=10, fontweight="bold")
            panel.set_xlabel("environment steps")
            panel.set_xlim(left=0)
            panel.xaxis.set_major_formatter(thousands)
            panel.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        panels[0].set_ylabel("mean episode return")
        handles, labels = panels[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
        write_figure(drawn, file)


def curves_of(rows: list[Row], points: list[Row], arm: str) -> list[Record]:
    """The curves of an arm's runs, one a seed."""
    seeds = [row["seed"] for row in rows if row["arm"] == arm]
    of_seed = {seed: [point for point in points if (point["arm"], point["seed"]) == (arm, seed)] for seed in seeds}
    return [
        Record(Path(arm), {}, [{key: float(point[key]) for key in ("global_step", RETURN)} for point in mine], {}, None)
        for mine in of_seed.values()
    ]


def main() -> None:
    """Parse the command line, train what is missing, tabulate and draw."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        command = parse(Command, __doc__)
        study = Study("masked-control", arms(), command, result)
        rows = study.complete()
        with pdf_too(command.pdf):
            figure(rows, read_csv(study.out / "curves.csv"), study.out / "masked_control.png")
        publish(study.out, "masked_control", page(rows))

    experiment(run)


if __name__ == "__main__":
    main()
