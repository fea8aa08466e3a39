"""The record of a run, and its mirror in Weights & Biases.

`metrics.jsonl` is the record: one object per log interval, flushed. W&B gets the same rows from a thread of its own
that nothing waits for, so a W&B that fails, blocks or dies changes neither training nor the record.
"""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl.config import Config
from rl.record.files import Lines, read_json, replace_text, strict_json, write_json
from rl.record.keys import STEP
from rl.record.messages import Notify
from rl.record.paths import unusable
from rl.record.provenance import git_commit, versions
from rl.record.wandb_mirror import WandbMirror


class Record:
    """Writes a run's config.json, metrics.jsonl and summary.json, and mirrors them in W&B, which writes to wandb/."""

    def __init__(
        self,
        run_dir: Path,
        config: Config,
        reward_threshold: float | None,
        spaces: dict[str, Any] | None,
        notify: Notify,
        resumed_at: int | None,
        unwritten_from: int,
        changed: Mapping[str, list[Any]] = {},
    ) -> None:
        """Begin the record; of a resumed run, cut the rows behind its checkpoint, which come again.

        Args:
            run_dir: an existing folder.
            config: what config.json describes.
            reward_threshold: what config.json says of the environment.
            spaces: those of the environment itself.
            notify: shows a line to the user.
            resumed_at: env steps of the checkpoint of a resumed run, or None.
            unwritten_from: env steps at which the first row begins that is not in the record.
            changed: options that changed when the run was resumed, [before, after] by name.

        Raises:
            ValueError: the folder cannot be written.
        """
        self.run_dir = run_dir
        description = {
            "config": dataclasses.asdict(config),
            "reward_threshold": reward_threshold,
            "spaces": spaces,
            "versions": versions(),
            "git_commit": git_commit(),
            "command_line": sys.argv,
            "resumed_at_env_steps": resumed_at,
        }
        earlier: list[str] = []
        try:
            write_json(run_dir / "config.json", in_parts(description, run_dir / "config.json", changed))
            if resumed_at is not None:
                earlier = keep_rows(run_dir / "metrics.jsonl", unwritten_from)
                (run_dir / "summary.json").unlink(missing_ok=True)  # it says how the run ended before
            self._lines = Lines(run_dir / "metrics.jsonl")
        except OSError as error:
            raise unusable("--run-dir", run_dir, error) from None
        self._mirror = None
        if config.wandb != "disabled":
            self._mirror = WandbMirror(run_dir, config, description, notify, earlier)

    def append(self, keys: dict[str, float | None]) -> None:
        """Append a row.

        Raises:
            OSError: the disk is full, or worse; nothing was appended.
        """
        self._lines.append(strict_json(keys))
        if self._mirror:
            self._mirror.put(dict(keys))  # a copy: another thread has it

    def close(self, summary: dict[str, Any]) -> None:
        """Write how the run ended, and give W&B a limited time to end too.

        Raises:
            OSError: the disk is full, or worse.
        """
        self._lines.close()
        try:
            write_json(self.run_dir / "summary.json", summary)
        finally:
            if self._mirror:
                self._mirror.close(summary)


def in_parts(description: dict[str, Any], path: Path, changed: Mapping[str, list[Any]]) -> dict[str, Any]:
    """What config.json says: the options of now, how the run began, and each part of it.

    A part begins where a run is resumed: at which env steps, by which command, with which options changed.
    """
    resumed_at, command_line = description["resumed_at_env_steps"], description["command_line"]
    part = {"env_steps": resumed_at or 0, "changed": dict(changed), "command_line": command_line}
    if resumed_at is None:
        return {**description, "parts": [part]}
    began = read_json(path)
    first = {"env_steps": 0, "changed": {}, "command_line": began.get("command_line")}  # of runs that had no parts
    parts = [*began.get("parts", [first]), {**part, "git_commit": description["git_commit"]}]
    now = {name: description[name] for name in ("config", "reward_threshold")}
    return {**description, **began, **now, "parts": parts}


def keep_rows(path: Path, last_env_steps: int) -> list[str]:
    """Cut a record behind so many env steps, and a torn last line with it; returns the lines that are left."""
    kept = []
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                if json.loads(line)[STEP] <= last_env_steps:
                    kept.append(line + "\n")
    replace_text(path, "".join(kept))
    return kept
