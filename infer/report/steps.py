"""The steps from samples to the numbers of a report, each a function of the results of earlier steps."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from infer.diagnosis.adequacy import FEWEST_SAMPLES
from infer.diagnosis.candidates import MOST_MONTE_CARLO_SPINS
from infer.errors import InputError
from infer.estimators.dreaming.estimator import DreamingModel
from infer.estimators.likelihood.acceptance import Runaway, runaway
from infer.estimators.registry import find_method
from infer.files.json import readable_attributes
from infer.landscape.landscape import energy_landscape
from infer.landscape.result import EnergyLandscape
from infer.model import PairModel
from infer.report.penalty import choose_alpha
from infer.report.results import DataSummary, FitSummary, RateByLikelihood
from infer.samples import Samples
from infer.wording import clean_text
from simulate.couplings import hebbian
from simulate.dynamics.sampling import sample
from simulate.dynamics.spins import PersistentGlauber
from simulate.user_warnings import warn

PSEUDOLIKELIHOOD, MAXIMUM_LIKELIHOOD = "pseudolikelihood", "maximum-likelihood"
#: Spins up to which the report has an energy landscape: all states are enumerated within seconds.
MOST_LANDSCAPE_SPINS = 18
_LANDSCAPE_ROWS = 4000
#: Most values (rows times spins) of the control, and sweeps between its rows.
_MOST_CONTROL_VALUES = 4_000_000
_CONTROL_CHAINS, _CONTROL_SWEEPS = 64, 5


@dataclass(frozen=True, eq=False)
class Given:
    """Samples, patterns and names that fit each other."""

    samples: Samples
    patterns: NDArray[Any] | None
    names: tuple[str, ...]

    @property
    def n_samples(self) -> int:
        """Effective number of samples."""
        return round(self.samples.n_samples)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted estimator, with its method and penalty."""

    model: Any
    method: str
    chosen: str
    alpha: float | None
    alpha_tried: dict[str, Any] | None

    @property
    def pairs(self) -> PairModel:
        """Couplings and fields."""
        return PairModel.of(self.model)

    @property
    def std(self) -> NDArray[np.float64]:
        """Standard errors of the couplings; nan for methods that have none."""
        found = getattr(self.model, "couplings_std_", None)
        shape = self.model.couplings_.shape
        return np.full(shape, np.nan) if found is None else np.asarray(found, dtype=np.float64)

    @property
    def by_node(self) -> NDArray[np.float64] | None:
        """Both estimates of each coupling, for methods that have two."""
        found = getattr(self.model, "couplings_by_node_", None)
        return None if found is None else np.asarray(found, dtype=np.float64)


def check_given(data: Any, patterns: ArrayLike | None, names: Sequence[str] | None, ordered: bool | None) -> Given:
    """Check that samples, patterns and names fit each other."""
    samples = Samples.of(data, ordered=ordered)
    samples.spins  # noqa: B018  raises for continuous units
    n_spins = samples.n_spins
    if round(samples.n_samples) < FEWEST_SAMPLES:
        raise ValueError(
            f"samples: {round(samples.n_samples)} are too few for a report; error bars come from batches of samples "
            f"and need at least {FEWEST_SAMPLES}"
        )
    stored = samples.patterns if patterns is None else patterns
    xi = None if stored is None else np.asarray(stored)
    if xi is not None and (xi.ndim != 2 or xi.shape[1] != n_spins):
        raise ValueError(f"patterns: expected shape (n_patterns, {n_spins}) to fit the samples, got {xi.shape}")
    names = names if names is not None else samples.names
    if names is not None and len(names) != n_spins:
        raise ValueError(f"names: {len(names)} were given for {n_spins} spins; give one for each, or none")
    shown = tuple(map(str, range(n_spins))) if names is None else tuple(clean_text(str(name)) for name in names)
    if names is not None:  # sentences of the diagnosis use the names
        samples = dataclasses.replace(samples, names=shown)
    return Given(samples, xi, shown)


def choose_method(given: Given, method: str | None) -> tuple[str, str]:
    """Name of the method that fits couplings, and the reason for it."""
    if method is not None:
        return method, "as asked for"
    if given.samples.simulated:
        return PSEUDOLIKELIHOOD, "the default for simulations"
    if given.samples.n_spins > MOST_MONTE_CARLO_SPINS:
        return PSEUDOLIKELIHOOD, f"more than {MOST_MONTE_CARLO_SPINS} spins take too long by maximum likelihood"
    return MAXIMUM_LIKELIHOOD, "the default for recordings"


