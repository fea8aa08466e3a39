"""The book chapter (Zai & Brown 2020, Deep Reinforcement Learning in Action, chapter 5): its numbers, its losses, its
settings, by this library.

The agent of the worked examples is a table: row t has the logits and the value of step t, so that every loss and every
gradient can be followed on paper. Rewards are weighted by 0.05 = 1 − γ.
"""

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import envs
from rl.acting.segment import Segment
from rl.agent.actions.categorical import Categorical
from rl.agent.agent import AgentOutput
from rl.agent.build import agent_for
from rl.config import Config
from rl.learning.actor_critic import explained_variance
from rl.learning.returns import n_step_returns, targets
from rl.presets import ATARI, CHAPTER, PRESETS, SPEED
from rl.running.run import new_run
from tests.support.configs import cartpole_config
from tests.support.rl_small import differentiate, is_recorded, segment_loss, small_collector, small_config


class Table(nn.Module):
    """Says, at step t, its row t: probabilities of two actions, and a value."""

    actions = Categorical(2)

    def __init__(self, probabilities: list[float], values: list[float]) -> None:
        """Of action 1 at each step; a value for each step and for what follows."""
        super().__init__()
        last = [0.5]  # nobody acts on what follows
        rows = [[math.log(1 - p), math.log(p)] for p in probabilities + last]
        self.logits = nn.Parameter(torch.tensor(rows, dtype=torch.float64)[:, None])
        self.values = nn.Parameter(torch.tensor(values, dtype=torch.float64)[:, None])

    def unroll(self, observations, core_state, is_first):
        return AgentOutput(self.logits, self.values), core_state


def segment_of(rewards: list[float], end: str = "terminated", final_value: float = 0.0) -> Segment:
    """One environment that took action 1 at every step; the last step ended the episode, or it goes on."""
    steps = len(rewards)
    nowhere = torch.zeros(steps, 1, dtype=torch.bool)
    last = nowhere.clone()
    last[-1] = True
    return Segment(
        observations=torch.zeros(steps + 1, 1, 1),
        is_first=torch.zeros(steps + 1, 1, dtype=torch.bool),
        actions=torch.ones(steps, 1, dtype=torch.int64),
        rewards=torch.tensor(rewards, dtype=torch.float64)[:, None],
        terminated=last if end == "terminated" else nowhere,
        truncated=last if end == "truncated" else nowhere,
        truncation_values=final_value * last.double(),
        core_state=(),
    )


def preset(name: str, **options) -> Config:
    return cartpole_config(**{**PRESETS[name], **options})


def returns_of(agent: Table, segment: Segment, config: Config) -> list[float]:
    return targets(segment, agent.values.detach(), config).flatten().tolist()


def advantages_of(agent: Table, segment: Segment, config: Config) -> list[float]:
    """What the policy term weighs log π(aₜ) by, read from the gradient of the loss: −(1 − π(aₜ)) Âₜ at its logit."""
    config = dataclasses.replace(config, loss_reduction="sum")
    agent.zero_grad()
    segment_loss(agent, segment, config)[0].backward()
    others = 1 - agent.logits.detach().softmax(-1)[:-1, 0, 1]
    return (-agent.logits.grad[:-1, 0, 1] / others).tolist()


def loss_of(agent: Table, segment: Segment, config: Config) -> float:
    return segment_loss(agent, segment, config)[0].item()


def near(numbers):
    return pytest.approx(numbers, rel=0, abs=1e-12)


# --- worked numbers


def test_a_step_that_earns_10_and_leads_from_a_state_worth_5_to_one_worth_7_has_an_advantage_of_11_3():
    """10 + 0.9 · 7 − 5 = 11.3."""
    agent, segment = Table([0.5], [5.0, 7.0]), segment_of([10.0], end="goes on")
    config = cartpole_config(
        returns="n_step", segment_length=1, discount=0.9, reward_scale=1.0, normalise_advantages=False
    )
    assert returns_of(agent, segment, config) == near([16.3])
    assert advantages_of(agent, segment, config) == near([11.3])
    online = preset("online", discount=0.9, reward_scale=1.0)
    assert advantages_of(agent, segment, online) == near([11.3])


