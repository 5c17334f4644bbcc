"""Settings and fixtures of all tests."""

import os

import pytest

# Test processes side by side share the processors: with threads of their own in the linear algebra they wait for one
# another, which takes a third longer. Tests of threads set their number themselves.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


@pytest.fixture(autouse=True)
def silent_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine commands would take longer than the seconds after which they name their steps."""
    monkeypatch.setattr("infer.progress.QUIET", 1e6)
