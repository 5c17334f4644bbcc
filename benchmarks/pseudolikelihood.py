"""Speed of the pseudo-likelihood fit compared with other libraries: `python benchmarks/pseudolikelihood.py`.

Couplings are to end within 1e-4 of a tight reference. The deviation is shown: single-precision baselines do not get
there where couplings are strong; ours runs with the loosest of 1e-6, 1e-7, 1e-8 that does. Baselines: scikit-learn's
LogisticRegression node by node (lbfgs, single precision, the loosest tolerance of 1e-4, 1e-5, 1e-6 that gets there on
the nodes timed), and one L-BFGS of scipy over all nodes jointly (numpy, single-precision products), stopped the moment
it gets there, which no rule could do sooner, or after 50 times our time. One thread; processor time, so that other work
on the machine counts little. Times are medians over the repeats, ratios are taken within a repeat. scikit-learn is
timed on a few nodes and scaled up to all of them, as the table says; `--nodes 0` times all of them.

The yardstick of the last line is the bare pair of single-precision matrix products of one gradient, which a gradient
method takes once a pass: the fit in such pairs, its standard errors, and the gain of a second thread (wall time, which
other work on the machine spoils), all from one run.
"""

from __future__ import annotations

import argparse
import contextlib
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from duration import announce
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from infer import PseudoLikelihood
from simulate import Glauber, hebbian, random_patterns, sample

CLOSE = 1e-4
PATIENCE = 50  # the joint L-BFGS is stopped after this many times our seconds
CASES = ("sk50", "sk100", "sk200", "sk400", "sk200-strong", "hopfield-0.8", "hopfield-0.5")
# of a repeat, all methods together
SECONDS = {"sk50": 2, "sk100": 5, "sk200": 12, "sk400": 60, "sk200-strong": 20, "hopfield-0.8": 20, "hopfield-0.5": 20}


class CloseEnough(Exception):  # noqa: N818
    """Raised to stop the joint L-BFGS."""


