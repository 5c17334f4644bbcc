"""Vector instructions against their plain twins."""

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from simulate.vector_intrinsics import (
    LANES,
    add_rows,
    fill_words,
    logistic,
    update_eight,
    update_four,
    update_one,
)
from tests.simulate.dynamics.test_spins import plain_bits, plain_threshold


@njit
def add_three(target, row, source, rows, factors):
    add_rows(target, row * target.shape[1], source, (rows[0], rows[1], rows[2]), (factors[0], factors[1], factors[2]))


@njit
def words_of(state, chain, out):
    fill_words(state, chain * 4 * LANES, out, 2, 5)


@njit
def updates(sites, thresholds, left, right, overlaps, spins, own, scale, metropolis, together):
    for k in range(sites.shape[1]):
        if together == 8:
            update_eight(sites, thresholds, k, 1, left, right, overlaps, spins, own, scale, metropolis)
        elif together == 4:
            for chain in (1, 5):
                update_four(sites, thresholds, k, chain, left, right, overlaps, spins, own, scale, metropolis)
        else:
            for chain in range(1, 9):
                update_one(sites, thresholds, k, chain, left, right, overlaps, spins, own, scale, metropolis)


@pytest.mark.parametrize(("dtype", "columns"), [(np.float32, 16), (np.float32, 240), (np.int16, 64), (np.int16, 320)])
def test_sums_over_rows(dtype, columns):
    rng = np.random.default_rng(columns)
    # whole numbers, of which single precision makes no error
    target = rng.integers(-50, 50, size=(4, columns)).astype(dtype)
    source = rng.integers(-127, 128, size=(5, columns)).astype(np.int8 if dtype == np.int16 else np.float32)
    rows, factors = np.array([4, 0, 4]), np.array([-2.0, 2.0, -2.0], dtype=np.float32)
    expected = target.copy()
    expected[2] += (factors @ source[rows].astype(float)).astype(dtype)
    add_three(target, 2, source, rows, factors)
    np.testing.assert_array_equal(target, expected)


def plain_updates(sites, thresholds, left, right, overlaps, spins, own, scale, metropolis):
    """The twin of `update_one` for chains 1 to 8, in double precision."""
    overlaps, spins = overlaps.astype(float), spins.astype(float)
    for chain, k in np.ndindex(9, sites.shape[1]):
        if chain == 0:
            continue
        site = sites[chain, k]
        old = spins[chain, site]
        field = left[site].astype(float) @ overlaps[chain] - own[site % len(own)] * old
        field += scale * thresholds[chain, k] * (-old if metropolis else 1.0)
        spins[chain, site] = 1 if field >= 0 else -1
        overlaps[chain] += (spins[chain, site] - old) * right[site].astype(float)
    return overlaps, spins


@pytest.mark.parametrize("metropolis", [False, True])
@pytest.mark.parametrize(("dtype", "columns"), [(np.float32, 16), (np.float32, 80), (np.int16, 32), (np.int16, 96)])
def test_updates_of_one_four_and_eight_chains(dtype, columns, metropolis):
    rng = np.random.default_rng(columns)
    n_spins, short = 30, dtype == np.int16
    left = rng.choice([-1, 1], size=(n_spins, columns)).astype(dtype)
    right = left if short else rng.normal(size=(n_spins, columns)).astype(dtype)
    start = rng.choice([-1, 1], size=(10, n_spins)).astype(np.int8)
    sites = rng.integers(0, n_spins, size=(10, 200)).astype(np.int32)
    thresholds = rng.logistic(scale=5.0, size=(10, 200)).astype(np.float32)
    own = np.array([columns] if short else rng.normal(size=n_spins), dtype=np.float32)
    found = []
    for together in (1, 4, 8):
        overlaps, spins = (start.astype(float) @ right).astype(dtype), start.copy()
        updates(sites, thresholds, left, right, overlaps, spins, own, np.float32(1.5), metropolis, together)
        found.append((overlaps, spins))
    for overlaps, spins in found[1:]:  # to the last bit
        np.testing.assert_array_equal(overlaps, found[0][0])
        np.testing.assert_array_equal(spins, found[0][1])
    overlaps, spins = plain_updates(
        sites, thresholds, left, right, (start.astype(float) @ right).astype(dtype), start, own, 1.5, metropolis
    )
    np.testing.assert_array_equal(found[0][1], spins)
    np.testing.assert_allclose(found[0][0], overlaps, rtol=0 if short else 1e-5, atol=0 if short else 1e-4)
    np.testing.assert_array_equal(found[0][1][[0, 9]], start[[0, 9]])


def test_whole_numbers_come_back_from_beyond_their_range():
    """Sums on the way pass 2^15 while the field itself does not."""
    left = np.ones((2, 32), dtype=np.int16)
    overlaps = np.array([[30_000] * 16 + [-30_000] * 15 + [-29_990]], dtype=np.int16)
    spins, own = np.array([[1, 1]], dtype=np.int8), np.zeros(1, dtype=np.float32)
    one_update(np.zeros((1, 1), dtype=np.int32), np.array([[-9.5]], dtype=np.float32), left, overlaps, spins, own)
    assert spins[0, 0] == 1  # 10 - 9.5
    one_update(np.zeros((1, 1), dtype=np.int32), np.array([[-10.5]], dtype=np.float32), left, overlaps, spins, own)
    assert spins[0, 0] == -1
    assert overlaps[0, 0] == 29_998


@njit
def one_update(sites, thresholds, left, overlaps, spins, own):
    update_one(sites, thresholds, 0, 0, left, left, overlaps, spins, own, np.float32(1.0), False)


@njit
def thresholds_of(words, scale, out):
    logistic(words, scale, out, len(out) // LANES)


def test_logistic_thresholds_of_words():
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**32, size=(1, 4096), dtype=np.uint32)
    words[0, :6] = [0, 1, 2, 3, 2**32 - 1, 2**32 - 2]  # the tails and the middle
    out = np.empty(4096, dtype=np.float32)
    thresholds_of(words, np.float32(1.5), out)
    expected = [1.5 * plain_threshold(int(word)) for word in words[0]]
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=3e-7)  # float32


def test_words_are_sixteen_generators_side_by_side_and_the_state_moves_on():
    state = np.random.default_rng(0).integers(1, 2**32, size=(3, 4, LANES), dtype=np.uint32)
    before, out = state.copy(), np.zeros((3, 6 * LANES), dtype=np.uint32)
    twins = [plain_bits(state[1, :, lane].tolist()) for lane in range(LANES)]
    for _ in range(2):
        words_of(state, 1, out)
        expected = np.array([[next(twin) for twin in twins] for _ in range(10)]).reshape(5, 2, LANES)
        np.testing.assert_array_equal(out[:2, : 5 * LANES], expected.transpose(1, 0, 2).reshape(2, -1))
        np.testing.assert_array_equal(out[2], 0)
        np.testing.assert_array_equal(out[:, 5 * LANES :], 0)
    np.testing.assert_array_equal(state[[0, 2]], before[[0, 2]])


def test_arrays_with_gaps_are_refused():
    values = np.ones((3, 32), dtype=np.float32)
    with pytest.raises(TypingError, match="contiguous"):
        add_three(values[:, ::2], 0, values, (0, 1, 2), (np.float32(1.0), np.float32(1.0), np.float32(1.0)))
