"""Test whether the couplings of two recordings differ: studentised permutations of blocks of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from infer.checks import constant_spins
from infer.estimators.pseudolikelihood.nodes import fit_nodes
from infer.estimators.rows import SpinRows
from infer.files.json import to_plain_dict
from infer.samples import Samples
from infer.statistics.batches import batch_labels
from infer.types import FloatArray
from infer.wording import brief, join, number, p_text, with_error
from simulate.checks import Seed
from simulate.threads import one_blas_thread

__all__ = ["CouplingDifference", "compare_recordings"]

LEAST_COINCIDENCES = 10.0  # rows in each of the four cells of a pair, below which its standard errors are not valid
LEAST_BLOCKS = 20  # of each recording
MOST_BLOCKS = 300
HESSIAN_ROWS = 20_000
CHUNK_PAIRS = 2048
NAMED = 3


@dataclass(frozen=True, eq=False)
class CouplingDifference:
    """Result of `compare_recordings`: differences of the couplings of two recordings.

    Attributes
    ----------
    difference, difference_std : ndarray of float64, shape (n_spins, n_spins)
        Couplings of the first recording less those of the second, in units of the temperature, and standard errors;
        NaN for pairs that are not judged.
    pair_p_values : ndarray of float64, shape (n_spins, n_spins)
        p-value of each pair, corrected for the number of pairs (maximum of the studentised differences over pairs); NaN
        where not judged, 1 on the diagonal.
    p_value : float
        p-value of all pairs together: the smaller of those of the largest studentised difference and of the sum of
        squares, corrected for taking the smaller.
    rms_difference : float
        Root mean square of the true differences over the pairs that are judged, corrected for the errors; 0 where the
        errors explain the observed ones.
    rms_coupling : float
        Root mean square of the couplings of both recordings, corrected for the errors, for comparison.
    couplings_a, couplings_b : ndarray of float64, shape (n_spins, n_spins)
        Couplings by pseudo-likelihood with fields and one prior sample.
    n_judged, n_pairs : int
        Number of pairs that are judged (all four combinations of their values occur at least ten times in both
        recordings), and of all pairs.
    n_blocks : tuple of int
        Number of blocks of the first and the second recording.
    false_alarms : float
    names : tuple of str or None
        Names of the spins.
    verdict : str
        One or two sentences.
    """

    difference: FloatArray
    difference_std: FloatArray
    pair_p_values: FloatArray
    p_value: float
    rms_difference: float
    rms_coupling: float
    couplings_a: FloatArray
    couplings_b: FloatArray
    n_judged: int
    n_pairs: int
    n_blocks: tuple[int, int]
    false_alarms: float
    names: tuple[str, ...] | None

    __repr__ = brief

    @property
    def couplings_differ(self) -> bool | None:
        """Whether couplings differ; None where no pair can be judged."""
        return None if not self.n_judged else bool(self.p_value <= self.false_alarms)

    @property
    def differing_pairs(self) -> NDArray[np.intp]:
        """Pairs (n, 2), i < j, that differ at the rate of false alarms for all pairs; most significant first."""
        found = np.argwhere(np.triu(self.pair_p_values <= self.false_alarms, 1))
        size = np.abs(self.difference / np.where(self.difference_std > 0, self.difference_std, np.inf))
        return found[np.argsort(-size[found[:, 0], found[:, 1]])]

    @property
    def verdict(self) -> str:
        """Sentence or two on the difference: its significance, size and strongest pairs."""
        return _verdict(self)

    def to_dict(self) -> dict[str, Any]:
        """Everything as floats, lists and strings, ready for JSON; NaN becomes None.

        Returns
        -------
        dict
        """
        return {**to_plain_dict(self), "differing_pairs": self.differing_pairs.tolist()}

    def to_dataset(self) -> xr.Dataset:
        """The matrices as an xarray Dataset; the single numbers are its attributes.

        Returns
        -------
        xarray.Dataset
        """
        pair = ("spin", "other_spin")
        matrices = ("difference", "difference_std", "pair_p_values", "couplings_a", "couplings_b")
        labels = list(self.names) if self.names is not None else np.arange(len(self.difference))
        numbers = ("p_value", "rms_difference", "rms_coupling", "n_judged", "n_pairs", "false_alarms", "verdict")
        attributes = {name: getattr(self, name) for name in numbers}
        return xr.Dataset(
            {name: (pair, getattr(self, name)) for name in matrices},
            coords={"spin": labels, "other_spin": labels},
            attrs={**attributes, "n_blocks": list(self.n_blocks)},
        )


def compare_recordings(
    a: Any,
    b: Any,
    *,
    false_alarms: float = 0.05,
    n_permutations: int = 2000,
    alpha: float | None = None,
    seed: Seed = 0,
    n_jobs: int | None = 1,
) -> CouplingDifference:
    """Test whether the pair couplings of two recordings of the same spins differ, even if their rates differ.

    Couplings and fields are fitted to each recording by pseudo-likelihood. To first order each block ``b`` of
    successive rows changes a coupling by its influence ``y_b`` (the sandwich formula): a coupling is the mean of
    ``J + y_b`` over blocks. Differences are divided by their standard errors. Their null distribution comes from
    permuting these values between the recordings, each time divided by the standard error of the permuted groups.
    Rows themselves are not exchangeable where rates differ, nor are blocks of recordings of different length or
    variance; the studentised permutation test is valid there too, for long recordings (Chung and Romano 2013). For
    single pairs the permutation distribution of the largest studentised difference over all pairs controls the chance
    of any false alarm.

    Parameters
    ----------
    a, b : Recording, Samples, xarray.Dataset or array_like, shape (n_rows, n_spins)
        The same spins in the same order. Rows of a run follow each other in time; counted states (whole weights) are
        taken as independent rows.
    false_alarms : float
        Nominal rate of false alarms: of the answer over all pairs, and of naming any pair.
    n_permutations : int
        Number of permutations; p-values are at least ``1 / (n_permutations + 1)``.
    alpha : float, optional
        Quadratic penalty on couplings, in both fits. Default: one prior sample, ``1 / n`` with n of the shorter
        recording.
    seed : int, SeedSequence, Generator or None
    n_jobs : int or None
        Threads.

    Returns
    -------
    CouplingDifference

    Raises
    ------
    ValueError
        If the recordings have different spins, missing values, weights that are not counts, or too few rows.

    References
    ----------
    E. Chung, J. P. Romano (2013), Annals of Statistics 41, 484, arXiv:1304.5939.
    P. H. Westfall, S. S. Young (1993), Resampling-Based Multiple Testing, Wiley.

    Examples
    --------
    >>> import numpy as np
    >>> from infer import compare_recordings
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.choice([-1, 1], size=(2, 2000, 4))
    >>> compare_recordings(a, b).couplings_differ
    False
    """
    if not 0.0 < false_alarms < 1.0:
        raise ValueError(f"false_alarms must lie between 0 and 1, for example 0.05, got {false_alarms}")
    if n_permutations < 1:
        raise ValueError(f"n_permutations must be at least 1, got {n_permutations}")
    rng = np.random.default_rng(seed)
    first, second = (_Rows.of(data, name, rng) for data, name in ((a, "a"), (b, "b")))
    names = _same_spins(first, second)
    n_spins = first.spins.shape[1]
    length = _block_length(first, second)
    ridge = 1.0 / min(len(first.spins), len(second.spins)) if alpha is None else float(alpha)
    varying = np.setdiff1d(
        np.arange(n_spins), np.concatenate([constant_spins(first.spins), constant_spins(second.spins)])
    )
    judged = np.zeros((n_spins, n_spins), dtype=bool)
    judged[np.ix_(varying, varying)] = first.often_enough(varying) & second.often_enough(varying)
    pairs = np.argwhere(np.triu(judged, 1))
    fits = [_fit_blocks(rows, varying, ridge, length, n_jobs) for rows in (first, second)]
    place = np.searchsorted(varying, pairs)
    values = [fit.values[:, place[:, 0], place[:, 1]] for fit in fits]
    weights = [fit.lengths for fit in fits]
    couplings = []
    for fit in fits:
        matrix = np.zeros((n_spins, n_spins))
        matrix[np.ix_(varying, varying)] = fit.couplings
        couplings.append(matrix)
    tests = _Permutations.run(values, weights, n_permutations, rng)
    spread = couplings[0] - couplings[1]
    std = np.full((n_spins, n_spins), np.nan)
    p_values = np.full((n_spins, n_spins), np.nan)
    for matrix, entries in ((std, tests.std), (p_values, tests.pair_p_values)):
        matrix[pairs[:, 0], pairs[:, 1]] = matrix[pairs[:, 1], pairs[:, 0]] = entries
    difference = np.where(judged, spread, np.nan)
    np.fill_diagonal(difference, 0.0)
    np.fill_diagonal(std, 0.0)
    np.fill_diagonal(p_values, 1.0)
    at = pairs[:, 0], pairs[:, 1]
    squares = [c[at] ** 2 - v for c, v in zip(couplings, tests.variances, strict=True)]
    return CouplingDifference(
        difference=difference,
        difference_std=std,
        pair_p_values=p_values,
        p_value=tests.p_value,
        rms_difference=_root(spread[at] ** 2 - tests.std**2),
        rms_coupling=_root(np.concatenate(squares)),
        couplings_a=couplings[0],
        couplings_b=couplings[1],
        n_judged=len(pairs),
        n_pairs=n_spins * (n_spins - 1) // 2,
        n_blocks=(len(weights[0]), len(weights[1])),
        false_alarms=false_alarms,
        names=names,
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of one recording, in time order or independent."""

    spins: NDArray[np.int8]
    chains: NDArray[np.int64] | None
    names: tuple[str, ...] | None
    label: str

    @classmethod
    def of(cls, data: Any, label: str, rng: np.random.Generator) -> _Rows:
        """Checked rows; counted states are written out in random order."""
        samples = Samples.of(data)
        spins = samples.spins
        if samples.gaps and not samples.complete:
            raise ValueError(f"{label}: values are missing; drop the rows or spins that have missing values first")
        chains = samples.chains
        if samples.weight is not None:
            if samples.weight_kind != "counts" or chains is not None:
                raise ValueError(
                    f"{label}: weights that are not counts of rows cannot be permuted; give rows as recorded"
                )
            spins = np.repeat(spins, samples.weight.astype(np.int64), axis=0)
            spins = spins[rng.permutation(len(spins))]
        if spins.shape[1] < 2:
            raise ValueError(f"{label}: at least two spins are needed, got {spins.shape[1]}")
        if len(spins) < 2 * LEAST_BLOCKS:
            raise ValueError(
                f"{label}: {len(spins)} rows are too few for {LEAST_BLOCKS} blocks; give longer recordings"
            )
        return cls(spins, chains, samples.names, label)

    def often_enough(self, columns: NDArray[np.intp]) -> NDArray[np.bool_]:
        """True for pairs of these spins of which all four combinations occur often enough."""
        mean, second = SpinRows(self.spins, columns=columns).second_moments()
        cells = [1 + a * mean[:, None] + b * mean[None] + a * b * second for a in (-1, 1) for b in (-1, 1)]
        return np.asarray(np.min(cells, axis=0) * len(self.spins) / 4.0 >= LEAST_COINCIDENCES - 1e-6)

    def blocks(self, length: int) -> NDArray[np.int64]:
        """Block of each row."""
        n_blocks = int(np.clip(len(self.spins) // length, LEAST_BLOCKS, MOST_BLOCKS))
        return batch_labels(len(self.spins), self.chains, n_blocks)


def _same_spins(a: _Rows, b: _Rows) -> tuple[str, ...] | None:
    """Names of the spins, after a check that both recordings have the same."""
    if a.spins.shape[1] != b.spins.shape[1]:
        raise ValueError(
            f"a has {a.spins.shape[1]} spins and b has {b.spins.shape[1]}: give the same spins in the same order"
        )
    if a.names is not None and b.names is not None and a.names != b.names:
        place = next(k for k, (one, other) in enumerate(zip(a.names, b.names, strict=True)) if one != other)
        raise ValueError(
            f"spin {place} is {a.names[place]!r} in a and {b.names[place]!r} in b: bring the spins into the same order"
        )
    return a.names if a.names is not None else b.names


def _block_length(a: _Rows, b: _Rows) -> int:
    """Number of rows of a block; the same in both recordings if both then have enough blocks."""
    sizes = [len(rows.spins) for rows in (a, b)]
    default = max(
        -(-size // (int(batch_labels(size, rows.chains)[-1]) + 1)) for size, rows in zip(sizes, (a, b), strict=True)
    )
    return max(1, min(default, min(sizes) // LEAST_BLOCKS))


@dataclass(frozen=True, eq=False)
class _BlockFit:
    """Couplings of the spins that vary, and first-order estimates of them from each block alone."""

    couplings: FloatArray  # (n_varying, n_varying)
    values: FloatArray  # (n_blocks, n_varying, n_varying), their mean weighted by lengths is couplings
    lengths: FloatArray  # (n_blocks,) rows


def _fit_blocks(data: _Rows, varying: NDArray[np.intp], ridge: float, length: int, n_jobs: int | None) -> _BlockFit:
    """Fit pseudo-likelihood and find the influence of each block."""
    rows = SpinRows(data.spins, columns=varying, n_jobs=n_jobs)
    labels = data.blocks(length)
    lengths = np.bincount(labels).astype(np.float64)
    n = len(varying)
    values = np.zeros((len(lengths), n, n))
    if n < 2:
        return _BlockFit(np.zeros((n, n)), values, lengths)
    fit = fit_nodes(rows, ridge, True, 1e-6, 500)
    with one_blas_thread():
        gradients = rows.batch_gradients(fit.couplings, fit.fields, labels)
        # the gradient of a block less its expected share of the total gradient
        excess = gradients - np.multiply.outer(lengths / lengths.sum(), gradients.sum(axis=0))
        for node, hessian, n_used in rows.hessians(fit.couplings, fit.fields, HESSIAN_ROWS):
            others = np.delete(np.arange(n + 1), node)
            matrix = hessian[np.ix_(others, others)]
            matrix[np.diag_indices_from(matrix)] += np.append(np.full(n - 1, ridge), 0.0) + 1e-10 * np.trace(matrix) / n
            debias = 1.0 if n_used is None else max(1.0 - (n + 1) / n_used, 0.1)
            change = -debias * cho_solve(cho_factor(matrix), excess[:, node, others].T.astype(np.float64)).T
            values[:, node, others[:-1]] = change[:, :-1]
    couplings = (fit.couplings + fit.couplings.T) / 2.0
    values = (values + values.transpose(0, 2, 1)) / 2.0 * (lengths.sum() / lengths)[:, None, None] + couplings
    return _BlockFit(couplings, values, lengths)


@dataclass(frozen=True, eq=False)
class _Permutations:
    """Results of the permutation test of all pairs."""

    std: FloatArray  # (n_pairs,) of the differences
    variances: tuple[FloatArray, FloatArray]  # (n_pairs,) of the couplings of each recording
    pair_p_values: FloatArray  # (n_pairs,)
    p_value: float

    @classmethod
    def run(
        cls, values: list[FloatArray], weights: list[FloatArray], n_permutations: int, rng: np.random.Generator
    ) -> _Permutations:
        """Permute the values of blocks, with their weights, between the two groups."""
        pooled, weight = np.concatenate(values), np.concatenate(weights)
        n_first, n_blocks = len(values[0]), len(weight)
        member = np.zeros((n_permutations + 1, n_blocks))
        member[0, :n_first] = 1.0
        for draw in member[1:]:
            draw[rng.permutation(n_blocks)[:n_first]] = 1.0
        largest, total = np.zeros(n_permutations + 1), np.zeros(n_permutations + 1)
        sizes: list[FloatArray] = []
        stds: list[FloatArray] = []
        variances: tuple[list[FloatArray], list[FloatArray]] = ([], [])
        for start in range(0, pooled.shape[1], CHUNK_PAIRS):
            block = pooled[:, start : start + CHUNK_PAIRS]
            block = block - np.average(block, axis=0, weights=weight)
            mean_a, var_a = _weighted(member, weight, block)
            mean_b, var_b = _weighted(1.0 - member, weight, block)
            std = np.sqrt(var_a + var_b)
            size = np.abs(mean_a - mean_b) / np.maximum(std, 1e-300)
            np.maximum(largest, size.max(axis=1), out=largest)
            total += (size**2).sum(axis=1)
            sizes.append(size[0])
            stds.append(std[0])
            variances[0].append(var_a[0])
            variances[1].append(var_b[0])
        if not sizes:
            empty = np.zeros(0)
            return cls(empty, (empty, empty), empty, 1.0)
        above = np.sort(largest)
        found = np.concatenate(sizes)
        p_pairs = (len(above) - np.searchsorted(above, found * (1 - 1e-12))) / len(above)
        # the smaller of two p-values, computed for each permutation in the same way
        best = np.minimum(_upper_ranks(largest), _upper_ranks(total))
        return cls(
            np.concatenate(stds),
            (np.concatenate(variances[0]), np.concatenate(variances[1])),
            p_pairs,
            float(np.mean(best <= best[0])),
        )


def _weighted(member: FloatArray, weight: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weighted means of the members of groups (n_groups, n_pairs) and their variances, as by `batch_roots`."""
    w = member * weight
    w /= w.sum(axis=1, keepdims=True)
    mean = w @ values
    w2 = w**2
    concentration = w2.sum(axis=1, keepdims=True)
    scatter = w2 @ values**2 - 2.0 * mean * (w2 @ values) + concentration * mean**2
    return mean, np.maximum(scatter, 0.0) / (1.0 - concentration)


def _upper_ranks(values: FloatArray) -> FloatArray:
    """Number of values that are at least as large as each value."""
    ordered = np.sort(values)
    return np.asarray(len(values) - np.searchsorted(ordered, values * (1 - 1e-12)), dtype=np.float64)


def _root(squares: FloatArray) -> float:
    """Root of the mean of squares minus squared errors, 0 where that is negative."""
    return float(np.sqrt(max(squares.mean(), 0.0))) if len(squares) else 0.0


def _verdict(found: CouplingDifference) -> str:
    left = found.n_pairs - found.n_judged
    if not found.n_judged:
        return (
            "The recordings cannot be compared: in no pair of spins do all four combinations of values occur "
            f"{LEAST_COINCIDENCES:g} times in both. Give longer recordings, or wider bins."
        )
    own = number(found.rms_coupling)
    size = f"{number(found.rms_difference)} (root mean square over pairs; couplings themselves {own})"
    if found.couplings_differ:
        text = f"The couplings differ between the two recordings ({p_text(found.p_value)}), by {size}"
    else:
        text = f"The rows do not show that couplings differ between the two recordings ({p_text(found.p_value)})"
    pairs = found.differing_pairs
    if len(pairs):
        shown = []
        for i, j in pairs[:NAMED]:
            title = "-".join(found.names[k] if found.names is not None else str(k) for k in (i, j))
            shown.append(f"{title} ({with_error(found.difference[i, j], found.difference_std[i, j])})")
        more = [f"{len(pairs) - NAMED} more"] if len(pairs) > NAMED else []
        alone = "1 pair differs" if len(pairs) == 1 else f"{len(pairs)} pairs differ"
        text += f"; {alone} by itself: " if len(pairs) == 1 else f"; {alone} by themselves: "
        text += join(shown + more)
    text += "."
    if left:
        text += f" {left} of {found.n_pairs} pairs are not judged: a combination of their values is too rare."
    return text
