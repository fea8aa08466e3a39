"""Performance profiles, and aggregates over all tasks."""

from pathlib import Path

import numpy as np

from experiments.lab.statistics import iqm, optimality_gap, performance_profile, stratified_bootstrap
from experiments.online_vs_replay.report.cells import Blocks, Table, markdown, picture, seeds_in_words
from experiments.online_vs_replay.report.curves import RESAMPLES
from experiments.online_vs_replay.report.panels import DASHED, LOOKS, look, panels
from experiments.online_vs_replay.report.rows import KEY_ARMS, RTU_ARMS, Part, figures
from experiments.online_vs_replay.report.verdicts import Scores
from experiments.online_vs_replay.tasks import TASKS


def aggregate_section(grid: Part, out: Path) -> Blocks:
    """Write the aggregates over tasks, and draw them with performance profiles."""
    table = aggregate_table(grid)
    if len(table) == 1:
        return []
    scores = {arm: scores_by_task(grid, arm) for arm in whole_arms(grid)}
    profiles = figures(arm for arm in scores if arm in KEY_ARMS or arm in RTU_ARMS)
    aggregate_figure(list(profiles.values()), scores, out / "aggregates.png")
    others = [arm for arm in grid.arms() if arm not in scores]
    left_out = f" Not on all tasks, and not here: {', '.join(others)}." if others else ""
    return [
        picture(
            "aggregates.png",
            "Performance profiles, with 95 % bootstrap bands, and, on the right, the interquartile "
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


def aggregate_figure(profiles: list[list[str]], scores: dict[str, Scores], file: Path) -> None:
    """Draw performance profiles, and the IQM over tasks of all arms with its interval.

    Args:
        profiles: the arms of each panel of profiles.
        scores: normalised final returns by arm, a list for each task.
        file: the PNG file.
    """
    thresholds = np.linspace(0, 1, 51)[:-1]
    titles = [*["Share of runs and tasks above τ"] * len(profiles), "IQM over all tasks"]
    with panels(file, titles, len(titles), (4.8, max(3.6, 0.25 * len(scores)))) as (*lefts, right):
        for left, arms in zip(lefts, profiles, strict=True):
            for arm in arms:
                share, (low, high) = performance_profile(scores[arm], thresholds, RESAMPLES)
                left.fill_between(thresholds, low, high, color=LOOKS[arm][0], alpha=0.12, linewidth=0)
                left.plot(thresholds, share, **look(arm))
            left.set_xlabel("normalised final return τ")
            left.set_ylabel("share of runs above τ")
            left.set_ylim(0, 1.02)
        ranked = sorted(scores, key=lambda arm: float(iqm(np.concatenate(scores[arm]))))
        for place, arm in enumerate(ranked):
            low, high = stratified_bootstrap(scores[arm], iqm)
            colour, dashes = LOOKS[arm]
            inside = "white" if dashes == DASHED else colour  # open if it learns from replay
            right.plot([low, high], [place, place], color=colour, linewidth=2.5)
            right.plot(float(iqm(np.concatenate(scores[arm]))), place, "D", color=inside, markersize=6.5, mec=colour)
        right.set_yticks(range(len(ranked)), ranked, fontsize=9)
        right.grid(axis="y", visible=False)
        right.grid(axis="x", color="#E5E5E5", linewidth=0.8)
        right.set_xlim(right=1.02)
        right.set_xlabel("normalised final return")
