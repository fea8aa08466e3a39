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

    A reader sees the old file or the new one, never half of either.
    """
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        torch.save({"format": FORMAT, "config": dataclasses.asdict(config), **state}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


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
        raise ValueError(f"{path}: not a readable checkpoint ({type(error).__name__})") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(f"{path}: not a checkpoint of format {FORMAT}")
    try:
        config = Config(**{**state["config"], "env_arg": tuple(state["config"]["env_arg"])})
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{path}: its config is of another version ({error})") from None
    return config, state
