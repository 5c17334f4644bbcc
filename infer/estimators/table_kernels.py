"""Compiled passes over +-1 samples packed into words: local fields, responses and their products by table look-up."""

import math

import numpy as np
from numba import njit, types
from numba.extending import overload

from infer.estimators.table_intrinsics import (
    add_looked_up,
    count_bits,
    fill_tables,
    shifted_exponent,
)

WORD = 64
STRIP = 768  # rows whose local fields are computed together, with tables filled once
FLUSH = 192  # rows whose products are summed as integers: 192 * 2^23 < 2^31
LOG2_E = 1.4426950408889634
FAST = {"contract", "nsz", "arcp"}
LN2_HIGH, LN2_LOW = 0.693145751953125, 1.42860682030941723212e-6  # the first has few bits: products are exact


def _fitted(function, degree, low, high):
    """Coefficients, from the constant up, of the polynomial that equals a function at Chebyshev's points."""
    fitted = np.polynomial.Chebyshev.interpolate(function, degree, domain=[low, high])
    return tuple(float(value) for value in fitted.convert(kind=np.polynomial.Polynomial).coef)


EXP_SINGLE = _fitted(np.exp, 6, -0.34658, 0.34658)
EXP_DOUBLE = tuple(1.0 / math.factorial(k) for k in range(13))
LOG_SINGLE, LOG_DOUBLE = (_fitted(lambda x: np.log1p(x) / x, degree, 0.0, 1.0) for degree in (7, 10))


@njit(cache=True, nogil=True)
def transpose_words(row_words, column_words):
    """Convert words of 64 columns each, (n_rows, n_words), to words of 64 rows each, (n_words, n_columns).

    ``column_words`` has one column more than there are spins, all ones: its product is the sum of the rows.
    """
    n_rows, n_words = row_words.shape
    n_columns = column_words.shape[1] - 1
    square = np.empty(WORD, dtype=np.uint64)
    for block in range(column_words.shape[0]):
        for word in range(n_words):
            for k in range(WORD):
                row = block * WORD + k
                square[k] = row_words[row, word] if row < n_rows else np.uint64(0)
            half = np.uint64(32)
            mask = np.uint64(0x00000000FFFFFFFF)
            while half != np.uint64(0):
                width = np.int64(half)
                for start in range(0, WORD, 2 * width):
                    for k in range(start, start + width):
                        moved = ((square[k] >> half) ^ square[k + width]) & mask
                        square[k] ^= moved << half
                        square[k + width] ^= moved
                half >>= np.uint64(1)
                mask ^= mask << half
            for k in range(min(WORD, n_columns - word * WORD)):
                column_words[block, word * WORD + k] = square[k]
        column_words[block, n_columns] = np.uint64(0xFFFFFFFFFFFFFFFF)


@njit(cache=True, nogil=True)
def count_differences(words, counts):
    """Add to ``counts`` (n_spins, n_spins), below the diagonal, the number of bits that differ between two spins."""
    n_spins, n_words = words.shape
    for i in range(n_spins):
        for j in range(i):
            total = np.uint64(0)
            for k in range(n_words):
                total += count_bits(words[i, k] ^ words[j, k])
            counts[i, j] += np.int64(total)


def exp_of_small(x):
    """exp(x) for |x| <= log(2) / 2, to the rounding of its type."""
    raise NotImplementedError("only compiled code has it")


@overload(exp_of_small)
def _exp_of_small(x):
    c0, c1, c2, c3, c4, c5, c6 = EXP_SINGLE

    def single(x):
        p = np.float32(c5) + x * np.float32(c6)
        p = np.float32(c3) + x * (np.float32(c4) + x * p)
        return np.float32(c0) + x * (np.float32(c1) + x * (np.float32(c2) + x * p))

    d0, d1, d2, d3, d4, d5, d6, d7, d8, d9, d10, d11, d12 = EXP_DOUBLE

    def double(x):
        p = d8 + x * (d9 + x * (d10 + x * (d11 + x * d12)))
        p = d4 + x * (d5 + x * (d6 + x * (d7 + x * p)))
        return d0 + x * (d1 + x * (d2 + x * (d3 + x * p)))

    return single if x == types.float32 else double


def log_one_plus(x):
    """log(1 + x) for x between 0 and 1: within 1e-6 in single precision, within 1e-9 in double."""
    raise NotImplementedError("only compiled code has it")


@overload(log_one_plus)
def _log_one_plus(x):
    a0, a1, a2, a3, a4, a5, a6, a7 = (np.float32(value) for value in LOG_SINGLE)

    def single(x):
        p = (a4 + x * a5) + (x * x) * (a6 + x * a7)
        return x * ((a0 + x * a1) + (x * x) * ((a2 + x * a3) + (x * x) * p))

    b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10 = LOG_DOUBLE

    def double(x):
        p = b5 + x * (b6 + x * (b7 + x * (b8 + x * (b9 + x * b10))))
        return x * (b0 + x * (b1 + x * (b2 + x * (b3 + x * (b4 + x * p)))))

    return single if x == types.float32 else double


