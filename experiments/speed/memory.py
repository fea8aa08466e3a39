"""The memory that a process holds."""

import os
from pathlib import Path


def resident_bytes(pid: int | str = "self") -> int | None:
    """Return the bytes of RAM that a process holds, shared pages included; None on a system without /proc."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8", errors="replace").split()[1]) * os.sysconf(
            "SC_PAGE_SIZE"
        )
    except (OSError, IndexError):
        return None
