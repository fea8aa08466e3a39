"""Learning studies: arms by seeds, one row a finished run, and what all of them draw and tabulate from the rows.

A study's results are two CSV files in its --out: runs.csv, a row each finished run, and curves.csv, the points of its
learning curve. A row is what 'done' means: the study goes on where it stopped, also in a fresh clone that has the rows
and no run folders, and figures are drawn again from the rows alone.
"""

import csv
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from experiments.lab.study import held, train_missing
from rl.config import Config
from rl.loop import NO_OVERRIDES, Overrides

if TYPE_CHECKING:
    from experiments.lab.records import Run

LAST_SHARE = 0.2  # of the env steps of a run: its end
EVALUATION_EPISODES = 100
FEWEST = 4  # seeds a side: below that even full separation is no evidence (p >= 0.1), and its interval is [1, 1]
CURVE = {  # column of curves.csv: name in the rows of a run
    "env_steps": "global_step",
    "updates": "updates",
    "seconds": "time/seconds",
    "length": "charts/episodic_length",
    "loss": "loss",
}
NOT_LEARNING = ("seed", "run_dir", "wandb", "wandb_project", "wandb_group", "checkpoint_interval")
Row = dict[str, Any]
Result = Callable[[Config, Overrides], tuple[Row, dict[str, list[Row]]]]


class Arm(NamedTuple):
    """One system of a study: its config but for the seed, and the parts of rl that it replaces."""

    config: Config
    parts: Overrides = NO_OVERRIDES


@dataclass(frozen=True)
class StudyCommand:
    """What the command line of a study says."""

    arms: str = "all"
    """Which of the systems above, separated by commas; quote names with spaces, as in "N = 1,N = 10"."""
    seeds: int = 3
    """Runs of each arm, from --first-seed on."""
    first_seed: int = 1
    """Seed of each arm's first run."""
    env_steps: int = 0
    """Env steps of each run; 0: those of the arm."""
    processes: int = 2
    """Serial runs at a time; runs with workers go one after another."""
    runs_dir: Path = Path("runs/study")
    """Folder of the run folders."""
    out: Path | None = None
    """Folder of rows, table and figure; a run that has its row there is not trained again. None: --runs-dir."""
    wandb: Literal["auto", "online", "offline", "disabled"] = "offline"
    """W&B mirror of each run, in the experiment's own group."""


