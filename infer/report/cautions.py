"""Warnings about the numbers of a report."""

import numpy as np
from numpy.typing import NDArray

from infer.diagnosis.diagnose import Diagnosis
from infer.estimators.likelihood.acceptance import Runaway
from infer.report.results import Convergence, DataSummary, FitSummary
from infer.wording import clean_text
from simulate.user_warnings import UserNotice

IGNORED = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)


def collect(
    caught: list[UserNotice],
    data: DataSummary,
    fit: FitSummary,
    couplings_std: NDArray[np.float64],
    couplings: NDArray[np.float64],
    escaped: Runaway | None,
    watched: Convergence,
    diagnosis: Diagnosis,
) -> tuple[str, ...]:
    """Warnings that the steps raised, and cautions that follow from the numbers."""
    n_samples, n_spins = data.n_samples, data.n_spins
    found = []
    for item in caught:
        # warnings of this package are sentences; those of libraries are shown with their class
        kind = "" if issubclass(item.category, UserWarning) else f"{item.category.__name__}: "
        if not issubclass(item.category, IGNORED):
            found.append(kind + clean_text(item.message))
    raised = bool(found)
    above = np.triu_indices(n_spins, 1)
    if n_samples < n_spins**2 and np.isfinite(couplings_std[above]).any():
        size, error = np.sqrt(np.mean(couplings[above] ** 2)), np.nanmedian(couplings_std[above])
        found.append(
            f"{n_samples:,} samples are few for {len(above[0]):,} couplings of {n_spins:,} spins: the typical standard "
            f"error is {error:.2g}, the couplings are {size:.2g} (root mean square). Trust what many couplings say "
            "together more than single ones."
        )
    if fit.alpha_tried is not None:
        found.append(
            "There are fewer samples than couplings, so that the penalty was chosen by cross-validation (alpha = "
            f"{fit.alpha:.3g}). It shrinks couplings, and by itself lowers the dreaming rate measured from the "
            "data correlations: compare rates of fits with the same alpha only."
            + (
                " It is the strongest of those tried: held-out rows favour no couplings at all."
                if fit.alpha_tried["at_edge"]
                else ""
            )
            + (
                f" Penalties below {fit.alpha_tried['alphas'][0]:.3g} were left out to save time: held-out rows became "
                "worse towards them."
                if fit.alpha_tried["alphas"][0] > 1.5 / n_samples
                else ""
            )
        )
    if not fit.converged and not raised:
        found.append("The fit of the couplings did not converge: raise alpha.")
    likelihood = fit.method == "maximum-likelihood"
    # samples of a simulation near one memory: a correct model visits the other memories too
    if escaped is not None and escaped.ran_away and data.kind == "recording":
        found.append(
            f"{escaped.sentence[0].upper()}{escaped.sentence[1:]}. Do not use its couplings"
            + ("." if likelihood else ": fit by maximum likelihood.")
        )
    if fit.converged and diagnosis.adequacy.refused:
        weaker = ", or with a weaker penalty" if fit.alpha is not None and fit.alpha > 1.5 / n_samples else ""
        remedy = "Fit with another penalty." if likelihood else f"Fit by maximum likelihood{weaker}."
        if diagnosis.adequacy.fit.shrunk:
            remedy = "Record more rows, or choose fewer units."
        found.append(f"{diagnosis.adequacy.fit.verdict} Claims that rest on the fit are withheld. {remedy}")
    if diagnosis.reversible is False:
        found.append(
            "The record has a direction in time: couplings of an equilibrium model describe its rows, not the process "
            "that they come from."
        )
    if diagnosis.stationary is False:
        found.append(
            "The record drifts: one set of couplings describes the average over it, and part of the couplings may "
            "come from common changes of spins. Fit parts of the record, and compare."
        )
    if watched.agree is False:
        found.append(
            f"{'Chains' if (watched.n_chains or 1) > 1 else 'Parts of the record'} disagree: the largest R-hat is "
            f"{watched.worst_r_hat:.4g} (threshold {watched.r_hat_threshold:.4g}). Samples may depend on where they "
            "started, or drift; sample longer, or from more starting points."
        )
    if watched.enough is False and watched.least_ess is not None and watched.least_ess > 0.5 * data.n_rows:
        found.append(
            f"{data.n_rows:,} rows are few: error bars ask for {watched.ess_threshold} independent samples, and are "
            "rough with fewer."
        )
    elif watched.enough is False:
        found.append(
            f"The smallest effective sample size is {watched.least_ess:.0f} (threshold {watched.ess_threshold}): "
            "neighbouring samples are correlated. Error bars account for it as far as so short a record allows."
        )
    return tuple(dict.fromkeys(found))
