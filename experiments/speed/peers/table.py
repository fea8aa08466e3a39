"""What the runs of the benchmark came to: numbers of a record, our ratios to the peers, and the table of them."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

WARM_UP_SECONDS = 4.0
OURS = "ours"
Outcome = dict[str, Any]  # one run: round, peer, seed, and what came of it
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
- **A few seeds on one machine.** Time to solved varies between seeds by a factor of two and more.
"""


def speed(points: list[tuple[int, float]]) -> float | None:
    """Env steps a second after the warm-up, or of the whole run where less than a second is left after it."""
    late = [point for point in points if point[1] >= WARM_UP_SECONDS]
    if not late or late[-1][1] - late[0][1] < 1.0:
        late = [(0, 0.0), *points[-1:]]
    (first_steps, first), (last_steps, last) = late[0], late[-1]
    return (last_steps - first_steps) / (last - first) if last > first else None


def outcome(points: list[tuple[int, float]], attempts: list[dict], **known: Any) -> Outcome:
    """A run in numbers; what it did after a confirmed crossing does not count.

    Args:
        points: env steps and seconds, one after another.
        attempts: crossings of the threshold and what fresh episodes said to them.
        known: anything else.
    """
    confirmed = next((attempt for attempt in attempts if attempt["confirmed"]), None)
    if confirmed:
        points = [point for point in points if point[1] <= confirmed["seconds"]]
    env_steps, seconds = (confirmed["env_steps"], confirmed["seconds"]) if confirmed else [(0, 0.0), *points][-1]
    return {
        **known,
        "sps": speed(points),
        "env_steps": env_steps,
        "seconds": seconds,
        "solved": confirmed is not None,
        "attempts": len(attempts),
        "confirmation": confirmed and confirmed["confirmation"],
        "confirmed_with": confirmed and confirmed.get("parameters", "of the crossing"),
        "error": None,
    }


def peer_outcome(lines: list[dict]) -> Outcome:
    """The numbers of a peer's record; `measurement` says what is in it.

    Raises:
        ValueError: it has no start or no end.
    """
    by_kind: dict[str, list[dict]] = {"progress": [], "attempt": []}
    for line in lines:
        by_kind.setdefault(line["what"], []).append(line)
    if "start" not in by_kind or "end" not in by_kind:
        raise ValueError("the record has no start or no end")
    start, end = by_kind["start"][0], by_kind["end"][0]
    return outcome(
        [(line["env_steps"], line["seconds"]) for line in by_kind["progress"]],
        by_kind["attempt"],
        version=", ".join(f"{package} {version}" for package, version in start["versions"].items()),
        settings=start["settings"],
        startup_seconds=start["startup_seconds"],
        best_mean=end["best_mean"],
    )


def our_outcome(run: Any, most_seconds: float) -> Outcome:
    """The numbers of our own record; a crossing after the time that peers have does not count."""
    summary, config = run.summary, run.config
    attempts = [attempt for attempt in summary["solve_attempts"] if attempt["seconds"] <= most_seconds]
    means = [attempt["window_mean"] for attempt in attempts]
    return outcome(
        [(row["global_step"], row["time/seconds"]) for row in run.rows if row["time/seconds"] <= most_seconds],
        attempts,
        version="this repository",
        settings=f"{config['mode']}, {config['workers']} workers x {config['envs_per_worker']} environments, segments "
        f"of {config['segment_length']}, {config['core'].upper()} {config['hidden_size']}, learning rate "
        f"{config['learning_rate']:g} falling to 0 over {config['total_env_steps'] / 1e6:g}M env steps",
        startup_seconds=summary["startup_seconds"],
        best_mean=max([*means, summary["mean_return"] or 0.0]),
    )


def set_ratios(outcomes: list[Outcome]) -> None:
    """Put our ratios into each peer's outcome: speed, and time to solved, against ours of the same round."""
    ours = {one["round"]: one for one in outcomes if one["peer"] == OURS and not one["error"]}
    for other in outcomes:
        mine = ours.get(other["round"])
        if other["peer"] == OURS or other["error"] or mine is None:
            continue
        other["speed_ratio"] = mine["sps"] / other["sps"] if mine["sps"] and other["sps"] else None
        other["time_ratio"] = other["time_bound"] = None
        if (mine["solved"] or other["solved"]) and mine["seconds"]:
            other["time_ratio"] = other["seconds"] / mine["seconds"]
            other["time_bound"] = "" if mine["solved"] and other["solved"] else ">" if mine["solved"] else "<"


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
    """A count in at most four characters or so."""
    if value is None:
        return "–"
    return f"{value / 1e6:.2f}M" if value >= 1e6 else f"{value / 1e3:.1f}k" if value >= 1e3 else f"{value:.0f}"


def confirmed(one: Outcome) -> str:
    """What fresh episodes said."""
    if not one["solved"]:
        return f"no, {one['attempts']} crossings failed" if one["attempts"] else "no crossing"
    parameters = one["confirmed_with"]
    return f"{one['confirmation']:.1f}" + ("" if parameters == "of the crossing" else f" ({parameters})")


def ratio(value: float | None, bound: str | None) -> str:
    """A ratio, or the bound that is known of it."""
    return "–" if value is None else f"{bound}{value:.2g}" if value < 10 else f"{bound}{value:.0f}"


def markdown(results: dict[str, Any]) -> str:
    """The text of peers.md: the machine, a row for each peer, what failed, and what the table does not show."""
    titles, rows = results["titles"], {}
    for one in results["outcomes"]:
        rows.setdefault(one["peer"], []).append(one)
    lines = [results["words"], "", f"| {' | '.join(['peer', 'version', 'settings', *COLUMNS])} |"]
    lines.append("|---|---|---|" + "---:|" * len(COLUMNS))
    for name, runs in rows.items():
        told = next(([one["version"], one["settings"]] for one in runs if not one["error"]), ["–", "–"])
        cells = [" / ".join("failed" if one["error"] else show(one) for one in runs) for show in COLUMNS.values()]
        lines.append(f"| {' | '.join([titles[name], *told, *cells])} |")
    for one in filter(lambda one: one["error"], results["outcomes"]):
        said = f"**{titles[one['peer']]} failed in round {one['round']}**, and said last:"
        lines += ["", said, "", "```", one["error"], "```"]
    return "\n".join([*lines, "", NOTE])


def write(results: dict[str, Any], out: Path) -> None:
    """peers.json, peers.md and peers.csv."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "peers.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    (out / "peers.md").write_text(markdown(results))
    rows = [{**one, "machine": results["words"]} for one in results["outcomes"]]
    with open(out / "peers.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
