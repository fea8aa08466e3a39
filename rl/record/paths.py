"""Whether a folder can be made and written, found out before anything is started. Nothing is made."""

import errno
import os
from pathlib import Path

LONGEST_NAME, LONGEST_PATH = 255, 4095  # bytes, on every common system


def require_makeable(option: str, path: str | Path) -> None:
    """Check that a folder is there or can be made, and that files can be written in it.

    Raises:
        ValueError: one line that names the option, the path and what is wrong with it.
    """
    try:
        wrong = obstacle(Path(path))
    except (OSError, ValueError) as error:
        wrong = str(error)
    if wrong:
        raise unusable(option, path, wrong)


def unusable(option: str, path: str | Path, wrong: object) -> ValueError:
    """The error of a folder that cannot be made or written."""
    shown = repr(str(path))[1:-1]  # a line break in a name would make two lines of it
    return ValueError(f"{option} {shown}: a folder that can be written is needed ({wrong})")


def obstacle(path: Path) -> str:
    """What keeps a folder from being made or written, in words; empty if nothing does."""
    if "\0" in str(path):
        return "a name has no null byte"
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in path.parts):
        return f"a name has {LONGEST_NAME} bytes at most"
    if len(os.fsencode(path)) > LONGEST_PATH:
        return f"a path has {LONGEST_PATH} bytes at most"
    place = path
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        kind = "a link that leads to no folder" if place.is_symlink() else "no folder"
        return f"{place} is {kind}"
    if os.access(place, os.W_OK | os.X_OK):
        return ""
    number = errno.EROFS if os.statvfs(place).f_flag & os.ST_RDONLY else errno.EACCES
    return str(OSError(number, os.strerror(number), str(place)))
