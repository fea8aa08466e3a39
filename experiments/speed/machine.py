"""The machine that a benchmark ran on: what it is, what a process holds of its memory, how fast it could be at best."""

import contextlib
import os
import platform
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from rl.config import Config
from rl.shared.processes import available_cpus

if TYPE_CHECKING:
    from rl.agent.agent import Agent

Shape = tuple[int, int, int]  # rows, inner, columns of [rows, inner] @ [inner, columns]
BATCHES = 7  # of products, the best of which counts


def describe() -> dict[str, Any]:
    """Processor, memory, system, versions, date and git commit; None where the system does not tell."""
    from rl.record.provenance import git_commit, versions

    return {
        "processor": processor_model(),
        "cores": available_cpus(),
        "memory_bytes": memory_bytes(),
        "system": f"{platform.system()} {platform.release()}",
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,  # of the minute before
        "versions": versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(),
    }


def processor_model() -> str:
    """The processor's name, as far as the system tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def memory_bytes() -> int | None:
    """Bytes of RAM."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def resident_bytes(pid: int | str = "self") -> int | None:
    """Bytes of RAM that a process holds, pages it shares with others included; None where there is no /proc."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return None


def product_rates(shapes: Iterable[Shape], seconds: float = 0.005) -> dict[str, float]:
    """FLOP a second of float32 matrix products on one thread, the best of several batches of `seconds` each.

    A product [m, k] @ [k, n] is m · k · n multiply-adds, 2 FLOP each. Operands stay in the cache: a ceiling.
    """
    import torch

    torch.set_num_threads(1)
    rates = {}
    for m, k, n in shapes:
        left, right, out = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
        best = 0.0
        for _ in range(BATCHES):
            products, start = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - start) < seconds or not products:
                torch.mm(left, right, out=out)
                products += 1
            best = max(best, products * 2 * m * k * n / elapsed)
        rates[f"{m}x{k} @ {k}x{n}"] = best
    return rates


def flop_per_env_step(agent: "Agent") -> int:
    """FLOP that an env step costs at least: three units of the torso's, core's and heads' multiply-adds, 2 FLOP each.

    A weight is one multiply-add forward and two backward (the gradient of the input, and of the weight). The forward
    pass of acting serves learning too; biases, activations and the bootstrap are not counted.
    """
    return 3 * 2 * sum(parameter.numel() for parameter in agent.parameters() if parameter.dim() == 2)


def product_shapes(agent: "Agent", batch: int, steps: int) -> list[Shape]:
    """The core's matrix products: acting, back in time, gradient of a segment's inputs, gradient of the weights."""
    inputs, hidden = agent.core.input_size, agent.core.hidden_size
    gates = len(next(agent.core.cells[0].parameters()))  # of all units
    rows = batch * steps
    return [
        (batch, inputs + hidden, gates),
        (batch, gates, hidden),
        (rows, gates, inputs),
        (gates, rows, inputs + hidden),
    ]


def measure_rates(config: Config) -> dict[str, Any]:
    """FLOP an env step, and FLOP a second of one thread at the shapes of a config's matrix products."""
    import envs
    from rl.running.run import new_run

    agent = new_run(config, envs.make_vector).agent.agent
    shapes = product_shapes(agent, config.envs_per_worker, config.segment_length)
    return {"flop_per_env_step": flop_per_env_step(agent), "rates": product_rates(shapes)}


def roofline(repetitions: list[dict[str, Any]], workers: int, sps: list[float]) -> dict[str, Any]:
    """What fraction of the machine's matrix-product rate a number of env steps a second takes.

    fraction = sps · FLOP an env step / (r · min(workers, cores)),   r the best rate of one thread over repetitions and
    shapes.

    Args:
        repetitions: of `measure_rates`.
        workers: of the runs.
        sps: env steps a second of each run.
    """
    rates = {shape: max(one["rates"][shape] for one in repetitions) for shape in repetitions[0]["rates"]}
    flop, used = repetitions[0]["flop_per_env_step"], min(workers, available_cpus())
    limit = max(rates.values()) * used / flop
    return {
        "flop_per_env_step": flop,
        "rates": rates,
        "cores_used": used,
        "env_steps_per_second": limit,
        "fraction": spread([speed / limit for speed in sps]),
    }


def spread(values: list[float | None]) -> dict[str, Any] | None:
    """Median, smallest, largest and all of the values that are known; None where none is."""
    known = [value for value in values if value is not None]
    return {"median": median(known), "min": min(known), "max": max(known), "values": known} if known else None
