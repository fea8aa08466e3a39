"""The network that a config describes: its layers, its first parameters, and a critic that shares less or nothing."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import envs
from rl.acting.evaluate import evaluate
from rl.acting.player import AgentPlayer
from rl.agent.actions.categorical import Categorical
from rl.agent.agent import Agent
from rl.agent.twin import TwinCore, TwinTorso
from rl.presets import PRESETS
from rl.record.saved_agent import load_agent
from rl.running.run import new_run, resumed_run
from tests.support.configs import cartpole_config
from tests.support.rl_small import lively_agent, make_agent, random_segment, segment_loss, small_config
from tests.support.runs import SERIAL

every_core = pytest.mark.parametrize("core", ["mlp", "rnn", "gru", "lstm"])
every_recurrent_core = pytest.mark.parametrize("core", ["rnn", "gru", "lstm"])
one_and_two_layers = pytest.mark.parametrize("layers", [1, 2])
both_initialisations = pytest.mark.parametrize("initialisation", ["orthogonal", "torch"])
PARTS = {"mlp": 0, "rnn": 1, "gru": 1, "lstm": 2}
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
FEATURES, ACTIONS, STEPS, BATCH = 3, 2, 6, 5


def layers_of(*modules: nn.Module) -> list[str]:
    """The leaves, as they are called."""
    leaves = [leaf for module in modules for leaf in module.modules() if not list(leaf.children())]
    return [
        f"Linear {leaf.in_features}-{leaf.out_features}" if isinstance(leaf, nn.Linear) else type(leaf).__name__
        for leaf in leaves
    ]


def parameters(agent: Agent) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in agent.named_parameters()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """The same names, and under each the same bits."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def inputs(agent: Agent, seed: int = 0) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
    """Random observations [time, batch, feature], a random state before them, and episodes that open: in row 0 none,
    in row 1 one at the first step, in the others later or twice."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*size):
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    state = tuple(normal(*part.shape) for part in agent.initial_state(BATCH))
    is_first = torch.zeros(STEPS, BATCH, dtype=torch.bool)
    is_first[[0, 2, 0, 4, 5], [1, 2, 3, 3, 4]] = True
    return normal(STEPS, BATCH, FEATURES), state, is_first


# --- layers


@torch.no_grad()
def test_the_chapters_network_layer_by_layer():
    """Zai & Brown 2020, chapter 5: 4-25-50, from there to two actions, and by way of 25 units to a value within ±1."""
    agent = make_agent(cartpole_config(**PRESETS["chapter5"]), observation_size=4, num_actions=2)
    assert layers_of(agent.torso, agent.core) == ["Linear 4-25", "ReLU", "Linear 25-50", "ReLU"]
    assert layers_of(agent.policy_head) == ["Linear 50-2"]
    assert layers_of(agent.value_head) == ["Linear 50-25", "ReLU", "Linear 25-1", "Tanh"]
    assert sum(parameter.numel() for parameter in agent.parameters()) == 125 + 1300 + 102 + 1275 + 26
    shapes = [tuple(parameter.shape) for parameter in agent.parameters()]
    assert shapes == [(25, 4), (25,), (50, 25), (50,), (2, 50), (2,), (25, 50), (25,), (1, 25), (1,)]

    w1, b1, w2, b2, wp, bp, w3, b3, wv, bv = agent.parameters()
    observation = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    y = torch.relu(torch.relu(observation @ w1.T + b1) @ w2.T + b2)
    (logits, values), state = agent.step(observation, (), torch.zeros(7, dtype=torch.bool))
    torch.testing.assert_close(logits, y @ wp.T + bp)
    torch.testing.assert_close(values, torch.tanh(torch.relu(y @ w3.T + b3) @ wv.T + bv)[:, 0])
    assert state == () and values.shape == (7,)


def test_the_chapters_critic_moves_its_own_layers_only_and_its_policy_all_the_others():
    """The printed network detaches what the critic sees: two losses, and no parameter that both of them move."""
    agent = make_agent(cartpole_config(**PRESETS["chapter5"]), observation_size=4, num_actions=2)
    observation = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    output, _ = agent.step(observation, (), torch.zeros(9, dtype=torch.bool))
    moved = []
    for loss in (output.logits[:, 0].square().sum(), output.values.square().sum()):
        found = torch.autograd.grad(loss, list(agent.parameters()), allow_unused=True, retain_graph=True)
        moved.append([gradient is not None and bool(gradient.any()) for gradient in found])
    assert moved == [[True] * 6 + [False] * 4, [False] * 6 + [True] * 4]


def test_the_two_networks_of_the_chapter_are_two_of_the_chapters():
    agent = make_agent(cartpole_config(**PRESETS["chapter5-two-networks"]), observation_size=4, num_actions=2)
    one = ["Linear 4-25", "ReLU", "Linear 25-50", "ReLU"]
    assert layers_of(agent.torso.first, agent.core.first) == layers_of(agent.torso.second, agent.core.second) == one
    assert layers_of(agent.policy_head) == ["Linear 50-2"]
    assert layers_of(agent.value_head) == ["Linear 50-25", "ReLU", "Linear 25-1", "Tanh"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["Linear 5-1"]),
        ({"value_hidden_size": 7}, ["Linear 5-7", "Tanh", "Linear 7-1"]),
        ({"value_hidden_size": 7, "activation": "relu"}, ["Linear 5-7", "ReLU", "Linear 7-1"]),
        ({"bounded_values": True}, ["Linear 5-1", "Tanh"]),
        ({"bounded_values": True, "activation": "relu"}, ["Linear 5-1", "Tanh"]),
        ({"value_hidden_size": 7, "bounded_values": True}, ["Linear 5-7", "Tanh", "Linear 7-1", "Tanh"]),
        ({"value_hidden_size": 7, "separate_critic": True}, ["Linear 5-7", "Tanh", "Linear 7-1"]),
    ],
)
@every_core
def test_a_value_head_has_the_layers_it_was_asked_for(core, options, expected):
    agent = make_agent(small_config(core=core, **options), FEATURES, ACTIONS)
    assert layers_of(agent.value_head) == expected
    assert layers_of(agent.policy_head) == ["Linear 5-2"]
    output, _ = agent.unroll(*inputs(agent))
    assert output.values.shape == (STEPS, BATCH) and output.logits.shape == (STEPS, BATCH, ACTIONS)


@pytest.mark.parametrize(("activation", "name"), [("tanh", "Tanh"), ("relu", "ReLU")])
def test_the_activation_is_that_of_torso_and_mlp_core(activation, name):
    agent = make_agent(small_config(core="mlp", activation=activation, torso_layers=2, core_layers=2), FEATURES, 2)
    assert layers_of(agent.torso) == ["Linear 3-6", name, "Linear 6-6", name]
    assert layers_of(agent.core) == ["Linear 6-5", name, "Linear 5-5", name]


@every_core
@pytest.mark.parametrize("size", [0, 7])
@torch.no_grad()
def test_bounded_values_are_tanh_of_the_unbounded_ones_and_nothing_else_changes(core, size):
    bounded, free = (
        lively_agent(small_config(core=core, value_hidden_size=size, bounded_values=bound), FEATURES)
        for bound in (True, False)
    )
    assert [p.shape for p in bounded.parameters()] == [p.shape for p in free.parameters()]
    list(free.value_head.parameters())[-1].fill_(2.0)  # else values might all be small, and tanh do little
    for one, other in zip(bounded.parameters(), free.parameters(), strict=True):
        one.copy_(other)
    observations, state, is_first = inputs(free)
    (logits, values), after = bounded.unroll(observations, state, is_first)
    (free_logits, free_values), free_after = free.unroll(observations, state, is_first)
    assert torch.equal(logits, free_logits)
    torch.testing.assert_close(after, free_after, rtol=0, atol=0)
    torch.testing.assert_close(values, free_values.tanh(), rtol=0, atol=1e-15)
    assert values.abs().max() < 1 < free_values.abs().max()
    for parameter in bounded.value_head.parameters():
        parameter *= 1000.0
    assert bounded.unroll(observations, state, is_first)[0].values.abs().max() <= 1


# --- first parameters


@every_core
@both_initialisations
@pytest.mark.parametrize("options", [{}, {"separate_critic": True, "value_hidden_size": 7, "core_layers": 2}], ids=str)
def test_first_parameters_depend_on_the_seed_alone_and_torchs_generator_stays_as_it_was(core, initialisation, options):
    def drawn(seed, before):
        torch.manual_seed(before)
        state = torch.get_rng_state()
        agent = make_agent(small_config(core=core, initialisation=initialisation, seed=seed, **options), FEATURES, 2)
        assert torch.equal(torch.get_rng_state(), state)
        return parameters(agent)

    first = drawn(seed=1, before=0)
    assert equal(first, drawn(seed=1, before=5))
    second = drawn(seed=2, before=0)
    assert all(
        not torch.equal(first[name], second[name])
        for name in first
        if name.endswith(("weight", "_ih", "_hh")) and "bias" not in name
    )


@every_core
@pytest.mark.parametrize("options", [{}, {"separate_critic": True, "value_hidden_size": 70, "core_layers": 2}], ids=str)
def test_torchs_initialisation_is_uniform_within_1_over_the_root_of_what_a_layer_sees(core, options):
    """Of a linear layer its inputs, of a recurrent cell its units: 1/√9, 1/√80, 1/√100, 1/√70; biases too, and the
    LSTM's forget gate is no exception. The largest of hundreds comes close to the bound, and they spread around 0."""
    sizes = {"torso_size": 80, "hidden_size": 100, "dtype": "float32"}
    agent = make_agent(small_config(core=core, initialisation="torch", **sizes, **options), 9, 60)
    checked = 0
    for module in agent.modules():
        own = list(module.parameters(recurse=False))
        if not own:
            continue
        bound = (100 if isinstance(module, nn.RNNCellBase) else module.in_features) ** -0.5
        for parameter in own:
            assert parameter.abs().max() <= bound
            if parameter.numel() >= 60:
                assert parameter.max() > 0.7 * bound and parameter.min() < -0.7 * bound
                assert parameter.abs().mean().item() == pytest.approx(bound / 2, rel=0.3)
            checked += 1
    assert checked == len(list(agent.parameters()))