def fit_couplings(
    given: Given,
    method: tuple[str, str],
    alpha: float | None,
    fit_fields: bool,
    n_jobs: int | None,
    seed: int,
) -> Fitted:
    """Fit couplings and fields by a method, given with the reason for it."""
    samples, n_spins = given.samples, given.samples.n_spins
    name, chosen = method
    tried = None
    if alpha is None and name == PSEUDOLIKELIHOOD:
        alpha = 1.0 / given.n_samples
        if given.n_samples < n_spins * (n_spins - 1) / 2 and samples.complete:
            tried = choose_alpha(
                samples.spins, samples.weight, samples.chains, samples.ordered, fit_fields, n_jobs, seed
            )
            alpha = tried["alpha"]
    optional = {
        "n_jobs": n_jobs,
        "random_state": seed,
        "missing": "error" if samples.complete else "mask",
        "fit_fields": fit_fields,
    }
    kind = find_method(name)
    if not kind.only_pairs:
        raise InputError(
            f"method {name}: a report judges a pair model; `reverie fit --method {name}` fits this one, and the report "
            "of a pair model compares both on held-out rows"
        )
    estimator = kind.build({"alpha": alpha}, optional)
    model = estimator.fit(samples)
    return Fitted(model, name, chosen, getattr(model, "alpha_", alpha), tried)


def summary_of_fit(fitted: Fitted, samples: Samples, fit_fields: bool) -> FitSummary:
    """Method, penalty and outcome of the fit."""
    model, n_spins = fitted.model, samples.n_spins
    score = float(model.score(samples))
    alpha, tol = fitted.alpha, getattr(model, "tol_", getattr(model, "tol", None))
    return FitSummary(
        method=fitted.method,
        estimator=type(model).__name__,
        chosen=fitted.chosen,
        penalty=str(getattr(model, "penalty", "l2")),
        alpha=None if alpha is None else float(alpha),
        alpha_tried=fitted.alpha_tried,
        fit_fields=fit_fields,
        tol=None if tol is None else float(tol),
        n_iter=int(getattr(model, "n_iter_", 0)),
        converged=bool(getattr(model, "converged_", True)),
        message=str(getattr(model, "message_", "")),
        mismatch=getattr(model, "mismatch_", None),
        mismatch_noise=getattr(model, "mismatch_noise_", None),
        score=score,
        score_per_spin=score / n_spins,
        score_per_spin_free=-math.log(2.0),
    )


def fill_gaps(given: Given, model: Any, how: str, seed: int) -> Given:
    """Fill missing values with draws from a model fitted by pseudo-likelihood."""
    samples = given.samples
    share = float(np.mean(samples.spins == 0))
    warn(
        f"{100 * share:.2g} % of the values are missing. {how} were computed from samples in which a model fitted by "
        "pseudo-likelihood filled the gaps, so that errors are a little too small and the goodness of fit is "
        "biased in favour of the model.",
        UserWarning,
        stacklevel=1,
    )
    complete = samples.with_values(model.complete(samples, seed), gaps=False)
    return dataclasses.replace(given, samples=complete)


def fit_and_fill(
    given: Given, method: str | None, alpha: float | None, fit_fields: bool, n_jobs: int | None, seed: int
) -> tuple[Fitted, FitSummary, Given]:
    """Fit couplings and fields, and fill gaps of the samples.

    Pseudo-likelihood averages over missing values; every other method is fitted to samples whose gaps were filled by
    pseudo-likelihood.
    """
    chosen = choose_method(given, method)
    if given.samples.complete or chosen[0] == PSEUDOLIKELIHOOD:
        fitted = fit_couplings(given, chosen, alpha, fit_fields, n_jobs, seed)
        summary = summary_of_fit(fitted, given.samples, fit_fields)
        filled = given if given.samples.complete else fill_gaps(given, fitted.model, "All numbers but couplings", seed)
        return fitted, summary, filled
    first = fit_couplings(given, (PSEUDOLIKELIHOOD, ""), None, fit_fields, n_jobs, seed)
    filled = fill_gaps(given, first.model, "Couplings and all else", seed)
    fitted = fit_couplings(filled, chosen, alpha, fit_fields, n_jobs, seed)
    return fitted, summary_of_fit(fitted, filled.samples, fit_fields), filled


