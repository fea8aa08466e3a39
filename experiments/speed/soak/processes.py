"""What the processes of a run hold, seen from outside."""

import os
from pathlib import Path

from experiments.lab.rows import Row

MIB = 2**20


def held_by(parent: int, seconds: float) -> list[Row]:
    """Look at what each process of a run holds: MiB of private and of shared memory, and file descriptors."""
    rows = []
    for name, pid in members(parent):
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
            maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines()
            maps = [line.split() for line in maps]
            descriptors = len(os.listdir(f"/proc/{pid}/fd"))
            [kilobytes] = [int(line.split()[1]) for line in status if line.startswith("RssAnon:")]
        except (OSError, ValueError):
            continue  # the process has just ended
        shared = [entry[0].split("-") for entry in maps if len(entry) > 5 and entry[5].startswith("/dev/shm/")]
        rows.append(
            {
                "process": name,
                "seconds": round(seconds, 1),
                "memory": kilobytes / 1024,
                "shared memory": sum(int(end, 16) - int(start, 16) for start, end in shared) / MIB,
                "file descriptors": descriptors,
            }
        )
    return rows


def members(parent: int) -> list[tuple[str, int]]:
    """Names and ids of a run's processes, but for the one from which workers are forked and the one that tidies up."""
    found = [("parent", parent)]
    for pid in children(parent):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # the process has just ended
        if "wandb-core" in words:
            found.append(("W&B", pid))
        elif "multiprocessing.forkserver" in words:  # workers are started in the order of their ranks
            found += [(f"worker {rank}", worker) for rank, worker in enumerate(children(pid))]
    return found


def children(parent: int) -> list[int]:
    """Return the ids of a process's children, in the order in which they were started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append((int(fields[19]), int(stat.parent.name)))
    return [pid for _, pid in sorted(found)]
