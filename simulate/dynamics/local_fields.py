"""Local fields of spins under each kind of couplings, kept up to date flip by flip."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from simulate.couplings import PatternCouplings
from simulate.dynamics import spin_kernels as kernels

__all__ = ["LocalFields", "local_fields"]

# bytes of a line of the cache, and of the widest register: what begins elsewhere is loaded in two pieces
_LINE = 64


class LocalFields(Protocol):
    """Spins of several chains together with their fields h_i = sum_j J_ij s_j + H_i."""

    def refresh(self) -> None:
        """Compute the fields afresh from the spins, which clears the rounding that flips have left."""

    def advance(
        self,
        sites: NDArray[np.int32],
        thresholds: NDArray[np.float32],
        metropolis: bool,
        done: int,
        every: int,
        record: NDArray[np.int8],
    ) -> None:
        """Update the given sites in turn, s_i = sign(h_i + threshold), and record the states after each `every`.

        With `metropolis` the threshold is -s_i times the given one: s_i turns where s_i h_i falls below it. `done` is
        the number of updates before these, less those of burn-in, during which nothing is recorded.
        """

    def states(self) -> NDArray[np.int8]:
        """The spins now, int8 (n_chains, n_spins)."""


class DenseFields:
    """Fields from a full matrix: a flip costs O(N). Chains go side by side, or one by one if few."""

    def __init__(
        self, couplings: NDArray[np.float64], external: NDArray[np.float64], spins: NDArray[np.int8], few: bool
    ) -> None:
        self._few = few
        self._couplings = couplings
        # few chains wait for the rows: these then begin with a line of the cache, and end without a rest
        self._columns = -(-len(couplings) // 32) * 32 if few else len(couplings)
        self._incoming = _padded(couplings.T, self._columns)
        self._external = external
        self._n_chains = len(spins)
        self._spins = np.array(spins, dtype=np.float32) if few else _to_strips(spins)
        self.refresh()

    def refresh(self) -> None:
        # chain by chain: the rounding of one product for all could depend on how many chains there are
        rows = [self._couplings @ state.astype(np.float64) + self._external for state in self.states()]
        self._fields = _padded(np.array(rows), self._columns)

    def advance(
        self,
        sites: NDArray[np.int32],
        thresholds: NDArray[np.float32],
        metropolis: bool,
        done: int,
        every: int,
        record: NDArray[np.int8],
    ) -> None:
        kernel = kernels.advance_dense_few if self._few else kernels.advance_dense
        kernel(sites, thresholds, metropolis, self._incoming, self._spins, self._fields, done, every, record)

    def states(self) -> NDArray[np.int8]:
        if self._few:
            return self._spins.astype(np.int8)
        return _from_strips(self._spins, self._n_chains, len(self._couplings))


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
        done: int,
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
            done,
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
        # columns of zeros fill up what the kernels work on at a time: tiles of four, or registers of sixteen
        columns = -(-len(self._weighted) // (16 if few else 4)) * (16 if few else 4)
        self._left = _padded(couplings.patterns.T, columns)
        self._right = _padded(self._weighted.T, columns)
        self._self_couplings = couplings.self_couplings.astype(np.float32)
        self._external = external.astype(np.float32)
        self._n_chains = len(spins)
        self._spins = np.array(spins, dtype=np.float32) if few else _to_strips(spins)
        self.refresh()

    def refresh(self) -> None:
        # chain by chain, as for full matrices
        rows = np.array([self._weighted @ state.astype(np.float64) for state in self.states()])
        overlaps = _padded(rows, self._left.shape[1])
        self._overlaps = overlaps if self._few else _to_strips(overlaps)

    def advance(
        self,
        sites: NDArray[np.int32],
        thresholds: NDArray[np.float32],
        metropolis: bool,
        done: int,
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
            done,
            every,
            record,
        )

    def states(self) -> NDArray[np.int8]:
        if self._few:
            return self._spins.astype(np.int8)
        return _from_strips(self._spins, self._n_chains, len(self._left))


def _zeros(*shape: int) -> NDArray[np.float32]:
    """Zeros in single precision that begin with a line of the cache, as numpy does not promise."""
    size = math.prod(shape)
    spare = np.zeros(size + _LINE // 4, dtype=np.float32)
    first = -spare.ctypes.data % _LINE // 4
    return spare[first : first + size].reshape(shape)


def _padded(values: NDArray[Any], columns: int) -> NDArray[np.float32]:
    """The values (n_rows, n) in single precision, with zeros up to the given number of columns."""
    padded = _zeros(len(values), columns)
    padded[:, : values.shape[1]] = values
    return padded


def _to_strips(values: NDArray[Any]) -> NDArray[np.float32]:
    """Rows of chains (n_chains, n) as the lanes of strips, flat (n_strips, n, STRIP)."""
    chains, n = values.shape
    strips = _zeros(-(-chains // kernels.STRIP), n, kernels.STRIP)
    for strip, lanes in enumerate(strips):
        part = values[strip * kernels.STRIP : (strip + 1) * kernels.STRIP]
        lanes[:, : len(part)] = part.T
    return strips.reshape(-1)


def _from_strips(strips: NDArray[np.float32], n_chains: int, n_spins: int) -> NDArray[np.int8]:
    """The spins (n_chains, n_spins) that are the lanes of flat strips."""
    lanes = strips.reshape(-1, n_spins, kernels.STRIP).transpose(0, 2, 1)
    return lanes.reshape(-1, n_spins)[:n_chains].astype(np.int8)


def local_fields(
    couplings: Any, external: NDArray[np.float64] | None, spins: NDArray[np.int8], *, few: bool = False
) -> LocalFields:
    """Fields of the kind that suits the couplings, for spins (n_chains, n_spins).

    `few` says that the whole run has too few chains to fill the lanes of one instruction; a group of them cannot decide
    that by itself, since the ways of few and of many round differently and results must not depend on the grouping.
    """
    field = np.zeros(spins.shape[1]) if external is None else external
    if isinstance(couplings, PatternCouplings):
        return PatternFields(couplings, field, spins, few)
    if sparse.issparse(couplings):
        return SparseFields(couplings, field, spins)
    return DenseFields(couplings, field, spins, few)
