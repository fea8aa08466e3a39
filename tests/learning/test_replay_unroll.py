"""What is replayed is what acting saw: from the stored state the same numbers, and one gradient by both ways.

The first half counts, as tests/test_carry_over.py does: the state is the number of observations that were consumed
since the episode opened, and so is the value.
"""

import itertools

import pytest
import torch
from gymnasium.spaces import Box

from rl.acting.policies import q_values
from rl.acting.randomness import generator
from rl.agent.actions.categorical import Categorical
from rl.agent.agent import AgentOutput, PlainUnrolled
from rl.agent.recorded.recording import Recording
from rl.agent.recorded.which import make_unrolled
from rl.agent.unrolled import values_of_final_observations
from rl.learning.replay.buffer import SequenceBuffer
from tests.support.counting import collector as counting_collector
from tests.support.counting import counting_agent
from tests.support.replay_small import Replay, own_copy, plain_q, replay_config
from tests.support.rl_small import Probe, lively_agent, small_config

every_recurrent_core = pytest.mark.parametrize("core", ["rnn", "gru", "lstm"])
STEPS, BATCH, FEATURES, ACTIONS = 7, 5, 3, 2


# --- counting


def counting_buffer(segments, segment_length, lengths):
    """A buffer filled by agents that count, in environments that count."""
    acting = counting_collector(segment_length, lengths=lengths)
    acting.for_replay = True
    rows, batch = segments * segment_length, len(lengths)
    state = acting.agent.initial_state(batch)
    space, draws = Box(0, 1000, (1,)), generator(1, 0, "replay", 0)
    buffer = SequenceBuffer(rows, batch, segment_length, space, Categorical(2), state, torch.float32, draws)
    for version in range(segments):
        buffer.add(acting.collect(), version)
    return buffer


def counts(window, state, first=0):
    """What an agent that counts says of the rows of each window, [batch] of [rows]."""
    return PlainUnrolled(counting_agent(), first).unroll(window.observations, state, window.is_first).values.T.tolist()


@pytest.mark.parametrize("burn_in", [0, 1, 3])
@pytest.mark.parametrize("stored", [True, False])
def test_from_the_stored_state_every_row_counts_as_it_did_in_acting_and_from_zeros_from_the_windows_first_row(
    stored, burn_in
):
    """Episodes of 3, 5 and 1000 steps, segments of 4. The environment observes its step number o, so in acting V was
    o + 1; from zeros it is 1 at the first row of a window, until an episode opens. ray-project/ray#26833: the state
    was wrong where there was no burn-in; thu-ml/tianshou#793, #937: all windows were seen from zeros."""
    buffer = counting_buffer(segments=6, segment_length=4, lengths=(3, 5, 1000))
    window = buffer.draw_sequences(50, burn_in + 4)
    state = window.core_state if stored else counting_agent().initial_state(50)
    for column, got in enumerate(counts(window, state, burn_in)):
        numbers = window.observations[:, column, 0].tolist()
        if stored:
            assert got == [number + 1 for number in numbers]
            continue
        expected = []
        for number in numbers:
            expected.append(1 if number == 0 or not expected else expected[-1] + 1)
        assert got == expected
    assert window.is_first[1:].any() and (window.observations[0] > 3).any()


