"""Samples packed into bits, and passes over them with the table look-up kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from infer.estimators.table_intrinsics import NIBBLES, TILE_BYTES
from infer.estimators.table_kernels import STRIP, WORD, count_differences, sum_responses, transpose_words


@dataclass(frozen=True)
class _Precision:
    """Conversion of numbers to integers: neither sums of `reach` nor those of responses of 192 rows overflow."""

    whole: type
    real: type
    reach: float  # largest sum of the parts of a local field, with room for the rounding of the unit
    response: float  # the integer for a response of one
    magic: float  # 1.5 * 2^m + bias of the exponent, for m bits of mantissa
    shortest: float  # logarithm near the smallest normal number


SINGLE = _Precision(np.int32, np.float32, 2.0**31 - 2.0**9, 2.0**23, 1.5 * 2**23 + 127, -87.0)
DOUBLE = _Precision(np.int64, np.float64, 2.0**62, 2.0**50, 1.5 * 2**52 + 1023, -708.0)


@dataclass(frozen=True)
class PackedSpins:
    """Rows of +-1 spins as bits, by row and by spin."""

    by_row: NDArray[np.uint64]  # (n_rows, n_words), 64 spins a word
    by_spin: NDArray[np.uint64]  # (n_blocks, n_spins + 1), 64 rows a word; the last column is all ones

    @classmethod
    def of(cls, spins: NDArray[np.int8]) -> PackedSpins:
        n_rows, n_spins = spins.shape
        packed = np.packbits(spins > 0, axis=1, bitorder="little")
        by_row = np.zeros((n_rows, 8 * -(-n_spins // WORD)), dtype=np.uint8)
        by_row[:, : packed.shape[1]] = packed
        by_spin = np.zeros((-(-n_rows // WORD), n_spins + 1), dtype=np.uint64)
        transpose_words(by_row.view(np.uint64), by_spin)
        return cls(by_row.view(np.uint64), by_spin)

    def moments(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Sums over rows of s_i (n_spins,) and of s_i s_j (n_spins, n_spins), exact."""
        n_rows, n_spins = len(self.by_row), self.by_spin.shape[1] - 1
        words = np.ascontiguousarray(self.by_spin[:, :-1].T)
        differences = np.zeros((n_spins, n_spins), dtype=np.int64)
        count_differences(words, differences)
        ones = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
        return 2 * ones - n_rows, n_rows - 2 * (differences + differences.T)


class Tiles:
    """Couplings and fields of some targets as integers, in the layout of the look-up kernels."""

    def __init__(self, couplings: NDArray, fields: NDArray, dtype: DTypeLike) -> None:
        self.precision = precision = SINGLE if np.dtype(dtype) == np.float32 else DOUBLE
        self.lanes = lanes = 8 * TILE_BYTES // (8 * np.dtype(precision.whole).itemsize)
        self.n_targets, self.n_spins = couplings.shape
        n_tiles, n_words = -(-self.n_targets // lanes), -(-self.n_spins // WORD)
        largest = np.abs(couplings).sum(axis=1) + np.abs(fields)
        # rounding errors of the terms are up to half a unit each
        unit = np.maximum(largest, 1e-30) / (precision.reach - 2.0 * self.n_spins - 2.0)
        self.unit = np.ones((n_tiles, lanes), dtype=precision.real)
        self.unit.reshape(-1)[: self.n_targets] = unit
        wide = self.unit.reshape(-1)[: self.n_targets].astype(np.float64)
        self.fields = np.zeros((n_tiles, lanes), dtype=precision.whole)
        self.fields.reshape(-1)[: self.n_targets] = np.rint(fields / wide)
        self.weights = aligned((n_tiles, n_words * WORD, lanes), precision.whole)
        self.weights[:] = 0
        for tile in range(n_tiles):
            part = slice(tile * lanes, min((tile + 1) * lanes, self.n_targets))
            scaled = np.rint(couplings[part] / wide[part, None])
            self.weights[tile, : self.n_spins, : scaled.shape[0]] = scaled.T

    def responses(
        self, packed: PackedSpins, share: NDArray, signs: NDArray[np.int8] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Sums over rows: products (n_tiles, n_spins + 1, lanes), others (n_tiles, 3, lanes); margins (n_tiles, lanes).

        Margins are infinite where no signs, the spins (n_rows, n_targets) of the targets, are given.
        """
        precision, n_tiles = self.precision, len(self.weights)
        totals = np.zeros((n_tiles, self.n_spins + 1, self.lanes))
        sums = np.zeros((n_tiles, 3, self.lanes))
        margins = np.full((n_tiles, self.lanes), np.inf)
        filled = np.zeros((0, n_tiles * self.lanes), dtype=np.int8)
        if signs is not None:
            filled = np.ones((len(signs), n_tiles * self.lanes), dtype=np.int8)
            filled[:, : self.n_targets] = signs
        padded: NDArray = np.zeros(WORD * len(packed.by_spin), dtype=precision.real)
        padded[: len(share)] = share
        scratch = tuple(
            aligned((n, self.lanes), precision.whole) for n in (NIBBLES * 16, STRIP + WORD, self.n_spins + 1)
        )
        sum_responses(
            packed.by_row,
            packed.by_spin,
            padded,
            filled,
            self.weights,
            self.fields,
            self.unit,
            precision.real(precision.magic),
            precision.real(precision.shortest),
            precision.response,
            scratch,
            totals,
            sums,
            margins,
        )
        return totals, sums, margins

    def flat(self, values: NDArray) -> NDArray:
        """Values (n_tiles, ..., lanes) as (n_targets, ...)."""
        moved = np.moveaxis(values, -1, 1)
        return moved.reshape(-1, *moved.shape[2:])[: self.n_targets]


def aligned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
    """Uninitialised array aligned to cache lines: access to vectors across two lines takes twice the time."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)
