"""Result of a comparison, its table and its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from infer.files.json import to_plain_dict
from infer.wording import between, brief, sigmas, to_error, with_error

__all__ = ["Similarity"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Similarity:
    """Result of :func:`compare`. All metrics are over entries off the diagonal.

    Attributes
    ----------
    rates : ndarray (n_rates,)
        Dreaming rates of the profile; contains 0, the Hebbian matrix.
    profile : dict of ndarray (n_rates,)
        "cosine", "pearson", "frobenius_distance", "spectrum_distance" along ``rates``
        (defined in :func:`infer.similarity.metrics.similarity_metrics`).
    best_rate : float
        Rate of greatest cosine, and so of least squared distance when the scale is free. May be negative;
        ``inf`` when the cosine increases up to infinite rate.
    best_rate_std : float
        Its standard error.
    best_rate_interval : tuple of float
        Its interval at ``confidence``, by the method ``interval_method``.
    confidence : float
        Confidence of the intervals.
    interval_method : str
        Method of the interval: replicates of the couplings, or a likelihood.
    optimum : str
        "interior", "infinite rate" or "lower bound"; "undefined" when all members of the family are proportional;
        "set by the penalty" where the penalty of the fit decides about the rate: rate, inverse temperature and slope
        are then nan.
    inverse_temperature : float
        Scale c of the best fit, couplings = c * B(best_rate). Inferred couplings contain 1/T, so this is 1/T times the
        scale of the reference. For couplings exactly c times the reference it is c.
    inverse_temperature_std : float or None
        Its standard error, where there are replicates.
    slope, slope_std : float, float or None
        inverse_temperature * (1 + best_rate), the coefficient of the Hebbian matrix itself.
    at_best, at_hebbian : dict of float
        The metrics at the best rate and at rate 0.
    hebbian_sigma : float
        Distance of the couplings from Hebbian ones in standard errors: size of their component along the part of
        the best dreamed matrix that is not Hebbian, over the standard error of this component.
    noise_ceiling : float or None
        Cosine between the couplings and their true values, estimated from the noise of the replicates; the expected
        upper limit for any reference.
    null_models : dict of dict
        "hebbian", "shuffled eigenvalues", "random couplings": mean, std and percentiles of their cosine.
    spectra : dict of ndarray (n_spins,)
        Sorted eigenvalues of "inferred", "hebbian" and "best dreamed" (zero diagonals, the last two scaled to fit).
    principal_angles : ndarray (n_patterns,) or None
        Radians between the patterns' span and as many leading eigenvectors of the couplings; only for
        fewer patterns than spins.
    retrieval : dict of dict or None
        For "inferred", "hebbian", "best dreamed": "fixed_points" and "overlap", see
        :func:`infer.similarity.metrics.recall`.
    reference : str
        "patterns" or "data correlations". With data correlations the rate places the couplings between the
        recording's own correlations (0) and naive mean-field couplings (inf): even undriven samples have a rate
        well above 0 there, so it must not be compared with a rate measured from patterns.
    n_spins, n_patterns : int, int or None
        Sizes; None where the reference are data correlations.
    rate_lower_bound : float
        -1 / max eig(C), at which the family of dreamed couplings ends.
    couplings, reference_couplings, hebbian_couplings : ndarray (n_spins, n_spins)
        The couplings compared, and the best dreamed and the Hebbian matrix, each scaled to fit them best.
    verdict : str
        One sentence built from these numbers.
    """

    rates: FloatArray
    profile: dict[str, FloatArray]
    best_rate: float
    best_rate_std: float
    best_rate_interval: tuple[float, float]
    optimum: str
    confidence: float
    interval_method: str
    inverse_temperature: float
    inverse_temperature_std: float | None
    slope: float
    slope_std: float | None
    at_best: dict[str, float]
    at_hebbian: dict[str, float]
    hebbian_sigma: float
    noise_ceiling: float | None
    null_models: dict[str, dict[str, float]]
    spectra: dict[str, FloatArray]
    principal_angles: FloatArray | None
    retrieval: dict[str, dict[str, float]] | None
    reference: str
    n_spins: int
    n_patterns: int | None
    rate_lower_bound: float
    couplings: FloatArray
    reference_couplings: FloatArray
    hebbian_couplings: FloatArray

    __repr__ = brief

    def to_dict(self) -> dict[str, Any]:
        """Everything as floats, lists and strings, ready for JSON; NaN becomes None, infinity "inf".

        Returns
        -------
        dict
        """
        return to_plain_dict(self)

    def to_dataset(self) -> xr.Dataset:
        """Profiles, spectra and the three matrices as an xarray Dataset; the single numbers are its attributes.

        Returns
        -------
        xarray.Dataset
        """
        pair = ("spin", "other_spin")
        variables: dict[str, Any] = {name: ("rate", values) for name, values in self.profile.items()}
        for name in ("couplings", "reference_couplings", "hebbian_couplings"):
            variables[name] = (pair, getattr(self, name))
        for name, values in self.spectra.items():
            variables[f"spectrum_{name.replace(' ', '_')}"] = ("mode", values)
        if self.principal_angles is not None:
            variables["principal_angles"] = ("angle", self.principal_angles, {"units": "radians"})
        numbers = ("best_rate", "best_rate_std", "confidence", "inverse_temperature", "slope", "hebbian_sigma")
        attributes: dict[str, Any] = {name: float(getattr(self, name)) for name in numbers}
        attributes["best_rate_interval"] = [float(end) for end in self.best_rate_interval]
        texts = ("optimum", "interval_method", "reference", "verdict")
        attributes.update({name: getattr(self, name) for name in texts})
        return xr.Dataset(variables, coords={"rate": self.rates}, attrs=attributes)

    def summary(self) -> str:
        """The numbers as a table for a terminal.

        Returns
        -------
        str
        """
        return _summary(self)

    @property
    def verdict(self) -> str:
        """One sentence: whether the couplings are closest to Hebbian ones, to dreamed ones, or to neither."""
        return _verdict(self)


def _verdict(found: Similarity) -> str:
    """One sentence: whether the couplings are closest to Hebbian ones, to dreamed ones, or to neither."""
    best, hebbian = found.at_best["cosine"], found.at_hebbian["cosine"]
    random = found.null_models["random couplings"]
    if best <= random["high"]:
        return (
            f"The couplings resemble no member of the family more than random couplings do: the best cosine is "
            f"{best:.3f}, theirs reaches {random['high']:.3f} (97.5th percentile)."
        )
    if found.optimum == "undefined":
        return (
            f"The couplings resemble the Hebbian matrix (cosine {hebbian:.4f}); all its dreamed versions are "
            "proportional to it, so that no rate can be told."
        )
    if found.optimum == "set by the penalty":
        return (
            f"The couplings resemble dreamed ones (cosine {best:.4f}, Hebbian {hebbian:.4f}), but the dreaming rate is "
            "not determined under this penalty, which sets it to about 1 / alpha: fit with a smaller alpha, or to more "
            "samples."
        )
    low, high = found.best_rate_interval
    interval = f"{100 * found.confidence:g} % interval {between(found.best_rate_interval, found.best_rate_std)}"
    rate = to_error(found.best_rate, found.best_rate_std)
    scores = f"cosine {best:.4f} against {hebbian:.4f}"
    # couplings and correlations of the same samples share their noise, so that this limit does not hold
    if found.noise_ceiling is not None and found.noise_ceiling >= best:
        scores += f", where the noise of the couplings allows {found.noise_ceiling:.4f}"
    apart = found.hebbian_sigma > stats.norm.ppf((1 + found.confidence) / 2) and not low <= 0.0 <= high
    if not apart:
        text = (
            f"The couplings cannot be told from Hebbian ones: best rate {rate}, {interval}, "
            f"{sigmas(found.hebbian_sigma)} from Hebbian ({scores})."
        )
    elif found.optimum == "infinite rate":
        limit = "the pseudo-inverse limit" if found.reference == "patterns" else "the mean-field limit"
        text = (
            f"The couplings are closer to {limit} of dreaming (the similarity grows with the rate without end, "
            f"{interval}) than to Hebbian by {sigmas(found.hebbian_sigma)} ({scores})."
        )
    else:
        kind = "dreamed couplings" if found.best_rate > 0 else "couplings of negative rate, the opposite of unlearned,"
        where = "at the lower bound" if found.optimum == "lower bound" else f"rate {rate}"
        text = (
            f"The couplings are closer to {kind} ({where}, {interval}) than to Hebbian by "
            f"{sigmas(found.hebbian_sigma)} ({scores})."
        ).replace(", (", " (")
    if found.reference == "data correlations":
        text += (
            " The rate is measured from the recording's own correlations, where undriven samples too have a rate "
            "above 0; it is not comparable with a rate measured from patterns."
        )
    return text


def _summary(found: Similarity) -> str:
    """Table of the numbers of a Similarity."""
    size = f"{found.n_spins} spins" + (f", {found.n_patterns} patterns" if found.n_patterns else "")
    fit = [
        f"  best rate            {with_error(found.best_rate, found.best_rate_std)}"
        f"   ({100 * found.confidence:g} % interval {between(found.best_rate_interval, found.best_rate_std)}; "
        f"{found.optimum})",
        f"  inverse temperature  {with_error(found.inverse_temperature, found.inverse_temperature_std)}",
        f"  slope                {with_error(found.slope, found.slope_std)}"
        "   (inverse temperature x (1 + rate): coefficient of the Hebbian matrix)",
    ]
    if found.optimum == "set by the penalty":
        fit = ["  best rate            not determined under this penalty"]
    lines = [
        f"Similarity to Hebbian and dreamed couplings ({size}, reference: {found.reference})",
        *fit,
        f"  from Hebbian by      {sigmas(found.hebbian_sigma)}",
        f"  {'metric':<20} {'at best rate':>12} {'Hebbian':>10}",
    ]
    for name, value in found.at_best.items():
        lines.append(f"  {name.replace('_', ' '):<20} {value:>12.4f} {found.at_hebbian[name]:>10.4f}")
    # as in the verdict and on pages: a limit below what was found is noise itself
    if found.noise_ceiling is not None and found.noise_ceiling >= found.at_best["cosine"]:
        lines.append(f"  {'noise ceiling':<20} {found.noise_ceiling:>12.4f}   (cosine that the noise allows)")
    lines.append(f"  {'null model':<20} {'cosine':>12} {'std':>10}")
    for name, null in found.null_models.items():
        lines.append(f"  {name:<20} {null['mean']:>12.4f} {null['std']:>10.4f}")
    if found.retrieval is not None:
        lines.append(f"  {'retrieval':<20} {'fixed points':>12} {'overlap':>10}   (overlap from 10 % flipped spins)")
        for name, recalled in found.retrieval.items():
            lines.append(f"  {name:<20} {recalled['fixed_points']:>12.3f} {recalled['overlap']:>10.4f}")
    if found.principal_angles is not None:
        angles = np.degrees(found.principal_angles)
        lines.append(f"  principal angles     median {np.median(angles):.1f}, largest {angles.max():.1f} degrees")
    return "\n".join([*lines, f"  {found.verdict}", f"  (interval: {found.interval_method})"])
