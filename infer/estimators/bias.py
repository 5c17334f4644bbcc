"""Temperature bias of couplings from few samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from infer.checks import name_spins
from infer.estimators.base import SpinEstimator, without_errors
from infer.estimators.columns import VaryingSpins
from infer.statistics.uncertainty import batch_labels
from infer.wording import brief
from simulate.progress_bars import tqdm
from simulate.threads import in_threads
from simulate.user_warnings import collected_warnings, warn

FloatArray = NDArray[np.float64]

N_GROUPS = 10


@dataclass(frozen=True)
class TemperatureBias:
    """Bias and noise of couplings inferred from few samples, as a temperature.

    Attributes
    ----------
    coupling_scale : float
        Factor by which couplings are too large on average: the inferred ones are `coupling_scale` times the true ones,
        plus noise. 1 without bias.
    coupling_scale_std : float
        Its standard error.
    noise_share : float
        Share of the mean square of the inferred couplings that is noise.
    apparent_temperature : float
        Temperature estimated from the root mean square of the inferred couplings, in units of the true one. Both the
        factor and the noise make it smaller than 1: the system seems colder than it is.
    couplings : ndarray (n_spins, n_spins)
        Inferred couplings divided by `coupling_scale`.
    n_groups : int
        Number of groups of the jackknife.
    converged : bool
        Whether all its fits have converged.
    """

    coupling_scale: float
    coupling_scale_std: float
    noise_share: float
    apparent_temperature: float
    couplings: FloatArray
    n_groups: int
    converged: bool

    __repr__ = brief


def temperature_bias(
    estimator: SpinEstimator,
    X: Any,
    sample_weight: ArrayLike | None = None,
    *,
    n_groups: int = N_GROUPS,
    n_jobs: int | None = 1,
    progress: bool = False,
) -> TemperatureBias:
    r"""
    Estimate the bias of inferred couplings that is due to the finite number of samples, as a temperature.

    Estimates from few samples are too large on average, by a term of order 1 / n_samples, and noise adds to their
    spread. A temperature estimated from their size is therefore too low, so that systems seem closer to criticality, or
    deeper in an ordered phase, than they are. Both parts follow from fits that leave one group of samples out at a time
    (delete-group jackknife): with the fit :math:`J`, the fits :math:`J^{(k)}` without group k of K, and their mean
    :math:`\bar J`, the bias of each coupling is :math:`b = (K - 1)(\bar J - J)`, its variance
    :math:`v = \frac{K - 1}{K} \sum_k (J^{(k)} - \bar J)^2`, and over all pairs

    .. math:: \frac{g - 1}{g} = \frac{\sum b J}{\sum J^2}, \qquad
              \frac{T_{apparent}}{T} = \frac1g \sqrt{\frac{\sum (J^2 - v)}{\sum J^2}},

    g being `coupling_scale`. Groups consist of batches of successive rows, so that correlations in time are accounted
    for. A penalty that does not decrease with the number of samples shrinks couplings, which is not part of this bias.
    Terms of order 1 / n_samples^2 are left out: where `noise_share` exceeds about 0.2, the estimated bias is somewhat
    too large.

    Parameters
    ----------
    estimator : SpinEstimator
        For example `PseudoLikelihood()`; it is not changed. With ``penalty="firth"`` the factor should be close to 1.
    X : array-like (n_samples, n_spins) of +-1, xarray.Dataset or Recording
    sample_weight : array-like (n_samples,), optional
        Integers without time order (counts) are distributed over the groups one by one.
    n_groups : int, default 10
    n_jobs : int or None, default 1
        Number of threads, each with one fit.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    TemperatureBias

    Raises
    ------
    ValueError
        If there are fewer rows than groups, no two spins vary, a spin varies in one group of samples only, or the
        couplings are not larger than their noise.

    Warns
    -----
    ConvergenceWarning
        If fits have not converged, so that the bias is not known.

    References
    ----------
    M. B. Kloucek, T. Machon, S. Kajimura, C. P. Royall, N. Masuda, F. Turci 2023, Phys. Rev. E 108, 014109,
    arXiv:2301.05556 (the effect, and its size). R. G. Miller 1974, Biometrika 61, 1 (jackknife).
    """
    if n_groups < 2:
        raise ValueError(f"n_groups must be at least 2, got {n_groups}")
    with collected_warnings(ConvergenceWarning):  # the fit warns of constant spins
        samples = clone(estimator).prepare(X, sample_weight)
    if len(samples.varying) < 2:
        raise ValueError("fewer than two spins vary: there are no couplings whose bias could be estimated")
    given = samples.samples
    array = given.spins
    weights = _left_out(given.weight, given.chains, len(array), n_groups)
    _refuse_lost_spins(samples, weights)
    plain = without_errors(estimator).set_params(threshold=None)
    full = clone(plain).fit(array, sample_weight=given.weight)
    first, second = np.triu_indices(len(samples.varying), 1)
    above = samples.varying[first], samples.varying[second]

    def fit(weight: FloatArray) -> tuple[FloatArray, bool]:
        with collected_warnings(ConvergenceWarning):  # replaced by one warning below
            model = clone(plain).fit(array, sample_weight=weight)
        return model.couplings_[above], bool(model.converged_)

    with tqdm(total=n_groups, disable=not progress, desc="jackknife", unit="fit") as bar:
        fits = in_threads(fit, weights, n_jobs, bar=bar)
    converged = bool(full.converged_) and all(done for _, done in fits)
    if not converged:
        warn(
            "not all fits without a group of samples converged (couplings may be infinite), so that the bias is not "
            "known; give more samples, or take an estimator that keeps couplings finite (penalty='firth')",
            ConvergenceWarning,
            stacklevel=2,
        )
    return _summarise(full.couplings_, above, np.array([found for found, _ in fits]), converged)


def _left_out(
    weight: FloatArray | None, chains: NDArray[np.int64] | None, n_rows: int, n_groups: int
) -> list[FloatArray]:
    """Weights of the rows without each group."""
    if weight is not None and chains is None and np.all(weight % 1 == 0):
        if weight.sum() < n_groups:
            raise ValueError(f"{int(weight.sum())} samples cannot be shared out to {n_groups} groups: give more")
        counts = np.random.default_rng(0).multinomial(weight.astype(np.int64), np.full(n_groups, 1.0 / n_groups))
        return [weight - counts[:, group] for group in range(n_groups)]
    if n_rows < n_groups:
        raise ValueError(f"{n_rows} rows cannot be shared out to {n_groups} groups: give more, or lower n_groups")
    labels = batch_labels(n_rows, chains)
    if labels[-1] + 1 < 2 * n_groups:
        labels = batch_labels(n_rows, chains, n_groups)
    every = np.ones(n_rows) if weight is None else weight
    return [np.where(labels % n_groups == group, 0.0, every) for group in range(n_groups)]


def _refuse_lost_spins(samples: VaryingSpins, weights: list[FloatArray]) -> None:
    """Raise where a spin is constant without some group: its couplings would be zero, which is no estimate."""

    def varying(weight: FloatArray | None) -> NDArray[np.bool_]:
        counted = np.ones((samples.samples.n_rows, 1), dtype=bool) if weight is None else weight[:, None] > 0
        # both values were observed; 0 is a missing value
        highest = samples.samples.spins.max(axis=0, initial=-1, where=counted)
        return highest > samples.samples.spins.min(axis=0, initial=1, where=counted) + 1

    everywhere = varying(samples.samples.weight)
    for weight in weights:
        lost = np.flatnonzero(everywhere & ~varying(weight))
        if len(lost):
            raise ValueError(
                f"{name_spins(lost, samples.names)} never change without one of the {len(weights)} groups of samples, "
                "so that couplings to them cannot be fitted there: drop these columns, or give more samples"
            )


def _summarise(
    couplings: FloatArray, above: tuple[NDArray, NDArray], without: FloatArray, converged: bool
) -> TemperatureBias:
    """Result of the jackknife from couplings with all samples, and (n_groups, n_pairs) without each group."""
    n_groups = len(without)
    inferred, mean = couplings[above], without.mean(axis=0)
    bias = (n_groups - 1) * (mean - inferred)
    variance = (n_groups - 1) / n_groups * ((without - mean) ** 2).sum(axis=0)
    apparent = float((inferred**2).sum())
    signal = float((inferred**2 - variance).sum())
    if not signal > 0.0:
        raise ValueError(
            "the couplings are not larger than their noise: there are too few samples to estimate a temperature"
        )
    # the bias is relative to the mean square of the inferred couplings, noise included
    relative = float((bias * inferred).sum()) / apparent
    # error of a ratio of sums over pairs; pairs that share a spin are correlated
    deviation = np.zeros_like(couplings)
    deviation[above] = bias * inferred - relative * inferred**2
    by_spin = (deviation + deviation.T).sum(axis=1)
    squares = (deviation**2).sum()
    error = float(np.sqrt(max((by_spin**2).sum() - squares, squares))) / apparent
    scale = 1.0 / (1.0 - relative) if relative < 1.0 else np.inf
    return TemperatureBias(
        coupling_scale=float(scale),
        coupling_scale_std=float(scale**2 * error),
        noise_share=1.0 - signal / apparent,
        apparent_temperature=float(np.sqrt(signal / apparent) / scale),
        couplings=couplings / scale,
        n_groups=n_groups,
        converged=converged,
    )
