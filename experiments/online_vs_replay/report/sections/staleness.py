"""How old and how wrong the core states are that learning starts from."""

from pathlib import Path

from experiments.online_vs_replay.measures.watch import MOMENTS
from experiments.online_vs_replay.report.cells import Blocks, Table, markdown, measure, picture
from experiments.online_vs_replay.report.lines import known, lines_figure
from experiments.online_vs_replay.report.rows import Part, at_moments, figures

STALENESS = {  # column of measures.csv: title
    "age_mean": "data's age, mean",
    "age_p95": "data's age, 95 %",
    "stored_first": "from stored, first",
    "stored_last": "from stored, last",
    "true_first": "from true, first",
    "true_last": "from true, last",
    "disagree_first": "other action, first",
    "disagree_last": "other action, last",
    "kl_first": "KL, first",
    "kl_last": "KL, last",
}


def staleness_section(grid: Part, out: Path) -> Blocks:
    """Write how old and how wrong the core states are, and draw it on two tasks."""
    found = {task: table for task in grid.tasks() if len(table := staleness_table(grid, task)[1:])}
    if not found:
        return []
    shown = [task for task in ("masked", "recall 24") if task in found] or list(found)[:2]
    kinds = {"true_first": "first position", "true_last": "last position", "disagree_first": "other actions, first"}
    cells = [(task, key) for task in shown for key in kinds]

    def lines(place: int, arms: list[str]) -> dict:
        task, key = cells[place]
        at = {arm: at_moments(grid.of(task, arm), key) for arm in arms}
        return {arm: known(y) for arm, y in at.items() if any(value is not None for value in y)}

    labels, pictures = {"disagree_first": "share of greedy actions"}, []
    for name, arms in figures(grid.arms()).items():
        lines_figure(
            out / f"staleness{name}.png",
            [f"{task}: {kinds[key]}" for task, key in cells],
            lambda place, arms=arms: lines(place, arms),
            ["share of training"] * len(cells),
            [labels.get(key, "ΔQ or ΔV to the true state") for _, key in cells],
            scale="linear",
            ticks={moment: f"{moment:g}" for moment in MOMENTS},
        )
        caption = "How far the state that learning starts from is from the true one: medians over seeds."
        pictures.append(picture(f"staleness{name}.png", caption))
    return [
        "Three moments: at 0.3 / 0.6 / 0.9 of the env steps. Medians over seeds. The data's age: updates since the "
        "first row was acted, and since the stored state was made; from zeros only the data is old. Stored: ΔQ (R2D2) "
        "between the state in the training unroll and the one that the actor stored; true: the same, against the "
        "newest parameters unrolled over the 128 rows before; for actor-critics ΔV. First and last trained position. "
        "Other action: share of greedy actions that differ from the true state's.",
        *(f"**{task}**\n\n" + markdown(staleness_table(grid, task)) for task in found),
        *pictures,
    ]


def staleness_table(grid: Part, task: str) -> Table:
    """Tabulate the age and the errors of the core states at each moment, medians over seeds."""
    cells = {}
    for arm in grid.arms():
        found = {key: at_moments(grid.of(task, arm), key) for key in STALENESS}
        if any(value is not None for values in found.values() for value in values):
            cells[arm] = found
    keys = [key for key in STALENESS if any(value is not None for of in cells.values() for value in of[key])]
    table = [["arm", *(STALENESS[key] for key in keys)]]
    for arm, found in cells.items():
        cells_of_arm = [
            " / ".join(map(measure, found[key])) if any(v is not None for v in found[key]) else "–" for key in keys
        ]
        table.append([arm, *cells_of_arm])
    return table
