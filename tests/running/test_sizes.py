"""Sizes beyond the machine."""

import os
import re

import pytest
from gymnasium.spaces import Box, Discrete

import envs
from rl.agent.build import make_agent
from rl.running import sizes
from rl.running.setup import set_up
from tests.support.configs import cartpole_config
from tests.support.runs import SERIAL, TINY


@pytest.mark.parametrize(
    ("name", "value", "options"),
    [
        ("hidden_size", 200_000, {}),
        ("hidden_size", 10**12, {}),
        ("torso_size", 10**9, {}),
        ("value_hidden_size", 10**10, {}),
        ("core_layers", 10**6, {"hidden_size": 4096}),
        ("envs_per_worker", 10**10, {}),
        ("segment_length", 10**11, {}),
        ("replay_capacity", 10**12, {"algorithm": "q_replay"}),
        ("replay_batch", 10**11, {"algorithm": "q_replay"}),
        ("workers", 100_000, {"mode": "async"}),
    ],
)
def test_a_size_beyond_the_machine_is_one_line_that_names_it_and_the_bytes(monkeypatch, name, value, options):
    """Nothing is allocated before. The machine here has 8 GB."""
    monkeypatch.setattr(sizes, "available_bytes", lambda: 8 * 10**9)
    config = cartpole_config(**{**SERIAL, **options, name: value})
    words = (
        rf"^--{name.replace('_', '-')} {value}: the run would take [\d,]+ bytes of memory \([\d,.]+ GB\), and 8\.0 GB"
    )
    with pytest.raises(ValueError, match=words):
        set_up(config, envs.make_vector)


def test_so_is_a_stack_of_frames_before_one_is_made(monkeypatch):
    monkeypatch.setattr(sizes, "available_bytes", lambda: 8 * 10**9)
    with pytest.raises(ValueError, match=r"^--frame-stack 2000000000: one observation would take [\d,]+ bytes"):
        set_up(cartpole_config(**SERIAL, frame_stack=2 * 10**9), envs.make_vector)


def test_a_run_that_fits_is_no_error_and_one_that_does_not_quite_is(monkeypatch):
    config, probe = cartpole_config(**SERIAL), envs.make_vector("CartPole-v1", 1)
    needed = sizes.bytes_needed(config, probe.single_observation_space, probe.single_action_space)
    monkeypatch.setattr(sizes, "available_bytes", lambda: needed)
    sizes.require_memory(config, probe)
    monkeypatch.setattr(sizes, "available_bytes", lambda: needed - 1)
    with pytest.raises(ValueError, match=rf"would take {needed:,} bytes"):
        sizes.require_memory(config, probe)


@pytest.mark.parametrize("core", ["mlp", "rnn", "gru", "lstm"])
@pytest.mark.parametrize(
    "options",
    [{}, {"separate_critic": True, "value_hidden_size": 3, "core_layers": 3, "torso_layers": 2}, {"torso_layers": 0}],
    ids=["plain", "more of all", "no torso"],
)
def test_parameters_are_counted_without_their_memory(core, options):
    config, spaces = cartpole_config(core=core, hidden_size=5, torso_size=7, **options), (Box(-1, 1, (5,)), Discrete(3))
    counted = sizes.parameters_of(config, *spaces)
    assert counted == sum(parameter.numel() for parameter in make_agent(config, *spaces).parameters())


def test_more_workers_than_there_are_descriptors_for_are_one_line(monkeypatch):
    monkeypatch.setattr(sizes.resource, "getrlimit", lambda _what: (64, 64))
    config = cartpole_config(**{**TINY, "workers": 20})
    with pytest.raises(ValueError, match=r"^--workers 20: at most 8 is needed, `ulimit -n` is 64$"):
        set_up(config, envs.make_vector)


def test_memory_that_is_free_is_that_of_the_machine_or_of_the_container(monkeypatch, tmp_path):
    free = sizes.available_bytes()
    assert 0 < free <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name, text in (("max", "1000\n"), ("current", "900\n"), ("stat", "anon 5\ninactive_file 300\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert min(sizes.free_of_group(str(tmp_path))) == 1000 - 900 + 300
    (tmp_path / "memory.max").write_text("max\n")
    assert sizes.free_of_group(str(tmp_path)) == []
    assert re.fullmatch(r"[\d,]+\.\d GB", sizes.in_gb(free))
