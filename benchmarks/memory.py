"""Memory of a fit to a memory map larger than memory is allowed to be: `python benchmarks/memory.py`.

Writes int8 samples (by default 8 million of 500 spins, 4 GB) to a file in a temporary folder, fits a process of its own
to the map of it, and prints that process's peak memory and time. Samples are exact-equilibrium draws of an Ising model
on a torus: a tile of Glauber samples, shifted, reflected and flipped anew for every tile, so that rows differ while
their distribution stays the same. Mapped pages of the file count as resident memory as long as they are held, though
they can be dropped at any time, so both numbers are shown: everything resident, and what belongs to the process alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from duration import announce
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

HEIGHT = 20  # of the torus, in spins
STRENGTH = 0.25  # coupling over temperature, above the ordering transition


def torus(n_spins: int) -> np.ndarray:
    """Couplings (n_spins, n_spins) of nearest neighbours on a torus of 20 rows."""
    site = np.arange(n_spins).reshape(HEIGHT, -1)
    couplings = np.zeros((n_spins, n_spins))
    for axis in (0, 1):
        couplings[site.ravel(), np.roll(site, 1, axis=axis).ravel()] = STRENGTH
    return np.maximum(couplings, couplings.T)


def write_samples(path: Path, n_spins: int, n_samples: int) -> None:
    """Samples as a raw file of int8, tile by tile."""
    from simulate import Glauber, sample

    dynamics = Glauber(couplings=torus(n_spins), temperature=1.0)
    data = sample(dynamics, draws=1000, chains=64, burn_in=200, thin=2, seed=0, check=False)
    tile = data["spins"].values.reshape(-1, HEIGHT, n_spins // HEIGHT)
    rng = np.random.default_rng(1)
    with path.open("wb") as file, tqdm(total=n_samples, desc="writing", unit="row", unit_scale=True) as bar:
        left = n_samples
        while left:
            rows = tile[rng.permutation(len(tile))[:left]]
            rows = np.roll(rows, rng.integers(0, n_spins, size=2), axis=(1, 2))
            rows = rows[:, :: rng.choice([-1, 1]), :: rng.choice([-1, 1])] * np.int8(rng.choice([-1, 1]))
            np.ascontiguousarray(rows, dtype=np.int8).tofile(file)
            left -= len(rows)
            bar.update(len(rows))


def resident(name: str) -> int:
    """A line of the kernel's account of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def fit(path: Path, n_spins: int, tol: float, n_jobs: int) -> dict[str, float]:
    """Fit to the map, watching the memory of this process."""
    from infer import PseudoLikelihood

    PseudoLikelihood().fit(np.random.default_rng(0).choice([-1, 1], size=(2000, 5)))  # compile and import first
    samples = np.memmap(path, dtype=np.int8, mode="r").reshape(-1, n_spins)
    before, peak, over = resident("RssAnon"), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.05):
            peak = max(peak, resident("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, cpu = time.time(), time.process_time()
    with threadpool_limits(1):
        model = PseudoLikelihood(tol=tol, n_jobs=n_jobs).fit(samples)
    seconds, cpu = time.time() - start, time.process_time() - cpu
    over.set()
    watcher.join()
    truth = torus(n_spins)
    off = ~np.eye(n_spins, dtype=bool)
    return {
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "anonymous": peak,
        "before": before,
        "seconds": seconds,
        "cpu": cpu,
        "passes": model.n_iter_,
        "converged": model.converged_,
        "gradient": model.gradient_norm_,
        "error": float(np.sqrt(np.mean((model.couplings_ - truth)[off] ** 2))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spins", type=int, default=500, help="a multiple of 20")
    parser.add_argument("--samples", type=int, default=8_000_000)
    parser.add_argument("--tol", type=float, default=1e-6)
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--folder", help="where to put the file; default: the system's temporary folder")
    parser.add_argument("--fit", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fit is not None:
        print(json.dumps(fit(arguments.fit, arguments.spins, arguments.tol, arguments.n_jobs)))
        return
    size = arguments.spins * arguments.samples
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        free = shutil.disk_usage(folder).free
        if free < 1.2 * size:
            sys.exit(f"{folder} has {free / 1e9:.1f} GB free, {1.2 * size / 1e9:.1f} are needed: pass another --folder")
        # 735 s of fit for 4 GB (tests/VALIDATION.md), and the writing of the file
        announce(60.0 + 840.0 * size / 4e9)
        path = Path(folder) / "spins.i8"
        write_samples(path, arguments.spins, arguments.samples)
        command = [sys.executable, __file__, "--fit", str(path)]
        for name in ("spins", "tol", "n_jobs"):
            command += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"{arguments.samples} samples of {arguments.spins} spins, {size / 1e9:.2f} GB of int8")
    print(f"  peak resident memory            {found['peak'] / 1e9:8.3f} GB (mapped pages among it)")
    print(f"  peak of the process's own       {found['anonymous'] / 1e9:8.3f} GB ({found['before'] / 1e9:.3f} before)")
    print(f"  seconds                         {found['seconds']:8.1f} ({found['cpu']:.1f} of processor time)")
    print(f"  passes                          {found['passes']:8d}, converged: {found['converged']}")
    print(f"  largest gradient                {found['gradient']:8.1e}")
    print(
        f"  rms error of the couplings      {found['error']:8.1e} (1 / sqrt(samples) = {arguments.samples**-0.5:.1e})"
    )


if __name__ == "__main__":
    main()
