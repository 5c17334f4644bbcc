"""Partition functions, by enumeration or annealed importance sampling, and the true likelihoods they give."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from infer.checks import passing_rows
from infer.estimators.base import SpinEstimator
from infer.estimators.likelihood.chains import PersistentChains
from infer.estimators.likelihood.enumeration import enumerate_states
from infer.model import PairModel

FloatArray = NDArray[np.float64]

MOST_EXACT_SPINS = 20  # enumerated in a few hundredths of a second
MOST_ENUMERATED_SPINS = 24  # 134 MB


@dataclass(frozen=True)
class LogPartition:
    """Natural logarithm of a partition function."""

    value: float
    std: float  # standard error, 0 when exact
    effective_chains: float  # number of chains that carry the estimate; infinite when exact


@dataclass(frozen=True)
class LogLikelihood:
    """Mean log-likelihood per sample, in nats."""

    value: float
    std: float  # standard error of the partition function; the samples are taken as given


def log_partition(
    couplings: Any,
    fields: ArrayLike | None = None,
    *,
    method: str = "auto",
    n_chains: int = 200,
    n_temperatures: int = 1000,
    random_state: int | np.random.RandomState | None = 0,
) -> LogPartition:
    r"""
    Logarithm of :math:`Z = \sum_s e^{\frac12 \sum_{i \ne j} J_{ij} s_i s_j + \sum_i h_i s_i}`.

    "exact" sums over all states. "ais" is annealed importance sampling (Neal 2001): chains start from independent spins
    in the fields, whose partition function is known, and take one sweep of heat-bath updates at each of a series of
    models whose couplings grow in equal steps from 0 to J. The mean of the weights they gather estimates
    :math:`Z / Z_0` without bias (its logarithm lies low by half its variance).

    Parameters
    ----------
    couplings : array-like (n_spins, n_spins), PairModel or fitted estimator
        Symmetric, containing 1/T; the diagonal is ignored.
    fields : array-like (n_spins,), optional
        Containing 1/T.
    method : {"auto", "exact", "ais"}
        "auto" is "exact" up to 20 spins, "ais" above.
    n_chains, n_temperatures : int
        Chains, and steps from independent spins to the full couplings, of "ais".
    random_state : int, RandomState or None
        Seed of "ais".

    Returns
    -------
    LogPartition

    Raises
    ------
    ValueError
        If couplings are not a symmetric finite matrix, fields do not go with them, the method is unknown, or there
        are more than 24 spins to enumerate.

    Warns
    -----
    ConvergenceWarning
        If fewer than a tenth of the chains carry the estimate: its standard error is then too small.

    References
    ----------
    R. M. Neal 2001, Statistics and Computing 11, 125, arXiv:physics/9803008. R. Salakhutdinov, I. Murray 2008,
    Proc. ICML, 872, doi:10.1145/1390156.1390266.

    Examples
    --------
    >>> import numpy as np
    >>> from infer.estimators.likelihood.partition import log_partition
    >>> round(log_partition(np.zeros((3, 3))).value, 4)
    2.0794
    """
    model = PairModel.of(couplings, fields)
    J, h = model.couplings, model.fields
    if method not in ("auto", "exact", "ais"):
        raise ValueError(f"method must be 'auto', 'exact' or 'ais', got {method!r}")
    if method == "exact" and len(J) > MOST_ENUMERATED_SPINS:
        raise ValueError(
            f"{len(J)} spins have too many states to enumerate (at most {MOST_ENUMERATED_SPINS}): use 'ais'"
        )
    if method == "exact" or (method == "auto" and len(J) <= MOST_EXACT_SPINS):
        return LogPartition(enumerate_states(J, h).log_partition, 0.0, np.inf)
    for name, number in (("n_chains", n_chains), ("n_temperatures", n_temperatures)):
        if number < 2:
            raise ValueError(f"{name} must be at least 2, got {number}")
    weights = _annealed_log_weights(J, h, n_chains, n_temperatures, random_state)
    largest = float(weights.max())
    relative = np.exp(weights - largest)
    mean = float(relative.mean())
    effective = float(relative.sum() ** 2 / (relative**2).sum())
    if effective < n_chains / 10:
        warnings.warn(
            f"only {effective:.1f} of {n_chains} chains carry the partition function, so that its error is larger than "
            "stated: raise n_temperatures (say tenfold)",
            ConvergenceWarning,
            stacklevel=2,
        )
    independent = float(np.logaddexp(h, -h).sum())
    std = float(relative.std(ddof=1) / mean / np.sqrt(n_chains))
    return LogPartition(independent + largest + float(np.log(mean)), std, effective)


def _annealed_log_weights(
    J: FloatArray, h: FloatArray, n_chains: int, n_temperatures: int, random_state: Any
) -> FloatArray:
    """Logarithms of the importance weights that chains gather from independent spins to couplings J."""
    rng = check_random_state(random_state)
    up = 1.0 / (1.0 + np.exp(-2.0 * h))
    spins = np.where(rng.random_sample((n_chains, len(J))) < up, 1, -1).astype(np.int8)
    chains = PersistentChains(spins, int(rng.randint(np.iinfo(np.int32).max)))
    step = 1.0 / n_temperatures
    weights = np.zeros(n_chains)
    for k in range(n_temperatures):
        states = chains.spins.astype(np.float64)
        weights += step * 0.5 * np.einsum("ki,ki->k", states @ J, states)
        if k + 1 < n_temperatures:
            chains.advance((k + 1) * step * J, h, 1)
    return weights


def refuse_gaps(spins: NDArray[np.int8], purpose: str) -> None:
    """
    Raise where values are missing (0), which an estimator with ``missing="mask"`` lets through.

    Parameters
    ----------
    spins : int8 array (n_samples, n_spins) of +-1 and 0
    purpose : str
        What needs complete samples, for the message.

    Raises
    ------
    ValueError
        If a value is missing; the message says where the first one is.
    """
    for rows in passing_rows(spins):
        if not spins[rows].all():
            row, column = (int(index) for index in np.argwhere(spins[rows] == 0)[0])
            raise ValueError(
                f"row {rows.start + row}, column {column} of X is missing, and {purpose} needs complete samples: drop "
                "rows with missing values, or fill them first with PseudoLikelihood(missing='mask').fit(X).complete(X)"
            )


def log_likelihood(
    estimator: SpinEstimator,
    X: Any,
    sample_weight: ArrayLike | None = None,
    *,
    partition: LogPartition | None = None,
    random_state: int | np.random.RandomState | None = 0,
) -> LogLikelihood:
    """
    Mean log-likelihood per sample of the Boltzmann distribution that an estimator of spins has found.

    Unlike ``score``, a pseudo-likelihood, it compares models as distributions; on held-out samples the larger is the
    better model.

    Parameters
    ----------
    estimator : SpinEstimator
        Fitted, for example `PseudoLikelihood` or `MaximumLikelihood`.
    X : array-like (n_samples, n_spins) of +-1, xarray.Dataset or Recording
    sample_weight : array-like (n_samples,), optional
    partition : LogPartition, optional
        That of the estimator's couplings and fields, if already known. By default `log_partition` finds it.
    random_state : int, RandomState or None
        Seed of the partition function of more than 20 spins.

    Returns
    -------
    LogLikelihood

    Raises
    ------
    ValueError
        If X does not hold the spins that the estimator was fitted to, values are missing, or the partition function
        cannot be had.
    """
    check_is_fitted(estimator, "couplings_")
    samples = estimator.read(X, sample_weight)
    refuse_gaps(samples.spins, "a log-likelihood")
    if partition is None:
        partition = log_partition(estimator, random_state=random_state)
    mean = -float(np.average(PairModel.of(estimator).energies(samples.spins), weights=samples.weight))
    return LogLikelihood(mean - partition.value, partition.std)
