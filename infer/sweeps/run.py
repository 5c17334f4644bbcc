"""Driver of a sweep: distributes the missing cells to workers and writes each result as soon as it is returned."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext, suppress
from hashlib import sha256
from multiprocessing import current_process
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pandas as pd
from joblib import Parallel, delayed, effective_n_jobs, parallel_config
from joblib.parallel import get_active_backend

from infer.errors import InputError
from infer.sweeps.cell import Outcome, try_cell
from infer.sweeps.plan import Cell, plan_sweep
from infer.sweeps.store import Store
from infer.sweeps.table import read_sweep
from simulate.progress_bars import tqdm
from simulate.user_warnings import filters_restored, libraries_silenced

__all__ = ["default_store", "sweep"]

BACKENDS = ("loky", "threading", "dask")
SECONDS_FOR_WORKERS = 60.0
SECONDS_BETWEEN_LOOKS = 0.02
CLUSTER_LOST = "the Dask cluster was lost; results so far are kept, run again to resume"
SECONDS_BETWEEN_PARENTS = 1.0
_watching = False  # whether this process is a worker that watches its driver
RunCells = Callable[[list[Cell]], Generator[Outcome, None, None]]


def sweep(
    config: Mapping[str, Any] | str | os.PathLike[str],
    store: str | os.PathLike[str] | None = None,
    *,
    n_jobs: int | None = None,
    backend: str | None = None,
    scheduler: str | None = None,
    seed: int | None = None,
    retry_failed: bool = False,
    progress: bool = False,
) -> pd.DataFrame:
    """Measure the dreaming rate over a grid of dynamics, loads, temperatures, persistences and repeats.

    Each cell draws random patterns, stores them in Hebbian couplings, samples the steady state of a dynamics, fits
    inverse temperature and dreaming rate (`DreamingModel`, for continuous units `ContinuousDreamingModel`), judges
    convergence, and adds predictions of theory. Cells that the store holds already are not computed again, so that a
    sweep that was stopped, even killed, resumes when it is called again. The numbers are the same, to the last bit,
    for any order of the cells and any number of workers and restarts (on processors of the same kind).

    Parameters
    ----------
    config : mapping or path of a TOML file
        Keys (* needed; lists span the grid, a number is a list of one):

        - `n_spins` *: number of spins N, or a list of them (`extrapolate_sizes`), at each of which every load must be a
          whole number of patterns;
        - `repeats`: number of pattern sets (default 1); `seed`: of all random numbers (0); `chains`: for each cell (4);
        - `load` *: numbers of patterns over N; `temperature` * or `reduced_temperature` *, in units of the
          temperature at which spins order under their drive (`theory.transition_temperature`; 1 + sqrt(load) of units
          and without drive); `draws` (8000 a chain; 2000 of continuous units), `burn_in` (500) and `thin` (4; 2), in
          sweeps or units of time;
        - `initial`: "random" states (the default); "patterns", chain k at pattern k, each of which counts as a steady
          state of its own, settled where its halves agree (R-hat of energy and of overlap with its pattern);
          "one-pattern", all chains at the first pattern, settled where they agree: samples of one retrieval state.
          Methods that are conditional ("pseudolikelihood", "couplings") hold for samples within states; "hybrid-rbm"
          sums over all states;
        - `method` of fitting, or a list: "pseudolikelihood" (the default), "hybrid-rbm" (both `DreamingModel`) or
          "couplings" (`compare` of `PseudoLikelihood`) of spins; "gaussian" (the default), "score-matching" (both
          `ContinuousDreamingModel`) or "couplings" (`compare` of `GaussianCouplings`) of units. Methods see the same
          samples, but find other rates, since driven samples are no members of the family that is fitted;
        - tables `[[dynamics]]` *, with `name` "persistent-threshold" (with `persistence`), "coloured-field"
          (`persistence_time`, and `active_temperature` or `reduced_active_temperature`, in units of 1 + sqrt(load)),
          "active-ornstein-uhlenbeck" (as before, but reduced by `theory.transition_active_temperature`; temperature 0
          and spherical potential by default, harmonic with `stiffness`), "soft-spin" (as before with `barrier`, fitted
          by score matching of the units themselves, not of their signs), or "glauber" and "metropolis" (equilibrium).
          Each may have its own `load`, temperatures, `draws`, `burn_in`, `thin`, `initial` and `method`.
    store : path-like, optional
        SQLite file of the results, `<name of the config>.sqlite` in the working directory by default. A folder means
        that name in it. It may be read (`read_sweep`) while the sweep runs.
    n_jobs : int, optional
        Number of worker processes, -1 for all processors; 1 by default. A Dask cluster uses all of its workers.
    backend : {"loky", "threading", "dask"}, optional
        Processes or threads of joblib, or a Dask cluster. By default that of `joblib.parallel_config`, or processes.
    scheduler : str, optional
        Address of a Dask scheduler (tcp://host:port), for backend "dask"; reverie must be installed on its workers.
        Without one, the current `distributed.Client`.
    seed : int, optional
        Seed in place of that of the config.
    retry_failed : bool, default False
        Whether to compute failed cells again.
    progress : bool, default False
        Show a progress bar with the remaining time.

    Returns
    -------
    pandas.DataFrame
        One row for each cell, see `read_sweep`.

    Raises
    ------
    ValueError
        If the config or the number of jobs is wrong (the line names the key), or the store is that of another config.
    OSError
        If the store cannot be written, the cluster cannot be reached or has no worker, or a worker was killed; results
        so far are kept.

    Examples
    --------
    >>> from infer import sweep
    >>> config = {
    ...     "n_spins": 50,
    ...     "load": [0.1, 0.2],
    ...     "temperature": 2.0,
    ...     "dynamics": [{"name": "persistent-threshold", "persistence": [0.0, 0.5]}],
    ... }
    >>> table = sweep(config, "map.sqlite", n_jobs=2)  # doctest: +SKIP

    The same as a file, for `reverie sweep map.toml`::

        n_spins = 50
        load = [0.1, 0.2]
        temperature = 2.0

        [[dynamics]]
        name = "persistent-threshold"
        persistence = [0.0, 0.5]
    """
    if backend not in (None, *BACKENDS):
        raise InputError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if scheduler is not None and backend != "dask":
        raise InputError("a scheduler needs the backend dask")
    plan = plan_sweep(config, seed=seed)
    path = default_store(config, store)
    # workers first: without any, no store is created
    with _workers(backend, scheduler, n_jobs) as run_cells, Store.open_for(path, plan.config) as kept:
        done = kept.outcomes()
        waiting = [cell for cell in plan.cells if cell.key not in done or (retry_failed and done[cell.key].error)]
        # cells in random order: the estimate of the remaining time is unbiased, and slow kinds are not all at the end
        waiting.sort(key=lambda cell: sha256(cell.key.encode()).digest())
        if waiting:
            with _kept_message(kept, len(plan.cells)):
                _compute(waiting, kept, run_cells, len(plan.cells), progress)
    return read_sweep(path)


def default_store(
    config: Mapping[str, Any] | str | os.PathLike[str], store: str | os.PathLike[str] | None = None
) -> Path:
    """File of the results: as given, or named after the config, in the given folder or the working directory.

    Parameters
    ----------
    config : mapping or path-like
    store : path-like, optional
        A file, or an existing folder.

    Returns
    -------
    pathlib.Path
    """
    name = "sweep.sqlite" if isinstance(config, Mapping) else f"{Path(config).stem}.sqlite"
    if store is None:
        return Path(name)
    return Path(store) / name if Path(store).is_dir() else Path(store)


def _compute(waiting: list[Cell], kept: Store, run_cells: RunCells, total: int, progress: bool) -> None:
    """Compute cells on the workers; results are returned in any order and written by this process."""
    with (
        filters_restored(),
        tqdm(total=total, initial=total - len(waiting), disable=not progress, unit="cell", smoothing=0.05) as bar,
    ):
        outcomes = run_cells(waiting)
        try:
            for outcome in outcomes:
                kept.put(outcome)
                bar.update()
        finally:
            with libraries_silenced():  # joblib warns of results that were not used, as after an error of the disk
                outcomes.close()


@contextmanager
def _workers(backend: str | None, scheduler: str | None, n_jobs: int | None) -> Iterator[RunCells]:
    """Function that computes cells on the chosen backend, connected to the scheduler where there is one."""
    with nullcontext() if backend in (None, "dask") else parallel_config(backend=backend, n_jobs=n_jobs):
        effective_n_jobs(n_jobs)  # refuses 0
        # joblib's Dask backend waits indefinitely for the result of a worker that was killed
        active, _ = get_active_backend()
        client = active.client if type(active).__name__ == "DaskDistributedBackend" else None
        if backend != "dask" and client is None:
            parallel = Parallel(n_jobs=n_jobs, batch_size=1, return_as="generator_unordered")
            driver = os.getpid()
            yield lambda cells: parallel(delayed(_in_worker)(driver, try_cell, cell) for cell in cells)
            return
    try:
        from distributed import Client, get_client
    except ImportError:
        raise InputError("the backend dask needs dask and distributed: pip install dask distributed") from None
    if scheduler is not None:
        with Client(scheduler, set_as_default=False) as client:
            yield _on_cluster(client)
        return
    if client is None:
        try:
            client = get_client()
        except ValueError:
            raise InputError("the backend dask needs a scheduler: give its address, such as tcp://host:8786") from None
    yield _on_cluster(client)


def _in_worker(driver: int, compute: Callable[[Cell], Outcome], cell: Cell) -> Outcome:
    """Compute a cell, in a process that ends when that of the driver does.

    Workers of joblib would wait for further cells of a driver that was killed, for five minutes.
    """
    global _watching
    if os.getppid() == driver and not _watching:
        _watching = True
        threading.Thread(target=_end_with, args=(driver,), daemon=True).start()
    elif not _watching and current_process().name.startswith("LokyProcess"):
        os._exit(1)  # the driver was killed while this worker started
    return compute(cell)


def _end_with(driver: int) -> None:
    """End this process soon after its parent, which leaves it to another one."""
    while os.getppid() == driver:
        sleep(SECONDS_BETWEEN_PARENTS)
    os._exit(1)


def _on_cluster(client: Any) -> RunCells:
    """Function that computes cells on a Dask cluster, which must have a worker."""
    if not client.ncores():
        try:
            # adaptive clusters start workers when there are tasks
            client.submit(int, pure=False).result(timeout=SECONDS_FOR_WORKERS)
        except TimeoutError:
            raise TimeoutError(f"the Dask cluster has no worker after {SECONDS_FOR_WORKERS:g} seconds") from None

    def run_cells(cells: list[Cell]) -> Generator[Outcome, None, None]:
        from distributed import KilledWorker

        futures = client.map(try_cell, cells, pure=False)
        try:
            for future, result in _completed(futures, client):
                # a result that has come counts, even if the worker that keeps its copy was lost since
                if isinstance(result, Outcome):
                    yield result
                elif future.status == "error":
                    error = future.exception()
                    if isinstance(error, KilledWorker):
                        raise BrokenProcessPool from error
                    # an error of a cell is part of its outcome: this exception comes from the worker itself
                    raise ChildProcessError(
                        f"a worker of the cluster fails ({type(error).__name__}: {error}); it needs this version of "
                        "reverie; results so far are kept, run again to resume"
                    ) from error
                else:
                    raise ConnectionError(CLUSTER_LOST)
        finally:
            client.cancel(futures)

    return run_cells


def _completed(futures: list[Any], client: Any) -> Iterator[tuple[Any, Any]]:
    """Futures and their results as they are ready; an OSError where the cluster is lost, or has no worker for too long.

    Dask itself waits for new workers without end.
    """
    from distributed import as_completed

    ready = as_completed(futures, loop=client.loop, with_results=True, raise_errors=False)
    served = asked = monotonic()
    while not ready.is_empty():
        if ready.has_ready():
            yield from ready.next_batch(block=False)
            continue
        sleep(SECONDS_BETWEEN_LOOKS)
        if monotonic() - asked < min(1.0, SECONDS_FOR_WORKERS / 4):
            continue
        with suppress(OSError):  # of a lost scheduler: futures are lost with it
            if client.ncores():
                served = monotonic()
        # where the connection is lost while a result is fetched, Dask never says that it is ready
        if not ready.has_ready() and any(future.status == "cancelled" for future in futures):
            raise ConnectionError(CLUSTER_LOST)
        asked = monotonic()
        if asked - served > SECONDS_FOR_WORKERS:
            raise TimeoutError(
                f"the Dask cluster has lost all of its workers, and no other has come for {SECONDS_FOR_WORKERS:g} "
                "seconds; results so far are kept, run again to resume"
            )


@contextmanager
def _kept_message(kept: Store, total: int) -> Iterator[None]:
    """Add to the error of an interrupted sweep that its results so far are kept."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; {len(kept.outcomes())} of {total} cells are kept in {kept.path}, run again to resume"
        ) from None
    except BrokenProcessPool:
        raise ChildProcessError(
            f"a worker was killed, perhaps for want of memory (fewer jobs need less); {len(kept.outcomes())} of "
            f"{total} cells are kept in {kept.path}, run again to resume"
        ) from None
