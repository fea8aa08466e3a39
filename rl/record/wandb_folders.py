"""W&B's folders of a run: what they hold, and which of them need not be uploaded any more."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

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
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    for folder in folders:
        with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
            read = subprocess.run(
                [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)],
                env={**environment, "WANDB_MODE": "offline"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
                check=True,
            )
            rows = (json.loads(line) for line in read.stdout.splitlines() if b'"history"' in line)
            last = max([last, *(row["history"]["item"].get(STEP, -1) for row in rows if row["type"] == "history")])
            continue
        return None
    return last


def mark_uploaded(folders: Sequence[Path]) -> None:
    """Keep `wandb sync` from uploading offline folders, whose rows W&B gets in another way, by its own mark."""
    for folder in folders:
        for file in folder.glob("*.wandb"):
            if folder.name.startswith("offline-"):
                with contextlib.suppress(OSError):
                    file.with_suffix(".wandb.synced").touch()
