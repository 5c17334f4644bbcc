"""Sentences of the page that depend on several numbers, with numbers that speak against them."""

from types import SimpleNamespace

import pytest

from infer.estimators.likelihood.acceptance import Runaway
from infer.report.sections.held_out import SECTION


def held_out_text(pair, kinetic, needed):
    gains = {"kinetic - pair": (kinetic - pair, 0.04)}
    held_out = SimpleNamespace(gains=gains, over_independent={"kinetic": (kinetic, 0.04)})
    diagnosis = SimpleNamespace(claims={"couplings": "The claim."}, held_out=held_out, couplings_needed=needed)
    return SECTION.text(SimpleNamespace(diagnosis=diagnosis))


@pytest.mark.parametrize(
    ("pair", "kinetic", "needed", "said"),
    [(0.15, 0.38, True, True), (0.15, 0.1, True, False), (-9.1, -0.4, None, False), (-9.1, 0.4, None, False)],
)
def test_a_kinetic_model_is_better_only_where_both_pay(pair, kinetic, needed, said):
    """Of 243 units a kinetic model that paid nothing was called better still than a pair model that paid nothing."""
    assert ("better still" in held_out_text(pair, kinetic, needed)) == said


@pytest.mark.parametrize(
    ("activity", "said"),
    [
        (0.6, "60.0 % of the spins at +1, against 7.8 % in the data"),
        (0.077, "about as many spins at +1 as in the data"),
    ],
)
def test_another_state_is_told_by_what_differs(activity, said):
    found = Runaway(0.88, 0.0, activity, 0.078, 0.078)
    assert said in found.sentence
