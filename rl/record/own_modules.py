"""Where a run found the modules of a user's own, so that whoever has the run's folder finds them again."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rl.config import Config
from rl.record.checkpoint import fitting


def own_folders(config: Config, run_dir: Path) -> list[list[str]]:
    """The folders from which this process imported what a config names as `module:...`.

    Returns:
        Each as an absolute path, and as one from the run's folder: a project may be moved as a whole.
    """
    found = {}
    for name in (config.core, config.torso, config.env):
        module = sys.modules.get(name.partition(":")[0].partition(".")[0]) if ":" in name else None
        if module and (place := next(iter(getattr(module, "__path__", ())), None) or getattr(module, "__file__", None)):
            folder = str(Path(place).resolve().parent)
            found[folder] = [folder, os.path.relpath(folder, Path(run_dir).resolve())]
    return list(found.values())


def add_folders(state: dict[str, Any], run_dir: Path) -> list[str]:
    """Look for modules in the folders that a checkpoint names, too; behind all other places.

    Args:
        state: of the checkpoint; an older version wrote no folders.
        run_dir: the run's folder.

    Returns:
        The places that are new.
    """
    added = []
    for absolute, relative in state.get("folders", []):
        for folder in (absolute, str((Path(run_dir).resolve() / relative).resolve())):
            if os.path.isdir(folder) and folder not in sys.path:
                sys.path.append(folder)
                added.append(folder)
    return added


@contextlib.contextmanager
def found_again(state: dict[str, Any], path: Path) -> Iterator[None]:
    """Within it, modules are looked for as after `add_folders`; the end restores the caller's places.

    Args:
        state: of a checkpoint.
        path: where it lies.

    Raises:
        ValueError: what it says of folders is of another version; one line.
    """
    with fitting(path):
        added = add_folders(state, path.parent)
    try:
        yield
    finally:
        for folder in added:
            sys.path.remove(folder)
