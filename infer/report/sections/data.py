"""Section on the data, the fit, parameters and versions: everything needed to repeat the analysis."""

from infer.report.layout import Number, Table, entry, number
from infer.report.results import Analysis
from infer.report.section import Numbers, Section

Row = tuple[str | Number, ...]
QUANTITIES = {
    "n_samples": "samples",
    "n_rows": "rows",
    "n_spins": "spins",
    "n_chains": "chains",
    "n_patterns": "stored patterns",
    "load": "load (patterns per spin)",
    "n_couplings": "couplings",
    "samples_per_coupling": "samples per coupling",
    "samples_per_squared_spin": "samples per N²",
    "active_share": "share of +1",
    "mean_absolute_mean": "mean over spins of |⟨sᵢ⟩|",
    "time_ordered": "rows in time order",
}


def _data(analysis: Analysis, numbers: Numbers) -> Table:
    data = numbers["data"]
    rows: list[Row] = [
        (text, number(data[key]) if type(data[key]) is int else entry(data[key], 3))
        for key, text in QUANTITIES.items()
        if data[key] is not None
    ]
    return Table("Data", ("quantity", "value"), rows)


def _attributes(analysis: Analysis, numbers: Numbers) -> Table | None:
    found = numbers["data"]["attributes"]
    rows: list[Row] = [
        (key.replace("_", " "), "none" if value in ("", "[]") else entry(value)) for key, value in found.items()
    ]
    sampled = any(key.startswith("effective_size") for key in found)
    note = "Effective sizes are those of evenly spaced draws, at most 1,000 of each chain, unless one was asked for."
    return Table("Recorded with the data", ("attribute", "value"), rows, note if sampled else "") if rows else None


def _fit(analysis: Analysis, numbers: Numbers) -> Table:
    fit = numbers["fit"]
    rows: list[Row] = [
        ("method", fit["method"]),
        ("method chosen", fit["chosen"]),
        ("estimator", fit["estimator"]),
        ("alpha (strength of the penalty)", entry(fit["alpha"])),
        ("alpha chosen by", "held-out pseudo-likelihood" if fit["alpha_tried"] else "default or user"),
        ("fields fitted", "yes" if fit["fit_fields"] else "no, held at 0"),
        ("tolerance", entry(fit["tol"])),
        ("iterations", entry(fit["n_iter"])),
        ("converged", entry(fit["converged"])),
        ("log pseudo-likelihood (nats per spin)", number(fit["score_per_spin"])),
        ("the same for free spins, −log 2", number(fit["score_per_spin_free"])),
    ]
    return Table("Fit of the couplings", ("quantity", "value"), rows)


def _settings(analysis: Analysis, numbers: Numbers) -> Table:
    parameters = dict(numbers["parameters"])
    seconds = parameters.pop("seconds")
    rows: list[Row] = [(key.replace("_", " "), entry(value)) for key, value in parameters.items() if value != ""]
    rows += [(f"time for {key} (seconds)", Number(value, f"{value:,.1f}")) for key, value in seconds.items()]
    return Table("Parameters and times", ("parameter", "value"), rows)


def _versions(analysis: Analysis, numbers: Numbers) -> Table:
    rows: list[Row] = [(name, version) for name, version in numbers["versions"].items()]
    return Table("Versions", ("package", "version"), rows)


SECTION = Section(
    "background",
    "Data, parameters and versions",
    lambda analysis: (
        "Everything needed to repeat this analysis. The same samples, parameters and seed give the same numbers."
    ),
    [],
    [_data, _attributes, _fit, _settings, _versions],
)
