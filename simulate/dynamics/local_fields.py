"""Local fields of spins under each kind of couplings, kept up to date flip by flip."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from simulate.dynamics import _spin_kernels as kernels
from simulate.memory.couplings import PatternCouplings

__all__ = ["LocalFields", "local_fields"]


class LocalFields(Protocol):
    """Spins of several chains together with their fields h_i = sum_j J_ij s_j + H_i."""

    def refresh(self) -> None:
        """Compute the fields afresh from the spins, which clears the rounding that flips have left."""

    def advance(
        self,
        sites: NDArray[np.int32],
        thresholds: NDArray[np.float32],
        metropolis: bool,
        every: int,
        record: NDArray[np.int8],
    ) -> None:
        """Update the given sites in turn, s_i = sign(h_i + threshold), and record the states.

        With `metropolis` the threshold is -s_i times the given one: s_i turns where s_i h_i falls below it.
        """

    def states(self) -> NDArray[np.int8]:
        """The spins now, int8 (n_chains, n_spins)."""


class DenseFields:
    """Fields from a full matrix: a flip costs O(N)."""

    def __init__(self, couplings: NDArray[np.float64], external: NDArray[np.float64], spins: NDArray[np.int8]) -> None:
        self._couplings = couplings
        self._incoming = np.ascontiguousarray(couplings.T, dtype=np.float32)
        self._external = external
        self._spins = np.ascontiguousarray(spins, dtype=np.float32)
        self.refresh()

    def refresh(self) -> None:
        # chain by chain: the rounding of one product for all could depend on how many chains there are
        rows = [self._couplings @ state.astype(np.float64) + self._external for state in self._spins]
        self._fields = np.array(rows, dtype=np.float32)

    def advance(
        self,
        sites: NDArray[np.int32],
        thresholds: NDArray[np.float32],
        metropolis: bool,
        every: int,
        record: NDArray[np.int8],
    ) -> None:
        kernels.advance_dense(sites, thresholds, metropolis, self._incoming, self._spins, self._fields, every, record)

    def states(self) -> NDArray[np.int8]:
        return self._spins.astype(np.int8)


class SparseFields:
    """Fields from compressed rows: a flip costs as many steps as the spin has neighbours."""

    def __init__(self, couplings: Any, external: NDArray[np.float64], spins: NDArray[np.int8]) -> None:
        self._couplings = sparse.csr_array(couplings)
        incoming = sparse.csr_array(self._couplings.T)
        self._start = incoming.indptr.astype(np.int64)
        self._neighbours = incoming.indices.astype(np.int64)
        self._weights = incoming.data.astype(np.float32)
        self._external = external
        self._spins = np.ascontiguousarray(spins, dtype=np.float32)
        self.refresh()

    def refresh(self) -> None:
        rows = [self._couplings @ state.astype(np.float64) + self._external for state in self._spins]
        self._fields = np.array(rows, dtype=np.float32)

    def advance(
        self,
        sites: NDArray[np.int32],
        thresholds: NDArray[np.float32],
        metropolis: bool,
        every: int,
        record: NDArray[np.int8],
    ) -> None:
        kernels.advance_sparse(
            sites,
            thresholds,
            metropolis,
            self._start,
            self._neighbours,
            self._weights,
            self._spins,
            self._fields,
            every,
            record,
        )

    def states(self) -> NDArray[np.int8]:
        return self._spins.astype(np.int8)


class PatternFields:
    """Fields from patterns through overlaps: an update costs O(P). Chains go side by side, or one by one if few."""

    def __init__(
        self, couplings: PatternCouplings, external: NDArray[np.float64], spins: NDArray[np.int8], few: bool
    ) -> None:
        self._few = few
        self._weighted = couplings.weighted_patterns
        self._left = np.ascontiguousarray(couplings.patterns.T, dtype=np.float32)
        self._right = np.ascontiguousarray(self._weighted.T, dtype=np.float32)
        self._self_couplings = couplings.self_couplings.astype(np.float32)
        self._external = external.astype(np.float32)
        self._spins = np.ascontiguousarray(spins if few else spins.T, dtype=np.float32)
        self.refresh()

    def refresh(self) -> None:
        chains = self._spins if self._few else self._spins.T
        rows = np.array([self._weighted @ state.astype(np.float64) for state in chains])
        self._overlaps = np.ascontiguousarray(rows if self._few else rows.T, dtype=np.float32)

    def advance(
        self,
        sites: NDArray[np.int32],
        thresholds: NDArray[np.float32],
        metropolis: bool,
        every: int,
        record: NDArray[np.int8],
    ) -> None:
        kernel = kernels.advance_patterns_few if self._few else kernels.advance_patterns
        kernel(
            sites,
            thresholds,
            metropolis,
            self._left,
            self._right,
            self._self_couplings,
            self._external,
            self._spins,
            self._overlaps,
            every,
            record,
        )

    def states(self) -> NDArray[np.int8]:
        return np.ascontiguousarray(self._spins if self._few else self._spins.T).astype(np.int8)


def local_fields(
    couplings: Any, external: NDArray[np.float64] | None, spins: NDArray[np.int8], *, few: bool = False
) -> LocalFields:
    """Fields of the kind that suits the couplings, for spins (n_chains, n_spins).

    `few` says that the whole run has too few chains to fill the lanes of one instruction; a group of them cannot decide
    that by itself, since the two kernels round differently and results must not depend on the grouping.
    """
    field = np.zeros(spins.shape[1]) if external is None else external
    if isinstance(couplings, PatternCouplings):
        return PatternFields(couplings, field, spins, few)
    if sparse.issparse(couplings):
        return SparseFields(couplings, field, spins)
    return DenseFields(couplings, field, spins)
