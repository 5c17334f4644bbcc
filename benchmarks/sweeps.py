"""How long a map takes: CPU time of a cell, and a Dask cluster of two workers beside one of a single worker.

python benchmarks/sweeps.py [--cells 48] [--seed 0] [--skip-cluster]

The map has 450 cells: 6 persistences x 5 temperatures x 5 loads x 3 pattern sets of 200 spins, with the default draws.
A random subset is computed and the whole extrapolated. Workers compute on one thread each. The gain of a second worker
is measured in turns (one, two, two, one) on the same cells, the start of the clusters left out. It means something on a
machine with two idle processors only, so that the load is printed beside it.
"""

import argparse
import os
import random
import tempfile
import time
from pathlib import Path

import numpy as np
from duration import announce

from infer import sweep
from infer.sweeps.cell import try_cell
from infer.sweeps.plan import plan_sweep

MAP = {
    "n_spins": 200,
    "repeats": 3,
    "load": [0.05, 0.1, 0.15, 0.2, 0.3],
    "temperature": [1.4, 1.8, 2.2, 2.6, 3.0],
    "dynamics": {"name": "persistent-threshold", "persistence": [0.0, 0.2, 0.4, 0.6, 0.8, 0.9]},
}
# for the cluster: cells of the same cost
STRIP = MAP | {"repeats": 24, "load": [0.2], "temperature": [2.2], "dynamics": MAP["dynamics"] | {"persistence": 0.6}}


def time_cells(count, seed):
    """CPU seconds of randomly chosen cells of the map, the first one (which compiles) left out."""
    cells = list(plan_sweep(MAP).cells)
    total = len(cells)
    random.Random(seed).shuffle(cells)
    outcomes = [try_cell(cell) for cell in cells[: count + 1]][1:]
    assert all(outcome.error is None for outcome in outcomes)
    seconds = np.array([outcome.seconds for outcome in outcomes])
    error = seconds.std(ddof=1) / np.sqrt(count)
    cost = f"{seconds.mean():.2f} +- {error:.2f} CPU seconds each, {seconds.max():.2f} at most"
    print(f"{count} of {total} cells: {cost}")
    print(f"the map on two processors: {total * seconds.mean() / 2 / 60:.1f} minutes")


def time_cluster(workers):
    """Wall seconds of the strip on a local cluster whose workers are warm."""
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        tempfile.TemporaryDirectory() as folder,
    ):
        address = cluster.scheduler_address
        warm = STRIP | {"repeats": 4 * workers, "draws": 100}
        sweep(warm, Path(folder, "warm.sqlite"), backend="dask", scheduler=address)
        begin = time.perf_counter()
        sweep(STRIP, Path(folder, "strip.sqlite"), backend="dask", scheduler=address)
        return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip-cluster", action="store_true")
    arguments = parser.parse_args()
    # 1.8 seconds a cell, and 150 seconds of clusters with their starts (tests/VALIDATION.md)
    announce(1.8 * arguments.cells + (0 if arguments.skip_cluster else 200), processors=2)
    time_cells(arguments.cells, arguments.seed)
    if arguments.skip_cluster:
        return
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} (1 minute), {os.cpu_count()} processors")
    seconds = {1: [], 2: []}
    for workers in (1, 2, 2, 1):
        seconds[workers].append(time_cluster(workers))
        print(f"{workers} worker(s): {seconds[workers][-1]:.1f} s for {STRIP['repeats']} cells")
    print(f"gain of the second worker: {sum(seconds[1]) / sum(seconds[2]):.2f}")


if __name__ == "__main__":
    main()
