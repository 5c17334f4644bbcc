"""Time of Monte Carlo maximum likelihood beside a plain compiled program: `python benchmarks/likelihood.py`.

Units that fire rarely and share bursts, as a retina does (35 units x 72 000 rows and 50 units x 283 000 rows), and 50
and 100 units drawn from a known pair model with sparse couplings. The plain program is what one writes first:
persistent chains of heat-bath sweeps in numba, one random number for each spin, and gradient steps on means and second
moments from independent spins, until the root mean square difference is a fifth of the standard errors of the data or
the time of `--patience` fits is over.

Both end with moments of data and model compared on fresh chains, from independent spins, which run until their noise is
a twentieth of the data's errors: root mean square difference in units of these errors, noise of the chains taken off.
One thread; processor time, so that
other work on the machine counts little. The last columns are the standard errors' share of our time and the wall time.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from duration import announce
from numba import njit
from threadpoolctl import threadpool_limits

from infer import MaximumLikelihood
from infer.estimators.likelihood.chain_moments import independent_spins, run_chains
from infer.estimators.likelihood.chains import PersistentChains
from infer.estimators.likelihood.monte_carlo import moment_errors
from infer.estimators.likelihood.terms import Terms

JUDGE_DRAWS, MOST_JUDGE_DRAWS = 5_000, 500_000  # of each of 128 chains
JUDGE_NOISE = 0.05  # in units of the data's errors


def bursts(n_units: int, n_rows: int, seed: int) -> np.ndarray:
    """Units that fire in 2 % of the rows, more often in bursts, which last some rows and take a part of the units."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.003, 0.02, n_units)
    part = rng.uniform(0.05, 0.35, (4, n_units))
    kind = np.zeros(n_rows, dtype=int)
    for start in np.flatnonzero(rng.random(n_rows) < 0.01):
        kind[start : start + rng.integers(1, 10)] = rng.integers(1, 5)
    chance = np.concatenate([base[None], part])[kind]
    return np.where(rng.random((n_rows, n_units)) < chance, 1, -1).astype(np.int8)


