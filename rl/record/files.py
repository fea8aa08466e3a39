"""Files that are written whole or not at all."""

import contextlib
import json
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


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON file."""
    replace_text(path, json.dumps(content, indent=2) + "\n")


def replace_text(path: Path, text: str) -> None:
    """Write to a temporary name first, then rename: a reader sees the old file or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
