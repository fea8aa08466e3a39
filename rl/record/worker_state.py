"""What a worker continues from, as bytes."""

import io
from typing import TYPE_CHECKING, Any

from rl.shared.generators import generators_state, load_generators_state

if TYPE_CHECKING:
    from rl.acting.collector import Collector
    from rl.learning.experience import Experience

WorkerStates = list[bytes | None]  # by rank; a worker begins new episodes without one


def worker_state(collector: "Collector", experience: "Experience", left: int) -> bytes:
    """The state of a worker between two pushes; as bytes, since multiprocessing would share tensors instead.

    Args:
        collector: between two segments.
        experience: between two updates.
        left: how many updates of the last segment are still to do.
    """
    import torch

    of_collector = collector.state()
    if not can_be_read(of_collector["environments"]):
        of_collector["environments"] = None
    file = io.BytesIO()
    state = {"collector": of_collector, "experience": experience.state(), "left": left}
    torch.save({**state, "generators": generators_state()}, file)
    return file.getvalue()


def can_be_read(content: Any) -> bool:
    """Whether a checkpoint can hold this: it is read as tensors and plain Python alone."""
    import torch

    file = io.BytesIO()
    try:
        torch.save(content, file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except Exception:  # whatever cannot be pickled raises
        return False
    return True


def load_worker_state(collector: "Collector", experience: "Experience", saved: bytes) -> int:
    """Continue from a `worker_state`; returns how many updates are left to do."""
    import torch

    state = torch.load(io.BytesIO(saved), weights_only=True)
    collector.load_state(state["collector"])
    experience.load_state(state["experience"])
    if "generators" in state:  # older checkpoints have none
        load_generators_state(state["generators"])
    return state["left"]


def has_environments(saved: bytes) -> bool:
    """Whether the environments of a `worker_state` had a `state_dict`."""
    import torch

    return torch.load(io.BytesIO(saved), weights_only=True)["collector"]["environments"] is not None
