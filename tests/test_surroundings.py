"""Where the packages are run: without a place for compiled code, and beside files of the same name."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from simulate.arviz_loading import load_arviz

ROOT = Path(__file__).parents[1]


def run(code, folder, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_no_place_for_compiled_code(tmp_path):
    """Files stand where folders would be made: no permission is asked, which the superuser would have."""
    package = tmp_path / "simulate"
    shutil.copytree(ROOT / "simulate", package, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").touch()
    taken = tmp_path / "taken"
    taken.touch()
    code = """
import os, simulate
from simulate.memory import relaxation_kernels
assert relaxation_kernels.__file__.startswith(os.getcwd())
print(os.environ["NUMBA_CACHE_DIR"])
"""
    places = ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "NUMBA_CACHE_DIR")
    found = run(code, tmp_path, PYTHONPATH=str(tmp_path), **dict.fromkeys(places, str(taken / "none")))
    assert found.returncode == 0, found.stderr
    assert found.stderr.count("RuntimeWarning") == 1
    assert "set NUMBA_CACHE_DIR" in found.stderr
    assert not Path(found.stdout.strip()).exists()  # removed at the end


def test_no_place_for_the_cache_of_a_library(tmp_path, monkeypatch):
    """arviz 0.23 makes a folder in the cache of the user when it is imported: commands ended with that in one line."""
    (tmp_path / "taken").touch()
    package = tmp_path / "arviz"
    package.mkdir()
    (package / "__init__.py").write_text("import os\nplace = os.environ['XDG_CACHE_HOME'] + '/arviz'\nos.mkdir(place)")
    for name in [name for name in sys.modules if name.split(".")[0] == "arviz"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "taken"))
    found = load_arviz()
    sys.modules.pop("arviz")  # not by monkeypatch, which would put it back at the end
    assert found.__file__ == str(package / "__init__.py")
    assert not Path(found.place).exists()  # removed again
    assert os.environ["XDG_CACHE_HOME"] == str(tmp_path / "taken")


@pytest.mark.parametrize("name", ["simulate.py", "simulate/__init__.py"])
def test_a_file_of_the_same_name_is_named(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("from infer import PseudoLikelihood\n")
    for code in ("import infer", "from infer import PseudoLikelihood", "import runpy; runpy.run_path('simulate.py')"):
        if name.endswith("__init__.py") and "runpy" in code:
            continue
        found = run(code, tmp_path)
        assert found.returncode == 1
        last = found.stderr.splitlines()[-1]
        assert last.startswith("ImportError: ")
        assert name in last
        assert "is imported in place of the package simulate" in last


@pytest.mark.slow
def test_a_notebook_without_widgets_is_not_told_of_them(tmp_path):
    """`tqdm.auto` warns of ipywidgets when it is imported in a kernel, which it knows by one or the other of these."""
    kernel = """
import sys, types
sys.modules["ipywidgets"] = None
kernel = types.SimpleNamespace(config={"IPKernelApp": {}})
sys.modules["IPython"] = types.SimpleNamespace(get_ipython=lambda: kernel)
sys.modules["ipykernel.zmqshell"] = types.SimpleNamespace()
"""
    ours = "simulate.dynamics.sampling, simulate.contrastive.memory, infer.sweeps.run, infer.estimators.selection"
    assert run(f"{kernel}import {ours}", tmp_path).stderr == ""
    assert "IProgress not found" in run(f"{kernel}import tqdm.auto", tmp_path).stderr  # it is there to be had
