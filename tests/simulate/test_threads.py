"""Two threads at once: limits of threads and filters of warnings are afterwards what they were."""

import ast
import os
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from infer import PseudoLikelihood
from simulate.threads import one_blas_thread
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
