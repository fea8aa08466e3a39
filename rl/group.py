"""A run over several machines: its workers are the processes that torchrun started, each on its host.

Rank 0 has the record, the parent and the optimiser, as on one machine. What the workers of one machine write into
shared memory goes over gloo here: their rows of the slots to rank 0, its ledger's page and the parameters back to all.
Rank 0 receives from each of them by itself, so that it knows for whom it waits.
"""

import contextlib
import dataclasses
import datetime
import io
import multiprocessing
import os
import re
import signal
import socket
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed

from rl.collector import Episode
from rl.config import Config
from rl.evaluate import MakeEnvironments
from rl.learner import SyncLearner, adam_step, clip
from rl.ledger import Ledger
from rl.memory import LearnerMemory, WorkerSigns
from rl.tracking import in_short
from rl.worker import GroupLost, Parts, build_worker, run_work

SMALL = ("env_steps", "core_seconds", "episodes", "losses", "ended")  # slots beside the gradients
JOIN_SECONDS = 300.0  # from the start of the first until all have built their environments
PATIENCE = 5.0  # seconds that the others wait longer than rank 0, which can say who is missing
STORE_SECONDS = 2.0  # to leave or to find a word there; its host may be gone
Found = TypeVar("Found")


class Group:
    """The processes of a run, which exchange tensors; all take part in every exchange.

    Raises:
        GroupLost: in every exchange, where one of them is gone or does not answer in time.
    """

    def __init__(self, signs: WorkerSigns | None = None) -> None:
        """Join, and wait for the others for JOIN_SECONDS at most.

        Args:
            signs: where rank 0 shows its parent that it waits.
        """
        self._signs, self._hosts, self._processes, self._limit = signs, [], None, JOIN_SECONDS
        limit = datetime.timedelta(seconds=JOIN_SECONDS)
        try:
            with self._waiting():
                store, self.rank, self.size = next(distributed.rendezvous("env://", timeout=limit))
                store = distributed.PrefixStore("carryover", store)
                self._store = distributed.PrefixStore(this_round(store, self.rank, self.size), store)
                distributed.init_process_group(
                    "gloo", store=self._store, rank=self.rank, world_size=self.size, timeout=limit
                )
        except RuntimeError as error:
            raise GroupLost(
                f"found no group within {JOIN_SECONDS:g} s: a worker is missing, or GLOO_SOCKET_IFNAME should name "
                f"the network interface between the hosts ({in_short(error)})"
            ) from None

    def begin(self, seconds: float) -> None:
        """Wait until all are ready; from then on an exchange may take so many seconds."""
        hosts = self.gather_bytes(socket.gethostname().encode())
        limit = seconds + (PATIENCE if self.rank else 0.0)
        self._processes = self.exchange(partial(distributed.new_group, timeout=datetime.timedelta(seconds=limit)))
        self._limit, self._hosts = limit, [host.decode() for host in hosts]  # hosts are known to rank 0

    def gather(self, ours: Sequence[Tensor], rows: Sequence[Sequence[Tensor]]) -> None:
        """Send to rank 0; there, receive what worker r sends into rows[r], for every r but 0."""
        if self.rank:
            plan = [(distributed.isend, tensor, 0) for tensor in ours]
        else:
            plan = [(distributed.irecv, tensor, rank) for rank in range(1, self.size) for tensor in rows[rank]]
        begun = [(self.exchange(partial(do, tensor, peer, self._processes), peer), peer) for do, tensor, peer in plan]
        for work, peer in begun:
            self.exchange(work.wait, peer)

    def broadcast(self, tensor: Tensor) -> None:
        """Rank 0's content into everyone's."""
        self.exchange(partial(distributed.broadcast, tensor, 0, self._processes))

    def add_up(self, tensor: Tensor) -> None:
        """The sum of all into everyone's, in an order of gloo's own."""
        self.exchange(partial(distributed.all_reduce, tensor, group=self._processes))

    def gather_bytes(self, content: bytes) -> list[bytes]:
        """Contents of any length, by rank, in rank 0; nothing elsewhere. Ends when all have come to it."""
        lengths = torch.zeros(self.size, dtype=torch.int64)
        lengths[self.rank] = len(content)
        self.gather([lengths[self.rank]], [[length] for length in lengths])
        rows = [[torch.empty(int(length), dtype=torch.uint8)] for length in lengths]
        rows[self.rank] = [as_tensor(content)]
        self.gather(rows[self.rank], rows)
        self.broadcast(lengths)
        return [] if self.rank else [row.numpy().tobytes() for [row] in rows]

    def broadcast_bytes(self, content: bytes = b"") -> bytes:
        """Rank 0's content, of any length."""
        length = torch.tensor([len(content)])
        self.broadcast(length)
        tensor = torch.empty(int(length), dtype=torch.uint8) if self.rank else as_tensor(content)
        self.broadcast(tensor)
        return tensor.numpy().tobytes()

    def leave_word(self, cause: str) -> None:
        """Let the others know why this worker ends."""
        in_time(lambda: self._store.set("cause", cause))

    def found_word(self) -> str | None:
        """Why another one has ended, if it could say."""
        return in_time(lambda: self._store.get("cause").decode() if self._store.check(["cause"]) else None)

    def exchange(self, action: Callable[[], Found], peer: int | None = None) -> Found:
        """Do it; where that fails, tell who is missing, if it is known."""
        try:
            with self._waiting():
                return action()
        except RuntimeError as error:
            late = re.search("timed out|timeout", str(error), re.IGNORECASE)  # else the connection was closed
        who = f"worker {peer}{self._at(peer)}" if peer else "a worker or a host"
        limit = f"{self._limit:g} s{' (--worker-timeout)' if self._processes else ''}"
        what = f"{who} did not answer within {limit}" if late else f"{who} is gone"
        word = self.found_word()
        raise GroupLost(f"lost its group: {word or what}", failed=word is not None)

    def _waiting(self) -> AbstractContextManager[None]:
        return self._signs.waits(0) if self._signs else contextlib.nullcontext()

    def _at(self, rank: int) -> str:
        """The host, where there is more than one."""
        return f" on {self._hosts[rank]}" if len(set(self._hosts)) > 1 else ""


