"""The parts of the pseudo-likelihood solver against plain twins, and its behaviour where a plain iteration fails."""

import tracemalloc

import numpy as np
import pytest

from infer.estimators import rows as _products
from infer.estimators.pseudolikelihood.nodes import NodeSolver, _gaussian_scale, _Metric, fit_nodes
from infer.estimators.rows import SpinRows
from tests import exact


def random_rows(n_samples=300, n_spins=6, seed=0):
    rng = np.random.default_rng(seed)
    spins = exact.draw(exact.random_couplings(n_spins, 0.8, rng), n_samples, rng.normal(0, 0.3, n_spins), seed=rng)
    return spins, rng.uniform(0.1, 2.0, n_samples), rng


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("chunk_rows", [64, 4096])
def test_products_over_chunks_agree_with_plain_ones(weighted, chunk_rows, monkeypatch):
    monkeypatch.setattr(_products, "CHUNK_ROWS", chunk_rows)
    monkeypatch.setattr(_products, "PACKED_ROWS", chunk_rows)
    spins, weight, rng = random_rows()
    columns = np.array([0, 2, 3, 5])
    share = weight / weight.sum() if weighted else np.full(len(spins), 1 / len(spins))
    rows = SpinRows(spins, weight if weighted else None, columns)
    S = spins[:, columns].astype(float)
    mean, second = rows.second_moments()
    np.testing.assert_allclose(mean, share @ S, atol=1e-12)
    np.testing.assert_allclose(second, (S * share[:, None]).T @ S, atol=1e-12)
    W, b, targets = rng.normal(0, 0.5, (2, 4)), rng.normal(0, 0.5, 2), np.array([1, 3])
    H = S @ W.T + b
    for dtype, accuracy in ((np.float32, 1e-6), (np.float64, 1e-10)):
        found = rows.responses(W, b, dtype, targets)
        np.testing.assert_allclose(found.products, (np.tanh(H) * share[:, None]).T @ S, atol=accuracy)
        np.testing.assert_allclose(found.means, share @ np.tanh(H), atol=accuracy)
        np.testing.assert_allclose(found.curvature, share @ np.cosh(H) ** -2.0, atol=accuracy)
        np.testing.assert_allclose(found.margins, (H * S[:, targets]).min(axis=0), atol=100 * accuracy)


def test_batch_gradients_add_up_to_the_gradient(monkeypatch):
    monkeypatch.setattr(_products, "CHUNK_ROWS", 50)
    spins, weight, rng = random_rows()
    W, b = rng.normal(0, 0.3, (6, 6)), rng.normal(0, 0.3, 6)
    labels = np.sort(rng.integers(0, 5, len(spins)))
    batches = SpinRows(spins, weight).batch_gradients(W, b, labels)
    share = weight / weight.sum()
    residual = (np.tanh(spins @ W.T + b) - spins) * share[:, None]
    design = np.column_stack([spins, np.ones(len(spins))])
    assert len(batches) == 5
    np.testing.assert_allclose(batches.sum(axis=0), residual.T @ design, atol=1e-6)
    np.testing.assert_allclose(batches[2], residual[labels == 2].T @ design[labels == 2], atol=1e-6)


def test_hessians_agree_with_plain_ones():
    spins, weight, rng = random_rows()
    W, b = rng.normal(0, 0.3, (6, 6)), rng.normal(0, 0.3, 6)
    design = np.column_stack([spins, np.ones(len(spins))])
    share = weight / weight.sum()
    for node, hessian, used in SpinRows(spins, weight).hessians(W, b, most_rows=1000):
        curvature = share / np.cosh(spins @ W[node] + b[node]) ** 2
        np.testing.assert_allclose(hessian, (design * curvature[:, None]).T @ design, atol=1e-6)
        assert used is None


