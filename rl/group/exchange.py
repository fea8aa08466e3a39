"""How the workers of several machines exchange tensors and bytes.

The workers are the processes that torchrun started, each on its host. What the workers of one machine write into shared
memory goes over gloo here. Rank 0 receives from each worker separately, so that it knows for whom it waits.
"""

import contextlib
import datetime
import re
import socket
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, distributed

from rl.record.messages import in_short
from rl.shared.group_lost import GroupLost
from rl.shared.signs import WorkerSigns

JOIN_SECONDS = 300.0  # from the start of the first until all have built their environments
PATIENCE = 5.0  # seconds that the others wait longer than rank 0, which knows who is missing
STORE_SECONDS = 2.0  # to write to the store or to read from it; its host may be gone
Found = TypeVar("Found")


class Group:
    """The processes of a run. All of them take part in every exchange.

    Raises:
        GroupLost: in every exchange, if one of them is gone or does not answer in time.
    """

    def __init__(self, signs: WorkerSigns | None = None) -> None:
        """Join the group, and wait for the others for JOIN_SECONDS at most.

        Args:
            signs: where rank 0 shows its parent that it waits; None in the others.
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
        """Wait until all are ready. From then on an exchange may take so many seconds."""
        hosts = self.gather_bytes(socket.gethostname().encode())
        limit = seconds + (PATIENCE if self.rank else 0.0)
        self._processes = self.exchange(partial(distributed.new_group, timeout=datetime.timedelta(seconds=limit)))
        self._limit, self._hosts = limit, [host.decode() for host in hosts]  # rank 0 knows the hosts, the others none

    def gather(self, ours: Sequence[Tensor], rows: Sequence[Sequence[Tensor]]) -> None:
        """Send `ours` to rank 0, which receives what worker r sends into rows[r]."""
        if self.rank:
            plan = [(distributed.isend, tensor, 0) for tensor in ours]
        else:
            plan = [(distributed.irecv, tensor, rank) for rank in range(1, self.size) for tensor in rows[rank]]
        begun = [(self.exchange(partial(do, tensor, peer, self._processes), peer), peer) for do, tensor, peer in plan]
        for work, peer in begun:
            self.exchange(work.wait, peer)

    def broadcast(self, tensor: Tensor) -> None:
        """Copy rank 0's content into everyone's tensor."""
        self.exchange(partial(distributed.broadcast, tensor, 0, self._processes))

    def add_up(self, tensor: Tensor) -> None:
        """Write the sum of all into everyone's tensor, added in gloo's order."""
        self.exchange(partial(distributed.all_reduce, tensor, group=self._processes))

    def gather_bytes(self, content: bytes) -> list[bytes]:
        """Contents of any length by rank, in rank 0; nothing elsewhere. It returns when all have called it."""
        lengths = torch.zeros(self.size, dtype=torch.int64)
        lengths[self.rank] = len(content)
        self.gather([lengths[self.rank]], [[length] for length in lengths])
        rows = [[torch.empty(int(length), dtype=torch.uint8)] for length in lengths]
        rows[self.rank] = [as_tensor(content)]
        self.gather(rows[self.rank], rows)
        self.broadcast(lengths)
        return [] if self.rank else [row.numpy().tobytes() for [row] in rows]

    def broadcast_bytes(self, content: bytes = b"") -> bytes:
        """Rank 0's content, of any length, in all."""
        length = torch.tensor([len(content)])
        self.broadcast(length)
        tensor = torch.empty(int(length), dtype=torch.uint8) if self.rank else as_tensor(content)
        self.broadcast(tensor)
        return tensor.numpy().tobytes()

    def leave_word(self, cause: str) -> None:
        """Tell the others why this worker ends."""
        in_time(lambda: self._store.set("cause", cause))

    def found_word(self) -> str | None:
        """Why another worker has ended, if it could tell."""
        return in_time(lambda: self._store.get("cause").decode() if self._store.check(["cause"]) else None)

    def exchange(self, action: Callable[[], Found], peer: int | None = None) -> Found:
        """Do one step of an exchange; if it fails, say who is missing, as far as that is known."""
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
        """Where a worker is, if there is more than one host."""
        return f" on {self._hosts[rank]}" if len(set(self._hosts)) > 1 else ""


def this_round(store: distributed.Store, rank: int, size: int) -> str:
    """A name in the store that no earlier start of the group has used.

    When torchrun restarts a group it keeps the store with its content. It counts restarts by host, and a host that
    comes back counts from 0 again. So each worker asks rank 0 for the name under a key of its own, and rank 0 answers.
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
    """What the action returns; None if the store's host is gone."""
    found: list[Found] = []

    def act() -> None:
        with contextlib.suppress(RuntimeError):
            found.append(action())

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(STORE_SECONDS)
    return found[0] if found else None


def as_tensor(content: bytes) -> Tensor:
    """Bytes as a uint8 tensor."""
    return torch.from_numpy(np.frombuffer(content, np.uint8).copy())
