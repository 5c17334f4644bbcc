"""Where recordings for trials are found, and the skip of tests that need them."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("REVERIE_TEST_DATA", ROOT.parent / "shared" / "data"))


def recording(name):
    """Path of a recording; the test is skipped where it is absent."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no recording {path} (set REVERIE_TEST_DATA to the folder that holds it)")
    return path
