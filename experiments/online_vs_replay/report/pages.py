"""The sections of the report that are of the grid: headline, solved, curves, aggregates, price."""

from pathlib import Path

from experiments.online_vs_replay.arms import TASKS
from experiments.online_vs_replay.report import figures as figures
from experiments.online_vs_replay.report import tables as tables
from experiments.online_vs_replay.report.claims import Finding, duels, online_against_replay, otherwise_measured, ways
from experiments.online_vs_replay.report.differences import (
    SIDES,
    headline,
    interactions,
    recurrence,
    source_and_algorithm,
)
from experiments.online_vs_replay.report.parts import arms_table, bytes_table, shared_settings
from experiments.online_vs_replay.report.rows import KEY_ARMS, Part
from experiments.online_vs_replay.report.tables import Table, markdown, seeds_in_words, words

Blocks = list[str]  # paragraphs, tables, figures: Markdown
COMPACT_ARMS = ("a2c lstm", "q lstm online", "q lstm episodes", "q lstm stored burn in", "a2c lstm replay")


def picture(file: str, caption: str) -> str:
    """A figure of --out."""
    return f"![{file}]({file})\n\n*{caption}*"


def findings_table(findings: list[Finding]) -> Table:
    """Claims, their numbers, their verdicts."""
    return [["claim", "numbers", "verdict"], *([one.claim, one.numbers, one.verdict] for one in findings)]


def what(grid: Part) -> str:
    """What was trained, in words."""
    seeds = seeds_in_words(
        [len(grid.of(task, arm)) for task in grid.tasks() for arm in grid.arms() if grid.of(task, arm)]
    )
    stopped = sum(run.ended != "total_env_steps" for run in grid)
    said = f"{len(grid)} runs: {len(grid.arms())} arms on {len(grid.tasks())} tasks, {seeds} seeds each."
    if stopped:
        said += (
            f" {stopped} of them were stopped before their last env step by their limit of CPU seconds; they "
            "count with what they had reached."
        )
    return said


def headline_section(grid: Part, out: Path) -> Blocks:
    """The claim: findings, table, figure."""
    if not grid:
        return []
    tasks = grid.tasks()
    figures.curves_figure(grid, tasks, grid.arms(KEY_ARMS), out / "curves.png")
    few = grid.arms(COMPACT_ARMS) or grid.arms()
    figures.curves_figure(grid, grid.tasks(TASKS) or tasks, few, out / "headline.png")
    return [
        what(grid),
        "\n".join(f"{number}. {finding.sentence()}" for number, finding in enumerate(headline(grid), start=1)),
        markdown(tables.final_table(grid)),
        "Greedy return of the frozen policy, mean of the last tenth of the evaluations (2 of 25, of the same 20 "
        "episodes): interquartile mean over seeds [95 % bootstrap interval]. CartPole tasks end at 500, and 22 is what "
        "random actions reach; recall tasks go from −1 to 1, guessing is worth 0. P(X > Y): how likely a run of X "
        "beats one of Y; one half is no difference. Normalised: 0 is random, 1 the best. CPU seconds: those that "
        "acting and learning kept a core busy.",
        picture(
            "curves.png",
            "Greedy return of the frozen policy against env steps: interquartile mean over seeds and "
            "95 % interval; a run that ended sooner holds its last value. Solid: online; dashed: from replay; "
            "dotted: the return that counts as solved.",
        ),
    ]


def arms_section(grid: Part, _out: Path) -> Blocks:
    """What was compared."""
    if not grid:
        return []
    return [words(arms_table(grid.arms())), shared_settings()]


