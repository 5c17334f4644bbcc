"""Complete experiments of temporal contrastive learning as labelled tables, for figures and the command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from simulate.checks import Seed, check_count, check_number
from simulate.contrastive import theory
from simulate.contrastive.accuracy import accuracy_law
from simulate.contrastive.classifier import ContrastiveClassifier, classifier_rule
from simulate.contrastive.memory import learn_patterns
from simulate.contrastive.nonlinearity import hard_threshold
from simulate.contrastive.receptor import ReceptorLadder
from simulate.contrastive.response import chemotaxis_kernel
from simulate.contrastive.synapse import ContrastiveRule, IdealContrast, Sawtooth, periodic_response
from simulate.memory import daydream, dreaming, hebbian, pseudo_inverse, random_patterns, unlearn
from simulate.retrieval.measures import basins, stability

__all__ = [
    "contrast_against_dissipation",
    "digits_task",
    "dissipation_against_accuracy",
    "memory_task",
    "offset_against_area",
    "range_against_asymmetry",
]


def range_against_asymmetry(asymmetries: ArrayLike, *, rate: float = 20.0, threshold: float = 1.0) -> xr.Dataset:
    """Learning range, onset, slope and offset of a chemotaxis kernel against fall time / rise time, rise time 1.

    Parameters
    ----------
    asymmetries : array_like, shape (n_asymmetries,)
        tau_s / tau_f, above 1.
    rate : float, default 20
        B of the kernel, in units of 1 / rise time.
    threshold : float, default 1
        Hard threshold, in units of signal per rise time.

    Returns
    -------
    xarray.Dataset
        `learning_range`, `onset`, `slope`, `offset` (asymmetry); an ideal memory has a range equal to the asymmetry.
        NaN where there is no learning window (`window` is False): if the memory of the kernel is longer than the rise,
        and the fall not much slower, the fall passes the threshold at smaller contrasts than the rise.

    Raises
    ------
    ValueError
        If no asymmetry has a learning window.
    """
    falls = np.atleast_1d(np.asarray(asymmetries, dtype=np.float64))
    kernel, nonlinearity = chemotaxis_kernel(rate), hard_threshold(threshold)
    rules = [ContrastiveRule(kernel, Sawtooth(1.0, fall), nonlinearity) for fall in falls]
    windows = [theory.learning_window(rule) for rule in rules]
    found = np.array([end > onset for onset, end in windows])
    if not found.any():
        theory.learning_curve(rules[0])  # raises the error with the reason
    curves = [theory.learning_curve(rule) if there else None for rule, there in zip(rules, found, strict=True)]
    names = ("learning_range", "onset", "slope", "offset")
    columns: dict[str, Any] = {name: ("asymmetry", [getattr(one, name, np.nan) for one in curves]) for name in names}
    return xr.Dataset({**columns, "window": ("asymmetry", found)}, {"asymmetry": falls})


def offset_against_area(
    areas: ArrayLike, mean_signals: ArrayLike, *, rate: float = 20.0, protocol: Sawtooth | None = None
) -> xr.Dataset:
    """Offset and slope of the learning curve against the area of a chemotaxis kernel and the mean signal.

    The hard threshold is 100 / fall time, so that the learning window ends about an amplitude of 100.

    Parameters
    ----------
    areas : array_like, shape (n_areas,)
        Areas I of the kernel, per unit of time.
    mean_signals : array_like, shape (n_mean_signals,)
        (free + clamped) / 2.
    rate : float, default 20
        B of the kernel, per unit of time.
    protocol : Sawtooth, optional
        Rise 1 and fall 9 by default.

    Returns
    -------
    xarray.Dataset
        `offset`, `slope` (area, mean_signal); for a short memory the offset is area rise_time mean_signal.

    Raises
    ------
    ValueError
        If there is no learning window.
    """
    cycle = Sawtooth() if protocol is None else protocol
    rows, columns = (np.atleast_1d(np.asarray(values, dtype=np.float64)) for values in (areas, mean_signals))
    found = np.empty((2, len(rows), len(columns)))
    for i, area in enumerate(rows):
        rule = ContrastiveRule(chemotaxis_kernel(rate, area), cycle, hard_threshold(100 / cycle.fall_time))
        for j, mean in enumerate(columns):
            curve = theory.learning_curve(rule, mean)
            found[:, i, j] = curve.offset, curve.slope
    dims = ("area", "mean_signal")
    return xr.Dataset({"offset": (dims, found[0]), "slope": (dims, found[1])}, {"area": rows, "mean_signal": columns})


def dissipation_against_accuracy(gammas: ArrayLike, signal: float = 200.0, switching_rate: float = 25.0) -> xr.Dataset:
    """Dissipation and adaptation error of the receptor ladder against its reversibility, and the law between them.

    Parameters
    ----------
    gammas : array_like, shape (n_gammas,)
        In (0, 1].
    signal : float, default 200
        Ligand concentration after the step (micromolar).
    switching_rate : float, default 25

    Returns
    -------
    xarray.Dataset
        `dissipation` (kT k_R, at signal 0), `error`, `law` (dissipation by `accuracy_law` at the same error; NaN where
        it does not apply), `first_moment` (gamma).

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    values = np.atleast_1d(np.asarray(gammas, dtype=np.float64))
    ladders = [ReceptorLadder(gamma, switching_rate) for gamma in values]
    law = accuracy_law(signal, switching_rate)
    error = np.array([ladder.adaptation_error(signal) for ladder in ladders])
    lawful = np.full(len(values), np.nan)
    inside = (error > law.residual_error) & (error < law.residual_error + law.slope)
    lawful[inside] = law.dissipation(error[inside])
    return xr.Dataset(
        {
            "dissipation": ("gamma", [ladder.dissipation() for ladder in ladders]),
            "error": ("gamma", error),
            "law": ("gamma", lawful),
            "first_moment": ("gamma", [ladder.first_moment(signal) for ladder in ladders]),
        },
        {"gamma": values},
        {"residual_error": law.residual_error, "slope": law.slope, "cost_of_halving": law.cost_of_halving},
    )


