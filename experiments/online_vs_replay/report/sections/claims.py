"""Every comparison behind the headline."""

from collections.abc import Sequence
from pathlib import Path

from experiments.online_vs_replay.report.cells import Blocks, Table, in_words, markdown, seeds_in_words, words
from experiments.online_vs_replay.report.claims import online_against_replay, otherwise_measured, ways
from experiments.online_vs_replay.report.differences import SIDES, interactions, recurrence, source_and_algorithm
from experiments.online_vs_replay.report.duels import BEST, WITH_LSTM, Duel, Sides, duels
from experiments.online_vs_replay.report.rows import Part
from experiments.online_vs_replay.report.verdicts import Finding, against


def claims_section(grid: Part, _out: Path) -> Blocks:
    """Write every comparison behind the headline."""
    blocks = []
    if duels(grid, sides=BEST):
        agents = (", ".join(grid.arms(of)) for of in (BEST.online_agents, BEST.replay_agents))
        blocks += [
            "**The best against the best.** Online: {}; from replay: {}. On each task and by each metric the best "
            "of either side is the one with the highest interquartile mean: odd seeds are judged by the agent that is "
            "best on even ones, and the other way round, where there are seeds enough.".format(*agents),
            *sides_blocks(grid, BEST),
        ]
    if duels(grid):
        blocks += ["**With an lstm alone.** Online is a2c lstm; replay is the best way of q lstm, chosen likewise."]
        blocks += sides_blocks(grid, WITH_LSTM)
    effects = [*source_and_algorithm(grid), *filter(None, [recurrence(grid)])]
    if effects:
        blocks += [
            "Algorithm or source of data: {a2c, q} x {online, replay}, all with lstm; q from replay is stored "
            "burn in. Differences of normalised final returns, seeds drawn again in each cell.",
            words(findings_table(effects)),
        ]
    contrasts = interactions(grid)
    if contrasts:
        sides = [side for side in SIDES if any(side in of for of in contrasts.values())]
        rows = [
            [words, *(f"{of[side].numbers}: {of[side].verdict}" if side in of else "–" for side in sides)]
            for words, of in contrasts.items()
        ]
        blocks += [
            "The interaction: online's lead where much must be remembered minus its lead where little must be. "
            "Above 0, online suits memory better; the claim is that it is above 0.",
            words([["difference of leads", *sides], *rows]),
        ]
    of_ways = ways(grid)
    if of_ways:
        blocks += ["Ways of replay, q lstm, over the tasks with something to remember.", words(findings_table(of_ways))]
    return blocks


def sides_blocks(grid: Part, sides: Sides) -> Blocks:
    """Write whether online is better than replay, by each metric over all tasks and on each of them."""
    found = duels(grid, sides=sides)
    budgets = ", ".join(f"{task} {budget:.1f}" for task, budget in {duel.task: duel.budget for duel in found}.items())
    return [
        words(findings_table(online_against_replay(grid, sides))),
        markdown(duel_table(found, with_agents=len(sides.online_agents) > 1)),
        "At equal CPU seconds: the return, between evaluations linear, after the CPU seconds that the runs of the "
        f"fastest of these arms took ({budgets}). A tie, as where all are at the best return, is not decided.",
        "The same, measured otherwise.",
        words(findings_table(otherwise_measured(grid, sides))),
    ]


def findings_table(findings: list[Finding]) -> Table:
    """Tabulate claims, their numbers and their verdicts."""
    return [["claim", "numbers", "verdict"], *([one.claim, one.numbers, one.verdict] for one in findings)]


def duel_table(found: Sequence[Duel], with_agents: bool = False) -> Table:
    """Tabulate online against replay, a row for each task and metric; where agents differ, name both sides' agents."""
    header = ["online", "its agent", "replay", "its agent"] if with_agents else ["online", "replay", "its way"]
    table = [["task", "compared", *header, "seeds", "P(online > replay)", "online is better"]]
    for duel in found:
        finding = against("", [duel.online], [duel.replay], ("online", "replay"))
        seeds = seeds_in_words([len(duel.online), len(duel.replay)])
        online, replay = in_words(duel.online, 2), in_words(duel.replay, 2)
        values = (
            (online, duel.agent, replay, duel.way) if with_agents else (online, replay, duel.way.replace("q lstm ", ""))
        )
        table.append([duel.task, duel.metric, *values, seeds, finding.chance, finding.verdict])
    return table
