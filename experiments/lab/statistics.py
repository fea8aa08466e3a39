"""Aggregates over seeds and their uncertainty: interquartile mean, stratified bootstrap, probability of improvement.

Source: Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

RESAMPLES = 10_000
FEWEST = 4  # seeds a side: below that even full separation is no evidence (p >= 0.1), and its interval is [1, 1]
Interval = tuple[np.ndarray, np.ndarray]  # low, high


def iqm(scores) -> np.ndarray:  # [..., run] -> [...]
    """Mean of the middle half of the scores.

    x₍₁₎ ≤ … ≤ x₍ₙ₎,  c = ⌊n/4⌋,  IQM = (x₍c₊₁₎ + … + x₍n₋c₎) / (n − 2c).
    With n < 4 nothing is cut, and the result is the plain mean.  Source: Agarwal et al. 2021, section 4.3.

    Raises:
        ValueError: there are no scores, or one of them is nan.
    """
    scores = np.sort(_checked(scores), axis=-1)
    count = scores.shape[-1]
    cut = count // 4
    return scores[..., cut : count - cut].mean(axis=-1)


def with_interval(scores: Sequence[float]) -> tuple[float, float, float]:
    """Interquartile mean over runs, and the bounds of its 95 % bootstrap interval."""
    low, high = stratified_bootstrap([scores], iqm)
    return float(iqm(scores)), float(low), float(high)


def stratified_bootstrap(
    scores_by_task: Sequence,  # an array for each task, [..., run]: same leading axes, any number of runs
    statistic: Callable[[np.ndarray], np.ndarray],  # [..., all runs of all tasks] -> [...]
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:  # [...] each
    """95 % interval of a statistic of the runs of all tasks; runs are drawn again with replacement within each task.

    [q₀.₀₂₅, q₀.₉₇₅] of T(X*₁ ∪ … ∪ X*ₘ),  X*ₖ = nₖ draws from the nₖ runs of task k.
    Leading axes (the points of a learning curve) are resampled together, so a run is drawn whole.
    The same seed gives the same interval.  Source: Agarwal et al. 2021, section 4.1.
    """
    drawn = _resample(scores_by_task, resamples, np.random.default_rng(seed))
    return _percentile_interval(statistic(np.concatenate(drawn, axis=-1)))


def probability_of_improvement(
    x: Sequence,  # an array for each task, [run of algorithm X]
    y: Sequence,  # the same tasks in the same order: [run of algorithm Y]
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, Interval]:
    """How likely a run of X beats a run of Y on a task drawn at random, with its 95 % bootstrap interval.

    P(X > Y) = 1/m Σₖ Uₖ / (nₖ n'ₖ),  Uₖ = Σᵢⱼ [xₖᵢ > yₖⱼ] + ½ [xₖᵢ = yₖⱼ]  (Mann-Whitney U of task k).
    Source: Agarwal et al. 2021, section 4.3.

    Raises:
        ValueError: the numbers of tasks differ.
    """
    if len(x) != len(y) or not len(x):
        raise ValueError(f"X has {len(x)} tasks and Y has {len(y)}: they must be the same ones, at least one")
    generator = np.random.default_rng(seed)
    drawn = _mean_win_rate(_resample(x, resamples, generator), _resample(y, resamples, generator))
    estimate = _mean_win_rate([_checked(task) for task in x], [_checked(task) for task in y])
    return float(estimate), _percentile_interval(drawn)


def compared(x: Sequence[float], y: Sequence[float]) -> tuple[str, int]:
    """P(X > Y) in words, and its sign: 1 or -1 where the interval excludes one half, else 0."""
    estimate, (low, high) = probability_of_improvement([x], [y])
    few = min(len(x), len(y)) < FEWEST
    sign = 0 if few else 1 if low > 0.5 else -1 if high < 0.5 else 0
    words = " (too few seeds to tell)" if few else ""
    return f"{estimate:.2f} [{float(low):.2f}, {float(high):.2f}]{words}", sign


def contrast(
    cells: Sequence[tuple[float, Sequence[float]]],  # weight, scores of its runs
    statistic: Callable[[np.ndarray], np.ndarray] = iqm,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, Interval]:
    """A weighted sum of cells' statistics, such as a difference of differences, with its 95 % bootstrap interval.

    C = Σₖ wₖ T(Xₖ).  For the interval, runs are drawn again with replacement within each cell; a cell is named once.

    Raises:
        ValueError: there is no cell.
    """
    if not cells:
        raise ValueError("no cells: at least one is needed")
    weights = np.array([weight for weight, _ in cells])
    drawn = _resample([scores for _, scores in cells], resamples, np.random.default_rng(seed))
    estimate = weights @ np.array([statistic(_checked(scores)) for _, scores in cells])
    return float(estimate), _percentile_interval(weights @ np.stack([statistic(scores) for scores in drawn]))


def performance_profile(
    scores_by_task: Sequence,  # an array for each task, [run], normalised
    thresholds: Sequence[float],
    resamples: int = 2_000,
    seed: int = 0,
) -> tuple[np.ndarray, Interval]:  # [threshold] each
    """Share of the runs of all tasks whose score is above each threshold τ, with a 95 % stratified-bootstrap band.

    F(τ) = 1/N Σᵢ [xᵢ > τ].  Source: Agarwal et al. 2021, section 4.2.
    """
    above = [np.asarray(thresholds, float)[:, None] < _checked(scores) for scores in scores_by_task]
    return np.concatenate(above, -1).mean(-1), stratified_bootstrap(above, partial(np.mean, axis=-1), resamples, seed)


def optimality_gap(scores, target: float = 1.0) -> np.ndarray:  # [..., run] -> [...]
    """How far runs stay below a target on average; a score above the target counts as the target.

    target − mean(min(x, target)).  Source: Agarwal et al. 2021, section 4.3.
    """
    return target - np.minimum(_checked(scores), target).mean(axis=-1)


def _mean_win_rate(x: list[np.ndarray], y: list[np.ndarray]) -> np.ndarray:  # one [..., run] a task -> [...]
    pairs = [(of_x[..., :, None], of_y[..., None, :]) for of_x, of_y in zip(x, y, strict=True)]
    return np.mean([np.mean((a > b) + 0.5 * (a == b), axis=(-2, -1)) for a, b in pairs], axis=0)


def _resample(scores_by_task: Sequence, resamples: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Draws each task's runs with replacement, one task after the other; [..., resample, run] for each task."""
    drawn = []
    for scores in map(_checked, scores_by_task):
        runs = scores.shape[-1]
        drawn.append(scores[..., generator.integers(runs, size=(resamples, runs))])
    return drawn


def _percentile_interval(values: np.ndarray) -> Interval:  # [..., resample] -> [...] each
    low, high = np.percentile(values, (2.5, 97.5), axis=-1)
    return low, high


def _checked(scores) -> np.ndarray:
    scores = np.asarray(scores, dtype=float)
    if scores.ndim == 0 or scores.shape[-1] == 0:
        raise ValueError("no scores: at least one run is needed")
    if np.isnan(scores).any():  # sorting would put it at the end, and the cut would hide it
        raise ValueError("a score is nan: leave that run out, or say what it is worth")
    return scores


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float:
    """Spearman's ρ: Pearson's correlation of ranks. Equal numbers share their mean rank; ρ is 0 where one is constant.

    Source: Spearman 1904, "The Proof and Measurement of Association between Two Things".

    Raises:
        ValueError: there are fewer than two pairs.
    """
    if len(x) != len(y) or len(x) < 2:
        raise ValueError(f"{len(x)} and {len(y)} numbers: pairs are needed, at least two")
    ranks = np.stack([_ranks(x), _ranks(y)])
    deviations = ranks - ranks.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.square(deviations).sum(axis=1).prod())
    return float(deviations.prod(axis=0).sum() / spread) if spread else 0.0


def _ranks(values: Sequence[float]) -> np.ndarray:
    _, places, counts = np.unique(_checked(values), return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[places]
