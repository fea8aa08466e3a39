"""The page and the figure of the POPGym table, from its rows alone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.lab.arms import COLOURS
from experiments.lab.figures import STYLE, write_figure
from experiments.lab.rows import Row
from experiments.lab.statistics import with_interval
from experiments.popgym.arms import CORES, IDS
from experiments.popgym.published import PUBLISHED

OF_CORE = {
    "mlp": COLOURS["mlp"],
    "gru": COLOURS["gru"],
    "lstm": COLOURS["lstm"],
    "rtu": COLOURS["lstm zeroed"],
    "mingru": COLOURS["mlp 2 frames"],
}


def page(rows: Sequence[Row]) -> str:
    """How many of the paper's figures are reached, a line for each environment, and what differs from the paper."""
    tables = [line for core in present(rows) for line in (*table(rows, core), "")]
    return "\n".join([*summary(rows), "", *tables, *COLUMNS, "", *DIFFERENCES])


def values(rows: Sequence[Row], name: str, core: str, key: str) -> list[float]:
    """One number of each seed of an arm."""
    return [float(row[key]) for row in rows if (row["name"], row["core"]) == (name, core)]


def present(rows: Sequence[Row]) -> list[str]:
    """The cores that have rows, in the order of arms."""
    return [core for core in CORES if any(row["core"] == core for row in rows)]


def summary(rows: Sequence[Row]) -> list[str]:
    """A line for each core: environments, mean return, how many of the paper's figures it reaches, its price."""
    lines = [
        "| core | environments | mean return (sampled) | mean MMER | paper's GRU reached | paper's best reached | "
        "CPU minutes a run |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for core in present(rows):
        names = [name for name in IDS if values(rows, name, core, "mmer")]
        means = {
            key: np.mean([np.mean(values(rows, name, core, key)) for name in names]) for key in ("sampled", "mmer")
        }
        minutes = np.median([np.median(values(rows, name, core, "cpu_minutes")) for name in names])
        known = [name for name in names if name in PUBLISHED and PUBLISHED[name].best is not None]
        reached = [np.mean(values(rows, name, core, "mmer")) for name in known]
        of_gru = sum(mine >= PUBLISHED[name].gru for name, mine in zip(known, reached, strict=True))
        of_best = sum(mine >= PUBLISHED[name].best for name, mine in zip(known, reached, strict=True))
        lines.append(
            f"| {CORES[core].title} | {len(names)} | {means['sampled']:.3f} | {means['mmer']:.3f} | "
            f"{of_gru} of {len(known)} | {of_best} of {len(known)} | {minutes:.1f} |"
        )
    return lines


def table(rows: Sequence[Row], core: str) -> list[str]:
    """The paper's figures for each environment, and the returns of one core."""
    lines = [
        f"### {CORES[core].title}",
        "",
        "| environment | paper's GRU | paper's best | another GRU, 3 M | sampled | greedy | MMER | return at 3 M | "
        "MMER at 3 M | CPU minutes |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in IDS:
        final = values(rows, name, core, "sampled")
        if not final:
            continue
        theirs = PUBLISHED.get(name)
        numbers = (theirs.gru, theirs.best, theirs.gru_3m) if theirs else (None, None, None)
        gru, best, early = ("" if number is None else f"{number:.3f}" for number in numbers)
        model = f" ({theirs.model})" if theirs and theirs.model else ""
        middle, low, high = with_interval(final)
        interval = f" [{low:.3f}, {high:.3f}]" if len(final) > 1 else ""
        keys = ("greedy", "mmer", "return_early", "mmer_early")
        others = (f"{np.mean(values(rows, name, core, key)):.3f}" for key in keys)
        minutes = np.median(values(rows, name, core, "cpu_minutes"))
        cells = (name, gru, f"{best}{model}", early, f"{middle:.3f}{interval}", *others, f"{minutes:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


COLUMNS = (
    "Sampled and greedy: 200 episodes of the package's own environment with the final parameters; sampled is the",
    "interquartile mean over seeds with its 95 % bootstrap interval, other returns are means over seeds. MMER: the",
    "largest epoch mean in training, as in the paper. At 3 M: of the same runs, MMER of the first 3 M env steps, and",
    "the mean return of the last tenth of them. CPU minutes: median CPU time of a run. Returns lie between -1 and 1.",
)
DIFFERENCES = (
    "What differs from the paper's protocol (Morad et al. 2023, arXiv 2303.01859): there PPO, epochs of 65,536 env",
    "steps learnt from 30 times, a linear layer of 128 with LayerNorm before the memory, 256 numbers of state, and",
    "heads of two layers of 128; here advantage actor-critic, each env step learnt from once, and the sizes of",
    "experiments/popgym/arms.py. Both take 15 M env steps and 3 seeds, and both show the previous action. The paper's",
    "figures are second-hand (experiments/popgym/published.py).",
)


def figure(rows: Sequence[Row], file: Path) -> None:
    """Draw a line for each environment: the paper's GRU and best as marks, and each core's MMER as a dot."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names = [name for name in IDS if any(row["name"] == name for row in rows)][::-1]
    with plt.rc_context(STYLE):
        drawn, panel = plt.subplots(figsize=(8.0, 1.4 + 0.24 * len(names)), layout="constrained")
        for height, name in enumerate(names):
            panel.axhline(height, color="#EEEEEE", linewidth=0.8, zorder=0)
            if theirs := PUBLISHED.get(name):
                panel.plot(theirs.gru, height, "|", color="black", markersize=11, markeredgewidth=2)
                if theirs.best is not None:
                    panel.plot(theirs.best, height, "x", color="black", markersize=6)
            for core in present(rows):
                if found := values(rows, name, core, "mmer"):
                    panel.plot(np.mean(found), height, "o", color=OF_CORE[core], markersize=6, alpha=0.85)
        panel.set_yticks(range(len(names)), names, fontsize=8)
        panel.set_xlabel("return (largest epoch mean in training, mean over seeds)")
        marks = [("|", "black", "paper's GRU"), ("x", "black", "best of the paper's 13 models")]
        marks += [("o", OF_CORE[core], CORES[core].title) for core in present(rows)]
        handles = [
            plt.Line2D([], [], marker=mark, color=colour, linestyle="", label=label) for mark, colour, label in marks
        ]
        drawn.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False, fontsize=8)
        write_figure(drawn, file)
