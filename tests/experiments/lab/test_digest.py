"""Digests: what changes them, and what does not."""

import itertools
from dataclasses import fields, replace
from functools import partial

import pytest

from experiments.chapter5.printed import AS_PRINTED, MONTE_CARLO_AS_PRINTED, OwnAdamLearner, listed, listed_returns
from experiments.lab import digest as digests
from experiments.lab.digest import digest
from rl.config import Config
from rl.config_rules import option
from rl.loop import NO_OVERRIDES, Overrides
from tests.support.configs import cartpole_config

NOT_OF_LEARNING = {
    "seed": 2,
    "run_dir": "elsewhere",
    "wandb": "offline",
    "wandb_project": "x",
    "wandb_name": "x",
    "wandb_group": "x",
    "log_info": "x",
    "checkpoint_interval": 1,
}


BASE = cartpole_config(mode="serial", workers=1, envs_per_worker=1, returns="n_step", core="mlp")


OTHER = {
    "env": "CartPole-v1",
    "env_arg": ("a=1",),
    "observe": "a",
    "observation_scale": "l2",
    "core": "gru",
    "torso": "a_module:ATorso",
    "activation": "relu",
    "initialisation": "torch",
    "unroll": "again",
    "mode": "sync",
    "workers": 3,
    "returns": "gae",
    "baseline": "none",
    "loss_reduction": "sum",
    "dtype": "float64",
    "discount": 0.5,
    "gae_lambda": 0.5,
    "adam_beta1": 0.5,
    "adam_beta2": 0.5,
    "algorithm": "q_online",
    "epsilon_first": 0.5,
    "epsilon_last": 0.5,
    "replay_way": "zero",
    "eval_interval": 10_000,
    "reduce": "all_reduce",
    "reward_threshold": 1.0,
    "init_from": "runs/x",
    "action_std": "head",
    "action_bounds": "tanh",
}


def changed(name):
    """BASE, and the same with another value of one option; more workers, or others, only where the mode has any."""
    of_async = name in ("workers", "restart_workers")
    base, value = replace(BASE, mode="async") if of_async else BASE, getattr(BASE, name)
    if name == "keep_best":  # needs evaluations
        base = replace(base, eval_interval=10_000)
    if name == "carry_gradient":
        base = replace(base, core="rtu")
    if name not in OTHER:
        value = not value if isinstance(value, bool) else value + 1
    return base, replace(base, **{name: OTHER.get(name, value)})


@pytest.mark.parametrize("name", [field.name for field in fields(Config) if field.name not in NOT_OF_LEARNING])
def test_a_digest_changes_with_every_option_that_a_run_learns_by(name):
    base, other = changed(name)
    assert other != base and digest(other, NO_OVERRIDES) != digest(base, NO_OVERRIDES), option(name)


@pytest.mark.parametrize("name", NOT_OF_LEARNING)
def test_a_digest_does_not_change_with_the_seed_or_where_the_record_goes(name):
    assert digest(replace(BASE, **{name: NOT_OF_LEARNING[name]}), NO_OVERRIDES) == digest(BASE, NO_OVERRIDES)


def test_a_digest_does_not_change_where_the_module_of_an_environment_moves():
    ids = "CartPole-v1", "a.module:CartPole-v1", "another.module:CartPole-v1"
    assert len({digest(replace(BASE, env=env), NO_OVERRIDES) for env in ids}) == 1


def test_a_digest_is_eight_letters_of_the_options_that_are_not_at_their_default(monkeypatch):
    """So a row stays valid when Config gets an option later: here one that is always at its default."""
    before = digest(BASE, NO_OVERRIDES)
    assert before == "23502995", "rows that were written before would no longer be found"
    assert digest(BASE, AS_PRINTED) == "a8cd987c"  # in any process: not of addresses
    assert digest(replace(BASE, discount=cartpole_config().discount), NO_OVERRIDES) == before
    everything = digests.asdict
    monkeypatch.setattr(digests, "asdict", lambda config: {**everything(config), "later": 0})
    assert digest(BASE, NO_OVERRIDES) == before


def test_a_digest_changes_with_the_parts_and_with_their_arguments():
    faults = [
        NO_OVERRIDES,
        *(listed(*flags) for flags in itertools.product((False, True), repeat=4) if any(flags)),
        Overrides(partial(listed_returns, off_by_one=True)),
        Overrides(partial(listed_returns, 1)),
        Overrides(partial(listed_returns, 2)),
        Overrides(listed_returns),
        Overrides(None, Config),
    ]
    assert len({digest(BASE, parts) for parts in faults}) == len(faults) == 21
    assert digest(BASE, listed(True, True, True, True)) == digest(BASE, AS_PRINTED)
    assert digest(BASE, Overrides(None, OwnAdamLearner)) == digest(BASE, listed(False, False, False, True))
    assert digest(BASE, MONTE_CARLO_AS_PRINTED) != digest(BASE, AS_PRINTED)
    assert digest(BASE, Overrides(watch=print)) == digest(BASE, NO_OVERRIDES)  # nothing is learnt by what only watches
