"""The table of a comparison of runs: what the seeds of each arm came to, in numbers and in words."""

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from experiments.lab.arms import Arms
from experiments.lab.records import Record
from experiments.lab.statistics import iqm, probability_of_improvement, stratified_bootstrap

ArmSummary = dict[str, str | float | None]  # numbers of one arm, unrounded; None where a number is unknown
HEADER = (
    *("arm", "seeds", "solved", "env steps\nto solved", "seconds\nto solved", "env\nsteps/s"),
    *("greedy\neval.", "sampled\neval.", "ended"),
)


def arm_summary(env: str, name: str, runs: list[Record], resamples: int, bootstrap_seed: int) -> ArmSummary:
    """What the seeds of one arm came to. A number that a killed run did not write is left out."""
    summary: ArmSummary = {"env": env, "arm": name, "seeds": len(runs), "solved": sum(map(_is_solved, runs))}
    for key in ("solved_at_env_steps", "solved_at_seconds"):
        values = _known(runs, key)  # unknown where a run was not solved
        summary |= {f"{key}_{what.__name__}": float(what(values)) if values else None for what in (np.median, min, max)}
    speeds = _known(runs, "sps")
    summary["sps_median"] = float(np.median(speeds)) if speeds else None
    for key in ("eval_greedy", "eval_sampled"):
        scores = _known(runs, key)
        summary |= {f"{key}_{part}": None for part in ("iqm", "low", "high")} | {f"{key}_runs": len(scores)}
        if scores:
            summary[f"{key}_iqm"] = float(iqm(scores))
        if len(scores) > 1:  # one run says nothing about the next
            low, high = stratified_bootstrap([scores], iqm, resamples, bootstrap_seed)
            summary |= {f"{key}_low": float(low), f"{key}_high": float(high)}
    endings = Counter(run.summary["exit_reason"] for run in runs)
    return summary | {"ended": ", ".join(f"{count} {reason}" for reason, count in endings.most_common())}


def improvements(arms: Arms, resamples: int, bootstrap_seed: int) -> list[str]:
    """P(lstm > mlp) and P(gru > mlp) on greedy evaluation; the tasks are the environments that both arms ran in."""
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


def footnotes(arms: list[ArmSummary]) -> list[str]:
    """Notes that a reader of the table needs; each note only where it applies."""
    notes = [
        "Evaluations (greedy, and sampled from the policy): interquartile mean over seeds [95 % stratified bootstrap "
        "interval]. To solved: median (smallest–largest). Seconds are of training, without start-up and evaluation."
    ]
    if any(0 < arm["solved"] < arm["seeds"] for arm in arms):
        notes.append("Where not every seed solved the task, steps and seconds to solved are of those that did.")
    if any(arm["eval_greedy_runs"] < arm["seeds"] for arm in arms):
        notes.append("Where an evaluation names a number of runs, the others ended without one.")
    if any(arm["seeds"] < 4 for arm in arms):
        notes.append(
            "With fewer than 4 seeds the interquartile mean cuts nothing and is the plain mean; its interval is rough."
        )
    if any(arm["eval_greedy_low"] is not None and arm["eval_greedy_low"] == arm["eval_greedy_high"] for arm in arms):
        notes.append("An interval of one point says that these seeds agree, not that another one would.")
    return notes


def cells(arm: ArmSummary) -> list[str]:
    """The rounded cells under HEADER; a line break shows where a narrow table should break."""
    return [
        str(arm["arm"]),
        str(arm["seeds"]),
        f"{arm['solved']} of {arm['seeds']}",
        _spread(arm, "solved_at_env_steps", _count),
        _spread(arm, "solved_at_seconds", _seconds),
        "–" if arm["sps_median"] is None else _count(arm["sps_median"]),
        _estimate(arm, "eval_greedy"),
        _estimate(arm, "eval_sampled"),
        str(arm["ended"]).replace("_", " "),
    ]


def _is_solved(run: Record) -> bool:
    return bool(run.summary.get("solved"))


def _known(runs: Iterable[Record], key: str) -> list[float]:
    return [float(run.summary[key]) for run in runs if run.summary.get(key) is not None]


def _spread(arm: ArmSummary, key: str, text: Callable[[float], str]) -> str:
    median, low, high = (arm[f"{key}_{what}"] for what in ("median", "min", "max"))
    return "–" if median is None else f"{text(median)}\n({text(low)}–{text(high)})"


def _estimate(arm: ArmSummary, key: str) -> str:
    mean, low, high, runs = (arm[f"{key}_{what}"] for what in ("iqm", "low", "high", "runs"))
    if mean is None:
        return "–"
    interval = "" if low is None else f"\n[{_score(low)}, {_score(high)}]"
    return _score(mean) + interval + (f"\n({runs} runs)" if runs < arm["seeds"] else "")


def _score(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"  # returns of memory tasks are of the size of 1


def _count(value: float) -> str:
    return f"{value / 1e6:.2f}M" if value >= 1e6 else f"{value / 1e3:.0f}k" if value >= 1e4 else f"{value:.0f}"


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"
