"""Median and range of repeated measurements."""

from statistics import median
from typing import Any


def spread(values: list[float | None]) -> dict[str, Any] | None:
    """Return median, smallest, largest and all of the known values; None if no value is known."""
    known = [value for value in values if value is not None]
    return {"median": median(known), "min": min(known), "max": max(known), "values": known} if known else None
