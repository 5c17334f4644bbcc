"""Ctrl-C in long calls: they end soon, by KeyboardInterrupt, and no thread goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.interrupted import LONG

SOON = 3.0  # seconds of processor time of two threads: a compiled call may last a second
QUIET = 0.05  # the same after the end; a thread that goes on would use about 0.2 in the time that is watched


def check(names):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.interrupted", "0.4", *names],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == names
    for name, found, until, afterwards in lines:
        assert found == "KeyboardInterrupt", (name, found)
        assert float(until) < SOON, (name, until)
        assert float(afterwards) < QUIET, (name, afterwards)


@pytest.mark.slow
def test_threads_end_with_the_call():
    check(["partition", "basins"])


@pytest.mark.validation
@pytest.mark.parametrize("call", list(LONG), ids=lambda call: call.__name__)
def test_long_calls_are_interrupted(call):
    check([call.__name__])
