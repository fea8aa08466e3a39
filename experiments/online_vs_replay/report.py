"""Draws and writes the report from the rows."""

from pathlib import Path


def write_report(out: Path) -> None:
    """Write report.md, report.html and figures."""
