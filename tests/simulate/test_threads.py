"""Two threads at once: limits of threads and filters of warnings are afterwards what they were."""

import ast
import os
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

from infer import PseudoLikelihood
from simulate.threads import StoppedError, check_stop, in_threads, one_blas_thread
from simulate.user_warnings import UserNotice, collected_warnings, filters_restored, libraries_silenced, warn

ROOT = Path(__file__).parents[2]


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def overlapping(block, inside=lambda: None):
    """Run a thread and this one in a block each: it begins first, and ends while this one is still inside."""
    begun, end = threading.Event(), threading.Event()
    seen = []

    def other():
        with block():
            begun.set()
            end.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    begun.wait(10)
    with block():
        end.set()
        thread.join(10)
        seen.append(inside())
    return seen[0]


def test_overlapping_blocks_leave_the_limit_of_before():
    """With `threadpool_limits` in place of the block, 1 thread is left: measured with OpenBLAS 0.3.30 and 0.3.31."""
    with threadpool_limits(limits=2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("this BLAS has one thread only")
        assert overlapping(one_blas_thread, blas_threads) == {1}  # the first to end must not lift it for the other
        assert blas_threads() == {2}
        with one_blas_thread(limited=False):
            assert blas_threads() == {2}
        with pytest.raises(KeyError), one_blas_thread(), one_blas_thread():
            raise KeyError
        assert blas_threads() == {2}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_forgets_the_blocks_of_other_threads():
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()

        def in_child():
            child = os.fork()
            if child == 0:
                with one_blas_thread():
                    pass
                os._exit(0 if blas_threads() == before else 1)
            return os.waitpid(child, 0)[1]

        begun, end = threading.Event(), threading.Event()

        def other():
            with one_blas_thread():
                begun.set()
                end.wait(10)

        thread = threading.Thread(target=other)
        thread.start()
        begun.wait(10)
        status = in_child()
        end.set()
        thread.join(10)
        assert status == 0
        assert blas_threads() == before


class OneOfOpenMP:
    """A BLAS built on OpenMP: each thread has a limit of its own, which threads start with at the default."""

    user_api, threading_layer = "blas", "openmp"

    def __init__(self):
        self.own = threading.local()

    def get_num_threads(self):
        return getattr(self.own, "number", 4)

    def set_num_threads(self, number):
        self.own.number = number


def openmp_pool():
    """The OpenMP library of scikit-learn, set for real: its limit belongs to the calling thread."""
    from sklearn.utils import _openmp_helpers  # noqa: F401  (loads it)

    found = [pool for pool in ThreadpoolController().lib_controllers if pool.user_api == "openmp"]
    if not found:
        pytest.skip("scikit-learn was built without OpenMP")
    return found[0]


@pytest.mark.parametrize("library", [OneOfOpenMP, openmp_pool])
def test_limits_of_openmp_belong_to_their_thread(library, monkeypatch):
    """Each thread finds its own limit again, whatever others do, and nested blocks set it once."""
    pool = library()
    if library is openmp_pool:
        monkeypatch.setattr(pool, "threading_layer", "openmp", raising=False)
    monkeypatch.setattr("simulate.threads._libraries", lambda: [pool])
    before = pool.get_num_threads()
    pool.set_num_threads(3)
    try:
        seen = []

        def others(number):
            pool.set_num_threads(number)
            with one_blas_thread():
                inside = pool.get_num_threads()
                with one_blas_thread():
                    nested = pool.get_num_threads()
                still = pool.get_num_threads()
            seen.append((number, inside, nested, still, pool.get_num_threads()))

        assert overlapping(one_blas_thread, pool.get_num_threads) == 1
        assert pool.get_num_threads() == 3
        threads = [threading.Thread(target=others, args=(number,)) for number in (2, 5, 7)]
        with one_blas_thread():
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(10)
            assert pool.get_num_threads() == 1
        assert sorted(seen) == [(number, 1, 1, 1, number) for number in (2, 5, 7)]
        with pytest.raises(KeyError), one_blas_thread():
            raise KeyError
        assert pool.get_num_threads() == 3
    finally:
        pool.set_num_threads(before)


def test_tasks_of_a_pool_inside_a_task_end_with_it():
    """What stops the outer pool stops the tasks of the inner one, in their own threads."""
    ended = []

    def inner(_):
        for _ in range(1000):
            time.sleep(0.01)
            try:
                check_stop()
            except StoppedError:
                ended.append(True)
                raise
        return

    def outer(task):
        if task == 1:
            time.sleep(0.2)
            raise KeyboardInterrupt
        return in_threads(inner, range(2), 2)

    with pytest.raises(KeyboardInterrupt):
        in_threads(outer, range(2), 2)
    assert ended == [True, True]
    check_stop()  # nothing is left of it in this thread


@pytest.mark.parametrize("block", [libraries_silenced, collected_warnings])
def test_overlapping_blocks_leave_the_filters_of_before(block):
    before = list(warnings.filters)
    overlapping(block)
    assert list(warnings.filters) == before


def test_libraries_are_silenced_in_one_thread_only():
    heard = []

    def other():
        try:
            warnings.warn("of another thread", RuntimeWarning, stacklevel=1)  # an error, by the settings of these tests
        except RuntimeWarning as warning:
            heard.append(str(warning))

    with libraries_silenced():
        warnings.warn("of this thread", RuntimeWarning, stacklevel=1)
        np.array([1.0]) / np.array([0.0])
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(10)
    assert heard == ["of another thread"]
    with pytest.warns(RuntimeWarning, match="again"):
        warnings.warn("heard again", RuntimeWarning, stacklevel=1)


def test_warnings_are_values_inside_and_shown_at_the_door():
    with collected_warnings() as found:
        warn("first", UserWarning)
        with collected_warnings(RuntimeWarning) as inner:
            warn("second", RuntimeWarning)
            warn("third", UserWarning)
        assert inner == [UserNotice("second", RuntimeWarning)]
    assert found == [UserNotice("first", UserWarning), UserNotice("third", UserWarning)]
    with pytest.warns(UserWarning, match="fourth") as shown:
        warn("fourth", UserWarning)
    assert shown[0].filename == __file__


def test_two_fits_at_once_leave_nothing_behind():
    rng = np.random.default_rng(0)
    spins = np.where(rng.random((400, 5)) < 0.5, -1.0, 1.0)
    spins[rng.random(spins.shape) < 0.1] = np.nan
    before = blas_threads(), list(warnings.filters)

    def fit():
        for _ in range(3):
            PseudoLikelihood(missing="mask", alpha=0.1, errors=False).fit(spins)

    threads = [threading.Thread(target=fit) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (blas_threads(), list(warnings.filters)) == before


def test_calls_of_libraries_that_overlap_leave_the_filters_as_they_were():
    """Of two contexts that do not end in turn the last leaves a copy of the filters behind: the fault of libraries."""
    before = list(warnings.filters)
    with filters_restored():
        first, second = warnings.catch_warnings(), warnings.catch_warnings()
        with libraries_silenced():
            first.__enter__()
            second.__enter__()
            first.__exit__()
        second.__exit__()
        assert list(warnings.filters) != before  # so it is
    assert list(warnings.filters) == before


@pytest.mark.slow
def test_only_the_command_line_sets_filters():
    """Modules that threads run in use `simulate.threads` and `simulate.user_warnings` instead."""
    found = set()
    for path in [*(ROOT / "simulate").rglob("*.py"), *(ROOT / "infer").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)
            if name in ("catch_warnings", "simplefilter", "filterwarnings", "threadpool_limits"):
                found.add(path.relative_to(ROOT).as_posix())
    assert found == {"infer/cli/console.py", "simulate/user_warnings.py"}
