"""Finished runs of the comparison of online with replay, made by hand."""

from experiments.lab.rows import append_csv
from experiments.online_vs_replay.report.rows import FinishedRun
from experiments.online_vs_replay.run_rows import MEASURES

LOW, HIGH = [0.1, 0.11, 0.12, 0.13, 0.14], [0.5, 0.51, 0.52, 0.53, 0.54]
REPLAY = "q lstm stored burn in"


def a_run(arm, final=0.5, task="recall 4", variant="", seed=1, solved=None, points=None, moments=(), **more):
    """One run; `solved` is env steps, updates and CPU seconds."""
    finals = dict.fromkeys(("final_greedy", "final_sampled", "greedy_100"), final)
    row = {"env_steps": 300_000.0, "updates": 300.0, "cpu_seconds": 10.0, **finals, **more}
    if solved:
        row |= dict(zip(("solved_env_steps", "solved_updates", "solved_cpu_seconds"), map(float, solved), strict=True))
    if points is None:
        points = [(100, 1, 1.0, final)]
    names = ("env_steps", "updates", "cpu_seconds", "greedy")
    return FinishedRun(
        task, arm, variant, seed, row, [dict(zip(names, point, strict=True)) for point in points], list(moments)
    )


def cell(arm, finals, task="recall 4", variant="", **more):
    """Runs of a cell, a seed for each final return."""
    return [a_run(arm, final, task, variant, seed, **more) for seed, final in enumerate(finals, start=1)]


def write(folder, runs):
    """Rows as the study writes them."""
    for one in runs:
        identity = {"arm": " / ".join(filter(None, one[:3])), "seed": one.seed}
        blank = dict.fromkeys(
            (*(f"solved_{key}" for key in ("env_steps", "updates", "cpu_seconds")), "after", "window_solved_env_steps"),
            "",
        )
        columns = {"final_greedy": 0.0, "late_greedy": 0.5}
        append_csv(folder / "curves.csv", [identity | point for point in one.points])
        append_csv(
            folder / "measures.csv",
            [identity | {"env_steps": 1} | dict.fromkeys(MEASURES, "") | moment for moment in one.moments],
        )
        append_csv(
            folder / "runs.csv", [identity | {"digest": "d"} | blank | columns | one.row | {"exit_reason": one.ended}]
        )


def line(table, *starts):
    """The one row of a table that starts with these cells."""
    (found,) = [row for row in table[1:] if tuple(row[: len(starts)]) == starts]
    return dict(zip(table[0], found, strict=True))