def claims_section(grid: Part, _out: Path) -> Blocks:
    """Every comparison that the headline is made of."""
    blocks = []
    found = duels(grid)
    if found:
        budgets = ", ".join(
            f"{task} {budget:.1f}" for task, budget in {duel.task: duel.budget for duel in found}.items()
        )
        blocks += [
            words(findings_table(online_against_replay(grid))),
            markdown(tables.duel_table(found)),
            "The best way is the one of q lstm with the highest interquartile mean: odd seeds are judged by the way "
            "that is best on even ones, and the other way round, where there are seeds enough. At equal CPU seconds: "
            "the return, between evaluations linear, after the CPU seconds that the runs of the fastest of these arms "
            f"took ({budgets}). A tie, as where all are at the best return, is not decided.",
            "The same, measured otherwise.",
            words(findings_table(otherwise_measured(grid))),
        ]
    effects = [*source_and_algorithm(grid), *filter(None, [recurrence(grid)])]
    if effects:
        blocks += [
            "Algorithm or source of data: {a2c, q} x {online, replay}, all with lstm; q from replay is stored "
            "burn in. Differences of normalised final returns, seeds drawn again in each cell.",
            words(findings_table(effects)),
        ]
    contrasts = interactions(grid)
    if contrasts:
        rows = [
            [words, *(f"{of[side].numbers}: {of[side].verdict}" if side in of else "–" for side in SIDES)]
            for words, of in contrasts.items()
        ]
        blocks += [
            "The interaction: online's lead where much must be remembered minus its lead where little must be. "
            "Above 0, online suits memory better; the claim is that it is above 0.",
            words([["difference of leads", *SIDES], *rows]),
        ]
    of_ways = ways(grid)
    if of_ways:
        blocks += ["Ways of replay, q lstm, over the tasks with something to remember.", words(findings_table(of_ways))]
    return blocks


def solved_section(grid: Part, _out: Path) -> Blocks:
    """What solving took and what came after."""
    if not grid:
        return []
    blocks = [f"**{task}**\n\n" + markdown(tables.solved_table(grid, task)) for task in grid.tasks()]
    return [
        *blocks,
        "Solved: the first evaluation, of 20 greedy episodes of the frozen policy, that reaches the "
        "threshold. Median (smallest–largest) over all seeds, a run that did not solve counting as infinite. "
        "Training window: the env steps at which the last 100 training episodes reached it, random actions of "
        "Q-learning included, and 100 fresh episodes confirmed it. Later "
        "evaluations at the threshold: of the runs that solved, the share of what came after.",
    ]


def cost_section(grid: Part, out: Path) -> Blocks:
    """The curves against CPU seconds and gradient steps."""
    if not grid:
        return []
    blocks = []
    for key, axis in (("cpu_seconds", "CPU seconds"), ("updates", "gradient steps")):
        figures.curves_figure(grid, grid.tasks(), grid.arms(KEY_ARMS), out / f"{key}.png", key)
        blocks.append(
            picture(
                f"{key}.png",
                f"The same returns against {axis}; a run that ended keeps its last value "
                "until the arm's last run has ended.",
            )
        )
    return blocks


def aggregate_section(grid: Part, out: Path) -> Blocks:
    """Profiles and aggregates over tasks."""
    table = tables.aggregate_table(grid)
    if len(table) == 1:
        return []
    scores = {arm: tables.scores_by_task(grid, arm) for arm in tables.whole_arms(grid)}
    key = {arm: of for arm, of in scores.items() if arm in KEY_ARMS}
    figures.aggregate_figure(key, scores, out / "aggregates.png")
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


def price_section(grid: Part, _out: Path) -> Blocks:
    """Seconds to solved if steps cost more."""
    if not grid:
        return []
    overtaking = tables.overtaking_table(grid)
    blocks = [
        "Computed from the measured rows: seconds to solved = CPU seconds to solved + price x env steps to solved, on "
        "one core; medians over seeds. Replay is worth its updates where a step is dear.",
        *(
            f"**{task}**\n\n" + markdown(table)
            for task in grid.tasks()
            if len(table := tables.price_table(grid, task)) > 1
        ),
        "Not in these tables: arms of which half of the seeds or fewer solve the task.",
    ]
    if len(overtaking) > 1:
        blocks += [
            "Where replay solves sooner than online (a2c lstm), by the medians of CPU seconds and env steps to "
            "solved: from a price on, below one, always, or never.",
            markdown(overtaking),
        ]
    held = bytes_table(grid)
    return [*blocks, *(["What the buffers hold.", markdown(held)] if len(held) > 1 else [])]
