"""Rules that keep the rooms apart."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted([*(ROOT / "simulate").rglob("*.py"), *(ROOT / "infer").rglob("*.py")])


def imported(path):
    """Top-level names of all that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert all(alias.name != "*" for alias in node.names), f"{path}: star import"
            names.add((node.module or "").split(".")[0])
    return names


def test_there_are_modules_to_look_at():
    assert len(MODULES) > 20
    assert any(path.name.endswith("_kernels.py") for path in MODULES)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_keeps_to_its_floor(path):
    names = imported(path)
    if path.is_relative_to(ROOT / "simulate"):
        assert "infer" not in names
    if path.name.endswith("_kernels.py"):
        # vector instructions are written in small modules of their own, the only ones that import llvmlite
        from_instructions = re.findall(r"^from (\w+)\.[\w.]+_intrinsics import", path.read_text("utf-8"), re.MULTILINE)
        assert names - set(from_instructions) <= {"numpy", "numba", "math"}
    assert "llvmlite" not in names or path.name.endswith("_intrinsics.py")
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450


@pytest.mark.parametrize("package", ["simulate", "infer"])
def test_arviz_has_one_door_in_each_package(package):
    doors = [path for path in MODULES if path.is_relative_to(ROOT / package) and "arviz" in imported(path)]
    assert len(doors) <= 1, doors
