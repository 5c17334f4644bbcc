"""The first screen of a report: size of the samples, claims with their marks, and next commands."""

import math
import re
from dataclasses import dataclass

import numpy as np

from infer.diagnosis.check import percent
from infer.diagnosis.comparison import SIGMAS
from infer.report.layout import Number, interval_text, measured, number, readable, typeset
from infer.report.results import Analysis
from infer.report.section import Numbers
from infer.report.sections.dreaming import dreaming_sentence
from infer.report.sections.own_correlations import NO_PATTERNS
from infer.wording import join, method_words

__all__ = ["Card", "Claim", "cards", "claims", "first_line", "remarks", "subtitle"]

MARKS = {True: ("✓", "holds", "yes"), False: ("✗", "does not hold", "no"), None: ("–", "not judged", "open")}
#: A spin with fewer rows than this in the rarer of its two states is counted as rare.
FEW_ROWS = 50


@dataclass(frozen=True)
class Card:
    """A number, or a few words, with a name and a detail."""

    name: str
    number: str | Number
    detail: str


@dataclass(frozen=True)
class Claim:
    """A claim with its outcome, the size of the effect, and a sentence.

    Parameters
    ----------
    key : str
        Key of the section that has the details.
    statement : str
    holds : bool or None
        None where it was not judged.
    effect : str
        Size of the effect in a few words; may be empty.
    text : str
    """

    key: str
    statement: str
    holds: bool | None
    effect: str
    text: str

    @property
    def mark(self) -> str:
        """A sign that can be read without its colour."""
        return MARKS[self.holds][0]

    @property
    def outcome(self) -> str:
        """The mark in words."""
        return MARKS[self.holds][1]

    @property
    def kind(self) -> str:
        """Name of the mark in the style sheet."""
        return MARKS[self.holds][2]


def subtitle(analysis: Analysis) -> str:
    """One line on the samples and the fit."""
    data, fit = analysis.data, analysis.fit
    text = f"{data.n_samples:,} samples of {data.n_spins:,} spins"
    if data.n_rows != data.n_samples:
        text += f" ({data.n_rows:,} different rows with weights)"
    if data.n_chains is not None and data.n_chains > 1:
        text += f" in {data.n_chains} runs"
    stored = f"{data.n_patterns} stored patterns" if data.n_patterns else "no patterns given"
    return f"{text}; {stored}; couplings by {method_words(fit.method)} ({fit.chosen})."


def first_line(analysis: Analysis) -> str:
    """One line with the outcome of all claims."""
    found = analysis.diagnosis
    if analysis.has_patterns:
        claim = _dreamed(analysis)
        answer = {
            True: "The couplings are dreamed",
            False: "The couplings cannot be told from those of equilibrium samples",
            None: "How dreamed the couplings are is not determined",
        }[claim.holds]
        return f"{answer}: {claim.effect}."
    if found.couplings_needed is False:
        return (
            f"These rows say nothing against independent spins: no couplings can be told from noise in "
            f"{analysis.data.n_samples:,} samples."
        )
    parts = {
        True: "Pair couplings pay",
        None: "Couplings exist, but there are too few rows to estimate them all"
        if found.independence is not None and found.independence.rejected
        else "Whether pair couplings pay was not judged",
    }[found.couplings_needed]
    if not found.judged:
        model = "what the pair model misses was not judged"
    elif found.missed:
        model = f"the pair model misses {join(list(found.missed))}"
    else:
        model = "the pair model misses nothing that these rows can show"
    time = {
        True: "no evidence against one model over time",
        False: "one equilibrium model is not enough over time",
        None: "time was not judged, or not in full",
    }[_time_holds(analysis)]
    return f"{parts}; {model}; {time}."


def _time_holds(analysis: Analysis) -> bool | None:
    """Whether the record neither drifts nor has a direction in time."""
    answers = (analysis.diagnosis.stationary, analysis.diagnosis.reversible)
    return False if False in answers else None if None in answers else True


def cards(analysis: Analysis, numbers: Numbers) -> list[Card]:
    """Cards on rate and temperature where patterns are known, else on size, activity and reading."""
    return _dreaming_cards(analysis, numbers) if analysis.has_patterns else _data_cards(analysis, numbers)