@every_core
@pytest.mark.parametrize("separate", [False, True])
def test_the_default_initialisation_is_orthogonal_matrices_and_zero_biases(core, separate):
    """W Wᵀ or Wᵀ W is g² times the identity: g² = 2 before tanh, 1 for gates and values, 0.0001 for the policy, so
    that all actions are equally likely at first. The forget gate's bias is 1, so that an LSTM remembers at first."""
    agent = make_agent(small_config(core=core, separate_critic=separate, value_hidden_size=7), FEATURES, ACTIONS)
    matrices = {"policy_head.weight": 0.01**2, "value_head.0.weight": 2.0, "value_head.2.weight": 1.0}
    for name, parameter in agent.named_parameters():
        if "bias" in name:
            expected = torch.zeros_like(parameter)
            if core == "lstm" and name.endswith("bias_ih"):
                expected[5:10] = 1.0  # i, f, g, o
            assert torch.equal(parameter, expected), name
            continue
        recurrent = name.endswith(("_ih", "_hh"))
        gates = parameter.split(5) if recurrent else [parameter]
        assert not recurrent or len(gates) == GATES[core]
        for gate in gates:
            wide = gate if gate.shape[0] <= gate.shape[1] else gate.T
            square = matrices.get(name, 1.0 if recurrent else 2.0) * torch.eye(len(wide), dtype=torch.float64)
            torch.testing.assert_close(wide @ wide.T, square, rtol=0, atol=1e-6)  # drawn in float32


