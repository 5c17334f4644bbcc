"""Big problems that finish: `python benchmarks/large.py fit`, `wide`, `map` or `cells`; minutes to hours.

fit     N = 2000 spins, M = 100,000 samples: couplings and standard errors.
wide    N = 10,000 spins, M = 20,000 samples: couplings with a penalty; the process needs less than 24 GB. With two
        samples for each spin a logistic regression is about to lose its finite optimum (Candes, Sur 2020, Ann. Statist.
        48, 27), and the weak default penalty would leave couplings several times too large, after many more passes.
map     a memory map of 20 GB in the folder of --output, N = 1000 and M = 20 million: couplings.
cells   a sweep of 1000 small cells on a Dask cluster of one worker; the driver's share is extrapolated to 10,000.

Every run is a process of its own, prints wall and processor seconds, and the largest memory that it held. Samples are
those of Hebbian patterns above their transition, in equilibrium. --spins and --samples make the problems smaller.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from duration import announce
from sklearn.exceptions import ConvergenceWarning

from infer import PseudoLikelihood, sweep
from simulate import Glauber, PatternCouplings, random_patterns, sample

SIZES = {"fit": (2000, 100_000), "wide": (10_000, 20_000), "map": (1000, 20_000_000)}
# rows of the map that are drawn; they are repeated until it is full
DRAWN = 1_000_000
# measured for `fit`, `map` and `cells`; of `wide` from the passes of smaller ones
SECONDS = {"fit": 75, "wide": 1800, "map": 900, "cells": 400}
ALPHA = {"wide": 0.3}
TEMPERATURE = 1.5
CELLS = {
    "n_spins": 20,
    "load": [0.1, 0.2],
    "temperature": [1.4, 1.6, 1.8, 2.0, 2.2],
    "dynamics": {"name": "persistent-threshold", "persistence": [0.0, 0.2, 0.4, 0.6, 0.8]},
    "draws": 200,
    "burn_in": 20,
    "chains": 2,
}


@contextmanager
def timed(name: str) -> Iterator[None]:
    wall, processor = time.perf_counter(), time.process_time()
    yield
    print(
        f"{name}: {time.perf_counter() - wall:.1f} s, {time.process_time() - processor:.1f} s of the processor, "
        f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB so far",
        flush=True,
    )


def samples(n_spins: int, n_samples: int) -> np.ndarray:
    """Equilibrium samples (n_samples, n_spins) of one pattern for every forty spins."""
    couplings = PatternCouplings(random_patterns(max(n_spins // 40, 1), n_spins, seed=0))
    chains = 20
    data = sample(
        Glauber(couplings, TEMPERATURE),
        draws=n_samples // chains,
        chains=chains,
        burn_in=50,
        thin=2,
        seed=1,
        check=False,
    )
    return data["spins"].values.reshape(-1, n_spins)


def couplings_of(spins: np.ndarray, errors: bool, max_iter: int | None, alpha: float | None) -> None:
    options = {"alpha": alpha} | ({} if max_iter is None else {"max_iter": max_iter})
    with warnings.catch_warnings():
        if max_iter is not None:
            warnings.simplefilter("ignore", ConvergenceWarning)
        with timed("fit, with errors" if errors else "fit"):
            model = PseudoLikelihood(errors=errors, fit_fields=False, **options).fit(spins)
    print(f"passes at most {np.max(model.n_iter_)}; mean coupling {model.couplings_.mean():.3g}", flush=True)


def memory_map(folder: Path, n_spins: int, n_samples: int) -> np.ndarray:
    """A read-only memory map of the samples, from a file that is left in the folder."""
    path = folder / f"spins-{n_spins}-{n_samples}.npy"
    if not path.exists():
        drawn = samples(n_spins, min(DRAWN, n_samples))
        stored = np.lib.format.open_memmap(path, mode="w+", dtype=np.int8, shape=(n_samples, n_spins))
        for first in range(0, n_samples, len(drawn)):
            part = stored[first : first + len(drawn)]
            part[:] = drawn[: len(part)]
            stored.flush()
        del stored
    print(f"{path.stat().st_size / 1e9:.1f} GB in {path.name}", flush=True)
    return np.load(path, mmap_mode="r")


def cells(repeats: int) -> None:
    """A sweep of 50 `repeats` cells: what the driver does by itself, and what the store holds."""
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        tempfile.TemporaryDirectory() as folder,
    ):
        sizes = {}
        for name, number in (("first, which compiles", 1), ("whole", repeats)):
            store = Path(folder, f"{number}.sqlite")
            wall, processor = time.perf_counter(), time.process_time()
            sweep(CELLS | {"repeats": number}, store, backend="dask", scheduler=cluster.scheduler_address)
            sizes[name] = store.stat().st_size
            count, spent = 50 * number, time.process_time() - processor
            print(
                f"{name}: {count} cells, {time.perf_counter() - wall:.1f} s, {spent:.1f} s of the driver's processor "
                f"({1e3 * spent / count:.1f} ms a cell), store {sizes[name] / 1e6:.2f} MB "
                f"({sizes[name] / count / 1e3:.2f} kB a cell)",
                flush=True,
            )
        print(f"10,000 cells: driver {1e4 * spent / count:.0f} s, store {1e4 * sizes['whole'] / count / 1e6:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", choices=[*SIZES, "cells"])
    parser.add_argument("--spins", type=int)
    parser.add_argument("--samples", type=int)
    parser.add_argument(
        "--max-iter", type=int, help="most passes of a fit; a fit that has not converged is not warned of"
    )
    parser.add_argument("--repeats", type=int, default=20, help="repeats of the 50 cells of `cells` (default 20)")
    parser.add_argument("--output", type=Path, default=Path("."), help="folder of the memory map")
    parser.add_argument("--alpha", type=float, help="penalty; by default one prior sample, of `wide` 0.3")
    given = parser.parse_args()
    announce(SECONDS[given.problem])
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} (1 minute), {os.cpu_count()} processors", flush=True)
    if given.problem == "cells":
        return cells(given.repeats)
    n_spins, n_samples = given.spins or SIZES[given.problem][0], given.samples or SIZES[given.problem][1]
    with timed(f"samples, N = {n_spins}, M = {n_samples}"):
        spins = memory_map(given.output, n_spins, n_samples) if given.problem == "map" else samples(n_spins, n_samples)
    alpha = ALPHA.get(given.problem) if given.alpha is None else given.alpha
    couplings_of(spins, False, given.max_iter, alpha)
    if given.problem == "fit":
        couplings_of(spins, True, given.max_iter, alpha)
    return None


if __name__ == "__main__":
    main()
