"""Rows of results in CSV files, which a kill at any byte leaves readable."""

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

Row = dict[str, Any]  # a line of a CSV file by column: text where it was read, else what is written
Key = tuple  # tells the runs of a file apart


def read_csv(file: Path) -> list[Row]:
    """The rows of a CSV file, none where the file is missing. A last line that a kill cut off is dropped."""
    if not file.exists():
        return []
    whole = file.read_text(encoding="utf-8").rpartition("\n")[0]
    return list(csv.DictReader(whole.splitlines()))


def write_csv(file: Path, rows: list[Row]) -> None:
    """Replace a file's rows, all or none of them: a kill leaves the file as it was. Without rows there is no file."""
    if not rows:
        file.unlink(missing_ok=True)
        return
    temporary = file.with_name(file.name + ".tmp")
    with open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, file)


def append_csv(file: Path, rows: list[Row]) -> None:
    """Add rows to a file; the first rows bring the header.

    Raises:
        ValueError: the file's rows have other columns.
    """
    if not rows:
        return
    before = read_csv(file)
    if before and list(before[0]) != list(rows[0]):
        raise ValueError(
            f"{file}: it has the columns {', '.join(before[0])}, and {', '.join(rows[0])} are needed; "
            "name another --out"
        )
    write_csv(file, before)  # without a line that was cut off
    opens = not file.exists()
    with open(file, "a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
        if opens:
            writer.writeheader()
        writer.writerows(rows)


class FinishedRuns(NamedTuple):
    """The file in which a finished run has its rows: a run that is in it is not trained again."""

    file: Path
    key_of: Callable[[Row], Key]  # which run a row belongs to; a KeyError, TypeError or ValueError where it is no row
    columns: str  # those that the key and the check of a row need, in words
    rows_each: int = 1  # of a run; a run with fewer was cut off by a kill

    def read(self) -> dict[Key, list[Row]]:
        """The rows of each finished run.

        Raises:
            ValueError: the file holds something else.
        """
        runs: dict[Key, list[Row]] = {}
        try:
            for row in read_csv(self.file):
                if not row["digest"]:
                    raise ValueError(row)
                runs.setdefault(self.key_of(row), []).append(row)
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{self.file}: rows of runs are needed, with {self.columns}; name another --out") from None
        return {key: rows for key, rows in runs.items() if len(rows) >= self.rows_each}


def runs_by_arm(file: Path) -> FinishedRuns:
    """The file of a study, whose runs are told apart by arm and seed."""
    return FinishedRuns(file, lambda row: (row["arm"], int(row["seed"])), "arm, seed (a number) and digest")


def rows_of(file: Path) -> dict[tuple[str, int], Row]:
    """The row of each finished run of a study, by arm and seed.

    Raises:
        ValueError: the file holds something else.
    """
    return {key: rows[-1] for key, rows in runs_by_arm(file).read().items()}
