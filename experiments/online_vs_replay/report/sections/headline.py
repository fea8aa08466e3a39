"""The headline: the main claims, the final returns, the learning curves."""

from pathlib import Path

from experiments.online_vs_replay.report.cells import (
    Blocks,
    Table,
    digits_of,
    in_words,
    markdown,
    picture,
    seeds_in_words,
)
from experiments.online_vs_replay.report.claims import networks, online_against_replay, ways
from experiments.online_vs_replay.report.curves import curves_figure
from experiments.online_vs_replay.report.differences import SIDES, interactions, recurrence, source_and_algorithm
from experiments.online_vs_replay.report.duels import BEST, R2D2
from experiments.online_vs_replay.report.rows import KEY_ARMS, Part
from experiments.online_vs_replay.report.sections.horizon import gradient_against_replay
from experiments.online_vs_replay.report.verdicts import Finding
from experiments.online_vs_replay.tasks import TASKS

COMPACT_ARMS = (
    "a2c lstm",
    "q lstm online",
    "q lstm episodes",
    "q lstm stored burn in",
    "a2c lstm replay",
    "a2c rtu gradient",
    "q rtu episodes",
)


def headline_section(grid: Part, out: Path) -> Blocks:
    """Write the main findings and the final returns, and draw the learning curves."""
    if not grid:
        return []
    tasks = grid.tasks()
    curves_figure(grid, tasks, grid.arms(KEY_ARMS), out / "curves.png")
    few = grid.arms(COMPACT_ARMS) or grid.arms()
    curves_figure(grid, grid.tasks(TASKS) or tasks, few, out / "headline.png")
    return [
        what(grid),
        "\n".join(f"{number}. {finding.sentence()}" for number, finding in enumerate(headline(grid), start=1)),
        markdown(final_table(grid)),
        "Greedy return of the frozen policy, mean of the last tenth of the evaluations (2 of 25, of the same 20 "
        "episodes): interquartile mean over seeds [95 % bootstrap interval]. CartPole tasks end at 500, and 22 is what "
        "random actions reach; recall tasks go from −1 to 1, guessing is worth 0. P(X > Y): how likely a run of X "
        "beats one of Y; one half is no difference. Normalised: 0 is random, 1 the best. CPU seconds: those that "
        "acting and learning kept a CPU busy.",
        picture(
            "curves.png",
            "Greedy return of the frozen policy against env steps: interquartile mean over seeds and "
            "95 % interval; a run that ended sooner holds its last value. Solid: online; dashed: from replay; "
            "dotted: the return that counts as solved.",
        ),
    ]


def what(grid: Part) -> str:
    """Write what was trained."""
    seeds = seeds_in_words(
        [len(grid.of(task, arm)) for task in grid.tasks() for arm in grid.arms() if grid.of(task, arm)]
    )
    stopped = sum(run.ended != "total_env_steps" for run in grid)
    text = f"{len(grid)} runs: {len(grid.arms())} arms on {len(grid.tasks())} tasks, {seeds} seeds each."
    if stopped:
        text += (
            f" {stopped} of them were stopped before their last env step by their limit of CPU seconds; they "
            "count with what they had reached."
        )
    return text


def headline(grid: Part) -> list[Finding]:
    """List the main claims that have their runs."""
    found = online_against_replay(grid, BEST)[::2]  # without the one over all of training
    found += online_against_replay(grid)[::2]
    found += networks(grid)[:1]
    found += gradient_against_replay(grid)
    found += source_and_algorithm(grid)[:1]
    contrasts = list(interactions(grid).values())
    found += [contrasts[-1][side] for side in list(SIDES)[:2] if contrasts and side in contrasts[-1]]
    found += filter(None, [recurrence(grid)])
    return found + [one for one in ways(grid) if one.claim == f"{R2D2} ends higher than q lstm zero"]


def final_table(grid: Part) -> Table:
    """Tabulate the final greedy return of each arm on each task."""
    tasks = grid.tasks()
    table = [["arm", "seeds", *tasks]]
    for arm in grid.arms():
        cells = {task: grid.of(task, arm).numbers("final_greedy") for task in tasks}
        seeds = seeds_in_words([len(values) for values in cells.values() if values])
        table.append([arm, seeds, *(in_words(values, digits_of(task)) for task, values in cells.items())])
    return table
