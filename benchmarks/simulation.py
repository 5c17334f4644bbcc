"""Speed of the simulation, compared with other libraries: `python benchmarks/simulation.py`.

Every figure is the median over repeats in one run, one thread and its processor time unless said; ratios compare the
same repeats. Peers come with the extra `bench` (dwave-samplers, openjij) and are left out, with a word, where they are
not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from duration import announce
from joblib import Parallel, delayed
from numba import njit
from threadpoolctl import threadpool_limits

from simulate import (
    ActiveOrnsteinUhlenbeck,
    Glauber,
    Harmonic,
    PatternCouplings,
    PersistentGlauber,
    SoftSpin,
    hebbian,
    random_patterns,
    sample,
)

# sweeps of the shorter of the two runs whose difference times a peer
_PEER_SWEEPS = 20


@njit(cache=True)
def plain_loop(couplings, spins, fields, temperature, updates, seed):
    """What a careful user writes: one chain, incremental contiguous single-precision fields."""
    np.random.seed(seed)  # noqa: NPY002 - the one generator that compiled code has without a state
    for _ in range(updates):
        site = np.random.randint(0, len(spins))  # noqa: NPY002
        up = 1.0 / (1.0 + np.exp(-2.0 * fields[site] / temperature))
        new = np.float32(1.0) if np.random.random() < up else np.float32(-1.0)  # noqa: NPY002
        if new != spins[site]:
            change = new - spins[site]
            spins[site] = new
            row = couplings[site]
            for j in range(len(spins)):
                fields[j] += change * row[j]


@njit(cache=True)
def plain_persistent_loop(couplings, spins, fields, thresholds, temperature, persistence, updates, seed):
    """The same with persistent thresholds, 1/2 log(u / (1 - u)) drawn anew with probability 1 - persistence."""
    np.random.seed(seed)  # noqa: NPY002
    for _ in range(updates):
        site = np.random.randint(0, len(spins))  # noqa: NPY002
        if np.random.random() >= persistence:  # noqa: NPY002
            u = np.random.random()  # noqa: NPY002
            thresholds[site] = 0.5 * temperature * np.log(u / (1.0 - u))
        new = np.float32(1.0) if fields[site] + thresholds[site] >= 0 else np.float32(-1.0)
        if new != spins[site]:
            change = new - spins[site]
            spins[site] = new
            row = couplings[site]
            for j in range(len(spins)):
                fields[j] += change * row[j]


def median_rates(
    runs: dict[str, tuple[Callable[[int], object], float]],
    repeats: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, np.ndarray]:
    """Operations per second of every run, all runs in turn within each repeat, the first repeat thrown away."""
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, (run, operations) in runs.items():
            start = clock()
            run(repeat)
            if repeat:
                rates[name].append(operations / (clock() - start))
    return {name: np.array(values) for name, values in rates.items()}


def report(title: str, rates: dict[str, np.ndarray], baseline: str, unit: float) -> None:
    print(f"\n{title}")
    print(f"  {'':42s} {'median':>12s} {'min':>8s} {'max':>8s}   ratio to {baseline}")
    for name, values in rates.items():
        ratio = np.median(values / rates[baseline])
        print(
            f"  {name:42s} {np.median(values) / unit:12.2f} {values.min() / unit:8.2f} {values.max() / unit:8.2f}"
            f"   {ratio:6.2f}x"
        )


def spins(n_spins: int, n_patterns: int, beta: float, repeats: int, chains: int = 64, sweeps: int = 1000) -> None:
    patterns = random_patterns(n_patterns, n_spins, seed=0)
    couplings = hebbian(patterns)
    temperature = 1.0 / beta
    updates = chains * sweeps * n_spins
    loop_updates = min(updates, 2_000_000)
    matrix = couplings.astype(np.float32)
    state = np.random.default_rng(0).choice([-1.0, 1.0], size=n_spins).astype(np.float32)
    fields = (matrix @ state).astype(np.float32)

    def ours(kind: object, chains: int = chains, persistence: float = 0.0) -> Callable[[int], object]:
        dynamics = PersistentGlauber(kind, temperature, persistence)
        sweeps = int(updates / chains / n_spins)
        return lambda seed: sample(
            dynamics, draws=1, chains=chains, burn_in=0, thin=sweeps, seed=seed, n_jobs=1, check=False
        )

    hebbian_patterns, dreamed = PatternCouplings(patterns), PatternCouplings(patterns, 0.3)
    dreamed_matrix = dreamed.toarray()  # real numbers; those of the Hebbian matrix are whole multiples of 1/N
    runs: dict[str, tuple[Callable[[int], object], float]] = {
        "numba loop": (
            lambda seed: plain_loop(matrix, state, fields, temperature, loop_updates, seed),
            loop_updates,
        ),
        "reverie, Hebbian patterns": (ours(hebbian_patterns), updates),
        "reverie, Hebbian patterns, 8 chains": (ours(hebbian_patterns, 8), updates),
        "reverie, Hebbian patterns, 1 chain": (ours(hebbian_patterns, 1), updates),
        "reverie, dreamed patterns": (ours(dreamed), updates),
        "reverie, dreamed patterns, 8 chains": (ours(dreamed, 8), updates),
        "reverie, Hebbian matrix": (ours(couplings), updates),
        "reverie, Hebbian matrix, 8 chains": (ours(couplings, 8), updates),
        "reverie, dreamed matrix": (ours(dreamed_matrix), updates),
        "reverie, dreamed matrix, 8 chains": (ours(dreamed_matrix, 8), updates),
    }
    still, at_rest, kept = state.copy(), fields.copy(), np.zeros(n_spins)
    persistent: dict[str, tuple[Callable[[int], object], float]] = {
        "numba loop": (
            lambda seed: plain_persistent_loop(matrix, still, at_rest, kept, temperature, 0.9, loop_updates, seed),
            loop_updates,
        ),
        "reverie, Hebbian patterns": (ours(hebbian_patterns, chains, 0.9), updates),
        "reverie, dreamed patterns": (ours(dreamed, chains, 0.9), updates),
        "reverie, Hebbian matrix": (ours(couplings, chains, 0.9), updates),
        "reverie, dreamed matrix": (ours(dreamed_matrix, chains, 0.9), updates),
    }
    upper = {(i, j): -couplings[i, j] for i in range(n_spins) for j in range(i + 1, n_spins) if couplings[i, j]}
    if importlib.util.find_spec("dwave"):
        from dwave.samplers import SimulatedAnnealingSampler

        linear = dict.fromkeys(range(n_spins), 0.0)
        sampler = SimulatedAnnealingSampler()

        def dwave(few: int) -> Callable[[int], object]:
            return lambda seed: sampler.sample_ising(
                linear, upper, num_reads=chains, num_sweeps=few, beta_range=[beta, beta], seed=seed + 1
            )

        # the time of one sweep is that of many less that of few: setting up the problem is not counted
        runs["dwave-samplers (many sweeps)"] = (dwave(11 * _PEER_SWEEPS), updates)
        runs["dwave-samplers (few sweeps)"] = (dwave(_PEER_SWEEPS), updates)
    if importlib.util.find_spec("openjij"):
        import openjij

        jij = openjij.SASampler()

        def openjij_run(few: int) -> Callable[[int], object]:
            return lambda seed: jij.sample_ising(
                {}, upper, beta_min=beta, beta_max=beta, num_sweeps=few, num_reads=chains, seed=seed + 1
            )

        runs["openjij (many sweeps)"] = (openjij_run(11 * _PEER_SWEEPS), updates)
        runs["openjij (few sweeps)"] = (openjij_run(_PEER_SWEEPS), updates)
    rates = median_rates(runs, repeats)
    for peer in ("dwave-samplers", "openjij"):
        many, few = rates.pop(f"{peer} (many sweeps)", None), rates.pop(f"{peer} (few sweeps)", None)
        if many is not None and few is not None:
            seconds = updates / many - updates / few
            rates[peer] = chains * n_spins * 10 * _PEER_SWEEPS / seconds
    report(
        f"Spins: N = {n_spins}, P = {n_patterns}, beta = {beta:g}, {chains} chains, one thread; million updates/s",
        rates,
        "numba loop",
        1e6,
    )
    report(
        f"Persistent spins, persistence 0.9: N = {n_spins}, P = {n_patterns}, beta = {beta:g}, {chains} chains, one "
        "thread; million updates/s",
        median_rates(persistent, repeats),
        "numba loop",
        1e6,
    )


def first_call() -> None:
    """Processor seconds of the first `sample` in a process whose compiled code is cached, and of the second."""
    code = (
        "import time\n"
        "from simulate import Glauber, PatternCouplings, random_patterns, sample\n"
        "dynamics = Glauber(PatternCouplings(random_patterns(50, 1000, seed=0)), 1.0)\n"
        "for _ in range(2):\n"
        "    start = time.process_time()\n"
        "    sample(dynamics, draws=2, chains=8, burn_in=1, seed=0, check=False)\n"
        "    print(time.process_time() - start)\n"
    )
    for _ in range(2):  # the first process may have to compile
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = map(float, done.stdout.split())
    print(f"\nFirst call of sample in a process: {first:.2f} s, second {second:.3f} s")


def two_threads(repeats: int) -> None:
    """Eight chains on one thread and on two, in runs of a second or more: shorter ones measure the scheduler.

    Beside them two processes of four chains each, which share nothing: more than these gain the machine does not give.
    """
    for n_spins, name, sweeps in ((1000, "patterns", 8000), (1000, "matrix", 4000), (500, "matrix", 16000)):
        patterns = random_patterns(n_spins // 20, n_spins, seed=0)
        dynamics = Glauber(PatternCouplings(patterns) if name == "patterns" else hebbian(patterns), 1.0)
        updates = 8 * sweeps * n_spins

        def run(jobs: int, seed: int, chains: int = 8, dynamics: Glauber = dynamics, sweeps: int = sweeps) -> object:
            return sample(dynamics, draws=1, chains=chains, burn_in=0, thin=sweeps, seed=seed, n_jobs=jobs, check=False)

        def processes(seed: int, run: Callable[..., object] = run) -> object:
            return Parallel(2, backend="loky")(delayed(run)(1, 2 * seed + k, 4) for k in range(2))

        runs: dict[str, tuple[Callable[[int], object], float]] = {
            "one thread": (partial(run, 1), updates),
            "two threads": (partial(run, 2), updates),
            "two processes of four chains": (processes, updates),
        }
        report(
            f"Spins: N = {n_spins}, P = {len(patterns)}, beta = 1, 8 chains, {name}; million updates a second",
            median_rates(runs, repeats, clock=time.perf_counter),
            "one thread",
            1e6,
        )


def active(potential: Harmonic | SoftSpin, repeats: int, n_spins: int = 400, chains: int = 64) -> None:
    couplings = hebbian(random_patterns(40, n_spins, seed=0))
    parameters = {"temperature": 0.1, "potential": potential}
    dynamics = ActiveOrnsteinUhlenbeck(couplings, 1.0, 0.5, **parameters)
    units = 20
    steps = units * dynamics.steps_per_unit
    dt = 1 / dynamics.steps_per_unit
    stepping = (
        dynamics
        if isinstance(potential, SoftSpin)
        else ActiveOrnsteinUhlenbeck(couplings, 1.0, 0.5, time_step=dt, **parameters)
    )

    def own_force(x: np.ndarray) -> np.ndarray:
        return x - x**3 if isinstance(potential, SoftSpin) else -potential.stiffness * x

    def euler(vectorised: bool, steps: int) -> Callable[[int], object]:
        shape = (chains, n_spins) if vectorised else (n_spins,)

        def run(seed: int) -> None:
            rng = np.random.default_rng(seed)
            for _ in range(1 if vectorised else chains):
                x, v = rng.standard_normal(shape), np.zeros(shape)
                for _ in range(steps):
                    force = x @ couplings + own_force(x)
                    x = x + dt * (force + v) + np.sqrt(2 * 0.1 * dt) * rng.standard_normal(shape)
                    v = v - dt * v + np.sqrt(2 * 0.5 * dt) * rng.standard_normal(shape)

        return run

    def products(seed: int) -> None:
        x = np.random.default_rng(seed).standard_normal((n_spins, chains), dtype=np.float32)
        out = np.empty_like(x)
        matrix = couplings.astype(np.float32)
        for _ in range(2 * steps):
            np.matmul(matrix, x, out=out)

    def ours(dynamics: ActiveOrnsteinUhlenbeck) -> Callable[[int], object]:
        return lambda seed: sample(
            dynamics, draws=units, chains=chains, burn_in=0, thin=1, seed=seed, n_jobs=1, check=False
        )

    total = float(steps * chains)
    runs: dict[str, tuple[Callable[[int], object], float]] = {
        "numpy Euler, replica by replica": (euler(False, steps // 10), total / 10),
        "numpy Euler, all replicas at once": (euler(True, steps), total),
        "reverie, Heun steps": (ours(stepping), total),
        "two matrix products a step, alone": (products, total),
    }
    if dynamics.exact:
        runs["reverie, exact law from draw to draw"] = (ours(dynamics), total)
    title = f"Active units, {potential}: N = {n_spins}, {chains} replicas, one thread, {units} draws one unit apart"
    report(
        f"{title}, {steps // units} steps a unit; thousand replica steps a second",
        median_rates(runs, repeats),
        "numpy Euler, replica by replica",
        1e3,
    )


def memory(n_spins: int = 20_000, n_patterns: int = 500) -> None:
    """Peak memory of a process that makes patterns and samples them."""
    code = (
        "import resource\n"
        "from simulate import Glauber, PatternCouplings, random_patterns, sample\n"
        f"couplings = PatternCouplings(random_patterns({n_patterns}, {n_spins}, seed=0))\n"
        "sample(Glauber(couplings, 0.5), draws=5, chains=64, burn_in=2, thin=1, seed=0)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    print(f"\nMemory: N = {n_spins}, P = {n_patterns}, 64 chains: at most {float(done.stdout.split()[-1]):.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="repeats behind every median (default 5)")
    repeats = parser.parse_args().repeats
    announce(20 + 45 * (repeats + 1))
    for peer in ("dwave", "openjij"):
        if not importlib.util.find_spec(peer):
            print(f"{peer} is not installed and left out (pip install -e '.[bench]')")
    with threadpool_limits(1):
        for n_spins, n_patterns in ((1000, 50), (200, 10)):
            for beta in (1.0, 2.0):
                spins(n_spins, n_patterns, beta, repeats)
        for potential in (Harmonic(3.0), SoftSpin(1.0)):
            active(potential, repeats)
    two_threads(repeats)
    first_call()
    memory()


if __name__ == "__main__":
    main()
