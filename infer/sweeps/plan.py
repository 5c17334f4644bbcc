"""Plan of a sweep: the checked config and the list of its cells."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from infer.errors import InputError
from infer.wording import shown
from simulate import (
    ActiveOrnsteinUhlenbeck,
    ColoredFieldGlauber,
    Harmonic,
    PersistentGlauber,
    SoftSpin,
    Spherical,
    theory,
)
from simulate.checks import check_count, check_number
from simulate.dynamics.dynamics import Dynamics
from simulate.dynamics.spins import Glauber, Metropolis

__all__ = ["Cell", "Plan", "plan_sweep", "transition_scales"]

# lists that span the grid, with the bounds that `check_number` takes
AXES: dict[str, dict[str, Any]] = {
    "load": {"low": 0.0, "open_low": True},
    "temperature": {"low": 0.0},
    "reduced_temperature": {"low": 0.0},
    "active_temperature": {"low": 0.0},
    "reduced_active_temperature": {"low": 0.0},
    "persistence": {"low": 0.0, "high": 1.0, "open_high": True},
    "persistence_time": {"low": 0.0},
    "stiffness": {"low": 0.0, "open_low": True},
    "barrier": {"low": 0.0, "open_low": True},
}
REDUCED = {"temperature": "reduced_temperature", "active_temperature": "reduced_active_temperature"}
SAMPLING = {"draws": 20, "burn_in": 0, "thin": 1}  # with their smallest allowed values
CHOICES = ("initial", "method")
SHARED = ("load", *REDUCED, *REDUCED.values(), *SAMPLING, *CHOICES)
# random states; chain k at pattern k, each chain on its own; all chains at the first pattern
INITIAL = ("random", "patterns", "one-pattern")
SPIN_METHODS = ("pseudolikelihood", "hybrid-rbm", "couplings")
UNIT_METHODS = ("gaussian", "score-matching", "couplings")


@dataclass(frozen=True)
class Kind:
    """A dynamics of sweeps: parameters, constructor, default schedule, and methods (the first is the default)."""

    parameters: tuple[str, ...]
    build: Callable[..., Dynamics]
    draws: int = 8000
    thin: int = 4
    optional: tuple[str, ...] = ()
    athermal: bool = False
    methods: tuple[str, ...] = SPIN_METHODS


def _units(couplings: Any, *, stiffness: float | None = None, **parameters: float) -> Dynamics:
    """Active Ornstein-Uhlenbeck units, harmonic where a stiffness is given, else spherical."""
    potential = Spherical() if stiffness is None else Harmonic(stiffness)
    return ActiveOrnsteinUhlenbeck(couplings, potential=potential, **parameters)


def _soft(couplings: Any, *, barrier: float, **parameters: float) -> Dynamics:
    """Soft spins: units in two wells, driven by coloured noise."""
    return ActiveOrnsteinUhlenbeck(couplings, potential=SoftSpin(barrier), **parameters)


KINDS = {
    "persistent-threshold": Kind(("temperature", "persistence"), PersistentGlauber),
    "coloured-field": Kind(("temperature", "persistence_time", "active_temperature"), ColoredFieldGlauber),
    "active-ornstein-uhlenbeck": Kind(
        ("temperature", "persistence_time", "active_temperature"),
        _units,
        draws=2000,
        thin=2,
        optional=("stiffness",),
        athermal=True,
        methods=UNIT_METHODS,
    ),
    "soft-spin": Kind(
        ("temperature", "persistence_time", "active_temperature", "barrier"),
        _soft,
        draws=2000,
        thin=2,
        athermal=True,
        methods=("score-matching",),
    ),
    "glauber": Kind(("temperature",), Glauber),
    "metropolis": Kind(("temperature",), Metropolis),
}
PARAMETERS = ("temperature", "active_temperature", "persistence", "persistence_time", "stiffness", "barrier")


@dataclass(frozen=True)
class Cell:
    """One point of the grid: a dynamics with Hebbian couplings of random patterns, and its sampling schedule.

    All random numbers follow from these values (`pattern_seed`, `chain_seed`): results do not depend on the order of
    cells, on other cells of the grid, or on the worker. Cells that differ only in dynamics, temperature or persistence
    have the same patterns, so that curves along these axes have no additional noise from different patterns; cells that
    differ only in method have the same samples.
    """

    dynamics: str
    n_spins: int
    n_patterns: int
    repeat: int
    seed: int
    chains: int
    draws: int
    burn_in: int
    thin: int
    temperature: float | None = None
    active_temperature: float | None = None
    persistence: float | None = None
    persistence_time: float | None = None
    stiffness: float | None = None
    barrier: float | None = None
    initial: str = "random"
    method: str = "pseudolikelihood"

    @property
    def load(self) -> float:
        """Number of patterns over number of spins."""
        return self.n_patterns / self.n_spins

    @property
    def key(self) -> str:
        """Name of the cell in the store: every value, exactly."""
        return json.dumps({field.name: getattr(self, field.name) for field in fields(self)})

    def pattern_seed(self) -> np.random.SeedSequence:
        """Seed of the patterns."""
        return _seed("patterns", self.seed, self.n_spins, self.n_patterns, self.repeat)

    def chain_seed(self) -> np.random.SeedSequence:
        """Seed of the chains; the same for more draws, so that a longer run begins with the draws of a shorter one."""
        physics = [getattr(self, name) for name in ("dynamics", *PARAMETERS) if name != "barrier"]
        physics += [self.barrier] if self.barrier is not None else []
        physics += [self.initial] if self.initial != "random" else []
        return _seed("chains", self.seed, self.n_spins, self.n_patterns, self.repeat, *physics)

    def build(self, couplings: Any) -> Dynamics:
        """The dynamics with these couplings."""
        given = {name: getattr(self, name) for name in PARAMETERS if getattr(self, name) is not None}
        return KINDS[self.dynamics].build(couplings, **given)


def _seed(*parts: Any) -> np.random.SeedSequence:
    """Seed sequence that follows from numbers and words."""
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return np.random.SeedSequence(int.from_bytes(digest[:16], "big"))


@dataclass(frozen=True)
class Plan:
    """A checked config, with every default filled in, and its cells in order."""

    config: dict[str, Any]
    cells: tuple[Cell, ...]


def transition_scales(dynamics: str, load: float, given: Mapping[str, float | None]) -> dict[str, float]:
    """Units of `reduced_temperature` and `reduced_active_temperature`.

    The first is the transition temperature of spins under their drive (`theory.transition_temperature`), the second the
    transition active temperature of spherical units (`theory.transition_active_temperature`); both are the equilibrium
    value 1 + sqrt(load) where the drive is not known yet, or where there is no transition to refer to: for the
    temperature of units, for active temperatures of spins, and for harmonic units.

    Parameters
    ----------
    dynamics : str
        Name in `KINDS`.
    load : float
        Number of patterns over number of spins.
    given : mapping
        Parameters of the cell by name; where one that is needed is missing, a scale is that of equilibrium.

    Returns
    -------
    dict
        From "temperature" and "active_temperature" to units of the couplings.

    Raises
    ------
    ValueError
        If the transition is not known for these parameters.
    """
    scales = dict.fromkeys(REDUCED, theory.transition_temperature(load))
    values = {name: value for name, value in given.items() if value is not None}
    if dynamics == "persistent-threshold" and "persistence" in values:
        scales["temperature"] = theory.transition_temperature(load, values["persistence"])
    elif dynamics == "coloured-field" and {"persistence_time", "active_temperature"} <= values.keys():
        drive = values["persistence_time"], values["active_temperature"]
        scales["temperature"] = theory.transition_temperature(load, 0.0, *drive)
    elif dynamics == "active-ornstein-uhlenbeck" and "stiffness" not in values and "temperature" in values:
        drive = values["persistence_time"], values["temperature"]
        scales["active_temperature"] = theory.transition_active_temperature(load, *drive)
    return scales


def plan_sweep(config: Mapping[str, Any] | str | os.PathLike[str], *, seed: int | None = None) -> Plan:
    """Check a config and list its cells.

    Parameters
    ----------
    config : mapping or path of a TOML file
        See `infer.sweep`.
    seed : int, optional
        Seed in place of that of the config.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If the config is invalid, in one line that names the file and the key.
    """
    source = "config" if isinstance(config, Mapping) else str(config)
    try:
        given = dict(config) if isinstance(config, Mapping) else read_toml(config)
        checked = _check(given if seed is None else {**given, "seed": seed})
        cells = tuple(_cells(checked))
        _check_distinct(cells)
    except ValueError as error:
        text = str(error)
        raise InputError(text if text.startswith(source) else f"{source}: {text}") from None
    return Plan(checked, cells)


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A TOML file as a dict."""
    if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
        raise ValueError("not a regular file")  # reading a pipe into which nobody writes has no end
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not a TOML file: {error}") from None
    except UnicodeDecodeError:
        raise ValueError("not a TOML file: it is not text in UTF-8") from None
    except (FileNotFoundError, IsADirectoryError):
        raise ValueError("there is no such file") from None