@every_core
@pytest.mark.parametrize(
    "options",
    [
        {"value_hidden_size": 7},
        {"bounded_values": True},
        {"value_hidden_size": 7, "bounded_values": True},
        {"detach_critic": True},
    ],
    ids=str,
)
def test_another_value_head_leaves_the_first_parameters_of_all_else_as_they_were(core, options):
    """So that two arms of a comparison of critics start from the same policy."""
    plain = parameters(make_agent(small_config(core=core, seed=3), FEATURES, ACTIONS))
    other = parameters(make_agent(small_config(core=core, seed=3, **options), FEATURES, ACTIONS))
    plain, other = (
        {name: p for name, p in drawn.items() if not name.startswith("value_head.")} for drawn in (plain, other)
    )
    assert len(plain) > 4 and equal(plain, other)


# --- a critic that reads a detached core output


@every_core
@torch.no_grad()
def test_detaching_the_critic_changes_no_output(core):
    agents = [lively_agent(small_config(core=core, detach_critic=detach), FEATURES) for detach in (False, True)]
    (one, one_state), (other, other_state) = (agent.unroll(*inputs(agent)) for agent in agents)
    assert torch.equal(one.logits, other.logits) and torch.equal(one.values, other.values)
    torch.testing.assert_close(one_state, other_state, rtol=0, atol=0)


