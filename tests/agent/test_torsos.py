"""Torsos: which one an observation gets, what it reads of it, and that a whole segment is read as its rows are."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import nn

from envs.vector.packing import Packed
from rl.agent import pieces
from rl.agent.build import make_agent, make_torso
from rl.agent.recorded.which import is_written
from rl.agent.torsos.entries import Entries
from rl.agent.torsos.grid import GridTorso
from rl.agent.torsos.images import ConvTorso, NatureTorso, as_image
from rl.agent.torsos.joined import JoinedTorso
from rl.agent.torsos.mlp import MLPTorso
from rl.config import Config

VECTOR = Box(-np.inf, np.inf, (3,))


def image(*shape, dtype=np.uint8, high=255):
    return Box(0, high, shape, dtype=dtype)


MIXED = Packed({"arm": VECTOR, "camera": image(20, 24, 3), "map": image(5, 5, 2, high=9), "action_mask": image(2)})
SPACES = {
    "vector": VECTOR,
    "scalar": Box(-1, 1, ()),
    "table": Box(-1, 1, (2, 3)),
    "grid": image(5, 5, 3, high=10),
    "flat grid": Box(-3, 4, (5, 4), dtype=np.int64),
    "conv": image(20, 24, 3),
    "channels first": image(3, 20, 20),
    "float image": Box(0, 1, (20, 20, 3)),
    "one channel": image(20, 20),
    "nature": image(64, 64, 4),
    "mixed": MIXED,
    "bytes": Packed({"camera": image(20, 24, 3), "action_mask": image(2)}),
    "floats and a mask": Packed({"arm": VECTOR, "action_mask": image(2)}),
}


def torso_for(space, dtype=torch.float64, **options):
    torch.manual_seed(0)
    return make_torso(Config(**{"torso_size": 6, **options}), space).to(dtype)


def drawn(space, *batch, seed=0):
    """Random observations [*batch, *shape] of a space; each entry of a packed one within its bounds."""
    generator = np.random.default_rng(seed)
    if isinstance(space, Packed):
        rows = space.empty(*batch)
        for box, view in zip(space.boxes, space.views(rows), strict=True):
            view[...] = drawn(box, *batch, seed=seed).numpy()
        return torch.from_numpy(rows)
    low, high = np.maximum(space.low.astype(float), -2), np.minimum(space.high.astype(float), 255)
    whole = space.dtype.kind in "iu"
    draw = generator.integers if whole else generator.uniform
    numbers = draw(low, high + whole, (*batch, *space.shape))
    return torch.from_numpy(np.asarray(numbers).astype(space.dtype))


@pytest.mark.parametrize(
    ("space", "chosen"),
    [
        (VECTOR, MLPTorso),
        (Packed({"a": VECTOR, "b": Box(0, 1, ())}), MLPTorso),
        (Box(-1, 1, ()), JoinedTorso),
        (Box(-1, 1, (20, 20)), JoinedTorso),
        (image(2, 3, 20, 20), JoinedTorso),
        (image(7, 7, 3), GridTorso),
        (image(16, 16), GridTorso),
        (image(8, 8, 111, dtype=np.bool_, high=1), GridTorso),
        (Box(-3, 4, (5, 5, 2), dtype=np.int64), GridTorso),
        (Box(0, 1, (7, 7, 3)), JoinedTorso),
        (image(17, 17, 3), ConvTorso),
        (image(3, 42, 42), ConvTorso),
        (image(63, 96, 1), ConvTorso),
        (image(42, 42), ConvTorso),
        (Box(0, 1, (42, 42, 3)), ConvTorso),
        (image(64, 64, 3), NatureTorso),
        (image(4, 84, 84), NatureTorso),
        (image(210, 160, 3), NatureTorso),
        (image(6, 40, 3), JoinedTorso),
        (MIXED, JoinedTorso),
    ],
    ids=str,
)
def test_auto_chooses_by_the_space(space, chosen):
    torso = make_torso(Config(), space)
    assert type(torso) is chosen
    if space is MIXED:
        assert [type(part).__name__ for part in torso.parts] == ["Vector", "ConvTorso", "GridTorso"]
    if chosen is JoinedTorso and space is not MIXED:
        assert [type(part).__name__ for part in torso.parts] == ["Vector"]


@pytest.mark.parametrize(("layers", "written"), [(0, True), (1, True), (2, True)])
def test_a_vector_has_the_network_that_it_has_without_auto_bit_for_bit_and_its_torso_is_written_out(layers, written):
    options = {"torso_layers": layers, "seed": 3}
    auto, mlp = (make_agent(Config(torso=name, **options), VECTOR, Discrete(2)) for name in ("auto", "mlp"))
    assert is_written(auto.torso) == written
    for one, other in zip(auto.parameters(), mlp.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((20, 24), (20, 24, 1, True)),
        ((20, 24, 3), (20, 24, 3, True)),
        ((3, 20, 24), (20, 24, 3, False)),
        ((5, 5, 16), (5, 5, 16, True)),
        ((16, 5, 5), (5, 5, 16, False)),
        ((5, 5, 5), (5, 5, 5, True)),
        ((4, 4, 4, 4), None),
        ((4,), None),
        ((0, 5, 3), None),
        ((0, 5), None),
    ],
)
def test_channels_are_the_axis_that_is_unlike_the_others(shape, expected):
    assert as_image(shape) == expected


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_segment_is_read_as_its_rows_are_and_features_are_numbers_of_its_size(space, activation):
    torso, observations = torso_for(space, activation=activation), drawn(space, 4, 3)
    seen = observations.double() if observations.is_floating_point() else observations
    together = torso(seen)
    assert together.shape == (4, 3, 6) and torso.features == 6 and together.dtype == torch.float64
    rows = torch.stack([torso(row) for row in seen])
    alone = torch.stack([torch.stack([torso(one[None])[0] for one in row]) for row in seen])
    assert torch.allclose(together, rows, rtol=0, atol=1e-12) and torch.allclose(together, alone, rtol=0, atol=1e-12)
    assert together.std() > 0.005


@pytest.mark.parametrize("kind", [ConvTorso, NatureTorso])
@pytest.mark.parametrize("last", [True, False], ids=["channels last", "channels first"])
def test_convolutions_are_sums_over_windows_of_an_image_whose_bytes_are_divided_by_255(kind, last):
    side = 21 if kind is ConvTorso else 40
    shape = (side, side, 3) if last else (3, side, side)
    torso = torso_for(image(*shape), torso={ConvTorso: "conv", NatureTorso: "nature"}[kind])
    observation = drawn(image(*shape), 1)[0]
    seen = (observation if last else observation.permute(1, 2, 0)).double().numpy() / 255
    for layer, (filters, kernel, stride) in zip(torso.layers, kind.convolutions, strict=True):
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        size = (len(seen) - kernel) // stride + 1
        out = np.zeros((size, size, filters))
        for row in range(size):
            for column in range(size):
                window = seen[row * stride : row * stride + kernel, column * stride : column * stride + kernel]
                out[row, column] = np.einsum("hwc,fchw->f", window, weight) + bias
        seen = np.maximum(out, 0)
    flat = torch.from_numpy(np.moveaxis(seen, -1, 0).reshape(-1))
    expected = torch.tanh(torso.linear(flat))
    assert torch.allclose(torso(observation), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["conv", "nature", "grid"])
def test_first_weights_are_orthogonal_with_gain_root_2_and_biases_are_zero(name):
    torso = make_torso(Config(torso=name, torso_size=8), image(40, 40, 2))
    for layer in [*torso.layers, torso.linear]:
        rows = layer.weight.detach().flatten(1)
        rows = rows if len(rows) <= rows.shape[1] else rows.T
        assert torch.allclose(rows @ rows.T, 2 * torch.eye(len(rows)), atol=1e-5) and not layer.bias.any()


def test_a_grid_is_read_as_one_hots_are_whatever_the_size_of_its_numbers():
    """Each value of each channel has numbers of its own: 4 + 3 of them, the first channel from -1 to 2."""
    space = Box(np.array([[[-1, 0]]] * 2), np.array([[[2, 2]]] * 2), dtype=np.int64)
    torso = torso_for(space, torso="grid")
    values = torch.tensor([[[-1, 0]], [[2, 1]]])
    hots = torch.zeros(2, 1, 7, dtype=torch.float64)
    hots[0, 0, [0, 4]] = 1
    hots[1, 0, [3, 5]] = 1
    cells = (hots @ torso.embedding.weight).permute(2, 0, 1)  # embedded height width
    assert torch.allclose(torso(values), torch.tanh(torso.linear(cells.flatten())), rtol=0, atol=1e-12)


def test_a_joined_torso_reads_every_entry_but_the_action_mask():
    torso, observations = torso_for(MIXED), drawn(MIXED, 5)
    before = torso(observations)
    for entry, view in zip(MIXED.entries, MIXED.views(observations.numpy()), strict=True):
        kept = view.copy()
        view[...] = 1 - view if entry.name == "action_mask" else np.flip(view, axis=0)
        changed = (torso(observations) - before).abs().max()
        assert changed == 0 if entry.name == "action_mask" else changed > 1e-3, entry.name
        view[...] = kept


def test_an_unpacked_observation_has_the_arrays_that_were_packed():
    observations = drawn(MIXED, 4, 3)
    entries = Entries(MIXED)
    assert [part.name for part in entries.parts] == ["arm", "camera", "map"]
    views = list(MIXED.views(observations.numpy()))
    for part, view in zip(entries.unpack(observations), views, strict=False):
        assert part.numpy().dtype == view.dtype and np.array_equal(part.numpy(), view)


@pytest.mark.parametrize(
    ("name", "space", "line"),
    [
        ("nature", image(35, 84, 3), "images of at least 36 x 36 are needed, not of 35 x 84"),
        ("conv", image(20, 10), "images of at least 11 x 11 are needed, not of 20 x 10"),
        ("conv", VECTOR, "images are needed, height and width with channels before or behind them, not shape (3,)"),
        ("grid", Box(0, 1, (5, 5)), "grids of whole numbers with at most 256 categories are needed, not float32 of"),
        ("grid", Box(-(2**63), 2**63 - 1, (5, 5), dtype=np.int64), "at most 256 categories are needed, not int64 of"),
        ("grid", Box(0, 256, (5, 5), dtype=np.int64), "at most 256 categories are needed, not int64 of shape (5, 5)"),
        ("nature", Packed({"arm": VECTOR, "camera": image(20, 20, 3)}), "images of at least 36 x 36 are needed"),
    ],
    ids=str,
)
def test_what_a_torso_cannot_read_is_one_line_that_names_the_option(name, space, line):
    with pytest.raises(ValueError) as error:
        make_agent(Config(torso=name), space, Discrete(2))
    assert str(error.value).startswith(f"--torso {name}: ") and line in str(error.value)
    assert str(error.value).endswith("; --torso auto chooses by the space") and "\n" not in str(error.value)


class Flattening(nn.Linear):
    """A torso of a user that forgets that time and batch stand before the shape."""

    def __init__(self, space, size):
        super().__init__(space.shape[0], size)

    def forward(self, observations):
        return super().forward(observations).flatten(0, -2)


def test_a_torso_that_does_not_keep_time_and_batch_is_one_line_before_anything_starts():
    with pytest.raises(ValueError) as error:
        make_agent(Config(torso="tests.agent.test_torsos:Flattening", torso_size=5), Box(0, 1, (4,)), Discrete(2))
    line = "it must return features [time, batch, feature] of observations [time, batch, *shape], (2, 3, 5) of 2 steps"
    assert line in str(error.value) and str(error.value).endswith("3 environments, not (6, 5))")


class Counting(nn.Module):
    """A torso of a user that reads the entries which its space names."""

    def __init__(self, space, size):
        super().__init__()
        self.entries, self.linear = Entries(space), nn.Linear(len(space.entries), size)

    def forward(self, observations):
        counts = [part.flatten(observations.dim() - 1).sum(-1).double() for part in self.entries.unpack(observations)]
        return self.linear(torch.stack([*counts, torch.ones_like(counts[0])], dim=-1).to(self.linear.weight.dtype))


def test_a_torso_of_a_user_is_given_the_space_with_its_entries():
    agent = make_agent(Config(torso=f"{__name__}:Counting", torso_size=6), MIXED, Discrete(2))
    assert agent.features(drawn(MIXED, 4, 3)).shape == (4, 3, 6)


@pytest.mark.parametrize("core", ["mlp", "lstm"])
@pytest.mark.parametrize("unroll", ["again", "recorded"])
def test_reading_piece_by_piece_changes_no_gradient(core, unroll, monkeypatch):
    """A worker with 16 environments of 84 x 84 would otherwise keep hundreds of megabytes of convolutions."""
    from rl.agent.agent import AgentOutput
    from rl.agent.recorded.which import make_unrolled

    space, gradients = image(20, 24, 3), []
    config = Config(core=core, torso_size=6, hidden_size=5, dtype="float64", unroll=unroll)
    observations, is_first = drawn(space, 7, 3), torch.zeros(7, 3, dtype=torch.bool)
    for most in (10**9, 2 * 3 * space.high.size):
        monkeypatch.setattr(pieces, "MOST", most)
        agent = make_agent(config, space, Discrete(2))
        read, calls = agent.torso.forward, []
        agent.torso.forward = lambda seen, read=read, calls=calls: calls.append(seen.shape) or read(seen)
        unrolled = make_unrolled(agent, 7, 3, unroll == "recorded")
        output = unrolled.unroll(observations, agent.initial_state(3), is_first)
        unrolled.backward(AgentOutput(torch.ones_like(output.logits), torch.ones_like(output.values)))
        gradients.append(torch.cat([one.grad.flatten() for one in agent.parameters() if one.requires_grad]))
        again = 2 if most < 10**9 else 1  # forwards, and back
        assert [shape[0] for shape in calls] == ([7] if most == 10**9 else [2, 2, 2, 1]) * again or (
            sorted(shape[0] for shape in calls) == [1, 1, *[2] * 6]  # autograd goes back from the last piece
        )
    assert torch.allclose(*gradients, rtol=1e-9, atol=1e-12) and gradients[0].abs().max() > 1e-3
