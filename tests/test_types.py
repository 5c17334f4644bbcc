"""Type checkers find the types of public names, which are imported when first used, in a user's script.

mypy checks `tests/user_script.py` together with the packages (`files` in pyproject.toml); here it runs, and
pyright checks it where that is installed.
"""

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("user_script.py")


@pytest.mark.slow
def test_the_script_runs():
    names = runpy.run_path(str(SCRIPT))
    assert names["found"].best_rate > -1


def pyright():
    beside = Path(sys.executable).with_name("pyright")
    return str(beside) if beside.exists() else shutil.which("pyright")


@pytest.mark.slow
@pytest.mark.skipif(pyright() is None, reason="pyright is not installed")
def test_pyright_finds_its_types(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from simulate import sample, smaple\nfrom typing import assert_type\nassert_type(sample, int)\n"
        "from infer import PseudoLikelyhood\n"
    )
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parents[1])}
    for path, expected in ((SCRIPT, 0), (wrong, 3)):
        run = subprocess.run(
            [pyright(), "--outputjson", "--pythonpath", sys.executable, str(path)],
            cwd=SCRIPT.parents[1],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if not run.stdout.startswith("{"):
            pytest.skip(f"pyright does not start: {run.stderr.strip()[-200:]}")  # it may want to download itself
        told = json.loads(run.stdout)["generalDiagnostics"]
        found = [each["message"] for each in told if each["severity"] == "error"]
        assert len(found) == expected, found
