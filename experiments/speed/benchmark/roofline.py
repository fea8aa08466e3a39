"""The roofline: how fast this machine's arithmetic alone would let training be."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from experiments.speed.benchmark.spread import spread
from rl.config import Config
from rl.shared.processes import available_cpus

if TYPE_CHECKING:
    from rl.agent.agent import Agent

Shape = tuple[int, int, int]  # rows, inner, columns of [rows, inner] @ [inner, columns]
BATCHES = 7  # batches of products; the best counts


def product_rates(shapes: Iterable[Shape], seconds: float = 0.005) -> dict[str, float]:
    """Measure the FLOP a second of float32 matrix products on one thread, the best of several batches of `seconds`.

    A product [m, k] @ [k, n] is m · k · n multiply-adds, 2 FLOP each. Operands stay in the cache: it is a ceiling.
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
    """Count the FLOP that an env step costs at least: three times the multiply-adds of all weights, 2 FLOP each.

    A weight of torso, core and heads is one multiply-add forward and two backward (the gradients of its input and of
    itself). The forward pass of acting serves learning too. Biases, activations and the bootstrap are not counted.
    """
    return 3 * 2 * sum(parameter.numel() for parameter in agent.parameters() if parameter.dim() == 2)


def product_shapes(agent: "Agent", batch: int, steps: int) -> list[Shape]:
    """Return the core's matrix products: acting, back in time, gradient of the inputs, gradient of the weights."""
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
    """Measure FLOP an env step, and FLOP a second of one thread at the shapes of a config's matrix products."""
    import envs
    from rl.running.setup import set_up

    agent = set_up(config, envs.make_vector).agent.agent
    shapes = product_shapes(agent, config.envs_per_worker, config.segment_length)
    return {"flop_per_env_step": flop_per_env_step(agent), "rates": product_rates(shapes)}


def roofline(repetitions: list[dict[str, Any]], workers: int, sps: list[float]) -> dict[str, Any]:
    """Return what fraction of the machine's matrix-product rate the runs use.

    fraction = sps · FLOP an env step / (r · min(workers, CPUs)),   r the best rate of one thread over repetitions and
    shapes.

    Args:
        repetitions: results of `measure_rates`.
        workers: number of workers of the runs.
        sps: env steps a second of each run.
    """
    rates = {shape: max(each["rates"][shape] for each in repetitions) for shape in repetitions[0]["rates"]}
    flop, used = repetitions[0]["flop_per_env_step"], min(workers, available_cpus())
    limit = max(rates.values()) * used / flop
    return {
        "flop_per_env_step": flop,
        "rates": rates,
        "cpus_used": used,
        "env_steps_per_second": limit,
        "fraction": spread([speed / limit for speed in sps]),
    }
