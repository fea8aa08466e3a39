"""The table of a comparison: one row an arm, in numbers and in words."""

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from experiments.lab.arms import Arms
from experiments.lab.records import Run
from experiments.lab.statistics import iqm, probability_of_improvement, stratified_bootstrap

Row = dict[str, str | float | None]  # one arm, unrounded; None where nothing is known
HEADER = (
    *("arm", "seeds", "solved", "env steps\nto solved", "seconds\nto solved", "env\nsteps/s"),
    *("greedy\neval.", "sampled\neval.", "ended"),
)


def arm_row(env: str, name: str, runs: list[Run], resamples: int, bootstrap_seed: int) -> Row:
    """What the seeds of one arm came to.  Numbers of runs that were killed before they wrote them are left out."""
    row: Row = {"env": env, "arm": name, "seeds": len(runs), "solved": sum(map(_is_solved, runs))}
    for key in ("solved_at_env_steps", "solved_at_seconds"):
        values = _known(runs, key)  # null where not solved
        row |= {f"{key}_{what.__name__}": float(what(values)) if values else None for what in (np.median, min, max)}
    speeds = _known(runs, "sps")
    row["sps_median"] = float(np.median(speeds)) if speeds else None
    for key in ("eval_greedy", "eval_sampled"):
        scores = _known(runs, key)
        row |= {f"{key}_{part}": None for part in ("iqm", "low", "high")} | {f"{key}_runs": len(scores)}
        if scores:
            row[f"{key}_iqm"] = float(iqm(scores))
        if len(scores) > 1:  # one run says nothing about the next
            low, high = stratified_bootstrap([scores], iqm, resamples, bootstrap_seed)
            row |= {f"{key}_low": float(low), f"{key}_high": float(high)}
    endings = Counter(run.summary["exit_reason"] for run in runs)
    return row | {"ended": ", ".join(f"{count} {reason}" for reason, count in endings.most_common())}


def improvements(arms: Arms, resamples: int, bootstrap_seed: int) -> list[str]:
    """P(lstm > mlp) and P(gru > mlp) on greedy evaluation; the environments that both arms ran in are the tasks."""
    sentences = []
    environments = list(dict.fromkeys(env for env, _ in arms))
    for name in ("lstm", "gru"):
        both = [
            (_known(arms.get((env, name), []), "eval_greedy"), _known(arms.get((env, "mlp"), []), "eval_greedy"))
            for env in environments
        ]
        tasks = [(x, y) for x, y in both if x and y]
        if tasks:
            x, y = zip(*tasks, strict=True)
            chance, (low, high) = probability_of_improvement(x, y, resamples, bootstrap_seed)
            where = f", mean over {len(tasks)} environments" if len(tasks) > 1 else ""
            interval = f" [{low:.2f}, {high:.2f}]" + (
                ", the same in every resample of these seeds" if low == high else ""
            )
            if all(len(scores) == 1 for scores in (*x, *y)):
                interval = " (one seed each: no interval)"
            sentences.append(f"P({name} > mlp) on greedy evaluation{where}: {chance:.2f}{interval}.")
    return sentences


def footnotes(rows: list[Row]) -> list[str]:
    """What a reader must know to read the table right; each note only where it applies."""
    notes = [
        "Evaluations (greedy, and sampled from the policy): interquartile mean over seeds [95 % stratified bootstrap "
        "interval]. To solved: median (smallest–largest). Seconds are of training, without start-up and evaluation."
    ]
    if any(0 < row["solved"] < row["seeds"] for row in rows):
        notes.append("Where not every seed solved the task, steps and seconds to solved are of those that did.")
    if any(row["eval_greedy_runs"] < row["seeds"] for row in rows):
        notes.append("Where an evaluation names a number of runs, the others ended without one.")
    if any(row["seeds"] < 4 for row in rows):
        notes.append(
            "With fewer than 4 seeds the interquartile mean cuts nothing and is the plain mean; its interval is rough."
        )
    if any(row["eval_greedy_low"] is not None and row["eval_greedy_low"] == row["eval_greedy_high"] for row in rows):
        notes.append("An interval of one point says that these seeds agree, not that another one would.")
    return notes


def cells(row: Row) -> list[str]:
    """The rounded cells under HEADER, with line breaks where a narrow table should break."""
    return [
        str(row["arm"]),
        str(row["seeds"]),
        f"{row['solved']} of {row['seeds']}",
        _spread(row, "solved_at_env_steps", _count),
        _spread(row, "solved_at_seconds", _seconds),
        "–" if row["sps_median"] is None else _count(row["sps_median"]),
        _estimate(row, "eval_greedy"),
        _estimate(row, "eval_sampled"),
        str(row["ended"]).replace("_", " "),
    ]


def _is_solved(run: Run) -> bool:
    return bool(run.summary.get("solved"))


def _known(runs: Iterable[Run], key: str) -> list[float]:
    return [float(run.summary[key]) for run in runs if run.summary.get(key) is not None]


def _spread(row: Row, key: str, text: Callable[[float], str]) -> str:
    median, low, high = (row[f"{key}_{what}"] for what in ("median", "min", "max"))
    return "–" if median is None else f"{text(median)}\n({text(low)}–{text(high)})"


def _estimate(row: Row, key: str) -> str:
    mean, low, high, runs = (row[f"{key}_{what}"] for what in ("iqm", "low", "high", "runs"))
    if mean is None:
        return "–"
    interval = "" if low is None else f"\n[{_score(low)}, {_score(high)}]"
    return _score(mean) + interval + (f"\n({runs} runs)" if runs < row["seeds"] else "")


def _score(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"  # returns of memory tasks are of the size of 1


def _count(value: float) -> str:
    return f"{value / 1e6:.2f}M" if value >= 1e6 else f"{value / 1e3:.0f}k" if value >= 1e4 else f"{value:.0f}"


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"