def glass(n_spins: int, n_samples: int, strength: float) -> np.ndarray:
    """Samples of a Sherrington-Kirkpatrick system, couplings of standard deviation strength / sqrt(N), T = 1."""
    upper = np.triu(np.random.default_rng(0).normal(0.0, strength / np.sqrt(n_spins), (n_spins, n_spins)), 1)
    dynamics = Glauber(couplings=upper + upper.T, temperature=1.0)
    return draw(dynamics, n_samples // 20, initial=None)


def hopfield(temperature: float) -> np.ndarray:
    """Samples around the patterns of a Hopfield network, N = 200, load 0.05, 20 chains started at +- patterns."""
    patterns = random_patterns(10, 200, seed=0)
    dynamics = Glauber(couplings=hebbian(patterns), temperature=temperature)
    return draw(dynamics, 2500, initial=np.concatenate([patterns, -patterns]))


def draw(dynamics: Glauber, draws: int, initial: np.ndarray | None) -> np.ndarray:
    data = sample(dynamics, draws, chains=20, burn_in=100, thin=4, seed=1, initial=initial, check=False)
    spins = data["spins"].values
    return np.ascontiguousarray(spins.reshape(-1, spins.shape[-1]))


def load(case: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples and weights of a case, or of a packed recording (npz with spins_packed, n_spins, counts)."""
    if case.startswith("hopfield-"):
        return hopfield(float(case.removeprefix("hopfield-"))), None
    if case.startswith("sk"):
        name, _, strong = case.removeprefix("sk").partition("-")
        return glass(int(name), 100_000 if int(name) >= 400 else 50_000, 0.9 if strong else 0.6), None
    with np.load(case, allow_pickle=False) as stored:
        bits = np.unpackbits(stored["spins_packed"], axis=1, count=int(stored["n_spins"]))
        return bits.astype(np.int8) * 2 - 1, stored["counts"].astype(float)


def node_by_node(
    spins: np.ndarray, weight: np.ndarray | None, alpha: float, reference: np.ndarray, nodes: np.ndarray
) -> Callable[[], tuple[float, float]]:
    """scikit-learn on some nodes: seconds for all nodes, and largest deviation from the reference."""
    X = spins.astype(np.float32)
    total = len(X) if weight is None else weight.sum()
    strength = 4 / (alpha * total) if alpha else np.inf

    def run(tol: float) -> tuple[float, float]:
        start = time.process_time()
        deviation = 0.0
        for r in nodes:
            others = np.delete(np.arange(X.shape[1]), r)
            model = LogisticRegression(C=strength, fit_intercept=False, tol=tol, max_iter=10_000)
            model.fit(X[:, others], X[:, r], sample_weight=weight)
            deviation = max(deviation, float(np.abs(model.coef_[0] / 2 - reference[r, others]).max()))
        return (time.process_time() - start) * X.shape[1] / len(nodes), deviation

    for tol in (1e-4, 1e-5, 1e-6):
        if run(tol)[1] <= CLOSE:
            break
    return lambda: run(tol)


def joint(
    spins: np.ndarray, weight: np.ndarray | None, alpha: float, reference: np.ndarray, patience: float
) -> Callable[[], tuple[float, float]]:
    """One L-BFGS over all nodes: seconds until it is close to the reference (or patience ends), and its deviation."""
    n_spins = spins.shape[1]

    def run() -> tuple[float, float]:
        start = time.process_time()
        X = spins.astype(np.float32)
        share = None if weight is None else (weight / weight.sum()).astype(np.float32)[:, None]
        checking = 0.0
        deviation = np.inf

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            W = flat.reshape(n_spins, n_spins).astype(np.float32)
            margins = X @ W.T
            margins *= X
            decay = np.exp(-2 * np.abs(margins))
            loss = np.log1p(decay) + np.maximum(-2 * margins, 0)
            residual = np.where(margins > 0, decay, np.float32(1)) / (1 + decay)
            residual *= -2 * X
            if share is not None:
                loss *= share
                residual *= share
            scale = 1 / len(X) if share is None else 1.0
            gradient = (residual.T @ X).astype(float) * scale + alpha * W
            np.fill_diagonal(gradient, 0.0)
            value = float(loss.sum(dtype=float)) * scale + alpha / 2 * float((W.astype(float) ** 2).sum())
            return value, gradient.ravel()

        def watch(flat: np.ndarray) -> None:
            nonlocal checking, deviation
            before = time.process_time()
            deviation = float(np.abs(flat.reshape(n_spins, n_spins) - reference).max())
            checking += time.process_time() - before
            if deviation <= CLOSE or before - start > patience:
                raise CloseEnough

        options = {"maxiter": 3000, "maxfun": 4000, "ftol": 0.0, "gtol": 0.0, "maxcor": 10}
        with contextlib.suppress(CloseEnough):
            minimize(objective, np.zeros(n_spins**2), jac=True, method="L-BFGS-B", callback=watch, options=options)
        return time.process_time() - start - checking, deviation

    return run


def ours(
    spins: np.ndarray, weight: np.ndarray | None, alpha: float, reference: np.ndarray, tol: float = 1e-6
) -> Callable[[], tuple[float, float]]:
    """PseudoLikelihood, tolerance 1e-6 by default: seconds and largest deviation from the reference."""

    def run() -> tuple[float, float]:
        start = time.process_time()
        model = PseudoLikelihood(alpha=alpha, tol=tol, errors=False).fit(spins, sample_weight=weight)
        seconds = time.process_time() - start
        return seconds, float(np.abs(model.couplings_ - (reference + reference.T) / 2).max())

    return run


def bare_pair(spins: np.ndarray) -> float:
    """Seconds of the two float32 matrix products of one gradient of all nodes."""
    X = spins.astype(np.float32)
    W = np.random.default_rng(0).normal(size=(X.shape[1],) * 2).astype(np.float32)
    start = time.process_time()
    for first in range(0, len(X), 4096):
        local = X[first : first + 4096] @ W
        local.T @ X[first : first + 4096]
    return time.process_time() - start


def in_pairs(spins: np.ndarray, alpha: float, repeats: int) -> str:
    """The fit in bare pairs of products, its standard errors over it, and the gain of a second thread."""
    fits, errors, gains = [], [], []
    for _ in range(repeats):
        pair = bare_pair(spins)
        seconds = []
        for with_errors in (False, True):
            start = time.process_time()
            PseudoLikelihood(alpha=alpha, errors=with_errors).fit(spins)
            seconds.append(time.process_time() - start)
        walls = []
        for n_jobs in (1, 2):
            start = time.perf_counter()
            PseudoLikelihood(alpha=alpha, errors=False, n_jobs=n_jobs).fit(spins)
            walls.append(time.perf_counter() - start)
        fits.append(seconds[0] / pair)
        errors.append((seconds[1] - seconds[0]) / seconds[0])
        gains.append(walls[0] / walls[1])
    return (
        f"fit {np.median(fits):.1f} bare pairs, standard errors {np.median(errors):.1f} times the fit, "
        f"two threads {np.median(gains):.2f}x one"
    )


def peak_memory(run: Callable[[], object]) -> float:
    """Most memory allocated at a time during a call, in MB, above what was there before."""
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def compare(case: str, alpha: float, repeats: int, n_nodes: int, skip: list[str]) -> None:
    """Time all methods on one case and print its rows."""
    spins, weight = load(case)
    # compile and import everything first, so that neither is timed nor counted as memory
    PseudoLikelihood(alpha=0.1).fit(np.random.default_rng(0).choice([-1, 1], size=(2000, 5)))
    memory = peak_memory(ours(spins, weight, alpha, np.zeros((spins.shape[1],) * 2)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        tight = PseudoLikelihood(alpha=alpha, tol=1e-9, max_iter=2000, errors=False).fit(spins, sample_weight=weight)
        reference = tight.couplings_by_node_
        for tol in (1e-6, 1e-7, 1e-8):
            methods = {"PseudoLikelihood": ours(spins, weight, alpha, reference, tol)}
            own = methods["PseudoLikelihood"]()
            if own[1] <= CLOSE:
                break
        n_spins = spins.shape[1]
        nodes = np.arange(n_spins) if not n_nodes else np.linspace(0, n_spins - 1, n_nodes).astype(int)
        timed = "all nodes" if not n_nodes else f"{len(nodes)} nodes, scaled to {n_spins}"
        if "sklearn" not in skip:
            methods[f"scikit-learn float32 ({timed})"] = node_by_node(spins, weight, alpha, reference, nodes)
        if "joint" not in skip:
            methods["joint L-BFGS float32"] = joint(spins, weight, alpha, reference, PATIENCE * own[0])
        found = {name: [] for name in methods}
        for _ in range(repeats):
            for name, run in methods.items():
                found[name].append(run())
    name = Path(case).stem if case.endswith(".npz") else case
    pairs = in_pairs(spins, alpha, repeats) if weight is None else ""
    print(
        f"\n{name}: our tol = {tol:g}, N = {n_spins}, {len(spins)} rows, alpha = {alpha:g}; peak memory above the "
        f"samples {memory:.0f} MB; {tight.n_iter_} passes to 1e-9, converged: {tight.converged_}"
    )
    print(f"  {'':44s} {'seconds':>9s} {'min':>8s} {'max':>8s} {'deviation':>10s}   times slower")
    base = np.array([seconds for seconds, _ in found["PseudoLikelihood"]])
    for name, results in found.items():
        seconds = np.array([result[0] for result in results])
        print(
            f"  {name:44s} {np.median(seconds):9.3f} {seconds.min():8.3f} {seconds.max():8.3f} "
            f"{max(result[1] for result in results):10.1e}   {np.median(seconds / base):6.1f}x",
            flush=True,
        )
    if pairs:
        print(f"  {pairs}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES), help=f"some of {', '.join(CASES)}, or a packed npz")
    parser.add_argument("--alpha", type=float, default=0.0, help="l2 penalty of all methods")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=4, help="nodes on which scikit-learn is timed; 0: all")
    parser.add_argument("--skip", nargs="*", default=[], choices=("sklearn", "joint"), help="baselines to leave out")
    arguments = parser.parse_args()
    announce(sum(SECONDS.get(case, 60) for case in arguments.cases) * (arguments.repeats + 1))
    print(
        "one thread; seconds of processor time, medians over",
        arguments.repeats,
        "repeats, ratios medians within a repeat",
    )
    with threadpool_limits(1):
        for case in arguments.cases:
            compare(case, arguments.alpha, arguments.repeats, arguments.nodes, arguments.skip)


if __name__ == "__main__":
    main()