def _check(given: dict[str, Any]) -> dict[str, Any]:
    """The config with every default filled in; one-line errors that name the key."""
    _known(given, ("n_spins", "repeats", "seed", "chains", *SHARED, "dynamics"), "")
    checked: dict[str, Any] = {"n_spins": _sizes(_needed(given, "n_spins", ""))}
    checked["repeats"] = check_count(given.get("repeats", 1), "repeats", low=1)
    checked["seed"] = check_count(given.get("seed", 0), "seed")
    checked["chains"] = check_count(given.get("chains", 4), "chains", low=2)
    shared = {name: given[name] for name in SHARED if name in given}
    tables = _needed(given, "dynamics", "")
    if isinstance(tables, Mapping):
        tables = [tables]
    if not isinstance(tables, list) or not tables or not all(isinstance(table, Mapping) for table in tables):
        raise ValueError(
            'dynamics must be one or more tables, each headed [[dynamics]] with name = "persistent-threshold" or such'
        )
    checked["dynamics"] = [
        _check_dynamics(table, shared, f"dynamics[{place}].", checked["n_spins"]) for place, table in enumerate(tables)
    ]
    return checked


def _check_dynamics(table: Mapping[str, Any], shared: dict[str, Any], place: str, n_spins: Any) -> dict[str, Any]:
    """One table [[dynamics]], completed by what is shared."""
    name = _needed(table, "name", place)
    if name not in KINDS:
        raise ValueError(f"{place}name must be one of {', '.join(KINDS)}, got {shown(name)}")
    kind = KINDS[name]
    own = (*kind.parameters, *kind.optional)
    allowed = ("name", "load", *own, *(REDUCED[one] for one in own if one in REDUCED), *SAMPLING, *CHOICES)
    _known(table, allowed, place)
    # a table's own value, plain or reduced, replaces the shared one, plain or reduced
    values: dict[str, tuple[Any, str]] = {key: (value, key) for key, value in shared.items() if key in allowed}
    for key, value in table.items():
        for other in {key, REDUCED.get(key), *(plain for plain, reduced in REDUCED.items() if reduced == key)} - {None}:
            values.pop(str(other), None)
        values[key] = (value, f"{place}{key}")
    if kind.athermal and "temperature" not in values and "reduced_temperature" not in values:
        values["temperature"] = (0.0, f"{place}temperature")
    checked: dict[str, Any] = {"name": name}
    for parameter in ("load", *own):
        reduced = REDUCED.get(parameter, parameter)
        if parameter in values and reduced != parameter and reduced in values:
            raise ValueError(f"{values[reduced][1]}: give either {parameter} or {reduced}, not both")
        key = reduced if parameter not in values else parameter
        if key in values:
            checked[key] = _numbers(*values[key], key, positive=not kind.athermal and parameter == "temperature")
        elif parameter not in kind.optional:
            choices = parameter if reduced == parameter else f"{parameter} (or {reduced})"
            raise ValueError(f"{place}{choices} is missing: {name} needs it")
    _check_loads(checked["load"], values["load"][1], n_spins)
    for key, low in SAMPLING.items():
        default = {"draws": kind.draws, "burn_in": 500, "thin": kind.thin}[key]
        value, name_of = values.get(key, (default, key))
        checked[key] = check_count(value, name_of, low=low)
    checked["initial"] = _choice(*values.get("initial", ("random", "initial")), INITIAL)
    checked["method"] = _methods(*values.get("method", (kind.methods[0], "method")), name, place)
    return checked


