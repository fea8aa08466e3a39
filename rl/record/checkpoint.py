"""Checkpoints: everything that a resumed run needs, replaced atomically, read without executing anything."""

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


def save_checkpoint(path: Path, config: Config, state: dict[str, Any], keeps_previous: bool = True) -> None:
    """Write tensors and plain Python to a temporary name, sync it, then rename it to `path`.

    A reader sees the old file or the new one. The old one stays as checkpoint.previous.pt, if that is wanted.

    Raises:
        OSError: the disk is full, or worse; the files that were there are as they were.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            torch.save({**state, "format": FORMAT, "config": dataclasses.asdict(config)}, file)
            file.flush()
            os.fsync(file.fileno())
        if keeps_previous and path.exists():
            keep(path)
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        cause = error.__context__ if isinstance(error, RuntimeError) else error  # torch hides that the disk was full
        if isinstance(cause, OSError):
            raise OSError(cause.errno, cause.strerror, str(path)) from None
        raise


def file_id(path: Path) -> tuple[int, ...]:
    """A value that changes when a checkpoint is replaced; () if there is no checkpoint."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # a name with a null byte is no name
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def keep(path: Path) -> None:
    """Give a checkpoint a second name before it is replaced, so that there is a checkpoint.pt at every moment."""
    spare = path.with_name(path.name + ".spare")
    spare.unlink(missing_ok=True)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no links
            os.link(path, spare)
            os.replace(spare, previous(path))
    finally:
        spare.unlink(missing_ok=True)


def best(path: Path) -> Path:
    """The path of the checkpoint of the best evaluation, beside this one."""
    return path.with_name(f"{path.stem}.best{path.suffix}")


def previous(path: Path) -> Path:
    """The path of the checkpoint before this one."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def load_checkpoint(path: Path) -> tuple[Config, dict[str, Any]]:
    """Read what `save_checkpoint` wrote.

    Returns:
        The config of the run and its state.

    Raises:
        ValueError: the file is missing, damaged, or of another format; the message is one line that names it.
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
    except Exception as error:  # a reader may raise anything on damaged bytes
        raise refused(path, f"not a readable checkpoint ({type(error).__name__})") from None
    if not isinstance(state, dict) or type(state.get("format")) is not int or state["format"] != FORMAT:
        raise refused(path, f"not a checkpoint of format {FORMAT}")
    with fitting(path, "its config"):
        config = Config(**{**state["config"], "env_arg": tuple(state["config"]["env_arg"])})
    return config, state


@contextlib.contextmanager
def fitting(path: Path, what: str = "its content") -> Iterator[None]:
    """Guard code that takes something from a checkpoint, which another version may have written.

    Raises:
        ValueError: the content does not fit; the message is one line that names the file.
    """
    try:
        yield
    except Exception as error:  # code may raise anything on unexpected content
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise refused(path, f"{what} is of another version ({words})") from error


def refused(path: Path, words: str) -> ValueError:
    """An error in one line that names a checkpoint, and the one before it if it exists."""
    older = previous(path)
    return ValueError(f"{path}: {words}" + (f"; the one before it is {older}" if os.path.exists(older) else ""))
