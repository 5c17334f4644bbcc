"""Share of the multi-information of samples that a pair model explains."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from infer.types import FloatArray, SpinArray

__all__ = ["Accuracy", "accuracy"]


@dataclass(frozen=True)
class Accuracy:
    r"""Entropies of samples and models, and the two indices of accuracy, without correction for bias.

    Attributes
    ----------
    entropy_independent : float
        :math:`S_1`, that of independent spins with the means of the samples (bits).
    entropy_model, entropy_model_std : float
        :math:`S_2`, that of the fitted model, and its sampling error, 0 by enumeration (bits).
    entropy_samples : float
        :math:`S_N`, that of the frequencies of the states in the samples (bits); too low where most states were seen
        once or never.
    divergence_independent, divergence_model : float
        :math:`D_1` and :math:`D_2`, relative entropy of the samples with respect to either model (bits).
    r, r_std : float
        :math:`(S_1 - S_2) / (S_1 - S_N)`, the share of the multi-information.
    r_divergence, r_divergence_std : float
        :math:`r_D = (D_1 - D_2) / D_1`.
    seen_once : float
        Share of the rows whose state was seen once (rows of weight 1 or less); estimates the probability that the next
        row is a state never seen.

    References
    ----------
    E. Schneidman et al. 2006, Nature 440, 1007, doi:10.1038/nature04701. T. Ezaki et al. 2017, Phil. Trans. R. Soc. A
    375, 20160287, doi:10.1098/rsta.2016.0287.
    """

    entropy_independent: float
    entropy_model: float
    entropy_model_std: float
    entropy_samples: float
    divergence_independent: float
    divergence_model: float
    r: float
    r_std: float
    r_divergence: float
    r_divergence_std: float
    seen_once: float


def accuracy(
    spins: SpinArray,
    weights: FloatArray | None,
    energies: FloatArray,
    model_energy: float,
    model_entropy: float,
    model_entropy_std: float = 0.0,
) -> Accuracy:
    """Indices of accuracy of a model.

    Parameters
    ----------
    spins : ndarray of int8, shape (n_rows, n_spins)
        Complete rows.
    weights : ndarray (n_rows,), optional
    energies : ndarray (n_rows,)
        Energies of the rows in the model.
    model_energy, model_entropy, model_entropy_std : float
        Mean energy in the model, its entropy in bits and the standard error of that.

    Returns
    -------
    Accuracy
        NaN where the samples have no multi-information (each row in one state, or spins that never change).
    """
    share = np.full(len(spins), 1.0 / len(spins)) if weights is None else weights / weights.sum()
    packed = np.packbits(spins > 0, axis=1)
    _, state, times = np.unique(packed, axis=0, return_inverse=True, return_counts=True)
    state = state.ravel()
    seen = times.astype(np.float64) if weights is None else np.bincount(state, weights)
    frequency = np.bincount(state, share).astype(np.float64)
    of_samples = _entropy(frequency)
    up = np.clip(share @ (spins > 0), 0.0, 1.0)
    independent = _entropy(up) + _entropy(1.0 - up)
    # log Z = entropy (nats) - mean energy of the model, so that the mean of -log P over the rows is
    cross = model_entropy + (float(share @ energies) - model_energy) / math.log(2)
    multi = independent - of_samples
    divergence = cross - of_samples
    some = multi > 1e-12
    return Accuracy(
        entropy_independent=independent,
        entropy_model=model_entropy,
        entropy_model_std=model_entropy_std,
        entropy_samples=of_samples,
        divergence_independent=multi,
        divergence_model=divergence,
        r=(independent - model_entropy) / multi if some else math.nan,
        r_std=model_entropy_std / multi if some else math.nan,
        r_divergence=(multi - divergence) / multi if some else math.nan,
        r_divergence_std=model_entropy_std / multi if some else math.nan,
        seen_once=float(frequency[seen <= 1.0].sum()),
    )


def _entropy(probabilities: FloatArray) -> float:
    """``-sum p log2 p``."""
    some = probabilities[probabilities > 0]
    return float(-(some @ np.log2(some)))
