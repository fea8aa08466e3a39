"""The random generators that all code of a process shares: Python's, NumPy's and torch's.

Nothing of ours draws from them. An environment, a core or a torso of a user may, and so they are seeded in each process
from the run's seed, and are put back where the process belongs to somebody else.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np


def seed_generators(sequence: np.random.SeedSequence) -> None:
    """Seed all of them."""
    import torch  # here, since a worker must not import it before it watches its parent

    for_python, for_numpy, for_torch = sequence.spawn(3)
    random.seed(int(for_python.generate_state(1, np.uint64)[0]))
    with suppress(TypeError):  # somebody has put another kind of generator there, which cannot be seeded
        np.random.seed(for_numpy.generate_state(8))
    torch.default_generator.manual_seed(int(for_torch.generate_state(1, np.uint64)[0] >> 1))


def generators_state() -> dict[str, Any]:
    """What they draw next, as tensors and plain Python."""
    import torch

    state = np.random.get_state(legacy=False)
    if state["bit_generator"] == "MT19937":  # its key is the only array
        state["state"] = {**state["state"], "key": state["state"]["key"].tolist()}
    return {"python": random.getstate(), "numpy": state, "torch": torch.default_generator.get_state()}


def load_generators_state(state: dict[str, Any]) -> None:
    """Continue from a `generators_state`."""
    import torch

    of_numpy = state["numpy"]
    if of_numpy["bit_generator"] == "MT19937":
        key = np.array(of_numpy["state"]["key"], np.uint32)
        of_numpy = {**of_numpy, "state": {**of_numpy["state"], "key": key}}
    random.setstate(state["python"])
    np.random.set_state(of_numpy)
    torch.default_generator.set_state(state["torch"])


@contextmanager
def generators_put_back() -> Iterator[None]:
    """At the end they draw what they would have drawn next before it."""
    import torch

    before = random.getstate(), np.random.get_state(legacy=False), torch.default_generator.get_state()
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.default_generator.set_state(before[2])


@contextmanager
def seeded_generators(sequence: np.random.SeedSequence) -> Iterator[None]:
    """Within it they are seeded; at the end they are put back."""
    with generators_put_back():
        seed_generators(sequence)
        yield