# --- a critic of its own


def twin(core: str, layers: int = 1, **options) -> Agent:
    return lively_agent(small_config(core=core, core_layers=layers, separate_critic=True, **options), FEATURES)


def half(agent: Agent, which: str) -> Agent:
    """A plain agent with the first or the second torso and core of a twin agent, and its heads."""
    plain = Agent(getattr(agent.torso, which), getattr(agent.core, which), Categorical(ACTIONS))
    plain.policy_head, plain.value_head = agent.policy_head, agent.value_head
    return plain


def own(agent: Agent, which: str) -> dict[str, Tensor]:
    """The parameters of the policy ("first") or of the critic ("second")."""
    head = {"first": "policy_head.", "second": "value_head."}[which]
    prefixes = (f"torso.{which}.", f"core.{which}.", head)
    return {name: parameter for name, parameter in agent.named_parameters() if name.startswith(prefixes)}


@every_core
@one_and_two_layers
@pytest.mark.parametrize("head", [{}, {"value_hidden_size": 7, "bounded_values": True}], ids=str)
@torch.no_grad()
def test_a_separate_critic_is_two_agents_side_by_side_of_which_one_acts_and_the_other_judges(core, layers, head):
    agent = twin(core, layers, torso_layers=2, **head)
    assert type(agent.torso) is TwinTorso and type(agent.core) is TwinCore
    actor, critic = half(agent, "first"), half(agent, "second")
    observations, state, is_first = inputs(agent)
    parts = PARTS[core]
    assert len(state) == 2 * parts
    output, after = agent.unroll(observations, state, is_first)
    acted, acted_after = actor.unroll(observations, state[:parts], is_first)
    judged, judged_after = critic.unroll(observations, state[parts:], is_first)
    torch.testing.assert_close(output.logits, acted.logits, rtol=0, atol=1e-12)
    torch.testing.assert_close(output.values, judged.values, rtol=0, atol=1e-12)
    torch.testing.assert_close(after, acted_after + judged_after, rtol=0, atol=1e-12)
    assert (acted.values - judged.values).abs().max() > 0.01  # the two say different things


@every_core
@one_and_two_layers
@torch.no_grad()
def test_the_unroll_of_a_separate_critic_is_a_loop_of_its_steps(core, layers):
    agent = twin(core, layers)
    observations, state, is_first = inputs(agent)
    output, after = agent.unroll(observations, state, is_first)
    for t in range(STEPS):
        (logits, values), state = agent.step(observations[t], state, is_first[t])
        torch.testing.assert_close(logits, output.logits[t], rtol=0, atol=1e-12)
        torch.testing.assert_close(values, output.values[t], rtol=0, atol=1e-12)
    torch.testing.assert_close(state, after, rtol=0, atol=1e-12)


@every_recurrent_core
@one_and_two_layers
@torch.no_grad()
def test_a_fresh_state_of_a_separate_critic_is_zeros_for_both_and_a_reset_gives_it_to_the_rows_that_open(core, layers):
    """Row 1 is nan in both halves and opens an episode; the others go on from what they remember."""
    agent = twin(core, layers)
    fresh = agent.initial_state(BATCH)
    assert [tuple(part.shape) for part in fresh] == [(layers, BATCH, 5)] * (2 * PARTS[core])
    assert all(part.dtype == torch.float64 and not part.any() for part in fresh)
    observations, state, _ = inputs(agent)
    for part in state:
        part[:, 1] = torch.nan
    opens = torch.arange(BATCH) == 1
    given = [part.clone() for part in state]
    output, after = agent.step(observations[0], state, opens)
    anew, after_anew = agent.step(observations[0], fresh, ~opens)
    for one, other in ((output.logits, anew.logits), (output.values, anew.values)):
        assert torch.equal(one[1], other[1])
        assert ((one[~opens] - other[~opens]).abs() > 1e-6).reshape(BATCH - 1, -1).all()
    for one, other in zip(after, after_anew, strict=True):
        assert torch.equal(one[:, 1], other[:, 1]) and one.isfinite().all()
        assert ((one - other)[:, ~opens].norm(dim=-1) > 1e-6).all()
    for part, before in zip(state, given, strict=True):  # they are the caller's
        torch.testing.assert_close(part, before, rtol=0, atol=0, equal_nan=True)


