"""The page of the peers: a table with a row for each peer, and what it does not show."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.speed.benchmark_peers.outcomes import Outcome

NOTE = """\
Rounds are separated by " / ", oldest first. Ratios are taken within a round: above 1 ours is faster or solves sooner;
with > or < one of both did not solve the task in its time, and the ratio is a bound. Solved: the mean return of the
last max(100, 2 x environments) finished training episodes is at least 475, and that of 100 fresh episodes with sampled
actions too. "Confirmed" is that mean, and says whose parameters played where they are not those of the crossing. Env
steps a second: up to the crossing, after a warm-up of 4 s where a second or more is left after it, else (as with ours)
from the start. Seconds are of training; start-up (imports, processes, compilation) has its own column.

What this table does not show:

- **Tuning is unequal.** Ours was tuned on this task; peers have their authors' published settings for it, or the best
  of a few that were tried. A task that a peer did not solve here is not one that it cannot solve.
- **Environments differ in speed.** Ours is a NumPy CartPole that steps all environments at once, the compiled
  yardstick's is compiled too; the others step Gymnasium's CartPole one by one in Python. Part of every ratio is that.
- **Algorithms, networks and observations differ.** A PPO learns several times from each step, ours once: compare time
  to solved rather than speed. Ours divides observations by fixed scales; peers treat them as they do by default.
- **Yardsticks are plain scripts of our own**, after the style of well-known single-file implementations (torch, JAX)
  or after a book. None is upstream's code, and nobody but us answers for them.
- **"Alike" has limits.** The two runs of our PPO have the network, batch, minibatches and epochs of the peer above
  them, and ratios to that peer. Each of our workers, one a CPU, learns asynchronously from batches of that size; the
  peers have one process. Beside RecurrentPPO ours runs twice: with Gymnasium's CartPole stepped one by one, as
  RecurrentPPO steps it, and with the same task as one array, as ours comes.
- **A few seeds on one machine.** Time to solved varies between seeds by a factor of two and more.
"""


COLUMNS: dict[str, Callable[[Outcome], str]] = {
    "env steps a second": lambda one: rounded(one["sps"]),
    "env steps to solved": lambda one: ("" if one["solved"] else "not in ") + rounded(one["env_steps"]),
    "seconds to solved": lambda one: f"{'' if one['solved'] else 'not in '}{one['seconds']:.1f}",
    "confirmed": lambda one: confirmed(one),
    "best mean return": lambda one: rounded(one["best_mean"]),
    "start-up seconds": lambda one: f"{one['startup_seconds']:.1f}",
    "our ratio in speed": lambda one: ratio(one.get("speed_ratio"), ""),
    "our ratio in time to solved": lambda one: ratio(one.get("time_ratio"), one.get("time_bound")),
}


def rounded(value: float | None) -> str:
    """Write a count in about four characters."""
    if value is None:
        return "–"
    return f"{value / 1e6:.2f}M" if value >= 1e6 else f"{value / 1e3:.1f}k" if value >= 1e3 else f"{value:.0f}"


def confirmed(one: Outcome) -> str:
    """Write the mean return of the fresh episodes."""
    if not one["solved"]:
        return f"no, {one['attempts']} crossings failed" if one["attempts"] else "no crossing"
    parameters = one["confirmed_with"]
    return f"{one['confirmation']:.1f}" + ("" if parameters == "of the crossing" else f" ({parameters})")


def ratio(value: float | None, bound: str | None) -> str:
    """Write a ratio, or the bound that is known of it."""
    return "–" if value is None else f"{bound}{value:.2g}" if value < 10 else f"{bound}{value:.0f}"


def markdown(results: dict[str, Any]) -> str:
    """Write peers.md: the machine, a row for each peer, what failed, and what the table does not show."""
    titles, rows = results["titles"], {}
    for one in results["outcomes"]:
        rows.setdefault(one["peer"], []).append(one)
    lines = [results["words"], "", f"| {' | '.join(['peer', 'version', 'settings', *COLUMNS])} |"]
    lines.append("|---|---|---|" + "---:|" * len(COLUMNS))
    for name, runs in rows.items():
        described = next(([one["version"], one["settings"]] for one in runs if not one["error"]), ["–", "–"])
        cells = [" / ".join("failed" if one["error"] else show(one) for one in runs) for show in COLUMNS.values()]
        lines.append(f"| {' | '.join([titles[name], *described, *cells])} |")
    for one in filter(lambda one: one["error"], results["outcomes"]):
        heading = f"**{titles[one['peer']]} failed in round {one['round']}**, and said last:"
        lines += ["", heading, "", "```", one["error"], "```"]
    return "\n".join([*lines, "", NOTE])


def read(out: Path) -> dict[str, Any]:
    """Read the results of a folder.

    Raises:
        ValueError: the folder has none.
    """
    file = out / "peers.json"
    if not file.exists():
        raise ValueError(f"--out {out}: it holds no peers.json to draw from")
    return json.loads(file.read_text(encoding="utf-8"))


def write(results: dict[str, Any], out: Path) -> None:
    """Write peers.json, peers.md and peers.csv."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "peers.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "peers.md").write_text(markdown(results), encoding="utf-8")
    rows = [{**one, "machine": results["words"]} for one in results["outcomes"]]
    with open(out / "peers.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
