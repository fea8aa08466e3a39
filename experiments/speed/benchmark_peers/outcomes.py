"""What a run came to: its numbers, and our ratios to the peers."""

from typing import Any

WARM_UP_SECONDS = 4.0
OURS = "ours"
Outcome = dict[str, Any]  # one run: round, peer, seed, and its numbers


def speed(points: list[tuple[int, float]]) -> float | None:
    """Return env steps a second after the warm-up, or of the whole run if less than a second is left after it."""
    late = [point for point in points if point[1] >= WARM_UP_SECONDS]
    if not late or late[-1][1] - late[0][1] < 1.0:
        late = [(0, 0.0), *points[-1:]]
    (first_steps, first), (last_steps, last) = late[0], late[-1]
    return (last_steps - first_steps) / (last - first) if last > first else None


def outcome(points: list[tuple[int, float]], attempts: list[dict], **known: Any) -> Outcome:
    """Return a run in numbers, up to its confirmed crossing.

    Args:
        points: env steps and seconds, in their order.
        attempts: crossings of the threshold with their confirmations.
        known: anything else that the outcome has.
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
    """Return the numbers of a peer's record; peers/measurement.py describes its lines.

    Raises:
        ValueError: the record has no start or no end.
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
    """Return the numbers of our own record, up to the time that peers have."""
    summary, config = run.summary, run.config
    attempts = [attempt for attempt in summary["solve_attempts"] if attempt["seconds"] <= most_seconds]
    means = [attempt["window_mean"] for attempt in attempts]
    return outcome(
        [(row["global_step"], row["time/seconds"]) for row in run.rows if row["time/seconds"] <= most_seconds],
        attempts,
        version="this repository",
        settings=settings_of(config),
        startup_seconds=summary["startup_seconds"],
        best_mean=max([*means, summary["mean_return"] or 0.0]),
    )


def settings_of(config: dict[str, Any]) -> str:
    """Return our settings in words."""
    falls = f" falling to 0 over {config['total_env_steps'] / 1e6:g}M env steps"
    learns = f", PPO with {config.get('epochs')} epochs x {config.get('minibatches')} minibatches"
    return (
        f"{config['mode']}, {config['workers']} workers x {config['envs_per_worker']} environments, segments "
        f"of {config['segment_length']}{learns if config.get('algorithm') == 'ppo' else ''}, "
        f"{config['core'].upper()} {config['hidden_size']}, learning rate "
        f"{config['learning_rate']:g}{falls if config.get('anneal_learning_rate', True) else ''}"
    )


def beside(peer: str, apart: str) -> str:
    """Return the name of a run of ours beside a peer."""
    return "-".join([OURS, peer, *apart.split()])


def set_ratios(outcomes: list[Outcome]) -> None:
    """Add our ratios of the same round: of ours to each peer's outcome, of a run beside a peer to that run's own."""
    by_name = {(one["round"], one["peer"]): one for one in outcomes if not one["error"]}
    for one in outcomes:
        number, name = one["round"], one["peer"]
        if name == OURS or one["error"]:
            continue
        is_beside, peer, *_ = name.split("-") if name.startswith(f"{OURS}-") else ("", name)
        mine, other = (one, by_name.get((number, peer))) if is_beside else (by_name.get((number, OURS)), one)
        if mine is None or other is None:
            continue
        one["speed_ratio"] = mine["sps"] / other["sps"] if mine["sps"] and other["sps"] else None
        one["time_ratio"] = one["time_bound"] = None
        if (mine["solved"] or other["solved"]) and mine["seconds"]:
            one["time_ratio"] = other["seconds"] / mine["seconds"]
            one["time_bound"] = "" if mine["solved"] and other["solved"] else ">" if mine["solved"] else "<"
