"""Files that are written whole or not at all, as UTF-8 whatever the locale says."""

import contextlib
import json
import math
import os
from pathlib import Path
from typing import Any


class Lines:
    """A file that grows by whole lines."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, open(path, "ab", buffering=0)  # noqa: SIM115  open as long as the run

    def append(self, line: str) -> None:
        """Add a line.

        Raises:
            OSError: the disk is full, or worse; the file is as it was.
        """
        end, left = os.stat(self._path).st_size, line.encode() + b"\n"
        try:
            while left:
                left = left[self._file.write(left) :]  # on a full disk some of it, and then an error
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(end)
            raise OSError(error.errno, error.strerror, str(self._path)) from None

    def close(self) -> None:
        self._file.close()


def strict_json(content: Any, indent: int | None = None) -> str:
    """JSON that every reader takes: null stands for nan and infinity, for which JSON has no word."""
    return json.dumps(without_nan(content), indent=indent, allow_nan=False)


def without_nan(content: Any) -> Any:
    """The content with None in the place of what is no finite number."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_nan(value) for value in content]
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON file."""
    replace_text(path, strict_json(content, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; {} if there is none."""
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
    return {}


def replace_text(path: Path, text: str) -> None:
    """Write to a temporary name first, then rename: a reader sees the old file or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
