"""The command `reverie simulate`: samples of any dynamics, with parameters from options or a TOML file."""

from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from infer.cli.console import wants_progress, wants_steps
from infer.cli.options import Jobs, Progress

#: Dynamics by name: the class in `simulate`, and its parameters; those in the second tuple may be left out.
DYNAMICS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "persistent-threshold": ("PersistentGlauber", ("temperature", "persistence"), ()),
    "coloured-field": ("ColoredFieldGlauber", ("temperature", "persistence_time", "active_temperature"), ()),
    "glauber": ("Glauber", ("temperature",), ()),
    "metropolis": ("Metropolis", ("temperature",), ()),
    "two-temperature": ("TwoTemperatureGlauber", ("temperature", "hot_temperature"), ("share",)),
    "kinetic-ising": ("KineticIsing", ("temperature",), ("update",)),
    "block-gibbs": ("BlockGibbs", ("temperature",), ()),
    "active-ornstein-uhlenbeck": (
        "ActiveOrnsteinUhlenbeck",
        ("persistence_time", "active_temperature"),
        ("temperature", "potential", "stiffness", "barrier", "time_step"),
    ),
    "spherical-hopfield": (
        "SphericalHopfield",
        ("temperature", "quartic"),
        ("persistence_time", "active_temperature", "time_step"),
    ),
}
PARAMETERS = tuple(dict.fromkeys(name for _, needed, optional in DYNAMICS.values() for name in (*needed, *optional)))
#: Values of options that are given neither on the command line nor in the file.
DEFAULTS: dict[str, Any] = {
    "dynamics": "persistent-threshold",
    "n_spins": 100,
    "n_patterns": 20,
    "rate": 0.0,
    "draws": 10_000,
    "chains": 4,
    "burn_in": 500,
    "thin": 4,
    "seed": 0,
}
_PHYSICS_DEFAULTS = {"temperature": 1.2, "persistence": 0.5}
_CONTINUOUS = "active-ornstein-uhlenbeck"
_SPHERICAL = "spherical-hopfield"


class Potential(StrEnum):
    """Potential of active units."""

    SPHERICAL = "spherical"
    HARMONIC = "harmonic"
    SOFT_SPIN = "soft-spin"


