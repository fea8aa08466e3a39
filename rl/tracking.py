"""The record of a run, and its mirror in Weights & Biases. The one place that knows the names of logged keys.

`metrics.jsonl` is the record: one object per log interval, flushed. W&B gets the same rows from a thread of its own
that nothing waits for, so a W&B that fails, blocks or dies changes neither training nor the record.
"""

import contextlib
import dataclasses
import importlib.metadata
import json
import multiprocessing.util
import os
import platform
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rl.config import Config
from rl.ledger import Row

Notify = Callable[[str], None]
STEP = "global_step"
INIT_SECONDS, FINISH_SECONDS = 20, 20
FAULT_SECONDS = 3  # a run that failed ends within 5 s, whatever W&B does
_abandoned: list["WandbMirror"] = []
_told: list[str] = []
ELSEWHERE = {  # what is logged of updates and is no loss
    "learning_rate": "charts/learning_rate", "staleness": "worker/staleness", "state_age": "replay/state_age",
}  # fmt: skip


def row_as_keys(row: Row) -> dict[str, float]:
    """A row of the ledger under the keys of CleanRL, so that runs of both overlay in one W&B project.

    Means over the interval, with their counts `charts/episodes` and `losses/updates`; without an episode, or an update,
    in the interval its means are left out.
    """
    keys = {
        STEP: row.env_steps,
        "time/seconds": row.seconds,
        "time/core_seconds": row.core_seconds,
        "charts/SPS": row.interval_env_steps / max(row.interval_seconds, 1e-9),
        "charts/episodes": row.episodes,
        **{ELSEWHERE.get(name, f"losses/{name}"): value for name, value in row.losses.items()},
        "losses/updates": row.updates,
    }
    if row.episodes:
        keys |= {"charts/episodic_return": row.episode_return, "charts/episodic_length": row.episode_length}
    return keys


class Tracker:
    """Writes a run's folder: config.json, metrics.jsonl, summary.json, and the W&B mirror under wandb/."""

    def __init__(
        self,
        run_dir: Path,
        config: Config,
        reward_threshold: float | None,
        notify: Notify,
        resumed_at: int | None,
        row_opened_at: int,
    ) -> None:
        """Open the record, at its end where a run goes on: rows behind the checkpoint are cut, they come again.

        Args:
            run_dir: an existing folder.
            config: of the run.
            reward_threshold: of the environment.
            notify: shows a line to the user.
            resumed_at: env steps of the checkpoint that the run goes on from, or None.
            row_opened_at: env steps at which its open row began.
        """
        self.run_dir = run_dir
        description = {
            "config": dataclasses.asdict(config),
            "reward_threshold": reward_threshold,
            "versions": versions(),
            "git_commit": git_commit(),
            "command_line": sys.argv,
            "resumed_at_env_steps": resumed_at,
        }
        if resumed_at is None:
            write_json(run_dir / "config.json", description)
        else:
            keep_rows(run_dir / "metrics.jsonl", row_opened_at)
            (run_dir / "summary.json").unlink(missing_ok=True)  # it told how the run had ended before
        self._file = open(run_dir / "metrics.jsonl", "a", buffering=1)  # noqa: SIM115  open as long as the run
        self.mirror = WandbMirror(run_dir, config, description, notify) if config.wandb != "disabled" else None

    def row(self, row: Row, evaluation: dict[str, float]) -> dict[str, float]:
        """Append one interval, with the evaluation that fell into it, if any; returns it under its keys."""
        keys = row_as_keys(row) | evaluation
        self._file.write(json.dumps(keys) + "\n")
        if self.mirror:
            self.mirror.put(keys)
        return keys

    def close(self, summary: dict[str, Any]) -> None:
        """Write how the run ended, and give W&B a limited time to end too."""
        self._file.close()
        write_json(self.run_dir / "summary.json", summary)
        if self.mirror:
            self.mirror.close(summary)