@every_recurrent_core
@torch.no_grad()
def test_each_half_of_the_state_moves_its_own_head_and_its_own_half(core):
    agent, parts = twin(core), PARTS[core]
    observations, state, _ = inputs(agent)
    none = torch.zeros(BATCH, dtype=torch.bool)
    (logits, values), after = agent.step(observations[0], state, none)
    for which, half_of_it in enumerate((slice(0, parts), slice(parts, 2 * parts))):
        moved = list(state)
        for number in range(*half_of_it.indices(2 * parts)):
            moved[number] = moved[number] + 0.5
        (other_logits, other_values), other_after = agent.step(observations[0], tuple(moved), none)
        assert torch.equal(logits, other_logits) == (which == 1)
        assert torch.equal(values, other_values) == (which == 0)
        changed = [not torch.equal(one, other) for one, other in zip(after, other_after, strict=True)]
        assert changed == [number in range(*half_of_it.indices(2 * parts)) for number in range(2 * parts)]


@every_core
@one_and_two_layers
@pytest.mark.parametrize("head", [{}, {"value_hidden_size": 7, "bounded_values": True}], ids=str)
def test_the_policy_loss_moves_no_parameter_of_a_separate_critic_and_the_values_loss_none_of_the_policy(
    core, layers, head
):
    """Exactly 0, whether by c_v = 0 or by advantages of 0. Every parameter belongs to one of the two."""
    agent = twin(core, layers, **head)
    options = {"core": core, "core_layers": layers, "separate_critic": True}
    segment = random_segment(small_config(**options))
    policy, critic = own(agent, "first"), own(agent, "second")
    assert len(policy) + len(critic) == len(list(agent.parameters()))

    agent.zero_grad()
    segment_loss(agent, segment, small_config(value_coefficient=0.0, entropy_coefficient=0.1))[0].backward()
    assert all(p.grad is None or not p.grad.any() for p in critic.values())
    assert all(p.grad.abs().max() > 1e-4 for p in policy.values())

    agent.zero_grad()
    no_advantages = small_config(value_coefficient=1.0, baseline="none")
    target = torch.zeros_like(segment.rewards)  # returns of 0: nothing for the policy, V² for the critic
    segment_loss(agent, segment, no_advantages, targets=lambda *_: target)[0].backward()
    assert all(p.grad is None or not p.grad.any() for p in policy.values())
    assert all(p.grad.abs().max() > 1e-4 for p in critic.values())


@every_core
@one_and_two_layers
@both_initialisations
def test_the_two_torsos_and_cores_are_drawn_differently_and_share_no_memory(core, layers, initialisation):
    config = small_config(core=core, core_layers=layers, separate_critic=True, initialisation=initialisation)
    agent = make_agent(config, FEATURES, ACTIONS)
    for part in (agent.torso, agent.core):
        first, second = (dict(module.named_parameters()) for module in (part.first, part.second))
        assert first.keys() == second.keys()
        for name in first:
            assert first[name].shape == second[name].shape
            if "weight" in name or initialisation == "torch":
                assert (first[name] - second[name]).abs().max() > 0.01, name
    assert len({parameter.data_ptr() for parameter in agent.parameters()}) == len(list(agent.parameters()))


@every_core
def test_a_separate_critic_without_torso_layers_sees_the_observations_themselves(core):
    """Both cores see the same three features, and not six or the other's."""
    agent = twin(core, torso_layers=0)
    observations, state, is_first = inputs(agent)
    output, _ = agent.unroll(observations, state, is_first)
    outputs, _ = agent.core.second.unroll(observations, state[PARTS[core] :], is_first)
    torch.testing.assert_close(output.values, agent.value_head(outputs)[..., 0], rtol=0, atol=1e-12)


