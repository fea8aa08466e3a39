"""Where a run found the modules of a user's own, so that whoever has the run's folder finds them again."""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rl.config import Config
from rl.names import is_file
from rl.record.checkpoint import fitting


def own_folders(config: Config, run_dir: Path) -> list[list[str]]:
    """The folders from which this process imported what a config names as `module:...` or `path/file.py:...`.

    Returns:
        Each as an absolute path, and as one from the run's folder: a project may be moved as a whole.
    """
    found = {}
    for name in (config.core, config.torso, config.env):
        if folder := own_folder(name.rpartition(":")[0]):
            found[folder] = [folder, os.path.relpath(folder, Path(run_dir).resolve())]
    return list(found.values())


def own_folder(module: str) -> str:
    """The folder of a module that was imported, or of a file; "" where there is none."""
    if is_file(module):
        return str(Path(module).resolve().parent)
    imported = sys.modules.get(module.partition(".")[0])
    place = next(iter(getattr(imported, "__path__", ())), None) or getattr(imported, "__file__", None)
    return str(Path(place).resolve().parent) if place else ""


def add_folders(state: dict[str, Any], run_dir: Path) -> None:
    """Look for modules in the folders that a checkpoint names, too; behind all other places.

    Args:
        state: the content of a checkpoint; an older version wrote no folders.
        run_dir: the run's folder.
    """
    for folder in folders_now(state, run_dir):
        if folder not in sys.path:
            sys.path.append(folder)


def folders_now(state: dict[str, Any], run_dir: Path) -> list[str]:
    """The folders that a checkpoint names, where they were and where they are if the project has moved."""
    folders = []
    for absolute, relative in state.get("folders", []):
        folders += [absolute, str((Path(run_dir).resolve() / relative).resolve())]
    return [folder for folder in folders if os.path.isdir(folder)]


def with_files(config: Config, state: dict[str, Any], run_dir: Path) -> Config:
    """The config of a checkpoint; a file that it names and that is gone is looked for in the checkpoint's folders."""
    moved = {}
    for field in ("core", "torso", "env"):
        file, _, rest = getattr(config, field).rpartition(":")
        if is_file(file) and not os.path.isfile(file):
            for folder in folders_now(state, run_dir):
                place = os.path.join(folder, os.path.basename(file))
                if os.path.isfile(place):
                    moved[field] = f"{place}:{rest}"
    return replace(config, **moved) if moved else config


@contextlib.contextmanager
def found_again(config: Config, state: dict[str, Any], path: Path) -> Iterator[Config]:
    """Within it, modules are looked for as after `add_folders`; at the end, where they were looked for before.

    Args:
        config: the config that a checkpoint holds.
        state: the content of that checkpoint.
        path: where it lies.

    Yields:
        The config, `with_files`.

    Raises:
        ValueError: what it says of folders is of another version; one line.
    """
    before = list(sys.path)
    try:
        with fitting(path):
            add_folders(state, path.parent)
            config = with_files(config, state, path.parent)
        yield config
    finally:
        sys.path[:] = before