def _sizes(value: Any) -> int | list[int]:
    """A number of spins, or a list of different ones."""
    if not isinstance(value, list | tuple | np.ndarray):
        return check_count(value, "n_spins", low=2)
    if len(value) == 0:
        raise ValueError("n_spins is empty: give at least one number")
    sizes = [check_count(one, f"n_spins[{place}]", low=2) for place, one in enumerate(value)]
    if len(set(sizes)) < len(sizes):
        raise ValueError(f"n_spins holds {next(one for one in sizes if sizes.count(one) > 1)} twice")
    return sizes


def _check_loads(loads: list[float], name: str, n_spins: int | list[int]) -> None:
    """Loads must give patterns that have a dreaming rate, and be the same at all sizes."""
    for size in n_spins if isinstance(n_spins, list) else [n_spins]:
        for place, load in enumerate(loads):
            if round(load * size) < 2:
                raise ValueError(
                    f"{name}[{place}] = {load:g} is less than two patterns of {size} spins, which have no dreaming rate"
                )
            if isinstance(n_spins, list) and len(n_spins) > 1 and abs(load * size - round(load * size)) > 1e-6:
                raise ValueError(
                    f"{name}[{place}] = {load:g} is {load * size:g} patterns of {size} spins: with several n_spins, "
                    "which are compared at the same load, take loads that give whole numbers of patterns at each"
                )