def this_round(store: distributed.Store, rank: int, size: int) -> str:
    """A name that this start of the group has to itself, since the store may be that of an earlier one, too.

    torchrun restarts the processes of a group and keeps the store, with what was written there; and it counts restarts
    by host, so that one which comes back counts from 0 again. So the others ask, each under a name of its own, and rank
    0 answers.
    """
    if rank:
        mine = uuid.uuid4().hex
        store.set(f"worker {rank} asks", mine)
        return store.get(mine).decode()
    name = f"round {store.add('rounds', 1)}"
    for other in range(1, size):
        theirs = store.get(f"worker {other} asks").decode()
        store.delete_key(f"worker {other} asks")
        store.set(theirs, name)
    return name


def in_time(action: Callable[[], Found]) -> Found | None:
    """What it returns; None where the store's host is gone."""
    found: list[Found] = []

    def act() -> None:
        with contextlib.suppress(RuntimeError):
            found.append(action())

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(STORE_SECONDS)
    return found[0] if found else None


class GroupLearner(SyncLearner):
    """A SyncLearner whose workers share no memory."""

    def __init__(self, group: Group, config: Config, memory: LearnerMemory, ledger: Ledger, rank: int = 0) -> None:
        """As a SyncLearner, of a group; memory and, but for rank 0's, ledger are this process's own."""
        super().__init__(config, memory, ledger, rank)
        self.group, self.total, self.stands = group, None, False
        self.asked = np.zeros(group.size, np.int64)  # [worker] whether it was asked to stop
        self.small = [self.asked, *(getattr(memory.slots, name) for name in SMALL)]
        self.rows = torch.zeros(group.size, sum(slot[0].nbytes for slot in self.small), dtype=torch.uint8)

    def ask(self, _number: int, _frame: Any) -> None:
        """Note a signal, of which rank 0's parent will hear: all end together."""
        self.asked[self.rank] = 1

    def share_ledger(self) -> None:
        """Rank 0's to all, as it is at one moment: its parent may settle something meanwhile."""
        if self.rank:
            self.group.broadcast(torch.from_numpy(self.ledger.shared.content))
            self.stands = self.ledger.waiting
            return
        with self.holding_lock():
            content, self.stands = torch.from_numpy(self.ledger.shared.content.copy()), self.ledger.waiting
        self.group.broadcast(content)

    def publish(self) -> None:
        """Rank 0's ledger and vectors to all."""
        self.share_ledger()
        for vector in self.vectors.values():  # of the page that the ledger now says
            self.group.broadcast(vector)

    def stand_still(self) -> None:
        """As a SyncLearner's: rank 0 waits for its parent, and shows the others each second that it does."""
        if not self.stands:  # as all saw it
            return
        waits = torch.ones(1, dtype=torch.int64)
        while waits:
            if self.rank == 0:
                shown = time.monotonic()
                with self.memory.signs.waits(0):
                    while self.ledger.waiting and time.monotonic() < shown + 1.0:
                        time.sleep(0.001)
                waits[0] = int(self.ledger.waiting)
            self.group.broadcast(waits)
        self.publish()  # vectors too: where each takes the optimiser's step, another processor may round otherwise

    def gather(self, standing: bytes) -> dict[int, bytes]:
        """In rank 0 where all workers stand, elsewhere nothing."""
        return dict(enumerate(self.group.gather_bytes(standing)))

    def sum_over_workers(self, values: Tensor) -> Tensor:
        """The sum of three numbers over all workers, added in rank order."""
        self.check(values)
        sums = torch.zeros(self.group.size, len(values), dtype=torch.float64)
        sums[self.rank] = values
        self.group.gather([sums[self.rank]], [[row] for row in sums])
        total = torch.from_numpy(sums.numpy().sum(axis=0))  # as on one machine, bit for bit
        self.group.broadcast(total)
        return total

    def push(self, gradient: Tensor | None, env_steps: int, losses: dict[str, float], episodes: list[Episode]) -> None:
        """As SyncLearner's."""
        learns, ordered = gradient is not None, self.config.reduce == "ordered"
        self.fill(gradient, env_steps, losses, episodes)
        self.gather_rows(learns and ordered)
        self.total = self.add_up(gradient, env_steps) if learns and not ordered else None
        if self.rank == 0:
            self.update(learns, losses)
        elif self.total is not None:  # everyone takes the same step
            clip(self.total, self.config.max_gradient_norm)
            other = 1 - int(self.ledger.shared.vectors[0])
            learning_rate = self.config.learning_rate_at(self.ledger.env_steps)
            adam_step(self.vectors, self.pages[other], self.total, learning_rate, self.config)
        self.share_ledger()
        if learns and ordered:
            self.group.broadcast(self.parameters)

    def gather_rows(self, gradients: bool) -> None:
        """The workers' rows of the slots into those of rank 0, their gradients too or not."""
        vectors = torch.from_numpy(self.memory.slots.gradients)
        if self.rank:
            content = np.concatenate([as_bytes(slot, self.rank) for slot in self.small])
            self.rows[self.rank] = torch.from_numpy(content)
        rows = [[row, vector] if gradients else [row] for row, vector in zip(self.rows, vectors, strict=True)]
        self.group.gather(rows[self.rank], rows)
        if self.rank:
            return
        ends = np.cumsum([slot[0].nbytes for slot in self.small])[:-1]
        for rank in range(1, self.group.size):
            for slot, content in zip(self.small, np.split(self.rows[rank].numpy(), ends), strict=True):
                as_bytes(slot, rank)[:] = content
        if self.asked.any():
            os.kill(multiprocessing.parent_process().pid, signal.SIGTERM)

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


