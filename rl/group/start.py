"""What rank 0 tells the other workers of a group before they begin."""

import dataclasses
import io
import os
import sys
from typing import NamedTuple

import torch

from rl.config import Config
from rl.group.exchange import Group, as_tensor
from rl.record.worker_state import WorkerStates


class Start(NamedTuple):
    """What a worker of a group begins with, beside its rank."""

    config: Config
    parameters: int  # how many the network has
    sums: int  # how many running sums there are
    env_steps: int  # of the run so far
    training_key: int  # of the random numbers
    worker_states: WorkerStates
    places: list[str]  # where rank 0 looks for modules


def tell(group: Group, start: Start) -> None:
    """Send the start to all, as rank 0."""
    states = [None if one is None else as_tensor(one) for one in start.worker_states]
    content = {**start._asdict(), "config": dataclasses.asdict(start.config), "worker_states": states}
    file = io.BytesIO()
    torch.save(content, file)
    group.broadcast_bytes(file.getvalue())


def hear(group: Group) -> Start:
    """Receive the start, as another rank."""
    content = torch.load(io.BytesIO(group.broadcast_bytes()), weights_only=True)
    options = {**content.pop("config")}
    config = Config(**{**options, "env_arg": tuple(options["env_arg"])})
    states = [None if one is None else one.numpy().tobytes() for one in content.pop("worker_states")]
    sys.path.extend(place for place in content["places"] if place not in sys.path and os.path.isdir(place))
    return Start(config=config, worker_states=states, **content)