@pytest.mark.parametrize(("value", "advantage"), [(4.0, 6.0), (15.0, -5.0)])
def test_a_return_of_10_is_6_better_than_a_baseline_of_4_and_5_worse_than_one_of_15(value, advantage):
    agent, segment = Table([0.3], [value, 0.0]), segment_of([10.0])
    assert advantages_of(agent, segment, preset("reinforce-baseline", reward_scale=1.0)) == near([advantage])
    assert advantages_of(agent, segment, preset("reinforce", reward_scale=1.0)) == near([10.0])  # has no baseline


@pytest.mark.parametrize(
    ("rewards", "start", "at_1"),
    [([1, 1, -1], 0.0, 0.01), ([1, 1, 1], 0.0, 1.99), ([1, 1, -1], 1.0, 0.9901), ([1, 1, 1], 1.0, 2.9701)],
)
def test_three_rewards_summed_from_the_end_down_to_index_1(rewards, start, at_1):
    """γ = 0.99. Without a bootstrap 1 − 0.99 = 0.01 and 1 + 0.99 = 1.99; where what follows is worth 1,
    1 + 0.99 (−1 + 0.99) = 0.9901 and 1 + 0.99 (1 + 0.99) = 2.9701."""
    column = torch.tensor(rewards, dtype=torch.float64)[:, None]
    returns = n_step_returns(column, torch.full_like(column, 0.99), torch.tensor([start], dtype=torch.float64))
    assert returns[1].item() == near(at_1)
    assert returns[0].item() == near(1 + 0.99 * at_1)
    config = cartpole_config(returns="n_step", discount=0.99, reward_scale=1.0, bootstrap=start != 0.0)
    values = torch.tensor([[8.0], [8.0], [8.0], [1.0]], dtype=torch.float64)
    assert targets(segment_of(rewards, end="goes on"), values, config)[1].item() == near(at_1)


# --- one episode by hand: three steps earn 1, 1 and −10, the fall; γ = 0.95
#
# in rewards  −10;   1 − 0.95 · 10 = −8.5;   1 − 0.95 · 8.5 = −7.075
# weighted    −0.5;  −0.425;                 −0.35375

FALL = [1.0, 1.0, -10.0]
RETURNS = [-0.35375, -0.425, -0.5]
PROBABILITIES = [0.5, 0.8, 0.4]  # of the actions that were taken
VALUES = [0.2, -0.1, 0.3, 0.6]  # of the three states, and of the one that follows
ADVANTAGES = [-0.35375 - 0.2, -0.425 + 0.1, -0.5 - 0.3]
LOGS = [math.log(0.5), math.log(0.8), math.log(0.4)]


def test_reinforce_by_hand():
    """L = −Σ log π(aₜ) Rₜ, and no critic: its values move nothing and are not moved."""
    agent, segment, config = Table(PROBABILITIES, VALUES), segment_of(FALL), preset("reinforce")
    assert returns_of(agent, segment, config) == near(RETURNS)
    expected = -(LOGS[0] * -0.35375 + LOGS[1] * -0.425 + LOGS[2] * -0.5)
    assert loss_of(agent, segment, config) == near(expected)
    assert loss_of(agent, segment, preset("reinforce", reward_scale=1.0)) == near(20 * expected)
    assert loss_of(Table(PROBABILITIES, [9.0, -9.0, 5.0, 7.0]), segment, config) == near(expected)
    segment_loss(agent, segment, config)[0].backward()
    assert agent.values.grad.count_nonzero() == 0
    gradient = [(1 - p) * -weight for p, weight in zip(PROBABILITIES, RETURNS, strict=True)]  # ∂ log π = 1 − π
    assert agent.logits.grad[:, 0, 1].tolist() == near([*gradient, 0.0])
    assert agent.logits.grad[:, 0, 0].tolist() == near([*(-number for number in gradient), 0.0])


