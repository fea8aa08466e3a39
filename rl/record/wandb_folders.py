"""W&B's folders of a run: what they hold, and which of them need not be uploaded any more."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl.record.keys import STEP

SECONDS = 120


def folders_of(folder: str, run_id: str) -> list[Path]:
    """W&B's folders of a run in a folder, the oldest first."""
    found = Path(folder, "wandb").glob(f"*run-*-{run_id}*")
    return sorted((one for one in found if not one.is_symlink()), key=lambda one: one.name.removeprefix("offline-"))


def last_step(folders: Sequence[Path]) -> float | None:
    """Env steps of the last row in these folders; -1 without a row, None where W&B's own reader cannot read one.

    A killed process may have left less in them than it has logged.
    """
    last = -1.0
    for folder in folders:
        try:
            rows = (row["history"]["item"] for row in records_of(folder) if row["type"] == "history")
            last = max([last, *(row.get(STEP, -1) for row in rows)])
        except (OSError, ValueError):
            return None
    return last


def records_of(path: Path) -> list[dict[str, Any]]:
    """The records that W&B's own reader, `wandb leet inspect --json`, finds in its private file format.

    It reads offline and without a key, so it can neither ask a question nor reach the network. Its log goes into a
    folder that is removed.

    Raises:
        OSError: it could not be started.
        ValueError: it cannot read them.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)],
                env={**environment, "WANDB_MODE": "offline", "WANDB_DIR": folder, "TMPDIR": folder},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise ValueError(f"{path}: `wandb leet inspect` did not end within {SECONDS} s") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ValueError(f"{path}: `wandb leet inspect` (wandb 0.31 or newer) cannot read it: {reason}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def mark_uploaded(folders: Sequence[Path]) -> None:
    """Keep `wandb sync` from uploading offline folders, whose rows W&B gets in another way, by its own mark."""
    for folder in folders:
        for file in folder.glob("*.wandb"):
            if folder.name.startswith("offline-"):
                with contextlib.suppress(OSError):
                    file.with_suffix(".wandb.synced").touch()
