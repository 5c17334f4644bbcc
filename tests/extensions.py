"""Modules of the documentation site (`notebooks/extensions`), which is no package."""

import importlib.util
from pathlib import Path
from types import ModuleType


def extension(name: str) -> ModuleType:
    """The module in a file of `notebooks/extensions`."""
    path = Path(__file__).parents[1] / "notebooks" / "extensions" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"site_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
