"""Vector instructions against their plain twins."""

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from simulate.vector_intrinsics import LANES, add_scaled, dot, fill_words
from tests.simulate.dynamics.test_spins import plain_bits


@njit
def dot_of_rows(left, row, right, other):
    return dot(left, row * left.shape[1], right, other * right.shape[1], left.shape[1])


@njit
def add_row(target, row, factor, source, other):
    add_scaled(target, row * target.shape[1], factor, source, other * source.shape[1], source.shape[1])


@njit
def words_of(state, chain, out):
    fill_words(state, chain * 4 * LANES, out, 2, 5)


@pytest.mark.parametrize("columns", [16, 64, 240])
def test_sums_over_rows(columns):
    rng = np.random.default_rng(columns)
    # whole numbers, of which single precision makes no error
    left, right = (rng.integers(-50, 50, size=(3, columns)).astype(np.float32) for _ in range(2))
    assert dot_of_rows(left, 1, right, 2) == left[1] @ right[2]
    expected = left.copy()
    expected[2] += np.float32(-2.0) * right[0]
    add_row(left, 2, np.float32(-2.0), right, 0)
    np.testing.assert_array_equal(left, expected)


def test_order_of_additions():
    """Lane k adds every sixteenth product; then the upper half of the lanes is added to the lower half."""
    values = np.random.default_rng(1).normal(size=(2, 1, 48)).astype(np.float32)
    lanes = np.zeros(16, dtype=np.float64)
    for row in (values[0] * values[1].astype(np.float64)).reshape(3, 16):
        lanes = (lanes + row).astype(np.float32).astype(np.float64)  # fused: rounded once
    lanes = lanes.astype(np.float32)
    while len(lanes) > 1:
        lanes = lanes[: len(lanes) // 2] + lanes[len(lanes) // 2 :]
    # a processor without fused operations rounds the products too
    assert dot_of_rows(values[0], 0, values[1], 0) == pytest.approx(lanes[0], rel=1e-6)


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
        dot_of_rows(values[:, ::2], 0, values, 0)
