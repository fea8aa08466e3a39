"""Three ways to distribute actor-critic learning: asynchronous workers, synchronous workers, one process.

Question: which way gets there soonest with 8 environments, when their steps are cheap and when they are expensive?
Command:  python -m experiments.chapter5.ways_to_distribute
Time:     4 minutes on 2 cores, which should do nothing else; 27 with --arms all --seeds 10 --repetitions 3.
Output:   ways_to_distribute.md and .png (tables, figure), runs.csv, curves.csv and speed.csv in --out; run folders.

W workers of 8 / W environments each, the chapter's network and loss, CartPole with -10 for a fall, N = 10.

    async W workers   each worker's gradient is applied as it comes, to shared parameters and one shared Adam
    sync W workers    gradients are summed over workers each segment, then one update
    one process       all 8 environments stepped together, no worker processes

Per env step sync is one process, to rounding; async makes W times as many updates, each from 1 / W of the environments
and from parameters that others have changed meanwhile. So one more arm, one process with 8 times the learning rate,
tells how much of async's lead is just its larger number of steps.

Three parts: learning with the cheap environment, and with 1 ms of computing a step for up to three of the arms; speed
and the age of gradients at each cost of a step, in short runs of their own; and, projected from both, the seconds to a
mean episode length. --arms quick: one process, async and sync with 2 and 8 workers; all: with 1, 2, 4 and 8.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.lab.learning_study import (
    COLUMNS,
    FOOTNOTE,
    Arm,
    Row,
    Study,
    StudyCommand,
    append_csv,
    compared,
    digest,
    file_name,
    mean_staleness,
    publish,
    read_csv,
    scores,
    study_table,
)
from rl.config import Config, option
from rl.loop import NO_OVERRIDES
from rl.presets import PRESETS

if TYPE_CHECKING:
    from experiments.lab.records import Run

ENVIRONMENTS = 8  # over all workers
ENV_STEPS = 70_000
WORKERS = (1, 2, 4, 8)
LONG_STEPS = f"one process {ENVIRONMENTS} x learning rate"
EXPENSIVE_MS = 1.0  # of the learning runs with the expensive environment
LEAST_ENV_STEPS = 5_000  # of a learning run: five points of its curve
# Of a run that measures speed. Its evaluations, in an environment that may be expensive, are short.
SPEED = {
    "total_env_steps": 100_000_000,
    "log_interval": 100_000,
    "checkpoint_interval": 100_000_000,
    "eval_episodes": 1,
    "wandb": "disabled",
}


class Way(NamedTuple):
    """How learning is distributed."""

    mode: str
    workers: int = 1

    @property
    def kind(self) -> str:
        """async, sync or one process."""
        return "one process" if self.mode == "serial" else self.mode

    @property
    def name(self) -> str:
        """Of its arm."""
        return self.kind + (f" {self.workers} worker{'s' * (self.workers > 1)}" if self.mode != "serial" else "")

    def config(self, compute_ms: float = 0.0, **options: Any) -> Config:
        """Of a run with 8 environments in all; with a `compute_ms` of 0 their steps cost nothing extra."""
        mine = {"mode": self.mode, "workers": self.workers, "envs_per_worker": ENVIRONMENTS // self.workers}
        if compute_ms:
            from experiments.chapter5.expensive import EXPENSIVE_ENV

            mine |= {"env": EXPENSIVE_ENV, "env_arg": (f"compute_ms={compute_ms:g}",)}
        return Config(**PRESETS["chapter5-batched"] | {"total_env_steps": ENV_STEPS} | mine | options)


WAYS = {
    way.name: way for way in (Way("serial"), *(Way(mode, workers) for mode in ("async", "sync") for workers in WORKERS))
}
QUICK = [way.name for way in WAYS.values() if way.workers in (2, 8) or way.mode == "serial"]
EXPENSIVE = [way.name for way in WAYS.values() if way.workers == 2 or way.mode == "serial"]


@dataclass(frozen=True)
class Command(StudyCommand):
    """What the command line says."""

    arms: str = "quick"
    """Which ways, as a,b,c; quick, or all: see above."""
    seeds: int = 1
    """Runs of each arm, from --first-seed on."""
    env_steps: int = ENV_STEPS
    """Env steps of each run with the cheap environment."""
    learn_expensive: bool = True
    """Learn with 1 ms of computing a step too, with those of one process, async 2 workers and sync 2 workers that are
    among --arms."""
    expensive_env_steps: int = 20_000
    """Env steps of each of these runs."""
    expensive_seeds: int = 3
    """Most runs of each of these arms."""
    compute_ms: str = "0,1,10"
    """Milliseconds of computing of an environment's step at which speed is measured."""
    seconds: float = 3.0
    """Training seconds of each measurement of speed."""
    repetitions: int = 1
    """Measurements of each speed; their median counts."""
    length: float = 50.0
    """The mean episode length, over five log intervals, that is to be reached."""
    processes: int = 1
    """Serial runs at a time: more would make seconds of one process mean something else than those of the others."""
    runs_dir: Path = Path("runs/chapter5/ways_to_distribute")
    """Folder of the run folders."""

    def ways(self) -> list[Way]:
        """The ways that --arms names.

        Raises:
            ValueError: an option cannot work; those that `Study` knows are its to check.
        """
        from experiments.lab.command_line import listed

        for name, least in (
            ("repetitions", 1),
            ("expensive_seeds", 1),
            ("env_steps", LEAST_ENV_STEPS),
            ("expensive_env_steps", LEAST_ENV_STEPS),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{option(name)} {getattr(self, name)}: a whole number of at least {least} is needed")
        for name in ("seconds", "length"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{option(name)} {getattr(self, name)}: a number above 0 is needed")
        wanted = {"all": ",".join(WAYS), "quick": ",".join(QUICK)}.get(self.arms, self.arms)
        return listed("--arms", wanted, WAYS.__getitem__, f"all, quick, or a list out of {','.join(WAYS)},")

    def costs(self) -> list[float]:
        """The milliseconds of --compute-ms, smallest first.

        Raises:
            ValueError: an entry is no number of at least 0.
        """
        from experiments.lab.command_line import listed

        def cost(entry: str) -> float:
            if not 0 <= float(entry) < math.inf:
                raise ValueError(entry)
            return float(entry)

        return sorted(listed("--compute-ms", self.compute_ms, cost, "a list of numbers of at least 0, as in 0,1,10,"))


def arms(command: Command) -> dict[str, Arm]:
    """Every arm of the command, by name: the cheap ones, then those with the expensive environment."""
    ways = command.ways()
    cheap = {way.name: Arm(way.config(total_env_steps=command.env_steps)) for way in ways}
    # An evaluation of 100 episodes would cost more than the run: those of the study are with the cheap environment.
    options = {"total_env_steps": command.expensive_env_steps, "eval_episodes": 1}
    expensive = {
        expensive_name(way.name): Arm(way.config(EXPENSIVE_MS, **options)) for way in ways if way.name in EXPENSIVE
    }
    # Async with W workers takes W steps of Adam where this takes one: here is one that goes as far as 8 of them.
    rate = ENVIRONMENTS * PRESETS["chapter5-batched"]["learning_rate"]
    alone = WAYS["one process"]
    if alone in ways:
        cheap[LONG_STEPS] = Arm(alone.config(total_env_steps=command.env_steps, learning_rate=rate))
    return cheap | (expensive if command.learn_expensive else {})


def studies(command: Command) -> list[Study]:
    """Of the cheap arms, and of the expensive ones, which have fewer seeds."""
    every = arms(command)
    dear = [name for name, arm in every.items() if arm.config.env_arg]
    cheap, expensive = ({name: arm for name, arm in every.items() if (name in dear) == wanted} for wanted in (0, 1))
    seeds = command.seeds, min(command.seeds, command.expensive_seeds)
    return [
        Study("chapter5-ways-to-distribute", group, replace(command, arms="all", env_steps=0, seeds=most))
        for group, most in zip((cheap, expensive), seeds, strict=True)
        if group
    ]


def expensive_name(arm: str) -> str:
    """The arm that learns as `arm` does, with the expensive environment."""
    return f"{arm} {EXPENSIVE_MS:g} ms"


# --- speed


def speed_configs(command: Command) -> dict[tuple[str, float, int], Config]:
    """A config for each measurement of speed, by (arm, milliseconds, repetition), repetitions interleaved: A B A B."""
    ways, costs = command.ways(), command.costs()
    limits = {"max_seconds": command.seconds, **SPEED}
    found = {}
    for repetition in range(1, command.repetitions + 1):
        for cost in costs:
            for way in ways:
                folder = command.runs_dir / "speed" / f"{file_name(way.name)}-{cost:g}ms-{repetition}"
                own = {"seed": command.first_seed + repetition - 1, "run_dir": str(folder)}
                found[way.name, cost, repetition] = way.config(cost, **limits, **own)
    return found


def speeds(command: Command) -> list[Row]:
    """Measure what has no row in speed.csv yet, each measurement's row being written as it ends.

    Returns:
        The command's own rows: arm, workers, compute_ms, repetition, digest, env_steps, seconds, sps (env steps a
        second), staleness (mean, in updates), startup_seconds.

    Raises:
        ValueError: speed.csv has a row of other options; nothing was measured.
        RunFailed: a run ended by a fault or a signal.
    """
    import json

    from experiments.lab.study import train_missing

    file = (command.out or command.runs_dir) / "speed.csv"
    planned = speed_configs(command)
    rows = {key_of(row): row for row in read_csv(file)}
    for key, config in planned.items():
        if key in rows and rows[key]["digest"] != digest(config, NO_OVERRIDES):
            raise ValueError(
                f"{file}: its row of {key[0]} at {key[1]:g} ms is of other options; name another --out, "
                "or remove the row"
            )
    missing = {config.run_dir: key for key, config in planned.items() if key not in rows}

    def finished(config: Config) -> None:
        arm, cost, repetition = missing[config.run_dir]
        summary = json.loads((Path(config.run_dir) / "summary.json").read_text())
        row = {
            "arm": arm,
            "workers": config.workers,
            "compute_ms": f"{cost:g}",
            "repetition": repetition,
            "digest": digest(config, NO_OVERRIDES),
            "env_steps": summary["env_steps"],
            "seconds": round(summary["seconds"], 3),
            "sps": round(summary["sps"], 2),
            "staleness": round(mean_staleness(summary["staleness"]), 3),
            "startup_seconds": round(summary["startup_seconds"], 2),
        }
        append_csv(file, [row])

    if missing:
        train_missing([planned[key] for key in missing.values()], finished=finished)
    rows = {key_of(row): row for row in read_csv(file)}
    return [rows[key] for key in planned]


def key_of(row: Row) -> tuple[str, float, int]:
    """What a row of speed.csv measured."""
    return row["arm"], float(row["compute_ms"]), int(row["repetition"])


def median_of(rows: list[Row], key: str) -> dict[tuple[str, float], float]:
    """The median over repetitions of a number of speed.csv, by (arm, milliseconds)."""
    found: dict[tuple[str, float], list[float]] = {}
    for row in rows:
        found.setdefault((row["arm"], float(row["compute_ms"])), []).append(float(row[key]))
    return {key: median(values) for key, values in found.items()}


def speed_table(rows: list[Row]) -> str:
    """A Markdown table: env steps a second, and mean age of gradients in updates, at each cost of a step."""
    sps, staleness = median_of(rows, "sps"), median_of(rows, "staleness")
    ways, costs = list(dict.fromkeys(arm for arm, _ in sps)), sorted({cost for _, cost in sps})
    titles = [f"env steps a second, {cost:g} ms" for cost in costs] + [f"staleness, {cost:g} ms" for cost in costs]
    lines = ["| | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
    for arm in ways:
        ages = [f"{staleness[arm, cost]:.2f} ({staleness[arm, cost] / WAYS[arm].workers:.2f})" for cost in costs]
        ages = ages if WAYS[arm].mode == "async" else ["0"] * len(costs)
        lines.append(f"| {arm} | " + " | ".join([*(number(sps[arm, cost]) for cost in costs), *ages]) + " |")
    return "\n".join(lines)


def number(value: float) -> str:
    """Three digits or more: 0.0123, 1.23, 12.3, 1,234."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


# --- seconds to an episode length, projected


def to_length(run: "Run", length: float, x_key: str = "global_step") -> float:
    """Where a run's smoothed curve first has this mean episode length: env steps, or seconds; inf where it never has.

    Args:
        run: one of `Study.curves`.
        length: in steps.
        x_key: global_step or time/seconds.
    """
    from experiments.lab.figures import LENGTH, smoothed

    x, y = smoothed(run, x_key, LENGTH)
    reached = (y >= length).nonzero()[0]
    return float(x[reached[0]]) if len(reached) else math.inf


class Projection(NamedTuple):
    """Of one arm at one cost of a step."""

    arm: str
    seconds: float  # to the length: median over seeds; inf where half of them never had it
    seconds_of_run: float  # of all env steps that were learnt from


def project(
    env_steps: Mapping[str, list[float]], env_steps_of_run: float, sps: Mapping[tuple[str, float], float], cost: float
) -> list[Projection]:
    """Seconds to the length at one cost: median env steps to it with the cheap environment ÷ env steps a second.

    Args:
        env_steps: to the length, of each seed, by arm; inf where it was never reached.
        env_steps_of_run: that each run learnt from.
        sps: measured env steps a second, by (arm, milliseconds).
        cost: milliseconds.
    """
    return [
        Projection(arm, median(seeds) / sps[arm, cost], env_steps_of_run / sps[arm, cost])
        for arm, seeds in env_steps.items()
    ]


def winner(projections: list[Projection], cost: float, length: float) -> str:
    """Which way is soonest at this cost, in a sentence, with what is open because some never had the length."""
    reached = sorted((one for one in projections if math.isfinite(one.seconds)), key=lambda one: one.seconds)
    if not reached:
        return f"At {cost:g} ms: no way reached a mean length of {length:g}."
    best, *_ = reached
    others = [
        next(one for one in reached if WAYS[one.arm].kind == kind)
        for kind in dict.fromkeys(WAYS[one.arm].kind for one in reached)
        if kind != WAYS[best.arm].kind
    ]
    said = f"At {cost:g} ms: {best.arm} is soonest, {number(best.seconds)} s projected"
    if others:
        said += "; the best of each other way: " + ", ".join(
            f"{one.arm} {number(one.seconds)} s ({one.seconds / best.seconds:.2f} times as long)" for one in others
        )
    unknown = [one for one in projections if not math.isfinite(one.seconds) and one.seconds_of_run < best.seconds]
    if unknown:
        said += "; open, because not there yet: " + ", ".join(
            f"{one.arm} (after {number(one.seconds_of_run)} s)" for one in unknown
        )
    return said + "."


def projection_table(env_steps: Mapping[str, list[float]], by_cost: Mapping[float, list[Projection]]) -> str:
    """A Markdown table: env steps to the length, how many seeds had it, projected seconds at each cost."""
    titles = ["env steps to it", "seeds that had it", *(f"projected seconds, {cost:g} ms" for cost in by_cost)]
    lines = ["| | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
    for place, (arm, seeds) in enumerate(env_steps.items()):
        had = sum(map(math.isfinite, seeds))
        middle = median(seeds)
        cells = [f"{middle:,.0f}" if math.isfinite(middle) else "not reached", f"{had} of {len(seeds)}"]
        for projections in by_cost.values():
            one = projections[place]
            ended = math.isfinite(one.seconds)
            cells.append(number(one.seconds) if ended else f"> {number(one.seconds_of_run)}")
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


# --- how the projection agrees with runs that really were expensive


def mean_length(runs: "list[Run]", low: float, high: float) -> float:
    """Mean episode length over the curves' points with low < env steps ≤ high, over all runs; nan without a point."""
    lengths = [
        point["charts/episodic_length"] for run in runs for point in run.rows if low < point["global_step"] <= high
    ]
    return sum(lengths) / len(lengths) if lengths else math.nan


def agreement(
    rows: list[Row], curves: "Mapping[str, list[Run]]", sps: Mapping[tuple[str, float], float], length: float
) -> str:
    """A table of the arms that learnt with the expensive environment, and a sentence: real seconds and projected ones.

    Args:
        rows: of the study: arm, env_steps, seconds.
        curves: of every arm.
        sps: measured env steps a second, by (arm, milliseconds).
        length: the episode length to be reached.
    """
    titles = (
        "env steps",
        "seconds",
        "projected",
        "real ÷ projected",
        "length in the last fifth",
        "cheap environment, same env steps",
        f"seconds to length {length:g}",
        "projected",
    )
    lines, ratios = ["| | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)], []
    for arm, runs in curves.items():
        cheap = arm.removesuffix(f" {EXPENSIVE_MS:g} ms")
        speed = sps.get((cheap, EXPENSIVE_MS))
        if arm == cheap or speed is None:
            continue
        mine = [row for row in rows if row["arm"] == arm]
        env_steps, seconds = (median(float(row[key]) for row in mine) for key in ("env_steps", "seconds"))
        span = 0.8 * env_steps, env_steps
        real = median(to_length(run, length, "time/seconds") for run in runs)
        projected = median(to_length(run, length) for run in curves[cheap]) / speed
        ratios.append(seconds / (env_steps / speed))
        cells = [
            *(f"{env_steps:,.0f}", number(seconds), number(env_steps / speed), f"{ratios[-1]:.2f}"),
            *(f"{mean_length(group, *span):.1f}" for group in (runs, curves[cheap])),
            *(number(value) if math.isfinite(value) else "not reached" for value in (real, projected)),
        ]
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    if not ratios:
        return ""
    ends = f"{min(ratios):.2f}", f"{max(ratios):.2f}"
    times = " to ".join(dict.fromkeys(ends))
    return "\n".join(lines) + f"\n\nThe real runs took {times} times the seconds projected for their env steps."


# --- the page

SPEED_NOTE = (
    "Env steps a second: medians over repetitions of {seconds:g} s of training each, without W&B. The cost of a step "
    "is milliseconds of computing on a core, for each environment. Staleness: how many updates of others came between "
    "taking parameters and applying the gradient, mean over gradients; in brackets as a share of the workers. A "
    "measurement of few segments (10 steps of 8 environments) starts with young gradients."
)
PROJECTION_NOTE = (
    "Projected, not measured: median env steps with the cheap environment until the mean length over five log "
    "intervals was {length:g}, divided by the env steps a second measured at that cost. >: not reached; the seconds "
    "that the run's env steps take."
)
LATE_NOTE = "Lengths: means of the curves' points in the last fifth of the expensive runs' env steps."


def lead(rows: list[Row]) -> str:
    """Whether async's lead is just its number of updates, in a sentence; nothing where an arm is missing."""
    pair = [scores(rows, arm) for arm in (LONG_STEPS, "async 8 workers")]
    if not all(pair):
        return ""
    words, sign = compared(*pair)
    verdict = {
        1: "learns more from the same env steps, so async's lead need not come from asynchrony",
        -1: "still learns less from the same env steps",
        0: "learns neither surely more nor less from the same env steps",
    }[sign]
    return (
        " Async with 8 workers updates 8 times as often as one process, at the same learning rate. One process with 8 "
        f"times the learning rate {verdict}: P(one process longer) = {words}."
    )


def page(command: Command, rows: list[Row], curves: "Mapping[str, list[Run]]", speed_rows: list[Row]) -> str:
    """All tables, from the rows alone."""
    sps = median_of(speed_rows, "sps")
    env_steps = {way.name: [to_length(run, command.length) for run in curves[way.name]] for way in command.ways()}
    costs = {cost: project(env_steps, command.env_steps, sps, cost) for cost in command.costs()}
    age = (("staleness", "staleness", 2, True),)
    sections: list[tuple[str, str]] = [
        ("Learning", f"{study_table(rows, (*COLUMNS, *age))}\n\n{FOOTNOTE}{lead(rows)}"),
        ("Speed and staleness", f"{speed_table(speed_rows)}\n\n{SPEED_NOTE.format(seconds=command.seconds)}"),
        (
            f"Seconds to a mean episode length of {command.length:g}, projected",
            projection_table(env_steps, costs)
            + "\n\n"
            + "\n".join(f"- {winner(projections, cost, command.length)}" for cost, projections in costs.items())
            + f"\n\n{PROJECTION_NOTE.format(length=command.length)}",
        ),
    ]
    if real := agreement(rows, curves, sps, command.length):
        sections.append((f"The projection against runs with {EXPENSIVE_MS:g} ms", f"{real} {LATE_NOTE}"))
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in sections)


def main() -> None:
    """Parse the command line, train and measure what is missing, tabulate and draw."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        command = parse(Command, __doc__)
        command.costs()  # a wrong option is found before anything is trained
        planned = studies(command)
        rows = [row for study in planned for row in study.complete()]
        speed_rows = speeds(command)
        from experiments.chapter5.ways_figure import ways_figure

        out = planned[0].out
        curves = {arm: runs for study in planned for arm, runs in study.curves().items()}
        ways_figure(
            {(way.kind, way.workers): curves[way.name] for way in command.ways()},
            {
                (WAYS[arm].kind, WAYS[arm].workers, cost): sps
                for (arm, cost), sps in median_of(speed_rows, "sps").items()
            },
            out / "ways_to_distribute.png",
            command.length,
        )
        publish(out, "ways_to_distribute", page(command, rows, curves, speed_rows))

    experiment(run)


if __name__ == "__main__":
    main()
