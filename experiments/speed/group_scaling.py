"""What an update costs a group of workers: bytes and time.

Question: how do bytes and time of an update over gloo grow with workers and parameters, in order and all together?
Command:  python -m experiments.speed.group_scaling
Time:     10 minutes on 2 cores that do nothing else; what an interrupted command has measured is not measured again.
Output:   group_scaling.csv, group_scaling.md and group_scaling.png in --out.

The workers are processes of this machine that talk over its loopback device and do nothing but what an update needs of
the others: they sum three numbers for the advantages, push a gradient of so many parameters, and pull. Seconds are
those of worker 0: in exchanges, and between them (adding up, clipping, Adam). Bytes are what the kernel counted on each
process's TCP connections. More workers than cores take turns, as they would not on hosts of their own.
"""

import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from experiments.lab.learning_study import append_csv, publish, read_csv
from experiments.lab.study import held

WAYS = ("ordered", "all_reduce")
ENV_STEPS = 1024  # of a worker's update, with the defaults
WARM_UP = 3  # updates that are not timed
FEWEST, MOST, VALUES = 10, 300, 10**8  # timed updates: so that all workers' gradients have some 10^8 values
LIMIT = 120.0  # seconds of an exchange
TCP_INFO = struct.Struct("=120xQQ")  # tcpi_bytes_acked, tcpi_bytes_received of linux/tcp.h
KEYS = ("reduce", "parameters", "workers")
NETWORK = 125e6  # bytes a second, of 1 Gbit/s
Row = dict[str, Any]


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    workers: str = "1,2,3,4,6,8"
    """How many workers, separated by commas."""
    parameters: str = "30000,100000,300000,1000000,3000000"
    """How many parameters, separated by commas; the default network has 34,179."""
    repetitions: int = 5
    """Groups of each size, started in turn; the medians are reported."""
    out: Path = Path("runs/group_scaling")
    """Folder of rows, table and figure."""


def main() -> None:
    """Parse the command line, measure, tabulate, draw."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: group_scaling(parse(Command, __doc__)))


def group_scaling(command: Command) -> None:
    """Measure, then write rows, table and figure.

    Raises:
        ValueError: an option cannot work.
    """
    from experiments.lab.command_line import counts

    workers, parameters = counts("--workers", command.workers), counts("--parameters", command.parameters)
    if command.repetitions < 1:
        raise ValueError(f"--repetitions {command.repetitions}: a whole number of at least 1 is needed")
    with held(command.out):
        measure_missing(command.out / "group_scaling.csv", workers, parameters, command.repetitions)
        rows = [
            row
            for row in read_csv(command.out / "group_scaling.csv")
            if int(row["repetition"]) <= command.repetitions
            and int(row["workers"]) in workers
            and int(row["parameters"]) in parameters
        ]
        table, machines = medians(rows), list(dict.fromkeys(row["machine"] for row in rows))
        draw(table, command.out / "group_scaling.png")
        publish(command.out, "group_scaling", page(table, machines))


def measure_missing(file: Path, workers: Sequence[int], parameters: Sequence[int], repetitions: int) -> None:
    """Add the rows that a file does not hold yet, a group's as soon as it has ended."""
    found = {tuple(int(row[key]) for key in ("repetition", "workers", "parameters")) for row in read_csv(file)}
    for repetition in range(1, repetitions + 1):  # A B C A B C: what else the machine does meets all alike
        for size in workers:
            missing = [many for many in parameters if (repetition, size, many) not in found]
            if not missing:
                continue
            measured = measure_group(size, missing)
            append_csv(file, [{"repetition": repetition} | row | {"machine": this_machine()} for row in measured])
            short = [f"{row['reduce']} {count(row['parameters'])} {1e3 * row['seconds']:.2f} ms" for row in measured]
            print(f"repetition {repetition}, {size} workers: {', '.join(short)}", flush=True)


# --- measuring


