"""Results that a report shows, as one object."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.diagnosis.adequacy import Adequacy
from infer.diagnosis.diagnose import Diagnosis
from infer.estimators.likelihood.acceptance import Runaway
from infer.files.json import fields_of, plain, to_plain_dict
from infer.landscape.result import EnergyLandscape
from infer.similarity.compare import Similarity
from infer.wording import brief

__all__ = ["Analysis", "Convergence", "DataSummary", "FitSummary", "Network", "RateByLikelihood"]


class _Result:
    """Results that can be written as JSON."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as floats, lists and strings, ready for JSON; NaN becomes None, infinity "inf"."""
        return to_plain_dict(self)


@dataclass(frozen=True, eq=False)
class DataSummary(_Result):
    """Size, order and origin of the samples.

    Attributes
    ----------
    kind : str
        "simulation" or "recording".
    n_samples, n_rows, n_spins, n_couplings : int
        Effective number of samples, rows, spins and pairs.
    n_chains, n_patterns : int or None
    load : float or None
        Patterns per spin.
    time_ordered : bool
    samples_per_coupling, samples_per_squared_spin, mean_absolute_mean : float
    active_share : float
        Share of +1 among all values.
    active_share_range : tuple of float
        The smallest and the largest share of +1 of a spin.
    attributes : dict
        Attributes of the samples and of their reading, cut to readable lengths.
    """

    kind: str
    n_samples: int
    n_rows: int
    n_spins: int
    n_couplings: int
    n_chains: int | None
    n_patterns: int | None
    load: float | None
    time_ordered: bool
    samples_per_coupling: float
    samples_per_squared_spin: float
    mean_absolute_mean: float
    active_share: float
    active_share_range: tuple[float, float]
    attributes: dict[str, Any]


@dataclass(frozen=True, eq=False)
class FitSummary(_Result):
    """Method, penalty and outcome of the fit.

    Attributes
    ----------
    method, estimator : str
        Name of the method in the command line, and of its class.
    chosen : str
        Reason for the method.
    penalty : str
    alpha : float or None
        Strength of the penalty.
    alpha_tried : dict or None
        ``alphas`` and held-out ``scores`` where the penalty was chosen by cross-validation.
    fit_fields : bool
    tol : float or None
    n_iter : int
    converged : bool
    message : str
        Reason why it did not converge, and remedy, where the estimator states them.
    mismatch, mismatch_noise : float or None
        Of maximum likelihood: those of the moments, and the noise of the chains, in standard errors of the data's.
    score, score_per_spin, score_per_spin_free : float
        Log pseudo-likelihood in nats per sample, per spin, and that of free spins.
    """

    method: str
    estimator: str
    chosen: str
    penalty: str
    alpha: float | None
    alpha_tried: dict[str, Any] | None
    fit_fields: bool
    tol: float | None
    n_iter: int
    converged: bool
    message: str
    mismatch: float | None
    mismatch_noise: float | None
    score: float
    score_per_spin: float
    score_per_spin_free: float


@dataclass(frozen=True, eq=False)
class Network(_Result):
    """Couplings that differ from zero, and agreement of their two estimates.

    Attributes
    ----------
    transpose_correlation : float
        Pearson correlation of the two estimates of each coupling before they are averaged; nan for methods that have
        only one.
    z_threshold : float
        Standard errors above which a coupling differs from zero.
    n_significant : int
    degrees : ndarray of int64, shape (n_spins,)
        Couplings of each spin that differ from zero.
    gap : dict or None
        ``rank``, ``above``, ``below``, ``ratio`` and ``degrees`` where the strengths show a gap.
    """

    transpose_correlation: float
    z_threshold: float
    n_significant: int
    degrees: NDArray[np.int64]
    gap: dict[str, Any] | None


@dataclass(frozen=True, eq=False)
class RateByLikelihood(_Result):
    """Dreaming rate and inverse temperature, fitted to the samples by likelihood, given the patterns.

    Attributes
    ----------
    method : str
    rate, rate_std : float
    rate_interval : tuple of float
        Interval at ``confidence``.
    confidence : float
    inverse_temperature, inverse_temperature_std, slope, slope_std : float
    converged : bool
        Whether the likelihood is largest at a finite rate.
    family_p_value, family_gain : float
        Probability of samples as far from all dreamed couplings where they hold, and what couplings outside of them
        would gain (nats per row): `DreamingModel.family_test`. nan where it cannot be computed, as for models with
        fields.
    """

    method: str
    rate: float
    rate_std: float
    rate_interval: tuple[float, float]
    confidence: float
    inverse_temperature: float
    inverse_temperature_std: float
    slope: float
    slope_std: float
    converged: bool
    family_p_value: float = math.nan
    family_gain: float = math.nan

    @property
    def determined(self) -> bool:
        """Whether the rate and its interval are finite, and the standard error is no larger than the interval."""
        return self.converged and determined(self.rate, self.rate_std, self.rate_interval)