class WandbMirror:
    """Sends rows to W&B from a thread; the first failure ends the mirror and not the run."""

    def __init__(self, run_dir: Path, config: Config, description: dict[str, Any], notify: Notify) -> None:
        self._run_dir, self._config, self._description, self._notify = run_dir, config, description, notify
        self._queue: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._mirror, name="wandb-mirror", daemon=True)
        self._thread.start()

    def put(self, keys: dict[str, float]) -> None:
        """Hand over a row; never waits."""
        self._queue.put(("row", keys))

    def close(self, summary: dict[str, Any], patient: bool = False) -> None:
        """Hand over the summary and wait for W&B, but not longer than the deadline; it is short after a fault."""
        self._queue.put(("summary", summary))
        waits = {0: INIT_SECONDS + FINISH_SECONDS, 1: FAULT_SECONDS}
        self._thread.join(waits[0] if patient else waits.get(summary["exit_code"], FINISH_SECONDS))
        if self._thread.is_alive():
            _abandoned.append(self)
            self._notify(f"W&B did not end in time and was left behind; the record in {self._run_dir} is complete")

    def _mirror(self) -> None:
        try:
            run = self._init()
            while run is not None:
                kind, payload = self._queue.get()
                if kind == "row":
                    run.log(payload)  # without step=: W&B drops rows whose step is not above the last
                    continue
                run.summary.update(payload)
                run.finish(exit_code=payload["exit_code"])
                return
        except BaseException as error:  # whatever W&B raises, SystemExit included, the run goes on
            _abandoned.append(self)
            self._notify(f"W&B stopped ({in_short(error)}); the run goes on, its record is whole")

    def _init(self) -> Any:
        """Start the W&B run, or return None where W&B is not installed or switched off."""
        try:
            import wandb
        except ImportError:
            self._notify("W&B is not installed: the record is kept in the run folder alone")
            return None
        mode = self._mode(wandb)
        if mode == "disabled":
            return None
        common = self._common(wandb)
        try:
            run = wandb.init(mode=mode, **common)
        except Exception as error:
            if mode == "offline":
                raise
            self._notify(f"W&B cannot go online ({in_short(error)}): this run is logged offline")
            run = wandb.init(mode="offline", **common)
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP)
        if self._description["resumed_at_env_steps"]:
            run.config.update({"resumed_at_env_steps": self._description["resumed_at_env_steps"]})
        return run

    def _common(self, wandb: Any) -> dict[str, Any]:
        config = self._config
        name = f"{config.core}-{config.env.rpartition(':')[2]}"
        wanted = {"silent": True, "console": "off", "init_timeout": INIT_SECONDS, "x_disable_stats": True,
                  "disable_git": True, "x_transaction_log_flush_interval": 1.0}  # fmt: skip
        known = {name: value for name, value in wanted.items() if name in wandb.Settings.model_fields}
        return {
            "project": config.wandb_project,
            "group": config.wandb_group or name,
            "name": f"{name}-s{config.seed}",
            "job_type": "train",
            "tags": [config.core, config.env.rpartition(":")[2], config.mode],
            "config": self._description["config"],
            "dir": str(self._run_dir),
            "settings": wandb.Settings(**known),
        }

    def _mode(self, wandb: Any) -> str:
        """Decide online or offline without ever prompting."""
        wish = os.environ.get("WANDB_MODE", "")
        if wish not in ("online", "offline", "disabled"):
            os.environ.pop("WANDB_MODE", None)  # anything else makes W&B itself refuse to start
        if self._config.wandb != "auto":
            return self._config.wandb
        if wish in ("online", "offline", "disabled"):
            return wish
        if wish:
            self._notify(f"WANDB_MODE={wish!r} is not online, offline or disabled: this run is logged offline")
            return "offline"
        with contextlib.suppress(Exception):
            wandb.setup(settings=wandb.Settings(silent=True))
            if wandb.login(prompt=False, verify=False):  # whether a key is there; that it is right, init finds out
                return "online"
        if not _told:  # once is enough for a study of many runs
            _told.append("offline")
            self._notify("W&B: no API key found, runs are logged offline; `wandb sync` uploads them later")
        return "offline"


def in_short(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


def leave(exit_code: int) -> None:
    """End the process; without Python's farewell where a blocked W&B would keep it from ending."""
    sys.stdout.flush()
    sys.stderr.flush()
    if _abandoned:
        multiprocessing.util._exit_function()  # the part of the farewell that removes semaphores
        os._exit(exit_code)
    sys.exit(exit_code)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(temporary, path)


def keep_rows(path: Path, last_env_steps: int) -> None:
    """Cut a record behind so many env steps, and a torn last line with it."""
    kept = []
    if path.exists():
        for line in path.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError, KeyError, TypeError):
                if json.loads(line)[STEP] <= last_env_steps:
                    kept.append(line + "\n")
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text("".join(kept))
    os.replace(temporary, path)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages a result depends on."""
    found = {"python": platform.python_version(), "machine": platform.platform()}
    for package in ("torch", "gymnasium", "numpy", "einops", "wandb"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def git_commit() -> str | None:
    """The commit of this code, with `+` behind it where files were changed; None outside a checkout."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        git = ["git", "-C", str(Path(__file__).parent)]
        ask = {"capture_output": True, "text": True, "timeout": 5, "check": True}
        commit = subprocess.run([*git, "rev-parse", "HEAD"], **ask).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no"], **ask).stdout.strip()
        return commit + ("+" if changed else "")
    return None
