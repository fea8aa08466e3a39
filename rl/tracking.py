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
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
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
        unwritten_from: int,
    ) -> None:
        """Open the record, at its end where a run goes on: rows behind the checkpoint are cut, they come again.

        Args:
            run_dir: an existing folder.
            config: of the run.
            reward_threshold: of the environment.
            notify: shows a line to the user.
            resumed_at: env steps of the checkpoint that the run goes on from, or None.
            unwritten_from: env steps at which the first row begins that is not in the record.

        Raises:
            ValueError: the folder cannot be written.
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
        try:
            if resumed_at is None:
                write_json(run_dir / "config.json", description)
            else:
                keep_rows(run_dir / "metrics.jsonl", unwritten_from)
                (run_dir / "summary.json").unlink(missing_ok=True)  # it told how the run had ended before
            self._lines = Lines(run_dir / "metrics.jsonl")
        except OSError as error:
            raise ValueError(f"--run-dir {run_dir}: a folder that can be written is needed ({error})") from None
        self.mirror = WandbMirror(run_dir, config, description, notify) if config.wandb != "disabled" else None

    def row(self, row: Row, evaluation: dict[str, float]) -> dict[str, float]:
        """Append one interval, with the evaluation that fell into it, if any; returns it under its keys.

        Raises:
            OSError: the disk is full, or worse; nothing was appended.
        """
        keys = row_as_keys(row) | evaluation
        self._lines.append(json.dumps(keys))
        if self.mirror:
            self.mirror.put(dict(keys))  # its own: another thread has it
        return keys

    def close(self, summary: dict[str, Any]) -> None:
        """Write how the run ended, and give W&B a limited time to end too.

        Raises:
            OSError: the disk is full, or worse.
        """
        self._lines.close()
        try:
            write_json(self.run_dir / "summary.json", summary)
        finally:
            if self.mirror:
                self.mirror.close(summary)


class Lines:
    """A file that grows by whole lines, whatever happens."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, open(path, "ab", buffering=0)  # noqa: SIM115  open as long as the run

    def append(self, line: str) -> None:
        """Add a line, or raise and leave the file as it was."""
        end, left = os.stat(self._path).st_size, line.encode() + b"\n"
        try:
            while left:
                left = left[self._file.write(left) :]  # on a full disk some of it, and then an error
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(end)
            raise OSError(error.errno, error.strerror, str(self._path)) from None

    def close(self) -> None:
        """No more lines."""
        self._file.close()


class WandbMirror:
    """Sends rows to W&B from a thread; the first failure ends the mirror and not the run."""

    def __init__(self, run_dir: Path, config: Config, description: dict[str, Any], notify: Notify) -> None:
        self._run_dir, self._config, self._description, self._notify = run_dir, config, description, notify
        self._queue: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._mirror, name="wandb-mirror", daemon=True)
        self._thread.start()

    def put(self, keys: dict[str, float]) -> None:
        """Hand over a row; never waits, and keeps none for a W&B that has stopped."""
        if self._thread.is_alive():
            self._queue.put(("row", keys))

    def close(self, summary: dict[str, Any], patient: bool = False) -> None:
        """Hand over the summary and wait for W&B, but not longer than the deadline; it is short after a fault.

        With patience it is the longest, and anew as long as W&B takes rows.
        """
        self._queue.put(("summary", summary))
        waits, left = {0: INIT_SECONDS + FINISH_SECONDS, 1: FAULT_SECONDS}, self._queue.qsize()
        seconds = waits[0] if patient else waits.get(summary["exit_code"], FINISH_SECONDS)
        self._thread.join(seconds)
        while patient and self._thread.is_alive() and self._queue.qsize() < left:
            left = self._queue.qsize()
            self._thread.join(seconds)
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
        if resumed_at := self._description.get("resumed_at_env_steps"):
            run.config.update({"resumed_at_env_steps": resumed_at})
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
        multiprocessing.util._exit_function()  # the parts of the farewell that remove semaphores
        weakref.finalize._exitfunc()  # and temporary folders
        end_wandb_service()
        os._exit(exit_code)
    sys.exit(exit_code)


def end_wandb_service() -> None:
    """Kill W&B's own process, a child of this one: it ends with us by itself, unless it hangs or was stopped.

    The folder of its socket is removed too, also that of one that somebody else has killed.
    """
    for stat in Path("/proc").glob("[0-9]*/stat"):  # where there is no /proc it is left to itself
        with contextlib.suppress(OSError, ValueError):
            pid, _, rest = stat.read_text().partition(" (")
            name, _, rest = rest.rpartition(") ")
            if name == "wandb-core" and int(rest.split()[1]) == os.getpid():
                os.kill(int(pid), signal.SIGKILL)
    for folder in Path(tempfile.gettempdir()).glob(f"wandb-{os.getpid()}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    replace_text(path, json.dumps(content, indent=2) + "\n")


def replace_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def keep_rows(path: Path, last_env_steps: int) -> None:
    """Cut a record behind so many env steps, and a torn last line with it."""
    kept = []
    if path.exists():
        for line in path.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                if json.loads(line)[STEP] <= last_env_steps:
                    kept.append(line + "\n")
    replace_text(path, "".join(kept))


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