def determined(rate: float, std: float, interval: tuple[float, float]) -> bool:
    """Whether samples determine a rate: all numbers finite, the error no larger than the interval is wide."""
    low, high = interval
    return all(map(math.isfinite, (rate, std, low, high))) and std <= high - low


@dataclass(frozen=True, eq=False)
class Convergence(_Result):
    """R-hat and effective sample sizes of chains, or of the parts of one run.

    Attributes
    ----------
    applicable : bool
        False where rows have no order in time or are too few; numbers are then None.
    note : str
    groups : dict
        For "energy", "overlaps" and "spins": ``number``, ``largest_r_hat``, ``smallest_ess``, ``median_ess``, ``r_hat``
        and ``ess``.
    n_chains, n_parts : int or None
    r_hat_threshold, ess_threshold : float or None
    worst_r_hat, least_ess : float or None
    """

    applicable: bool
    note: str
    groups: dict[str, Any]
    n_chains: int | None = None
    n_parts: int | None = None
    r_hat_threshold: float | None = None
    ess_threshold: float | None = None
    worst_r_hat: float | None = None
    least_ess: float | None = None

    @property
    def agree(self) -> bool | None:
        """Whether all R-hat are below the threshold; None where that was not judged."""
        if self.worst_r_hat is None or self.r_hat_threshold is None:
            return None
        return bool(self.worst_r_hat <= self.r_hat_threshold)

    @property
    def enough(self) -> bool | None:
        """Whether effective sample sizes reach the threshold; None where that was not judged."""
        if self.least_ess is None or self.ess_threshold is None:
            return None
        return bool(self.least_ess >= self.ess_threshold)


