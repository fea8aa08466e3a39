"""The machine that a measurement was taken on."""

import contextlib
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rl.shared.processes import available_cpus


def describe() -> dict[str, Any]:
    """Describe processor, memory, system, versions, date and git commit; None is what the system does not tell."""
    from rl.record.provenance import git_commit, versions

    return {
        "processor": processor_model(),
        "cpus": available_cpus(),
        "memory_bytes": memory_bytes(),
        "system": f"{platform.system()} {platform.release()}",
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,  # mean of the last minute
        "versions": versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(),
    }


def processor_model() -> str:
    """Return the processor's name, as far as the system tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def memory_bytes() -> int | None:
    """Return the bytes of RAM; None if the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
