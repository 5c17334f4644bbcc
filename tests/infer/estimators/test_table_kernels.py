"""Products by table look-up against plain ones: words, tables, responses, moments."""

import numpy as np
import pytest
from numba import njit

from infer.estimators.packed import DOUBLE, SINGLE, PackedSpins, Tiles, aligned
from infer.estimators.table_intrinsics import (
    TILE_BYTES,
    add_looked_up,
    count_bits,
    fill_tables,
    shifted_exponent,
)
from infer.estimators.table_kernels import exp_of_small, log_one_plus, respond

PRECISIONS = pytest.mark.parametrize("precision", [SINGLE, DOUBLE], ids=["single", "double"])


def random_spins(n_rows, n_spins, seed=0):
    return np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.int8), size=(n_rows, n_spins))


@njit
def look_up(terms, word, sums, place):
    tables = np.zeros((256, terms.shape[1]), dtype=terms.dtype)
    fill_tables(terms, 3, tables)
    add_looked_up(tables, word, sums, place)
    return tables


@pytest.mark.slow
@PRECISIONS
def test_tables_hold_all_signed_sums_and_a_word_picks_among_them(precision):
    lanes = TILE_BYTES // np.dtype(precision.whole).itemsize
    rng = np.random.default_rng(0)
    terms = rng.integers(-(2**20), 2**20, size=(70, lanes)).astype(precision.whole)
    sums = rng.integers(-5, 5, size=(3, lanes)).astype(precision.whole)
    before = sums.copy()
    word = rng.integers(0, 2**63, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    signs = np.array([1 if int(word) >> k & 1 else -1 for k in range(64)])
    tables = look_up(terms, word, sums, 1)
    for nibble in (0, 7, 15):
        four = terms[3 + 4 * nibble : 7 + 4 * nibble].astype(int)
        for pick in range(16):
            expected = sum((1 if pick >> k & 1 else -1) * four[k] for k in range(4))
            np.testing.assert_array_equal(tables[16 * nibble + pick], expected)
    np.testing.assert_array_equal(sums[1], before[1] + signs @ terms[3:67].astype(int))
    np.testing.assert_array_equal(sums[[0, 2]], before[[0, 2]])


@njit
def powers_of_two(values, magic):
    return np.array([shifted_exponent(value + magic) for value in values])


@njit
def bits(words):
    return np.array([count_bits(word) for word in words])


def test_small_instructions():
    n = np.arange(-100, 100)
    for precision in (SINGLE, DOUBLE):
        found = powers_of_two(n.astype(precision.real), precision.real(precision.magic))
        assert found.dtype == precision.real
        np.testing.assert_array_equal(found, 2.0**n)
    words = np.array([0, 1, 2**64 - 1, 0xF0F0], dtype=np.uint64)
    np.testing.assert_array_equal(bits(words), [0, 1, 64, 8])


@njit
def elementary(small, between):
    return np.array([exp_of_small(x) for x in small]), np.array([log_one_plus(x) for x in between])


@PRECISIONS
def test_elementary_functions(precision):
    small = np.linspace(-0.3465, 0.3465, 1001).astype(precision.real)
    between = np.linspace(0, 1, 1001).astype(precision.real)
    found = elementary(small, between)
    exact = np.exp(small.astype(float)), np.log1p(between.astype(float))
    rounding = np.finfo(precision.real).eps
    np.testing.assert_allclose(found[0], exact[0], rtol=2 * rounding)
    np.testing.assert_allclose(found[1], exact[1], atol=5e-7 if precision is SINGLE else 1e-9)


@PRECISIONS
def test_responses_agree_with_plain_ones(precision):
    accuracy = 2e-7 if precision is SINGLE else 1e-13
    lanes = TILE_BYTES // np.dtype(precision.whole).itemsize
    rng = np.random.default_rng(0)
    h = rng.normal(0, 4, (500, lanes))
    h[0, 0], h[1, 1], h[2, 2] = 0.0, 60.0, -60.0
    share = rng.uniform(0, 1, 500).astype(precision.real)
    unit = (np.abs(h).max(axis=0) / precision.reach).astype(precision.real)
    local = aligned(h.shape, precision.whole)
    local[:] = np.rint(h / unit.astype(float))
    sums = np.zeros((3, lanes), dtype=precision.real)
    real = precision.real
    respond(local, unit, share, real(precision.response), real(precision.magic), real(precision.shortest), sums)
    sech2 = 1 / np.cosh(h) ** 2
    total = share.sum(dtype=float)
    np.testing.assert_allclose(local / precision.response, share[:, None] * np.tanh(h), atol=accuracy)
    np.testing.assert_allclose(sums[0] / total, share @ sech2 / total, atol=10 * accuracy)
    np.testing.assert_allclose(sums[1] / total, share @ (sech2 * h**2) / total, atol=10 * accuracy)
    loss = share @ np.logaddexp(h, -h) / total
    np.testing.assert_allclose(sums[2] / total, loss, rtol=2e-6 if precision is SINGLE else 1e-9)


@pytest.mark.parametrize("n_spins", [1, 63, 64, 65, 130])
@pytest.mark.parametrize("n_rows", [1, 64, 131])
def test_words_and_moments_are_exact(n_rows, n_spins):
    spins = random_spins(n_rows, n_spins)
    packed = PackedSpins.of(spins)
    for spin in (0, n_spins // 2, n_spins - 1):
        for row in (0, n_rows // 2, n_rows - 1):
            up = spins[row, spin] > 0
            assert bool(int(packed.by_row[row, spin // 64]) >> spin % 64 & 1) == up
            assert bool(int(packed.by_spin[row // 64, spin]) >> row % 64 & 1) == up
    mean, second = packed.moments()
    np.testing.assert_array_equal(mean, spins.sum(axis=0, dtype=int))
    np.testing.assert_array_equal(second, spins.T.astype(int) @ spins)


@PRECISIONS
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n_rows", "n_spins", "n_targets"), [(1, 2, 1), (200, 70, 33), (1700, 20, 20)])
def test_passes_agree_with_matrix_products(precision, weighted, n_rows, n_spins, n_targets):
    accuracy = 1e-6 if precision is SINGLE else 1e-12
    rng = np.random.default_rng(1)
    spins = random_spins(n_rows, n_spins, 2)
    share = rng.gamma(0.2, size=n_rows) if weighted else np.ones(n_rows)
    J, b = rng.normal(0, 0.5, (n_targets, n_spins)), rng.normal(0, 0.5, n_targets)
    J[0] = 0.0
    tiles = Tiles(J, b, precision.real)
    totals, sums, margins = tiles.responses(PackedSpins.of(spins), share, spins[:, :n_targets])
    h = spins @ J.T + b
    response = share[:, None] * np.tanh(h)
    scale = share.sum()
    products = tiles.flat(totals) / scale
    np.testing.assert_allclose(products[:, :-1], response.T @ spins / scale, atol=accuracy)
    np.testing.assert_allclose(products[:, -1], response.sum(axis=0) / scale, atol=accuracy)
    np.testing.assert_allclose(tiles.flat(sums)[:, 0], share @ np.cosh(h) ** -2.0, rtol=10 * accuracy)
    np.testing.assert_allclose(tiles.flat(margins), (h * spins[:, :n_targets]).min(axis=0), atol=20 * accuracy)
    none = tiles.responses(PackedSpins.of(spins), share, None)[2]
    assert np.all(np.isinf(none))


def test_sums_do_not_depend_on_the_order_of_the_rows():
    spins = random_spins(1000, 20)
    tiles = Tiles(np.random.default_rng(1).normal(0, 0.3, (20, 20)), np.zeros(20), np.float32)
    found = [
        tiles.responses(PackedSpins.of(np.ascontiguousarray(rows)), np.ones(1000), None)[0]
        for rows in (spins, spins[::-1])
    ]
    np.testing.assert_array_equal(*found)


def test_the_largest_sums_do_not_overflow():
    """All rows equal, responses of one and one coupling that is as large as all others together."""
    spins = np.ones((1000, 5), dtype=np.int8)
    couplings = np.array([[0.0, 40.0, 20.0, 10.0, 10.0], [0.0, 80.0, 0.0, 0.0, 0.0]])
    for dtype in (np.float32, np.float64):
        tiles = Tiles(couplings, np.array([5.0, 0.0]), dtype)
        totals, sums, _ = tiles.responses(PackedSpins.of(spins), np.ones(1000), None)
        np.testing.assert_allclose(tiles.flat(totals), 1000.0, rtol=1e-7)
        np.testing.assert_allclose(tiles.flat(sums)[:, 2], [85_000.0, 80_000.0], rtol=1e-6)
