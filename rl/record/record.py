"""The record of a run, and its mirror in Weights & Biases. The one place that knows the names of logged keys.

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
from rl.record.provenance import git_commit, versions
from rl.record.wandb_mirror import STEP, Notify, WandbMirror
from rl.shared.ledger import Row

ELSEWHERE = {  # what is logged of updates and is no loss
    "learning_rate": "charts/learning_rate",
    "staleness": "worker/staleness",
    "state_age": "replay/state_age",
}


def row_as_keys(row: Row) -> dict[str, float]:
    """A row of the ledger under the keys of CleanRL, so that runs of both overlay in one W&B project.

    Means over the interval, with their counts `charts/episodes` and `losses/updates`; without an episode, or an update,
    in the interval its means are left out.
    """
    keys = {
        STEP: row.env_steps,
        "time/seconds": row.seconds,
        "time/cpu_seconds": row.cpu_seconds,
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


def keep_rows(path: Path, last_env_steps: int) -> None:
    """Cut a record behind so many env steps, and a torn last line with it."""
    kept = []
    if path.exists():
        for line in path.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                if json.loads(line)[STEP] <= last_env_steps:
                    kept.append(line + "\n")
    replace_text(path, "".join(kept))