def planted(n_units: int, n_rows: int, seed: int) -> np.ndarray:
    """Units of a pair model: fields of rare units, an eighth of the pairs coupled, with either sign."""
    rng = np.random.default_rng(seed)
    couplings = np.triu(rng.normal(0.05, 0.2, (n_units, n_units)) * (rng.random((n_units, n_units)) < 0.125), 1)
    couplings += couplings.T
    fields = rng.uniform(-2.3, -1.5, n_units) + couplings.sum(axis=1)
    chains = PersistentChains(np.full((200, n_units), -1), seed)
    chains.advance(couplings, fields, 500)
    draws = -(-n_rows // 200)
    return chains.advance(couplings, fields, 10 * draws, record=True, every=10).reshape(-1, n_units)[:n_rows]


CASES = {
    "35 x 72 000, bursts": (bursts, 35, 72_000, 0),
    "50 x 283 000, bursts": (bursts, 50, 283_000, 1),
    "50 x 283 000, pair model": (planted, 50, 283_000, 2),
    "100 x 100 000, pair model": (planted, 100, 100_000, 3),
}


@njit
def plain_sweeps(couplings, fields, spins, n_sweeps, first, second):
    """Heat-bath sweeps of all chains; sums of spins and of products after each sweep."""
    n_chains, n = spins.shape
    for _ in range(n_sweeps):
        for c in range(n_chains):
            for i in range(n):
                local = fields[i]
                for j in range(n):
                    local += couplings[i, j] * spins[c, j]
                chance = 1.0 / (1.0 + np.exp(-2.0 * local))
                spins[c, i] = 1.0 if np.random.random() < chance else -1.0  # noqa: NPY002
            for i in range(n):
                first[i] += spins[c, i]
                for j in range(n):
                    second[i, j] += spins[c, i] * spins[c, j]


def plain_fit(spins: np.ndarray, seconds: float) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Couplings and fields by gradient steps; processor time and number of steps."""
    started = time.process_time()
    values = spins.astype(np.float32)
    n_rows, n = values.shape
    means, products = values.mean(axis=0, dtype=float), values.T @ values / np.float32(n_rows)
    alpha = 1.0 / n_rows
    fields = np.arctanh(np.clip(means, -1 + 1e-6, 1 - 1e-6))
    couplings = np.zeros((n, n))
    chains = np.where(np.random.default_rng(0).random((128, n)) < (1 + means) / 2, 1.0, -1.0)
    errors = np.sqrt(np.maximum(1 - products.astype(float) ** 2, 2 / n_rows) / n_rows)
    off = ~np.eye(n, dtype=bool)
    averaged, n_steps, recent = 0.0, 0, []
    while time.process_time() - started < seconds:
        first, second = np.zeros(n), np.zeros((n, n))
        plain_sweeps(couplings, fields, chains, 20, first, second)
        n_steps += 1
        gradient = products - second / (20 * 128) - alpha * couplings
        rate = 0.3 / (1 + n_steps / 200)
        couplings += np.where(off, rate * gradient, 0.0)
        fields += rate * (means - first / (20 * 128))
        recent.append(np.where(off, gradient, 0.0))
        if n_steps % 100 == 0:
            averaged = np.sqrt(np.mean((np.mean(recent, axis=0)[off] / errors[off]) ** 2))
            recent.clear()
            if averaged < 0.2:
                break
    return couplings, fields, time.process_time() - started, n_steps


def mismatch(couplings: np.ndarray, fields: np.ndarray, spins: np.ndarray) -> float:
    """Root mean square difference of moments on fresh chains, in units of the data's errors."""
    n_rows, n = spins.shape
    values = spins.astype(np.float32)
    means, products = values.mean(axis=0, dtype=float), (values.T @ values).astype(float) / n_rows
    terms = Terms(n)
    vector = terms.pack(couplings, fields)
    chains = PersistentChains(independent_spins(means, 128, np.random.default_rng(1)), 2)
    run_chains(terms, vector, chains, means, 1000, most_states=1)
    errors = moment_errors(terms, means, products, None, n_rows)
    found = run_chains(terms, vector, chains, means, JUDGE_DRAWS, most_states=1)
    while np.mean(found.variance / errors**2) > JUDGE_NOISE**2 and found.n_draws < MOST_JUDGE_DRAWS:
        found = found.joined(run_chains(terms, vector, chains, means, JUDGE_DRAWS, most_states=1), 1)
    gradient = found.mean - terms.pack(products, means) + terms.pack(couplings / n_rows, np.zeros(n))
    return float(np.sqrt(max(np.mean((gradient**2 - found.variance) / errors**2), 0.0)))


def measure(name: str, spins: np.ndarray, patience: float) -> None:
    """One line of the table."""
    wall, clock = time.perf_counter(), time.process_time()
    fitted = MaximumLikelihood("pcd").fit(spins)
    ours, wall = time.process_time() - clock, time.perf_counter() - wall
    clock = time.process_time()
    MaximumLikelihood("pcd", errors=False).fit(spins)
    bare = time.process_time() - clock
    couplings, fields, theirs, n_steps = plain_fit(spins, patience * ours)
    share = 100 * np.mean(spins > 0)
    print(
        f"| {name}, {share:.1f} % active | {ours:.1f} s "
        f"| {mismatch(fitted.couplings_, fitted.fields_, spins):.2f} | {fitted.converged_} "
        f"| {theirs:.1f} s | {mismatch(couplings, fields, spins):.2f} | {n_steps} "
        f"| {100 * (1 - bare / ours):.0f} % | {wall:.1f} s |",
        flush=True,
    )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--patience", type=float, default=4.0, help="times our time that the plain program may take")
    options = parser.parse_args()
    announce(80 * len(options.cases))
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = bursts(6, 500, 9)
        MaximumLikelihood("pcd", max_iter=5).fit(small)
        plain_fit(small, 1e-3)
        print("| rows | fit | mismatch | accepted | plain program | mismatch | steps | errors' share | wall |")
        print("|---|---|---|---|---|---|---|---|---|")
        for name in options.cases:
            make, *sizes = CASES[name]
            measure(name, make(*sizes), options.patience)


if __name__ == "__main__":
    main()
