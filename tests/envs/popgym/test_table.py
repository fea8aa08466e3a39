"""Every row of the table equals the package popgym, and keeps the contract of a vector form."""

import copy
import itertools
import json
import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv

import envs
from envs.popgym.table import POPGYM, fast_id, official_id
from envs.vector.forms import find_spec, make_singles
from envs.vector.spaces import describe
from tests.support.bits import assert_bit_equal
from tests.support.envs_slow_loop import run_vector
from tests.support.popgym import assert_equals_official
from tests.support.runs import train

NAMES = [name for name, *_ in POPGYM]
EASY = [name for name in NAMES if name.endswith("Easy")]
SHORT = (  # 50 episodes take a fraction of a second
    *("RepeatFirstEasy", "RepeatPreviousEasy", "CountRecallEasy", "HigherLowerEasy", "BattleshipEasy", "MineSweeper"),
    *("PositionOnlyCartPole", "VelocityOnlyCartpole", "NoisyPositionOnlyCartPole"),
)
CARDS = ("RepeatFirst", "RepeatPrevious", "Autoencode", "CountRecall", "HigherLower", "Concentration")

each_easy = pytest.mark.parametrize("name", EASY)


def random_actions(vector, steps):
    vector.action_space.seed(0)
    return np.array([vector.action_space.sample() for _ in range(steps)])


@pytest.mark.parametrize(
    ("name", "episodes"),
    [(name, 50 if name in EASY and name.startswith(SHORT) else 10) for name in NAMES]
    + [pytest.param(name, 200, marks=pytest.mark.slow) for name in NAMES],
)
def test_it_equals_the_package_bit_for_bit_over_so_many_random_episodes(name, episodes):
    """Observations, rewards, both flags, final observations and spaces. Each column plays one episode after another.

    The rewards of Pendulums may differ by 10⁻¹²."""
    assert len(assert_equals_official(name, episodes)) >= episodes


class Dealt:
    """In the place of a generator: shuffles decks as the package has shuffled its own."""

    def __init__(self, *decks):
        self.decks = itertools.cycle(decks)

    def permutation(self, number):
        deck = next(self.decks)
        assert len(deck) == number
        return deck


def put_decks(official, ours, column):
    named = ("value_deck", "query_deck") if hasattr(official, "query_deck") else ("deck",)
    ours._generators[column] = Dealt(*(getattr(official, name).idx.copy() for name in named))
    ours._start_episodes(np.array([column]))


@pytest.mark.parametrize("name", [name for name in EASY if name.startswith(CARDS)])
def test_with_the_decks_of_the_package_and_other_seeds_the_rules_give_the_same_over_20_episodes(name):
    assert len(assert_equals_official(name, 20, put=put_decks)) >= 20


def test_a_row_is_an_id_of_the_package():
    pytest.importorskip("popgym")
    for name in NAMES:
        official, ours = find_spec(official_id(name)), find_spec(fast_id(name))
        assert (official.max_episode_steps, official.reward_threshold) == (
            ours.max_episode_steps,
            ours.reward_threshold,
        )


@pytest.mark.filterwarnings("ignore:.*Box.* space")  # without bounds, or not from -1 to 1
@each_easy
def test_the_single_form_gives_the_packages_own_observations_and_equals_the_vector_form_bit_for_bit(name):
    vector, singles = envs.make_vector(fast_id(name), 3), make_singles(find_spec(fast_id(name)), 3, {})
    assert isinstance(singles.unwrapped, SyncVectorEnv) and vector.metadata["exact"]
    assert vector.single_observation_space == singles.single_observation_space
    assert vector.own_spaces["observation"] == describe(gymnasium.make(fast_id(name)).observation_space)
    actions = random_actions(vector, 300)
    expected = run_vector(singles, [3, 1, 4], actions)
    assert (expected.terminated | expected.truncated).sum() >= 3
    assert_bit_equal(run_vector(vector, [3, 1, 4], actions), expected)
    check_env(gymnasium.make(fast_id(name)).unwrapped, skip_render_check=True)


@each_easy
def test_a_column_depends_on_its_own_seed_and_actions_only(name):
    make = lambda batch: envs.make_vector(fast_id(name), batch)  # noqa: E731
    actions = random_actions(make(4), 250)
    whole, alone = run_vector(make(4), [3, 1, 4, 1], actions), run_vector(make(1), [4], actions[:, 2:3])
    assert_bit_equal(type(whole)(whole.first[2:3], *(rows[:, 2:3] for rows in whole[1:])), alone)
    assert (whole.observations[:, 0] != whole.observations[:, 1]).any()


@pytest.mark.parametrize(
    ("name", "form"),
    [(name, "vector") for name in EASY]
    + [
        pytest.param(name, "singles", marks=[] if name.startswith(("CountRecall", "Battleship")) else pytest.mark.slow)
        for name in EASY
    ],
)
def test_a_copy_a_pickle_and_a_resumed_one_continue_from_the_middle_of_an_episode_as_the_original_does(name, form):
    make = (
        (lambda: envs.make_vector(fast_id(name), 3))
        if form == "vector"
        else (lambda: make_singles(find_spec(fast_id(name)), 3, {}))
    )
    original, actions = make(), random_actions(make(), 330)
    original.reset(seed=7)
    for action in actions[:30]:
        original.step(action)
    resumed = make()
    resumed.reset(seed=100)
    resumed.load_state_dict(json.loads(json.dumps(original.state_dict())))
    others = [copy.deepcopy(original), pickle.loads(pickle.dumps(original)), resumed]
    ends = 0
    for action in actions[30:]:
        expected = original.step(action)
        ends += (expected[2] | expected[3]).sum()
        for other in others:
            assert_bit_equal(other.step(action), expected)
    assert ends >= 3


@each_easy
def test_arrays_are_new_and_do_not_change_afterwards(name):
    vector = envs.make_vector(fast_id(name), 2)
    seen = [vector.reset(seed=0)[0]]
    for action in random_actions(vector, 260):
        observations, *rest, infos = vector.step(action)
        seen += [observations, *rest, *infos.values()]
    before = [one.copy() for one in seen]
    for action in random_actions(vector, 120):
        vector.step(action)
    assert_bit_equal(seen, before)
    assert not any(np.shares_memory(one, other) for one, other in itertools.pairwise(seen))


# --- the labyrinths, which the package has alone


def test_without_mazelib_a_labyrinth_is_one_line_that_names_the_command(monkeypatch):
    """The package registers no labyrinth then, and Gymnasium would propose a mine sweeper."""
    pytest.importorskip("popgym.envs")  # which looks for mazelib, too
    monkeypatch.setattr("envs.vector.forms.importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ValueError, match=r"mazelib is not installed; pip install -e \.\[labyrinth\]$"):
        envs.make_vector("popgym:popgym-LabyrinthEscapeEasy-v0", 1)


@pytest.mark.parametrize("name", ["LabyrinthEscapeEasy", "LabyrinthExploreHard"])
def test_an_agent_learns_in_a_labyrinth_of_the_package_and_the_same_seed_is_the_same_run(name, tmp_path):
    pytest.importorskip("mazelib")
    options = {"env": f"popgym:popgym-{name}-v0", "previous_action": True, "total_env_steps": 640, "eval_episodes": 1}
    one, other = (train(tmp_path / folder, **options) for folder in ("one", "other"))
    assert_bit_equal(one.learnt, other.learnt)
    assert one.rows == other.rows
