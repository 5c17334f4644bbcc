"""Section on the energy landscape of few spins: minima, saddles between them, and shares of the rows."""

from infer.landscape.figures import disconnectivity_graph, minima_picture, shares_of_basins
from infer.landscape.result import EnergyLandscape
from infer.report.layout import Number, Table, number, with_error
from infer.report.results import Analysis
from infer.report.section import Figure, Numbers, Section

MOST_ROWS = 30
ACCURACY = {
    "entropy_independent": "entropy of independent spins, S₁ (bits)",
    "entropy_model": "entropy of the pair model, S₂ (bits)",
    "entropy_samples": "entropy of the rows, Sₙ (bits)",
    "divergence_independent": "divergence of the rows from independent spins, D₁ (bits)",
    "divergence_model": "divergence of the rows from the pair model, D₂ (bits)",
    "r": "r = (S₁ − S₂) / (S₁ − Sₙ)",
    "r_divergence": "r_D = (D₁ − D₂) / D₁",
    "seen_once": "share of the rows whose state was seen once",
}
Row = tuple[str | Number, ...]


def _landscape(analysis: Analysis) -> EnergyLandscape:
    assert analysis.landscape is not None
    return analysis.landscape


def _text(analysis: Analysis) -> str:
    text = (
        f"{_landscape(analysis).verdict} A minimum is a state whose energy is lowered by no flip of a single spin; its "
        "basin holds the states from which steepest descent leads to it."
    )
    if not analysis.diagnosis.accepted:
        text += " The fit was not accepted, and so the landscape is unreliable."
    return text


def _several(analysis: Analysis) -> bool:
    return _landscape(analysis).n_minima > 1


def _minima(analysis: Analysis, numbers: Numbers) -> Table:
    found = numbers["landscape"]
    n = min(len(found["energies"]), MOST_ROWS)
    none = [None] * n
    shares, sizes = found["shares"] or none, found["basin_sizes"] or none
    rows: list[Row] = []
    for k in range(n):
        depth = found["depths"][k]
        rows.append(
            (
                str(k),
                number(found["energies"][k]),
                "–" if depth is None else number(depth, 3),
                "–" if sizes[k] is None else number(sizes[k]),
                "–" if shares[k] is None else number(shares[k], 3),
                with_error(found["model_shares"][k], found["model_shares_std"][k])[0],
            )
        )
    head = ("minimum", "energy E / T", "depth", "states in its basin", "share of the rows", "share in the model")
    note = "Depth: energy of the lowest saddle to another minimum, above that of the minimum."
    if n < len(found["energies"]):
        note += f" The {n} lowest of {len(found['energies'])}; all are among the numbers."
    return Table("Minima", head, rows, note)


def _accuracy(analysis: Analysis, numbers: Numbers) -> Table | None:
    """Entropies of rows and models, and the share that pairs explain."""
    found = numbers["landscape"]["accuracy"]
    if found is None:
        return None
    rows: list[Row] = []
    for key, name in ACCURACY.items():
        value, error = with_error(found[key], found.get(f"{key}_std"))
        rows.append((name, number(found[key]), error) if error == "–" else (name, value, error))
    shown = 2 if all(row[-1] == "–" for row in rows) else 3  # no errors where all states were enumerated
    head = ("quantity", "value", "standard error")[:shown]
    rows = [row[:shown] for row in rows]
    return Table("Accuracy of the pair model", head, rows, "A bit is 0.693 nats. Plain, not corrected for bias.")


SECTION = Section(
    "landscape",
    "Energy landscape",
    _text,
    [
        Figure(
            "tree",
            "Tree of the minima",
            lambda analysis: disconnectivity_graph(_landscape(analysis)),
            "Every line ends at the energy of a minimum; lines meet at the lowest saddle between them. Long lines are "
            "states that are hard to leave.",
            needs=_several,
        ),
        Figure(
            "minima",
            "Minima",
            lambda analysis: minima_picture(_landscape(analysis)),
            "One row for each minimum, the lowest on top: red spins are +1, blue ones −1.",
        ),
        Figure(
            "basins",
            "Shares of the basins",
            lambda analysis: shares_of_basins(_landscape(analysis)),
            "Share of the rows in each basin beside its probability in the model. A departure is a state that the "
            "model makes too likely, or too rare.",
            needs=_several,
        ),
    ],
    [_minima, _accuracy],
    needs=lambda analysis: analysis.landscape is not None,
)
