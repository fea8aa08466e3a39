"""What memories hold, and how much of what they hold agents use."""

from pathlib import Path
from statistics import median

from experiments.online_vs_replay.measures import probe
from experiments.online_vs_replay.measures.short_memory import LENGTHS
from experiments.online_vs_replay.measures.watch import MOMENTS
from experiments.online_vs_replay.report.cells import Blocks, digits_of, markdown, picture
from experiments.online_vs_replay.report.lines import known, lines_figure
from experiments.online_vs_replay.report.rows import Part, at_moments, figures


def memory_section(grid: Part, out: Path) -> Blocks:
    """What memories hold, and how much of them is used."""
    blocks = []
    probed = {arm: [at_moments(grid.of("masked", arm), key) for key in ("r2_cart", "r2_pole")] for arm in grid.arms()}
    probed = {arm: sides for arm, sides in probed.items() if any(value is not None for value in sides[0])}
    if probed:
        found = probe.controls()
        levels = [{name: max(0.0, sides[place]) for name, sides in found.items()} for place in range(2)]
        shared = figures(probed)
        for name, arms in shared.items():
            lines_figure(
                out / f"probe{name}.png",
                ("cart velocity", "pole velocity"),
                lambda place, arms=arms: {arm: known(probed[arm][place]) for arm in arms},
                ["share of training"] * 2,
                ["R²"] * 2,
                levels,
                {moment: f"{moment:g}" for moment in MOMENTS},
                "linear",
            )
        table = [["arm", "cart velocity", "pole velocity"]]
        table += [
            [arm, *(" / ".join("–" if value is None else f"{value:.2f}" for value in side) for side in sides)]
            for arm, sides in probed.items()
        ]
        table += [[name, *(f"{value:.2f}" for value in sides)] for name, sides in found.items()]
        blocks += [
            "How well a linear probe reads the hidden velocities out of what the network carries on masked, at "
            "0.3 / 0.6 / 0.9 of training: R² on held-out episodes of a fixed controller, medians over seeds.",
            *(
                picture(
                    f"probe{name}.png",
                    "R² of the hidden velocities; dotted: from one and from two observations, without a network.",
                )
                for name in shared
            ),
            markdown(table),
        ]
    short = {task: of for task in grid.tasks() if (of := short_memories(grid, task))}
    if short:
        ticks = {float(k): str(k) for k in LENGTHS} | {2.0 * LENGTHS[-1]: "all"}
        for name, arms in figures(arm for arm in grid.arms() if any(arm in of for of in short.values())).items():
            lines = [{arm: (list(ticks), of[arm]) for arm in arms if arm in of} for of in short.values()]
            lines_figure(
                out / f"short_memory{name}.png",
                list(short),
                lines.__getitem__,
                ["observations remembered"] * len(short),
                ["greedy return"] * len(short),
                ticks=ticks,
                tasks=list(short),
            )
            blocks.append(
                picture(
                    f"short_memory{name}.png",
                    "Greedy return at 0.9 of training when the state is made of the last "
                    "k observations only; all: the final return. Medians over seeds.",
                )
            )
        for task, of in short.items():
            rows = [[arm, *(f"{y:.{digits_of(task)}f}" for y in line)] for arm, line in of.items()]
            blocks.append(f"**{task}**\n\n" + markdown([["arm", *(f"k = {k}" for k in LENGTHS), "all"], *rows]))
    return blocks


def short_memories(grid: Part, task: str) -> dict[str, list[float]]:
    """Return each measured arm's median returns with the last 1, 2, 4, 8, 16 observations and with all."""
    found = {}
    for arm in grid.arms():
        runs = [run for run in grid.of(task, arm) if run.moments and f"memory_{LENGTHS[0]}" in run.moments[-1]]
        if runs:
            found[arm] = [median(run.moments[-1][f"memory_{k}"] for run in runs) for k in LENGTHS]
            found[arm].append(median(run.row["final_greedy"] for run in runs))
    return found
