"""Random tensors from a generator of one's own."""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

DRAWS = {  # functions of torch, methods of tensors and those of torch.nn.init that take a generator
    *("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson"),
    *("normal_", "uniform_", "bernoulli_", "exponential_", "geometric_", "log_normal_", "cauchy_", "random_"),
    *("trunc_normal_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_", "orthogonal_"),
}
LIKE = {"rand_like": torch.rand, "randn_like": torch.randn, "randint_like": torch.randint}  # these take none


class OwnGenerator(TorchFunctionMode):
    """Within it, this thread draws what `torch.manual_seed(seed)` would have it draw, whatever other threads draw.

    torch's global generator stays as it is: nobody else notices.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Call a function of torch, with the generator if it draws and was given none."""
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if (name in DRAWS or name in LIKE) and kwargs.get("generator") is None:
            kwargs = {**kwargs, "generator": self.generator}
            if name in LIKE:
                like, *others = args
                func, args, kwargs = LIKE[name], (*others, like.shape), {"dtype": like.dtype, **kwargs}
        return func(*args, **kwargs)
