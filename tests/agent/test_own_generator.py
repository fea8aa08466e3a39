"""Parameters come from a generator of their own."""

import threading

import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import nn

from rl.agent import build
from rl.agent.build import make_agent
from rl.agent.own_generator import OwnGenerator
from rl.presets import PRESETS
from tests.support.bits import assert_bit_equal
from tests.support.configs import cartpole_config

SPACES = Box(-1, 1, (3,)), Discrete(2)
CONFIGS = [
    {},
    *({"core": core} for core in ("mlp", "rnn", "gru")),
    {"core_layers": 2, "torso_layers": 2},
    *PRESETS.values(),
]


class Nothing:
    """Stands in the place of what gives an agent a generator of its own."""

    def __init__(self, _seed):
        pass

    def __enter__(self):
        pass

    def __exit__(self, *_error):
        pass


def parameters(config):
    return [one.detach() for one in make_agent(config, *SPACES).parameters()]


@pytest.mark.parametrize("options", CONFIGS, ids=str)
def test_the_parameters_are_those_of_torchs_global_generator_seeded_alike(monkeypatch, options):
    config = cartpole_config(**{"hidden_size": 8, "torso_size": 8, **options, "seed": 5})
    own = parameters(config)
    monkeypatch.setattr(build, "OwnGenerator", Nothing)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        assert_bit_equal(own, parameters(config))


def test_they_are_the_same_whatever_another_thread_draws_or_seeds_and_it_notices_nothing():
    """optuna/optuna#3045: a thread that draws from the global generator changes what others draw."""
    config = cartpole_config(core="gru", hidden_size=16, torso_size=16)
    alone, ended, before = parameters(config), threading.Event(), torch.random.get_rng_state()

    def draw():
        while not ended.is_set():
            torch.manual_seed(1)
            torch.rand(3)

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        for _ in range(20):
            assert_bit_equal(parameters(config), alone)
    finally:
        ended.set()
        thread.join()
        torch.random.set_rng_state(before)
    parameters(config)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.rand(5),
        lambda: torch.randn(2, 20),
        lambda: torch.randint(3, 9, (4,)),
        lambda: torch.randperm(7),
        lambda: torch.rand_like(torch.empty(4, 5)),
        lambda: torch.randn_like(torch.empty(40, dtype=torch.float64)),
        lambda: torch.randint_like(torch.empty(4), 2, 9),
        lambda: torch.normal(torch.zeros(20), torch.ones(20)),
        lambda: torch.bernoulli(torch.full((9,), 0.5)),
        lambda: torch.empty(8).exponential_(),
        lambda: nn.init.trunc_normal_(torch.empty(30)),
        lambda: nn.init.kaiming_normal_(torch.empty(5, 5)),
        lambda: nn.init.xavier_uniform_(torch.empty(5, 5)),
        lambda: nn.init.sparse_(torch.empty(5, 5), 0.5),
        lambda: torch.cat([part.flatten() for part in nn.MultiheadAttention(8, 2).parameters()]),
        lambda: torch.cat([part.flatten() for part in nn.Conv2d(3, 4, 2).parameters()]),
        lambda: nn.Embedding(3, 9).weight,
    ],
)
def test_every_way_to_draw_uses_it_and_draws_what_the_seed_says(draw):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        expected, before = draw(), torch.random.get_rng_state()
        torch.manual_seed(8)
        state = torch.random.get_rng_state()
        with OwnGenerator(7):
            own = draw()
        assert torch.equal(torch.random.get_rng_state(), state) and not torch.equal(state, before)
    assert torch.equal(own, expected)
