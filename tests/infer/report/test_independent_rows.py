"""Coin flips: what a report says of independent rows is true, however few they are."""

import numpy as np
import pytest

from infer import analyse
from infer.model import PairModel
from infer.report.convergence import monitor, r_hat_threshold
from infer.report.sections.first import first_line


def coins(rows: int, spins: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.int8), size=(rows, spins))


def test_independent_rows_agree_and_halves_that_differ_do_not() -> None:
    model = PairModel(np.zeros((6, 6)), np.full(6, 0.1))
    records = [monitor(coins(64, 6, seed), None, True, model, None) for seed in range(8)]
    # one of 20 records may disagree: more than 2 of 8 do in one run of 170
    assert sum(record.agree is False for record in records) <= 2
    assert sum(record.worst_r_hat > 1.01 for record in records) > 2  # few rows differ by chance
    assert all(record.least_ess <= 64 for record in records)
    drifting = coins(64, 6, 0)
    drifting[32:, 0] = 1
    assert monitor(drifting, None, True, model, None).agree is False


def test_the_threshold_is_the_usual_one_for_long_records() -> None:
    assert r_hat_threshold(4, 10_000, 120) == 1.01
    assert r_hat_threshold(2, 100, 21) == pytest.approx(1.0441, abs=1e-4)  # sqrt(1 + (F - 1) / 50), F(3, 196)
    assert r_hat_threshold(2, 8, 11) > r_hat_threshold(2, 50, 11) > r_hat_threshold(2, 50, 2)


def test_a_report_of_sixteen_rows() -> None:
    found = analyse(coins(16, 6, 0), seed=0)
    assert "nothing against independent spins" in first_line(found)
    assert found.dreaming is None
    assert any("16 rows are few: error bars ask for" in text for text in found.warnings)
    assert not any("disagree" in text or "repeat each other" in text for text in found.warnings)
