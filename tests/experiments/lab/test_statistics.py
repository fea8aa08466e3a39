"""The statistics of the comparison, on numbers that can be checked by hand."""

import numpy as np
import pytest

from experiments.lab.statistics import iqm, probability_of_improvement, rank_correlation, stratified_bootstrap


def test_the_iqm_of_one_to_eight_cuts_two_at_each_end():
    assert iqm([8, 1, 7, 2, 6, 3, 5, 4]) == 4.5  # (3 + 4 + 5 + 6) / 4


def test_one_outlier_in_four_does_not_move_the_iqm():
    assert iqm([0, 1, 2, 100]) == 1.5


def test_ten_runs_leave_the_middle_six():
    assert iqm([-1000, -1000, 1, 2, 3, 4, 5, 6, 1000, 9000]) == 3.5


def test_with_three_runs_nothing_is_cut():
    assert iqm([0, 0, 300]) == 100


def test_the_iqm_keeps_the_leading_axes():
    np.testing.assert_array_equal(iqm([[0, 1, 2, 100], [4, 4, 4, 4]]), [1.5, 4])


def test_no_scores_and_nan_are_refused_instead_of_being_cut():
    with pytest.raises(ValueError, match="no scores"):
        iqm([])
    with pytest.raises(ValueError, match="nan"):
        iqm([1, 2, 3, np.nan])
    with pytest.raises(ValueError, match="nan"):
        stratified_bootstrap([[1, 2, np.nan]], iqm)


def test_the_same_seed_gives_the_same_interval_and_leaves_the_global_generator_alone():
    scores = [np.arange(10.0)]
    np.random.seed(1)
    first = stratified_bootstrap(scores, iqm, seed=3)
    np.random.seed(2)
    state = np.random.get_state()[1].copy()
    assert stratified_bootstrap(scores, iqm, seed=3) == first
    assert stratified_bootstrap(scores, iqm, resamples=99, seed=4) != stratified_bootstrap(scores, iqm, 99, seed=5)
    assert (np.random.get_state()[1] == state).all()


def test_runs_are_drawn_within_their_task():
    # Both tasks are constant: drawn within tasks, every resample holds two zeros and two hundreds.
    assert stratified_bootstrap([[0, 0], [100, 100]], _mean) == (50, 50)


def test_tasks_may_have_different_numbers_of_runs():
    assert stratified_bootstrap([[0, 0, 0], [100]], _mean) == (25, 25)


def test_two_runs_give_the_interval_of_their_three_possible_means():
    # 0, 50, 100 with probabilities 1/4, 1/2, 1/4: both ends of the 95 % interval are the extremes.
    assert stratified_bootstrap([[0, 100]], _mean) == (0, 100)


def test_the_interval_leaves_two_and_a_half_percent_at_each_end():
    # The sum of 100 draws from fifty zeros and fifty ones is Binomial(100, ½): its quantiles are 40 and 60.
    low, high = stratified_bootstrap([[0] * 50 + [1] * 50], _mean, resamples=20_000)
    assert 0.39 <= low <= 0.41 and 0.59 <= high <= 0.61


def test_a_run_is_drawn_whole_along_a_curve():
    curve = np.array([[1.0, 2, 3, 4, 5], [10, 20, 30, 40, 50]])  # [point, run]: the second point is ten times the first
    low, high = stratified_bootstrap([curve], lambda drawn: drawn.mean(axis=-1)[1] - 10 * drawn.mean(axis=-1)[0])
    assert low == pytest.approx(0) and high == pytest.approx(0)


def test_the_interval_of_a_mean_covers_the_truth_about_95_times_in_100():
    generator = np.random.default_rng(0)
    covered = 0
    for seed in range(300):
        low, high = stratified_bootstrap([generator.normal(size=30)], _mean, resamples=500, seed=seed)
        covered += low <= 0 <= high
    assert 0.90 <= covered / 300 <= 0.98  # the percentile interval is a little short for 30 runs


def test_ties_count_one_half():
    # 1 against 1: ½; 1 against 2: 0; 2 against 1: 1; 2 against 2: ½.
    assert probability_of_improvement([[1, 2]], [[1, 2]])[0] == 0.5
    assert probability_of_improvement([[3, 1]], [[1, 2]])[0] == (1 + 1 + 0.5 + 0) / 4


def test_the_probability_is_the_mean_over_tasks_not_over_pairs():
    # Task 1: certain win, one pair.  Task 2: certain loss, nine pairs.
    assert probability_of_improvement([[1], [0, 0, 0]], [[0], [1, 1, 1]])[0] == 0.5


def test_a_certain_win_has_an_interval_of_one_point():
    assert probability_of_improvement([[5, 6, 7]], [[1, 2, 3]]) == (1.0, (1.0, 1.0))