@njit(nogil=True, error_model="numpy", fastmath=FAST, inline="always")
def _respond_one(local, unit, magic, shortest):
    """Local field h, exp(-2 |h|), |tanh h| and sech^2(h) from a whole multiple of ``unit``."""
    kind = type(unit)
    one = kind(1.0)
    h = kind(local) * unit
    y = kind(-2.0) * abs(h)
    y = y if y > shortest else shortest
    # exp(y) = 2^n exp(r)
    moved = y * kind(LOG2_E) + magic
    n = moved - magic
    decay = exp_of_small((y - n * kind(LN2_HIGH)) - n * kind(LN2_LOW)) * shifted_exponent(moved)
    response = (one - decay) / (one + decay)
    return h, decay, response, one - response * response


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def respond(local, unit, share, step, magic, shortest, sums):
    """Replace local fields (rows, lanes), multiples of ``unit``, by share * tanh as multiples of 1 / step.

    ``sums`` (3, lanes) grow by share * sech^2(h), share * sech^2(h) h^2 and share * log(2 cosh h). ``magic`` is
    1.5 * 2^m + bias for the m bits of the mantissa of ``unit``, ``shortest`` the logarithm of the smallest exponential.
    The number of rows, that of ``share``, is a multiple of four; rows are processed in fours to reduce memory access.
    """
    kind = unit.dtype.type
    zero, half = kind(0.0), kind(0.5)
    for k in range(0, len(share), 4):
        w0, w1, w2, w3 = share[k], share[k + 1], share[k + 2], share[k + 3]
        for lane in range(local.shape[1]):
            h0, e0, t0, c0 = _respond_one(local[k, lane], unit[lane], magic, shortest)
            h1, e1, t1, c1 = _respond_one(local[k + 1, lane], unit[lane], magic, shortest)
            h2, e2, t2, c2 = _respond_one(local[k + 2, lane], unit[lane], magic, shortest)
            h3, e3, t3, c3 = _respond_one(local[k + 3, lane], unit[lane], magic, shortest)
            c0, c1, c2, c3 = w0 * c0, w1 * c1, w2 * c2, w3 * c3
            sums[0, lane] += (c0 + c1) + (c2 + c3)
            sums[1, lane] += (c0 * h0 * h0 + c1 * h1 * h1) + (c2 * h2 * h2 + c3 * h3 * h3)
            sums[2, lane] += (w0 * (abs(h0) + log_one_plus(e0)) + w1 * (abs(h1) + log_one_plus(e1))) + (
                w2 * (abs(h2) + log_one_plus(e2)) + w3 * (abs(h3) + log_one_plus(e3))
            )
            t0, t1, t2, t3 = w0 * step * t0 + half, w1 * step * t1 + half, w2 * step * t2 + half, w3 * step * t3 + half
            local[k, lane] = t0 if h0 >= zero else -t0
            local[k + 1, lane] = t1 if h1 >= zero else -t1
            local[k + 2, lane] = t2 if h2 >= zero else -t2
            local[k + 3, lane] = t3 if h3 >= zero else -t3


@njit(cache=True, nogil=True)
def sum_responses(
    row_words,
    column_words,
    share,
    signs,
    weights,
    fields,
    unit,
    magic,
    shortest,
    precision,
    scratch,
    totals,
    sums,
    margins,
):
    """Add up, over some rows and for all targets, share * tanh(h) s_j and the other averages of `Responses`.

    Targets come in tiles. ``weights`` (n_tiles, 64 n_words, lanes) and ``fields`` (n_tiles, lanes) are whole multiples
    of ``unit`` (n_tiles, lanes), small enough that no sum overflows. ``precision`` is the number by which responses are
    multiplied before they are rounded; the share of 192 rows at a time is taken relative to the largest. ``scratch``
    are a table, the local fields of a strip and the sums of a tile. ``totals`` (n_tiles, n_spins + 1, lanes) and
    ``sums`` (n_tiles, 3, lanes) grow in double precision. ``margins`` (n_tiles, lanes) are lowered to the smallest
    s_r h_r if ``signs`` (n_rows, n_tiles * lanes), the targets' own spins, has rows.
    """
    n_rows, n_words = row_words.shape
    n_columns = column_words.shape[1]
    tables, strip, gains = scratch
    lanes = strip.shape[1]
    part = np.zeros((3, lanes), dtype=unit.dtype)
    for tile in range(len(weights)):
        tile_weights, tile_fields, tile_unit = weights[tile], fields[tile], unit[tile]
        for start in range(0, n_rows, STRIP):
            stop = min(start + STRIP, n_rows)
            for k in range(stop - start):
                for lane in range(lanes):
                    strip[k, lane] = tile_fields[lane]
            for word in range(n_words):
                fill_tables(tile_weights, word * WORD, tables)
                for k in range(start, stop):
                    add_looked_up(tables, row_words[k, word], strip, k - start)
            if len(signs):
                lower_margins(strip, signs, start, stop, tile * lanes, tile_unit, margins[tile])
            for first in range(start, stop, FLUSH):
                last = min(first + FLUSH, stop)
                largest = share[first]
                for k in range(first, last):
                    largest = max(largest, share[k])
                if not largest > 0:
                    continue
                step = unit.dtype.type(precision / largest)
                here = strip[first - start :]
                part[:] = 0.0
                padded = -(-(last - first) // WORD) * WORD  # rows without a share
                respond(here, tile_unit, share[first : first + padded], step, magic, shortest, part)
                for i in range(3):
                    for lane in range(lanes):
                        sums[tile, i, lane] += part[i, lane]
                gains[:] = 0
                for k in range(0, padded, WORD):
                    fill_tables(here, k, tables)
                    block = column_words[(first + k) // WORD]
                    for j in range(n_columns):
                        add_looked_up(tables, block[j], gains, j)
                back = 1.0 / np.float64(step)
                for j in range(n_columns):
                    for lane in range(lanes):
                        totals[tile, j, lane] += back * np.float64(gains[j, lane])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan"})
def lower_margins(strip, signs, start, stop, first, unit, margins):
    """Lower ``margins`` (lanes,) to the smallest s_r h_r of a strip of rows."""
    kind = unit.dtype.type
    for k in range(start, stop):
        for lane in range(len(margins)):
            value = kind(strip[k - start, lane]) * unit[lane] * kind(signs[k, first + lane])
            margins[lane] = value if value < margins[lane] else margins[lane]