class Study:
    """Arms by seeds, and their rows."""

    def __init__(
        self,
        name: str,
        arms: Mapping[str, Arm],
        command: StudyCommand,
        result: Result | None = None,
        tables: Sequence[str] = ("curves",),
    ) -> None:
        """Plan the runs; nothing is trained or written.

        Args:
            name: the W&B group of the runs whose config names none.
            arms: every arm, by name.
            command: which of them, how many seeds, where.
            result: makes a finished run's row, and its rows of the other tables; that of episode lengths if None.
            tables: names of those.

        Raises:
            ValueError: an option cannot work.
        """
        from experiments.lab.command_line import listed

        for option, value in (("--seeds", command.seeds), ("--processes", command.processes)):
            if value < 1:
                raise ValueError(f"{option} {value}: a whole number of at least 1 is needed")
        for option, value in (("--first-seed", command.first_seed), ("--env-steps", command.env_steps)):
            if value < 0:
                raise ValueError(f"{option} {value}: a whole number of at least 0 is needed")
        wanted = ",".join(arms) if command.arms == "all" else command.arms
        chosen = listed("--arms", wanted, lambda arm: (arm, arms[arm]), f"all, or a list out of {','.join(arms)},")
        for _, (config, _) in chosen:
            least = 5 * config.log_interval
            if 0 < command.env_steps < least:
                raise ValueError(f"--env-steps {command.env_steps}: at least {least} is needed, five points of a curve")
        self.result, self.tables = result or length_result, tables
        self.out, self.processes = folder_of(command.out, command.runs_dir), command.processes
        self.arms = [arm for arm, _ in chosen]
        self.planned: dict[tuple[str, int], tuple[Config, Overrides]] = {}
        for seed in range(command.first_seed, command.first_seed + command.seeds):
            for arm, (config, parts) in chosen:
                # A run folder does not tell its parts: those of other parts must not be found in its place.
                told = "" if parts == NO_OVERRIDES else f"-{digest(config, parts)}"
                own = {
                    "seed": seed,
                    "run_dir": str(command.runs_dir / f"{file_name(arm)}-s{seed}{told}"),
                    "total_env_steps": command.env_steps or config.total_env_steps,
                    "wandb": command.wandb,
                    "wandb_group": config.wandb_group or name,
                }
                self.planned[arm, seed] = replace(config, **own), parts

    def complete(self) -> list[Row]:
        """Train what has no row yet, each run's row being written as it ends.

        Returns:
            The rows of the study's own arms and seeds, in their order.

        Raises:
            ValueError: runs.csv has a row of another config, a folder another run, or another study is at work there;
                nothing was trained.
            RunFailed: a run ended by a fault or a signal.
        """
        with held(self.out):
            return self.completed()

    def completed(self) -> list[Row]:
        """The same, the folder being held."""
        rows = rows_of(self.out / "runs.csv")
        digests = {arm: digest(*planned) for (arm, _), planned in self.planned.items()}
        for (arm, seed), row in rows.items():
            if row["digest"] != digests.get(arm, row["digest"]):
                raise ValueError(
                    f"{self.out / 'runs.csv'}: its row of {arm}, seed {seed}, is of other options; "
                    "name another --out, or remove the row"
                )
        for table in self.tables:
            file = self.out / f"{table}.csv"
            # A curve without its row was interrupted while it was written.
            write_csv(file, [row for row in read_csv(file) if (row["arm"], int(row["seed"])) in rows])
        missing = {run[0].run_dir: (key, run) for key, run in self.planned.items() if key not in rows}

        def finished(config: Config) -> None:
            (arm, seed), (_, parts) = missing[config.run_dir]
            row, others = self.result(config, parts)
            identity = {"arm": arm, "seed": seed}
            for table in self.tables:
                append_csv(self.out / f"{table}.csv", [identity | more for more in others[table]])
            append_csv(self.out / "runs.csv", [identity | row])

        if missing:
            configs = [config for _, (config, _) in missing.values()]
            parts = {path: run[1] for path, (_, run) in missing.items()}
            train_missing(configs, self.processes, parts, finished, holds=self.out)
        rows = rows_of(self.out / "runs.csv")
        if len(rows) > len(self.planned):
            print(f"{len(self.planned)} of the {len(rows)} runs in {self.out} are shown, those of these options")
        return [rows[key] for key in sorted(self.planned, key=lambda key: self.arms.index(key[0]))]

    def curves(self) -> "dict[str, list[Run]]":
        """The learning curves of the study's arms and seeds, as runs that figures can draw: episode lengths."""
        return curves_of(self.out / "curves.csv", self.planned)


def folder_of(out: Path | None, runs_dir: Path) -> Path:
    """The folder of a study's results.

    Raises:
        ValueError: --out names a file.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: it is a file, a folder is needed")
    return out or runs_dir


def curves_of(file: Path, wanted: Mapping[tuple[str, int], Any]) -> "dict[str, list[Run]]":
    """Learning curves of a study's file by arm, in the order of `wanted`, whose keys are (arm, seed)."""
    from experiments.lab.records import Run

    points: dict[tuple[str, int], list[Row]] = {key: [] for key in wanted}
    for point in read_csv(file):
        key = point["arm"], int(point["seed"])
        if key in points:
            points[key].append({name: float(point[column]) for column, name in CURVE.items()})
    arms: dict[str, list[Run]] = {}
    for arm, seed in points:
        arms.setdefault(arm, []).append(Run(Path(f"{arm}-s{seed}"), {"seed": seed}, points[arm, seed], {}, None))
    return arms


