"""Bias and variance of N-step returns: on games whose numbers are known, and that the copies are in one state."""

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

import envs
from experiments.chapter5.n_step_error import __main__ as n_step_error
from experiments.chapter5.n_step_error import rollouts
from experiments.chapter5.n_step_error.__main__ import Command, complete
from experiments.chapter5.n_step_error.example import worked_example, worked_table
from experiments.chapter5.n_step_error.figure import error_figure
from experiments.chapter5.n_step_error.measured import LENGTHS as MEASURED_LENGTHS
from experiments.chapter5.n_step_error.rollouts import Rollouts, measure, return_errors, roll_out
from experiments.chapter5.n_step_error.tables import error_table, least_errors
from experiments.lab import study
from rl.acting.randomness import TRAINING, ActionNoise
from rl.agent.actions.categorical import Categorical
from rl.agent.agent import AgentOutput
from rl.record.saved_agent import load_agent
from tests.support.rl_small import lively_agent, small_config
from tests.support.runs import ROOT

STEPS = 4  # of the game below, γ = 1/2: all of its numbers are binary fractions
LENGTHS = [1, 2, 3, 4, 50, 0]


class Coins(gymnasium.Env):
    """Observes its step and a number drawn at reset; earns its action, 0 or 1; ends after `length` steps."""

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own convention)
    observation_space = Box(-1000, 1000, (2,))
    action_space = Discrete(2)

    def __init__(self, length: int = STEPS, truncates: bool = False, dice: bool = False):
        self._length, self._truncates, self._dice, self._step = length, truncates, dice, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._step, self._drawn = 0, self.np_random.random()
        return np.array([0, self._drawn], dtype=np.float32), {}

    def step(self, action):
        self._step += 1
        if self._dice:
            self._drawn = np.random.random()
        last = self._step == self._length
        flags = last and not self._truncates, last and self._truncates
        return np.array([self._step, self._drawn], dtype=np.float32), float(action), *flags, {}


gymnasium.register("Coins-v0", Coins, max_episode_steps=6)  # which is lifted where returns are measured
CONFIG = small_config(env="Coins-v0", core="mlp", discount=0.5, reward_scale=0.25, dtype="float32")


class Hand(torch.nn.Module):
    """An agent that prefers action 1 by `preference` and whose critic is a function of the observation."""

    actions, dtype = Categorical(2), torch.float32

    def __init__(self, preference: float, critic):
        super().__init__()
        self.logits, self.critic = torch.nn.Parameter(torch.tensor([0.0, preference])), critic

    def initial_state(self, _batch):
        return ()

    def step(self, observation, core_state, _is_first):
        return AgentOutput(self.logits.expand(len(observation), 2), self.critic(observation)), core_state


def nothing(observation):
    return torch.zeros(len(observation))


def exact(observation):
    """What fair coins earn on average from a step on, weighted: ¼ · ½ (1 + ½ + … ), as many terms as steps are left."""
    return 0.25 * (1 - 0.5 ** (STEPS - observation[:, 0]))


def all_games(critic) -> Rollouts:
    """All 16 games of 4 fair coins, a copy each, then 56 steps of another episode that must not matter."""
    generator = torch.Generator().manual_seed(1)
    rewards, values = 100 * torch.randn(2, 61, 16, generator=generator, dtype=torch.float64)
    rewards[:STEPS] = torch.tensor(list(itertools.product((0.0, 1.0), repeat=STEPS))).T
    values[:STEPS] = torch.tensor([critic(t) for t in range(STEPS)], dtype=torch.float64)[:, None]
    discounts = torch.full((60, 16), 0.5, dtype=torch.float64)
    discounts[STEPS - 1] = 0
    return Rollouts(rewards[:60], discounts, values)


def test_with_a_critic_of_zero_the_bias_is_what_it_leaves_out_and_the_variance_that_of_the_coins_before():
    """bias_N = −½ Σ γᵗ over t ≥ N and variance_N = ¼ Σ γ²ᵗ over t < N (times 16/15, over B − 1), t < 4."""
    bias, squared_bias, variance = return_errors(all_games(lambda _t: 0.0), LENGTHS).T
    assert bias.tolist() == [-0.4375, -0.1875, -0.0625, 0, 0, 0]  # −½ (½ + ¼ + ⅛), −½ (¼ + ⅛), −½ · ⅛
    coins = np.array([1, 0.25, 0.0625, 0.015625]) / 4 * 16 / 15
    np.testing.assert_allclose(variance, [*coins.cumsum(), coins.sum(), coins.sum()])
    left_out = np.array([coins[n:].sum() for n in (1, 2, 3)])
    np.testing.assert_allclose(squared_bias[:3], bias[:3].square().numpy() - left_out / 16)


