"""Docstrings of public names are complete, and each name stands on one page of the API reference."""

import ast
import functools
import importlib
import inspect
import re
import textwrap
import types

import pytest
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import validate

from tests.extensions import extension

PACKAGES = ("simulate", "infer")
# what readers need: a summary, every argument and result in the order of the signature, known sections
ERRORS = {"GL01", "GL03", "GL05", "GL06", "GL07", "GL08", "GL10", "SS01", "SS02", "SS03", "SS04",
          "PR01", "PR02", "PR03", "PR05", "PR10", "RT01", "YD01"}  # fmt: skip
WITH_UNITS = re.compile(
    r"temperature|hot_temperature|active_temperature|persistence_time|burn_in|thin|duration|interval|time_step|lag"
)
UNITS = re.compile(r"unit|sweep|update|step|row|draw|as in `sample`|schedule of `sample`", re.IGNORECASE)
SHAPE = re.compile(r"\([^)]*(n_|N|\d|,|\.\.\.)[^)]*\)|shape|scalar", re.IGNORECASE)
ARRAY = re.compile(r"\barrays?\b|\bndarray\b|\barray[-_]like\b", re.IGNORECASE)
SOURCE = re.compile(r"\b(19|20)\d\d\b|arXiv|doi", re.IGNORECASE)


def is_ours(thing: object) -> bool:
    return (getattr(thing, "__module__", None) or "").split(".")[0] in PACKAGES


def walk(module: types.ModuleType) -> dict[str, object]:
    """Every public function and class of a package, and the public methods and properties that its classes define."""
    found: dict[str, object] = {}
    for name in module.__all__:
        thing, path = getattr(module, name), f"{module.__name__}.{name}"
        if inspect.ismodule(thing):
            found |= walk(thing)
        elif inspect.isclass(thing) or inspect.isfunction(thing):
            found[path] = thing
        if inspect.isclass(thing):
            for base in filter(is_ours, thing.__mro__):
                for key, value in vars(base).items():
                    member = inspect.isfunction(value) or isinstance(value, property | functools.cached_property)
                    # one that takes the place of another and has no docstring does what the other's says
                    inherited = any(getattr(getattr(parent, key, None), "__doc__", None) for parent in base.__mro__[1:])
                    if member and not key.startswith("_") and (value.__doc__ or not inherited):
                        found[f"{base.__module__}.{base.__qualname__}.{key}"] = value
    return found


PUBLIC = {name: thing for package in PACKAGES for name, thing in walk(importlib.import_module(package)).items()}
# what a formula comes from must be said where the design names a law, a rule or a method
FORMULAS = [
    name
    for name, thing in PUBLIC.items()
    if re.match(r"simulate\.theory\.\w+$", name)
    or (
        inspect.isclass(thing)
        and not inspect.isabstract(thing)
        and {base.__name__ for base in thing.__mro__} & {"Dynamics", "BaseEstimator"}
    )
    or name.split(".")[-1]
    in {"hebbian", "dreaming", "pseudo_inverse", "unlearn", "thermal_unlearn", "daydream", "eigenvector_dreaming"}
    | {"diagnose", "capacity", "basins", "stability", "relax", "learn_patterns", "ContrastiveRule", "ReceptorLadder"}
]


def documents_attributes(thing: object) -> bool:
    """Whether a class is a result: what functions return, not what users make; its fields stand under Attributes."""
    text = inspect.getdoc(thing) or ""
    return hasattr(thing, "__dataclass_fields__") and "\nAttributes\n---" in text and "\nParameters\n---" not in text


@functools.cache
def raises_value_error(function: object, depth: int = 3) -> bool:
    """Whether a function raises ValueError itself, or through functions of these packages that it calls by name."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None and "ValueError" in ast.unparse(node.exc):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and depth:
            called = getattr(function, "__globals__", {}).get(node.func.id)
            if inspect.isfunction(called) and is_ours(called) and raises_value_error(called, depth - 1):
                return True
    return False


def complaints(name: str, thing: object) -> list[str]:
    """Everything that the docstring of a public name leaves open."""
    accessor = isinstance(thing, property | functools.cached_property)
    function = getattr(thing, "fget", None) or getattr(thing, "func", None) if accessor else thing
    if not (inspect.getdoc(function) or "").strip():
        return ["no docstring"]
    result = documents_attributes(thing)
    skipped = {"PR01"} if result else {"RT01"} if accessor else set()
    found = [f"{code} {text}" for code, text in validate(name)["errors"] if code in ERRORS - skipped]
    doc = get_doc_object(thing) if inspect.isclass(thing) else get_doc_object(function)
    if result:
        stated = {one for item in doc["Attributes"] for one in re.split(r",\s*", item.name.split(":")[0])}
        missing = {field for field in thing.__dataclass_fields__ if not field.startswith("_")} - stated
        found += [f"no word on {', '.join(sorted(missing))}"] if missing else []
    maker = thing
    if inspect.isclass(thing):
        made = hasattr(thing, "__dataclass_fields__")  # its __init__ has no source
        maker = vars(thing).get("__post_init__" if made else "__init__")
    takes = inspect.isfunction(maker) and len(inspect.signature(maker).parameters) > 0
    if takes and not accessor and raises_value_error(maker) and not doc["Raises"]:
        found.append("no Raises section, and it raises ValueError")
    for item in [*doc["Parameters"], *doc["Returns"], *doc["Attributes"]]:
        text = f"{item.type} {' '.join(item.desc)}"
        if ARRAY.search(item.type) and not SHAPE.search(text):
            found.append(f"{item.name or 'result'}: an array without a shape")
        if WITH_UNITS.fullmatch(item.name) and not UNITS.search(text) and "temperature of" not in text:
            found.append(f"{item.name}: no unit")
    if name in FORMULAS and not SOURCE.search(inspect.getdoc(thing) or ""):
        found.append("no source")
    return found


def test_the_walk_finds_what_there_is() -> None:
    assert len(PUBLIC) > 150
    assert {
        "simulate.sample",
        "simulate.theory.dreaming_rate",
        "infer.estimators.pseudolikelihood.estimator.PseudoLikelihood.solve",
    } <= set(PUBLIC)
    assert len(FORMULAS) > 30


# what the checks are there for, one failure each
def fails_in_every_way(couplings, temperature, missing):
    """Do something to couplings.

    Parameters
    ----------
    couplings : array_like
    temperature : float
        T > 0.
    """
    if missing:
        raise ValueError("no")
    return couplings


def test_the_checks_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infer.sloppy", fails_in_every_way, raising=False)
    found = "\n".join(complaints("infer.sloppy", fails_in_every_way))
    for expected in ("'missing'} not documented", "No Returns", "no Raises", "without a shape", "temperature: no unit"):
        assert expected in found


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring(name: str) -> None:
    assert complaints(name, PUBLIC[name]) == []


def test_each_public_name_stands_on_one_page() -> None:
    exported = []
    modules = [importlib.import_module(package) for package in PACKAGES]
    for module in modules:  # it grows on the way
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.ismodule(thing):
                modules.append(thing)
            else:
                exported.append(f"{module.__name__}.{name}")
    assert sorted(f"{module}.{name}" for module, name in extension("listed").names_on_pages()) == sorted(exported)
