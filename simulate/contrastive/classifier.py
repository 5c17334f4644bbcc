"""A classifier defined by an energy, trained by temporal contrast between its free and its nudged state."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from simulate.checks import check_count, check_number, first_place
from simulate.contrastive.checkpoint import check_folder, read_arrays, write_arrays
from simulate.contrastive.nonlinearity import hard_threshold
from simulate.contrastive.response import chemotaxis_kernel
from simulate.contrastive.synapse import ContrastiveRule, IdealContrast, Sawtooth
from simulate.progress_bars import tqdm

__all__ = ["ContrastiveClassifier", "classifier_rule", "layered_energy", "relax_layers"]

Weights = tuple[NDArray[np.float64], NDArray[np.float64]]

_STATE = ["weights_0", "weights_1", "biases_0", "biases_1", "errors", "validation_errors", "entropy", "fingerprint"]


def classifier_rule(threshold: float = 0.002) -> ContrastiveRule:
    """Rule with a wide learning window, from the threshold to 500 times it: chemotaxis kernel, rise 1, fall 500.

    The contrasts of a layered network between free and nudged state span several orders of magnitude.

    Parameters
    ----------
    threshold : float, default 0.002
        > 0, in units of signal per time.

    Returns
    -------
    ContrastiveRule

    Raises
    ------
    ValueError
        If the threshold is out of range.
    """
    return ContrastiveRule(chemotaxis_kernel(20.0), Sawtooth(1.0, 500.0), hard_threshold(threshold))


def layered_energy(
    inputs: NDArray[np.float64],
    hidden: NDArray[np.float64],
    output: NDArray[np.float64],
    weights: Weights,
    biases: Weights,
) -> NDArray[np.float64]:
    """Energy of layered states, E = 1/2 sum rho^2 - b . rho - rho W rho over hidden and output units.

    The units of all layers are in [0, 1], rows of the arrays are samples, `weights` go from inputs to hidden
    (n_inputs, n_hidden) and from hidden to output units (n_hidden, n_outputs), `biases` belong to hidden and output
    units. Each pair of units is counted once.

    References
    ----------
    Scellier, Bengio 2017, Frontiers in Computational Neuroscience 11, 24 (arXiv 1602.05179).
    """
    own = (hidden**2).sum(axis=1) / 2 + (output**2).sum(axis=1) / 2 - hidden @ biases[0] - output @ biases[1]
    return own - ((inputs @ weights[0] + output @ weights[1].T) * hidden).sum(axis=1)


def relax_layers(
    inputs: NDArray[np.float64],
    weights: Weights,
    biases: Weights,
    *,
    start: NDArray[np.float64] | None = None,
    target: NDArray[np.float64] | None = None,
    nudge: float = 0.0,
    tol: float = 1e-5,
    max_iterations: int = 100,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Local minimum of F = E + nudge |output - target|^2 near `start`, found by updating layer after layer.

    Each layer in turn takes the exact minimum of F given the other, hidden = clip(b + x W_0 + output W_1^T) and
    output = clip((b + hidden W_1 + 2 nudge target) / (1 + 2 nudge)) with clip to [0, 1] (at a nudge of -1/2 or less,
    where F is not convex in the output, the better end of [0, 1]), so F never rises. It ends when no unit moves by more
    than `tol`.

    Parameters
    ----------
    inputs : ndarray, shape (n_samples, n_inputs)
    weights, biases : pairs of ndarrays
        As in `layered_energy`.
    start : ndarray, shape (n_samples, n_outputs), optional
        Output units to start from, zero by default.
    target : ndarray, shape (n_samples, n_outputs), optional
        Target of the nudge for the output units.
    nudge : float, default 0
        beta; 0 is the free phase, a negative value moves the output away from the target.
    tol : float, default 1e-5
    max_iterations : int, default 100

    Returns
    -------
    hidden, output : ndarrays

    References
    ----------
    Scellier, Bengio 2017, Frontiers in Computational Neuroscience 11, 24 (arXiv 1602.05179).
    """
    drive = inputs @ weights[0] + biases[0]
    pull = biases[1] if target is None else biases[1] + 2 * nudge * target
    stiffness = 1 + 2 * nudge
    output = np.zeros((len(inputs), len(biases[1]))) if start is None else start
    for _ in range(max_iterations):
        hidden = np.clip(drive + output @ weights[1].T, 0.0, 1.0)
        force = pull + hidden @ weights[1]
        moved = np.clip(force / stiffness, 0.0, 1.0) if stiffness > 0 else np.where(force > stiffness / 2, 1.0, 0.0)
        # a change of the output changes hidden units by at most the column norms of the weights: only the output is
        # checked
        still = np.abs(moved - output).max() < tol
        output = moved
        if still:
            break
    return np.clip(drive + output @ weights[1].T, 0.0, 1.0), output