def measure_group(size: int, parameters: Sequence[int]) -> list[Row]:
    """Start a group and time its updates, of each number of parameters in each way.

    Raises:
        RuntimeError: a worker failed.
    """
    from rl.running.supervisor import ONE_THREAD
    from rl.shared.processes import SPAWN

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.update(ONE_THREAD)
    ours, theirs = SPAWN.Pipe(duplex=False)
    crew = [
        SPAWN.Process(target=work, args=(rank, size, port, parameters, theirs), daemon=True) for rank in range(size)
    ]
    for process in crew:
        process.start()
    theirs.close()
    try:
        rows = ours.recv()
        for process in crew:
            process.join(LIMIT)
        return rows
    except EOFError:
        raise RuntimeError(f"a worker of {size} failed") from None
    finally:
        for process in crew:
            process.kill()
            process.join()


def work(rank: int, size: int, port: int, parameters: Sequence[int], channel: Any) -> None:
    """The life of a worker; worker 0 sends the rows of all."""
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(size), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo"
    )
    import torch

    from rl.config import Config
    from rl.group.exchange import Group
    from rl.group.learner import GroupLearner
    from rl.running.worker import end_with_parent
    from rl.shared.learner_memory import LearnerMemory
    from rl.shared.ledger import Ledger

    class TimedGroup(Group):
        """Adds up the seconds of its exchanges."""

        seconds = 0.0

        def exchange(self, action: Callable[[], Any], peer: int | None = None) -> Any:
            start = time.perf_counter()
            try:
                return super().exchange(action, peer)
            finally:
                self.seconds += time.perf_counter() - start

    end_with_parent(lambda: None)
    torch.set_num_threads(1)
    group, rows = TimedGroup(), []
    group.begin(LIMIT)
    for many in parameters:
        for way in WAYS:
            config = Config(
                mode="sync",
                workers=size,
                reduce=way,
                total_env_steps=2**50,
                log_interval=2**50,
                checkpoint_interval=2**50,
            )
            learner = GroupLearner(group, config, LearnerMemory(config, many), Ledger(config, None), rank)
            learner.publish()
            updates = min(MOST, max(FEWEST, VALUES // (many * size)))
            of_each = group.gather_bytes(json.dumps(time_updates(learner, many, updates)).encode())
            rows.append(
                {"reduce": way, "parameters": many, "workers": size, "updates": updates}
                | combined([json.loads(one) for one in of_each])
            )
            del learner
    if rank == 0:
        channel.send(rows)
    group.gather_bytes(b"")  # nobody leaves before


def time_updates(learner: Any, parameters: int, updates: int) -> dict[str, float]:
    """What one worker sees of an update: seconds, those of them in exchanges, bytes sent and received."""
    import torch

    from rl.algorithms import LOSSES

    gradient, own = torch.randn(parameters) / parameters, torch.empty(parameters)
    losses, group = dict.fromkeys(LOSSES["a2c"], 0.0), learner.group

    def update() -> None:
        learner.sum_over_workers(torch.zeros(3, dtype=torch.float64))
        learner.push(gradient, ENV_STEPS, losses, [])
        own.copy_(learner.parameters)

    for _ in range(WARM_UP):
        update()
    group.gather_bytes(b"")
    before, group.seconds, start = traffic(), 0.0, time.perf_counter()
    for _ in range(updates):
        update()
    seconds, exchanging, after = time.perf_counter() - start, group.seconds, traffic()
    sent, received = (b - a for a, b in zip(before, after, strict=True))
    return {
        "seconds": seconds / updates,
        "exchange_seconds": exchanging / updates,
        "sent": sent / updates,
        "received": received / updates,
    }


def traffic() -> tuple[int, int]:
    """Bytes that this process has sent and received over its TCP connections."""
    sent = received = 0
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # of another protocol, or gone meanwhile
            if not os.readlink(file).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(file.name))) as one:
                out, into = TCP_INFO.unpack(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size))
            sent, received = sent + out, received + into
    return sent, received


def combined(of_each: list[dict[str, float]]) -> Row:
    """Worker 0's seconds; bytes that the busiest worker sent or received, whichever are more, and those of all.

    Nothing but in worker 0.
    """
    if not of_each:
        return {}
    busiest = max(max(one["sent"], one["received"]) for one in of_each)
    return {
        "seconds": of_each[0]["seconds"],
        "exchange_seconds": of_each[0]["exchange_seconds"],
        "busiest_bytes": busiest,
        "all_bytes": sum(one["received"] for one in of_each),
    }


# --- telling


