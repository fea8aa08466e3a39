"""The record of a run, and its mirror in Weights & Biases.

`metrics.jsonl` is the record: one object per log interval, flushed. W&B gets the same rows from a thread of its own
that nothing waits for, so a W&B that fails, blocks or dies changes neither training nor the record.
"""

import contextlib
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from rl.config import Config
from rl.record.files import Lines, replace_text, write_json
from rl.record.keys import STEP
from rl.record.messages import Notify
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
    ) -> None:
        """Begin the record; of a resumed run, cut the rows behind its checkpoint, which come again.

        Args:
            run_dir: an existing folder.
            config: what config.json describes.
            reward_threshold: what config.json says of the environment.
            spaces: the same, those of the environment itself.
            notify: shows a line to the user.
            resumed_at: env steps of the checkpoint of a resumed run, or None.
            unwritten_from: env steps at which the first row begins that is not in the record.

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
            if resumed_at is None:
                write_json(run_dir / "config.json", description)
            else:
                earlier = keep_rows(run_dir / "metrics.jsonl", unwritten_from)
                (run_dir / "summary.json").unlink(missing_ok=True)  # it says how the run ended before
            self._lines = Lines(run_dir / "metrics.jsonl")
        except OSError as error:
            raise ValueError(f"--run-dir {run_dir}: a folder that can be written is needed ({error})") from None
        self._mirror = None
        if config.wandb != "disabled":
            self._mirror = WandbMirror(run_dir, config, description, notify, earlier)

    def append(self, keys: dict[str, float]) -> None:
        """Append a row.

        Raises:
            OSError: the disk is full, or worse; nothing was appended.
        """
        self._lines.append(json.dumps(keys))
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


def keep_rows(path: Path, last_env_steps: int) -> list[str]:
    """Cut a record behind so many env steps, and a torn last line with it; returns the lines that are left."""
    kept = []
    if path.exists():
        for line in path.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                if json.loads(line)[STEP] <= last_env_steps:
                    kept.append(line + "\n")
    replace_text(path, "".join(kept))
    return kept
