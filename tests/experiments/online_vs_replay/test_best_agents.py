"""The best online agent against the best from replay, and RTUs against LSTMs."""

import numpy as np
import pytest

from experiments.online_vs_replay.report.claims import networks, online_against_replay
from experiments.online_vs_replay.report.duels import BEST, REPLAY_WAYS, best_agent, duels
from experiments.online_vs_replay.report.rows import Part
from experiments.online_vs_replay.report.sections.claims import duel_table
from tests.support.finished_runs import HIGH, LOW, REPLAY, cell


def on_six_tasks(replay_wins_on, online_wins_on=()):
    """Both sides are at 0.10 to 0.14 of the best on all tasks; who wins a task is at 0.50 to 0.54 there."""
    runs = []
    for task in ("recall 4", "recall 24", "recall 48", "masked", "CartPole", "flickering"):
        scale = (lambda x: x) if task.startswith("recall") else (lambda x: 22 + 478 * x)
        for arm, high in (("a2c lstm", task in online_wins_on), (REPLAY, task in replay_wins_on)):
            runs += cell(arm, [scale(x) for x in (HIGH if high else LOW)], task)
    return Part(runs)


@pytest.mark.parametrize(
    ("online", "replay", "verdict"),
    [
        (["recall 4", "recall 24", "masked"], [], "holds"),
        ([], ["recall 48"], "not decided; replay wins on recall 48"),
        (["masked"], ["recall 24", "recall 48"], "depends on the task; replay wins on recall 24, recall 48"),
        ([], ["recall 4", "recall 24", "recall 48", "masked"], "does not hold: the opposite does"),
    ],
)
def test_the_verdict_names_the_tasks_that_replay_wins_unless_it_wins_over_all(online, replay, verdict):
    """Ties on five of six tasks and a loss on one are 5/12 in all, whose interval [0.28, 0.55] contains one half."""
    grid = on_six_tasks(replay, online)
    assert online_against_replay(grid)[0].verdict == online_against_replay(grid, BEST)[0].verdict == verdict


def test_the_best_agent_of_odd_seeds_is_judged_by_even_ones_and_the_other_way_round():
    """Zero is best on seeds 1 and 3, episodes on 2 and 4: each is judged where the other shone. Of 3, all choose."""
    scores = {"q lstm zero": {1: 0.9, 2: 0.1, 3: 0.8, 4: 0.2}, "q lstm episodes": {1: 0.3, 2: 0.6, 3: 0.4, 4: 0.7}}
    assert best_agent(scores) == ([0.1, 0.2, 0.3, 0.4], "q lstm episodes / q lstm zero")
    three = {way: {seed: of[seed] for seed in (1, 2, 3)} for way, of in scores.items()}
    assert best_agent(three) == ([0.9, 0.1, 0.8], "q lstm zero")


def test_six_equal_ways_are_not_called_better_than_an_equal_seventh():
    """Chosen by the runs that it is judged by, the best of six would be above half of them nine times in ten."""
    generator = np.random.default_rng(0)
    wins = []
    for _ in range(200):
        ways = {f"way {k}": dict(enumerate(generator.normal(size=10).tolist())) for k in range(6)}
        wins.append(np.mean(best_agent(ways)[0]) > generator.normal(size=10).mean())
    assert 0.4 < np.mean(wins) < 0.6


def test_the_best_online_agent_is_judged_where_it_was_not_chosen():
    """The gru is best on seeds 1 and 3, the rtu on 2 and 4: each is judged where the other shone."""
    gru, rtu = [0.9, 0.1, 0.8, 0.2], [0.3, 0.6, 0.4, 0.7]
    runs = [*cell("a2c gru", gru), *cell("a2c rtu gradient", rtu), *cell("q rtu episodes", LOW[:4])]
    (end, *_) = duels(Part(runs), sides=BEST)
    assert (end.online, end.agent, end.way) == ([0.1, 0.2, 0.3, 0.4], "a2c rtu gradient / a2c gru", "q rtu episodes")
    assert duels(Part(runs)) == []  # no lstm is there
    header, first, *_ = duel_table([end], with_agents=True)
    assert header[2:6] == ["online", "its agent", "replay", "its agent"]
    assert (first[3], first[5]) == (end.agent, end.way)


def test_the_best_are_chosen_among_agents_with_a_memory_that_are_on_all_tasks():
    assert BEST.online_agents == ("a2c gru", "a2c lstm", "q lstm online", "a2c rtu", "a2c rtu gradient")
    assert set(BEST.replay_agents) == {*REPLAY_WAYS, "a2c lstm replay", "q rtu stored burn in", "q rtu episodes"}


def test_an_agent_with_too_few_seeds_is_not_chosen_while_others_have_enough():
    """One seed of the rtu is at 1; it would win, and make all seeds choose."""
    grid = Part([*cell("a2c lstm", HIGH), *cell("a2c rtu", [1.0]), *cell(REPLAY, LOW)])
    assert {duel.agent for duel in duels(grid, sides=BEST)} == {"a2c lstm"}
    few = Part([*cell("a2c lstm", HIGH[:2]), *cell("a2c rtu", [1.0]), *cell(REPLAY, LOW)])
    assert {duel.agent for duel in duels(few, sides=BEST)} == {"a2c rtu"}


def test_rtus_are_compared_with_lstms_and_the_gradient_with_the_state_on_the_tasks_that_both_have():
    grid = Part(
        [
            *cell("a2c rtu gradient", HIGH, "recall 48"),
            *cell("a2c rtu", LOW, "recall 48"),
            *cell("a2c rtu gradient", LOW, "recall 4"),
            *cell("a2c rtu", HIGH, "recall 4"),
            *cell("a2c lstm", HIGH, "recall 24"),
        ]
    )
    (finding,) = networks(grid)
    assert finding.claim == "a2c rtu gradient ends higher than a2c rtu"
    assert finding.verdict == "depends on the task; a2c rtu wins on recall 4"
    assert finding.numbers.startswith("P(a2c rtu gradient > a2c rtu) = 0.50 [0.50, 0.50] over 2 tasks; ")