def medians(rows: Sequence[Mapping[str, str]]) -> list[Row]:
    """One row for each way, number of parameters and number of workers: medians over repetitions."""
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


def this_machine() -> str:
    """Date, processor, torch and commit of a measurement."""
    from experiments.speed.machine import describe

    machine = describe()
    commit = (machine["git_commit"] or "unknown")[:7]
    return (
        f"{machine['date'][:10]}: {machine['processor']}, {machine['cores']} cores, torch "
        f"{machine['versions']['torch']}, commit {commit}"
    )


def page(table: list[Row], machines: Sequence[str]) -> str:
    """The Markdown page: the machine, milliseconds and megabytes of an update, and what a network would take."""
    head = (
        f"Measured on {'; '.join(machines)}. Medians of {table[0]['repetitions']} groups of processes on this "
        "machine; more workers than cores take turns."
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
    """The paragraph that says which part becomes the limit first, and what to turn then."""
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
    """The first and the last."""
    return " to ".join(f"{one:.2g}" if one < 10 else f"{one:.0f}" for one in milliseconds) + " ms"


def grid(title: str, table: list[Row], sizes: list[int], cell: Callable[[Row], str]) -> str:
    """A Markdown table: a row for each way and number of parameters, a column for each number of workers."""
    cells = {tuple(row[key] for key in KEYS): cell(row) for row in table}
    columns = ["", "parameters", *(f"{size} worker{'s' if size > 1 else ''}" for size in sizes)]
    lines = [f"| {' | '.join(columns)} |", f"|---|---:|{'---:|' * len(sizes)}"]
    for way, many in dict.fromkeys((row["reduce"], row["parameters"]) for row in table):
        lines.append(f"| {way} | {count(many)} | {' | '.join(cells[way, many, size] for size in sizes)} |")
    return "\n".join([f"**{title}**", "", *lines])


def count(many: int) -> str:
    """30k, 3M."""
    return f"{many / 1e6:g}M" if many >= 1e6 else f"{many / 1e3:g}k"


def draw(table: list[Row], file: Path) -> None:
    """Draws milliseconds and megabytes of an update over workers, a line for each number of parameters, as a PNG."""
    import matplotlib
    import numpy as np

    from experiments.lab.figures import STYLE, write_png

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D

    many = sorted({row["parameters"] for row in table})
    shades = plt.get_cmap("viridis_r")
    colours = {one: shades(0.15 + 0.8 * place / max(1, len(many) - 1)) for place, one in enumerate(many)}
    dashes = dict(zip(WAYS, ("-", (0, (4, 1.5))), strict=True))
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
        for panel, key, scale, fewest, title, label in (
            (panels[0], "seconds", 1e3, 1, "On one machine, where workers take turns", "milliseconds of an update"),
            (
                panels[1],
                "busiest_bytes",
                1e-6,
                2,
                "What the busiest link carries between hosts",
                "megabytes of an update, each way",
            ),  # one worker sends nothing
        ):
            for way in WAYS:
                for one in many:
                    of_one = [row for row in table if (row["reduce"], row["parameters"]) == (way, one)]
                    line = sorted((row["workers"], scale * row[key]) for row in of_one if row["workers"] >= fewest)
                    panel.plot(*np.array(line).reshape(-1, 2).T, color=colours[one], linestyle=dashes[way], marker=".")
            panel.set_yscale("log")
            panel.yaxis.set_major_formatter("{x:g}")
            panel.set_title(title)
            panel.set_xticks(sorted({row["workers"] for row in table if row["workers"] >= fewest}))
            panel.set_xlabel("workers")
            panel.set_ylabel(label)
            panel.grid(axis="y", color="#E5E5E5", linewidth=0.8)
            panel.set_axisbelow(True)
        lines = [Line2D([], [], color=colour, linewidth=2.2) for colour in colours.values()]
        lines += [Line2D([], [], color="#444444", linestyle=dash) for dash in dashes.values()]
        names = [*(f"{count(one)} parameters" for one in many), *WAYS]
        figure.legend(lines, names, loc="outside upper center", ncols=4, frameon=False, handlelength=2.4)
        write_png(figure, file)
        plt.close(figure)


if __name__ == "__main__":
    main()
