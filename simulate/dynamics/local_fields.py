"""Local fields of spins under each kind of couplings, updated with each flip."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from simulate.block_intrinsics import MOST_PATTERNS, wide_vectors
from simulate.couplings import PatternCouplings
from simulate.dynamics import spin_kernels as kernels

__all__ = [
    "DenseFields",
    "LocalFields",
    "check_range",
    "largest_field",
    "local_fields",
    "unit_of_energy",
    "whole_number_step",
]

# bytes of a cache line, and of the widest register: rows that are not aligned to it are loaded in two pieces
_LINE = 64
# larger fields, in units, would overflow single precision when they are summed and compared with thresholds
_LARGEST = 1e30
_LARGEST_SHORT = 32767
_LARGEST_BYTE = 127
# of sums of some hundred terms in double precision; the fields of other couplings are rounded to 6e-8
_ROUNDING = 1e-12
# blocks of updates end at records; shorter ones take longer than one update after the other
_FEWEST_IN_BLOCK = 8
# this many chains, updated in turn, are faster than blocks where vectors are short
_MANY_CHAINS = 4


class LocalFields(Protocol):
    """Spins of several chains together with their fields h_i = sum_j J_ij s_j + H_i, in a unit of energy."""

    def start(self, spins: NDArray[np.int8]) -> None:
        """Continue with these chains (n_chains, n_spins), under the same couplings."""

    def refresh(self) -> None:
        """Recompute the fields from the spins, which removes accumulated rounding."""

    def advance(
        self,
        sites: NDArray[np.int32],
        thresholds: NDArray[np.float32],
        metropolis: bool,
        done: int,
        every: int,
        record: NDArray[np.int8],
    ) -> None:
        """Update each chain's sites in turn, s_i = sign(h_i + threshold), and record the states after each `every`.

        sites and thresholds (n_chains, n_updates). With `metropolis` the threshold is -s_i times the given one: s_i
        turns where s_i h_i falls below it. `done` is the number of updates before these, less those of burn-in, during
        which nothing is recorded.
        """

    def states(self) -> NDArray[np.int8]:
        """Current spins, int8 (n_chains, n_spins)."""


class _Chains:
    """Current states of several chains."""

    _spins: NDArray[np.int8]

    def start(self, spins: NDArray[np.int8]) -> None:
        self._spins = np.array(spins, dtype=np.int8, order="C")
        self.refresh()

    def refresh(self) -> None:
        raise NotImplementedError

    def states(self) -> NDArray[np.int8]:
        return self._spins.copy()

    def _of_each_chain(self, matrix: Any, external: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """matrix @ s + external by chain, since rounding errors of one product could depend on their number."""
        rows = [matrix @ state for state in self._spins.astype(np.float64)]
        return np.array(rows) if external is None else np.array(rows) + external


class DenseFields(_Chains):
    """Fields from a full matrix: a flip takes O(N).

    Couplings and external fields that are whole multiples of a number, as those of `hebbian` are of 1/N, are kept as
    whole numbers of 8 bits where they and all fields are small enough, with exact arithmetic.
    """

    def __init__(self, couplings: NDArray[np.float64], external: NDArray[np.float64], unit: float = 1.0) -> None:
        with np.errstate(over="ignore"):  # overflow is refused in the next line
            self._couplings, self._external = couplings / unit, external / unit
        check_range(largest_field(self._couplings, self._external), unit)
        step = whole_number_step(self._couplings, self._external)
        self._scale = 1.0 if step is None else 1.0 / step
        if step is None:
            self._incoming: NDArray[Any] = _padded(self._couplings.T)
        else:
            self._couplings, self._external = np.rint(self._couplings / step), np.rint(self._external / step)
            self._incoming = _padded(self._couplings.T, np.int8)

    def refresh(self) -> None:
        fields = self._of_each_chain(self._couplings, self._external)
        if self._incoming.dtype == np.int8:
            self._fields: NDArray[Any] = _padded(fields, np.int16, self._incoming.shape[1])
        else:
            self._fields = _padded(fields)

    def advance(
        self,
        sites: NDArray[np.int32],
        thresholds: NDArray[np.float32],
        metropolis: bool,
        done: int,
        every: int,
        record: NDArray[np.int8],
    ) -> None:
        kernels.advance_dense(
            sites,
            thresholds,
            np.float32(self._scale),
            metropolis,
            self._incoming,
            self._spins,
            self._fields,
            done,
            every,
            record,
        )


class SparseFields(_Chains):
    """Fields from compressed rows: a flip takes as many steps as the spin has neighbours."""

    def __init__(self, couplings: Any, external: NDArray[np.float64], unit: float = 1.0) -> None:
        with np.errstate(over="ignore"):
            self._couplings, self._external = sparse.csr_array(couplings) / unit, external / unit
        check_range(largest_field(self._couplings, self._external), unit)
        incoming = sparse.csr_array(self._couplings.T)
        self._start = incoming.indptr.astype(np.int64)
        self._neighbours = incoming.indices.astype(np.int64)
        self._weights = incoming.data.astype(np.float32)

    def refresh(self) -> None:
        self._fields = self._of_each_chain(self._couplings, self._external).astype(np.float32)

    def advance(
        self,
        sites: NDArray[np.int32],
        thresholds: NDArray[np.float32],
        metropolis: bool,
        done: int,
        every: int,
        record: NDArray[np.int8],
    ) -> None:
        rows = self._start, self._neighbours, self._weights
        kernels.advance_sparse(sites, thresholds, metropolis, *rows, self._spins, self._fields, done, every, record)


class PatternFields(_Chains):
    """Fields from patterns through overlaps: an update takes O(P).

    Hebbian couplings without fields are kept as integers, N J_ij, with exact arithmetic, and up to 64
    patterns also as bits.
    """

    _scale: float
    _words: NDArray[np.uint64] | None = None

    def __init__(self, couplings: PatternCouplings, external: NDArray[np.float64], unit: float = 1.0) -> None:
        with np.errstate(over="ignore"):
            weighted, external = couplings.weighted_patterns / unit, external / unit
            check_range(largest_field(couplings, None) / unit + np.abs(external).max(), unit)
        self._patterns = couplings.patterns
        if whole_numbers_hold(couplings) and not external.any():
            self._right = self._left = _padded(couplings.patterns.T, np.int16)
            self._weighted = couplings.patterns.astype(np.float64)
            self._own = np.array([len(couplings.patterns)], dtype=np.float32)
            self._scale = unit * self._left.shape[0]
            if len(couplings.patterns) <= MOST_PATTERNS:
                self._words = pattern_words(couplings.patterns)
        else:
            # the external fields as one more pattern, whose overlap is always 1
            self._left = _padded(np.column_stack([couplings.patterns.T, external]))
            self._right = _padded(np.column_stack([weighted.T, np.zeros(len(external))]))
            self._weighted = weighted
            self._own = (couplings.self_couplings / unit).astype(np.float32)
            self._scale = 1.0

    def refresh(self) -> None:
        overlaps = self._of_each_chain(self._weighted)
        if self._left.dtype == np.float32:
            overlaps = np.column_stack([overlaps, np.ones(len(overlaps))])
        elif self._words is not None:
            overlaps = np.pad(overlaps, ((0, 0), (0, MOST_PATTERNS - overlaps.shape[1])))
        self._overlaps = _padded(overlaps, self._left.dtype)

    def advance(
        self,
        sites: NDArray[np.int32],
        thresholds: NDArray[np.float32],
        metropolis: bool,
        done: int,
        every: int,
        record: NDArray[np.int8],
    ) -> None:
        blocks = every >= _FEWEST_IN_BLOCK and (wide_vectors() or len(sites) < _MANY_CHAINS)
        if self._words is not None and blocks and not metropolis:  # the same states either way
            kernels.advance_blocks(
                sites,
                thresholds,
                np.float32(self._scale),
                self._words,
                len(self._patterns),
                self._spins,
                self._overlaps,
                done,
                every,
                record,
            )
            return
        kernels.advance_patterns(
            sites,
            thresholds,
            np.float32(self._scale),
            metropolis,
            self._left,
            self._right,
            self._own,
            self._spins,
            self._overlaps,
            done,
            every,
            record,
        )


def whole_numbers_hold(couplings: PatternCouplings) -> bool:
    """Whether overlaps and N h_i of Hebbian couplings fit into int16 in every state.

    |N h_i| <= sum_j |xi_i . xi_j| <= sqrt(N sum_j (xi_i . xi_j)^2) for the vectors xi_i of the patterns' spins; partial
    sums may overflow, since integer arithmetic modulo 2^16 gives the right final sum.
    """
    patterns = couplings.patterns.astype(np.float64)
    n_patterns, n_spins = patterns.shape
    if couplings.rate != 0.0 or n_spins > _LARGEST_SHORT or n_patterns > n_spins:
        return False
    squares = np.einsum("mi,mi->i", patterns, (patterns @ patterns.T) @ patterns)
    return bool(np.sqrt(n_spins * squares.max()) + n_patterns <= _LARGEST_SHORT)


def whole_number_step(couplings: NDArray[np.float64], external: NDArray[np.float64]) -> float | None:
    """Number of which couplings are whole multiples within int8 and fields in every state such within int16, or None.

    Tried are the smallest coupling other than 0, and its half and third.
    """
    smallest = min(float(np.abs(row).min(initial=np.inf, where=row != 0)) for row in couplings)
    if not math.isfinite(smallest):
        return None
    for step in (smallest, smallest / 2, smallest / 3):
        # thresholds are compared in steps, of which they may not be too many for single precision either
        if largest_field(couplings, external) > (_LARGEST_SHORT + 0.5) * step or step * _LARGEST < 1.0:
            return None
        if _are_multiples(external, step) and all(_are_multiples(row, step) for row in couplings):
            return step if np.abs(couplings).max() < (_LARGEST_BYTE + 0.5) * step else None
    return None


def _are_multiples(values: NDArray[np.float64], step: float) -> bool:
    """Whether values are whole multiples of a number but for rounding in double precision."""
    ratio = values / step
    return bool(np.all(np.abs(ratio - np.rint(ratio)) <= _ROUNDING * np.abs(ratio)))


def pattern_words(patterns: NDArray[np.int8]) -> NDArray[np.uint64]:
    """Word of each spin (n_spins,) with a bit for each of at most 64 patterns, set where the pattern is +1.

    Patterns that follow each other have bits at the same place of bytes that follow each other: 0, 8, 1, 9, ... 7, 15,
    16, 24, ... are the bits of patterns 0, 1, 2, 3, ...
    """
    mu = np.arange(len(patterns))
    places = (16 * (mu // 16) + 8 * (mu % 2) + mu % 16 // 2).astype(np.uint64)
    return np.bitwise_or.reduce((np.asarray(patterns).T > 0).astype(np.uint64) << places, axis=1)


def largest_field(couplings: Any, external: NDArray[np.float64] | None) -> float:
    """Bound of |h_i| over all states and spins, max_i sum_j |J_ij| + |H_i| (a looser one for patterns)."""
    if isinstance(couplings, PatternCouplings):
        row = np.abs(couplings.weighted_patterns).sum()
    else:
        row = abs(couplings).sum(axis=1).max(initial=0.0)
    return float(row) if external is None else float(row + np.abs(external).max(initial=0.0))


def check_range(largest: float, unit: float) -> None:
    """Reject fields of up to `largest` units that exceed the range of single precision."""
    if not largest <= _LARGEST:
        raise ValueError(
            f"couplings and fields reach {largest * unit:.3g} where the temperature is about {unit:.3g}; chains "
            f"compute in single precision, up to {_LARGEST:g} times the temperature: raise it or lower the couplings"
        )


def _padded(values: NDArray[Any], dtype: Any = np.float32, columns: int | None = None) -> NDArray[Any]:
    """The values (n_rows, n) padded with zeros to `columns` or whole vectors; rows are aligned to cache lines."""
    n_rows, n = values.shape
    size = np.dtype(dtype).itemsize
    in_a_line = _LINE // size
    columns = columns or -(-n // in_a_line) * in_a_line
    spare = np.zeros(n_rows * columns + in_a_line, dtype=dtype)
    first = -spare.ctypes.data % _LINE // size
    padded = spare[first : first + n_rows * columns].reshape(n_rows, columns)
    padded[:, :n] = values
    return padded


def local_fields(couplings: Any, external: NDArray[np.float64] | None, unit: float = 1.0) -> LocalFields:
    """Local fields for this kind of couplings, divided by a unit of energy in double precision."""
    field = np.zeros(couplings.shape[0]) if external is None else np.asarray(external, dtype=np.float64)
    if isinstance(couplings, PatternCouplings):
        return PatternFields(couplings, field, unit)
    if sparse.issparse(couplings):
        return SparseFields(couplings, field, unit)
    return DenseFields(couplings, field, unit)


def unit_of_energy(temperature: float) -> float:
    """The power of two next to the temperature: division by it is exact, so that tied fields stay tied."""
    return math.ldexp(1.0, round(math.log2(temperature)))
