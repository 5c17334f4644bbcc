"""`import reverie`, `python -m reverie` and `python -m infer`."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REVERIE = Path(sys.executable).with_name("reverie")


def output(*command: object) -> str:
    """Standard output of a command that ends well, with the name of the program taken out."""
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    return re.sub(r"Usage: .*?(?= \[OPTIONS\])", "Usage: PROGRAM", done.stdout)


def test_the_umbrella_is_the_two_packages_imported_when_used() -> None:
    code = """
import sys, reverie
assert not {"infer", "simulate", "numpy"} & set(sys.modules)
assert {"infer", "simulate", "__version__"} <= set(dir(reverie))
print(reverie.__version__)
import infer, simulate
assert reverie.infer is infer and reverie.simulate is simulate
from reverie import infer as same
assert same is infer
"""
    assert output(sys.executable, "-c", code).strip() == version("reverie")


def test_a_name_that_is_not_there_is_refused() -> None:
    import reverie

    with pytest.raises(AttributeError, match="module 'reverie' has no attribute 'nothing'"):
        reverie.nothing  # noqa: B018


@pytest.mark.slow
@pytest.mark.parametrize("package", ["reverie", "infer"])
def test_the_packages_run_as_the_command(package: str) -> None:
    assert output(sys.executable, "-m", package, "--version") == f"reverie {version('reverie')}\n"
    assert output(sys.executable, "-m", package, "--help") == output(REVERIE, "--help")


@pytest.mark.slow
def test_bad_input_ends_as_from_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reverie", "fit", str(tmp_path / "none.csv"), "--output", str(tmp_path / "fit.nc")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "none.csv" in done.stderr