def test_with_an_exact_critic_there_is_no_bias_and_the_shorter_return_varies_less():
    bias, _, variance = return_errors(all_games(lambda t: 1 - 0.5 ** (STEPS - t)), LENGTHS).T
    assert bias.tolist() == [0] * 6
    assert variance[0] == pytest.approx(0.25 * 16 / 15)
    assert (variance[:4].diff() > 0).all() and variance[3] == variance[4] == variance[5]


def test_monte_carlo_has_no_bias_by_definition_whatever_the_critic_says():
    bias, squared_bias, _ = return_errors(all_games(lambda t: 17.0 * t - 3), LENGTHS).T
    assert bias[-1] == squared_bias[-1] == 0
    assert (bias[:3].abs() > 1).all()


def test_noise_alone_is_no_squared_bias():
    """8 of the 16 games at random, 2,000 times: the plain square of the mean difference would be 0.01 on average."""
    games, generator, found = all_games(lambda t: 1 - 0.5 ** (STEPS - t)), np.random.default_rng(0), []
    for _ in range(2_000):
        drawn = generator.integers(16, size=8)
        games_drawn = Rollouts(games.rewards[:STEPS, drawn], games.discounts[:STEPS, drawn], games.values[:, drawn])
        found.append(return_errors(games_drawn, [1])[0])
    bias, squared_bias, variance = torch.stack(found).T
    assert bias.square().mean() > 0.009
    assert abs(squared_bias.mean()) < 4 * squared_bias.std() / 2_000**0.5 < 0.002
    assert variance.mean() == pytest.approx(0.25, rel=0.05)


# --- measured by playing


@pytest.fixture
def short(monkeypatch):
    """Few N, and 8 steps instead of 200."""
    monkeypatch.setattr(rollouts, "LENGTHS", {"1": 1, "2": 2, "MC": 0})
    monkeypatch.setattr(rollouts, "HORIZON", 8)


def measured(agent, config=CONFIG, states=16, copies=100):
    rows = measure(agent, config, envs.make_vector, states, copies)
    return {row["N"]: (row["bias"], row["squared_bias"], row["variance"]) for row in rows}


def test_played_with_an_exact_critic_one_step_varies_by_one_coin_and_has_no_bias(short):
    """16 · 100 games: a mean of coins is known within 4 · ½ / √1600 = 0.05, in the environment's own rewards."""
    found = measured(Hand(0.0, exact))
    assert abs(found["1"][0]) < 0.05 and abs(found["2"][0]) < 0.05
    assert abs(found["1"][1]) < 0.002 and abs(found["2"][1]) < 0.002
    assert found["1"][2] == pytest.approx(0.25, rel=0.05)
    assert found["1"][2] < found["2"][2] < found["MC"][2] < 1 / 3  # ¼ (1 + ¼ + …)


def test_played_with_a_critic_of_zero_returns_are_short_of_what_comes_after(short, monkeypatch):
    """Without end, but for the 8 steps: −½ (½ + … + 2⁻⁷) after 1 step and −½ (¼ + … + 2⁻⁷) after 2."""
    monkeypatch.setattr(rollouts, "MOST_STEPS", 5)
    found = measured(Hand(0.0, nothing), replace(CONFIG, env_arg=("length=1000000",)))
    assert found["1"][0] == pytest.approx(-0.496, abs=0.03)
    assert found["2"][0] == pytest.approx(-0.246, abs=0.02)
    assert found["1"][1] == pytest.approx(0.246, abs=0.03)
    assert found["2"][2] == pytest.approx(0.3125, rel=0.06)  # ¼ (1 + ¼)


def test_a_policy_that_always_does_the_same_has_no_variance_and_the_bias_of_the_critics_error(short):
    """At every step of an endless game it earns 1: v = 2 − 2⁻⁷. A critic that says 6 is wrong by 4 / 2ᴺ."""
    agent = Hand(1e6, lambda observation: torch.full((len(observation),), 6 * 0.25))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollouts, "MOST_STEPS", 5)
        found = measured(agent, replace(CONFIG, env_arg=("length=1000000",)), states=3, copies=5)
    assert found["1"] == pytest.approx((2 + 2**-7, (2 + 2**-7) ** 2, 0), rel=1e-5)
    assert found["2"] == pytest.approx((1 + 2**-7, (1 + 2**-7) ** 2, 0), rel=1e-5)
    assert found["MC"] == (0, 0, 0)


