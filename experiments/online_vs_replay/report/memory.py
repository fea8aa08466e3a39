"""The sections of the report that look into the agents: how stale core states are, and what memories hold."""

from pathlib import Path
from statistics import median

from experiments.online_vs_replay.measures.memory import LENGTHS
from experiments.online_vs_replay.measures.staleness import MOMENTS
from experiments.online_vs_replay.report import figures as figures
from experiments.online_vs_replay.report.pages import Blocks, picture
from experiments.online_vs_replay.report.parts import at_moments, staleness_table
from experiments.online_vs_replay.report.rows import Part
from experiments.online_vs_replay.report.tables import digits_of, markdown


def staleness_section(grid: Part, out: Path) -> Blocks:
    """How old and wrong the core states are."""
    found = {task: table for task in grid.tasks() if len(table := staleness_table(grid, task)[1:])}
    if not found:
        return []
    shown = [task for task in ("masked", "recall 24") if task in found] or list(found)[:2]
    kinds = {"true_first": "first position", "true_last": "last position", "disagree_first": "other actions, first"}
    cells = [(task, key) for task in shown for key in kinds]

    def lines(place: int) -> dict:
        task, key = cells[place]
        at = {arm: at_moments(grid.of(task, arm), key) for arm in grid.arms()}
        return {arm: known(y) for arm, y in at.items() if any(value is not None for value in y)}

    labels = {"disagree_first": "share of greedy actions"}
    figures.lines_figure(
        out / "staleness.png",
        [f"{task}: {kinds[key]}" for task, key in cells],
        lines,
        ["share of training"] * len(cells),
        [labels.get(key, "ΔQ or ΔV to the true state") for _, key in cells],
        scale="linear",
        ticks={moment: f"{moment:g}" for moment in MOMENTS},
    )
    return [
        "Three moments: at 0.3 / 0.6 / 0.9 of the env steps. Medians over seeds. The data's age: updates since the "
        "first row was acted, and since the stored state was made; from zeros only the data is old. Stored: ΔQ (R2D2) "
        "between the state in the training unroll and the one that the actor stored; true: the same, against the "
        "newest parameters unrolled over the 128 rows before; for actor-critics ΔV. First and last trained position. "
        "Other action: share of greedy actions that differ from the true state's.",
        *(f"**{task}**\n\n" + markdown(staleness_table(grid, task)) for task in found),
        picture(
            "staleness.png", "How far the state that learning starts from is from the true one: medians over seeds."
        ),
    ]


def known(values: list[float | None]) -> tuple[list[float], list[float]]:
    """The moments that have a value, and the values."""
    pairs = [(at, value) for at, value in zip(MOMENTS, values, strict=False) if value is not None]
    return [at for at, _ in pairs], [value for _, value in pairs]


def memory_section(grid: Part, out: Path) -> Blocks:
    """What memories hold, and how much of them is used."""
    blocks = []
    probed = {arm: [at_moments(grid.of("masked", arm), key) for key in ("r2_cart", "r2_pole")] for arm in grid.arms()}
    probed = {arm: sides for arm, sides in probed.items() if any(value is not None for value in sides[0])}
    if probed:
        from experiments.online_vs_replay.measures.memory import controls

        found = controls()
        levels = [{name: max(0.0, sides[place]) for name, sides in found.items()} for place in range(2)]
        figures.lines_figure(
            out / "probe.png",
            ("cart velocity", "pole velocity"),
            lambda place: {arm: known(of[place]) for arm, of in probed.items()},
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
            picture(
                "probe.png",
                "R² of the hidden velocities; dotted: from one and from two observations, without a network.",
            ),
            markdown(table),
        ]
    short = {task: of for task in grid.tasks() if (of := short_memories(grid, task))}
    if short:
        ticks = {float(k): str(k) for k in LENGTHS} | {2.0 * LENGTHS[-1]: "all"}
        lines = [{arm: (list(ticks), y) for arm, y in of.items()} for of in short.values()]
        figures.lines_figure(
            out / "short_memory.png",
            list(short),
            lines.__getitem__,
            ["observations remembered"] * len(short),
            ["greedy return"] * len(short),
            ticks=ticks,
            tasks=list(short),
        )
        blocks.append(
            picture(
                "short_memory.png",
                "Greedy return at 0.9 of training when the state is made of the last "
                "k observations only; all: the final return. Medians over seeds.",
            )
        )
        for task, of in short.items():
            rows = [[arm, *(f"{y:.{digits_of(task)}f}" for y in line)] for arm, line in of.items()]
            blocks.append(f"**{task}**\n\n" + markdown([["arm", *(f"k = {k}" for k in LENGTHS), "all"], *rows]))
    return blocks


def short_memories(grid: Part, task: str) -> dict[str, list[float]]:
    """Median return with the last 1, 2, 4, 8, 16 observations and with all, of each arm that was measured."""
    found = {}
    for arm in grid.arms():
        runs = [run for run in grid.of(task, arm) if run.moments and f"memory_{LENGTHS[0]}" in run.moments[-1]]
        if runs:
            found[arm] = [median(run.moments[-1][f"memory_{k}"] for run in runs) for k in LENGTHS]
            found[arm].append(median(run.row["final_greedy"] for run in runs))
    return found
