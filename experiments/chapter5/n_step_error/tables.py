"""The table of errors, and the N of the least error."""

from collections.abc import Sequence

import numpy as np

from experiments.chapter5.n_step_error.measured import LENGTHS
from experiments.lab.rows import Row
from experiments.lab.statistics import stratified_bootstrap


def root_errors(rows: list[Row], steps: int, name: str) -> list[tuple[float, float, float]]:
    """Roots of squared bias, variance and total error of one stage and N, for each seed; below 0 the root is 0."""
    found = [row for row in rows if (row["env_steps"], row["N"]) == (steps, name)]
    squares = [(row["squared_bias"], row["variance"], row["squared_bias"] + row["variance"]) for row in found]
    return [tuple(max(0.0, square) ** 0.5 for square in seed) for seed in squares]


def error_table(rows: list[Row]) -> str:
    """A Markdown table with a line for each N and three columns for each stage."""

    def cell(values: Sequence[float]) -> str:
        low, high = stratified_bootstrap([values], lambda drawn: drawn.mean(-1))
        return f"{np.mean(values):.2f}" + (f" [{low:.2f}, {high:.2f}]" if len(values) > 1 else "")

    stages = sorted({row["env_steps"] for row in rows})
    titles = [f"{steps:,}: {title}" for steps in stages for title in ("bias", "deviation", "total")]
    lines = ["| N | " + " | ".join(titles) + " |", "|---:|" + "---:|" * len(titles)]
    for name in LENGTHS:
        columns = [column for steps in stages for column in zip(*root_errors(rows, steps, name), strict=True)]
        lines.append(f"| {name} | " + " | ".join(map(cell, columns)) + " |")
    return "\n".join(lines)


def least_errors(rows: list[Row]) -> str:
    """Which N has the least total error at each stage, in words."""
    said = []
    for steps in sorted({row["env_steps"] for row in rows}):
        totals = np.array([[seed[2] for seed in root_errors(rows, steps, name)] for name in LENGTHS])  # [N, seed]
        names, means = list(LENGTHS), dict(zip(LENGTHS, totals.mean(1), strict=True))
        best = min(means, key=means.get)
        agreeing = (totals.argmin(0) == names.index(best)).sum()
        others = ", ".join(f"{name}: {means[name]:.2f}" for name in ("1", "MC") if name != best)
        said.append(
            f"after {steps:,} env steps {best}, with {means[best]:.2f} ({others}; least in {agreeing} of "
            f"{totals.shape[1]} seeds)"
        )
    return f"The N of the least total error: {'; '.join(said)}."