def length_result(config: Config, parts: Overrides) -> tuple[Row, dict[str, list[Row]]]:
    """One finished run: its row, and the points of its learning curve.

    A last interval of less than half the usual env steps is no point: it has too few episodes to be one.
    `final_length` is the mean length of the episodes that ended in the last fifth of its env steps; greedy_length and
    sampled_length those of 100 fresh episodes of CartPole-v1 with the final parameters.
    """
    import envs
    from experiments.lab.records import read_run
    from experiments.lab.statistics import rank_correlation
    from rl.acting.evaluate import evaluate
    from rl.record.saved_agent import load_agent

    run = read_run(config.run_dir)
    points, updates = [], 0
    for before, row in pairwise([{"global_step": 0}, *run.rows]):
        updates += row["losses/updates"]
        whole = row["global_step"] - before["global_step"] >= config.log_interval / 2
        if whole and "charts/episodic_length" in row:
            points.append(
                {
                    "env_steps": row["global_step"],
                    "updates": updates,
                    "seconds": round(row["time/seconds"], 3),
                    "length": round(row["charts/episodic_length"], 2),
                    "loss": float(f"{loss_of(row, config):.4g}"),
                }
            )
    late = [row for row in run.rows if row["global_step"] > (1 - LAST_SHARE) * run.summary["env_steps"]]
    episodes = [(row["charts/episodes"], row["charts/episodic_length"]) for row in late if row["charts/episodes"]]
    agent, _, _ = load_agent(config.run_dir, envs.make_vector)
    plain = replace(config, env="CartPole-v1", env_arg=())
    greedy, sampled = (
        evaluate(agent, plain, envs.make_vector, EVALUATION_EPISODES, greedy, seed=config.seed, offset=offset).mean()
        for greedy, offset in ((True, 10_000), (False, 20_000))
    )
    row = {
        "digest": digest(config, parts),
        "env_steps": run.summary["env_steps"],
        "updates": run.summary["updates"],
        "seconds": round(run.summary["seconds"], 3),
        "final_length": round(sum(n * length for n, length in episodes) / max(1, sum(n for n, _ in episodes)), 3),
        "greedy_length": round(float(greedy), 2),
        "sampled_length": round(float(sampled), 2),
        "staleness": round(mean_staleness(run.summary["staleness"]), 3),
        "loss_rank_correlation": round(
            rank_correlation([point["loss"] for point in points], [point["length"] for point in points]), 4
        )
        if len(points) > 1
        else 0.0,  # a limit in seconds may leave fewer
    }
    return row, {"curves": points}


def loss_of(row: Row, config: Config) -> float:
    """The loss of a row of the record, a mean over steps."""
    policy, value, entropy = (row[f"losses/{name}"] for name in ("policy_loss", "value_loss", "entropy"))
    return policy + config.value_coefficient * value - config.entropy_coefficient * entropy


def mean_staleness(histogram: list[int]) -> float:
    """Mean age of gradients in updates, of how many were 0, 1, 2, … versions old."""
    return sum(age * count for age, count in enumerate(histogram)) / max(1, sum(histogram))


def digest(config: Config, parts: Overrides) -> str:
    """Eight letters that change with anything that a run learns by, and not with what only watches it.

    Only options that are not at their default count, so an option that is added to Config later leaves rows valid.
    Environments and functions are named without their modules, so a module that moves leaves rows valid, too.
    """
    default = asdict(Config())
    learning = {
        name: value for name, value in asdict(config).items() if name not in NOT_LEARNING and value != default[name]
    }
    if "env" in learning:
        learning["env"] = learning["env"].rpartition(":")[2]  # of `module:Id-v0`
    return hashlib.sha256(
        json.dumps([learning, [described(parts.targets), described(parts.make_learner)]]).encode()
    ).hexdigest()[:8]


def described(part: Callable[..., Any] | None) -> Any:
    """What a part is: a function's name, or that of a partial one with its arguments."""
    if part is None:
        return None
    function = getattr(part, "func", part)
    return [function.__qualname__, getattr(part, "keywords", {}), *getattr(part, "args", ())]


def file_name(arm: str) -> str:
    """An arm's name as part of a folder's."""
    return "".join(letter if letter.isalnum() else "-" for letter in arm)


# --- files


def read_csv(file: Path) -> list[Row]:
    """The rows of a CSV file; none where there is no file. A last line that was cut off by a kill is dropped."""
    if not file.exists():
        return []
    whole = file.read_text().rpartition("\n")[0]
    return list(csv.DictReader(whole.splitlines()))


def rows_of(file: Path) -> dict[tuple[str, int], Row]:
    """The rows of finished runs, by arm and seed.

    Raises:
        ValueError: it holds something else.
    """
    try:
        rows = {(row["arm"], int(row["seed"])): row for row in read_csv(file)}
        if all(row["digest"] for row in rows.values()):
            return rows
    except (KeyError, TypeError, ValueError):
        pass
    raise ValueError(f"{file}: rows of runs are needed, with arm, seed (a number) and digest; name another --out")


def write_csv(file: Path, rows: list[Row]) -> None:
    """Replace a file's rows, all or none of them: a kill meanwhile leaves it as it was. No rows are no file."""
    if not rows:
        file.unlink(missing_ok=True)
        return
    temporary = file.with_name(file.name + ".tmp")
    with open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, file)


