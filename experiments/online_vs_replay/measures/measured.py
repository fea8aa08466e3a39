"""From a finished run to numbers: one row, the points of its curve, and what was measured while it learnt."""

import json
from pathlib import Path
from typing import Any

from rl.config import Config
from rl.loop import Overrides

LAST_SHARE = 0.1  # of the evaluations: the end
TABLES = ("curves", "measures")
MEASURES = (  # columns of measures.csv, see staleness.py and memory_measures.py
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
POINT = {  # column of curves.csv: name in the rows of a run
    "cpu_seconds": "eval/cpu_seconds",
    "greedy": "eval/episodic_return",
    "sampled": "eval/episodic_return_sampled",
    "training": "charts/episodic_return",
}
Row = dict[str, Any]


def run_result(config: Config, parts: Overrides) -> tuple[Row, dict[str, list[Row]]]:
    """One finished run: its row, and its rows of curves.csv and measures.csv.

    Solved: the first evaluation, of 20 greedy episodes of the frozen policy, whose mean reaches the environment's
    threshold; blank where none does. `after` is the share of later evaluations that reach it. `final_…` are means over
    the last tenth of the evaluations, `late_greedy` over the second half, `mean_greedy` over all. `lag`:
    updates by others between a gradient's parameters and its own, on average; 0 without asynchronous workers.
    """
    from experiments.lab.learning_study import digest, mean_staleness
    from experiments.lab.records import read_run

    run = read_run(config.run_dir)
    points, updates = [], 0
    for row in run.rows:
        updates += row["losses/updates"]
        if "eval/episodic_return" in row:
            point = {"env_steps": row.get("eval/global_step", row["global_step"]), "updates": updates}
            point |= {name: round(row[key], 3) if key in row else "" for name, key in POINT.items()}
            if points and points[-1]["env_steps"] == point["env_steps"]:
                continue  # asynchronous rows that piled up behind an evaluation are all of the same parameters
            points.append(point)
    greedy = [point["greedy"] for point in points]
    reached = [of >= run.reward_threshold for of in greedy]
    first = reached.index(True) if any(reached) else None
    solved = points[first] if first is not None else dict.fromkeys(("env_steps", "updates", "cpu_seconds"), "")
    later = reached[first + 1 :] if first is not None else []
    last = max(1, round(LAST_SHARE * len(points)))
    summary = run.summary
    row = {
        "digest": digest(config, parts),
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
    """Rounded as the rows are."""
    return round(sum(values) / len(values), 3)


def measures(config: Config) -> list[Row]:
    """What was measured in the run, a row a moment; empty where nothing was."""
    file = Path(config.run_dir) / "measures.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    found = [json.loads(line) for line in lines]
    return [
        {"env_steps": of["env_steps"], **{key: _short(of[key]) if key in of else "" for key in MEASURES}}
        for of in found
    ]


def _short(value: float) -> float:
    return float(f"{value:.4g}")
