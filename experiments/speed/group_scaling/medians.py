"""Medians over repetitions: one row for each way, number of parameters and number of workers."""

from collections.abc import Mapping, Sequence
from statistics import median

from experiments.lab.rows import Row

KEYS = ("reduce", "parameters", "workers")


def medians(rows: Sequence[Mapping[str, str]]) -> list[Row]:
    """Return the rows of medians, with the least and the most seconds."""
    groups: dict[tuple[str, int, int], list[Mapping[str, str]]] = {}
    for row in rows:
        groups.setdefault((row["reduce"], int(row["parameters"]), int(row["workers"])), []).append(row)
    names = ("seconds", "exchange_seconds", "busiest_bytes", "all_bytes")
    return [
        dict(zip(KEYS, key, strict=True))
        | {"repetitions": len(found)}
        | {name: median(float(row[name]) for row in found) for name in names}
        | {"least": min(float(row["seconds"]) for row in found), "most": max(float(row["seconds"]) for row in found)}
        for key, found in groups.items()
    ]