def contrast_against_dissipation(
    gammas: ArrayLike,
    *,
    signal: float = 200.0,
    methylation_rate: float = 5.0,
    threshold: float = 0.35,
    protocol: Sawtooth | None = None,
    n_synapses: int = 2000,
    seed: Seed = 0,
) -> xr.Dataset:
    """Weights of clamped and free signals in the updates of a ladder, dw = a clamped - b free, and its dissipation.

    Signals are uniform in [0, 1], the kernel is the response of the ladder, not normalised. At equilibrium the response
    follows the signal itself and both states are learned (b / a = -1); a driven ladder responds to rises and falls with
    opposite signs and unlearns the free state (b / a = 1 is ideal contrast).

    Parameters
    ----------
    gammas : array_like, shape (n_gammas,)
        In (0, 1]; 1 is equilibrium.
    signal : float, default 200
        Ligand concentration (micromolar) of the step that defines the response.
    methylation_rate : float, default 5
        k_R, per unit of time of the protocol.
    threshold : float, default 0.35
        Hard threshold as a fraction of the largest u at amplitude 1, in (0, 1).
    protocol : Sawtooth, optional
        Rise 1 and fall 9 by default.
    n_synapses : int, default 2000
    seed : int, SeedSequence, Generator or None
        Seed of the signals.

    Returns
    -------
    xarray.Dataset
        `dissipation` (kT k_R), `clamped` a, `free` b, `ratio` b / a, `unexplained` (gamma).

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    values = np.atleast_1d(np.asarray(gammas, dtype=np.float64))
    cycle = Sawtooth() if protocol is None else protocol
    free, clamped = np.random.default_rng(seed).random((2, check_count(n_synapses, "n_synapses", low=3)))
    threshold = check_number(threshold, "threshold", low=0.0, high=1.0, open_low=True, open_high=True)
    fits, dissipation = [], []
    for gamma in values:
        ladder = ReceptorLadder(gamma)
        kernel = ladder.response(signal, methylation_rate)
        largest = float(periodic_response(kernel, cycle)[1].max())
        rule = ContrastiveRule(kernel, cycle, hard_threshold(threshold * largest))
        fits.append(theory.contrast_fit(free, clamped, rule.update(free, clamped)))
        dissipation.append(ladder.dissipation())
    columns = {name: ("gamma", [fit[name] for fit in fits]) for name in fits[0]}
    return xr.Dataset({"dissipation": ("gamma", dissipation), **columns}, {"gamma": values})


def memory_task(
    n_spins: int = 100,
    n_patterns: int = 20,
    n_cycles: int = 5000,
    *,
    rule: ContrastiveRule | IdealContrast | None = None,
    free_state: str = "fixed point",
    flipped: Sequence[float] = (0.0, 0.1, 0.2, 0.3),
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Contrastive training of an associative memory, compared with other couplings of the same random patterns.

    Parameters
    ----------
    n_spins, n_patterns, n_cycles : int
    rule : ContrastiveRule or IdealContrast, optional
        `memory_rule()` by default.
    free_state : {"fixed point", "graded", "thermal"}
        See `learn_patterns`.
    flipped : sequence of float
        Fractions of spins that are flipped before retrieval.
    seed : int, default 0
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        `mean_overlap`, `retrieval` (network, flipped); `least_stability` (network); `eigenvalues` (network, rank),
        ascending; `couplings` (network, spin, spin_), scaled to the norm of the Hebbian ones; `patterns` (pattern,
        spin). The networks are hebbian, contrastive, unlearn, daydream, dreaming (rate 10) and pseudo-inverse.

    Raises
    ------
    ValueError
        If an argument is out of range.
    """
    seeds = np.random.SeedSequence(check_count(seed, "seed")).spawn(5)
    patterns = random_patterns(n_patterns, n_spins, seed=seeds[0])
    hebb = hebbian(patterns)
    trained = learn_patterns(patterns, n_cycles, rule, free_state=free_state, seed=seeds[1], progress=progress)
    # 7 N dreams of strength 0.01 are nearly optimal for N = 100 at load 0.2
    couplings = {
        "hebbian": hebb,
        "contrastive": trained,
        "unlearn": unlearn(hebb, 7 * n_spins, 0.01, seed=seeds[2]),
        "daydream": daydream(patterns, n_cycles, 0.05, seed=seeds[3]),
        "dreaming": dreaming(patterns, 10.0),
        "pseudo-inverse": pseudo_inverse(patterns),
    }
    scaled = np.array([matrix * np.linalg.norm(hebb) / np.linalg.norm(matrix) for matrix in couplings.values()])
    recall = [basins(matrix, patterns, flipped, seed=seeds[4]) for matrix in scaled]
    return xr.Dataset(
        {
            "mean_overlap": (("network", "flipped"), [found["mean_overlap"].values for found in recall]),
            "retrieval": (("network", "flipped"), [found["retrieval"].values for found in recall]),
            "least_stability": ("network", [stability(matrix, patterns).min() for matrix in scaled]),
            "eigenvalues": (("network", "rank"), np.linalg.eigvalsh(scaled)),
            "couplings": (("network", "spin", "spin_"), scaled),
            "patterns": (("pattern", "spin"), patterns),
        },
        {"network": list(couplings), "flipped": np.asarray(flipped, dtype=np.float64)},
        {"n_cycles": n_cycles, "free_state": free_state, "seed": seed},
    )


