"""Every comparison behind the headline."""

from collections.abc import Sequence
from pathlib import Path

from experiments.online_vs_replay.report.cells import Blocks, Table, in_words, markdown, seeds_in_words, words
from experiments.online_vs_replay.report.claims import online_against_replay, otherwise_measured, ways
from experiments.online_vs_replay.report.differences import SIDES, interactions, recurrence, source_and_algorithm
from experiments.online_vs_replay.report.duels import Duel, duels
from experiments.online_vs_replay.report.rows import Part
from experiments.online_vs_replay.report.verdicts import Finding, against


def claims_section(grid: Part, _out: Path) -> Blocks:
    """Write every comparison behind the headline."""
    blocks = []
    found = duels(grid)
    if found:
        budgets = ", ".join(
            f"{task} {budget:.1f}" for task, budget in {duel.task: duel.budget for duel in found}.items()
        )
        blocks += [
            words(findings_table(online_against_replay(grid))),
            markdown(duel_table(found)),
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


def findings_table(findings: list[Finding]) -> Table:
    """Tabulate claims, their numbers and their verdicts."""
    return [["claim", "numbers", "verdict"], *([one.claim, one.numbers, one.verdict] for one in findings)]


def duel_table(found: Sequence[Duel]) -> Table:
    """Tabulate online against the best way of replay, a row for each task and metric."""
    table = [["task", "compared", "online", "replay", "its way", "seeds", "P(online > replay)", "online is better"]]
    for duel in found:
        finding = against("", [duel.online], [duel.replay], ("online", "replay"))
        seeds = seeds_in_words([len(duel.online), len(duel.replay)])
        values = in_words(duel.online, 2), in_words(duel.replay, 2), duel.way.replace("q lstm ", "")
        table.append([duel.task, duel.metric, *values, seeds, finding.chance, finding.verdict])
    return table
