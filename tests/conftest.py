"""Fixtures of all tests."""

import pytest


@pytest.fixture(autouse=True)
def silent_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine commands would take longer than the seconds after which they name their steps."""
    monkeypatch.setattr("infer.progress.QUIET", 1e6)
