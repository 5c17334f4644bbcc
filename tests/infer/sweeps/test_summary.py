"""The table and the figure of a sweep show each point of the grid, with what varies."""

import numpy as np
import pandas as pd
import pytest

from infer.sweeps.figures import rate_panels
from infer.sweeps.plan import plan_sweep
from infer.sweeps.summary import MOST_ROWS, rate_table
from infer.sweeps.table import MEASURED, NUMBERS, _parameters

CONFIG = {
    "n_spins": 50,
    "repeats": 2,
    "load": [0.1, 0.2],
    "temperature": 2.0,
    "dynamics": [
        {"name": "persistent-threshold", "persistence": [0.0, 0.5, 0.9]},
        {"name": "glauber"},
    ],
}


@pytest.fixture
def table() -> pd.DataFrame:
    """Every cell settled at a rate of its persistence, but one."""
    rows = []
    for number, cell in enumerate(plan_sweep(CONFIG).cells):
        parameters = _parameters(cell)
        rate = 0.0 if np.isnan(parameters["persistence"]) else parameters["persistence"]
        numbers = dict.fromkeys(NUMBERS, 1.0) | {"rate": rate, "rate_std": 0.01, "formula_rate": rate}
        status = "open" if number == 3 else "settled"
        if status == "open":
            numbers |= dict.fromkeys(MEASURED, np.nan)
        rows.append({**parameters, "status": status, "reason": "", **numbers})
    return pd.DataFrame(rows)


def test_the_table(table: pd.DataFrame) -> None:
    lines = [line.split() for line in rate_table(table).splitlines()]
    assert lines[0] == ["dynamics", "load", "persistence", "rate", "theory", "settled"]
    assert len(lines) == 1 + 2 * (3 + 1)
    assert lines[1] == ["persistent-threshold", "0.1", "0", "0.0000", "+-", "0.0071", "0.0000", "2/2"]
    assert lines[2] == ["persistent-threshold", "0.1", "0.5", "-", "0.5000", "1/2"]
    assert lines[-1][:3] == ["glauber", "0.2", "-"]
    # an equal load for all and one dynamics: neither is a column
    one = table[(table["dynamics"] == "persistent-threshold") & (table["load"] == 0.1)]
    assert rate_table(one).split()[:2] == ["persistence", "rate"]
    unknown = table.assign(formula_rate=table["formula_rate"].where(table["load"] == 0.1))
    assert rate_table(unknown).splitlines()[-1].startswith("theory -: not known")
    assert "not known" not in rate_table(table)
    many = pd.concat([table.assign(n_spins=50 + k) for k in range(8)])
    assert len(rate_table(many).splitlines()) == MOST_ROWS + 2


def test_the_figure(table: pd.DataFrame) -> None:
    figure = rate_panels(table)
    spins, glauber = figure.axes
    assert (spins.get_title(), spins.get_xlabel()) == ("persistent-threshold", "persistence")
    assert [text.get_text() for text in spins.get_legend().get_texts()] == ["load 0.1", "load 0.2"]
    np.testing.assert_allclose(spins.containers[1].lines[0].get_ydata().astype(float), [0.0, 0.5, 0.9])
    assert glauber.get_xlabel() == "load"
    assert rate_panels(table[(table["load"] == 0.1) & (table["dynamics"] == "glauber")]).axes[0].get_xlabel() == "load"
