"""Starts a group of workers on this machine, and times its updates."""

import json
import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from experiments.lab.rows import Row
from experiments.speed.group_scaling.traffic import traffic

WAYS = ("ordered", "all_reduce")
ENV_STEPS = 1024  # of a worker's update, with the defaults
WARM_UP = 3  # updates that are not timed
FEWEST, MOST, VALUES = 10, 300, 10**8  # timed updates: their gradients have some 10^8 values over all workers
LIMIT = 120.0  # seconds of an exchange


def measure_group(size: int, parameters: Sequence[int]) -> list[Row]:
    """Start a group, and time its updates for each number of parameters, in each way.

    Raises:
        RuntimeError: a worker failed.
    """
    from rl.running.server import ONE_THREAD, live, start_server
    from rl.shared.processes import SERVED

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start_server()
    ours, theirs = SERVED.Pipe(duplex=False)
    environment, rest = {**os.environ, **ONE_THREAD}, (size, port, parameters, theirs)
    crew = [SERVED.Process(target=live, args=(environment, work, rank, *rest), daemon=True) for rank in range(size)]
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
    """Be a worker of the group; worker 0 sends the rows of all."""
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(size), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo"
    )
    import torch

    from rl.config import Config
    from rl.group.exchange import Group
    from rl.group.learner import GroupLearner
    from rl.presets import MASKED_CARTPOLE
    from rl.running.worker import end_with_parent
    from rl.shared.learner_memory import LearnerMemory

    class TimedGroup(Group):
        """A group that adds up the seconds of its exchanges."""

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
            endless = dict.fromkeys(("total_env_steps", "log_interval", "checkpoint_interval"), 2**50)
            config = Config(**MASKED_CARTPOLE | endless | {"mode": "sync", "workers": size, "reduce": way})
            learner = GroupLearner(group, config, LearnerMemory(config, many), rank)
            learner.publish()
            updates = min(MOST, max(FEWEST, VALUES // (many * size)))
            measured = group.gather_bytes(json.dumps(time_updates(learner, many, updates)).encode())
            rows.append(
                {"reduce": way, "parameters": many, "workers": size, "updates": updates}
                | combined([json.loads(one) for one in measured])
            )
            del learner
    if rank == 0:
        channel.send(rows)
    group.gather_bytes(b"")  # all workers stay until the rows are sent


def time_updates(learner: Any, parameters: int, updates: int) -> dict[str, float]:
    """Measure what one worker sees of an update: seconds, seconds in exchanges, bytes sent and received."""
    import torch

    from rl.algorithms import ALGORITHMS

    gradient, own = torch.randn(parameters) / parameters, torch.empty(parameters)
    losses, group = dict.fromkeys(ALGORITHMS["a2c"].losses, 0.0), learner.group

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


def combined(measured: list[dict[str, float]]) -> Row:
    """Return worker 0's seconds, the larger of the busiest worker's bytes sent and received, and the bytes of all.

    Only worker 0 has measurements; in the others the row is empty.
    """
    if not measured:
        return {}
    busiest = max(max(one["sent"], one["received"]) for one in measured)
    return {
        "seconds": measured[0]["seconds"],
        "exchange_seconds": measured[0]["exchange_seconds"],
        "busiest_bytes": busiest,
        "all_bytes": sum(one["received"] for one in measured),
    }
