"""The whole way from samples to numbers: fit, similarity, goodness of fit, convergence."""

import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from infer.estimators._base import check_spins, row_weights, unpack_samples
from infer.estimators.dreaming import DreamingModel
from infer.estimators.pseudolikelihood import PseudoLikelihood
from infer.report._monitor import monitor
from infer.report._record import fields_of, now, plain, readable_attributes, versions
from infer.report._svg import clean_text
from infer.verdict.adequacy import Adequacy, goodness_of_fit
from infer.verdict.families import data_correlations
from infer.verdict.similarity import Similarity, compare

__all__ = ["Analysis", "analyse"]


@dataclass(frozen=True, eq=False)
class Analysis:
    """Everything that a report shows.

    Attributes
    ----------
    source : str
        Where the samples come from.
    names : tuple of str
        Names of the spins.
    data : dict
        What the samples are: ``kind``, ``n_samples``, ``n_rows``, ``n_spins``, ``n_chains``, ``n_patterns``, ...
    couplings, couplings_std : ndarray of float64, shape (n_spins, n_spins)
        Fitted couplings beta J (dimensionless) with standard errors.
    fields, means : ndarray of float64, shape (n_spins,)
        Fitted fields beta h (dimensionless); mean of every spin.
    fit : dict
        Estimator, its parameters, iterations, convergence and score (nats per sample).
    dreaming : dict or None
        Dreaming rate and inverse temperature by likelihood with standard errors, when patterns are known.
    similarity : Similarity
    adequacy : Adequacy
    convergence : dict
        ``applicable``, ``note`` and, per group ("energy", "overlaps", "spins"), R-hat and effective sample size.
    warnings : tuple of str
        What was warned about on the way.
    parameters : dict
        Everything needed to repeat the analysis, seed included.
    versions : dict
        Versions of Python and of the libraries.
    created : str
        Date and time, UTC; taken from ``SOURCE_DATE_EPOCH`` when that is set.
    """

    source: str
    names: tuple[str, ...]
    data: dict[str, Any]
    couplings: NDArray[np.float64]
    couplings_std: NDArray[np.float64]
    fields: NDArray[np.float64]
    means: NDArray[np.float64]
    fit: dict[str, Any]
    dreaming: dict[str, Any] | None
    similarity: Similarity
    adequacy: Adequacy
    convergence: dict[str, Any]
    warnings: tuple[str, ...]
    parameters: dict[str, Any]
    versions: dict[str, str]
    created: str

    def headline(self) -> dict[str, Any]:
        """The few numbers to read first.

        Returns
        -------
        dict
            ``rate``, ``rate_std``, ``rate_interval``, ``inverse_temperature`` and ``inverse_temperature_std``: by
            likelihood when patterns are given and a finite rate fits best, else of the most similar member of the
            family; ``level`` of the interval; ``cosine_best``, ``cosine_hebbian``; ``verdict``.
        """
        similarity = self.similarity
        numbers: dict[str, Any] = {
            "rate": similarity.best_rate,
            "rate_std": similarity.best_rate_std,
            "rate_interval": tuple(similarity.best_rate_interval),
            "level": similarity.level,
            "inverse_temperature": similarity.inverse_temperature,
            "inverse_temperature_std": similarity.inverse_temperature_std,
        }
        if self.dreaming is not None and self.dreaming["converged"]:
            numbers.update({key: self.dreaming[key] for key in numbers if key in self.dreaming})
        numbers["cosine_best"] = similarity.at_best["cosine"]
        numbers["cosine_hebbian"] = similarity.at_hebbian["cosine"]
        numbers["verdict"] = similarity.verdict
        return numbers

    def strongest_couplings(self, n: int = 20) -> list[dict[str, Any]]:
        """The couplings of largest size.

        Parameters
        ----------
        n : int
            How many.

        Returns
        -------
        list of dict
            ``i``, ``j``, ``coupling`` (beta J), ``std`` (standard error) and ``z``, their ratio; strongest first.
        """
        rows, columns = np.triu_indices(len(self.couplings), 1)
        order = np.argsort(-np.abs(self.couplings[rows, columns]), kind="stable")[:n]
        found = []
        for i, j in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
            coupling, std = float(self.couplings[i, j]), float(self.couplings_std[i, j])
            z = coupling / std if std > 0 else math.nan
            found.append({"i": i, "j": j, "coupling": coupling, "std": std, "z": z})
        return found

    def to_dict(self) -> dict[str, Any]:
        """Every number shown on the page, ready for JSON.

        Returns
        -------
        dict
            Built of dict, list, str, int, float, bool and None only. NaN (undefined) becomes None, infinity the text
            "inf" or "-inf"; arrays are rounded to 9 significant digits.
        """
        # the three matrices stand at the top level, once
        similarity = fields_of(self.similarity, without=("couplings", "reference_couplings", "hebbian_couplings"))
        parts = {
            "source": self.source,
            "headline": self.headline(),
            "data": self.data,
            "fit": self.fit,
            "dreaming": self.dreaming,
            "similarity": similarity,
            "adequacy": fields_of(self.adequacy),
            "convergence": self.convergence,
            "warnings": self.warnings,
            "parameters": self.parameters,
            "versions": self.versions,
            "created": self.created,
            "names": self.names,
            "strongest_couplings": self.strongest_couplings(),
            "means": self.means,
            "fields": self.fields,
            "couplings": self.couplings,
            "couplings_std": self.couplings_std,
            "reference_couplings": self.similarity.reference_couplings,
            "hebbian_couplings": self.similarity.hebbian_couplings,
        }
        return plain(parts)


