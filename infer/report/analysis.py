"""From samples to the numbers of a report: a pipeline of the steps in :mod:`infer.report.steps`."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from numpy.typing import ArrayLike

from infer.diagnosis.diagnose import diagnose
from infer.files.json import now, versions
from infer.progress import shown_steps, step
from infer.report import steps
from infer.report.cautions import collect
from infer.report.convergence import monitor
from infer.report.network import network
from infer.report.references import other_patterns
from infer.report.results import Analysis
from infer.similarity.compare import compare
from infer.similarity.family import data_correlations
from infer.wording import clean_text
from simulate.user_warnings import collected_warnings, warn

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
    method: str | None = None,
    alpha: float | None = None,
    fit_fields: bool | None = None,
    ordered: bool | None = None,
    events: Sequence[Any] | None = None,
    n_patterns: int | None = None,
) -> Analysis:
    """Fit couplings to samples, judge the fit and the model, and compare the couplings with dreamed ones.

    Parameters
    ----------
    samples : Recording, xarray.Dataset or array_like, shape (n_samples, n_spins)
        Spins of +-1: what `read_recording` or `simulate.sample` returns, or an array whose rows are in time order.
    patterns : array_like, shape (n_patterns, n_spins), optional
        Stored patterns of +-1; by default those that come with a recording. Without patterns no dreaming rate is
        fitted; the similarity of the couplings to the correlations of the samples is then a description only.
    names : sequence of str, optional
        Names of the spins; by default those that come with the samples, else their numbers.
    source : str, optional
        Name of the source of the samples, for the title of the report.
    seed : int
        Seed of bootstrap, null models and model samples. The same seed gives the same numbers for any `n_jobs`.
    n_jobs : int or None
        Number of threads.
    progress : bool
        Show the steps and their share of the time on standard error.
    method : str, optional
        Method of fitting couplings, by its name in ``reverie fit --method``. Default: "maximum-likelihood" for
        recordings, "pseudolikelihood" for simulations and for more than 120 spins.
    alpha : float, optional
        Strength of the l2 penalty. Default 1/n_samples, a standard normal prior on every coupling: it keeps couplings
        finite where some spins determine others completely, and is negligible elsewhere. For pseudo-likelihood with
        fewer samples than couplings, the default is the one of 1/n_samples, 0.01, 0.03, 0.1, 0.3 and 1 with the best
        held-out pseudo-likelihood.
    fit_fields : bool, optional
        Whether every spin has a field. Default: False for simulations without fields, True otherwise, since the means
        of recorded spins are not zero.
    ordered : bool, optional
        False for rows in no order in time: time reversal, drift and convergence are then not judged. By default as a
        recording states; the rows of an array are taken to be in time order.
    events : sequence, optional
        One label for each row ("" for none): couplings are also compared with the Hebbian couplings of the average
        state during each event (:func:`infer.recordings.events.event_patterns`).
    n_patterns : int, optional
        Compare couplings also with the Hebbian couplings of this many patterns, estimated from the samples.

    Returns
    -------
    Analysis
        It holds the warnings of the steps, which are not issued.

    Raises
    ------
    ValueError
        If the samples are not +-1, are fewer than 16, names, patterns or events do not fit them, or there is no such
        method.
    """
    given = steps.check_given(samples, patterns, names, ordered)
    if source is None:  # without folders, for privacy
        source = os.path.basename(given.samples.source) or "samples in memory"
    source = clean_text(source)
    xi = given.patterns
    if fit_fields is None:
        fit_fields = not given.samples.without_fields
    seconds: dict[str, float] = {}
    with shown_steps(progress), collected_warnings() as caught:
        with _step("couplings", seconds):
            fitted, fit, filled = steps.fit_and_fill(given, method, alpha, fit_fields, n_jobs, seed)
            judged = filled.samples
            escaped = steps.look_for_runaway(fitted, judged, fit_fields, seed)
        spins, weight, pairs = judged.spins, judged.weight, fitted.pairs
        dreaming = control = None
        if xi is not None:
            with _step("rate by likelihood", seconds):
                try:
                    dreaming = steps.fit_rate(judged, xi, fit_fields)
                except ValueError as error:  # the patterns do not determine a rate; the comparison warns of it too
                    warn(f"no dreaming rate by likelihood: {error}", RuntimeWarning, stacklevel=1)
                else:
                    control = steps.equilibrium_control(filled, dreaming, pairs.fields, fit_fields, n_jobs, seed)
        with _step("similarity", seconds):
            correlations = data_correlations(spins, weight) if xi is None else None
            similarity = compare(fitted.model, xi, correlations=correlations, seed=seed)
            others = other_patterns(judged, spins, weight, events, n_patterns, fit_fields, seed)
            references = {name: compare(fitted.model, stored, seed=seed) for name, stored in others.items()}
        with _step("claims", seconds):
            diagnosis = diagnose(fitted.model, judged, ordered=judged.ordered, seed=seed, n_jobs=n_jobs)
        with _step("energy landscape", seconds):
            landscape = steps.landscape_of(fitted, given, judged, diagnosis.couplings_needed, seed)
        with _step("convergence", seconds):
            watched = monitor(spins, judged.chains, judged.ordered, pairs, xi)
    means = judged.means()
    data = steps.summary_of_data(given, judged, means)
    return Analysis(
        source=source,
        names=given.names,
        data=data,
        couplings=pairs.couplings,
        couplings_std=fitted.std,
        couplings_by_node=fitted.by_node,
        fields=pairs.fields,
        means=means,
        fit=fit,
        network=network(fitted.by_node, pairs.couplings, fitted.std),
        runaway=escaped,
        dreaming=dreaming,
        control=control,
        similarity=similarity,
        references=references,
        adequacy=diagnosis.adequacy,
        diagnosis=diagnosis,
        landscape=landscape,
        convergence=watched,
        warnings=collect(caught, data, fit, fitted.std, pairs.couplings, escaped, watched, diagnosis),
        parameters={
            "seed": seed,
            "method": fit.method,
            "alpha": fit.alpha,
            "fit_fields": fit_fields,
            "missing": "error" if given.samples.complete else "mask",
            "ordered": judged.ordered,
            "n_patterns": n_patterns,
            "n_jobs": n_jobs,
            "seconds": seconds,
        },
        versions=versions(),
        created=now(),
    )


@contextmanager
def _step(name: str, seconds: dict[str, float]) -> Iterator[None]:
    """Show a step while it runs, and record its time."""
    start = time.perf_counter()
    with step(name):
        yield
    seconds[name] = round(time.perf_counter() - start, 3)
