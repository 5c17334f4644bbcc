"""Similarity along the path of unlearning."""

import json

import numpy as np
import pytest

from infer.similarity.metrics import similarity_metrics
from infer.similarity.unlearning import compare_unlearning
from simulate.couplings import dreaming, hebbian
from simulate.memory.unlearning import unlearn

PATTERNS = np.random.default_rng(0).choice([-1, 1], size=(12, 60)).astype(np.int8)


def symmetric_noise(n, scale, rng):
    noise = np.triu(rng.normal(0.0, scale, size=(n, 60, 60)), 1)
    return noise + noise.transpose(0, 2, 1)


def test_unlearned_couplings_find_their_dream_count():
    # other dreams of the same number: the two paths differ by the dreams' own noise, here about 5 % of the count
    unlearned = unlearn(hebbian(PATTERNS), 600, 0.01, seed=9)
    found = compare_unlearning(0.3 * unlearned, PATTERNS)
    assert found.best_dreams == pytest.approx(600, rel=0.2)
    assert found.at_best["cosine"] > 0.98 > found.at_hebbian["cosine"]
    assert found.passed_peak
    assert found.best_dreams_interval is None
    assert "dreams of strength 0.01" in found.verdict


def test_the_path_is_that_of_unlearn_and_its_metrics_the_plain_ones():
    A = dreaming(PATTERNS, 1.0)
    found = compare_unlearning(A, PATTERNS, dreams_per_point=50, seed=3)
    np.testing.assert_array_equal(found.dreams, 50 * np.arange(len(found.dreams)))
    rng = np.random.default_rng(np.random.SeedSequence(3).spawn(2)[0])
    point = hebbian(PATTERNS)
    for k in range(4):
        for name, value in similarity_metrics(A, point).items():
            assert found.profile[name][k] == pytest.approx(value, rel=1e-9)
        point = unlearn(point, 50, 0.01, seed=rng)
    assert found.to_dict() == compare_unlearning(A, PATTERNS, dreams_per_point=50, seed=3).to_dict()


def test_hebbian_couplings_need_no_dreams():
    rng = np.random.default_rng(0)
    A = hebbian(PATTERNS) + symmetric_noise(1, 0.01, rng)[0]
    found = compare_unlearning(A, PATTERNS, replicates=A + symmetric_noise(100, 0.01, rng))
    assert found.best_dreams == 0.0
    low, high = found.best_dreams_interval
    assert low == 0.0 < high < 100.0
    assert "no more similar" in found.verdict
    json.dumps(found.to_dict(), allow_nan=False)


def test_replicates_give_an_interval_around_the_best():
    rng = np.random.default_rng(1)
    A = dreaming(PATTERNS, 1.0) + symmetric_noise(1, 0.01, rng)[0]
    found = compare_unlearning(A, PATTERNS, replicates=A + symmetric_noise(200, 0.01, rng))
    low, high = found.best_dreams_interval
    assert 0 < low < found.best_dreams < high
    assert "95 % interval" in found.verdict
    wide = compare_unlearning(A, PATTERNS, replicates=A + symmetric_noise(200, 0.03, rng)).best_dreams_interval
    assert wide[1] - wide[0] > high - low


def test_a_path_that_ends_before_its_peak_says_so():
    found = compare_unlearning(dreaming(PATTERNS, 5.0), PATTERNS, dreams_per_point=10, max_points=4)
    assert not found.passed_peak
    assert "allow more points" in found.verdict


def test_bad_input_is_named():
    A = hebbian(PATTERNS)
    with pytest.raises(ValueError, match="59 spins do not fit"):
        compare_unlearning(A, PATTERNS[:, :59])
    with pytest.raises(ValueError, match="max_points"):
        compare_unlearning(A, PATTERNS, max_points=2)
    with pytest.raises(ValueError, match="confidence"):
        compare_unlearning(A, PATTERNS, confidence=95)
    with pytest.raises(ValueError, match="epsilon"):
        compare_unlearning(A, PATTERNS, epsilon=0.0)
    with pytest.raises(ValueError, match="at least 20 are needed"):
        compare_unlearning(A, PATTERNS, replicates=np.zeros((2, 60, 60)))