def test_reinforce_with_a_baseline_by_hand():
    """L = −Σ log π(aₜ) (Rₜ − Vₜ) + 0.1 Σ (Rₜ − Vₜ)²; the advantage is a number: no gradient of the policy term reaches
    the critic."""
    agent, segment, config = Table(PROBABILITIES, VALUES), segment_of(FALL), preset("reinforce-baseline")
    assert returns_of(agent, segment, config) == near(RETURNS)
    assert advantages_of(agent, segment, config) == near(ADVANTAGES)
    actor = -(LOGS[0] * -0.55375 + LOGS[1] * -0.325 + LOGS[2] * -0.8)
    critic = 0.55375**2 + 0.325**2 + 0.8**2
    assert loss_of(agent, segment, config) == near(actor + 0.1 * critic)
    agent.zero_grad()
    segment_loss(agent, segment, config)[0].backward()
    assert agent.values.grad.flatten().tolist() == near([*(-2 * 0.1 * advantage for advantage in ADVANTAGES), 0.0])


@pytest.mark.parametrize("name", ["reinforce", "reinforce-baseline"])
def test_reinforce_has_no_critic_to_ask_what_follows(name):
    """A time limit after the third step: 1, 1, 1 is all there is, whatever V(final observation) and the bootstrap."""
    agent = Table(PROBABILITIES, VALUES)
    for segment in (segment_of([1.0] * 3, "truncated", final_value=0.9), segment_of([1.0] * 3, "goes on")):
        assert returns_of(agent, segment, preset(name)) == near([0.142625, 0.0975, 0.05])


@pytest.mark.parametrize("name", ["monte-carlo", "chapter5", "chapter5-sync", "chapter5-lstm"])
def test_distributed_advantage_actor_critic_of_a_whole_episode_by_hand(name):
    """L = −Σ log π(aₜ) (Gₜ − Vₜ) + 0.1 Σ (Gₜ − Vₜ)². After a fall nothing follows: 0.6, the value of what comes then,
    does not enter."""
    agent, segment, config = Table(PROBABILITIES, VALUES), segment_of(FALL), preset(name)
    assert returns_of(agent, segment, config) == near(RETURNS)
    assert advantages_of(agent, segment, config) == near(ADVANTAGES)
    actor = -(LOGS[0] * -0.55375 + LOGS[1] * -0.325 + LOGS[2] * -0.8)
    critic = 0.55375**2 + 0.325**2 + 0.8**2
    assert loss_of(agent, segment, config) == near(actor + 0.1 * critic)


@pytest.mark.parametrize("name", ["monte-carlo", "chapter5"])
def test_a_time_limit_is_no_fall_and_the_episode_goes_on_with_the_value_of_its_last_observation(name):
    """0.05 + 0.95 · 0.9 = 0.905;   0.05 + 0.95 · 0.905 = 0.90975;   0.05 + 0.95 · 0.90975 = 0.9142625."""
    agent, segment = Table(PROBABILITIES, VALUES), segment_of([1.0] * 3, "truncated", final_value=0.9)
    assert returns_of(agent, segment, preset(name)) == near([0.9142625, 0.90975, 0.905])


def test_n_steps_that_are_cut_before_the_end_go_on_with_the_value_of_the_state_that_follows():
    """Of an episode's first three steps, the fourth state is worth 0.6 and the third 0.3:
    0.05 + 0.95 · 0.6 = 0.62;   0.05 + 0.95 · 0.62 = 0.639;   0.05 + 0.95 · 0.639 = 0.65705."""
    agent, segment, config = Table(PROBABILITIES, VALUES), segment_of([1.0] * 3, "goes on"), preset("chapter5")
    assert returns_of(agent, segment, config) == near([0.65705, 0.639, 0.62])
    assert advantages_of(agent, segment, config) == near([0.45705, 0.739, 0.32])
    actor = -(LOGS[0] * 0.45705 + LOGS[1] * 0.739 + LOGS[2] * 0.32)
    critic = 0.45705**2 + 0.739**2 + 0.32**2
    assert loss_of(agent, segment, config) == near(actor + 0.1 * critic)
    agent.zero_grad()
    segment_loss(agent, segment, config)[0].backward()
    assert agent.values.grad.flatten().tolist() == near([-0.2 * 0.45705, -0.2 * 0.739, -0.2 * 0.32, 0.0])
    assert agent.values.grad[-1] == 0.0  # what follows is a number: it is not moved towards anything


