"""Judges whether memory, shared memory and file descriptors grew, and whether speed fell."""

from statistics import median

from experiments.lab.rows import Row

GROWTH = 16.0  # MiB of memory that a process may gain in an hour
SLOWER = 0.9  # this share of the first speed still counts as steady
PARTS = 5  # of the time: everything fills up in the first, and the second is compared with the last


def judged(samples: list[Row], rows: list[Row]) -> list[list[str]]:
    """Return lines of a name, its medians in the second and in the last part of the time, their difference, a verdict.

    Args:
        samples: rows of `held_by`.
        rows: rows of the record.
    """
    lines = []
    for process in dict.fromkeys(row["process"] for row in samples):
        early, late = second_and_last([row for row in samples if row["process"] == process], "seconds")
        hours = (middle(late, "seconds") - middle(early, "seconds")) / 3600
        for thing in ("memory", "shared memory", "file descriptors"):
            before, after = middle(early, thing), middle(late, thing)
            if thing == "memory":
                growth = (after - before) / hours
                cells = [f"{before:.1f} MiB", f"{after:.1f} MiB", f"{growth:+.1f} MiB an hour"]
                flat = growth <= GROWTH
            else:
                unit = " MiB" if thing == "shared memory" else ""
                cells = [f"{before:g}{unit}", f"{after:g}{unit}", f"{after - before:+g}{unit}"]
                flat = after == before
            lines.append([f"{thing} of {process}", *cells, "flat" if flat else "grew" if after > before else "changed"])
    before, after = (middle(part, "charts/SPS") for part in second_and_last(rows, "time/seconds"))
    verdict = "steady" if after >= SLOWER * before else "slower"
    cells = [f"{before:,.0f}", f"{after:,.0f}", f"{100 * (after / before - 1):+.1f} %"]
    return [*lines, ["env steps a second", *cells, verdict]]


def second_and_last(rows: list[Row], time: str) -> list[list[Row]]:
    """Select the rows of the second part of the time, and those of the last.

    Raises:
        ValueError: a part has no rows.
    """
    last = max((row[time] for row in rows), default=0.0)
    parts = [
        [row for row in rows if low * last <= PARTS * row[time] <= high * last]
        for low, high in ((1, 2), (PARTS - 1, PARTS))
    ]
    if last == 0 or not all(parts):
        raise ValueError("too short to judge: more --minutes, or less --every, is needed")
    return parts


def middle(rows: list[Row], key: str) -> float:
    """Return the median of a column."""
    return median(row[key] for row in rows)
