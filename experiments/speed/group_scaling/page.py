"""The page of the group's updates: milliseconds, megabytes, and what a network would take."""

from collections.abc import Callable, Sequence

from experiments.lab.rows import Row
from experiments.speed.group_scaling.group import WAYS
from experiments.speed.group_scaling.medians import KEYS

NETWORK = 125e6  # bytes a second at 1 Gbit/s


def page(table: list[Row], machines: Sequence[str]) -> str:
    """Write the page: the machine, milliseconds and megabytes of an update, and what a network would take."""
    head = (
        f"Measured on {'; '.join(machines)}. Medians of {table[0]['repetitions']} groups of processes on this "
        "machine; more workers than CPUs take turns."
    )
    parts = [head, limit(table), "![Time and bytes of an update](group_scaling.png)"]
    sizes = sorted({row["workers"] for row in table})
    for title, cell in (
        (
            "Milliseconds of an update (smallest to largest)",
            lambda row: f"{1e3 * row['seconds']:.2f} ({1e3 * row['least']:.2f} to {1e3 * row['most']:.2f})",
        ),
        (
            "Of these, milliseconds of worker 0 between exchanges: adding up, clipping, Adam",
            lambda row: f"{1e3 * (row['seconds'] - row['exchange_seconds']):.2f}",
        ),
        (
            "Megabytes of an update that the busiest worker sends or receives, whichever are more",
            lambda row: f"{row['busiest_bytes'] / 1e6:.2f}",
        ),
        (
            "Milliseconds that these take at 1 Gbit/s; at 10 Gbit/s a tenth",
            lambda row: f"{1e3 * row['busiest_bytes'] / NETWORK:.1f}",
        ),
        ("Megabytes of an update that all workers receive", lambda row: f"{row['all_bytes'] / 1e6:.2f}"),
    ):
        parts.append(grid(title, table, sizes, cell))
    return "\n\n".join(parts)


def limit(table: list[Row]) -> str:
    """Write which part becomes the limit first, and which options help then."""
    most = max(row["workers"] for row in table)
    sizes = min(row["parameters"] for row in table), max(row["parameters"] for row in table)
    of = {tuple(row[key] for key in KEYS): row for row in table}
    link = {way: [1e3 * of[way, many, most]["busiest_bytes"] / NETWORK for many in sizes] for way in WAYS}
    ordered = [of["ordered", many, most] for many in sizes]
    alone = [1e3 * (row["seconds"] - row["exchange_seconds"]) for row in ordered]
    first = "the link of worker 0" if link["ordered"][-1] > alone[-1] else "what worker 0 does while the others wait"
    return (
        f"The first limit of {most} workers is {first}. Added up in order, an update of {count(sizes[0])} to "
        f"{count(sizes[1])} parameters takes its link {span(link['ordered'])} each way at 1 Gbit/s, and {span(alone)} "
        "between exchanges (adding up, clipping, Adam). Both grow with workers times parameters: each worker more "
        "sends a gradient there and gets the parameters back. What to turn then: `--reduce all_reduce`, where no link "
        f"carries more than twice the parameters however many workers there are ({span(link['all_reduce'])}) and all "
        "add up together, at the price of equality to rounding; then fewer and larger updates, since bytes are by "
        "update: twice `--segment-length` or `--envs-per-worker` halve those of an env step."
    )


def span(milliseconds: Sequence[float]) -> str:
    """Write the first and the last."""
    return " to ".join(f"{one:.2g}" if one < 10 else f"{one:.0f}" for one in milliseconds) + " ms"


def grid(title: str, table: list[Row], sizes: list[int], cell: Callable[[Row], str]) -> str:
    """Write a table: a row for each way and number of parameters, a column for each number of workers."""
    cells = {tuple(row[key] for key in KEYS): cell(row) for row in table}
    columns = ["", "parameters", *(f"{size} worker{'s' if size > 1 else ''}" for size in sizes)]
    lines = [f"| {' | '.join(columns)} |", f"|---|---:|{'---:|' * len(sizes)}"]
    for way, many in dict.fromkeys((row["reduce"], row["parameters"]) for row in table):
        lines.append(f"| {way} | {count(many)} | {' | '.join(cells[way, many, size] for size in sizes)} |")
    return "\n".join([f"**{title}**", "", *lines])


def count(many: int) -> str:
    """Write a number of parameters: 30k, 3M."""
    return f"{many / 1e6:g}M" if many >= 1e6 else f"{many / 1e3:g}k"