def test_the_online_actor_critic_updates_after_every_step():
    """L = −log π(a) (r + γ V(s') − V(s)) + 0.1 (r + γ V(s') − V(s))²: 0.05 + 0.95 · 0.6 − 0.2 = 0.42 where the episode
    goes on, −0.5 − 0.2 = −0.7 where it fell."""
    config = preset("online")
    for rewards, end, advantage in (([1.0], "goes on", 0.42), ([-10.0], "terminated", -0.7)):
        agent, segment = Table([0.8], [0.2, 0.6]), segment_of(rewards, end)
        assert advantages_of(agent, segment, config) == near([advantage])
        expected = -math.log(0.8) * advantage + 0.1 * advantage**2
        assert loss_of(agent, segment, config) == near(expected)
    collector = small_collector(small_config(env="Count-v0", envs_per_worker=1, segment_length=config.segment_length))
    assert [collector.collect().env_steps for _ in range(4)] == [1, 1, 1, 1]


# --- options of the loss: by the plain unroll, and by the fast path

HAND_VALUES = torch.tensor([[10.0], [20.0], [30.0], [40.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("end", "bootstrap", "expected"),
    [
        ("truncated", True, [2.75 + 8 / 8, 3.5 + 8 / 4, 7.0]),
        ("truncated", False, [2.75, 3.5, 3.0]),
        ("goes on", True, [2.75 + 40 / 8, 3.5 + 40 / 4, 23.0]),
        ("goes on", False, [2.75, 3.5, 3.0]),
        ("terminated", True, [2.75, 3.5, 3.0]),
        ("terminated", False, [2.75, 3.5, 3.0]),
    ],
)
def test_without_bootstrapping_neither_a_cut_segment_nor_a_time_limit_goes_on(end, bootstrap, expected):
    """γ = 1/2, rewards 1, 2, 3: 1 + 2/2 + 3/4 = 2.75, 2 + 3/2 = 3.5 and 3, and what follows, 8 behind a time limit and
    40 behind a cut, as far as it counts."""
    segment = segment_of([1.0, 2.0, 3.0], end, final_value=8.0 if end == "truncated" else 0.0)
    config = small_config(discount=0.5, returns="n_step", bootstrap=bootstrap)
    values = HAND_VALUES.clone()
    assert targets(segment, values, config).flatten().tolist() == near(expected)
    assert torch.equal(values, HAND_VALUES)  # they are the critic's, and still what they were


def test_a_loss_summed_over_its_steps_is_their_number_times_the_mean_and_what_is_logged_is_the_mean():
    agent, segment = Table(PROBABILITIES, VALUES), segment_of(FALL)
    options = {"entropy_coefficient": 0.3, "value_coefficient": 0.7, "normalise_advantages": True}
    results = {}
    for reduction in ("mean", "sum"):
        config = preset("chapter5", loss_reduction=reduction, **options)
        loss, metrics = segment_loss(agent, segment, config)
        results[reduction] = loss.item(), metrics
    assert results["sum"][0] == near(3 * results["mean"][0])
    assert results["sum"][1] == results["mean"][1]


RECORDED = {"env": "Dice-v0", "envs_per_worker": 5, "segment_length": 16, "unroll": "recorded", "returns": "n_step"}
USUAL = {"baseline": "value", "bootstrap": True, "loss_reduction": "mean"}
CHANGED = [
    {"baseline": "none"},
    {"bootstrap": False},
    {"loss_reduction": "sum"},
    {"baseline": "none", "bootstrap": False, "loss_reduction": "sum"},
]


@pytest.mark.product
@pytest.mark.parametrize("core", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("options", CHANGED)
@pytest.mark.parametrize("others", [{}, {"normalise_advantages": True, "entropy_coefficient": 0.3}])
def test_each_option_has_the_same_gradient_and_log_by_the_fast_path_as_by_the_plain_unroll(core, options, others):
    config = small_config(core=core, **RECORDED, **{**USUAL, **options}, **others)
    collector = small_collector(config)
    collector.collect()
    segment = collector.collect()
    assert is_recorded(collector) and segment.truncated.any() and not segment.truncated[-1].all()

    def gradient(source: Any, config: Config) -> tuple[Tensor, dict[str, float]]:
        losses = differentiate(source, segment, config)
        return torch.cat([parameter.grad.flatten() for parameter in collector.agent.parameters()]), losses

    fast, logged = gradient(collector, config)
    plain, expected = gradient(collector.agent, config)
    torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-10)
    assert logged == pytest.approx(expected, rel=0, abs=1e-10)
    usual, _ = gradient(collector, small_config(core=core, **RECORDED, **USUAL, **others))
    assert (usual - fast).abs().max() > 1e-3  # the option changes something
    if options == {"loss_reduction": "sum"}:
        torch.testing.assert_close(fast, 80 * usual, rtol=1e-10, atol=1e-10)


# --- the settings

BOOK = {
    "env": "FallPenaltyCartPole-v1",
    "env_arg": (),
    "observation_scale": "l2",
    "frame_stack": 1,
    "previous_action": False,
    "previous_reward": False,
    "torso_size": 25,
    "torso_layers": 1,
    "hidden_size": 50,
    "core_layers": 1,
    "activation": "relu",
    "initialisation": "torch",
    "value_hidden_size": 25,
    "bounded_values": True,
    "discount": 0.95,
    "returns": "n_step",
    "normalise_advantages": False,
    "loss_reduction": "sum",
    "entropy_coefficient": 0.0,
    "reward_scale": 0.05,
    "max_gradient_norm": 1e12,
    "learning_rate": 1e-4,
    "anneal_learning_rate": False,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
}
COLUMNS = (
    "mode",
    "workers",
    "envs_per_worker",
    "segment_length",
    "stop_at_episode_end",
    "bootstrap",
    "baseline",
    "value_coefficient",
    "detach_critic",
    "separate_critic",
    "core",
)
TABLE = {
    "reinforce": ("serial", 1, 1, 0, True, False, "none", 0.0, True, False, "mlp"),
    "reinforce-baseline": ("serial", 1, 1, 0, True, False, "value", 0.1, True, False, "mlp"),
    "online": ("serial", 1, 1, 1, True, True, "value", 0.1, True, False, "mlp"),
    "monte-carlo": ("async", 7, 1, 0, True, True, "value", 0.1, True, False, "mlp"),
    "chapter5": ("async", 7, 1, 10, True, True, "value", 0.1, True, False, "mlp"),
    "chapter5-sync": ("sync", 7, 1, 10, True, True, "value", 0.1, True, False, "mlp"),
    "chapter5-batched": ("serial", 1, 7, 10, False, True, "value", 0.1, True, False, "mlp"),
    "chapter5-two-networks": ("async", 7, 1, 10, True, True, "value", 0.1, False, True, "mlp"),
    "chapter5-lstm": ("async", 7, 1, 10, True, True, "value", 0.1, True, False, "lstm"),
}


def test_every_system_of_the_chapter_is_in_the_table():
    assert set(TABLE) == set(CHAPTER) and not set(CHAPTER) & set(SPEED)
    assert set(PRESETS) == {"masked-cartpole"} | set(CHAPTER) | set(SPEED) | set(ATARI)


@pytest.mark.parametrize("name", CHAPTER)
def test_a_preset_of_the_chapter_has_the_books_settings(name):
    config = dataclasses.asdict(preset(name))
    assert {field: config[field] for field in BOOK} == BOOK
    assert {field: config[field] for field in COLUMNS} == dict(zip(COLUMNS, TABLE[name], strict=True))


def test_the_network_is_the_books():
    """4 → 25 → 50, ReLU; actor 50 → 2; critic 50 → 25 → 1, ReLU and tanh, which does not reach the layers below. The
    observation is divided by its length."""
    config = preset("chapter5")
    environments = envs.make_vector(config.env, 1, **config.environment_options)
    agent = agent_for(config, environments)
    sizes = [tuple(p.shape) for p in agent.parameters() if p.dim() == 2]
    assert sizes == [(25, 4), (50, 25), (2, 50), (25, 50), (1, 25)]
    l1, b1, l2, b2, actor, b_actor, l3, b3, critic, b_critic = agent.parameters()
    observation, _ = environments.reset(seed=[3])
    raw, _ = envs.make_vector(config.env, 1).reset(seed=[3])
    x = torch.nn.functional.normalize(torch.from_numpy(raw), dim=1)
    y = torch.relu(torch.relu(x @ l1.T + b1) @ l2.T + b2)
    c = torch.relu(y @ l3.T + b3)
    step, _ = agent.step(torch.from_numpy(observation), agent.initial_state(1), torch.tensor([True]))
    torch.testing.assert_close(step.logits, y @ actor.T + b_actor)
    torch.testing.assert_close(step.values, torch.tanh(c @ critic.T + b_critic)[:, 0])
    step.values.sum().backward()
    assert l3.grad.abs().max() > 0 and l1.grad is l2.grad is None


def test_with_two_networks_the_critic_has_layers_of_its_own_and_moves_them_alone():
    config = preset("chapter5-two-networks")
    agent = agent_for(config, envs.make_vector(config.env, 1, **config.environment_options))
    sizes = sorted(tuple(p.shape) for p in agent.parameters() if p.dim() == 2)
    assert sizes == sorted([(25, 4), (50, 25), (2, 50), (25, 4), (50, 25), (25, 50), (1, 25)])
    first, _ = agent.step(torch.ones(1, 4), agent.initial_state(1), torch.tensor([True]))
    first.values.sum().backward()
    moved = [p for p in agent.parameters() if p.grad is not None and p.grad.count_nonzero()]
    assert sorted(tuple(p.shape) for p in moved if p.dim() == 2) == sorted([(25, 4), (50, 25), (25, 50), (1, 25)])


def test_its_cartpole_earns_1_a_step_and_minus_10_for_a_fall():
    environments = envs.make_vector(preset("chapter5").env, 1)
    environments.reset(seed=[0])
    rewards, fell = [], False
    while not fell:
        _, reward, terminated, truncated, _ = environments.step([1])
        rewards.append(reward.item())
        fell = bool(terminated[0])
        assert not truncated[0]
    assert rewards == [*[1.0] * (len(rewards) - 1), -10.0] and len(rewards) > 5


# --- runs

SHORT = {"total_env_steps": 300, "log_interval": 100, "eval_episodes": 2, "wandb": "disabled"}


def run(folder, name: str, **options) -> tuple[dict, float]:
    """The summary of a short run with a preset, and how far its parameters moved."""
    made = new_run(preset(name, **{**SHORT, **options}, run_dir=str(folder)), envs.make_vector)
    before = made.setup.learner.parameters.clone()
    summary = made.execute(print)
    assert (summary["exit_code"], summary["exit_reason"]) == (0, "total_env_steps")
    assert summary["env_steps"] >= 300 and summary["eval_sampled"] is not None
    return summary, (made.setup.learner.parameters - before).abs().max().item()


@pytest.mark.parametrize("name", CHAPTER)
def test_a_short_run_with_each_preset_learns(tmp_path, name):
    """Without processes, with one worker. Updates: one a step online, one an episode for Monte Carlo, and one a
    segment of at most 10 steps of each environment else. Adam moves by its learning rate at most, here 1e-4."""
    summary, moved = run(tmp_path / "run", name, mode="serial", workers=1)
    updates, env_steps = summary["updates"], summary["env_steps"]
    if name == "online":
        assert updates == env_steps == 300
    elif preset(name).segment_length == 0:
        assert 1 <= updates < env_steps / 8  # nobody falls sooner
    elif name == "chapter5-batched":
        assert updates == 5 and env_steps == 5 * 70
    else:
        assert 30 < updates < 60  # 10 steps, and less at some ends
    assert 1e-5 < moved < updates * 1.1e-4 + 1e-6


@pytest.mark.parametrize("name", [pytest.param("chapter5", marks=pytest.mark.slow), "chapter5-sync"])
def test_two_workers_whose_segments_end_with_their_episodes_train_together(tmp_path, name):
    """Segments of unequal lengths, in async and sync mode; in sync mode no gradient is older than the parameters."""
    summary, moved = run(tmp_path / "run", name, workers=2)
    assert sum(summary["staleness"]) == summary["updates"] and moved > 1e-5
    if name == "chapter5-sync":
        assert len(summary["staleness"]) == 1
        assert 15 < summary["updates"] < 30 and summary["env_steps"] < 20 * summary["updates"]


def test_of_a_single_step_explained_variance_is_undefined():
    """One return has no variance: 1 would pass for a perfect critic in the record of the one-step actor-critic, and 0
    for a constant one."""
    one = torch.tensor([[2.0]])
    assert math.isnan(explained_variance(one, one - 5.0))
    assert explained_variance(torch.tensor([[1.0], [3.0]]), torch.tensor([[0.5], [-0.5]])) == 0.75