def digits_task(
    n_epochs: int = 30,
    *,
    n_hidden: int = 100,
    seed: int = 0,
    checkpoint_folder: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Error curves for the digits of scikit-learn: ideal contrast, contrast in time, and the latter without threshold.

    Four fifths of the 1797 images (8 x 8 grey values) are for training, the rest for the test, split at random with
    equal shares of the digits.

    Parameters
    ----------
    n_epochs : int, default 30
    n_hidden : int, default 100
    seed : int, default 0
        Seed of the split, the initial weights and the order of the samples.
    checkpoint_folder : path-like, optional
        An existing folder; each training writes its checkpoint there and resumes from one that exists.
    progress : bool, default False
        Show a progress bar for each training.

    Returns
    -------
    xarray.Dataset
        `test_error` and `training_error` (rule, epoch), as fractions.

    Raises
    ------
    ValueError
        If an argument is out of range or a checkpoint comes from another training.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    seed = check_count(seed, "seed")
    X, X_test, y, y_test = train_test_split(images / 16, labels, test_size=0.2, random_state=seed, stratify=labels)
    rules: dict[str, Any] = {
        "ideal contrast": IdealContrast(),
        "temporal": classifier_rule(),
        "threshold 0": classifier_rule(0.0),
    }
    errors = []
    for name, rule in rules.items():
        path = None if checkpoint_folder is None else Path(checkpoint_folder) / f"{name.replace(' ', '-')}.npz"
        classifier = ContrastiveClassifier(
            n_hidden, n_epochs, rule, random_state=seed, checkpoint=path, progress=progress
        ).fit(X, y, (X_test, y_test))
        errors.append((classifier.validation_errors_, classifier.errors_))
    return xr.Dataset(
        {
            "test_error": (("rule", "epoch"), [pair[0] for pair in errors]),
            "training_error": (("rule", "epoch"), [pair[1] for pair in errors]),
        },
        {"rule": list(rules), "epoch": np.arange(1, len(errors[0][0]) + 1)},
        {"n_hidden": n_hidden, "seed": seed},
    )
