"""Numbers too small for the normal range are zeros while agents act and learn.

Policies that have long been right saturate gates and softmax. Gradients through them, and Adam's moments of those, fall
below 2⁻¹²⁶ (1.2e-38), where processors take many times as long for each operation.
"""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def denormals_as_zeros() -> Iterator[None]:
    """Within it, denormal numbers that this thread reads or computes are zeros, in NumPy too.

    The end restores the mode that the caller had. A processor without this mode changes nothing.
    """
    import torch  # here, since rl.loop must not import it before it watches its parent

    before = not torch.tensor(torch.finfo().tiny).div(2)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
