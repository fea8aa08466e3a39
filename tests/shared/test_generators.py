"""The random generators that all code of a process shares."""

import io
import random

import numpy as np
import torch

from rl.shared.generators import (
    generators_put_back,
    generators_state,
    load_generators_state,
    seed_generators,
    seeded_generators,
)


def drawn():
    return [random.random(), np.random.normal(), float(torch.rand(())), random.gauss(0, 1), np.random.normal()]


def test_the_same_seed_draws_the_same_and_another_one_something_else():
    with generators_put_back():
        draws = []
        for seed in (1, 1, 2):
            seed_generators(np.random.SeedSequence(seed))
            draws.append(drawn())
    assert draws[0] == draws[1] and not set(draws[0]) & set(draws[2])


def test_they_go_on_from_a_state_that_a_checkpoint_can_hold():
    """In the middle of a pair of normal numbers, which NumPy draws two at a time."""
    with generators_put_back():
        np.random.normal()
        file = io.BytesIO()
        torch.save(generators_state(), file)
        first = drawn()
        file.seek(0)
        load_generators_state(torch.load(file, weights_only=True))
        assert drawn() == first


def test_the_callers_generators_draw_what_they_would_have_drawn():
    """DLR-RM/stable-baselines3#973"""
    with generators_put_back():
        seed_generators(np.random.SeedSequence(3))
        expected = drawn()
        seed_generators(np.random.SeedSequence(3))
        with seeded_generators(np.random.SeedSequence(4)):
            drawn()
        assert drawn() == expected
