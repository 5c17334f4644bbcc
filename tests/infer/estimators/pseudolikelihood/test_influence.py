"""Influences of batches against plain Hessians of all rows, and their size against fits to independent samples."""

from functools import cache

import numpy as np
import pytest

from infer.estimators.pseudolikelihood import influence
from infer.estimators.pseudolikelihood.influence import batch_influence
from infer.estimators.pseudolikelihood.nodes import fit_nodes
from infer.estimators.rows import SpinRows
from infer.statistics.batches import batch_labels, batch_roots
from tests import exact


@cache
def glass(n_spins, n_rows, strength, field=0.2, seed=0):
    """Samples of a spin glass, one state of each of many chains."""
    rng = np.random.default_rng(seed)
    couplings = exact.random_couplings(n_spins, strength, rng)
    fields = rng.normal(0, field, n_spins)
    spins = rng.choice([-1.0, 1.0], size=(n_spins, n_rows))
    for _ in range(20):
        for i in range(n_spins):
            up = rng.random(n_rows) < 1 / (1 + np.exp(-2 * (couplings[i] @ spins + fields[i])))
            spins[i] = np.where(up, 1.0, -1.0)
    return np.ascontiguousarray(spins.T.astype(np.int8))


def plain_std(spins, couplings, fields, ridge, fit_fields, sign=None, share=None):
    """Standard errors with every node's Hessian of all rows, written out."""
    n_rows, n_spins = spins.shape
    share = np.full(n_rows, 1 / n_rows) if share is None else share
    labels = batch_labels(n_rows, None, 200 if sign is not None else None)
    design = np.column_stack([spins, np.ones(n_rows)])
    change = np.zeros((labels.max() + 1, n_spins, n_spins + 1))
    for node in range(n_spins):
        others = np.delete(np.arange(n_spins + fit_fields), node)
        response = np.tanh(spins @ couplings[node] + fields[node])
        residual = (response - spins[:, node]) * share * (1.0 if sign is None else sign)
        sums = [np.bincount(labels, weights=residual * column) for column in design[:, others].T]
        scaled = design[:, others] * ((1 - response**2) * share)[:, None]
        hessian = design[:, others].T @ scaled + ridge * np.diag((others < n_spins).astype(float))
        change[:, node, others] = np.linalg.solve(hessian, np.array(sums)).T
    if sign is None:
        change = batch_roots(change, np.bincount(labels) / n_rows)[0]
    change *= np.sqrt(n_rows / (n_rows - n_spins + 1))
    symmetric = (change[:, :, :-1] + change[:, :, :-1].transpose(0, 2, 1)) / 2
    return np.sqrt((symmetric**2).sum(axis=0)), np.sqrt((change[:, :, -1] ** 2).sum(axis=0))


@pytest.mark.parametrize("fit_fields", [False, True])
@pytest.mark.parametrize(("strength", "ridge"), [(0.6, 0.0), (0.9, 1e-4)])
def test_shared_metric_agrees_with_hessians_of_all_rows(strength, ridge, fit_fields):
    spins = glass(30, 6000, strength)
    rows, everyone = SpinRows(spins), np.arange(30)
    fit = fit_nodes(rows, ridge, fit_fields, 1e-6, 100)
    found = batch_influence(rows, fit.couplings, fit.fields, None, 6000.0, None, everyone, ridge, fit_fields)
    couplings, fields = plain_std(spins, fit.couplings, fit.fields, ridge, fit_fields)
    above = np.triu_indices(30, 1)
    ratio = found.std()[0][above] / couplings[above]
    assert np.sqrt(np.mean((ratio - 1) ** 2)) < 0.02
    # the correction is of first order: 6 % are left for one pair of strongly coupled spins among few
    assert np.abs(ratio - 1).max() < (0.05 if strength < 0.8 else 0.08)
    if fit_fields:
        np.testing.assert_allclose(found.std()[1], fields, rtol=0.05)
    assert np.all(np.diag(found.std()[0]) == 0)


def test_metric_and_correction_are_the_matrices_they_stand_for():
    """P^-1 and (P^-1 H P^-1)_jj / (P^-1)_jj against dense matrices of one node, all rows taken."""
    spins = glass(8, 4000, 0.9)
    rows = SpinRows(spins)
    fit = fit_nodes(rows, 0.0, True, 1e-8, 100)
    metric = influence._shared_metric(rows, fit.couplings, fit.fields, 0.0, True)
    design = np.column_stack([spins, np.ones(4000)])
    moments = design.T @ design / 4000
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(3, 8, 9)).astype(np.float32)
    given = gradients.copy()
    metric.apply(gradients, np.array([5]))
    np.testing.assert_array_equal(gradients[:, 5], given[:, 5])
    for node in (0, 7):
        others = np.delete(np.arange(9), node)
        position = np.append(fit.couplings[node], fit.fields[node])
        local = design @ position
        sech2 = 1 / np.cosh(local) ** 2
        along = moments @ position
        spread = position @ along
        bend = ((sech2 * local**2).mean() - sech2.mean() * spread) / spread**2
        matrix = (sech2.mean() * moments + bend * np.outer(along, along))[np.ix_(others, others)]
        inverse = np.linalg.inv(matrix)
        hessian = (design * sech2[:, None]).T @ design / 4000
        ratio = np.diag(inverse @ hessian[np.ix_(others, others)] @ inverse) / np.diag(inverse)
        np.testing.assert_allclose(metric.ratio[node, others], ratio, rtol=1e-3)
        expected = given[:, node, others] @ inverse / ratio
        np.testing.assert_allclose(gradients[:, node, others], expected, rtol=2e-3, atol=2e-3)
        assert np.all(gradients[:, node, node] == 0)


