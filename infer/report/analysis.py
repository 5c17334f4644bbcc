"""The whole way from samples to numbers: fit, similarity, goodness of fit, convergence."""

import math
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from infer.diagnosis.adequacy import FEWEST_SAMPLES
from infer.diagnosis.diagnose import diagnose
from infer.estimators.dreaming.estimator import DreamingModel
from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.files.json import now, readable_attributes, versions
from infer.model import PairModel
from infer.report.cautions import collect
from infer.report.convergence import monitor
from infer.report.network import network
from infer.report.penalty import choose_alpha
from infer.report.references import other_patterns
from infer.report.results import Analysis
from infer.samples import Samples
from infer.similarity.compare import compare
from infer.similarity.family import data_correlations
from infer.wording import clean_text

__all__ = ["Analysis", "analyse"]


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
    ordered: bool | None = None,
    events: Sequence[Any] | None = None,
    n_patterns: int | None = None,
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
        Where there are fewer samples than couplings, it is the one of 1/n_samples, 0.01, 0.03, 0.1, 0.3 and 1 with
        the best held-out pseudo-likelihood.
    fit_fields : bool, optional
        Whether every spin has a field. Default: no for simulations without fields, yes for all else, since the means
        of recorded spins are not zero.
    ordered : bool, optional
        False for rows in no order in time, whatever they came in: time reversal, drift and convergence are then not
        judged. By default a recording knows, and the rows of an array are in time order.
    events : sequence, optional
        One label for each row ("" for none): couplings are also compared with the Hebbian couplings of the average
        state during each event (:func:`infer.recordings.events.event_patterns`).
    n_patterns : int, optional
        Compare couplings also with the Hebbian couplings of so many patterns that are estimated from the samples.

    Returns
    -------
    Analysis
        Warnings raised on the way are kept in it, not issued.

    Raises
    ------
    ValueError
        If the samples are not +-1, are fewer than 16, or names, patterns or events do not fit them.
    """
    source = clean_text(source if source is not None else _source(samples))
    samples = Samples.of(samples, ordered=ordered)
    spins, chains, weight = samples.spins, samples.chains, samples.weight
    masked = not samples.complete
    n_rows, n_spins = spins.shape
    n_samples = round(samples.n_samples)
    if n_samples < FEWEST_SAMPLES:
        raise ValueError(
            f"samples: {n_samples} are too few for a report; error bars come from batches of samples and need at least "
            f"{FEWEST_SAMPLES}"
        )
    patterns = samples.patterns if patterns is None else patterns
    xi = None if patterns is None else _check_patterns(patterns, n_spins)
    names = _check_names(names if names is not None else samples.names, n_spins)
    attributes, simulated, ordered = samples.attributes, samples.simulated, samples.ordered
    if fit_fields is None:
        fit_fields = not samples.without_fields
    seconds: dict[str, float] = {}
    n_steps = 4 if xi is None else 5
    with (
        tqdm(total=n_steps, disable=not progress, desc="analyse", unit="step") as bar,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        with _step("couplings", bar, seconds):
            tried = None
            if alpha is None:
                alpha = 1.0 / n_samples
                if n_samples < n_spins * (n_spins - 1) / 2 and not masked:
                    tried = choose_alpha(spins, weight, chains, ordered, fit_fields, n_jobs, seed)
                    alpha = tried["alpha"]
            missing = "mask" if masked else "error"
            model = PseudoLikelihood("l2", alpha, fit_fields=fit_fields, missing=missing, n_jobs=n_jobs).fit(samples)
            couplings_std, score = np.asarray(model.couplings_std_, dtype=np.float64), float(model.score(samples))
        judged = samples
        if masked:
            share = float(np.mean(spins == 0))
            spins = model.complete(samples, seed)
            judged = samples.with_values(spins, gaps=False)
            warnings.warn(
                f"{100 * share:.2g} % of the values are missing. The couplings average over what they may have been; "
                "all else was computed from samples in which the fitted model filled the gaps, so that the goodness of "
                "fit leans towards the model.",
                UserWarning,
                stacklevel=1,
            )
        dreaming = None
        if xi is not None:
            with _step("rate by likelihood", bar, seconds):
                try:
                    dreaming = _fit_rate(judged, xi, fit_fields)
                except ValueError as error:  # the patterns do not determine a rate; the comparison says so too
                    warnings.warn(f"no dreaming rate by likelihood: {error}", RuntimeWarning, stacklevel=1)
        with _step("similarity", bar, seconds):
            correlations = data_correlations(spins, weight) if xi is None else None
            similarity = compare(model, xi, correlations=correlations, seed=seed)
            others = other_patterns(judged, spins, weight, events, n_patterns, fit_fields, seed)
            references = {name: compare(model, stored, seed=seed) for name, stored in others.items()}
        with _step("goodness of fit", bar, seconds):
            diagnosis = diagnose(model, judged, ordered=ordered, seed=seed, n_jobs=n_jobs)
        with _step("convergence", bar, seconds):
            watched = monitor(spins, chains, ordered, PairModel.of(model), xi)
    means = _means(spins, weight)
    converged = bool(model.converged_)
    return Analysis(
        source=source,
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
            "samples_per_squared_spin": n_samples / n_spins**2,
            "mean_absolute_mean": float(np.abs(means).mean()),
            "attributes": readable_attributes(attributes),
        },
        couplings=np.asarray(model.couplings_),
        couplings_std=couplings_std,
        couplings_by_node=np.asarray(model.couplings_by_node_),
        fields=np.asarray(model.fields_),
        means=means,
        fit={
            "estimator": "PseudoLikelihood",
            "penalty": "l2",
            "alpha": alpha,
            "alpha_tried": tried,
            "fit_fields": fit_fields,
            "tol": float(model.tol),
            "n_iter": int(model.n_iter_),
            "converged": converged,
            "score": score,
            "score_per_spin": score / n_spins,
            "score_per_spin_free": -math.log(2.0),
        },
        network=network(model.couplings_by_node_, model.couplings_, couplings_std),
        dreaming=dreaming,
        similarity=similarity,
        references=references,
        adequacy=diagnosis.adequacy,
        diagnosis=diagnosis,
        convergence=watched,
        warnings=collect(caught, n_samples, model.couplings_, couplings_std, converged, tried, watched, diagnosis),
        parameters={
            "seed": seed,
            "alpha": alpha,
            "fit_fields": fit_fields,
            "missing": missing,
            "ordered": ordered,
            "n_patterns": n_patterns,
            "n_jobs": n_jobs,
            "seconds": seconds,
        },
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
        "confidence": 0.95,
        "inverse_temperature": float(model.inverse_temperature_),
        "inverse_temperature_std": float(model.inverse_temperature_std_),
        "slope": float(model.slope_),
        "slope_std": float(model.slope_std_),
        "converged": bool(model.converged_),
    }