@every_core
@torch.no_grad()
def test_a_player_with_a_separate_critic_carries_both_states_and_resets_both_where_an_episode_opens(core):
    agent = twin(core)
    observations, _, is_first = inputs(agent)
    is_first[0] = True
    output, after = agent.unroll(observations, agent.initial_state(BATCH), is_first)
    player = AgentPlayer(agent, BATCH)
    played = [
        player.act(observation.numpy(), opens.numpy())
        for observation, opens in zip(observations, is_first, strict=True)
    ]
    assert np.array_equal(played, output.logits.argmax(-1))
    torch.testing.assert_close(player.core_state, after, rtol=0, atol=1e-12)


SMALL = {**SERIAL, "total_env_steps": 800, "log_interval": 100, "eval_episodes": 3, "separate_critic": True}


def silent(_line):
    pass


@pytest.mark.parametrize(
    ("core", "options"),
    [
        ("mlp", {"env": "FallPenaltyCartPole-v1", "observation_scale": "l2", "activation": "relu"}),
        pytest.param("rnn", {}, marks=pytest.mark.slow),
        ("lstm", {"core_layers": 2, "value_hidden_size": 4, "bounded_values": True}),
    ],
)
def test_a_run_with_a_separate_critic_learns_with_both_is_evaluated_and_comes_back_from_its_checkpoint(
    tmp_path, core, options
):
    config = cartpole_config(core=core, run_dir=str(tmp_path / "run"), **{**SMALL, **options})
    run = new_run(config, envs.make_vector)
    start = run.setup.learner.vectors["parameters"].clone()
    summary = run.execute(silent)
    assert summary["exit_code"] == 0 and summary["env_steps"] == 800 and summary["updates"] == 25

    agent, saved, env_steps = load_agent(tmp_path / "run", envs.make_vector)
    assert env_steps == 800 and saved == config and agent.separate_critic
    trained = torch.cat([parameter.detach().flatten() for parameter in agent.parameters()])
    assert torch.equal(trained, run.setup.learner.vectors["parameters"])
    offset, moved = 0, {}
    for name, parameter in agent.named_parameters():
        rows = slice(offset, offset + parameter.numel())
        moved[name], offset = (trained[rows] - start[rows]).abs().max().item(), rows.stop
    assert min(moved.values()) > 0 and {"first", "second"} <= {part for name in moved for part in name.split(".")}
    returns = evaluate(agent, saved, envs.make_vector, episodes=3, greedy=True, seed=saved.seed)
    assert returns.shape == (3,) and returns.mean() == summary["eval_greedy"]


def test_a_stopped_run_with_a_separate_critic_is_resumed_with_the_very_parameters_and_moments(tmp_path):
    config = cartpole_config(core="gru", run_dir=str(tmp_path / "run"), **SMALL)
    first = new_run(config, envs.make_vector)
    first.execute(silent, lambda row: first.outcome.note_signal(2) if row["global_step"] >= 300 else None)
    again = resumed_run(tmp_path / "run", envs.make_vector)
    assert 300 <= again.setup.ledger.env_steps < 500
    for name, vector in first.setup.learner.vectors.items():
        assert torch.equal(vector, again.setup.learner.vectors[name]), name
    assert again.execute(silent)["env_steps"] == 800


def test_every_preset_of_the_chapter_makes_a_network_that_says_a_value_within_1_for_four_observations():
    """Also what an LSTM of the chapter is: 25 features go in, 50 units come out."""
    for name, preset in PRESETS.items():
        config = cartpole_config(**preset)
        if not config.bounded_values:
            continue
        agent = make_agent(config, observation_size=4, num_actions=2)
        output, _ = agent.step(torch.ones(3, 4), agent.initial_state(3), torch.ones(3, dtype=torch.bool))
        assert output.logits.shape == (3, 2) and output.values.shape == (3,) and output.values.abs().max() < 1, name
    lstm = make_agent(cartpole_config(**PRESETS["chapter5-lstm"]), observation_size=4, num_actions=2)
    assert (lstm.core.cells[0].input_size, lstm.core.cells[0].hidden_size) == (25, 50)