def test_the_stored_state_is_the_one_before_the_first_observation_and_not_the_one_after_it():
    """google-deepmind/acme#259: replayed so, the network knows an observation before it comes, and counts one more."""
    buffer = counting_buffer(segments=3, segment_length=4, lengths=(1000,))
    assert [part.flatten().tolist() for part in buffer.core_states] == [[0, 4, 8]]
    window = buffer.draw_sequences(20, 3)
    starts = window.observations[0, :, 0]
    assert torch.equal(window.core_state[0].flatten(), starts) and set(starts.tolist()) == {0, 4, 8}
    assert window.versions.tolist() == [start // 4 for start in starts.tolist()]
    assert counts(window, window.core_state) == [[start + 1, start + 2, start + 3] for start in starts.tolist()]
    after = tuple(part + 1 for part in window.core_state)
    ahead = [[start + 2, start + 3, start + 4] if start else [1, 2, 3] for start in starts.tolist()]
    assert counts(window, after) == ahead  # but where an episode opens, which is reset


def test_the_value_of_a_final_observation_continues_the_count_of_its_own_episode():
    """pytorch/rl#3771. Row 1 of the first column and row 3 of the second were cut; the state behind row t has counted
    t + 1 observations more than the start. Seen from a fresh state each is the first."""
    unroll = PlainUnrolled(counting_agent(), 0)
    is_first = torch.zeros(5, 2, dtype=torch.bool)
    is_first[2, 0] = True
    unroll.unroll(torch.zeros(5, 2, 1), (torch.tensor([[[10.0], [20.0]]]),), is_first)
    where = torch.zeros(4, 2, dtype=torch.bool)
    where[1, 0] = where[3, 1] = True
    for fresh, expected in ((False, [10 + 2 + 1, 20 + 4 + 1]), (True, [1, 1])):
        said = values_of_final_observations(counting_agent(), unroll, torch.zeros(4, 2, 1), where, fresh)
        assert said.values.tolist() == expected and said.logits.shape == (2, 2)
    assert [unroll.state_after(row)[0].flatten().tolist() for row in range(5)] == [
        [11, 21],
        [12, 22],
        [1, 23],
        [2, 24],
        [3, 25],
    ]  # fmt: skip  (and nothing was moved)


# --- fresh data


@pytest.mark.product
@every_recurrent_core
@pytest.mark.parametrize("unroll", ["again", "recorded"])
@pytest.mark.parametrize("layers", [1, 2])
def test_before_any_update_the_stored_state_reproduces_what_acting_said_and_zeros_do_not(
    monkeypatch, core, unroll, layers
):
    """R2D2's ΔQ, the largest difference of action values over the largest of them, is 0 at the first row of a sequence
    and at the last; six segments, with resets inside. From zeros it is not; nor from the state after the first
    observation (google-deepmind/acme#259; thu-ml/tianshou#793, #937)."""
    config = replay_config(core=core, unroll=unroll, core_layers=layers, replay_way="stored", sequence_length=3)
    replay = Replay(config)
    probe = Probe(replay.collector, monkeypatch)
    for _ in range(6):
        replay.act()
    acted = {}
    for b, number in itertools.product(range(3), range(24)):
        output = probe.acting[number]
        acted[b, number] = plain_q(AgentOutput(output.logits[b : b + 1], output.values[b : b + 1]))
    monkeypatch.undo()  # else the unrolls below would be noted too

    experience = replay.experience
    drawn = experience.buffer.draw_sequences(40, config.sequence_span)
    is_recorded = unroll == "recorded" and layers == 1
    assert isinstance(
        make_unrolled(experience.agent, config.sequence_span, 40, unroll == "recorded"),
        Recording if is_recorded else PlainUnrolled,
    )

    def difference(state):
        """ΔQ of each row and window, [rows, batch]."""
        whole = make_unrolled(experience.agent, config.sequence_span, 40, unroll == "recorded")
        q = q_values(whole.unroll(drawn.observations, state, drawn.is_first))
        found = torch.empty(q.shape[:2], dtype=q.dtype)
        for column in range(40):
            b, start = replay.place(drawn, column)
            for t in range(config.sequence_span):
                actors = acted[b, start + t]
                found[t, column] = (q[t, column] - actors).abs().max() / actors.abs().max()
        return found

    stored = difference(drawn.core_state)
    assert stored[0].max() <= 1e-12 and stored[-1].max() <= 1e-12 and stored.max() <= 1e-12
    assert drawn.is_first[1:].any(0).sum() > 10 and (~drawn.is_first).all(0).any()
    inside = ~drawn.is_first[0]
    from_zeros = difference(experience.agent.initial_state(40))
    assert from_zeros[0, inside].min() > 1e-3 and from_zeros[0, ~inside].max() <= 1e-12
    assert from_zeros[-1, (~drawn.is_first).all(0)].min() > 1e-6
    _, after = experience.agent.step(drawn.observations[0], drawn.core_state, drawn.is_first[0])
    assert difference(tuple(part.detach() for part in after))[0, inside].min() > 1e-5


# --- two ways, one result


class Drawn:
    """Random rows for an agent: observations, state, flags, and the gradients of `trained` rows from `first` on."""

    def __init__(self, agent, first, trained, seed=0):
        draw = torch.Generator().manual_seed(seed)

        def normal(*size):
            return torch.randn(*size, generator=draw, dtype=torch.float64)

        self.observations = normal(STEPS, BATCH, FEATURES)
        self.state = tuple(normal(*part.shape) for part in agent.initial_state(BATCH))
        self.is_first = torch.rand(STEPS, BATCH, generator=draw) < 0.25
        self.d_logits, self.d_values = normal(trained, BATCH, ACTIONS), normal(trained, BATCH)
        self.rows = slice(first, first + trained)


def small_agent(core, **options):
    return lively_agent(small_config(core=core, **options), FEATURES, ACTIONS)


def by_definition(agent, drawn):
    """Outputs of `Agent.unroll`, and the gradient where rows before the first have none: their state is detached."""
    first = drawn.rows.start
    with torch.no_grad():
        output, _ = agent.unroll(drawn.observations, drawn.state, drawn.is_first)
        _, state = (
            agent.unroll(drawn.observations[:first], drawn.state, drawn.is_first[:first])
            if first
            else (None, drawn.state)
        )
    rest, _ = agent.unroll(drawn.observations[first:], state, drawn.is_first[first:])
    trained = len(drawn.d_logits)
    loss = (rest.logits[:trained] * drawn.d_logits).sum() + (rest.values[:trained] * drawn.d_values).sum()
    return output, torch.autograd.grad(loss, list(agent.parameters()))


def gradients(agent):
    return [parameter.grad.clone() for parameter in agent.parameters()]


@pytest.mark.product
@pytest.mark.parametrize(
    ("core", "options"),
    [
        *((core, {"torso_layers": layers}) for core in ("rnn", "gru", "lstm") for layers in (0, 1, 2)),
        ("mlp", {}),
        ("lstm", {"core_layers": 2}),
        ("gru", {"detach_critic": True}),
        ("lstm", {"separate_critic": True}),
    ],
    ids=str,
)
@pytest.mark.parametrize("first", [0, 1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_both_unrolls_equal_the_agents_in_value_gradient_and_state_and_burn_in_has_no_gradient(
    core, options, first, seed
):
    """Of rows from `first` on; the definition detaches the state there. The state behind every row is right too."""
    agent = small_agent(core, **options)
    drawn = Drawn(agent, first, trained=3, seed=seed)
    expected, gradient = by_definition(agent, drawn)
    forms = [make_unrolled(agent, STEPS, BATCH, recorded, first) for recorded in (False, True)]
    fast = core != "mlp" and not {"core_layers", "separate_critic"} & options.keys()
    assert [isinstance(form, Recording) for form in forms] == [False, fast]
    for form in forms:
        output = form.unroll(drawn.observations, drawn.state, drawn.is_first)
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)
        assert not output.logits.requires_grad and not output.values.requires_grad
        for parameter in agent.parameters():
            parameter.grad = torch.full_like(parameter, torch.nan)  # set and not added to
        form.backward(AgentOutput(drawn.d_logits, drawn.d_values))
        torch.testing.assert_close(gradients(agent), list(gradient), rtol=1e-10, atol=1e-10)
        state = drawn.state
        for row in range(STEPS):
            with torch.no_grad():
                _, state = agent.step(drawn.observations[row], state, drawn.is_first[row])
            torch.testing.assert_close(form.state_after(row), state, rtol=0, atol=1e-12)
    assert all(part.abs().max() > 1e-3 for part in gradient)


@every_recurrent_core
@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("first", [1, 3])
def test_no_gradient_reaches_the_rows_of_the_burn_in_but_their_state_counts(core, recorded, first):
    """Differentiated through the burn-in as well the gradient is another; seen without it the outputs are others."""
    agent = small_agent(core)
    drawn = Drawn(agent, first, trained=3)
    drawn.is_first[:] = False
    form = make_unrolled(agent, STEPS, BATCH, recorded, first)
    output = form.unroll(drawn.observations, drawn.state, drawn.is_first)
    form.backward(AgentOutput(drawn.d_logits, drawn.d_values))
    got = gradients(agent)
    whole, _ = agent.unroll(drawn.observations, drawn.state, drawn.is_first)
    loss = (whole.logits[drawn.rows] * drawn.d_logits).sum() + (whole.values[drawn.rows] * drawn.d_values).sum()
    through = torch.autograd.grad(loss, list(agent.parameters()))
    assert max((one - other).abs().max().item() for one, other in zip(got, through, strict=True)) > 1e-3
    with torch.no_grad():
        without, _ = agent.unroll(drawn.observations[first:], drawn.state, drawn.is_first[first:])
    assert (without.values - output.values[first:]).abs().max() > 1e-3


@pytest.mark.parametrize("recorded", [False, True])
def test_nothing_asks_for_a_gradient_of_the_state_that_a_window_starts_from(recorded):
    agent = small_agent("lstm")
    drawn = Drawn(agent, 0, trained=3)
    form = make_unrolled(agent, STEPS, BATCH, recorded, 0)
    form.unroll(drawn.observations, drawn.state, drawn.is_first)
    form.backward(AgentOutput(drawn.d_logits, drawn.d_values))
    assert all(part.grad is None and not part.requires_grad for part in drawn.state)
    assert all(part.grad_fn is None for row in range(STEPS) for part in form.state_after(row))


@every_recurrent_core
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_a_recordings_unroll_is_what_its_steps_would_have_recorded(core, layers):
    """The same outputs and, from the same gradients, the same gradient; and bit for bit so after other windows."""
    agent = small_agent(core, torso_layers=layers)
    stepping, unrolling = (make_unrolled(agent, STEPS, BATCH, True) for _ in range(2))
    for seed in range(3):
        drawn = Drawn(agent, 0, trained=4, seed=seed)
        step, state = stepping.begin(), drawn.state
        for row in range(STEPS):
            _, state = step(drawn.observations[row], state, drawn.is_first[row])
        assert unrolling.unroll(drawn.observations, drawn.state, drawn.is_first) is not None
        learnt = []
        for recording in (stepping, unrolling):
            recording.backward(AgentOutput(drawn.d_logits, drawn.d_values))
            learnt.append([*(part.clone() for part in recording.output), *gradients(agent)])
        torch.testing.assert_close(learnt[0], learnt[1], rtol=0, atol=1e-12)
        fresh = make_unrolled(agent, STEPS, BATCH, True)
        fresh.unroll(drawn.observations, drawn.state, drawn.is_first)
        fresh.backward(AgentOutput(drawn.d_logits, drawn.d_values))
        again = [*fresh.output, *gradients(agent)]
        assert all(torch.equal(one, other) for one, other in zip(learnt[1], again, strict=True))


@pytest.mark.parametrize("recorded", [False, True])
def test_an_unroll_uses_the_parameters_that_the_agent_has_now(recorded):
    """The recording lays them out anew for every unroll: an update lies between any two."""
    agent = small_agent("gru")
    drawn = Drawn(agent, 0, trained=3)
    form = make_unrolled(agent, STEPS, BATCH, recorded, 0)
    before = form.unroll(drawn.observations, drawn.state, drawn.is_first).values.clone()
    with torch.no_grad():
        for parameter in agent.parameters():
            parameter *= 1.5
    after = form.unroll(drawn.observations, drawn.state, drawn.is_first).values
    torch.testing.assert_close(after, by_definition(agent, drawn)[0].values, rtol=0, atol=1e-12)
    assert (before - after).abs().max() > 0.01


@pytest.mark.parametrize("recorded", [False, True])
def test_what_is_drawn_stays_as_it_is_and_nan_before_a_reset_does_not_survive_it(recorded):
    agent = small_agent("lstm")
    drawn = Drawn(agent, 0, trained=3)
    drawn.is_first[0] = torch.tensor([True, False, True, False, False])
    form = make_unrolled(agent, STEPS, BATCH, recorded, 0)
    expected = [part.clone() for part in form.unroll(drawn.observations, drawn.state, drawn.is_first)]
    for part in drawn.state:
        part[:, [0, 2]] = torch.nan
    given = [part.clone() for part in (drawn.observations, *drawn.state)]
    got = form.unroll(drawn.observations, drawn.state, drawn.is_first)
    assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))
    torch.testing.assert_close((drawn.observations, *drawn.state), tuple(given), rtol=0, atol=0, equal_nan=True)


