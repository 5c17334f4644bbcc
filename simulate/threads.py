"""Limit of the threads of matrix products, shared by all threads of the process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any, TypeVar

from joblib import Parallel, delayed
from threadpoolctl import ThreadpoolController

__all__ = ["Stop", "StoppedError", "check_stop", "in_threads", "one_blas_thread", "one_thread_for_few_spins"]

Task = TypeVar("Task")
Result = TypeVar("Result")

#: Longest time to wait for tasks that were told to stop; a part of a chain takes milliseconds, compilation seconds.
SECONDS_TO_STOP = 30.0
#: Spins up to which products of their matrices use one thread.
SPINS_FOR_THREADS = 300


class StoppedError(Exception):
    """Raised in a task that was told to stop."""


class Stop:
    """Stops the tasks of a pool of threads when the caller is interrupted: threads themselves cannot be ended.

    Used as a context around the pool: where an exception, such as that of Ctrl-C, leaves it, tasks are told to stop,
    and the exception goes on once they have. Tasks run inside `task`, and call `check` or `check_stop` between parts of
    their work. Tasks of a pool that a task has started itself end with it. In another process, where a copy arrives,
    nothing is checked.
    """

    def __init__(self) -> None:
        self._told = False
        self._tasks = 0
        self._change = threading.Condition()
        self._around: Stop | None = getattr(_own, "stop", None)

    def __reduce__(self) -> tuple[Any, ...]:
        return Stop, ()

    def __enter__(self) -> Stop:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is not None:
            with self._change:
                self._told = True
                self._change.wait_for(lambda: self._tasks == 0, timeout=SECONDS_TO_STOP)

    def check(self) -> None:
        """Raise `StoppedError` where tasks are to stop."""
        if self._told:
            raise StoppedError
        if self._around is not None:
            self._around.check()

    @contextmanager
    def task(self) -> Iterator[None]:
        """One task, from its beginning to its end."""
        with self._change:
            self.check()
            self._tasks += 1
        before = getattr(_own, "stop", None)
        _own.stop = self
        try:
            yield
        finally:
            _own.stop = before
            with self._change:
                self._tasks -= 1
                self._change.notify_all()


_own = threading.local()  # of the calling thread: what stops the task that it runs


def check_stop() -> None:
    """Raise `StoppedError` where the task that this thread runs is to stop; for loops that are long in a task."""
    stop: Stop | None = getattr(_own, "stop", None)
    if stop is not None:
        stop.check()


def in_threads(
    run: Callable[[Task], Result], tasks: Iterable[Task], n_jobs: int | None, *, bar: Any = None, shared: bool = True
) -> list[Result]:
    """Results of a function on each task, from a pool of threads that ends when the caller is interrupted.

    Parameters
    ----------
    run : callable
        Called in threads with one task each. Its matrix products use its own thread only; where it is long it calls
        `check_stop` between parts of its work.
    tasks : iterable
    n_jobs : int or None
        Number of threads as in joblib; None takes that of `joblib.parallel_config`, or one.
    bar : tqdm, optional
        Moves by one with each result.
    shared : bool, default True
        False lets `joblib.parallel_config` choose processes instead of threads.

    Returns
    -------
    list
        In the order of the tasks.
    """

    def alone(task: Task) -> Result:
        # rounding errors of a matrix product must not depend on the number of threads
        with stop.task(), one_blas_thread():
            return run(task)

    found = []
    # the limit holds for the process: a thread that ends must not lift it for others
    with one_blas_thread(), Stop() as stop:
        pool = Parallel(
            n_jobs=n_jobs, return_as="generator", **({"require": "sharedmem"} if shared else {"prefer": "threads"})
        )
        for result in pool(delayed(alone)(task) for task in tasks):
            found.append(result)
            if bar is not None:
                bar.update()
    return found


class _Limit:
    """Number of threads of each BLAS library before the first block began, until the last one ends.

    OpenBLAS with its own threads (as in the wheels of numpy and scipy), MKL and BLIS have one limit for the process: if
    each block restored what it had found, a block that began inside another and ended after it would leave its limit
    for good. Libraries built on OpenMP have a limit for each thread, which each thread sets and restores.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.blocks = 0  # of all threads
        self.before: dict[Any, int] = {}
        self.own = threading.local()  # of the calling thread: number of blocks, and limits before the first

    def enter(self) -> None:
        depth = getattr(self.own, "depth", 0)
        if depth == 0:
            self.own.before = _limited(library for library in _libraries() if _is_of_one_thread(library))
        self.own.depth = depth + 1
        with self.lock:
            if self.blocks == 0 and not self.before:
                self.before = _limited(library for library in _libraries() if not _is_of_one_thread(library))
            self.blocks += 1

    def leave(self) -> None:
        with self.lock:
            self.blocks -= 1
            if self.blocks == 0:
                _restore(self.before)
                self.before = {}
        self.own.depth -= 1
        if self.own.depth == 0:
            _restore(self.own.before)

    def forget_other_threads(self) -> None:
        """In a forked process only the calling thread goes on; the next block to end restores what was found."""
        self.lock = threading.Lock()
        self.blocks = getattr(self.own, "depth", 0)


@cache
def _libraries() -> list[Any]:
    """The BLAS libraries of numpy and scipy. Looking for them takes longer than a small fit."""
    import scipy.linalg  # noqa: F401  (brings its own library, which is looked for below)

    return [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]


def _is_of_one_thread(library: Any) -> bool:
    return getattr(library, "threading_layer", None) == "openmp"


def _limited(libraries: Iterator[Any]) -> dict[Any, int]:
    """Limit libraries to one thread; their numbers of threads before."""
    before = {}
    for library in libraries:
        before[library] = library.get_num_threads()
        _set(library, 1)
    return before


def _restore(before: dict[Any, int]) -> None:
    for library, number in before.items():
        _set(library, number)


def _set(library: Any, number: int) -> None:
    """Set the number of threads, from any thread.

    Since 3.8, threadpoolctl lets one thread set that of the process and ignores the others: the first to set it, until
    it ends or gives that up.
    """
    give_up = getattr(library, "clear_controlling_thread", None)
    if give_up is not None:
        give_up(force=True)
    library.set_num_threads(number)
    if give_up is not None:
        give_up(force=True)


_limit = _Limit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _limit.forget_other_threads())


@contextmanager
def one_blas_thread(limited: bool = True) -> Iterator[None]:
    """Keep matrix products on the thread that calls for them, while the block lasts.

    The rounding of a product must not depend on how many threads share it, threads of a pool each compute products of
    their own, and starting threads takes longer than a small product. The limit of most libraries holds for the whole
    process: the first of several blocks that overlap sets it, the last one restores what was there before.

    Parameters
    ----------
    limited : bool, default True
        False does nothing.
    """
    if not limited:
        yield
        return
    _limit.enter()
    try:
        yield
    finally:
        _limit.leave()


def one_thread_for_few_spins(n_spins: int) -> AbstractContextManager[None]:
    """`one_blas_thread` where the matrices of so few spins are multiplied faster than further threads are started.

    On a busy machine starting them takes up to ten times as long as the product.
    """
    return one_blas_thread(n_spins <= SPINS_FOR_THREADS)
