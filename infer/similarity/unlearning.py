"""Similarity along the path of iterative unlearning: the number of dreams closest to given couplings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from infer.checks import check_confidence
from infer.files.json import to_plain_dict
from infer.similarity.metrics import METRICS, similarity_metrics
from infer.similarity.rate_fit import corrected_percentiles
from infer.similarity.replicates import check_draws, read_block, replicate_blocks, unpack_couplings
from infer.wording import brief
from simulate.checks import Seed, seed_sequence
from simulate.couplings import hebbian
from simulate.memory.unlearning import unlearn
from simulate.progress_bars import tqdm

FloatArray = NDArray[np.float64]

# points without a new best cosine after which the peak counts as passed; since dreams are random, one is not enough
_POINTS_PAST_PEAK = 8


@dataclass(frozen=True, eq=False)
class UnlearningSimilarity:
    """Result of :func:`compare_unlearning`.

    Attributes
    ----------
    dreams : ndarray of int (n_points,)
        Numbers of dreams along the path, from 0 (Hebbian).
    profile : dict of ndarray (n_points,)
        The metrics of :func:`infer.similarity.metrics.similarity_metrics` along the path.
    best_dreams : float
        Number of dreams of greatest cosine, interpolated by a parabola through the highest point and its neighbours.
    best_dreams_interval : tuple of float or None
        Its interval at ``confidence`` from replicates of the couplings (bias-corrected percentiles), for the dreams of
        this seed; None without replicates.
    passed_peak : bool
        Whether the path went beyond its most similar point; otherwise more dreams may be more similar.
    epsilon : float
        Strength of a dream.
    confidence : float
    at_best, at_hebbian : dict of float
        The metrics at the best point of the path, and without dreams.
    verdict : str
        One sentence built from these numbers.
    """

    dreams: NDArray[np.int64]
    profile: dict[str, FloatArray]
    best_dreams: float
    best_dreams_interval: tuple[float, float] | None
    passed_peak: bool
    epsilon: float
    confidence: float
    at_best: dict[str, float]
    at_hebbian: dict[str, float]

    __repr__ = brief

    def to_dict(self) -> dict[str, Any]:
        """Everything as floats, lists and strings, ready for JSON; NaN becomes None, infinity "inf".

        Returns
        -------
        dict
        """
        return to_plain_dict(self)

    @property
    def verdict(self) -> str:
        """One sentence on the number of dreams at which the similarity is largest."""
        return _verdict(self)


def compare_unlearning(
    couplings: Any,
    patterns: ArrayLike,
    *,
    epsilon: float = 0.01,
    dreams_per_point: int | None = None,
    max_points: int = 200,
    replicates: ArrayLike | None = None,
    n_bootstrap: int = 400,
    confidence: float = 0.95,
    seed: Seed = 0,
    progress: bool = False,
) -> UnlearningSimilarity:
    r"""Compare couplings with the Hebbian matrix after increasing numbers of dreams.

    The path starts at ``hebbian(patterns)`` and continues by :func:`simulate.unlearn`,
    :math:`J \leftarrow J - (\epsilon/N) s^* s^{*T}`, until it has passed the point of greatest cosine.

    Parameters
    ----------
    couplings : array (n_spins, n_spins) or fitted estimator
        As for :func:`infer.similarity.compare.compare`.
    patterns : array (n_patterns, n_spins) of +-1
    epsilon : float
        Strength of a dream.
    dreams_per_point : int, optional
        Dreams from one point of the path to the next; N / (100 epsilon) by default.
    max_points : int
        Largest number of points of the path.
    replicates : array (n_replicates, n_spins, n_spins), optional
        Bootstrap replicates of the couplings; replace those of an estimator.
    n_bootstrap : int
        Number of replicates drawn from a fitted estimator.
    confidence : float
        Confidence of the interval.
    seed : int, SeedSequence, Generator or None
        Seed of dreams and replicates.
    progress : bool
        Show a progress bar.

    Returns
    -------
    UnlearningSimilarity

    Raises
    ------
    ValueError
        If couplings, patterns or numbers are malformed or do not fit each other.

    References
    ----------
    Hopfield, Feinstein, Palmer 1983, Nature 304, 158, doi 10.1038/304158a0.
    """
    matrix, estimator = unpack_couplings(couplings)
    check_confidence(confidence)
    check_draws(n_bootstrap=n_bootstrap)
    start = hebbian(patterns)
    if start.shape != matrix.shape:
        raise ValueError(f"patterns: {len(start)} spins do not fit couplings of shape {matrix.shape}")
    if not (np.isfinite(epsilon) and epsilon > 0):
        raise ValueError(f"epsilon must be a finite number > 0, got {epsilon}")
    if max_points < 3:
        raise ValueError(f"max_points must be at least 3, got {max_points}")
    step = max(1, round(len(matrix) / (100 * epsilon))) if dreams_per_point is None else dreams_per_point
    dream_seed, replicate_seed = seed_sequence(seed).spawn(2)
    path = _path(start, matrix, epsilon, step, max_points, np.random.default_rng(dream_seed), progress)
    rows = [similarity_metrics(matrix, point) for point in path]
    profile = {name: np.array([row[name] for row in rows]) for name in METRICS}
    top = int(np.argmax(profile["cosine"]))
    best = step * float(_peaks(profile["cosine"][None])[0])

    interval = None
    blocks = replicate_blocks(estimator, replicates, n_bootstrap, replicate_seed, len(matrix))
    if blocks is not None:
        # the norm of a replicate does not change the position of its maximum
        units = np.array([point.ravel() / np.linalg.norm(point) for point in path])
        peaks: list[FloatArray] = []
        for stack in blocks:
            block = read_block(stack, sum(len(done) for done in peaks))
            peaks.append(step * _peaks(block.reshape(len(block), -1) @ units.T))
        low, high = corrected_percentiles(best, np.concatenate(peaks), confidence)
        # next to 0 dreams, positions below half a step are not resolved
        interval = (low, max(high, step / 2.0))
    return UnlearningSimilarity(
        dreams=step * np.arange(len(path)),
        profile=profile,
        best_dreams=best,
        best_dreams_interval=interval,
        passed_peak=len(path) - 1 - top >= _POINTS_PAST_PEAK,
        epsilon=epsilon,
        confidence=confidence,
        at_best=rows[top],
        at_hebbian=rows[0],
    )


def _path(
    start: FloatArray,
    couplings: FloatArray,
    epsilon: float,
    step: int,
    max_points: int,
    rng: np.random.Generator,
    progress: bool,
) -> list[FloatArray]:
    """Couplings after 0, step, 2 step, ... dreams, until the cosine with the couplings has passed its peak."""
    path, cosines = [start], [float(np.sum(start * couplings) / np.linalg.norm(start))]
    with tqdm(total=max_points, initial=1, disable=not progress, desc="unlearning", unit="point") as bar:
        while len(path) < max_points and len(path) - 1 - int(np.argmax(cosines)) < _POINTS_PAST_PEAK:
            point = unlearn(path[-1], step, epsilon, seed=rng)
            path.append(point)
            cosines.append(float(np.sum(point * couplings) / np.linalg.norm(point)))
            bar.update()
    return path


def _peaks(table: FloatArray) -> FloatArray:
    """Positions (n,) of the maxima of rows (n, n_points): parabola through the highest point and its neighbours."""
    n_points = table.shape[1]
    top = np.argmax(table, axis=1)
    if n_points < 3:
        return top.astype(np.float64)
    inner = np.clip(top, 1, n_points - 2)
    rows = np.arange(len(table))
    left, middle, right = (table[rows, inner + shift] for shift in (-1, 0, 1))
    curvature = left - 2 * middle + right
    shift = np.where(curvature < 0, (left - right) / np.where(curvature < 0, 2 * curvature, 1.0), 0.0)
    # the maximum cannot lie outside the path
    return np.where(top == inner, inner + np.clip(shift, -0.5, 0.5), top)


def _verdict(found: UnlearningSimilarity) -> str:
    """One sentence on the number of dreams at which the similarity is largest."""
    best, hebbian = found.at_best["cosine"], found.at_hebbian["cosine"]
    interval = ""
    if found.best_dreams_interval is not None:
        low, high = found.best_dreams_interval
        interval = f", {100 * found.confidence:g} % interval {low:.0f} to {high:.0f}"
    scores = f"cosine {best:.4f} against {hebbian:.4f} without dreams"
    if not found.passed_peak:
        return (
            f"The couplings are still getting more similar after {found.dreams[-1]} dreams of strength "
            f"{found.epsilon:g} ({scores}): allow more points."
        )
    if found.best_dreams <= 0:
        return (
            f"Unlearning makes the Hebbian matrix no more similar to the couplings (best without dreams{interval}; "
            f"cosine {hebbian:.4f})."
        )
    return (
        f"The couplings are most similar to the Hebbian matrix after {found.best_dreams:.0f} dreams of strength "
        f"{found.epsilon:g}{interval} ({scores})."
    )