@dataclass(frozen=True, eq=False)
class Analysis:
    """Results that a report shows.

    Attributes
    ----------
    source : str
        Name of the source of the samples.
    names : tuple of str
        Names of the spins.
    data : DataSummary
    couplings, couplings_std : ndarray of float64, shape (n_spins, n_spins)
        Fitted couplings beta J (dimensionless) with standard errors.
    couplings_by_node : ndarray of float64, shape (n_spins, n_spins), or None
        Row i as estimated from spin i alone, before both estimates of each coupling were averaged; None for methods
        that estimate each coupling once.
    fields, means : ndarray of float64, shape (n_spins,)
        Fitted fields beta h (dimensionless); mean of every spin.
    fit : FitSummary
    network : Network
    runaway : Runaway or None
        Test for a state of the fitted model that the samples never visit; None where couplings are not finite.
    dreaming : RateByLikelihood or None
        Dreaming rate and inverse temperature, when patterns are known.
    control : RateByLikelihood or None
        The same for equilibrium samples of Hebbian couplings at the fitted temperature, as many as the samples: their
        true rate is 0.
    similarity : Similarity
        To the dreamed couplings of the patterns; without patterns a description against the correlations of the samples
        themselves.
    references : dict of str to Similarity
        The same for further patterns on request: averages of rows by event, patterns estimated from the samples.
    adequacy : Adequacy
    diagnosis : Diagnosis
        The three claims; its ``adequacy`` is the same object as above.
    landscape : EnergyLandscape or None
        None for many spins.
    convergence : Convergence
    warnings : tuple of str
        Warnings of the steps, and cautions about the numbers.
    parameters : dict
        Everything needed to repeat the analysis, seed included.
    versions : dict
        Versions of Python and of the libraries.
    created : str
        Date and time, UTC; taken from ``SOURCE_DATE_EPOCH`` when that is set.
    """

    source: str
    names: tuple[str, ...]
    data: DataSummary
    couplings: NDArray[np.float64]
    couplings_std: NDArray[np.float64]
    couplings_by_node: NDArray[np.float64] | None
    fields: NDArray[np.float64]
    means: NDArray[np.float64]
    fit: FitSummary
    network: Network
    runaway: Runaway | None
    dreaming: RateByLikelihood | None
    control: RateByLikelihood | None
    similarity: Similarity
    references: dict[str, Similarity]
    adequacy: Adequacy
    diagnosis: Diagnosis
    landscape: EnergyLandscape | None
    convergence: Convergence
    warnings: tuple[str, ...]
    parameters: dict[str, Any]
    versions: dict[str, str]
    created: str

    __repr__ = brief

    @property
    def has_patterns(self) -> bool:
        """Whether patterns are known, so that a dreaming rate can be fitted."""
        return self.similarity.reference == "patterns"

    def of_file(self, name: str, reading: str = "") -> Analysis:
        """The analysis with the name of the file of its samples, on which the commands of the page work.

        Parameters
        ----------
        name : str
            Without folders, for privacy.
        reading : str
            Options of the command line by which it was read, each after a space.

        Returns
        -------
        Analysis
        """
        return dataclasses.replace(self, parameters=self.parameters | {"file": name, "reading": reading})

    def headline(self) -> dict[str, Any]:
        """The few numbers to read first.

        Returns
        -------
        dict
            ``rate``, ``rate_std``, ``rate_interval``, ``inverse_temperature`` and ``inverse_temperature_std``: by
            likelihood when patterns are given and a finite rate fits best, else those of the most similar member of the
            family; ``confidence`` of the interval; ``rate_determined``, whether patterns are given and the rate has a
            finite interval; ``control_rate`` and ``control_rate_std`` of equilibrium samples with Hebbian couplings
            (None without); ``cosine_best``, ``cosine_hebbian``; ``verdict`` on similarity, and ``diagnosis``, the three
            claims.
        """
        similarity = self.similarity
        numbers: dict[str, Any] = {
            "rate": similarity.best_rate,
            "rate_std": similarity.best_rate_std,
            "rate_interval": tuple(similarity.best_rate_interval),
            "confidence": similarity.confidence,
            "inverse_temperature": similarity.inverse_temperature,
            "inverse_temperature_std": similarity.inverse_temperature_std,
        }
        if self.dreaming is not None and self.dreaming.converged:
            numbers.update({key: getattr(self.dreaming, key) for key in numbers})
        numbers["rate_determined"] = self.has_patterns and determined(
            numbers["rate"], numbers["rate_std"], numbers["rate_interval"]
        )
        known = self.control if self.control is not None and self.control.determined else None
        numbers["control_rate"] = None if known is None else known.rate
        numbers["control_rate_std"] = None if known is None else known.rate_std
        numbers["cosine_best"] = similarity.at_best["cosine"]
        numbers["cosine_hebbian"] = similarity.at_hebbian["cosine"]
        numbers["verdict"] = similarity.verdict
        numbers["diagnosis"] = self.diagnosis.verdict
        return numbers

    def strongest_couplings(self, n: int = 20) -> list[dict[str, Any]]:
        """The couplings of largest size; those below their standard error, or without one, come after all others.

        Parameters
        ----------
        n : int
            Largest number of couplings.

        Returns
        -------
        list of dict
            ``i``, ``j``, ``coupling`` (beta J), ``std`` (standard error) and ``z``, their ratio; strongest first.
        """
        rows, columns = np.triu_indices(len(self.couplings), 1)
        size = np.abs(self.couplings[rows, columns])
        # few rows leave couplings that are large by chance: -1 +- 14
        by_chance = ~(size >= self.couplings_std[rows, columns])
        order = np.lexsort((-size, by_chance))[:n]
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
        # the three matrices are written once, at the top level
        matrices = ("couplings", "reference_couplings", "hebbian_couplings")
        similarity = fields_of(self.similarity, without=matrices)
        references = {name: fields_of(found, without=matrices) for name, found in self.references.items()}
        answers = ("gains", "couplings_needed", "missed", "stationary", "reversible", "claims")
        diagnosis = fields_of(self.diagnosis, without=("adequacy",))
        parts = {
            "source": self.source,
            "headline": self.headline(),
            "data": self.data,
            "fit": self.fit,
            "network": self.network,
            "runaway": self.runaway,
            "dreaming": self.dreaming,
            "control": self.control,
            "similarity": similarity,
            "references": references,
            "adequacy": fields_of(self.adequacy),
            "diagnosis": diagnosis | {name: getattr(self.diagnosis, name) for name in answers},
            "landscape": None if self.landscape is None else self.landscape.to_dict(),
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
            "couplings_by_node": self.couplings_by_node,
            "reference_couplings": self.similarity.reference_couplings,
            "hebbian_couplings": self.similarity.hebbian_couplings,
        }
        return plain(parts)
