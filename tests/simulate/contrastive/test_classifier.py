import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from simulate.contrastive import ContrastiveClassifier, IdealContrast, classifier_rule
from simulate.contrastive.classifier import layered_energy, relax_layers


def network(seed=0, n_samples=4, sizes=(6, 5, 3)):
    rng = np.random.default_rng(seed)
    weights = tuple(rng.normal(size=(sizes[k], sizes[k + 1])) / np.sqrt(sizes[k]) for k in range(2))
    biases = tuple(rng.uniform(0.1, 0.3, size) for size in sizes[1:])
    return rng.random((n_samples, sizes[0])), weights, biases, np.eye(sizes[2])[rng.integers(0, sizes[2], n_samples)]


def digits(seed=0):
    X, y = load_digits(return_X_y=True)
    return train_test_split(X / 16, y, test_size=0.2, random_state=seed, stratify=y)


@pytest.mark.parametrize("nudge", [0.0, 0.5, -0.3, -0.5, -0.8])
def test_relaxation_ends_in_a_minimum_of_the_energy(nudge):
    inputs, weights, biases, target = network()
    hidden, output = relax_layers(inputs, weights, biases, target=target, nudge=nudge, tol=1e-12, max_iterations=1000)

    def energy(h, y):
        return layered_energy(inputs, h, y, weights, biases) + nudge * ((y - target) ** 2).sum(axis=1)

    lowest = energy(hidden, output)
    rng = np.random.default_rng(1)
    for _ in range(200):
        size = 10.0 ** rng.uniform(-4, -1)
        h = np.clip(hidden + size * rng.normal(size=hidden.shape), 0, 1)
        y = np.clip(output + size * rng.normal(size=output.shape), 0, 1)
        assert (energy(h, y) >= lowest - 1e-12).all()
    # some units rest on a wall, some do not
    assert ((hidden > 0) & (hidden < 1)).any()


def test_energy_counts_each_pair_of_units_once():
    inputs, weights, biases, _ = network()
    hidden, output = np.random.default_rng(2).random((4, 5)), np.random.default_rng(3).random((4, 3))
    for k in range(4):
        expected = 0.0
        for j in range(5):
            expected += hidden[k, j] ** 2 / 2 - biases[0][j] * hidden[k, j]
            expected -= sum(inputs[k, i] * weights[0][i, j] * hidden[k, j] for i in range(6))
            expected -= sum(hidden[k, j] * weights[1][j, o] * output[k, o] for o in range(3))
        expected += sum(output[k, o] ** 2 / 2 - biases[1][o] * output[k, o] for o in range(3))
        assert layered_energy(inputs, hidden, output, weights, biases)[k] == pytest.approx(expected)


def test_ideal_contrast_at_a_small_nudge_is_minus_the_gradient_of_the_cost():
    inputs, weights, biases, target = network(seed=5)
    precise = {"tol": 1e-14, "max_iterations": 5000}

    def cost(changed):
        return ((relax_layers(inputs, changed, biases, **precise)[1] - target) ** 2).sum()

    hidden, output = relax_layers(inputs, weights, biases, **precise)
    nudged = relax_layers(inputs, weights, biases, target=target, nudge=1e-5, **precise)
    contrast = [
        IdealContrast().outer_update(inputs, hidden, inputs, nudged[0]) / 1e-5,
        IdealContrast().outer_update(hidden, output, *nudged) / 1e-5,
    ]
    checked = 0
    for layer in range(2):
        for place in np.ndindex(weights[layer].shape):
            costs = []
            for sign in (1, -1):
                changed = tuple(w.copy() for w in weights)
                changed[layer][place] += sign * 1e-5
                costs.append(cost(changed))
            gradient = (costs[0] - costs[1]) / 2e-5
            assert contrast[layer][place] == pytest.approx(-gradient, abs=1e-3)
            checked += abs(gradient) > 0.05
    assert checked > 10


@pytest.mark.slow
def test_digits_are_learned_by_contrast_in_time_and_not_without_a_threshold():
    X, X_test, y, y_test = digits()
    assert (len(X), len(X_test)) == (1437, 360)
    quick = {"n_epochs": 2, "random_state": 0}
    for rule in (None, IdealContrast()):
        classifier = ContrastiveClassifier(rule=rule, **quick).fit(X, y)
        assert 1 - classifier.score(X_test, y_test) < 0.17
        assert classifier.errors_[1] < classifier.errors_[0]
    control = ContrastiveClassifier(rule=classifier_rule(0.0), **quick).fit(X, y)
    untrained = ContrastiveClassifier(n_epochs=0, random_state=0).fit(X, y)
    assert 1 - control.score(X_test, y_test) > 0.7
    np.testing.assert_allclose(control.weights_[0], untrained.weights_[0], atol=1e-9)


