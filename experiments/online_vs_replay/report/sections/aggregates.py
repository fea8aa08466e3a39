"""Performance profiles, and aggregates over all tasks."""

from pathlib import Path

import numpy as np

from experiments.lab.statistics import iqm, optimality_gap, performance_profile, stratified_bootstrap
from experiments.online_vs_replay.report.cells import Blocks, Table, markdown, picture, seeds_in_words
from experiments.online_vs_replay.report.curves import RESAMPLES
from experiments.online_vs_replay.report.panels import LOOKS, look, panels
from experiments.online_vs_replay.report.rows import KEY_ARMS, Part
from experiments.online_vs_replay.report.verdicts import Scores
from experiments.online_vs_replay.tasks import TASKS


def aggregate_section(grid: Part, out: Path) -> Blocks:
    """Write the aggregates over tasks, and draw them with performance profiles."""
    table = aggregate_table(grid)
    if len(table) == 1:
        return []
    scores = {arm: scores_by_task(grid, arm) for arm in whole_arms(grid)}
    key = {arm: of for arm, of in scores.items() if arm in KEY_ARMS}
    aggregate_figure(key, scores, out / "aggregates.png")
    others = [arm for arm in grid.arms() if arm not in scores]
    left_out = f" Not on all tasks, and not here: {', '.join(others)}." if others else ""
    return [
        picture(
            "aggregates.png",
            "Left: performance profiles, with 95 % bootstrap bands. Right: interquartile "
            "mean of the normalised final returns of all runs on all tasks.",
        ),
        markdown(table),
        f"Over {len(grid.tasks(TASKS))} tasks; runs drawn again within each task. Optimality gap: how far runs "
        f"stay below 1 on average.{left_out}",
    ]


def whole_arms(grid: Part) -> list[str]:
    """List the arms that have runs on each of the study's tasks; a task without any run does not count."""
    tasks = grid.tasks(TASKS)
    return [arm for arm in grid.arms() if tasks and all(grid.of(task, arm) for task in tasks)]


def scores_by_task(grid: Part, arm: str) -> Scores:
    """List an arm's normalised final returns on each of the study's tasks that have runs."""
    return [[run.normalised() for run in grid.of(task, arm)] for task in grid.tasks(TASKS)]


def aggregate_table(grid: Part) -> Table:
    """Tabulate aggregates over all tasks, best first: runs of all tasks are pooled, and redrawn within each task."""
    rows = []
    for arm in whole_arms(grid):
        scores = scores_by_task(grid, arm)
        pooled = [score for task in scores for score in task]
        low, high = stratified_bootstrap(scores, iqm)
        gap_low, gap_high = stratified_bootstrap(scores, optimality_gap)
        rows.append(
            (
                float(iqm(pooled)),
                [
                    arm,
                    seeds_in_words([len(task) for task in scores]),
                    f"{iqm(pooled):.2f} [{low:.2f}, {high:.2f}]",
                    f"{optimality_gap(pooled):.2f} [{gap_low:.2f}, {gap_high:.2f}]",
                ],
            )
        )
    header = ["arm", "seeds", "IQM of normalised final returns", "optimality gap"]
    return [header, *(cells for _, cells in sorted(rows, key=lambda row: -row[0]))]


def aggregate_figure(key: dict[str, Scores], everything: dict[str, Scores], file: Path) -> None:
    """Draw performance profiles of key arms, and the IQM over tasks of all arms with its interval.

    Both take normalised final returns by arm, a list for each task.
    """
    thresholds = np.linspace(0, 1, 51)[:-1]
    with panels(file, ("Share of runs and tasks above τ", "IQM over all tasks"), 2, (4.8, 3.6)) as (left, right):
        for arm, scores in key.items():
            share, (low, high) = performance_profile(scores, thresholds, RESAMPLES)
            left.fill_between(thresholds, low, high, color=LOOKS[arm][0], alpha=0.12, linewidth=0)
            left.plot(thresholds, share, **look(arm))
        left.set_xlabel("normalised final return τ")
        left.set_ylabel("share of runs above τ")
        left.set_ylim(0, 1.02)
        ranked = sorted(everything, key=lambda arm: float(iqm(np.concatenate(everything[arm]))))
        for place, arm in enumerate(ranked):
            low, high = stratified_bootstrap(everything[arm], iqm)
            colour, dashes = LOOKS[arm]
            inside = colour if dashes == "-" else "white"  # open if it learns from replay
            right.plot([low, high], [place, place], color=colour, linewidth=2.5)
            right.plot(
                float(iqm(np.concatenate(everything[arm]))), place, "D", color=inside, markersize=6.5, mec=colour
            )
        right.set_yticks(range(len(ranked)), ranked, fontsize=9)
        right.grid(axis="y", visible=False)
        right.grid(axis="x", color="#E5E5E5", linewidth=0.8)
        right.set_xlim(right=1.02)
        right.set_xlabel("normalised final return")
