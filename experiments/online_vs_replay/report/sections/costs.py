"""The returns against CPU seconds and gradient steps."""

from pathlib import Path

from experiments.online_vs_replay.report.cells import Blocks, picture
from experiments.online_vs_replay.report.curves import curves_figure
from experiments.online_vs_replay.report.rows import KEY_ARMS, RTU_ARMS, Part, figures


def cost_section(grid: Part, out: Path) -> Blocks:
    """Draw the learning curves against CPU seconds and gradient steps."""
    if not grid:
        return []
    blocks = []
    for key, axis in (("cpu_seconds", "CPU seconds"), ("updates", "gradient steps")):
        for name, arms in figures(grid.arms(dict.fromkeys((*KEY_ARMS, *RTU_ARMS)))).items():
            curves_figure(grid, grid.tasks(), arms, out / f"{key}{name}.png", key)
            blocks.append(
                picture(
                    f"{key}{name}.png",
                    f"The same returns against {axis}; a run that ended keeps its last value "
                    "until the arm's last run has ended.",
                )
            )
    return blocks