def analyse(
    samples: Any,
    patterns: ArrayLike | None = None,
    *,
    names: Sequence[str] | None = None,
    source: str | None = None,
    seed: int = 0,
    n_jobs: int | None = 1,
    progress: bool = False,
    alpha: float | None = None,
    fit_fields: bool | None = None,
) -> Analysis:
    """Fit couplings to samples and say how dreamed they are, how sure that is, and whether the model fits.

    Parameters
    ----------
    samples : Recording, xarray.Dataset or array_like, shape (n_samples, n_spins)
        Spins of +-1: what `read_recording` or `simulate.sample` returns, or an array whose rows are in time order.
    patterns : array_like, shape (n_patterns, n_spins), optional
        Stored patterns of +-1; by default those that come with a recording. Without any, the data correlation matrix
        takes the place of the Hebbian matrix.
    names : sequence of str, optional
        Names of the spins; by default those that come with the samples, else their numbers.
    source : str, optional
        Where the samples come from, for the title of the report.
    seed : int
        Of bootstrap, null models and model samples. Same seed, same numbers, for any `n_jobs`.
    n_jobs : int or None
        Number of threads.
    progress : bool
        Show a progress bar.
    alpha : float, optional
        Strength of the l2 penalty of the pseudo-likelihood. Default 1/n_samples, a standard normal prior on every
        coupling: it keeps couplings finite where some spins determine others completely, and weighs nothing elsewhere.
    fit_fields : bool, optional
        Whether every spin has a field. Default: no for simulations without fields, yes for all else, since the means
        of recorded spins are not zero.

    Returns
    -------
    Analysis
        Warnings raised on the way are kept in it, not issued.

    Raises
    ------
    ValueError
        If the samples are not +-1, or names or patterns do not fit them.
    """
    array, chains, own_names = unpack_samples(samples)
    spins = np.asarray(array)
    if spins.ndim != 2 or 0 in spins.shape:
        raise ValueError(f"samples: expected an array (n_samples, n_spins), got shape {spins.shape}")
    spins = check_spins(spins)
    n_rows, n_spins = spins.shape
    weight = row_weights(samples, spins, None)
    n_samples = n_rows if weight is None else round(float(weight.sum()))
    if patterns is None:
        patterns = getattr(samples, "patterns", None) if hasattr(samples, "spins") else None
    xi = None if patterns is None else _check_patterns(patterns, n_spins)
    names = _check_names(names if names is not None else own_names, n_spins)
    attributes = getattr(samples, "attrs", None) or getattr(samples, "attributes", None) or {}
    simulated = isinstance(samples, (xr.Dataset, xr.DataArray)) or "dynamics" in attributes
    # rows of a plain array are taken as one run; a recording knows whether its rows have an order
    ordered = chains is not None or not hasattr(samples, "chains")
    if fit_fields is None:
        fit_fields = not (simulated and _no_fields(attributes))
    alpha = 1.0 / n_samples if alpha is None else float(alpha)
    seconds: dict[str, float] = {}
    n_steps = 4 if xi is None else 5
    with (
        tqdm(total=n_steps, disable=not progress, desc="analyse", unit="step") as bar,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        with _step("couplings", bar, seconds):
            model = PseudoLikelihood(penalty="l2", alpha=alpha, fit_fields=fit_fields, n_jobs=n_jobs).fit(samples)
            couplings_std, score = np.asarray(model.couplings_std_, dtype=np.float64), float(model.score(samples))
        dreaming = None
        if xi is not None:
            with _step("rate by likelihood", bar, seconds):
                try:
                    dreaming = _fit_rate(samples, xi, fit_fields)
                except ValueError as error:  # the patterns do not determine a rate; the comparison says so too
                    warnings.warn(f"no dreaming rate by likelihood: {error}", RuntimeWarning, stacklevel=1)
        with _step("similarity", bar, seconds):
            correlations = data_correlations(spins, weight) if xi is None else None
            similarity = compare(model, xi, correlations=correlations, random_state=seed)
        with _step("goodness of fit", bar, seconds):
            adequacy = goodness_of_fit(model, samples, random_state=seed, n_jobs=n_jobs)
        with _step("convergence", bar, seconds):
            watched = monitor(spins, chains, ordered, model.couplings_, model.fields_, xi)
    means = _means(spins, weight)
    converged = bool(model.converged_)
    return Analysis(
        source=clean_text(source if source is not None else _source(samples)),
        names=names,
        data={
            "kind": "simulation" if simulated else "recording",
            "n_samples": n_samples,
            "n_rows": n_rows,
            "n_spins": n_spins,
            "n_chains": None if chains is None else len(np.unique(chains)),
            "n_patterns": None if xi is None else len(xi),
            "load": None if xi is None else len(xi) / n_spins,
            "time_ordered": ordered,
            "n_couplings": n_spins * (n_spins - 1) // 2,
            "samples_per_coupling": n_samples / (n_spins * (n_spins - 1) / 2),
            "mean_absolute_mean": float(np.abs(means).mean()),
            "attributes": readable_attributes(attributes),
        },
        couplings=np.asarray(model.couplings_),
        couplings_std=couplings_std,
        fields=np.asarray(model.fields_),
        means=means,
        fit={
            "estimator": "PseudoLikelihood",
            "penalty": "l2",
            "alpha": alpha,
            "fit_fields": fit_fields,
            "tol": float(model.tol),
            "n_iter": int(model.n_iter_),
            "converged": converged,
            "score": score,
            "score_per_spin": score / n_spins,
            "score_per_spin_free": -math.log(2.0),
        },
        dreaming=dreaming,
        similarity=similarity,
        adequacy=adequacy,
        convergence=watched,
        warnings=_collect(caught, n_samples, model.couplings_, couplings_std, converged, watched),
        parameters={"seed": seed, "alpha": alpha, "fit_fields": fit_fields, "n_jobs": n_jobs, "seconds": seconds},
        versions=versions(),
        created=now(),
    )


@contextmanager
def _step(name: str, bar: Any, seconds: dict[str, float]) -> Iterator[None]:
    """One step of the way: shown while it runs, timed."""
    bar.set_postfix_str(name)
    start = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - start, 3)
    bar.update()