def _choice(value: Any, name: str, known: tuple[str, ...]) -> str:
    """One of some words."""
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {shown(value)}")
    return str(value)


def _methods(value: Any, name: str, dynamics: str, place: str) -> list[str]:
    """A method or a list of different ones, each of which this dynamics knows."""
    known = KINDS[dynamics].methods
    words = list(value) if isinstance(value, list | tuple) else [value]
    if not words:
        raise ValueError(f"{name} is empty: give at least one of {', '.join(known)}")
    for word in words:
        if word not in known:
            remedy = "" if name.startswith(place) else f"; give {place}method of its own"
            raise ValueError(f"{name}: {dynamics} knows {', '.join(known)}, not {shown(word)}{remedy}")
    if len(set(words)) < len(words):
        raise ValueError(f"{name} holds {next(one for one in words if words.count(one) > 1)} twice")
    return words


def _numbers(value: Any, name: str, key: str, *, positive: bool) -> list[float]:
    """A number or a list of different numbers, as list."""
    bounds = AXES[key] | ({"open_low": True} if positive else {})
    if not isinstance(value, list | tuple | np.ndarray):
        return [check_number(value, name, **bounds)]
    if len(value) == 0:
        raise ValueError(f"{name} is empty: give at least one number")
    numbers = [check_number(one, f"{name}[{place}]", **bounds) for place, one in enumerate(value)]
    if len(set(numbers)) < len(numbers):
        twice = next(one for one in numbers if numbers.count(one) > 1)
        raise ValueError(f"{name} holds {twice:g} twice")
    return numbers


def _known(table: Mapping[str, Any], allowed: tuple[str, ...], place: str) -> None:
    """Raise an error for unknown keys, which names the most similar known one."""
    for key in table:
        if key not in allowed:
            meant = get_close_matches(str(key), allowed, n=1)
            hint = f"did you mean {meant[0]}?" if meant else f"known keys are {', '.join(allowed)}"
            raise ValueError(f"{place}{key} is not a key here; {hint}")


def _needed(table: Mapping[str, Any], key: str, place: str) -> Any:
    """The value of a key that has no default."""
    if key not in table:
        raise ValueError(f"{place}{key} is missing")
    return table[key]


def _cells(config: dict[str, Any]) -> Iterator[Cell]:
    """Cells of a checked config: dynamics, then sizes, loads, parameters, methods, and repeats."""
    sizes = config["n_spins"] if isinstance(config["n_spins"], list) else [config["n_spins"]]
    for table in config["dynamics"]:
        axes = [key for key in AXES if key in table and key != "load"]
        fixed = {key: table[key] for key in (*SAMPLING, "initial")}
        for n_spins, load in itertools.product(sizes, table["load"]):
            n_patterns = round(load * n_spins)
            for values in itertools.product(*(table[axis] for axis in axes)):
                given = dict(zip(axes, values, strict=True))
                _unreduce(given, table["name"], n_patterns / n_spins)
                for method, repeat in itertools.product(table["method"], range(config["repeats"])):
                    yield Cell(
                        dynamics=table["name"],
                        n_spins=n_spins,
                        n_patterns=n_patterns,
                        repeat=repeat,
                        seed=config["seed"],
                        chains=config["chains"],
                        method=method,
                        **fixed,
                        **given,
                    )


def _unreduce(given: dict[str, float], dynamics: str, load: float) -> None:
    """Replace reduced temperatures by temperatures, in the order in which their scales depend on each other."""
    order = list(REDUCED.items())
    for plain, reduced in order if KINDS[dynamics].athermal else reversed(order):
        if reduced in given:
            scale = transition_scales(dynamics, load, given)[plain]
            if scale == 0:
                raise ValueError(f"{reduced}: nothing orders at load {load:g} under this drive; give {plain} instead")
            given[plain] = given.pop(reduced) * scale


def _check_distinct(cells: tuple[Cell, ...]) -> None:
    """Raise an error for grids in which two points are the same cell."""
    seen: set[str] = set()
    for cell in cells:
        if cell.key in seen:
            raise ValueError(
                f"two points of the grid are the same cell: {cell.dynamics} with {cell.n_patterns} patterns of "
                f"{cell.n_spins} spins; remove a load that rounds to the same number of patterns, or a table"
            )
        seen.add(cell.key)
