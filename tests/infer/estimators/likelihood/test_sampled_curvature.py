"""The curvature of sampled states as a matrix, and by products with directions."""

import numpy as np
import pytest

from infer.estimators.likelihood.sampled_curvature import SampledCurvature, WeightedStates, solve
from infer.estimators.likelihood.terms import Penalty, Terms


@pytest.mark.parametrize("with_counts", [False, True])
@pytest.mark.parametrize("fit_fields", [False, True])
def test_matrix_and_products_are_the_same(fit_fields, with_counts):
    rng = np.random.default_rng(0)
    spins = np.where(rng.random((10_000, 6)) < 0.3, 1, -1).astype(np.int8)
    spins[:, 1] = np.where(rng.random(10_000) < 0.3, spins[:, 0], spins[:, 1])
    terms = Terms(6, fit_fields, with_counts)
    centre = spins.mean(axis=0) if fit_fields else np.zeros(6)
    states = WeightedStates(terms, spins, centre, rng.random(10_000))
    second = spins.T.astype(float) @ spins / len(spins)
    curvature = SampledCurvature(Penalty(terms, 0.01, 0.01), states, states.shares, centre, second, 0.01)
    right = rng.normal(size=terms.size)
    np.testing.assert_allclose(curvature.matrix() @ right, curvature.apply(right), atol=1e-5)
    direction = curvature.direction(right, 1e-6, 500)
    np.testing.assert_allclose(curvature.apply(direction), right, atol=1e-3)
    plain = solve(curvature.apply, curvature.precondition, right, 1e-6, 500)
    np.testing.assert_allclose(direction, plain, rtol=1e-3, atol=1e-3 * np.abs(plain).max())