def test_a_random_sign_of_the_nudge_learns_too_and_is_part_of_the_fingerprint(tmp_path):
    X, X_test, y, y_test = digits()
    path = tmp_path / "state.npz"
    signed = ContrastiveClassifier(
        50, 2, IdealContrast(), nudge=0.3, random_sign=True, random_state=0, checkpoint=path
    ).fit(X, y)
    assert signed.score(X_test, y_test) > 0.6  # after two passes; chance is 0.1
    plain = ContrastiveClassifier(50, 2, IdealContrast(), nudge=0.3, random_state=0).fit(X, y)
    assert (signed.weights_[0] != plain.weights_[0]).any()
    with pytest.raises(ValueError, match="other data or parameters"):
        clone(signed).set_params(random_sign=False).fit(X, y)


@pytest.mark.slow
def test_a_network_that_relaxes_all_along_the_ramp_learns_in_the_direction_of_the_straight_line():
    X, X_test, y, y_test = digits()
    classifier = ContrastiveClassifier(n_epochs=0, random_state=0).fit(X, y)
    inputs, target = X_test[:40], np.eye(10)[y_test[:40]]
    part = np.linspace(0, 1, 51)
    states = [
        relax_layers(inputs, classifier.weights_, classifier.biases_, target=target, nudge=0.5 * x, tol=1e-8)
        for x in part
    ]
    rule = classifier_rule()
    threshold, fall = rule.nonlinearity.threshold, rule.protocol.fall_time
    for layer in range(2):
        before, after = [(inputs, h)[layer] for h, _ in states], [state[layer] for state in states]
        path = np.array([np.einsum("ni,nj->nij", *pair) for pair in zip(before, after, strict=True)])
        # the limit of a short memory, piece by piece: what rises fast is learned, what falls fast is unlearned
        steps = np.diff(path, axis=0)
        speed = np.abs(steps) / (part[1] - part[0])
        curved = ((steps * (speed >= threshold)) - (steps * (speed / fall >= threshold))).sum(axis=(0, 1)).ravel()
        straight = rule.update(path[0], path[-1]).sum(axis=0).ravel()
        assert np.corrcoef(curved, straight)[0, 1] > 0.9
        assert 0.3 < curved @ straight / (straight @ straight) < 1.1