def test_the_probability_equals_a_double_loop_over_all_pairs():
    generator = np.random.default_rng(0)
    for _ in range(20):
        sizes = generator.integers(1, 7, size=(3, 2))
        x = [generator.integers(4, size=of_x) for of_x, _ in sizes]
        y = [generator.integers(4, size=of_y) for _, of_y in sizes]
        probability, (low, high) = probability_of_improvement(x, y, resamples=50)
        assert probability == pytest.approx(np.mean([_slow_win_rate(*task) for task in zip(x, y, strict=True)]))
        assert 0 <= low <= high <= 1


def test_x_and_y_are_drawn_independently():
    # Were both drawn by the same indices, x = y would tie with itself in every resample: always exactly ½.
    _, (low, high) = probability_of_improvement([[1, 2, 3, 4]], [[1, 2, 3, 4]])
    assert low < 0.3 and high > 0.7


def test_the_probability_has_the_same_interval_for_the_same_seed():
    generator = np.random.default_rng(0)
    x, y = [generator.normal(size=15)], [generator.normal(size=15)]
    assert probability_of_improvement(x, y, 99, seed=1) == probability_of_improvement(x, y, 99, seed=1)
    assert probability_of_improvement(x, y, 99, seed=1) != probability_of_improvement(x, y, 99, seed=2)


def test_the_probability_needs_the_same_tasks():
    with pytest.raises(ValueError, match="2 tasks and Y has 1"):
        probability_of_improvement([[1], [2]], [[1]])


@pytest.mark.parametrize(
    ("x", "y", "correlation"),
    [
        ([1, 2, 3], [10, 1000, 1001], 1.0),  # ranks alone count
        ([1, 2, 3], [5, 0, -7], -1.0),
        ([1, 2], [2, 1], -1.0),
        ([1, 2, 3], [1, 3, 2], 0.5),  # 1 − 6 (0 + 1 + 1) / (3 · 8)
        ([3, 1, 2], [2, 1, 3], 0.5),  # the same pairs in another order
        ([1, 2, 3, 4], [1, 4, 2, 3], 0.4),  # 1 − 6 (0 + 4 + 1 + 1) / (4 · 15)
        ([1, 2, 3, 4], [2, 1, 1, 2], 0.0),  # ranks 3.5 1.5 1.5 3.5
        ([1, 1, 2], [1, 2, 3], 0.75**0.5),  # ranks 1.5 1.5 3: Σ 1.5, of √(1.5 · 2)
        ([1, 1, 2, 2], [3, 3, 9, 9], 1.0),  # ties in the same places
    ],
)
def test_rank_correlations_by_hand(x, y, correlation):
    assert rank_correlation(x, y) == pytest.approx(correlation, abs=1e-12)
    assert rank_correlation(y, x) == pytest.approx(correlation, abs=1e-12)


def test_iq_and_hours_of_television_of_ten_people_correlate_by_minus_29_in_165():
    """The worked example of the textbooks: Σ d² = 194, ρ = 1 − 6 · 194 / (10 · 99) = −29 / 165."""
    iq = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    assert rank_correlation(iq, hours) == pytest.approx(-29 / 165, abs=1e-12)


def test_the_rank_correlation_is_pearsons_of_ranks_that_ties_share():
    generator = np.random.default_rng(0)
    for _ in range(20):
        x, y = generator.integers(4, size=(2, 12))
        ranks = [[np.mean(np.flatnonzero(np.sort(of) == value)) for value in of] for of in (x, y)]
        assert rank_correlation(x, y) == pytest.approx(np.corrcoef(ranks)[0, 1], abs=1e-12)


def test_the_rank_correlation_with_a_constant_is_0():
    assert (
        rank_correlation([1, 2, 3], [5, 5, 5]) == rank_correlation([5, 5], [1, 2]) == rank_correlation([1, 1], [2, 2])
    )
    assert rank_correlation([0.1] * 3, [1, 2, 3]) == 0.0


@pytest.mark.parametrize(("x", "y"), [([], []), ([1], [1]), ([1, 2], [1]), ([1], [1, 2]), ([1, 2, 3], [1, 2])])
def test_a_rank_correlation_needs_two_pairs(x, y):
    with pytest.raises(ValueError, match=rf"^{len(x)} and {len(y)} numbers: pairs are needed, at least two$"):
        rank_correlation(x, y)


def test_a_rank_correlation_with_nan_is_refused():
    with pytest.raises(ValueError, match="nan"):
        rank_correlation([1, 2, np.nan], [1, 2, 3])


def _mean(scores):
    return scores.mean(axis=-1)


def _slow_win_rate(x, y):
    wins = 0.0
    for a in x:
        for b in y:
            wins += 1 if a > b else 0.5 if a == b else 0
    return wins / (len(x) * len(y))
