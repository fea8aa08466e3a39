"""Studies of episode lengths: arms by seeds, a table and a figure; three experiments are nothing else."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from experiments.chapter5.length_results import curves_of, length_result
from experiments.lab.figures import pdf_too
from experiments.lab.rows import Row
from experiments.lab.study import Arm, Study, StudyCommand
from experiments.lab.tables import Column, publish, study_table

COLUMNS = (
    Column("env_steps", "env steps", 0, median=True),
    Column("updates", "updates", 0, median=True),
    Column("seconds", "seconds", 1, median=True),
    Column("final_length", "episode length at the end", 1, median=False),
    Column("greedy_length", "greedy", 1, median=False),
    Column("sampled_length", "sampled", 1, median=False),
)
FOOTNOTE = (
    "Episode length at the end: mean of the episodes in the last fifth of the env steps, while learning. Greedy and "
    "sampled: 100 fresh episodes of CartPole-v1 with the final parameters, 500 steps at most. All three: interquartile "
    "mean over seeds and its 95 % bootstrap interval. The others: medians over seeds."
)
FIGURE = (
    " Figure: lines and bands are interquartile means of the curves and their intervals; on the right dots are seeds, "
    "diamond and bar interquartile mean and interval of the length at the end."
)


@dataclass(frozen=True)
class LengthCommand(StudyCommand):
    """What the command line says."""

    pdf: bool = False
    """Write the figure as a PDF file, too."""


def nothing(_rows: list[Row]) -> str:
    """The page has no section after its table."""
    return ""


def run_study(
    name: str,
    arms: Mapping[str, Arm],
    command: LengthCommand,
    columns: Sequence[Column] = COLUMNS,
    more: Callable[[list[Row]], str] = nothing,
    **drawn: bool,
) -> None:
    """Train what is missing of an experiment, tabulate and draw.

    Args:
        name: the experiment's name, which its table and figure have too.
        arms: every arm, by name.
        command: which of them, how many seeds, which folders.
        columns: the table's columns.
        more: makes the Markdown that the page ends with, from the study's rows.
        drawn: options of `length_figure`.
    """
    study = Study(f"chapter5-{name.replace('_', '-')}", arms, command, length_result)
    rows = study.complete()
    from experiments.chapter5.length_figure import length_figure

    with pdf_too(command.pdf):
        length_figure(curves_of(study), rows, study.out / f"{name}.png", **drawn)
    publish(study.out, name, f"{study_table(rows, columns)}\n\n{FOOTNOTE}{FIGURE}{more(rows)}")