class ContrastiveClassifier(ClassifierMixin, BaseEstimator):
    """Classifier of three layers trained by contrast between its free and its nudged state, without back-propagation.

    The network relaxes to the state of least energy E = 1/2 sum rho^2 - b . rho - rho W rho (`layered_energy`, units in
    [0, 1], inputs held). For each sample the strength beta of a nudge towards the right answer, F = E + beta |y - t|^2,
    goes from 0 to `nudge` and back as the sawtooth of the rule; the signal of a synapse, -dE/dW = rho_i rho_j, follows
    in a straight line from its free to its nudged value, and the synapse changes by the update dw of the rule,

        W_ij <- W_ij + learning_rate / nudge  mean over the batch of dw(rho_i rho_j free, rho_i rho_j nudged),

    biases likewise with the signal rho_i. With dw = nudged - free and a small nudge that is gradient descent of |y -
    t|^2 (equilibrium propagation). The straight line is an approximation: where units reach 0 or 1, the path of a
    network that relaxes at every beta bends or jumps, and parts of it that change too fast are unlearned on the way
    back. Summed over samples, the updates along that path have the same direction but are smaller: on untrained digit
    networks their correlation with those of the line is 0.95 to 0.99, their size 0.5 to 0.8 of theirs.

    Parameters
    ----------
    n_hidden : int, default 100
    n_epochs : int, default 30
        Passes through the data.
    rule : ContrastiveRule or IdealContrast, optional
        Rule of the change of a synapse in one cycle; `classifier_rule()` by default.
    nudge : float, default 0.5
        Largest |beta|, > 0.
    random_sign : bool, default False
        Draw the sign of beta at random for each batch, as in the published classifier: away from the answer as often as
        towards it, which cancels the error of second order in the nudge. From -1/2 on the output has no restoring force
        and jumps to an end of [0, 1].
    learning_rates : pair of floats, default (0.1, 0.05)
        Learning rates of the synapses from inputs to hidden and from hidden to output units, > 0.
    batch_size : int, default 20
    random_state : int, optional
        Seed of the initial weights and the order of the samples; the same number gives the same classifier.
    checkpoint : path-like, optional
        A file (npz) written atomically after each epoch. If it exists already, training resumes from it with the same
        result as without interruption; it must come from the same data and parameters (`n_epochs` may be larger).
    progress : bool, default False
        Show a progress bar.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
    weights_ : pair of ndarrays, (n_features, n_hidden) and (n_hidden, n_classes)
    biases_ : pair of ndarrays, (n_hidden,) and (n_classes,)
    errors_ : ndarray, shape (n_epochs,)
        Fraction of training samples classified wrongly in the free phase during each epoch.
    validation_errors_ : ndarray, shape (n_epochs,)
        The same of the validation data after each epoch, NaN without them.
    n_features_in_, n_iter_ : int
        Number of features, number of epochs done.

    References
    ----------
    Scellier, Bengio 2017, Frontiers in Computational Neuroscience 11, 24 (arXiv 1602.05179);
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723).
    """

    weights_: Weights
    biases_: Weights
    errors_: NDArray[np.float64]
    validation_errors_: NDArray[np.float64]
    n_iter_: int

    def __init__(
        self,
        n_hidden: int = 100,
        n_epochs: int = 30,
        rule: ContrastiveRule | IdealContrast | None = None,
        *,
        nudge: float = 0.5,
        random_sign: bool = False,
        learning_rates: tuple[float, float] = (0.1, 0.05),
        batch_size: int = 20,
        random_state: int | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        progress: bool = False,
    ) -> None:
        self.n_hidden = n_hidden
        self.n_epochs = n_epochs
        self.rule = rule
        self.nudge = nudge
        self.random_sign = random_sign
        self.learning_rates = learning_rates
        self.batch_size = batch_size
        self.random_state = random_state
        self.checkpoint = checkpoint
        self.progress = progress

    def fit(
        self, X: ArrayLike, y: ArrayLike, validation: tuple[ArrayLike, ArrayLike] | None = None
    ) -> ContrastiveClassifier:
        """Train on labelled samples.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Values in [0, 1].
        y : array_like, shape (n_samples,)
            Labels.
        validation : pair (X, y), optional
            Not used for training; see `validation_errors_`.

        Returns
        -------
        ContrastiveClassifier

        Raises
        ------
        ValueError
            If the data are not finite numbers in [0, 1] or do not fit the labels, a parameter is out of range, or the
            checkpoint comes from another training.
        """
        samples = _check_samples(X, "X")
        self.classes_, labels = np.unique(_check_labels(y, len(samples), "y"), return_inverse=True)
        watched = None
        if validation is not None:
            watched = _check_samples(validation[0], "validation X", samples.shape[1])
            expected = _check_labels(validation[1], len(watched), "validation y")
        n_hidden = check_count(self.n_hidden, "n_hidden", low=1)
        n_epochs = check_count(self.n_epochs, "n_epochs")
        batch_size = check_count(self.batch_size, "batch_size", low=1)
        nudge = check_number(self.nudge, "nudge", low=0.0, open_low=True)
        rates = [
            check_number(rate, f"learning_rates[{k}]", low=0.0, open_low=True)
            for k, rate in enumerate(self.learning_rates)
        ]
        if len(rates) != 2:
            raise ValueError(f"learning_rates must hold two numbers, one for each layer of synapses, got {len(rates)}")
        seed = None if self.random_state is None else check_count(self.random_state, "random_state")
        rule = classifier_rule() if self.rule is None else self.rule
        if not isinstance(rule, ContrastiveRule | IdealContrast):
            raise ValueError(f"rule must be a ContrastiveRule or IdealContrast, got {type(rule).__name__}")
        self.n_features_in_ = samples.shape[1]

        path = None if self.checkpoint is None else check_folder(self.checkpoint)
        marks: list[Any] = [samples, labels, np.array([n_hidden, batch_size, nudge, *rates])]
        if watched is not None:
            marks += [watched, np.searchsorted(self.classes_, expected)]
        signs = "random sign" if self.random_sign else ""
        fingerprint = hashlib.sha256(rule.signature + f"{seed}{signs}".encode())
        for mark in marks:
            fingerprint.update(f"{mark.shape}".encode() + np.ascontiguousarray(mark).tobytes())
        if path is not None and path.exists():
            entropy = self._resume(path, fingerprint.hexdigest())
        else:
            entropy = int(np.random.SeedSequence(seed).entropy)  # type: ignore[arg-type]  # an integer, as seed is one
            self._start(n_hidden, len(self.classes_), np.random.default_rng(_stream(entropy, 0)))

        targets = np.eye(len(self.classes_))[labels]
        with tqdm(total=n_epochs, initial=min(self.n_iter_, n_epochs), disable=not self.progress, unit="epoch") as bar:
            while self.n_iter_ < n_epochs:
                rng = np.random.default_rng(_stream(entropy, self.n_iter_ + 1))
                order = rng.permutation(len(samples))
                wrong = 0
                for first in range(0, len(samples), batch_size):
                    batch = order[first : first + batch_size]
                    signed = -nudge if self.random_sign and rng.random() < 0.5 else nudge
                    output = self._learn(samples[batch], targets[batch], rule, signed, rates)
                    wrong += int((output.argmax(axis=1) != labels[batch]).sum())
                self.errors_ = np.append(self.errors_, wrong / len(samples))
                missed = np.nan if watched is None else float((self.predict(watched) != expected).mean())
                self.validation_errors_ = np.append(self.validation_errors_, missed)
                self.n_iter_ += 1
                if path is not None:
                    self._save(path, entropy, fingerprint.hexdigest())
                bar.set_postfix(error=f"{self.errors_[-1]:.3f}", refresh=False)
                bar.update()
        return self

    def _start(self, n_hidden: int, n_classes: int, rng: np.random.Generator) -> None:
        """Random weights, uniform within sqrt(6 / (n_before + n_after)) as Glorot and Bengio 2010; no biases."""
        sizes = [self.n_features_in_, n_hidden, n_classes]
        bounds = [np.sqrt(6 / (sizes[k] + sizes[k + 1])) for k in range(2)]
        first, second = (rng.uniform(-bounds[k], bounds[k], (sizes[k], sizes[k + 1])) for k in range(2))
        self.weights_, self.biases_ = (first, second), (np.zeros(n_hidden), np.zeros(n_classes))
        self.errors_, self.validation_errors_, self.n_iter_ = np.empty(0), np.empty(0), 0

    def _learn(
        self,
        inputs: NDArray[np.float64],
        targets: NDArray[np.float64],
        rule: ContrastiveRule | IdealContrast,
        nudge: float,
        rates: list[float],
    ) -> NDArray[np.float64]:
        """One cycle for each sample of a batch; the free output."""
        hidden, output = relax_layers(inputs, self.weights_, self.biases_)
        nudged = relax_layers(inputs, self.weights_, self.biases_, start=output, target=targets, nudge=nudge)
        free_layers, nudged_layers = (inputs, hidden, output), (inputs, *nudged)
        steps = [rate / (nudge * len(inputs)) for rate in rates]
        weight_changes = [
            rule.outer_update(free_layers[k], free_layers[k + 1], nudged_layers[k], nudged_layers[k + 1])
            for k in range(2)
        ]
        for k in range(2):
            self.weights_[k][...] += steps[k] * weight_changes[k]
            self.biases_[k][...] += steps[k] * rule.update(free_layers[k + 1], nudged_layers[k + 1]).sum(axis=0)
        return output

    def _save(self, path: Any, entropy: int, fingerprint: str) -> None:
        values = [*self.weights_, *self.biases_, self.errors_, self.validation_errors_, str(entropy), fingerprint]
        write_arrays(path, dict(zip(_STATE, map(np.asarray, values), strict=True)))

    def _resume(self, path: Any, fingerprint: str) -> int:
        """Restore the state of a checkpoint; returns the entropy of its random numbers."""
        state = read_arrays(path, _STATE)
        if str(state["fingerprint"]) != fingerprint:
            raise ValueError(
                f"checkpoint {path} comes from other data or parameters; remove it or name another to start anew"
            )
        self.weights_ = (state["weights_0"], state["weights_1"])
        self.biases_ = (state["biases_0"], state["biases_1"])
        self.errors_, self.validation_errors_ = state["errors"], state["validation_errors"]
        self.n_iter_ = len(self.errors_)
        return int(str(state["entropy"]))

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Output units of the free state.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Values in [0, 1].

        Returns
        -------
        ndarray, shape (n_samples, n_classes)
            Values in [0, 1].

        Raises
        ------
        ValueError
            If X contains values outside [0, 1], or has another number of features than the fit.
        """
        check_is_fitted(self)
        samples = _check_samples(X, "X", self.n_features_in_)
        return relax_layers(samples, self.weights_, self.biases_)[1]

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Class of the most active output unit of the free state.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Values in [0, 1].

        Returns
        -------
        ndarray, shape (n_samples,)

        Raises
        ------
        ValueError
            If X contains values outside [0, 1], or has another number of features than the fit.
        """
        return self.classes_[self.decision_function(X).argmax(axis=1)]


