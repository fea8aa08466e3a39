"""What carrying the state over segments is worth online."""

from experiments.online_vs_replay.report.cells import Blocks, Table, digits_of, in_words, markdown, seeds_in_words
from experiments.online_vs_replay.report.rows import Part
from experiments.online_vs_replay.report.verdicts import against


def carry_section(grid: Part, carry: Part) -> Blocks:
    """Write what carrying the state is worth online."""
    table = carry_table(grid, carry)
    if len(table) == 1:
        return []
    return [
        "In training the state carried over segments, against zeroed at the start of each (as zero-state replay "
        "does); evaluations carry it. Final greedy return.",
        markdown(table),
    ]


def carry_table(grid: Part, carry: Part) -> Table:
    """Tabulate the grid's runs, which carry the state over segments, against those that zero it."""
    table = [["task", "arm", "seeds", "carried", "zeroed", "P(carried > zeroed)", "carrying is better"]]
    for task in carry.tasks():
        for arm in carry.arms():
            x, y = grid.of(task, arm), carry.of(task, arm, "zeroed")
            if x and y:
                finding = against("", [[run.normalised() for run in x]], [[run.normalised() for run in y]], ("x", "y"))
                cells = [in_words(side.numbers("final_greedy"), digits_of(task)) for side in (x, y)]
                table.append([task, arm, seeds_in_words([len(x), len(y)]), *cells, finding.chance, finding.verdict])
    return table
