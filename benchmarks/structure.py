"""Samples that each estimator needs to find a graph without a mistake: `python benchmarks/structure.py`.

After Lokhov, Vuffray, Misra, Chertkov 2018 (arXiv:1612.05024): 16 spins without fields on a graph whose couplings have
one size |J|; independent exact samples, by enumeration of the 65 536 states; a pair counts as coupled where the
estimate, averaged over its two nodes, exceeds |J| / 2. A number of samples is enough when 45 of 45 independent trials
find exactly the graph (if a trial succeeds with probability 95 % or less, that happens in at most 10 % of cases). The
least such number is found by doubling and bisection on the grid 2^(k/8). Penalties are c sqrt(log(N^2 / 0.05) / M) with
c = 0.4 (RISE), 0.8 (logRISE), 0.2 (pseudo-likelihood), as theirs.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from duration import announce
from joblib import Parallel, delayed, effective_n_jobs
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from infer import InteractionScreening, MeanField, MinimumProbabilityFlow, PseudoLikelihood

N_SPINS, TRIALS = 16, 45
SECONDS = 30  # a cell, on average: strong couplings take many times as long as weak ones
STEPS = 8  # of the numbers of samples tried, per doubling
STATES = (2 * ((np.arange(2**N_SPINS)[:, None] >> np.arange(N_SPINS)) & 1) - 1).astype(np.int8)
UPPER = np.triu_indices(N_SPINS, 1)
GRAPHS = ("lattice-ferromagnet", "lattice-glass", "regular-ferromagnet", "regular-glass")


def penalty(c: float, n_samples: int) -> float:
    return c * float(np.sqrt(np.log(N_SPINS**2 / 0.05) / n_samples))


def tolerance(n_samples: int) -> float:
    """Of gradients: a tenth of what one sample weighs, where samples of one kind in a million decide."""
    return max(min(1e-6, 0.1 / n_samples), 1e-11)


METHODS: dict[str, Callable[[int], Any]] = {
    "RISE": lambda m: InteractionScreening("rise", penalty(0.4, m), tol=tolerance(m)),
    "logRISE": lambda m: InteractionScreening("logrise", penalty(0.8, m), tol=tolerance(m)),
    "pseudo-likelihood l1": lambda m: PseudoLikelihood("l1", penalty(0.2, m), tol=tolerance(m)),
    "pseudo-likelihood": lambda m: PseudoLikelihood(tol=tolerance(m)),
    "probability flow": lambda m: MinimumProbabilityFlow(tol=tolerance(m)),
    "naive mean field": lambda m: MeanField("naive", fit_fields=False),
    "Bethe": lambda m: MeanField("bethe", fit_fields=False),
}


def edges(graph: str) -> np.ndarray:
    """Adjacency (16, 16): the 4 x 4 square lattice with periodic boundaries, or a random 3-regular graph."""
    adjacent = np.zeros((N_SPINS, N_SPINS), dtype=bool)
    if graph.startswith("lattice"):
        site = np.arange(N_SPINS).reshape(4, 4)
        for axis in (0, 1):
            adjacent[site.ravel(), np.roll(site, 1, axis=axis).ravel()] = True
    else:
        rng = np.random.default_rng(0)
        while True:  # the pairing model: three ends a spin, drawn again until no pair or spin repeats
            ends = rng.permutation(np.repeat(np.arange(N_SPINS), 3)).reshape(-1, 2)
            if np.all(ends[:, 0] != ends[:, 1]) and len({frozenset(pair) for pair in ends.tolist()}) == len(ends):
                break
        adjacent[ends[:, 0], ends[:, 1]] = True
    return adjacent | adjacent.T


def couplings_of(graph: str, strength: float) -> np.ndarray:
    signs = np.ones((N_SPINS, N_SPINS))
    if graph.endswith("glass"):
        upper = np.triu(np.random.default_rng(1).choice([-1.0, 1.0], size=(N_SPINS, N_SPINS)), 1)
        signs = upper + upper.T
    return strength * signs * edges(graph)


def boltzmann(couplings: np.ndarray) -> np.ndarray:
    states = STATES.astype(np.float64)
    exponent = 0.5 * np.einsum("ki,ki->k", states @ couplings, states)
    weight = np.exp(exponent - exponent.max())
    return weight / weight.sum()


def succeeds(
    method: str, couplings: np.ndarray, probability: np.ndarray, strength: float, n_samples: int, trial: int
) -> bool:
    """Whether one set of samples gives the graph without a mistake."""
    rng = np.random.default_rng([2, trial, n_samples])
    counts = rng.multinomial(n_samples, probability)
    seen = np.flatnonzero(counts)  # equal rows count as one row with a weight: no more than there are states
    if np.any(np.ptp(STATES[seen], axis=0) == 0):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = METHODS[method](n_samples).fit(STATES[seen], sample_weight=counts[seen])
    except ValueError:  # no inverse covariance
        return False
    return bool(np.array_equal(np.abs(model.couplings_[UPPER]) > strength / 2, couplings[UPPER] != 0))


def samples_needed(graph: str, strength: float, method: str, most: int) -> int | None:
    """Least number of samples on the grid with which all trials succeed; None if it is above `most`."""
    couplings = couplings_of(graph, strength)
    probability = boltzmann(couplings)

    def enough(k: int) -> bool:
        n_samples = round(2 ** (k / STEPS))
        return all(succeeds(method, couplings, probability, strength, n_samples, trial) for trial in range(TRIALS))

    high = 5 * STEPS
    while not enough(high):
        high += STEPS
        if 2 ** (high / STEPS) > most:
            return None
    low = high - STEPS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return round(2 ** (high / STEPS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", nargs="*", default=list(GRAPHS), choices=GRAPHS)
    parser.add_argument("--strengths", nargs="*", type=float, default=[0.2, 0.4, 0.6, 0.8, 1.0])
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--most", type=int, default=1 << 28, help="largest number of samples tried")
    parser.add_argument("--n-jobs", type=int, default=1)
    arguments = parser.parse_args()
    n_cells, n_threads = (
        len(arguments.graphs) * len(arguments.strengths) * len(arguments.methods),
        effective_n_jobs(arguments.n_jobs),
    )
    announce(SECONDS * n_cells / n_threads, n_threads)
    tasks = [(g, s, m) for g in arguments.graphs for s in arguments.strengths for m in arguments.methods]
    start = time.time()
    with threadpool_limits(1):
        run = Parallel(n_jobs=arguments.n_jobs, return_as="generator")(
            delayed(samples_needed)(*task, arguments.most) for task in tasks
        )
        needed = dict(zip(tasks, tqdm(run, total=len(tasks), unit="cell"), strict=True))
    for graph in arguments.graphs:
        print(f"\n{graph}: samples needed for {TRIALS} of {TRIALS} perfect reconstructions")
        print(f"  {'|J|':24s}" + "".join(f"{s:>12g}" for s in arguments.strengths))
        for method in arguments.methods:
            row = [needed[graph, s, method] for s in arguments.strengths]
            shown = [f"> {arguments.most}" if n is None else str(n) for n in row]
            print(f"  {method:24s}" + "".join(f"{value:>12s}" for value in shown))
    print(f"\n{time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