@every_recurrent_core
@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("fresh", [False, True])
def test_final_observations_are_seen_from_the_state_behind_their_step_on_a_side_branch(core, recorded, fresh):
    """Against a loop over the places, for random ones; outputs and states of the main scan stay as they were."""
    agent = small_agent(core)
    drawn = Drawn(agent, 0, trained=3)
    form = make_unrolled(agent, STEPS, BATCH, recorded, 0)
    output = form.unroll(drawn.observations, drawn.state, drawn.is_first)
    kept = [part.clone() for part in output]
    where = torch.rand(STEPS - 1, BATCH, generator=torch.Generator().manual_seed(4)) < 0.4
    finals = torch.randn(STEPS - 1, BATCH, FEATURES, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    said = values_of_final_observations(agent, form, finals, where, fresh)
    expected = []
    for t, b in where.nonzero().tolist():
        state = agent.initial_state(1) if fresh else tuple(part[:, b : b + 1] for part in form.state_after(t))
        with torch.no_grad():
            expected.append(agent.step(finals[t, b][None], state, torch.tensor([False]))[0])
    torch.testing.assert_close(said.values, torch.cat([part.values for part in expected]), rtol=0, atol=1e-12)
    torch.testing.assert_close(said.logits, torch.cat([part.logits for part in expected]), rtol=0, atol=1e-12)
    assert all(torch.equal(one, other) for one, other in zip(output, kept, strict=True))
    assert len(expected) > 8 and not said.values.requires_grad


def test_the_agent_without_memory_has_no_state_to_look_up():
    agent = small_agent("mlp")
    drawn = Drawn(agent, 0, trained=3)
    form = make_unrolled(agent, STEPS, BATCH, True, 0)
    form.unroll(drawn.observations, (), drawn.is_first)
    where = torch.ones(1, BATCH, dtype=torch.bool)
    for fresh in (False, True):
        said = values_of_final_observations(agent, form, drawn.observations[:1], where, fresh)
        with torch.no_grad():
            expected, _ = agent.step(drawn.observations[0], (), where[0])
        torch.testing.assert_close(said, expected, rtol=0, atol=1e-12)
    assert form.state_after(0) == ()


def test_an_unroll_leaves_a_target_networks_parameters_without_a_gradient():
    """Its `first` is behind its last row."""
    agent = small_agent("gru", core_layers=2)
    other = own_copy(agent)
    drawn = Drawn(agent, 0, trained=3)
    form = PlainUnrolled(other, STEPS)
    output = form.unroll(drawn.observations, drawn.state, drawn.is_first)
    assert not hasattr(form, "live")
    torch.testing.assert_close(output, by_definition(agent, drawn)[0], rtol=0, atol=1e-12)


def test_an_unroll_can_be_complete_before_its_recording_is_stepped():
    """`Recording.unroll` counts its rows, so that `output` is known to be whole."""
    form = make_unrolled(small_agent("rnn"), STEPS, BATCH, True)
    assert isinstance(form, Recording) and form.steps == STEPS - 1
    drawn = Drawn(form.agent, 0, trained=3)
    output = form.unroll(drawn.observations, drawn.state, drawn.is_first)
    assert output.values.shape == (STEPS, BATCH) == form.output.values.shape
