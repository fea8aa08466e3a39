"""The runs of each part of the comparison, by `task / arm` or `task / arm / variant`, before seeds are added."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, get_args

from experiments.lab.study import Arm
from experiments.online_vs_replay.arms import ARMS, chosen_arms, config_of, evaluated
from experiments.online_vs_replay.settings import is_tuned, settings_of
from experiments.online_vs_replay.tasks import ALL_TASKS, TASKS, Options

PartName = Literal["grid", "learning-rates", "sequence-lengths", "buffer-age", "carry", "workers"]
PARTS: tuple[PartName, ...] = get_args(PartName)
LEAST = 25_000  # env steps
Plan = Iterator[tuple[str, Arm]]


def chosen(part: PartName = "grid", tasks: str = "all", arms: str = "all") -> dict[str, Arm]:
    """Choose the runs of a part by the values of --tasks and --arms.

    Raises:
        ValueError: a task or an arm does not exist, or the part does not have it.
    """
    from experiments.lab.options import listed

    if tasks != "all" and part != "grid":
        raise ValueError(f"--tasks {tasks}: --part {part} has tasks of its own, leave it out")
    names = ",".join(TASKS) if tasks == "all" else tasks
    needed = f"all, or a list out of {','.join(ALL_TASKS)},"
    planned = dict(runs_of(part, listed("--tasks", names, lambda name: (name, ALL_TASKS[name])[0], needed)))
    if arms == "all":
        return planned
    wanted = chosen_arms(arms)
    planned = {name: arm for name, arm in planned.items() if name.split(" / ")[1] in wanted}
    if not planned:
        raise ValueError(f"--arms {arms}: --part {part} has none of them on these tasks")
    return planned


def refuse_untuned(planned: dict[str, Arm]) -> None:
    """Refuse arms that would be trained with settings that tuning may still replace.

    Raises:
        ValueError: an arm has no rows of tuning.
    """
    names = ",".join(dict.fromkeys(name for cell in planned if not is_tuned(name := cell.split(" / ")[1])))
    if names:
        raise ValueError(
            f"--arms {names!r}: not tuned yet; python -m experiments.online_vs_replay.tune --arms {names!r} --out "
            "experiments/results/online_vs_replay/tuning does so, or name arms that are"
        )


def shortened(planned: dict[str, Arm], env_steps: int) -> dict[str, Arm]:
    """Set the env steps of all runs, and keep 25 evaluations in each; 0 keeps the env steps of the tasks.

    Raises:
        ValueError: there are too few env steps for 25 evaluations.
    """
    if not env_steps:
        return planned
    if env_steps < LEAST:
        raise ValueError(f"--env-steps {env_steps}: at least {LEAST} is needed, 25 evaluations while learning")
    return {name: arm._replace(config=evaluated(arm.config, env_steps)) for name, arm in planned.items()}


def runs_of(part: PartName, tasks: list[str]) -> Plan:
    """Plan a part; only the grid and the part `carry` use the tasks."""
    if part == "grid":
        return grid(tasks)
    if part == "carry":
        return carry(tasks)
    makers = {
        "learning-rates": learning_rates,
        "sequence-lengths": sequence_lengths,
        "buffer-age": buffer_age,
        "workers": workers,
    }
    return makers[part]()


def grid(tasks: list[str]) -> Plan:
    """Train every arm on every task, and measure the agents while they learn."""
    for task in tasks:
        for name, arm in ARMS.items():
            if not arm.only or task in arm.only:
                yield f"{task} / {name}", watched(task, name, {})


def learning_rates() -> Plan:
    """Multiply each arm's tuned learning rate; the grid has the runs of factor 1."""
    for name, arm in ARMS.items():
        if arm.only:
            continue  # the oracle on CartPole is the arm without it; segments of 8 are compared on recall 48 alone
        task = "masked" if arm.memory or "frames" in name else "CartPole"
        for factor in (0.25, 0.5, 2.0, 4.0):
            rate = factor * settings_of(name)["learning_rate"]
            yield f"{task} / {name} / {factor:g}", plain(task, name, {"learning_rate": rate})


def sequence_lengths() -> Plan:
    """Unroll 8 to 256 steps at a time; every update has the same number of steps, whatever their length."""
    for delay in (4, 24, 48):
        for rows in (8, 16, 32, 64, 128, 256):
            task = f"recall {delay}"
            segments = {"segment_length": rows, "envs_per_worker": 1024 // rows}
            yield f"{task} / a2c lstm / {rows}", plain(task, "a2c lstm", segments)
            for name in ("q lstm zero burn in", "q lstm stored burn in"):
                burn_in = min(8, rows // 2)
                lengths = {
                    "burn_in": burn_in,
                    "sequence_length": rows - burn_in,
                    "replay_batch": 1280 // rows,
                    "segment_length": min(8, rows - burn_in),
                }
                yield f"{task} / {name} / {rows}", plain(task, name, lengths)


def buffer_age() -> Plan:
    """Let buffers hold 4,000 to 300,000 steps."""
    for name in ("q lstm zero", "q lstm stored burn in", "a2c lstm replay"):
        for capacity in (4_000, 10_000, 30_000, 100_000, 300_000):
            options = {"replay_capacity": capacity, "replay_warm_up": min(4_000, capacity)}
            yield f"masked / {name} / {capacity}", watched("masked", name, options)


def carry(tasks: list[str]) -> Plan:
    """Start every online segment from a zero state; the grid has the runs that carry it."""
    for task in tasks:
        for name in ("a2c gru", "a2c lstm", "q lstm online"):
            yield f"{task} / {name} / zeroed", watched(task, name, {"carry_state": False})


def workers() -> Plan:
    """Train with 1, 2 and 4 asynchronous workers."""
    for name in ("a2c lstm", "q lstm stored burn in"):
        for count in (1, 2, 4):
            yield f"masked / {name} / {count}", plain("masked", name, {"mode": "async", "workers": count})


def plain(task: str, name: str, options: Options) -> Arm:
    """Make a tuned arm with some options replaced."""
    config = config_of(ALL_TASKS[task], ARMS[name], settings_of(name) | options)
    return Arm(replace(config, wandb_group=name))


def watched(task: str, name: str, options: Options) -> Arm:
    """Make the same arm, measured while it learns."""
    from experiments.online_vs_replay.measures.watch import watch
    from rl.loop import Overrides

    return plain(task, name, options)._replace(overrides=Overrides(watch=watch))