class Update(StrEnum):
    """Order of updates of the kinetic Ising model."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"


Dynamics = StrEnum("Dynamics", {name.upper().replace("-", "_"): name for name in DYNAMICS})  # type: ignore[misc]  # of a table
Number = float | None


def _of(dynamics: str, text: str) -> Any:
    """An option that goes with some dynamics only."""
    return typer.Option(help=f"{text} ({dynamics}).")


def _with_default(name: str, text: str, *, least: int | None = None) -> Any:
    """An option whose default stands in `DEFAULTS`: the file of options comes before it."""
    return typer.Option(help=f"{text} [default: {DEFAULTS[name]}]", min=least)


def simulate(
    output: Annotated[Path, typer.Option(help="NetCDF file for samples and patterns (.nc).")],
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file of options by name, such as `n_spins = 50`; the command line takes precedence."),
    ] = None,
    dynamics: Annotated[Dynamics | None, _with_default("dynamics", "Dynamics of the spins or units.")] = None,
    n_spins: Annotated[int | None, _with_default("n_spins", "Number of spins, for random patterns.", least=2)] = None,
    n_patterns: Annotated[int | None, _with_default("n_patterns", "Number of random patterns.", least=1)] = None,
    patterns: Annotated[
        Path | None, typer.Option(help="File of patterns of +-1, one per row, in place of random ones.")
    ] = None,
    rate: Annotated[Number, _with_default("rate", "Dreaming rate of the couplings; 0 is Hebbian.")] = None,
    temperature: Annotated[
        Number, typer.Option(help="Temperature. [default: 1.2 for spins, 0 for active-ornstein-uhlenbeck]")
    ] = None,
    persistence: Annotated[
        Number, _of("persistent-threshold; default 0.5", "Probability in [0, 1) that an update keeps its threshold")
    ] = None,
    persistence_time: Annotated[
        Number,
        _of(
            f"coloured-field, in sweeps; {_CONTINUOUS}, {_SPHERICAL}, in units of time", "Correlation time of the noise"
        ),
    ] = None,
    active_temperature: Annotated[
        Number, _of(f"coloured-field, {_CONTINUOUS}, {_SPHERICAL}", "Strength of the correlated noise")
    ] = None,
    hot_temperature: Annotated[Number, _of("two-temperature", "Temperature of the second bath")] = None,
    share: Annotated[Number, _of("two-temperature; default 0.5", "Share of updates by the second bath")] = None,
    update: Annotated[Update | None, _of("kinetic-ising; default sequential", "Order of updates")] = None,
    potential: Annotated[Potential | None, _of(f"{_CONTINUOUS}; default spherical", "Potential")] = None,
    stiffness: Annotated[Number, _of("harmonic potential", "Stiffness")] = None,
    barrier: Annotated[Number, _of("soft-spin potential", "Height of the barrier, times 4")] = None,
    quartic: Annotated[Number, _of(_SPHERICAL, "Strength of the quartic term")] = None,
    time_step: Annotated[Number, _of(f"{_CONTINUOUS}, {_SPHERICAL}; default by stiffness", "Longest time step")] = None,
    draws: Annotated[int | None, _with_default("draws", "Recorded states of each chain.")] = None,
    chains: Annotated[int | None, _with_default("chains", "Independent chains.")] = None,
    burn_in: Annotated[int | None, _with_default("burn_in", "Sweeps before the first draw.")] = None,
    thin: Annotated[int | None, _with_default("thin", "Sweeps between draws.")] = None,
    seed: Annotated[int | None, _with_default("seed", "Seed of all random numbers.", least=0)] = None,
    n_jobs: Jobs = -1,
    progress: Progress = None,
) -> None:
    """Sample the steady state of spins, or of active units, that store patterns."""
    given = {name: value for name, value in locals().items() if name in (*DEFAULTS, *PARAMETERS, "patterns")}
    from infer.fits import check_output, write_netcdf
    from infer.progress import shown_steps, step
    from infer.recordings.recording import read_patterns
    from simulate import PatternCouplings, dreaming, random_patterns, sample

    chosen = _with_file(given, config)
    check_output(output, ".nc", inputs=[patterns, config])
    stored = chosen["patterns"]
    xi = (
        read_patterns(stored)
        if stored
        else random_patterns(chosen["n_patterns"], chosen["n_spins"], seed=chosen["seed"])
    )
    store = PatternCouplings if chosen["dynamics"] == _SPHERICAL else dreaming
    model = build(chosen["dynamics"], store(xi, chosen["rate"]), chosen)
    bar = wants_progress(progress)
    with shown_steps(wants_steps(progress)), step("sampling", live=not bar):
        samples = sample(
            model,
            chosen["draws"],
            chains=chosen["chains"],
            burn_in=chosen["burn_in"],
            thin=chosen["thin"],
            seed=chosen["seed"],
            n_jobs=n_jobs,
            progress=bar,
        )
    write_netcdf(output, samples.assign_attrs(rate=chosen["rate"]), xi)
    what = "units" if chosen["dynamics"] in (_CONTINUOUS, _SPHERICAL) else "spins"
    typer.echo(
        f"{output}: {chosen['chains']} chains x {chosen['draws']} draws of {xi.shape[1]} {what}, {len(xi)} patterns"
    )


def _with_file(given: Mapping[str, Any], path: Path | None) -> dict[str, Any]:
    """Options from the command line, the file and the defaults, in this order."""
    from infer.errors import InputError
    from infer.sweeps.plan import read_toml
    from infer.wording import shown

    found = {name: value for name, value in given.items() if value is not None}
    try:
        values = {} if path is None else read_toml(path)
        for key, value in values.items():
            name = key.replace("-", "_")
            if name not in given:
                meant = get_close_matches(name, given, n=1)
                hint = f"did you mean {meant[0]}?" if meant else f"known keys are {', '.join(given)}"
                raise ValueError(f"{key} is not a key here; {hint}")
            expected = {"dynamics": str, "potential": str, "update": str, "patterns": str}.get(name, (int, float))
            if not isinstance(value, expected) or isinstance(value, bool):
                raise ValueError(f"{key} must be {'text' if expected is str else 'a number'}, got {shown(value)}")
            # a path in the file is relative to the file, as in other programs
            value = Path(path).parent / str(value) if name == "patterns" and path is not None else value
            found.setdefault(name, value)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    chosen = {**dict.fromkeys(given), **DEFAULTS, **found}
    if chosen["dynamics"] not in DYNAMICS:
        raise InputError(f"dynamics must be one of {', '.join(DYNAMICS)}, got {shown(chosen['dynamics'])}")
    return chosen


def build(name: str, couplings: Any, given: Mapping[str, Any]) -> Any:
    """A dynamics with these couplings and the parameters that are not None.

    Raises
    ------
    ValueError
        If a parameter is missing, does not go with the dynamics, or is out of its range.
    """
    import simulate as package
    from infer.errors import InputError

    kind, needed, optional = DYNAMICS[str(name)]
    values = {key: given[key] for key in PARAMETERS if given.get(key) is not None}
    for key in values:
        if key not in (*needed, *optional):
            own = ", ".join(map(_option, (*needed, *optional)))
            raise InputError(f"{_option(key)} does not go with {name}, which has {own}")
    for key in needed:
        if key not in values and key in _PHYSICS_DEFAULTS:
            values[key] = _PHYSICS_DEFAULTS[key]
        if key not in values:
            raise InputError(f"{name} needs {_option(key)}")
    if "update" in values:
        values["update"] = str(values["update"])
    if name == _CONTINUOUS:
        values["potential"] = _potential(values)
    return getattr(package, kind)(couplings, **values)


def _potential(values: dict[str, Any]) -> Any:
    """The potential of active units; its own parameters are taken out of the values."""
    from infer.errors import InputError
    from infer.wording import shown
    from simulate import Harmonic, SoftSpin, Spherical

    name = str(values.pop("potential", "spherical"))
    own: dict[str, tuple[str | None, Any]] = {
        "spherical": (None, Spherical),
        "harmonic": ("stiffness", Harmonic),
        "soft-spin": ("barrier", SoftSpin),
    }
    if name not in own:
        raise InputError(f"potential must be one of {', '.join(own)}, got {shown(name)}")
    parameter, kind = own[name]
    for key in ("stiffness", "barrier"):
        if key in values and key != parameter:
            raise InputError(f"{_option(key)} does not go with the potential {name}")
    if parameter is None:
        return kind()
    if parameter not in values:
        raise InputError(f"the potential {name} needs {_option(parameter)}")
    return kind(values.pop(parameter))


def _option(name: str) -> str:
    """A parameter as the command line spells it."""
    return f"--{name.replace('_', '-')}"
