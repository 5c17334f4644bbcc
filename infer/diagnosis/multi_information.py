"""Share of the multi-information of a few spins that pair couplings explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infer.types import FloatArray, SpinArray

CORRECTION = "Miller and Madow's"
#: Smallest estimated probability of all states that were seen.
_LEAST_COVERAGE = 0.9


@dataclass(frozen=True)
class MultiInformation:
    """Entropies in nats, corrected for bias, and the share of the multi-information that pairs explain.

    Attributes
    ----------
    independent, pair, all : float
        Entropies S_1 of independent spins, S_2 of the pair model, S_N of the rows.
    share : float
        ``(S_1 - S_2) / (S_1 - S_N)``; nan where it is not given.
    plain_share : float
        The same share from entropies without correction.
    coverage : float
        Good's estimate of the probability of the states that were seen.
    withheld : str
        Reason why there is no share; empty where there is one.
    """

    independent: float
    pair: float
    all: float
    share: float
    plain_share: float
    coverage: float
    withheld: str


def multi_information(
    rows: SpinArray, weight: FloatArray | None, n_samples: float, pair_entropy: float, n_pairs: int
) -> MultiInformation:
    """Share of the multi-information that pairs explain (Schneidman, Berry, Segev, Bialek 2006, Nature 440, 1007).

    All three entropies are corrected at first order in 1/n (Miller 1955, in: Information Theory in Psychology, 95):
    plain estimates are too low by ``k / 2n`` on average, where k is the number of parameters: the number of spins for
    S_1, the number of spins and pairs for S_2, and the number of states seen less one for S_N.

    Parameters
    ----------
    rows : ndarray of int8, shape (n_rows, n_spins)
        Rows of the spins that vary.
    weight : ndarray, shape (n_rows,), optional
    n_samples : float
    pair_entropy : float
        Entropy of the pair model fitted to these rows, in nats.
    n_pairs : int

    Returns
    -------
    MultiInformation
    """
    n_spins = rows.shape[1]
    state = (rows > 0) @ (1 << np.arange(n_spins, dtype=np.int64))
    _, place = np.unique(state, return_inverse=True)
    filled = np.bincount(place, weights=weight)
    total = float(filled.sum())
    p = filled[filled > 0] / total
    up = (rows > 0).mean(axis=0) if weight is None else weight @ (rows > 0) / total
    plain = (_entropy(up) + _entropy(1.0 - up), pair_entropy, _entropy(p))
    k = (n_spins, n_spins + n_pairs, len(p) - 1)
    one, two, every = (float(s + n / (2.0 * n_samples)) for s, n in zip(plain, k, strict=True))
    coverage = 1.0 - float(np.sum(filled[filled <= 1.0])) / total
    withheld = ""
    if coverage < _LEAST_COVERAGE:
        withheld = f"too few rows for the entropy of all states (coverage {coverage:.2f})"
    elif one - every <= 0.0:
        withheld = "the entropy of all states is not below that of independent spins"
    share = float("nan") if withheld else (one - two) / (one - every)
    plain_share = (plain[0] - plain[1]) / (plain[0] - plain[2]) if plain[0] > plain[2] else float("nan")
    return MultiInformation(one, two, every, share, plain_share, coverage, withheld)


def _entropy(p: FloatArray) -> float:
    """Entropy in nats of probabilities, zeros left out."""
    inside = p[(p > 0) & (p < 1)]
    return float(-np.sum(inside * np.log(inside)))