def look_for_runaway(fitted: Fitted, samples: Samples, fit_fields: bool, seed: int) -> Runaway | None:
    """Test for a state of the fitted model that the data never visit; None where couplings are not finite."""
    pairs = fitted.pairs
    if not (np.isfinite(pairs.couplings).all() and np.isfinite(pairs.fields).all()):
        return None
    means, second = samples.moments()
    rows = samples.spins[:: max(1, samples.n_rows // 20_000)] if samples.weights is None else None
    return runaway(pairs, means, second, states=rows, fit_fields=fit_fields, n_sweeps=300, seed=seed)


def fit_rate(samples: Any, patterns: NDArray[Any], fit_fields: bool) -> RateByLikelihood:
    """Rate and inverse temperature of the dreaming family by likelihood."""
    model = DreamingModel(patterns, fit_fields=fit_fields).fit(samples)
    try:
        family = model.family_test(samples)
    except ValueError:  # a model with fields, or too few modes
        family = None
    return RateByLikelihood(
        method=model.method,
        rate=float(model.rate_),
        rate_std=float(model.rate_std_),
        rate_interval=(float(model.rate_interval_[0]), float(model.rate_interval_[1])),
        confidence=0.95,
        inverse_temperature=float(model.inverse_temperature_),
        inverse_temperature_std=float(model.inverse_temperature_std_),
        slope=float(model.slope_),
        slope_std=float(model.slope_std_),
        converged=bool(model.converged_),
        family_p_value=math.nan if family is None else family.p_value,
        family_gain=math.nan if family is None else family.gain,
    )


def equilibrium_control(
    given: Given, found: RateByLikelihood, fields: NDArray[np.float64], fit_fields: bool, n_jobs: int | None, seed: int
) -> RateByLikelihood | None:
    """Dreaming rate of equilibrium samples of Hebbian couplings at the fitted temperature.

    Chains of heat-bath updates start from rows of the samples, and give as many rows as the samples have, up to a limit
    of time. Their true rate is 0, so that the fitted rate shows noise and bias of the method.
    """
    if given.patterns is None or not found.converged or not math.isfinite(found.inverse_temperature):
        return None
    if found.inverse_temperature <= 0:
        return None
    samples, n_spins = given.samples, given.samples.n_spins
    n_rows = min(given.n_samples, _MOST_CONTROL_VALUES // n_spins)
    chains = min(_CONTROL_CHAINS, max(2, n_rows // 4))
    rng = np.random.default_rng(seed)
    # couplings and fields contain 1/T, so the temperature of the dynamics is 1
    dynamics = PersistentGlauber(
        couplings=hebbian(given.patterns) * found.inverse_temperature,
        temperature=1.0,
        fields=fields if fit_fields else None,
    )
    starts = samples.spins[rng.integers(0, samples.n_rows, chains)]
    drawn = sample(
        dynamics,
        -(-n_rows // chains),
        chains=chains,
        initial=np.where(starts == 0, 1, starts).astype(np.int8),
        burn_in=20 * _CONTROL_SWEEPS,
        thin=_CONTROL_SWEEPS,
        seed=seed,
        n_jobs=n_jobs,
        check=False,
    )
    try:
        return fit_rate(drawn, given.patterns, fit_fields)
    except ValueError:  # all rows are equal: no rate can be fitted
        return None


def landscape_of(
    fitted: Fitted, given: Given, samples: Samples, couplings_needed: bool | None, seed: int
) -> EnergyLandscape | None:
    """The energy landscape of few spins; None for many spins, or where the couplings cannot be told from noise."""
    if given.samples.n_spins > MOST_LANDSCAPE_SPINS or couplings_needed is False:
        return None
    if not np.isfinite(fitted.pairs.couplings).all():
        return None
    return energy_landscape(
        fitted.pairs, samples, patterns=given.patterns, names=given.names, n_model_rows=_LANDSCAPE_ROWS, seed=seed
    )


def summary_of_data(given: Given, samples: Samples, means: NDArray[np.float64]) -> DataSummary:
    """Sizes, activity and attributes."""
    n_spins, n_samples = samples.n_spins, given.n_samples
    xi, chains = given.patterns, given.samples.chains
    shares = (1.0 + means) / 2.0
    return DataSummary(
        kind="simulation" if samples.simulated else "recording",
        n_samples=n_samples,
        n_rows=samples.n_rows,
        n_spins=n_spins,
        n_couplings=n_spins * (n_spins - 1) // 2,
        n_chains=None if chains is None else len(np.unique(chains)),
        n_patterns=None if xi is None else len(xi),
        load=None if xi is None else len(xi) / n_spins,
        time_ordered=samples.ordered,
        samples_per_coupling=n_samples / (n_spins * (n_spins - 1) / 2),
        samples_per_squared_spin=n_samples / n_spins**2,
        mean_absolute_mean=float(np.abs(means).mean()),
        active_share=float(shares.mean()),
        active_share_range=(float(shares.min()), float(shares.max())),
        attributes=readable_attributes(samples.attributes),
    )