@pytest.mark.parametrize("core", ["mlp", "lstm"])
def test_after_the_prefix_all_copies_are_in_the_state_of_the_episode_and_the_agent_remembers_it(core):
    config = small_config(env="MaskedVelocityCartPole-v1", core=core, discount=0.9, reward_scale=0.05)
    agent = lively_agent(config, 2)
    options = config.environment_options | {"env_args": {"max_episode_steps": -1}}
    single, many = (envs.make_vector(config.env, number, **options) for number in (1, 20))
    prefix = [1, 0, 0, 1, 1, 1, 0]
    observations = [single.reset(seed=[3])[0]] + [single.step(np.array([action]))[0] for action in prefix]
    first = torch.zeros(8, 1, dtype=torch.bool)
    first[0] = True
    with torch.no_grad():
        output, _ = agent.unroll(torch.from_numpy(np.stack(observations)).double(), agent.initial_state(1), first)
    rewards, discounts, values = roll_out(agent, config, many, 3, prefix, ActionNoise(1, TRAINING, range(20)))
    torch.testing.assert_close(values[0], output.values[-1].expand(20) / 0.05)
    assert len(set(values[5].tolist())) > 1  # then each goes its own way
    fell = (discounts == 0).double().argmax(0)
    assert (rewards[0] == 1).all() and len(set(fell.tolist())) > 1 and discounts.unique().tolist() == [0, 0.9]
    assert fell.min() >= 2


def test_a_time_limit_and_copies_that_draw_for_themselves_are_refused():
    agent, noise = Hand(0.0, nothing), ActionNoise(1, TRAINING, range(3))
    for env_args, line in (
        ({"truncates": True}, "a time limit cut an episode"),
        ({"dice": True}, "not lead all copies"),
    ):
        many = envs.make_vector("Coins-v0", 3, env_args=env_args)
        with pytest.raises(ValueError, match=line):
            roll_out(agent, CONFIG, many, 1, [0, 1], noise)
    with pytest.raises(ValueError, match="not lead all copies"):  # the episode ends within the prefix
        roll_out(agent, CONFIG, envs.make_vector("Coins-v0", 3), 1, [0] * STEPS, noise)


def test_states_are_of_every_step_of_the_policys_own_episodes_and_of_other_episodes_each(short, monkeypatch):
    led = []

    def noted(agent, config, environments, seed, prefix, noise):
        led.append((seed, tuple(prefix)))
        return roll_out(agent, config, environments, seed, prefix, noise)

    monkeypatch.setattr(rollouts, "roll_out", noted)
    measured(Hand(1e6, nothing), states=32, copies=2)
    assert {prefix for _, prefix in led} == {(1,) * steps for steps in range(STEPS)}
    assert len({seed for seed, _ in led}) == 32


# --- the command