def test_nodes_far_from_the_metric_have_hessians_of_their_own():
    """Samples around three patterns: the shared metric alone would be off by more than a tenth."""
    rng = np.random.default_rng(3)
    patterns = rng.choice([-1, 1], size=(3, 20))
    spins = (patterns[rng.integers(0, 3, 3000)] * np.where(rng.random((3000, 20)) < 0.1, -1, 1)).astype(np.int8)
    rows = SpinRows(spins)
    fit = fit_nodes(rows, 0.003, False, 1e-6, 500)
    assert len(influence._shared_metric(rows, fit.couplings, fit.fields, 0.003, False).poor()) > 0
    found = batch_influence(rows, fit.couplings, fit.fields, None, 3000.0, None, np.arange(20), 0.003, False)
    couplings, _ = plain_std(spins, fit.couplings, fit.fields, 0.003, False)
    above = np.triu_indices(20, 1)
    np.testing.assert_allclose(found.std()[0][above], couplings[above], rtol=0.05)


def test_rows_with_counts():
    spins = glass(20, 5000, 0.6)
    counts = np.random.default_rng(4).integers(1, 4, 5000).astype(float)
    rows = SpinRows(spins, counts)
    fit = fit_nodes(rows, 0.0, True, 1e-6, 100)
    found = batch_influence(rows, fit.couplings, fit.fields, counts, counts.sum(), None, np.arange(20), 0.0, True)
    sign = np.random.default_rng(0).choice([-1.0, 1.0], size=5000) / np.sqrt(counts)
    couplings, fields = plain_std(spins, fit.couplings, fit.fields, 0.0, True, sign, counts / counts.sum())
    above = np.triu_indices(20, 1)
    np.testing.assert_allclose(found.std()[0][above], couplings[above], rtol=0.03)
    np.testing.assert_allclose(found.std()[1], fields, rtol=0.03)


@pytest.mark.parametrize("ridge", [0.0, 0.01])
def test_singular_moments_and_ridges_go_by_hessians(ridge):
    """Two equal spins leave no inverse of the second moments: with a ridge there are errors, without one none."""
    spins = glass(6, 1000, 0.6).copy()
    spins[:, 1] = spins[:, 0]
    rows = SpinRows(spins)
    fit = fit_nodes(rows, 0.01, False, 1e-6, 100)
    assert influence._shared_metric(rows, fit.couplings, fit.fields, 0.0, False) is None
    found = batch_influence(rows, fit.couplings, fit.fields, None, 1000.0, None, np.arange(6), ridge, False)
    if ridge:
        couplings, _ = plain_std(spins, fit.couplings, fit.fields, ridge, False)
        above = np.triu_indices(6, 1)
        np.testing.assert_allclose(found.std()[0][above], couplings[above], rtol=0.02)


def test_open_directions_leave_parameters_undetermined():
    """Two equal spins: what tells them apart is open, and the others are solved for as with one of them left out."""
    rng = np.random.default_rng(0)
    spins, right = rng.normal(size=(6, 20)), rng.normal(size=(6, 3))
    matrix = spins @ spins.T
    np.testing.assert_allclose(influence.solve_determined(matrix, right), np.linalg.solve(matrix, right), rtol=1e-9)
    np.testing.assert_allclose(influence.positive_inverse(matrix), np.linalg.inv(matrix), rtol=1e-9)
    spins[3], right[3] = spins[1], right[1]
    matrix, others = spins @ spins.T, [0, 2, 4, 5]
    found = influence.solve_determined(matrix, right)
    assert np.isnan(found[[1, 3]]).all()
    kept = [0, 1, 2, 4, 5]
    expected = np.linalg.solve(matrix[np.ix_(kept, kept)], right[kept])
    np.testing.assert_allclose(found[others], expected[[0, 2, 3, 4]], rtol=1e-9)
    assert influence.positive_inverse(-matrix) is None


def test_one_batch_does_not_scatter():
    spins = glass(4, 2, 0.5)
    found = batch_influence(SpinRows(spins), np.zeros((4, 4)), np.zeros(4), None, 2.0, None, np.arange(4), 0.1, False)
    assert np.isnan(found.std()[0][np.triu_indices(4, 1)]).all()


@pytest.mark.validation
def test_errors_of_many_parameters_are_those_of_independent_fits():
    """N / M = 0.05: the mean of the standard errors over couplings within 2 % of the scatter of 60 fits."""
    rng = np.random.default_rng(1)
    couplings = exact.random_couplings(40, 0.6, np.random.default_rng(0))
    fits, errors = [], []
    for _ in range(60):
        spins = rng.choice([-1.0, 1.0], size=(40, 800))
        for _ in range(20):
            for i in range(40):
                spins[i] = np.where(rng.random(800) < 1 / (1 + np.exp(-2 * couplings[i] @ spins)), 1.0, -1.0)
        rows = SpinRows(np.ascontiguousarray(spins.T.astype(np.int8)))
        fit = fit_nodes(rows, 0.0, False, 1e-6, 100)
        found = batch_influence(rows, fit.couplings, fit.fields, None, 800.0, None, np.arange(40), 0.0, False)
        fits.append((fit.couplings + fit.couplings.T)[np.triu_indices(40, 1)] / 2)
        errors.append(found.std()[0][np.triu_indices(40, 1)] ** 2)
    # 60 fits of 780 couplings know the mean variance to 0.7 %
    ratio = np.sqrt(np.mean(errors) / np.mean(np.var(fits, axis=0, ddof=1)))
    assert ratio == pytest.approx(1.0, abs=0.02), ratio
