"""R-hat and effective sample size of energy, overlaps with patterns, and spins."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from infer.checks import row_chunks
from infer.model import PairModel
from infer.report.results import Convergence
from infer.statistics.uncertainty import chains_dataset, convergence

RHAT_THRESHOLD = 1.01  # Vehtari, Gelman, Simpson, Carpenter, Buerkner 2021, arXiv 1903.08008
ESS_PER_CHAIN = 100  # the same authors: 400 for 4 chains
MAX_VALUES = 4_000_000  # values of the monitored spins
FEWEST_ROWS = 16
FALSE_ALARMS = 0.05


def monitor(
    spins: NDArray[np.int8],
    chains: NDArray[np.int64] | None,
    ordered: bool,
    model: PairModel,
    patterns: NDArray[Any] | None,
) -> Convergence:
    """Convergence of samples (n_rows, n_spins) under a fitted model."""
    n_rows, n_spins = spins.shape
    if not ordered:
        note = (
            "The rows carry no time order: chains and autocorrelation cannot be judged, samples count as independent."
        )
        return Convergence(False, note, {})
    if n_rows < FEWEST_ROWS:
        note = f"{n_rows} rows are too few to judge whether chains agree."
        return Convergence(False, note, {})
    energy = model.energies(spins)
    overlaps = np.empty((n_rows, 0 if patterns is None else len(patterns)))
    if patterns is not None:
        for rows in row_chunks(n_rows, n_spins):
            overlaps[rows] = spins[rows].astype(np.float64) @ patterns.T.astype(np.float64) / n_spins
    n_watched = max(1, min(n_spins, MAX_VALUES // n_rows))
    watched = np.unique(np.linspace(0, n_spins - 1, n_watched).astype(int))
    groups: dict[str, Any] = {}
    n_parts = 0
    watched_values: dict[str, NDArray[Any]] = {
        "energy": energy[:, None],
        "overlaps": overlaps,
        "spins": spins[:, watched],
    }
    for name, columns in watched_values.items():
        if columns.shape[1] == 0:
            continue
        dataset = chains_dataset(columns, chains, name=name)
        n_parts = dataset.sizes["chain"]
        found = convergence(dataset)
        r_hat, ess = (np.asarray(found[f"{name}_{key}"].values, dtype=np.float64) for key in ("r_hat", "ess"))
        groups[name] = {
            "number": len(r_hat),
            "largest_r_hat": _extreme(np.max, r_hat),
            "smallest_ess": _extreme(np.min, ess),
            "median_ess": _extreme(np.median, ess),
            "r_hat": r_hat,
            "ess": ess,
        }
    n_chains = 1 if chains is None else len(np.unique(chains))
    threshold = ESS_PER_CHAIN * n_parts
    worst = max(group["largest_r_hat"] for group in groups.values())
    # more than there are rows for values that alternate
    least = min(float(n_rows), *(group["smallest_ess"] for group in groups.values()))
    highest = r_hat_threshold(n_parts, n_rows // n_parts, sum(group["number"] for group in groups.values()))
    if n_chains == 1:
        where = f"One run of {n_rows:,} rows, taken in the order given and compared in {n_parts} parts: "
    else:
        where = f"{n_chains} chains, {n_rows:,} rows in all: "
    agree = "agree" if worst <= highest else "do not agree"
    enough = "enough for error bars" if least >= threshold else f"fewer than the {threshold} that error bars need"
    parts = "the parts" if n_chains == 1 else "the chains"
    note = (
        f"{where}{parts} {agree} (largest R-hat {worst:.3f}) and hold at least {least:,.0f} independent samples, "
        f"{enough}."
    )
    if len(watched) < n_spins:
        note += f" {len(watched)} of the {n_spins} spins were monitored."
    return Convergence(
        applicable=True,
        note=note,
        groups=groups,
        n_chains=n_chains,
        n_parts=n_parts,
        r_hat_threshold=highest,
        ess_threshold=threshold,
        worst_r_hat=worst,
        least_ess=least,
    )


def r_hat_threshold(n_parts: int, n_rows: int, n_values: int) -> float:
    """Largest R-hat that parts of independent rows may have: 1.01, or more where so few rows differ more by chance.

    R-hat^2 is 1 + (F - 1) / n for split parts of n rows, with F from the F distribution of the variances between and
    within 2 `n_parts` split parts; F is exceeded by one of `n_values`, looked at for place and for spread, in one of 20
    records. Autocorrelated rows are not allowed for: they are what R-hat is to find.
    """
    split, n = 2 * n_parts, max(n_rows // 2, 2)
    chance = stats.f.isf(FALSE_ALARMS / (2 * n_values), split - 1, split * (n - 1))
    return max(RHAT_THRESHOLD, math.sqrt(1.0 + max(float(chance) - 1.0, 0.0) / n))


def _extreme(choose: Any, values: NDArray[np.float64]) -> float:
    """Apply `choose` (max, min or median) to the numbers that are not nan."""
    defined = values[~np.isnan(values)]
    return float(choose(defined)) if len(defined) else math.nan