def test_training_resumed_from_a_checkpoint_ends_bit_for_bit_the_same(tmp_path):
    X, X_test, y, y_test = digits()
    X, y = X[:200], y[:200]
    path = tmp_path / "training.npz"
    whole = ContrastiveClassifier(20, 4, random_state=3).fit(X, y, (X_test, y_test))
    for n_epochs in (1, 3, 4):
        parts = ContrastiveClassifier(20, n_epochs, random_state=3, checkpoint=path).fit(X, y, (X_test, y_test))
        assert parts.n_iter_ == n_epochs
    for name in ("weights_", "biases_"):
        for one, other in zip(getattr(whole, name), getattr(parts, name), strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(whole.errors_, parts.errors_)
    np.testing.assert_array_equal(whole.validation_errors_, parts.validation_errors_)
    assert [file.name for file in tmp_path.iterdir()] == ["training.npz"]
    # a random training goes on with its own random numbers
    for n_epochs in (1, 2):
        loose = ContrastiveClassifier(20, n_epochs, checkpoint=tmp_path / "loose.npz").fit(X, y)
    assert loose.n_iter_ == 2


def test_interrupted_training_leaves_the_last_whole_checkpoint(tmp_path, monkeypatch):
    X, _, y, _ = digits()
    X, y = X[:100], y[:100]
    path = tmp_path / "training.npz"
    ContrastiveClassifier(10, 1, random_state=0, checkpoint=path).fit(X, y)
    before = path.read_bytes()

    def broken(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("simulate.contrastive.checkpoint.os.replace", broken)
    with pytest.raises(KeyboardInterrupt):
        ContrastiveClassifier(10, 2, random_state=0, checkpoint=path).fit(X, y)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["training.npz"]


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    X, _, y, _ = digits()
    X, y = X[:60], y[:60]
    path = tmp_path / "training.npz"
    ContrastiveClassifier(10, 1, random_state=0, checkpoint=path).fit(X, y)
    for other in (
        ContrastiveClassifier(11, 1, random_state=0, checkpoint=path),
        ContrastiveClassifier(10, 1, random_state=1, checkpoint=path),
        ContrastiveClassifier(10, 1, IdealContrast(), random_state=0, checkpoint=path),
    ):
        with pytest.raises(ValueError, match="comes from other data or parameters"):
            other.fit(X, y)
    with pytest.raises(ValueError, match="comes from other data or parameters"):
        ContrastiveClassifier(10, 1, random_state=0, checkpoint=path).fit(X[:, ::-1], y)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="is not a checkpoint of this training"):
        ContrastiveClassifier(10, 1, random_state=0, checkpoint=path).fit(X, y)
    np.savez(path, weights_0=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="is not a checkpoint of this training"):
        ContrastiveClassifier(10, 1, random_state=0, checkpoint=path).fit(X, y)
    with pytest.raises(ValueError, match="does not exist; create it first"):
        ContrastiveClassifier(10, 1, checkpoint=tmp_path / "no" / "training.npz").fit(X, y)
    with pytest.raises(ValueError, match="is a folder"):
        ContrastiveClassifier(10, 1, checkpoint=tmp_path).fit(X, y)


def test_it_is_a_classifier_like_any_other_of_scikit_learn():
    X, _, y, _ = digits()
    names = np.array(["zero", "one"])[y[:80] % 2]
    original = ContrastiveClassifier(8, 2, random_state=0)
    first = clone(original).fit(X[:80], names)
    second = clone(original).fit(X[:80], names)
    np.testing.assert_array_equal(first.weights_[0], second.weights_[0])
    assert set(first.predict(X[80:120])) <= {"zero", "one"}
    assert first.decision_function(X[80:120]).shape == (40, 2)
    assert first.n_features_in_ == 64
    assert np.isnan(first.validation_errors_).all()


GOOD = np.tile([[0.0, 1.0], [1.0, 0.0]], (3, 1))


@pytest.mark.parametrize(
    ("parameters", "X", "y", "message"),
    [
        ({}, GOOD * 2, np.arange(6) % 2, r"X\[0, 1\] = 2: units are in \[0, 1\]"),
        ({}, np.where(GOOD == 1, np.nan, 0), np.arange(6) % 2, r"X\[0, 1\] = nan"),
        ({}, GOOD, np.arange(5), r"y must have shape \(6,\), a label for each sample, got \(5,\)"),
        ({}, GOOD[0], np.arange(2), "X must be an array"),
        ({"n_hidden": 0}, GOOD, np.arange(6), "n_hidden must be at least 1"),
        ({"nudge": -0.5}, GOOD, np.arange(6), "nudge must be > 0"),
        ({"learning_rates": (1.0,)}, GOOD, np.arange(6), "learning_rates must hold two numbers"),
        ({"learning_rates": (1.0, 0.0)}, GOOD, np.arange(6), r"learning_rates\[1\] must be > 0"),
        ({"rule": 3}, GOOD, np.arange(6), "rule must be a ContrastiveRule or IdealContrast, got int"),
        ({"random_state": "x"}, GOOD, np.arange(6), "random_state must be an integer"),
    ],
)
def test_bad_input_is_named(parameters, X, y, message):
    with pytest.raises(ValueError, match=message):
        ContrastiveClassifier(**parameters).fit(X, y)


@pytest.mark.validation
def test_thirty_epochs_reach_the_published_test_errors():
    from time import process_time

    errors: dict[str, list[float]] = {"ideal": [], "temporal": [], "threshold 0": []}
    for seed in range(3):
        X, X_test, y, y_test = digits(seed)
        for name, rule in (("ideal", IdealContrast()), ("temporal", None), ("threshold 0", classifier_rule(0.0))):
            start = process_time()
            classifier = ContrastiveClassifier(rule=rule, random_state=seed).fit(X, y)
            assert process_time() - start < 180  # of the processor, whatever else the machine does
            errors[name].append(1 - classifier.score(X_test, y_test))
    assert 0.015 < np.mean(errors["ideal"]) < 0.045
    assert 0.015 < np.mean(errors["temporal"]) < 0.06
    assert min(errors["threshold 0"]) > 0.7
