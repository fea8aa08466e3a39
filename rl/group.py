"""A run over several machines: its workers are the processes that torchrun started, each on its host.

Rank 0 has the record, the parent and the optimiser, as on one machine; what workers there write into shared memory goes
over gloo here: their rows of the slots to rank 0, the ledger's page and the parameters back to all.
"""

import dataclasses
import datetime
import io
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed

from rl.collector import Episode
from rl.config import Config
from rl.evaluate import MakeEnvironments
from rl.learner import SyncLearner, adam_step, clip
from rl.ledger import Ledger
from rl.memory import LearnerMemory
from rl.worker import Parts, build_worker, leave_signals_to_parent, run_work

SMALL = ("env_steps", "core_seconds", "episodes", "losses", "ended")  # slots beside the gradients


def size() -> int:
    """Workers of the group that torchrun started; 0 where this process is none of its."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 0


def rank() -> int:
    """This process's number in the group."""
    return int(os.environ["RANK"])


class Group:
    """The processes of a run, which exchange bytes; all take part in every exchange."""

    def __init__(self, timeout: float) -> None:
        """Join, and wait for the others.

        Args:
            timeout: seconds that an exchange may take before the group counts as lost.
        """
        self.rank = rank()
        distributed.init_process_group("gloo", timeout=datetime.timedelta(seconds=timeout))
        self.size = distributed.get_world_size()

    def gather(self, row: np.ndarray) -> list[np.ndarray]:
        """The rows of all, uint8 and of one length, in rank 0; nothing elsewhere."""
        ours = torch.from_numpy(row)
        rows = [torch.empty_like(ours) for _ in range(self.size)] if self.rank == 0 else None
        self._exchange(lambda: distributed.gather(ours, rows, dst=0))
        return [one.numpy() for one in rows or []]

    def broadcast(self, row: np.ndarray) -> None:
        """Rank 0's row, uint8, into everyone's."""
        self._exchange(lambda: distributed.broadcast(torch.from_numpy(row), src=0))

    def add_up(self, vector: Tensor) -> None:
        """The sum of all vectors into everyone's."""
        self._exchange(lambda: distributed.all_reduce(vector))

    def gather_bytes(self, content: bytes) -> list[bytes]:
        """Contents of any length."""
        length = np.array([len(content)]).view(np.uint8)
        lengths = [int(one.view(np.int64)[0]) for one in self.gather(length)]
        longest = np.array([max(lengths, default=0)]).view(np.uint8)
        self.broadcast(longest)
        row = np.zeros(int(longest.view(np.int64)[0]), np.uint8)
        row[: len(content)] = np.frombuffer(content, np.uint8)
        return [one.tobytes()[:end] for one, end in zip(self.gather(row), lengths, strict=True)]

    def broadcast_bytes(self, content: bytes = b"") -> bytes:
        """Rank 0's content, of any length."""
        length = np.array([len(content)]).view(np.uint8)
        self.broadcast(length)
        row = np.zeros(int(length.view(np.int64)[0]), np.uint8)
        if self.rank == 0:
            row[:] = np.frombuffer(content, np.uint8)
        self.broadcast(row)
        return row.tobytes()

    def _exchange(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except RuntimeError as error:
            raise ConnectionError(f"worker {self.rank} lost its group, a host or a worker is gone: "
                                  f"{next(iter(str(error).splitlines()), '')}") from None  # fmt: skip


class GroupLearner(SyncLearner):
    """A SyncLearner whose workers share no memory."""

    def __init__(self, group: Group, config: Config, memory: LearnerMemory, ledger: Ledger, rank: int = 0) -> None:
        """As a SyncLearner, of a group; memory and, but for rank 0's, ledger are this process's own."""
        super().__init__(config, memory, ledger, rank)
        self.group = group

    def publish(self) -> None:
        """Rank 0's ledger and vectors to all."""
        page = self.ledger.shared.content
        self.group.broadcast(page)
        for vector in self.vectors.values():  # of the page that the ledger now says
            self.group.broadcast(vector.numpy().view(np.uint8))

    def stand_still(self) -> None:
        """As a SyncLearner's: rank 0 waits for its parent, and shows the others each second that it does."""
        if not self.ledger.waiting:
            return
        waits, shown = np.ones(1, np.uint8), time.monotonic()
        while waits[0]:
            while self.rank == 0 and self.ledger.waiting and time.monotonic() < shown + 1.0:
                time.sleep(0.001)
            waits[0], shown = self.ledger.waiting, time.monotonic()  # of rank 0
            with self.memory.signs.waits(self.rank):
                self.group.broadcast(waits)
        self.group.broadcast(self.ledger.shared.content)

    def gather(self, standing: bytes) -> dict[int, bytes]:
        """In rank 0 where all workers stand, elsewhere nothing."""
        return dict(enumerate(self.group.gather_bytes(standing)))

    def together(self, action: Callable[[], None]) -> None:
        """Not used: what has to be exchanged differs."""
        raise TypeError("a group exchanges sums and updates by methods of their own")

    def sum_over_workers(self, values: Tensor) -> Tensor:
        """The sum of three numbers over all workers, added in rank order."""
        self.check(values)
        rows = self.group.gather(values.numpy().view(np.uint8))
        total = np.zeros(len(values))
        for row in rows:
            total += row.view(np.float64)
        self.group.broadcast(total.view(np.uint8))
        return torch.from_numpy(total)

    def push(self, gradient: Tensor | None, env_steps: int, losses: dict[str, float], episodes: list[Episode]) -> None:
        """As SyncLearner's."""
        slots, learns = self.memory.slots, gradient is not None
        self.fill(gradient, env_steps, losses, episodes)
        names = (*SMALL, "gradients") if learns and self.config.reduce == "ordered" else SMALL
        parts = [getattr(slots, name)[self.rank : self.rank + 1].reshape(-1).view(np.uint8) for name in names]
        ends = np.cumsum([len(part) for part in parts])[:-1]
        with self.memory.signs.waits(self.rank):
            for rank, row in enumerate(self.group.gather(np.concatenate(parts))):
                for name, part in zip(names, np.split(row, ends), strict=True):
                    slot = getattr(slots, name)
                    slot[rank] = part.copy().view(slot.dtype).reshape(slot.shape[1:])
        self.total = self.add_up(gradient, env_steps) if learns and self.config.reduce == "all_reduce" else None
        other = 1 - int(self.ledger.shared.vectors[0])
        if self.rank == 0:
            self.update(learns, losses)
        elif self.total is not None:  # everyone takes the same step
            clip(self.total, self.config.max_gradient_norm)
            learning_rate = self.config.learning_rate_at(self.ledger.env_steps)
            adam_step(self.vectors, self.pages[other], self.total, learning_rate, self.config)
        with self.memory.signs.waits(self.rank):
            self.group.broadcast(self.ledger.shared.content)
            if learns and self.total is None:
                self.group.broadcast(self.parameters.numpy().view(np.uint8))

    def add_up(self, gradient: Tensor, env_steps: int) -> Tensor:
        """The gradient over all workers, summed by all of them together, in an order of gloo's own."""
        mean = self.config.loss_reduction == "mean"
        weight = env_steps or 1 if mean else 1  # where nothing is new, everyone's weighs the same
        vector = torch.cat([gradient * weight, gradient.new_tensor([weight])])
        self.group.add_up(vector)
        return vector[:-1] / vector[-1] if mean else vector[:-1].clone()

    def combined(self, weights: np.ndarray) -> Tensor:
        """The gradient over all workers."""
        return super().combined(weights) if self.total is None else self.total


def run_member(config: Config, make_environments: MakeEnvironments) -> None:
    """The life of a worker other than rank 0: everything but its rank comes from there.

    Args:
        config: as on the command line; its time limit is used until rank 0's is there.
        make_environments: builds vector environments.

    Raises:
        ConnectionError: the group was lost.
    """
    leave_signals_to_parent()
    torch.set_num_threads(1)
    group = Group(config.worker_timeout)
    start = from_bytes(group.broadcast_bytes())
    config = Config(**{**start["config"], "env_arg": tuple(start["config"]["env_arg"])})
    memory, ledger = LearnerMemory(config, start["parameters"]), Ledger(config, None, start["env_steps"])
    work = build_worker(group.rank, config, make_environments, memory, ledger, start["key"], grouped(Parts(), group))
    saved = start["standing"][group.rank]
    run_work(work, None if saved is None else saved.numpy().tobytes(), lambda _kind, _standing: None)


def grouped(parts: Parts, group: Group) -> Parts:
    """The parts of a worker of a group.

    Raises:
        ValueError: an experiment has a learner of its own.
    """
    if parts.make_learner:
        raise ValueError(f"{parts.make_learner}: a learner of one machine's own, a group has another")
    return parts._replace(make_learner=partial(GroupLearner, group))


def start_of_run(config: Config, parameters: int, env_steps: int, key: int, standing: list[bytes | None]) -> bytes:
    """What rank 0 tells the others before anything else."""
    tensors = [None if one is None else torch.frombuffer(bytearray(one), dtype=torch.uint8) for one in standing]
    return to_bytes({"config": dataclasses.asdict(config), "parameters": parameters, "env_steps": env_steps,
                     "key": key, "standing": tensors})  # fmt: skip


def to_bytes(content: dict[str, Any]) -> bytes:
    """Tensors and plain Python as bytes."""
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def from_bytes(content: bytes) -> dict[str, Any]:
    """The same back; nothing in it is executed."""
    return torch.load(io.BytesIO(content), weights_only=True)
