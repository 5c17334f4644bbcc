"""Choice of the third moments that are compared."""

from __future__ import annotations

import numpy as np

from infer.types import IntArray


def choose_triples(n_spins: int, n_triples: int, seed: np.random.SeedSequence) -> IntArray:
    """Triples i < j < k: all where there are no more than ``n_triples``, else a random choice without repeats."""
    total = n_spins * (n_spins - 1) * (n_spins - 2) // 6
    if total <= n_triples:
        i, j, k = np.ogrid[:n_spins, :n_spins, :n_spins]
        return np.argwhere((i < j) & (j < k))
    rng = np.random.default_rng(seed)
    found = np.empty((0, 3), dtype=np.int64)
    while len(found) < n_triples:
        drawn = rng.integers(0, n_spins, size=(2 * n_triples, 3))
        drawn = np.sort(drawn, axis=1)
        drawn = drawn[(drawn[:, 0] < drawn[:, 1]) & (drawn[:, 1] < drawn[:, 2])]
        found = np.unique(np.concatenate([found, drawn]), axis=0)
    return found[np.sort(rng.choice(len(found), n_triples, replace=False))]
