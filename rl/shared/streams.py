"""stdout and stderr that outlast their reader."""

import contextlib
import errno
import io
import os
import select
import sys

GONE = {errno.EPIPE, errno.EIO, errno.EBADF}  # the reader of a pipe, the terminal, or the descriptor itself


class Lasting(io.RawIOBase):
    """A descriptor to write to; what nobody can read any more is dropped, and is no error."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, content: "memoryview | bytes") -> int:
        """Write, and wait where a descriptor that does not block is full.

        Raises:
            OSError: the disk is full, for one.
        """
        while True:
            try:
                return os.write(self._descriptor, content)
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except OSError as error:
                if error.errno not in GONE:
                    raise
                return len(content)


def lasting_streams() -> None:
    """Let what this process prints fail neither when its reader goes away nor where the locale lacks a character.

    Streams that somebody has put in the place of Python's own stay as they are.
    """
    for descriptor in range(3):  # else the next file that is opened would be taken for a stream
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__"):
            continue
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        encoding = "utf-8" if stream is None else stream.encoding
        raw = Lasting(descriptor)
        in_lines = name == "stderr" or raw.isatty()
        lasting = io.TextIOWrapper(io.BufferedWriter(raw), encoding, "replace", line_buffering=in_lines)
        setattr(sys, name, lasting)
