"""Turns a finished run into rows: one of runs.csv, and those of curves.csv and measures.csv."""

import json
from pathlib import Path

from experiments.lab.rows import Row
from rl.config import Config
from rl.loop import Overrides

LAST_SHARE = 0.1  # of the evaluations is the end of a run
TABLES = ("curves", "measures")
MEASURES = (  # columns of measures.csv; the modules of measures/ define them
    "age_mean",
    "age_p95",
    "true_first",
    "true_last",
    "stored_first",
    "stored_last",
    "disagree_first",
    "disagree_last",
    "kl_first",
    "kl_last",
    "r2_cart",
    "r2_pole",
    *(f"memory_{length}" for length in (1, 2, 4, 8, 16)),
    "bytes",
)
POINT = {  # column of curves.csv: key in the record
    "cpu_seconds": "eval/cpu_seconds",
    "greedy": "eval/episodic_return",
    "sampled": "eval/episodic_return_sampled",
    "training": "charts/episodic_return",
}


def run_result(config: Config, overrides: Overrides) -> tuple[Row, dict[str, list[Row]]]:
    """Return a finished run's row of runs.csv, and its rows of curves.csv and measures.csv.

    The columns solved_… belong to the first evaluation, of 20 greedy episodes of the frozen policy, whose mean reaches
    the environment's threshold; they are blank if none does. `after` is the share of later evaluations that reach it.
    final_… are means over the last tenth of the evaluations, late_greedy over their second half, mean_greedy over all.
    `lag` counts the updates by other workers between a gradient's parameters and its update, on average.
    """
    from experiments.lab.digest import digest
    from experiments.lab.records import mean_staleness, read_record

    run = read_record(config.run_dir)
    points, updates = [], 0
    for row in run.rows:
        updates += row["losses/updates"]
        if "eval/episodic_return" in row:
            point = {"env_steps": row.get("eval/global_step", row["global_step"]), "updates": updates}
            point |= {name: round(row[key], 3) if key in row else "" for name, key in POINT.items()}
            if points and points[-1]["env_steps"] == point["env_steps"]:
                continue  # asynchronous rows that waited for one evaluation share its parameters
            points.append(point)
    greedy = [point["greedy"] for point in points]
    reached = [score >= run.reward_threshold for score in greedy]
    first = reached.index(True) if any(reached) else None
    solved = points[first] if first is not None else dict.fromkeys(("env_steps", "updates", "cpu_seconds"), "")
    later = reached[first + 1 :] if first is not None else []
    last = max(1, round(LAST_SHARE * len(points)))
    summary = run.summary
    row = {
        "digest": digest(config, overrides),
        "env_steps": summary["env_steps"],
        "updates": summary["updates"],
        "seconds": round(summary["seconds"], 2),
        "cpu_seconds": round(summary["cpu_seconds"], 2),
        **{f"solved_{name}": solved[name] for name in ("env_steps", "updates", "cpu_seconds")},
        "after": round(sum(later) / len(later), 3) if later else "",
        "window_solved_env_steps": summary["solved_at_env_steps"] or "",
        "final_greedy": mean(greedy[-last:]),
        "final_sampled": mean([point["sampled"] for point in points[-last:]]),
        "late_greedy": mean(greedy[len(greedy) // 2 :]),
        "mean_greedy": mean(greedy),
        "greedy_100": round(summary["eval_greedy"], 3),
        "lag": round(mean_staleness(summary["staleness"]), 3),
        "exit_reason": summary["exit_reason"],
    }
    return row, {"curves": points, "measures": measures(config)}


def mean(values: list[float]) -> float:
    """Round the mean as the rows are rounded."""
    return round(sum(values) / len(values), 3)


def measures(config: Config) -> list[Row]:
    """Read what was measured while the run learnt: a row for each moment, no rows if nothing was measured."""
    file = Path(config.run_dir) / "measures.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    moments = [json.loads(line) for line in lines]
    return [
        {"env_steps": moment["env_steps"]}
        | {key: float(f"{moment[key]:.4g}") if key in moment else "" for key in MEASURES}
        for moment in moments
    ]
