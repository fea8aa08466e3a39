"""Reads the records of runs, finished or not: from our run folders, and from offline W&B folders."""

import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rl.record.wandb_folders import records_of

LAST_SHARE = 0.2  # of a run's env steps, whose episodes make its final score
_SPECIAL_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Record(NamedTuple):
    """What is known of one run: what was asked for, what it logged, how it ended."""

    path: Path
    config: dict  # flat
    rows: list[dict]  # one a log interval, global_step never falling; the keys of W&B
    summary: dict  # always has exit_reason; "killed" and nothing else when the run never wrote its end
    reward_threshold: float | None  # None: not recorded

    def curve(self, x_key: str, y_key: str = "charts/episodic_return") -> tuple[np.ndarray, np.ndarray]:  # [row] each
        """The rows that have both keys; an interval in which no episode ended has no return."""
        points = [(row[x_key], row[y_key]) for row in self.rows if _is_number(row, x_key) and _is_number(row, y_key)]
        x, y = np.array(points, dtype=float).reshape(-1, 2).T
        return x, y


def runs_among(paths: Iterable[Path | str]) -> tuple[list[Path], list[Path]]:
    """Splits what a shell's `runs/*` gives into runs and the rest: other folders, and runs that a study put aside.

    Where no path is a run, all are returned as runs, and `read_record` then says what they are.
    """
    folders = [Path(path) for path in paths]
    runs = [
        folder
        for folder in folders
        if ((folder / "config.json").is_file() or any(folder.glob("run-*.wandb"))) and ".unfinished-" not in folder.name
    ]
    return (runs, [folder for folder in folders if folder not in runs]) if runs else (folders, [])


def read_records(paths: Iterable[Path | str]) -> list[Record]:
    """Reads each folder once, however often it is named (W&B's `latest-run` is a link to another).

    Raises:
        ValueError: a path is not a run; the message is one line.
    """
    folders: dict[Path, Path] = {}
    for path in map(Path, paths):
        folders.setdefault(path.resolve(), path)
    if not folders:
        raise ValueError("no runs given")
    return [read_record(path) for path in folders.values()]


def read_record(path: Path | str) -> Record:
    """Reads a run folder, or an offline W&B folder (`.../wandb/offline-run-*`).

    Raises:
        ValueError: the folder is neither, or a file in it is not what it should be; the message is one line.
    """
    path = Path(path)
    if (path / "config.json").is_file():
        return _read_run_folder(path)
    if path.is_dir() and any(path.glob("run-*.wandb")):
        return _read_wandb_folder(path)
    what = "no such folder" if not path.exists() else "not a folder" if not path.is_dir() else "not a run"
    if what == "not a run" and not any(path.iterdir()):
        what = "empty folder"
    raise ValueError(f"{path}: {what}; expected a run folder (config.json) or an offline W&B folder (run-*.wandb)")


def _read_run_folder(path: Path) -> Record:
    header = _read_json(path / "config.json")
    config = _checked_config(header.get("config"), path / "config.json")
    if header.get("reward_threshold") is not None and not _is_number(header, "reward_threshold"):
        raise ValueError(f"{path / 'config.json'}: its reward_threshold is not a number")
    metrics, summary = path / "metrics.jsonl", path / "summary.json"
    rows = _read_lines(metrics) if metrics.exists() else []  # killed before the first interval
    ending = _read_json(summary) if summary.exists() else {}
    return _record(path, config, rows, ending, header.get("reward_threshold"))


def _record(path: Path, config: dict, rows: list[dict], summary: dict, reward_threshold: float | None) -> Record:
    """Adds how the run ended, and lets a resumed run's later rows replace those after its checkpoint."""
    kept: list[dict] = []
    last = -math.inf
    for row in rows:
        step = row["global_step"] if _is_number(row, "global_step") else last
        if step < last:
            kept = [one for one in kept if not _is_number(one, "global_step") or one["global_step"] <= step]
        kept.append(row)
        last = step
    return Record(path, config, kept, {"exit_reason": "killed"} | summary, reward_threshold)


def _checked_config(config, where: Path) -> dict:
    missing = [key for key in ("env", "core", "seed") if not isinstance(config, dict) or key not in config]
    if missing:
        raise ValueError(f"{where}: not the configuration of a run: it has no {', '.join(missing)}")
    return config


def _is_number(values: dict, key: str) -> bool:
    """Whether the value is a number that a float can hold; nan and infinity are not."""
    value = values.get(key)
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ValueError(f"{file}: cannot be read: {error.strerror}") from None


def _read_object(text: str, file: Path, number: int = 1) -> dict:
    """The JSON object in a text that begins at line `number` of a file."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}:{number + error.lineno - 1}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{file}:{number}: not JSON: a number is too long, or too much is nested") from None
    if not isinstance(value, dict):
        raise ValueError(f"{file}:{number}: not a JSON object")
    return value


def _read_json(file: Path) -> dict:
    return _read_object(_read_text(file), file)


def _read_lines(file: Path) -> list[dict]:
    """One object for each line. A last line without its newline is dropped where a kill cut it off."""
    *lines, rest = _read_text(file).split("\n")
    rows = []
    for number, line in enumerate([*lines, rest], start=1):
        try:
            row = _read_object(line, file, number) if line.strip() else {}
        except ValueError:
            if number == len(lines) + 1:
                break
            raise
        if "global_step" in row and not _is_number(row, "global_step"):
            raise ValueError(f"{file}:{number}: its global_step is not a number")
        if row:
            rows.append(row)
    return rows


def _read_wandb_folder(path: Path) -> Record:
    config: dict = {}
    summary: dict = {}
    rows: list[dict] = []
    ending: dict = {}
    for record in records_of(path):
        content = record.get(record["type"], {})
        if record["type"] == "run":
            config |= _plain(content.get("config", {}).get("update", {}))
        elif record["type"] == "config":
            config |= _plain(content.get("update", {}))
        elif record["type"] == "history":
            rows.append(_plain(content["item"]))
        elif record["type"] == "summary":
            summary |= _plain(content.get("update", {}))
        elif record["type"] == "exit":
            ending = {"exit_reason": f"exit code {content.get('exit_code', 0)}"}
    if not config:
        raise ValueError(f"{path}: holds no configuration: killed before W&B wrote it down, or not a training run")
    # W&B's summary also holds the last value of each metric; its other keys tell how the run ended.
    logged = {key for row in rows for key in row}
    ending |= {key: value for key, value in summary.items() if key not in logged}
    return _record(path, _checked_config(config, path), rows, ending, None)


def _plain(item: dict) -> dict:
    """The item without W&B's own keys, and with numbers for the floats that JSON has no word for."""
    return {
        key: _SPECIAL_FLOATS.get(value, value) if isinstance(value, str) else value
        for key, value in item.items()
        if not key.startswith("_")
    }


def mean_staleness(histogram: list[int]) -> float:
    """Mean age of gradients in updates; the histogram counts gradients that were 0, 1, 2, … versions old."""
    return sum(age * count for age, count in enumerate(histogram)) / max(1, sum(histogram))


def final_score(run: Record) -> float:
    """Mean return of the episodes that ended in the last fifth of a run's env steps.

    Raises:
        ValueError: no episode did.
    """
    start = (1 - LAST_SHARE) * run.config["total_env_steps"]
    late = [row for row in run.rows if row["global_step"] > start and row["charts/episodes"]]
    episodes = sum(row["charts/episodes"] for row in late)
    if not episodes:
        raise ValueError(f"{run.path}: no episode ended in the last fifth of the run")
    return sum(row["charts/episodic_return"] * row["charts/episodes"] for row in late) / episodes
