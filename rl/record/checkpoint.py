"""Checkpoints: everything a run needs to go on, replaced atomically, read without executing anything."""

import contextlib
import dataclasses
import os
import zipfile
from collections.abc import Iterator
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
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            torch.save({"format": FORMAT, "config": dataclasses.asdict(config), **state}, file)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            keep(path)
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        cause = error.__context__ if isinstance(error, RuntimeError) else error  # torch hides that the disk was full
        if isinstance(cause, OSError):
            raise OSError(cause.errno, cause.strerror, str(path)) from None
        raise


def file_id(path: Path) -> tuple[int, ...]:
    """What tells whether a checkpoint was replaced; () where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def keep(path: Path) -> None:
    """Give a checkpoint that is about to be replaced a second name: there is a checkpoint.pt at every moment."""
    spare = path.with_name(path.name + ".spare")
    spare.unlink(missing_ok=True)
    try:
        with contextlib.suppress(OSError):  # where a file can have one name only, as on some networks, it is not kept
            os.link(path, spare)
            os.replace(spare, previous(path))
    finally:
        spare.unlink(missing_ok=True)


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
        with open(path, "rb") as file:
            with zipfile.ZipFile(file) as archive:  # torch writes checksums and does not compare them
                program = any(name.endswith("constants.pkl") for name in archive.namelist())
                if program or archive.testzip():
                    raise zipfile.BadZipFile
            file.seek(0)
            state = torch.load(file, weights_only=True)
    except FileNotFoundError:
        words = "no checkpoint here; a run writes one at each --checkpoint-interval and at its end"
        raise refused(path, words) from None
    except Exception as error:  # damaged bytes make a reader raise whatever it pleases
        raise refused(path, f"not a readable checkpoint ({type(error).__name__})") from None
    if not isinstance(state, dict) or type(state.get("format")) is not int or state["format"] != FORMAT:
        raise refused(path, f"not a checkpoint of format {FORMAT}")
    with fitting(path, "its config"):
        config = Config(**{**state["config"], "env_arg": tuple(state["config"]["env_arg"])})
    return config, state


@contextlib.contextmanager
def fitting(path: Path, what: str = "its content") -> Iterator[None]:
    """Take something from a checkpoint, which may have been written by another version.

    Raises:
        ValueError: it does not fit, in one line that names the file.
    """
    try:
        yield
    except Exception as error:  # what is not as expected makes its user raise whatever it pleases
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise refused(path, f"{what} is of another version ({words})") from error


def refused(path: Path, words: str) -> ValueError:
    """An error in one line that names a checkpoint, and the one before it where there is one."""
    older = previous(path)
    return ValueError(f"{path}: {words}" + (f"; the one before it is {older}" if older.exists() else ""))