def _dreaming_cards(analysis: Analysis, numbers: Numbers) -> list[Card]:
    top = numbers["headline"]
    how = "by likelihood, given the patterns" if _by_likelihood(analysis) else "most similar member of the family"
    level = f"{100 * top['confidence']:g} %"
    if top["rate_determined"]:
        rate = Card(
            "Dreaming rate λ",
            Number(top["rate"], measured(top["rate"], top["rate_std"])),
            f"{level} interval {interval_text(top['rate_interval'], top['rate_std'])}; 0 is Hebbian; {how}",
        )
    else:
        rate = Card("Dreaming rate λ", "not determined", "no finite rate fits best, or its interval is open")
    control = analysis.control
    if control is not None and control.determined:
        shown: str | Number = Number(top["control_rate"], measured(top["control_rate"], top["control_rate_std"]))
        detail = "rate of equilibrium samples with Hebbian couplings at the fitted temperature; their true rate is 0"
    else:
        shown, detail = "not determined", "equilibrium samples of Hebbian couplings at the fitted temperature"
    beta = Number(top["inverse_temperature"], measured(top["inverse_temperature"], top["inverse_temperature_std"]))
    return [
        rate,
        Card("Equilibrium control", shown, detail),
        Card(
            "Inverse temperature β", beta, "scale of the couplings against the reference at this rate (dimensionless)"
        ),
        Card(
            "Cosine with dreamed couplings",
            number(top["cosine_best"]),
            f"against {readable(top['cosine_hebbian'])} with Hebbian ones; 1 means the same up to scale",
        ),
    ]


def _by_likelihood(analysis: Analysis) -> bool:
    return analysis.dreaming is not None and analysis.dreaming.converged


def _data_cards(analysis: Analysis, numbers: Numbers) -> list[Card]:
    data = numbers["data"]
    rows = f"{analysis.data.n_samples:,} × {analysis.data.n_spins:,}"
    n_runs = data["n_chains"] or 1
    order = "in time order" if data["time_ordered"] else "in no order in time"
    runs = f", {n_runs} runs" if n_runs > 1 else ""
    found = [Card("Samples × spins", rows, f"{data['n_rows']:,} rows {order}{runs}")]
    low, high = (_percent(share) for share in data["active_share_range"])
    detail = f"of all values are +1; {low} to {high} by spin"
    rare = _rare_spins(analysis)
    if rare:
        detail += f"; {rare} {'spins have' if rare > 1 else 'spin has'} fewer than {FEW_ROWS} rows in the rarer state"
    found.append(Card("Activity", Number(data["active_share"], _percent(data["active_share"])), detail))
    reading = _reading(analysis)
    return [reading, *found] if "bin_width" in analysis.data.attributes else [*found, reading]


def _percent(share: float) -> str:
    if 0 < share < 0.0995:
        return percent(share)
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.3g} %"


def _rare_spins(analysis: Analysis) -> int:
    """Spins with few rows in the rarer of their two states."""
    rarer = (1.0 - np.abs(analysis.means)) / 2.0 * analysis.data.n_samples
    return int((rarer < FEW_ROWS).sum())


def _reading(analysis: Analysis) -> Card:
    """Card on the reading of the file: rates, dropped and filled values."""
    about = analysis.data.attributes
    done = []
    if "bin_width" in about:
        spikes, sharing = int(about.get("spikes", 0)), int(about.get("spikes_sharing_a_bin", 0))
        n_values = analysis.data.n_rows * analysis.data.n_spins
        rate = readable(spikes / (n_values * float(about["bin_width"])), 2)
        done.append(f"{spikes:,} spikes, {rate} per cell and unit of time on average")
        # bins with spikes less those with one: the others hold several
        occupied = round(analysis.data.active_share * n_values)
        several = occupied - (spikes - sharing)
        if 0 <= several <= occupied and occupied:
            done.append(f"{_percent(several / occupied)} of the bins with spikes hold several, which count as one")
    masked = "averaged over" if analysis.fit.method == "pseudolikelihood" else "drawn from a model"
    for key, text in (
        ("dropped_rows", "{:,} rows dropped"),
        ("filled_values", "{:,} missing values filled in"),
        ("masked_values", f"{{:,}} missing values {masked}"),
        ("unobserved_values", "{:,} values unobserved"),
    ):
        if isinstance(about.get(key), int) and about[key] > 0:
            done.append(text.format(about[key]))
    if about.get("constant_spins"):
        treated = {"drop": "left out", "keep": "kept"}.get(str(about.get("constant")), "found")
        done.append(f"spins that never change {treated}: {about['constant_spins']}")
    if "threshold" in about:
        done.append(f"real values, +1 above {about['threshold']}")
    title = f"bin width {about['bin_width']:g}" if "bin_width" in about else "with changes" if done else "as they are"
    return Card("On reading", title, "; ".join(done) or "nothing was dropped, filled in or averaged over")