def as_bytes(slot: np.ndarray, rank: int) -> np.ndarray:
    """A worker's row, uint8, in place."""
    return slot[rank : rank + 1].reshape(-1).view(np.uint8)


def as_tensor(content: bytes) -> Tensor:
    """Bytes as uint8."""
    return torch.from_numpy(np.frombuffer(content, np.uint8).copy())


def grouped(parts: Parts, group: Group) -> Parts:
    """The parts of a worker of a group.

    Raises:
        ValueError: an experiment has a learner of its own.
    """
    if parts.make_learner:
        raise ValueError(f"{parts.make_learner}: a learner of one machine's own, a group has another")
    return parts._replace(make_learner=partial(GroupLearner, group))


# --- rank 0 and the others


def lead(config: Config, memory: LearnerMemory, env_steps: int, key: int, standing: list[bytes | None]) -> Group:
    """Join as rank 0, and tell the others what they are to do.

    Args:
        config: of the run.
        memory: of rank 0 and its parent.
        env_steps: at which the run begins.
        key: of the random numbers.
        standing: `worker_state` of every worker, or None.
    """
    group = Group(memory.signs)
    states = [None if one is None else as_tensor(one) for one in standing]
    content = {"config": dataclasses.asdict(config), "parameters": len(memory.vectors[0].parameters),
               "env_steps": env_steps, "key": key, "standing": states}  # fmt: skip
    file = io.BytesIO()
    torch.save(content, file)
    group.broadcast_bytes(file.getvalue())
    return group


def run_member(make_environments: MakeEnvironments) -> int:
    """The life of a worker other than rank 0: everything but its rank comes from there.

    Returns:
        The exit code.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is a run to end
    name = multiprocessing.current_process().name = f"worker {os.environ['RANK']}"
    group = None
    try:
        group = Group()
        follow(group, make_environments)
        return 0
    except GroupLost as lost:
        print(f"{name} {lost}", file=sys.stderr, flush=True)
    except BaseException as error:  # SystemExit from an environment is a failure too
        if group:
            group.leave_word(f"{name} failed: {in_short(error)}")
        print(f"{name} failed:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
    return 1


def follow(group: Group, make_environments: MakeEnvironments) -> None:
    """Hear what rank 0 tells, and work until the end of the run."""
    start = torch.load(io.BytesIO(group.broadcast_bytes()), weights_only=True)
    config = Config(**{**start["config"], "env_arg": tuple(start["config"]["env_arg"])})
    memory, ledger = LearnerMemory(config, start["parameters"]), Ledger(config, None, start["env_steps"])
    work = build_worker(group.rank, config, make_environments, memory, ledger, start["key"], grouped(Parts(), group))
    group.begin(config.worker_timeout)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, work[0].ask)
    saved = start["standing"][group.rank]
    run_work(work, None if saved is None else saved.numpy().tobytes(), lambda _kind, _standing: None)


def end_with_torchrun() -> None:
    """End this process in its orderly way when torchrun has ended, however that ended."""
    started_by = os.getppid()

    def watch() -> None:
        while os.getppid() == started_by:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end-with-torchrun", daemon=True).start()