def append_csv(file: Path, rows: list[Row]) -> None:
    """Add rows to a file, which gets its header with the first.

    Raises:
        ValueError: its rows have other columns.
    """
    if not rows:
        return
    before = read_csv(file)
    if before and list(before[0]) != list(rows[0]):
        raise ValueError(
            f"{file}: it has the columns {', '.join(before[0])}, and {', '.join(rows[0])} are needed; "
            "name another --out"
        )
    write_csv(file, before)  # without a line that was cut off
    opens = not file.exists()
    with open(file, "a", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
        if opens:
            writer.writeheader()
        writer.writerows(rows)


# --- tables

COLUMNS = (  # key of the rows, title, digits, as a median with its range instead of an interquartile mean
    ("env_steps", "env steps", 0, True),
    ("updates", "updates", 0, True),
    ("seconds", "seconds", 1, True),
    ("final_length", "episode length at the end", 1, False),
    ("greedy_length", "greedy", 1, False),
    ("sampled_length", "sampled", 1, False),
)
FOOTNOTE = (
    "Episode length at the end: mean of the episodes in the last fifth of the env steps, while learning. Greedy and "
    "sampled: 100 fresh episodes of CartPole-v1 with the final parameters, 500 steps at most. All three: interquartile "
    "mean over seeds and its 95 % bootstrap interval. The others: medians over seeds."
)
FIGURE = (
    " Figure: lines and bands are interquartile means of the curves and their intervals; on the right dots are seeds, "
    "diamond and bar interquartile mean and interval of the length at the end."
)


def study_table(rows: list[Row], columns: Sequence = COLUMNS) -> str:
    """A Markdown table, a row an arm."""
    lines = ["| | seeds | " + " | ".join(title for _, title, _, _ in columns) + " |"]
    lines.append("|---|" + "---:|" * (len(columns) + 1))
    for arm in dict.fromkeys(row["arm"] for row in rows):
        mine = [row for row in rows if row["arm"] == arm]
        cells = [cell([float(row[key]) for row in mine], digits, median) for key, _, digits, median in columns]
        lines.append(f"| {arm} | {len(mine)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(values: list[float], digits: int, median: bool) -> str:
    """The median, or the interquartile mean with its interval."""
    import numpy as np

    if median:
        middle = np.median(values)
        return f"{middle:,.{digits}f}" if np.isfinite(middle) else "not reached"
    mean, low, high = with_interval(values)
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]" if len(values) > 1 else f"{mean:.{digits}f}"


def with_interval(values: list[float]) -> tuple[float, float, float]:
    """Interquartile mean over seeds, and the bounds of its 95 % bootstrap interval."""
    from experiments.lab.statistics import iqm, stratified_bootstrap

    low, high = stratified_bootstrap([values], iqm)
    return float(iqm(values)), float(low), float(high)


def scores(rows: list[Row], arm: str, key: str = "final_length") -> list[float]:
    """One number of each seed of an arm, in the order of seeds."""
    return [float(row[key]) for row in sorted(rows, key=lambda row: int(row["seed"])) if row["arm"] == arm]


def compared(x: list[float], y: list[float]) -> tuple[str, int]:
    """P(X > Y) in words, and its sign: 1 or -1 where the interval excludes one half, else 0."""
    from experiments.lab.statistics import probability_of_improvement

    estimate, (low, high) = probability_of_improvement([x], [y])
    few = min(len(x), len(y)) < FEWEST
    sign = 0 if few else 1 if low > 0.5 else -1 if high < 0.5 else 0
    words = " (too few seeds to tell)" if few else ""
    return f"{estimate:.2f} [{float(low):.2f}, {float(high):.2f}]{words}", sign


def publish(out: Path, name: str, text: str) -> None:
    """Write a Markdown page, print it, and say where everything is."""
    (out / f"{name}.md").write_text(text.rstrip() + "\n")
    print(text)
    print(f"Written to {out}: " + ", ".join(sorted(file.name for file in out.iterdir() if file.is_file())))


def nothing(_rows: list[Row]) -> str:
    """Nothing to add to a page."""
    return ""


def run_study(
    name: str,
    arms: Mapping[str, Arm],
    command: StudyCommand,
    columns: Sequence = COLUMNS,
    more: Callable[[list[Row]], str] = nothing,
    **drawn: bool,
) -> None:
    """The whole of an experiment that is arms by seeds: train what is missing, tabulate and draw.

    Args:
        name: of the experiment, and of its table and figure.
        arms: every arm, by name.
        command: which of them, how many seeds, where.
        columns: of the table.
        more: Markdown that the page ends with, of the study's rows.
        drawn: options of `study_figure`.
    """
    study = Study(f"chapter5-{name.replace('_', '-')}", arms, command)
    rows = study.complete()
    from experiments.lab.curve_figures import study_figure

    study_figure(study.curves(), rows, study.out / f"{name}.png", **drawn)
    publish(study.out, name, f"{study_table(rows, columns)}\n\n{FOOTNOTE}{FIGURE}{more(rows)}")