def _stream(entropy: int, number: int) -> np.random.SeedSequence:
    """Random numbers of the first weights (0) and of each epoch (1, 2, ...)."""
    return np.random.SeedSequence(entropy, spawn_key=(number,))


def _check_samples(X: ArrayLike, name: str, n_features: int | None = None) -> NDArray[np.float64]:
    """Samples (n_samples, n_features) as float64 in [0, 1]."""
    try:
        values = np.ascontiguousarray(X, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be an array of numbers (n_samples, n_features)") from None
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"{name} must be an array (n_samples, n_features) that is not empty, got shape {values.shape}")
    if n_features is not None and values.shape[1] != n_features:
        raise ValueError(f"{name} has {values.shape[1]} features, expected {n_features}")
    outside = ~((values >= 0) & (values <= 1))
    if outside.any():
        row, column = first_place(outside)
        raise ValueError(
            f"{name}[{row}, {column}] = {values[row, column]:g}: units are in [0, 1], scale the data accordingly"
        )
    return values


def _check_labels(y: ArrayLike, n_samples: int, name: str) -> NDArray[Any]:
    labels = np.asarray(y)
    if labels.shape != (n_samples,):
        raise ValueError(f"{name} must have shape ({n_samples},), a label for each sample, got {labels.shape}")
    return labels
