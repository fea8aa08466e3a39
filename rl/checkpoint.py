"""Checkpoints: everything a run needs to go on, replaced atomically, read without executing anything."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import torch

from rl.config import Config

FORMAT = 1


def save_checkpoint(path: Path, config: Config, state: dict[str, Any]) -> None:
    """Write tensors and plain Python to `path`: to a temporary name first, synced, then renamed.

    A reader sees the old file or the new one, never half of either; the old one stays as checkpoint.previous.pt.

    Raises:
        OSError: the disk is full, or worse; the files that were there are as they were.
    """
    temporary, older = path.with_name(path.name + ".tmp"), previous(path)
    try:
        with open(temporary, "wb") as file:
            torch.save({"format": FORMAT, "config": dataclasses.asdict(config), **state}, file)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            spare = older.with_name(older.name + ".tmp")
            spare.unlink(missing_ok=True)
            os.link(path, spare)  # a second name: there is a checkpoint.pt at every moment
            os.replace(spare, older)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def previous(path: Path) -> Path:
    """Where the checkpoint before this one is."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def load_checkpoint(path: Path) -> tuple[Config, dict[str, Any]]:
    """Read what `save_checkpoint` wrote.

    Returns:
        The config of the run and its state.

    Raises:
        ValueError: missing, damaged, or of another format, in one line that names the file.
    """
    try:
        state = torch.load(path, weights_only=True)
    except FileNotFoundError:
        words = "no checkpoint here; a run writes one at each --checkpoint-interval and at its end"
        raise ValueError(f"{path}: {words}") from None
    except Exception as error:  # damaged bytes make the unpickler raise whatever they please
        words = f"; the one before it is {previous(path)}" if previous(path).exists() else ""
        raise ValueError(f"{path}: not a readable checkpoint ({type(error).__name__}){words}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(f"{path}: not a checkpoint of format {FORMAT}")
    try:
        config = Config(**{**state["config"], "env_arg": tuple(state["config"]["env_arg"])})
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{path}: its config is of another version ({error})") from None
    return config, state
