"""What every core must keep, tried on a core of yours: `check_core(MyCore)` says in one sentence what it breaks."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rl.agent.cores import CellCore, Core, CoreState
from rl.config import Config
from rl.names import CORES, TORSOS, load

FEATURES, HIDDEN, TIME, BATCH = 3, 4, 6, 5


def check_core(make_core: Callable[[int, int, int], Core]) -> None:
    """Try a core on random inputs, states and resets, in float64, with one layer and with two.

    Args:
        make_core: the core's class: takes the size of an input, the size of an output, and the number of layers.

    Raises:
        ValueError: one sentence about the first rule that the core breaks.
    """
    name = getattr(make_core, "__name__", "the core")
    if getattr(make_core, "step", None) is CellCore.step:
        for needed in ("parts", "make_cell", "advance"):
            if getattr(make_core, needed, None) is getattr(CellCore, needed, None):
                raise ValueError(f"{name} must define {needed}")
    for layers in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(layers)
            try:
                _check(make_core(FEATURES, HIDDEN, layers), name)
            except ValueError:
                raise
            except Exception as error:  # a core of a user may raise anything
                raise ValueError(f"{name} raised {type(error).__name__}: {' '.join(str(error).split())}") from error


def check_own_parts(config: Config) -> None:
    """Import the core and the torso that a config names as `module:Class`, and check the core.

    Raises:
        ValueError: one line that names the option, and what is wrong with the part.
    """
    import_own_parts(config)
    if config.core not in CORES:
        try:
            check_core(load(config.core))
        except ValueError as error:
            raise ValueError(f"--core {config.core}: {error}") from None


def import_own_parts(config: Config) -> None:
    """Import the core and the torso that a config names as `module:Class`.

    Raises:
        ValueError: one line that names the option, and why it cannot be imported.
    """
    for option, name, known in (("--core", config.core, CORES), ("--torso", config.torso, TORSOS)):
        if name not in known:
            try:
                load(name)
            except Exception as error:  # a module of a user may raise anything while it is imported
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                raise ValueError(f"{option} {name}: it cannot be imported ({reason})") from error


def _check(core: Core, name: str) -> None:
    if not isinstance(core, nn.Module) or getattr(core, "hidden_size", None) != HIDDEN:
        raise ValueError(f"{name} must be a torch.nn.Module whose hidden_size is its number of outputs, {HIDDEN} here")
    for needed in ("initial_state", "step", "unroll"):
        if not callable(getattr(core, needed, None)):
            raise ValueError(f"{name} must define {needed}")
    core = core.double()
    with torch.no_grad():
        for parameter in core.parameters():
            parameter += 0.3 * torch.randn_like(parameter)  # no bias is 0
    _check_fresh_state(core, name)
    inputs = torch.randn(TIME, BATCH, FEATURES, dtype=torch.float64)
    state = tuple(torch.randn_like(part) for part in core.initial_state(BATCH))
    is_first = torch.rand(TIME, BATCH) < 0.3
    is_first[2], is_first[3] = False, torch.arange(BATCH) < 2
    _check_step(core, name, inputs[0], state)
    _check_reset(core, name, inputs[0], state)
    _check_unroll(core, name, inputs, state, is_first)
    _check_gradient(core, name, inputs, state)


def _check_fresh_state(core: Core, name: str) -> None:
    state = core.initial_state(BATCH)
    if not isinstance(state, tuple) or not all(isinstance(part, Tensor) for part in state):
        raise ValueError(f"{name}.initial_state must return a tuple of tensors, () for a core without memory")
    if not all(part.dim() == 3 and part.shape[1] == BATCH and part.dtype == torch.float64 for part in state):
        shapes = [tuple(part.shape) for part in state]
        raise ValueError(
            f"{name}.initial_state({BATCH}) must have parts [layer, batch, hidden] in the precision of the parameters, "
            f"not {shapes}"
        )
    if any(part.count_nonzero() for part in state):
        raise ValueError(f"{name}.initial_state must be zeros: a reset zeroes the state")


def _check_step(core: Core, name: str, inputs: Tensor, state: CoreState) -> None:
    kept = [part.clone() for part in (inputs, *state)]
    nobody = torch.zeros(BATCH, dtype=torch.bool)
    if isinstance(core, CellCore) and type(core).step is CellCore.step:
        given = tuple(part[0] for part in state)
        said = core.advance(core.cells[0], inputs, given)
        if not isinstance(said, tuple) or _shapes(said) != _shapes(given):
            shown = _shapes(said) if isinstance(said, tuple) else type(said).__name__
            raise ValueError(
                f"{name}.advance must return a tuple of {len(given)} tensors [batch, hidden], as many as `parts` says, "
                f"{_shapes(given)} here, not {shown}"
            )
    output, after = core.step(inputs, state, nobody)
    if tuple(output.shape) != (BATCH, HIDDEN):
        raise ValueError(f"{name}.step must return outputs [batch, hidden], not {tuple(output.shape)}")
    if not isinstance(after, tuple) or _shapes(after) != _shapes(state):
        shown = _shapes(after) if isinstance(after, tuple) else type(after).__name__
        raise ValueError(
            f"{name}.step must return a state of the shapes that it was given, {_shapes(state)}, not {shown}"
        )
    if not _equal(kept, [inputs, *state]):
        raise ValueError(f"{name}.step must not change the inputs or the state that it was given")
    if not _equal([output, *after], _flat(core.step(inputs, state, nobody))):
        raise ValueError(f"{name}.step must return the same twice: a core keeps parameters, the caller keeps the state")
    order = torch.tensor([3, 1])
    turned = core.step(inputs[order], tuple(part[:, order] for part in state), nobody[order])
    if not _close([output[order], *(part[:, order] for part in after)], _flat(turned)):
        raise ValueError(f"{name}.step must treat each environment by itself, whatever stands beside it in the batch")


def _check_reset(core: Core, name: str, inputs: Tensor, state: CoreState) -> None:
    opens = torch.arange(BATCH) % 2 == 0
    sick = tuple(torch.where(opens[:, None], torch.full_like(part, torch.nan), part) for part in state)
    fresh = core.step(inputs, core.initial_state(BATCH), torch.zeros(BATCH, dtype=torch.bool))
    carried = core.step(inputs, state, torch.zeros(BATCH, dtype=torch.bool))
    output, after = core.step(inputs, sick, opens)
    if not _close([output[opens], *(part[:, opens] for part in after)], _rows(fresh, opens)):
        raise ValueError(
            f"{name}.step must start from a fresh state where is_first is True, before it consumes the input, even if "
            "the state was nan"
        )
    if not _close([output[~opens], *(part[:, ~opens] for part in after)], _rows(carried, ~opens)):
        raise ValueError(f"{name}.step must carry the state where is_first is False")


def _check_unroll(core: Core, name: str, inputs: Tensor, state: CoreState, is_first: Tensor) -> None:
    outputs, last = core.unroll(inputs, state, is_first)
    if tuple(outputs.shape) != (TIME, BATCH, HIDDEN):
        raise ValueError(f"{name}.unroll must return outputs [time, batch, hidden], not {tuple(outputs.shape)}")
    now, stepped = state, []
    for row, opens in zip(inputs, is_first, strict=True):
        output, now = core.step(row, now, opens)
        stepped.append(output)
    if not _close([outputs, *last], [torch.stack(stepped), *now]):
        raise ValueError(f"{name}.unroll must equal {name}.step, row after row, resets included")


def _check_gradient(core: Core, name: str, inputs: Tensor, state: CoreState) -> None:
    inputs, opening = inputs.clone().requires_grad_(), TIME // 2
    is_first = torch.zeros(TIME, BATCH, dtype=torch.bool)
    is_first[opening] = True
    outputs, _ = core.unroll(inputs, state, is_first)
    [gradient] = torch.autograd.grad(outputs[opening:].sum(), inputs, retain_graph=True)
    if gradient[:opening].count_nonzero():
        raise ValueError(f"{name}.unroll must pass no gradient back across the first step of an episode")
    missing = [
        key
        for key, parameter in core.named_parameters()
        if torch.autograd.grad(outputs.sum(), parameter, retain_graph=True, allow_unused=True)[0] is None
    ]
    if missing:
        raise ValueError(f"{name} must use all of its parameters: {', '.join(missing)} has no gradient")


def _shapes(parts: tuple[Tensor, ...]) -> list[tuple[int, ...]]:
    return [tuple(part.shape) for part in parts]


def _flat(stepped: tuple[Tensor, CoreState]) -> list[Tensor]:
    return [stepped[0], *stepped[1]]


def _rows(stepped: tuple[Tensor, CoreState], rows: Tensor) -> list[Tensor]:
    return [stepped[0][rows], *(part[:, rows] for part in stepped[1])]


def _equal(ones: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))


def _close(ones: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.allclose(one, other, rtol=0, atol=1e-10) for one, other in zip(ones, others, strict=True))
