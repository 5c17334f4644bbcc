"""Everything that a report shows, as one object."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.diagnosis.adequacy import Adequacy
from infer.diagnosis.diagnose import Diagnosis
from infer.files.json import fields_of, plain
from infer.similarity.compare import Similarity

__all__ = ["Analysis"]


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
    couplings_by_node : ndarray of float64, shape (n_spins, n_spins)
        Row i as spin i alone tells it, before both estimates of each coupling were averaged.
    fields, means : ndarray of float64, shape (n_spins,)
        Fitted fields beta h (dimensionless); mean of every spin.
    fit : dict
        Estimator, its parameters, iterations, convergence and score (nats per sample).
    network : dict
        ``transpose_correlation`` of the two estimates of each coupling, before they were averaged; ``n_significant``
        couplings more than ``z_threshold`` standard errors from zero, and their ``degrees``; the ``gap`` in the
        strengths, where there is one.
    dreaming : dict or None
        Dreaming rate and inverse temperature by likelihood with standard errors, when patterns are known.
    similarity : Similarity
    references : dict of str to Similarity
        The same for other patterns that were asked for: averages of rows by event, patterns estimated from the samples.
    adequacy : Adequacy
    diagnosis : Diagnosis
        Whether an equilibrium model with pair couplings is good enough; its ``adequacy`` is the one above.
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
    couplings_by_node: NDArray[np.float64]
    fields: NDArray[np.float64]
    means: NDArray[np.float64]
    fit: dict[str, Any]
    network: dict[str, Any]
    dreaming: dict[str, Any] | None
    similarity: Similarity
    references: dict[str, Similarity]
    adequacy: Adequacy
    diagnosis: Diagnosis
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
            family; ``confidence`` of the interval; ``cosine_best``, ``cosine_hebbian``; ``verdict`` on similarity, and
            ``diagnosis``, the verdict on the model.
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
        if self.dreaming is not None and self.dreaming["converged"]:
            numbers.update({key: self.dreaming[key] for key in numbers if key in self.dreaming})
        numbers["cosine_best"] = similarity.at_best["cosine"]
        numbers["cosine_hebbian"] = similarity.at_hebbian["cosine"]
        numbers["verdict"] = similarity.verdict
        numbers["diagnosis"] = self.diagnosis.verdict
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
        matrices = ("couplings", "reference_couplings", "hebbian_couplings")
        similarity = fields_of(self.similarity, without=matrices)
        references = {name: fields_of(found, without=matrices) for name, found in self.references.items()}
        parts = {
            "source": self.source,
            "headline": self.headline(),
            "data": self.data,
            "fit": self.fit,
            "network": self.network,
            "dreaming": self.dreaming,
            "similarity": similarity,
            "references": references,
            "adequacy": fields_of(self.adequacy),
            "diagnosis": fields_of(self.diagnosis, without=("adequacy",)) | {"claims": self.diagnosis.claims},
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
