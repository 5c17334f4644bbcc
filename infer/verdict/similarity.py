"""How close couplings are to Hebbian ones and to dreamed ones: best rate, interval, null models, verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, stats

from infer.verdict import _wording
from infer.verdict.families import DreamingFamily
from infer.verdict.inputs import blas_threads, check_draws, check_level, replicate_blocks, unpack_couplings
from infer.verdict.metrics import METRICS, principal_angles, profile_metrics, recall
from infer.verdict.rate_fit import (
    RateInterval,
    best_rates,
    cosines,
    interval_from_replicates,
    interval_from_residuals,
    lowest_searched,
    null_cosines,
    project_replicates,
)

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Similarity:
    """What :func:`compare` found. All metrics are over entries off the diagonal.

    Attributes
    ----------
    rates : ndarray (n_rates,)
        Dreaming rates of the profile; contains 0, the Hebbian matrix.
    profile : dict of ndarray (n_rates,)
        "cosine", "pearson", "frobenius_distance", "spectrum_distance" along ``rates``
        (defined in :func:`infer.verdict.metrics.similarity_metrics`).
    best_rate : float
        Rate of greatest cosine, which is that of least squared distance when the scale is free. May be negative;
        ``inf`` when the cosine grows without end.
    best_rate_std : float
        Its standard error.
    best_rate_interval : tuple of float
        Its interval at ``level``, obtained as ``interval_method`` says.
    level : float
        Of the intervals.
    interval_method : str
        How the interval was made: from replicates of the couplings, or a likelihood.
    optimum : str
        "interior", "infinite rate" or "lower bound"; "undefined" when all members of the family are proportional.
    inverse_temperature : float
        Scale c of the best fit, couplings = c * B(best_rate). Inferred couplings contain 1/T, so this is 1/T times
        whatever scale the reference has. For couplings exactly c times the reference it is c.
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
        Cosine between the couplings and what they estimate, as the replicates' noise tells; no reference can be
        expected to do better.
    null_models : dict of dict
        "hebbian", "shuffled eigenvalues", "random couplings": mean, std and percentiles of their cosine.
    spectra : dict of ndarray (n_spins,)
        Sorted eigenvalues of "inferred", "hebbian" and "best dreamed" (zero diagonals, the last two scaled to fit).
    principal_angles : ndarray (n_patterns,) or None
        Radians between the patterns' span and as many leading eigenvectors of the couplings; only for
        fewer patterns than spins.
    retrieval : dict of dict or None
        For "inferred", "hebbian", "best dreamed": "fixed_points" and "overlap", see
        :func:`infer.verdict.metrics.recall`.
    reference : str
        "patterns" or "data correlations". With data correlations the rate places the couplings between the
        recording's own correlations (0) and naive mean-field couplings (inf): even undriven samples have a rate
        well above 0 there, so it must not be set beside a rate measured from patterns.
    n_spins, n_patterns : int, int or None
        Sizes; None where the reference is made of data correlations.
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
    level: float
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
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Everything as floats, lists and strings, ready for JSON; what is not finite becomes None.

        Returns
        -------
        dict
        """
        return {field.name: _wording.plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

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
        numbers = ("best_rate", "best_rate_std", "level", "inverse_temperature", "slope", "hebbian_sigma")
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
        return _wording.summary(self)


def compare(
    couplings: Any,
    patterns: ArrayLike | None = None,
    *,
    correlations: ArrayLike | None = None,
    rates: ArrayLike | None = None,
    replicates: ArrayLike | None = None,
    n_bootstrap: int = 400,
    n_null: int = 400,
    level: float = 0.95,
    random_state: int = 0,
) -> Similarity:
    """Compare couplings with Hebbian couplings and all their dreamed versions.

    Parameters
    ----------
    couplings : array (n_spins, n_spins) or fitted estimator
        Symmetric; the diagonal is ignored. A fitted estimator gives ``couplings_`` and, where it has
        ``bootstrap_couplings(n_replicates, random_state)``, replicates for the interval.
    patterns : array (n_patterns, n_spins) of +-1, optional
        Stored patterns that the family is built from.
    correlations : array (n_spins, n_spins), optional
        In place of patterns: correlation matrix of a recording (:func:`infer.verdict.families.data_correlations`).
    rates : array (n_rates,), optional
        Rates of the profile, above -1/max eig(G); 0 is added. Default: a grid around 0 and the best rate. The best
        rate itself is searched for everywhere, whatever the grid.
    replicates : array (n_replicates, n_spins, n_spins), optional
        Bootstrap replicates of the couplings; take the place of the estimator's own.
    n_bootstrap : int
        Replicates asked from an estimator.
    n_null : int
        Draws of each null model.
    level : float
        Level of the interval, between 0 and 1.
    random_state : int
        Seed of everything drawn.

    Returns
    -------
    Similarity

    Raises
    ------
    ValueError
        If couplings are not square, symmetric and finite, shapes do not fit, or the reference is missing or given
        twice.

    Notes
    -----
    Without replicates the interval treats what the best fit leaves over as noise, which pairs of spins that share a
    spin may have in common (dyadic cluster-robust standard error; Aronow, Samii, Assenova 2015,
    doi 10.1093/pan/mpv018). With replicates it is the bias-corrected percentile interval (Efron 1981). The reference
    counts as known: the sampling noise of a recording's own correlations does not enter.

    References
    ----------
    Behera, Du, Jagadisan, Sastry, Rao, Vaikuntanathan, arXiv 2410.06269; Fachechi, Agliari, Barra 2019,
    arXiv 1810.12217.
    """
    matrix, estimator = unpack_couplings(couplings)
    check_level(level)
    check_draws(n_bootstrap=n_bootstrap, n_null=n_null)
    family = _family(patterns, correlations, len(matrix))
    replicate_seed, null_seed, recall_seed = np.random.SeedSequence(random_state).spawn(3)
    with blas_threads(len(matrix)):
        blocks = replicate_blocks(estimator, replicates, n_bootstrap, replicate_seed, len(matrix))
        stored = None if patterns is None else np.asarray(patterns).astype(np.int8)
        return _compare(matrix, family, stored, blocks, rates, n_null, level, null_seed, recall_seed)


def _compare(
    matrix: FloatArray,
    family: DreamingFamily,
    patterns: NDArray[np.int8] | None,
    blocks: Iterator[ArrayLike] | None,
    rates: ArrayLike | None,
    n_null: int,
    level: float,
    null_seed: np.random.SeedSequence,
    recall_seed: np.random.SeedSequence,
) -> Similarity:
    """The numbers of `compare` for checked couplings and a family."""
    projection, norm = family.project(matrix), float(np.linalg.norm(matrix))
    rate = 0.0 if family.proportional else float(best_rates(family, projection[None])[0])
    if family.proportional:
        optimum = "undefined"
    elif np.isinf(rate):
        optimum = "infinite rate"
    else:
        optimum = "lower bound" if rate <= lowest_searched(family) else "interior"

    ceiling = temperature_std = slope_std = None
    projections = None
    if blocks is None:
        interval = interval_from_residuals(family, rate, matrix, projection, level)
    else:
        projections, norms, noise2 = project_replicates(family, blocks, matrix)
        interval, replicate_rates = interval_from_replicates(family, rate, projection, projections, norm, norms, level)
        ceiling = float(np.sqrt(max(1.0 - noise2 / norm**2, 0.0)))
        scales = np.array([_scale(family, p, r) for p, r in zip(projections, replicate_rates, strict=True)])
        with np.errstate(invalid="ignore"):
            temperature_std, slope_std = (float(v) for v in np.std(scales, axis=0, ddof=1))
    if optimum == "undefined":
        interval = dataclasses.replace(interval, low=family.lower_bound, high=np.inf, std=np.inf)

    temperature, slope = _scale(family, projection, rate)
    grid = _grid(family, rate, interval, rates)
    # one call for the profile, the best rate and Hebbian: each needs the same sums
    values = profile_metrics(family, matrix, np.concatenate([grid, [rate, 0.0]]))
    at_best, at_hebbian = ({name: float(values[name][k]) for name in METRICS} for k in (-2, -1))
    best_matrix, hebbian_matrix = _fitted(family, projection, rate), _fitted(family, projection, 0.0)
    null_models = _null_models(family, rate, projection, norm, n_null, null_seed, at_best["cosine"])
    null_models["hebbian"] = {
        "mean": at_hebbian["cosine"],
        "std": interval.hebbian_std,
        "difference": at_best["cosine"] - at_hebbian["cosine"],
        "sigma": interval.sigma,
    }
    if projections is not None:
        null_models["hebbian"]["replicates_mean"] = float(np.mean(cosines(family, projections, norms, np.zeros(1))))
    named = {"inferred": matrix, "hebbian": hebbian_matrix, "best dreamed": best_matrix}
    fewer = family.n_patterns is not None and family.eigenvalues.size < family.n_spins
    retrieval = None
    if patterns is not None:
        # recall asks for the direction of the couplings only, but a negative scale would turn it round
        signs = {"inferred": 1.0, "hebbian": np.sign(at_hebbian["cosine"]), "best dreamed": np.sign(at_best["cosine"])}
        n_trials = int(np.clip(500 // len(patterns), 1, 10))
        retrieval = {
            name: recall(signs[name] * value, patterns, n_trials=n_trials, random_state=recall_seed)
            for name, value in named.items()
        }
    result = Similarity(
        rates=grid,
        profile={name: values[name][:-2] for name in METRICS},
        best_rate=rate,
        best_rate_std=interval.std,
        best_rate_interval=(interval.low, interval.high),
        optimum=optimum,
        level=level,
        interval_method=interval.method + ("" if patterns is not None else "; the correlations taken as known"),
        inverse_temperature=temperature,
        inverse_temperature_std=temperature_std,
        slope=slope,
        slope_std=slope_std,
        at_best=at_best,
        at_hebbian=at_hebbian,
        hebbian_sigma=interval.sigma,
        noise_ceiling=ceiling,
        null_models=null_models,
        spectra={name: linalg.eigvalsh(value) for name, value in named.items()},
        principal_angles=principal_angles(matrix, family) if fewer else None,
        retrieval=retrieval,
        reference=family.reference,
        n_spins=family.n_spins,
        n_patterns=family.n_patterns,
        rate_lower_bound=family.lower_bound,
        couplings=matrix,
        reference_couplings=best_matrix,
        hebbian_couplings=hebbian_matrix,
        verdict="",
    )
    return dataclasses.replace(result, verdict=_wording.similarity_verdict(result))


def _family(patterns: ArrayLike | None, correlations: ArrayLike | None, n_spins: int) -> DreamingFamily:
    """The family of the one reference given, checked against the size of the couplings."""
    if (patterns is None) == (correlations is None):
        raise ValueError("give either patterns or correlations= (see data_correlations) as the reference")
    if patterns is not None:
        family, name = DreamingFamily.from_patterns(patterns), "patterns"
    else:
        assert correlations is not None
        family, name = DreamingFamily.from_correlations(correlations), "correlations"
    if family.n_spins != n_spins:
        raise ValueError(f"{name}: {family.n_spins} spins do not fit couplings of shape ({n_spins}, {n_spins})")
    weights = family.direction(0.0)
    if not weights @ family.gram @ weights > 1e-20 * float(weights @ weights):
        raise ValueError(
            f"{name}: the Hebbian matrix is zero off the diagonal, so that there is nothing to compare with"
        )
    return family


def _scale(family: DreamingFamily, projection: FloatArray, rate: float) -> tuple[float, float]:
    """Inverse temperature and slope = inverse temperature * (1 + rate) of the best fit at a rate."""
    weights = family.direction(rate)
    scale = float(projection @ weights / (weights @ family.gram @ weights))
    temperature = scale / family.factor(rate)
    return temperature, temperature * (1.0 + rate)


def _fitted(family: DreamingFamily, projection: FloatArray, rate: float) -> FloatArray:
    """The member of the family at a rate, scaled to fit the couplings best."""
    weights = family.direction(rate)
    return family.couplings_of(weights * (projection @ weights) / (weights @ family.gram @ weights))


def _grid(family: DreamingFamily, rate: float, interval: RateInterval, rates: ArrayLike | None) -> FloatArray:
    """Rates of the profile: those asked for and 0, or from near the lower bound to beyond the best rate."""
    if rates is not None:
        asked = np.asarray(rates, dtype=np.float64).ravel()
        bad = np.flatnonzero(~(np.isfinite(asked) & (asked > family.lower_bound)))
        if bad.size:
            raise ValueError(
                f"rates: entry {bad[0]} is {asked[bad[0]]}; all must be finite and above {family.lower_bound:.6g}"
            )
        return np.unique(np.append(asked, 0.0))
    t = family.to_log_distance(rate) if np.isfinite(rate) else np.log1p(300.0 * family.eigenvalues[0])
    wide = np.linspace(min(-2.5, float(t) - 0.5), max(float(np.log1p(family.eigenvalues[0])), float(t) + 1.0), 61)
    parts = [family.to_rate(wide), np.zeros(1)]
    if np.isfinite(rate):
        parts.append(np.array([rate]))
        reach = 4.0 * interval.std if np.isfinite(interval.std) else 0.0
        close = np.linspace(min(rate, 0.0) - reach, max(rate, 0.0) + reach, 21)
        parts.append(close[close > lowest_searched(family)])
    grid = np.unique(np.concatenate(parts))
    # 0 itself stays, rounding twins of it and of each other go
    grid = grid[np.append(True, np.diff(grid) > 1e-9)]
    grid[np.argmin(np.abs(grid))] = 0.0
    return grid


def _null_models(
    family: DreamingFamily,
    rate: float,
    projection: FloatArray,
    norm: float,
    n_draws: int,
    seed: np.random.SeedSequence,
    best_cosine: float,
) -> dict[str, dict[str, float]]:
    """Mean, std, 2.5 and 97.5 percentiles of the null cosines, and the share of draws below the best cosine."""
    draws = null_cosines(family, rate, projection, norm, n_draws, np.random.default_rng(seed))
    return {
        name: {
            "mean": float(values.mean()),
            "std": float(values.std(ddof=1)),
            "low": float(np.quantile(values, 0.025)),
            "high": float(np.quantile(values, 0.975)),
            "percentile": float(stats.percentileofscore(values, best_cosine, kind="weak")),
            "n_draws": float(n_draws),
        }
        for name, values in draws.items()
    }