def _check_patterns(patterns: ArrayLike, n_spins: int) -> NDArray[Any]:
    """Patterns that fit the samples."""
    xi = np.asarray(patterns)
    if xi.ndim != 2 or xi.shape[1] != n_spins:
        raise ValueError(f"patterns: expected shape (n_patterns, {n_spins}) to fit the samples, got {xi.shape}")
    return xi


def _check_names(names: Sequence[str] | None, n_spins: int) -> tuple[str, ...]:
    """One printable name for each spin."""
    if names is None:
        return tuple(str(k) for k in range(n_spins))
    if len(names) != n_spins:
        raise ValueError(f"names: {len(names)} were given for {n_spins} spins; give one for each, or none")
    return tuple(clean_text(str(name)) for name in names)


def _source(samples: Any) -> str:
    """Name of the file that samples were read from, without the folders, which are nobody's business."""
    return os.path.basename(str(getattr(samples, "source", ""))) or "samples in memory"


def _no_fields(attributes: Mapping[str, Any]) -> bool:
    """Whether a simulation recorded that it ran without external fields."""
    fields = attributes.get("fields", "none")
    return fields == "none" if isinstance(fields, str) else not np.any(np.asarray(fields))


def _means(spins: NDArray[np.int8], weight: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Mean of every spin without a floating-point copy of all rows."""
    if weight is None:
        return spins.mean(axis=0, dtype=np.float64)
    return np.einsum("r,ri->i", weight, spins) / weight.sum()


def _fit_rate(samples: Any, patterns: NDArray[Any], fit_fields: bool) -> dict[str, Any]:
    """Rate and inverse temperature of the dreaming family by likelihood."""
    model = DreamingModel(patterns, fit_fields=fit_fields).fit(samples)
    return {
        "method": model.method,
        "rate": float(model.rate_),
        "rate_std": float(model.rate_std_),
        "rate_interval": tuple(float(end) for end in model.rate_interval_),
        "level": 0.95,
        "inverse_temperature": float(model.inverse_temperature_),
        "inverse_temperature_std": float(model.inverse_temperature_std_),
        "slope": float(model.slope_),
        "slope_std": float(model.slope_std_),
        "converged": bool(model.converged_),
    }


def _collect(
    caught: list[warnings.WarningMessage],
    n_samples: int,
    couplings: NDArray[np.float64],
    couplings_std: NDArray[np.float64],
    converged: bool,
    watched: dict[str, Any],
) -> tuple[str, ...]:
    """What a reader has to know: warnings that were raised, and what the numbers themselves say."""
    n_spins = len(couplings)
    ignored = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
    found = []
    for item in caught:
        # our own warnings are sentences; a library's need their kind to be understood
        kind = "" if issubclass(item.category, UserWarning) else f"{item.category.__name__}: "
        if not issubclass(item.category, ignored):
            found.append(kind + clean_text(str(item.message)))
    if n_samples < n_spins**2:
        above = np.triu_indices(n_spins, 1)
        size, error = np.sqrt(np.mean(couplings[above] ** 2)), np.nanmedian(couplings_std[above])
        found.append(
            f"{n_samples:,} samples are few for {len(above[0]):,} couplings of {n_spins} spins: the typical standard "
            f"error is {error:.2g}, the couplings are {size:.2g} (root mean square). Trust what many couplings say "
            "together, such as the dreaming rate with its interval, more than single ones."
        )
    if not converged and not found:
        found.append("The fit of the couplings did not converge: raise alpha.")
    if watched["applicable"] and watched["worst_r_hat"] > watched["r_hat_threshold"]:
        found.append(
            f"{'Chains' if watched['n_chains'] > 1 else 'Parts of the record'} disagree: the largest R-hat is "
            f"{watched['worst_r_hat']:.4g} (threshold {watched['r_hat_threshold']}). Samples may depend on where they "
            "started, or drift; sample longer, or from more starting points."
        )
    if watched["applicable"] and watched["least_ess"] < watched["ess_threshold"]:
        found.append(
            f"The smallest effective sample size is {watched['least_ess']:.0f} (threshold {watched['ess_threshold']}): "
            "neighbouring samples repeat each other. Error bars allow for it, as far as so short a record can tell."
        )
    return tuple(dict.fromkeys(found))
