"""Studies: arms by seeds, and the rows that finished runs leave.

A study's results are CSV files in its --out: runs.csv, a row for each finished run, and other tables, such as
curves.csv, the points of each learning curve. A run is done when it has its row: the study continues where it stopped,
also in a fresh clone that has the rows and no run folders, and figures are drawn again from the rows alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from experiments.lab.digest import digest
from experiments.lab.options import at_least, listed
from experiments.lab.rows import FinishedRuns, Key, Row, append_csv, read_csv, rows_of, runs_by_arm, write_csv
from experiments.lab.runs import held, train_missing
from rl.config import Config
from rl.loop import NO_OVERRIDES, Overrides

Result = Callable[[Config, Overrides], tuple[Row, dict[str, list[Row]]]]


class Arm(NamedTuple):
    """One system of a study: its config without the seed, and the parts of rl's learning that it replaces."""

    config: Config
    overrides: Overrides = NO_OVERRIDES


@dataclass(frozen=True)
class StudyCommand:
    """What the command line says."""

    arms: str = "all"
    """Which of the systems above, separated by commas; quote names with spaces, as in "N = 1,N = 10"."""
    seeds: int = 3
    """Runs of each arm, from --first-seed on."""
    first_seed: int = 1
    """Seed of each arm's first run."""
    env_steps: int = 0
    """Env steps of each run; 0: the number that the arm has."""
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
        result: Result,
        tables: Sequence[str] = ("curves",),
    ) -> None:
        """Plan the runs; nothing is trained or written.

        Args:
            name: the W&B group of runs whose config names no group.
            arms: every arm, by name.
            command: which of them, how many seeds, which folders.
            result: makes a finished run's row of runs.csv, and its rows of the other tables.
            tables: names of the other tables.

        Raises:
            ValueError: an option cannot work.
        """
        at_least(1, seeds=command.seeds, processes=command.processes)
        at_least(0, first_seed=command.first_seed, env_steps=command.env_steps)
        wanted = ",".join(arms) if command.arms == "all" else command.arms
        chosen = listed("--arms", wanted, lambda arm: (arm, arms[arm]), f"all, or a list out of {','.join(arms)},")
        for _, (config, _) in chosen:
            least = 5 * config.log_interval
            if 0 < command.env_steps < least:
                raise ValueError(f"--env-steps {command.env_steps}: at least {least} is needed, five points of a curve")
        self.result, self.tables = result, tables
        self.out, self.processes = folder_of(command.out, command.runs_dir), command.processes
        self.arms = [arm for arm, _ in chosen]
        self.planned: dict[tuple[str, int], Arm] = {}
        for seed in range(command.first_seed, command.first_seed + command.seeds):
            for arm, (config, overrides) in chosen:
                # A run folder does not record overrides, so runs with different ones need different folders.
                suffix = "" if overrides == NO_OVERRIDES else f"-{digest(config, overrides)}"
                own = {
                    "seed": seed,
                    "run_dir": str(command.runs_dir / f"{file_name(arm)}-s{seed}{suffix}"),
                    "total_env_steps": command.env_steps or config.total_env_steps,
                    "wandb": command.wandb,
                    "wandb_group": config.wandb_group or name,
                }
                self.planned[arm, seed] = Arm(replace(config, **own), overrides)

    def complete(self) -> list[Row]:
        """Train the runs that have no row yet, and write each run's row as it ends.

        Returns:
            The rows of the study's own arms and seeds, arm after arm.

        Raises:
            ValueError: runs.csv has a row of another config, a folder holds another run, or another study is at work
                there; nothing was trained.
            RunFailed: a run ended by a fault or a signal.
        """
        with held(self.out):
            file = self.out / "runs.csv"
            digests = {arm: {"digest": digest(*planned)} for (arm, _), planned in self.planned.items()}
            missing = unfinished(
                runs_by_arm(file),
                self.planned,
                lambda key: digests.get(key[0]),
                lambda key: f"{key[0]}, seed {key[1]},",
            )
            self._drop_cut_off(rows_of(file))
            train_arms(missing, self.processes, self._write, self.out)
            rows = rows_of(file)
        if len(rows) > len(self.planned):
            print(f"{len(self.planned)} of the {len(rows)} runs in {self.out} are shown, those of these options")
        return [rows[key] for key in sorted(self.planned, key=lambda key: self.arms.index(key[0]))]

    def _drop_cut_off(self, rows: Mapping[Key, Row]) -> None:
        """Drop what a kill left in the other tables: rows of runs that have no row in runs.csv."""
        for table in self.tables:
            file = self.out / f"{table}.csv"
            write_csv(file, [row for row in read_csv(file) if (row["arm"], int(row["seed"])) in rows])

    def _write(self, key: Key) -> None:
        """Write the rows of a finished run; its row of runs.csv comes last, since that row says that it is done."""
        row, others = self.result(*self.planned[key])
        identity = dict(zip(("arm", "seed"), key, strict=True))
        for table in self.tables:
            append_csv(self.out / f"{table}.csv", [identity | more for more in others[table]])
        append_csv(self.out / "runs.csv", [identity | row])


def unfinished(
    done: FinishedRuns,
    planned: Mapping[Key, Arm],
    options_of: Callable[[Key], Row | None],
    name_of: Callable[[Key], str],
) -> dict[Key, Arm]:
    """The planned runs that have no rows yet.

    Args:
        done: the file of finished runs.
        planned: every run.
        options_of: the columns that tell with which options a run's rows must be made; None for a run that is not of
            this study.
        name_of: a run's name in an error.

    Raises:
        ValueError: the file holds something else, or rows that other options made.
    """
    finished = done.read()
    for key, rows in finished.items():
        options = options_of(key) or {}
        if any(row[name] != str(value) for row in rows for name, value in options.items()):
            row, are = ("row", "is") if done.rows_each == 1 else ("rows", "are")
            raise ValueError(
                f"{done.file}: its {row} of {name_of(key)} {are} of other options; name another --out, "
                f"or remove the {row}"
            )
    return {key: arm for key, arm in planned.items() if key not in finished}


def train_arms(missing: Mapping[Key, Arm], processes: int, write: Callable[[Key], None], holds: Path) -> None:
    """Train runs and write the rows of each as it ends.

    Args:
        missing: the runs.
        processes: serial runs at a time.
        write: writes the rows of a finished run.
        holds: a folder that the caller holds.

    Raises:
        ValueError: a folder holds another run, or an option cannot work; nothing was trained.
        RunFailed: a run ended by a fault or a signal.
    """
    if not missing:
        return
    key_of = {arm.config.run_dir: key for key, arm in missing.items()}
    train_missing(
        [arm.config for arm in missing.values()],
        processes,
        {arm.config.run_dir: arm.overrides for arm in missing.values()},
        lambda config: write(key_of[config.run_dir]),
        holds,
    )


def folder_of(out: Path | None, runs_dir: Path) -> Path:
    """The folder of a study's results.

    Raises:
        ValueError: --out names a file.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: it is a file, a folder is needed")
    return out or runs_dir


def file_name(arm: str) -> str:
    """An arm's name as part of a folder's name."""
    return "".join(letter if letter.isalnum() else "-" for letter in arm)
