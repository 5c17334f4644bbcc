"""Standard errors of mean log-likelihoods of held-out rows."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from infer.samples import Samples
from infer.statistics.batches import batch_labels
from infer.types import FloatArray, IntArray


def batches_of(samples: Samples, place: IntArray) -> IntArray | None:
    """Batch, contiguous in time, of each held-out row; None where rows have no order."""
    if not samples.ordered:
        return None
    labels = batch_labels(samples.n_rows, samples.chains)[place]
    return np.asarray(np.unique(labels, return_inverse=True)[1])


def mean_with_error(values: FloatArray, weight: FloatArray, batches: IntArray | None) -> tuple[float, float]:
    """Weighted mean and its standard error, from batches where there are any.

    With few batches the error is widened by the ratio of the 97.5 % quantiles of Student's t and the normal
    distribution, so that two standard errors have the same coverage as with many.
    """
    total = float(weight.sum())
    mean = float(weight @ values / total)
    if batches is None:
        # a row with a count stands for that many independent samples
        return mean, math.sqrt(float(weight @ (values - mean) ** 2) / total / max(total - 1.0, 1.0))
    sums = np.bincount(batches, weights=weight * (values - mean))
    n = len(sums)
    std = float(np.sqrt(np.sum(sums**2) * n / max(n - 1, 1)) / total)
    return mean, std * float(stats.t.ppf(0.975, max(n - 1, 1)) / stats.norm.ppf(0.975))