@pytest.mark.parametrize("fit_fields", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.2])
def test_metric_is_the_inverse_of_the_hessian_it_stands_for(fit_fields, alpha):
    """The downdated, bordered, rank-one-corrected inverse against a dense inverse of the same matrix."""
    spins, _, rng = random_rows()
    mean, second = SpinRows(spins).second_moments()
    metric = _Metric(mean, second, alpha, fit_fields)
    nodes = np.array([0, 4, 5])
    position = rng.normal(0, 0.3, (3, 7)) * np.append(np.ones(6), float(fit_fields))
    position[np.arange(3), nodes] = 0.0
    scale, stretch = rng.uniform(0.4, 0.9, 3), rng.uniform(0.05, 0.2, 3)
    gradient = rng.normal(size=(3, 7)) * np.append(np.ones(6), float(fit_fields))
    found = metric.solve(gradient, position, scale, stretch, nodes)
    moments = np.block([[second, mean[:, None]], [mean[None], np.ones((1, 1))]])
    for k, r in enumerate(nodes):
        kept = [j for j in range(7 if fit_fields else 6) if j != r]
        along = (moments @ position[k])[kept]
        spread = position[k, kept] @ along
        bend = (stretch[k] - scale[k] * spread) / spread**2
        matrix = scale[k] * moments[np.ix_(kept, kept)] + bend * np.outer(along, along)
        matrix += np.diag([alpha if j < 6 else 0.0 for j in kept])
        np.testing.assert_allclose(found[k, kept], np.linalg.solve(matrix, gradient[k, kept]), atol=1e-10)
        assert found[k, r] == 0


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_first_step_follows_steins_lemma(alpha):
    """Linear regression on one Gaussian h, ridge included: tanh(k w h) must meet its moment less the penalty's pull."""
    rng = np.random.default_rng(1)
    normal = rng.normal(size=400_000)
    for variance in (0.01, 0.2, 0.35):  # the mean has a standard error below 0.003
        w = np.sqrt(variance)
        k = _gaussian_scale(np.array([variance]), np.array([alpha * w**2]))[0]
        pull = np.mean(np.tanh(k * w * normal) * normal) * w + k * alpha * w**2
        assert pull / (variance + alpha * w**2) == pytest.approx(1.0, abs=0.01)
        assert k > 1.0


def test_convergence_is_fast_where_local_fields_are_gaussian():
    """A spin glass at high temperature takes a handful of passes, an eighth of what plain conjugate gradients take."""
    rng = np.random.default_rng(2)
    J = exact.random_couplings(30, 0.5, rng)
    spins = rng.choice([-1.0, 1.0], size=(20_000, 30))
    for _ in range(15):
        for i in range(30):
            spins[:, i] = np.where(rng.random(len(spins)) < 1 / (1 + np.exp(-2 * spins @ J[i])), 1.0, -1.0)
    fit = fit_nodes(SpinRows(spins.astype(np.int8)), 0.0, False, 1e-6, 100)
    assert fit.largest_gradient.max() <= 1e-6
    assert fit.n_iter <= 6


def test_steps_that_overshoot_are_not_taken():
    """Samples in a few clusters: steps from the mean curvature overshoot, and the loss must fall all the same."""
    rng = np.random.default_rng(3)
    patterns = rng.choice([-1, 1], size=(3, 20))
    spins = patterns[rng.integers(0, 3, 3000)] * np.where(rng.random((3000, 20)) < 0.03, -1, 1)
    solver = NodeSolver(SpinRows(spins.astype(np.int8)), 0.0, False)
    losses, rejected = [], 0
    judge = solver._judge

    def watch(nodes, found):
        nonlocal rejected
        accepted = judge(nodes, found)
        rejected += int((~accepted).sum())
        before, after = solver.points.loss[nodes[accepted]], found.loss[accepted]
        losses.append(float((after - before).max(initial=-np.inf)))
        return accepted

    solver._judge = watch
    fit = solver.run(1e-6, 300)
    assert rejected > 0
    assert max(losses) < 2e-4
    assert np.all(fit.separable | (fit.largest_gradient <= 1e-6))


def test_tight_tolerance_is_reached_in_double_precision():
    spins, weight, _ = random_rows(2000)
    fit = fit_nodes(SpinRows(spins, weight), 0.0, True, 1e-12, 100)
    assert fit.largest_gradient.max() <= 1e-12


def test_memory_does_not_grow_with_the_samples():
    """Beyond the samples themselves a fit allocates the same for ten times as many rows."""
    rng = np.random.default_rng(4)
    spins = rng.choice(np.array([-1, 1], dtype=np.int8), size=(200_000, 40))
    peaks = []
    for n_rows in (20_000, 200_000):
        rows = SpinRows(spins[:n_rows])
        tracemalloc.start()
        fit_nodes(rows, 0.0, False, 1e-5, 50)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] + 1e5