def test_what_has_its_rows_is_neither_trained_nor_measured_again(tmp_path, monkeypatch):
    monkeypatch.setattr(n_step_error, "STAGES", (20, 40))
    small = {"total_env_steps": 20, "hidden_size": 4, "torso_size": 4, "eval_episodes": 1, "log_interval": 20}
    monkeypatch.setattr(n_step_error, "CHAPTER", replace(n_step_error.CHAPTER, **small))
    command = Command(seeds=1, states=2, rollouts=3, processes=1, runs_dir=tmp_path / "runs", wandb="disabled")
    rows = complete(command, tmp_path)
    assert [(row["seed"], row["env_steps"], row["N"]) for row in rows] == [
        (1, steps, n) for steps in (20, 40) for n in ("1", "2", "5", "10", "20", "50", "MC")
    ]
    file = tmp_path / "n_step_error.csv"
    whole = file.read_text()
    file.write_text(whole[:-40])  # killed while it wrote the last row
    read, load = [], load_agent
    monkeypatch.setattr(
        "rl.record.saved_agent.load_agent", lambda folder, make: read.append(Path(folder).name) or load(folder, make)
    )
    assert complete(command, tmp_path) == rows and file.read_text() == whole
    assert read == ["40-s1"]
    with pytest.raises(ValueError, match="its rows of seed 1, 20 env steps, are of other options"):
        complete(replace(command, states=3), tmp_path)
    monkeypatch.setattr(study, "train_missing", lambda *_, **__: pytest.fail("trained"))
    assert complete(replace(command, runs_dir=tmp_path / "none"), tmp_path) == rows  # as in a fresh clone
    error_figure(rows, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_the_runs_are_the_chapters_agent_alone_at_three_stages():
    configs = Command(seeds=2, first_seed=4).configs()
    assert list(configs) == [(seed, steps) for seed in (4, 5) for steps in (7_000, 35_000, 70_000)]
    for (seed, steps), config in configs.items():
        assert (config.seed, config.total_env_steps, config.wandb_group) == (seed, steps, "chapter5-n-step-error")
        assert (config.mode, config.segment_length, config.anneal_learning_rate) == ("serial", 10, False)
        assert config.run_dir == f"runs/chapter5/n_step_error/{steps}-s{seed}"


def hand_made_rows():
    """Two seeds: N = 5 is the best of both together, (5 + 4) / 2, but MC, (4 + 6) / 2, is of the first."""
    squares = {"5": [(9, 16), (-1e-3, 16)], "MC": [(0, 16), (0, 36)]}
    return [
        {"seed": seed, "env_steps": 70, "N": n, "bias": 0.0, "squared_bias": b, "variance": v}
        for n in MEASURED_LENGTHS
        for seed, (b, v) in enumerate(squares.get(n, [(100, 0), (100, 0)]), start=1)
    ]


def test_the_table_has_roots_for_each_seed_and_then_their_mean_and_interval():
    lines = {line.split("|")[1].strip(): line for line in error_table(hand_made_rows()).splitlines()}
    assert lines["N"] == "| N | 70: bias | 70: deviation | 70: total |"
    assert lines["5"] == "| 5 | 1.50 [0.00, 3.00] | 4.00 [4.00, 4.00] | 4.50 [4.00, 5.00] |"
    assert lines["MC"] == "| MC | 0.00 [0.00, 0.00] | 5.00 [4.00, 6.00] | 5.00 [4.00, 6.00] |"


def test_the_n_of_the_least_error_is_that_of_the_mean_over_seeds():
    said = least_errors(hand_made_rows())
    assert said == (
        "The N of the least total error: after 70 env steps 5, with 4.50 (1: 10.00, MC: 5.00; least in 1 of 2 seeds)."
    )


def test_the_chapters_example_has_the_chapters_numbers():
    """γ = 0.99, at index 1: 1 − γ and 1 + γ without bootstrap; 0.9801 more with one of 1."""
    found = [returns[1] for _, _, returns in worked_example()]
    assert found == pytest.approx([0.01, 1.99, 0.9901, 2.9701], abs=1e-12)
    table = worked_table()
    assert "| 1, 1, -1 | 0 | -1 | 0.01 |" in table and "| 1, 1, 1 | 1 | 1.99 | 2.9701 |" in table
    assert "199 times the other without bootstrap and 3 times with it; the difference is 1.98 and 1.98" in table


def test_help_opens_at_once_and_explains_the_options():
    command = [sys.executable, "-X", "importtime", "-m", "experiments.chapter5.n_step_error", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "--rollouts" in done.stdout and "0.95^200 = 3.5e-5" in done.stdout
    assert not any(module in done.stderr for module in ("matplotlib", "torch", "wandb"))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--seeds", "0"], "error: --seeds 0: a whole number of at least 1 is needed"),
        (["--first-seed", "-1"], "error: --first-seed -1: a whole number of at least 0 is needed"),
        (["--states", "0"], "error: --states 0: a whole number of at least 1 is needed"),
        (["--rollouts", "1"], "error: --rollouts 1: a whole number of at least 2 is needed"),
        (["--processes", "0"], "error: --processes 0: a whole number of at least 1 is needed"),
        (["--rollouts", "many"], "error: --rollouts 'many': a whole number is needed"),
    ],
)
def test_a_wrong_option_is_one_line_before_anything_is_trained(options, line, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["n_step_error", "--runs-dir", str(tmp_path / "runs"), *options])
    with pytest.raises(SystemExit) as end:
        n_step_error.main()
    assert end.value.code == 2
    assert capsys.readouterr().err.strip() == line
    assert not (tmp_path / "runs").exists()
