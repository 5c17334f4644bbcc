"""Folds of rows for held-out scores: blocks of time, whole runs, or rows at random where they have no order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from infer.statistics.batches import batch_labels
from infer.types import FloatArray, IntArray

N_FOLDS = 4
BLOCKS_A_FOLD = 5


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows for fitting and rows for evaluation, as indices in increasing order.

    Attributes
    ----------
    train, test : ndarray of int64
        Indices of rows. A row with a count may be in both, with part of its samples in each.
    train_weight, test_weight : ndarray of float64, or None
        Weights of these rows; None where all are equal.
    """

    train: IntArray
    test: IntArray
    train_weight: FloatArray | None = None
    test_weight: FloatArray | None = None


def contiguous_folds(
    n_rows: int,
    *,
    weight: FloatArray | None = None,
    counted: bool = False,
    chains: IntArray | None = None,
    ordered: bool = True,
    n_folds: int = N_FOLDS,
    n_evaluated: int | None = None,
    seed: np.random.SeedSequence | int = 0,
) -> Iterator[Fold]:
    """Folds of contiguous blocks of rows.

    Ordered rows are cut into at least five blocks per fold, which never cross the end of a run (whole runs where there
    are many), and the blocks are assigned to the folds in turn. Rows without order are assigned at random; where
    weights are counts, each sample of a row is assigned separately.

    Parameters
    ----------
    n_rows : int
    weight : ndarray, shape (n_rows,), optional
    counted : bool
        Whether weights are counts of samples.
    chains : ndarray of int64, shape (n_rows,), optional
        The run that each row belongs to.
    ordered : bool
        Whether rows of a run follow each other in time.
    n_folds : int
    n_evaluated : int, optional
        Number of folds that are returned, the first ones; all by default.
    seed : SeedSequence or int
        Seed of random assignments.

    Yields
    ------
    Fold
    """
    n_evaluated = n_folds if n_evaluated is None else n_evaluated
    rng = np.random.default_rng(seed)
    if weight is not None and counted:
        counts = np.rint(weight).astype(np.int64)
        left = counts.copy()
        for fold in range(n_evaluated):
            dealt = rng.binomial(left, 1.0 / (n_folds - fold))
            left -= dealt
            train, test = np.flatnonzero(counts - dealt), np.flatnonzero(dealt)
            yield Fold(train, test, (counts - dealt)[train].astype(np.float64), dealt[test].astype(np.float64))
        return
    if ordered:
        n_blocks = min(n_folds * BLOCKS_A_FOLD, n_rows // 2)
        place = batch_labels(n_rows, chains, n_batches=n_blocks) % n_folds
    else:
        place = rng.permutation(n_rows) % n_folds
    for fold in range(n_evaluated):
        train, test = np.flatnonzero(place != fold), np.flatnonzero(place == fold)
        yield Fold(train, test, None if weight is None else weight[train], None if weight is None else weight[test])