def claims(analysis: Analysis) -> list[Claim]:
    """The claims in the order of the page: dreaming first where patterns are known."""
    found = [_couplings(analysis), _model(analysis), _time(analysis)]
    return [_dreamed(analysis), *found] if analysis.has_patterns else found


def _dreamed(analysis: Analysis) -> Claim:
    top = analysis.headline()
    statement = "The couplings are dreamed"
    text = analysis.similarity.verdict
    if not top["rate_determined"]:
        why = "no finite rate fits best, or its interval is open"
        return Claim("similarity", statement, None, why, typeset(f"{dreaming_sentence(analysis)} {text}"))
    effect = f"rate {measured(top['rate'], top['rate_std'])}"
    above, std = top["rate"], top["rate_std"]
    if top["control_rate"] is not None:
        effect += f", control {measured(top['control_rate'], top['control_rate_std'])}"
        above, std = above - top["control_rate"], math.hypot(std, top["control_rate_std"])
    holds = top["rate_interval"][0] > 0.0 and above > SIGMAS * std
    return Claim("similarity", statement, bool(holds), effect, typeset(text))


def _couplings(analysis: Analysis) -> Claim:
    found = analysis.diagnosis
    gain = found.gains.get("pair - independent")
    effect = "" if gain is None else f"{measured(*gain)} nats per row on held-out rows"
    text = _without_opening(found.claims["couplings"])
    return Claim("pays", "Pair couplings pay", found.couplings_needed, effect, typeset(text))


#: Openings of sentences that repeat the statement and outcome that stand before them.
_OPENINGS = re.compile(
    "(Pair couplings pay|(Whether pair couplings pay|What the pair model misses) was not judged)[:.] (?=.)"
)


def _without_opening(text: str) -> str:
    """A sentence without what the statement of its claim has said already."""
    rest = _OPENINGS.sub("", text, count=1) if _OPENINGS.match(text) else text
    return rest[0].upper() + rest[1:]


def _model(analysis: Analysis) -> Claim:
    found = analysis.diagnosis
    holds = None if not found.judged else not found.missed
    effect = ""
    if found.judged:
        checks = found.adequacy.model_checks
        if found.missed:
            size = max(checks[name].nats for name in found.missed)
            about = "less than 0.0001" if size < 1e-4 else f"about {float(f'{size:.1g}'):g}"
            effect = f"{about} nats per row to gain by a further term"
        else:
            effect = "nothing missed that these rows can show"
    text = _without_opening(found.claims["model"])
    return Claim("model", "Pairs are enough", holds, effect, typeset(text))


def _time(analysis: Analysis) -> Claim:
    found = analysis.diagnosis
    names = {True: "no {} seen", False: "{}", None: "{} not judged"}
    effect = ", ".join(
        (
            names[found.stationary].format("drift"),
            {True: "same backwards", False: "a direction in time", None: "time reversal not judged"}[found.reversible],
        )
    )
    text = found.claims["time"]
    return Claim("time", "One equilibrium model is enough over time", _time_holds(analysis), effect, typeset(text))


def remarks(analysis: Analysis) -> list[str]:
    """Sentences below the claims."""
    texts = [] if analysis.has_patterns else [NO_PATTERNS]
    texts += [f"Compared with {name}: {other.verdict}" for name, other in analysis.references.items()]
    if analysis.data.kind == "simulation" and analysis.convergence.applicable:
        texts.append(analysis.convergence.note)
    return [typeset(text) for text in texts]
