"""Next steps after a report: commands on the file that was read, or calls where there is no file."""

import math
import re
import shlex
from dataclasses import dataclass
from typing import Any

from infer.diagnosis.candidates import MOST_MONTE_CARLO_SPINS
from infer.estimators.likelihood.acceptance import LOUDEST
from infer.estimators.registry import METHODS
from infer.report.results import Analysis

__all__ = ["Step", "next_steps"]


@dataclass(frozen=True)
class Step:
    """A next step, and its command; it works as it stands, in the folder of the file."""

    text: str
    command: str = ""


@dataclass(frozen=True)
class _Shell:
    """Commands on a file, with the options by which it was read."""

    data: str
    order: str
    masked: bool

    def report(self, option: str = "", value: Any = None) -> str:
        """Another report, with one option of the command changed."""
        more = f" --{option.replace('_', '-')} {value}" if option else ""
        return f"reverie report {self.data}{self.order} --output report.html{more}"

    def fit(self, method: str, output: str, estimator: str = "", alpha: float | None = None) -> str:
        """Fit by a method, and keep what was found."""
        missing = " --missing mask" if self.masked and method == "pseudolikelihood" else ""
        penalty = "" if alpha is None else f" --alpha {alpha:.4g}"
        return f"reverie fit {self.data}{missing} --method {method}{penalty} --output {output}"

    def landscape(self, estimator: str) -> str:
        """Energy landscape of the fit that was kept."""
        complete = " --missing drop" if self.masked else ""  # a landscape needs whole rows
        return f"reverie landscape fit.nc --samples {self.data}{complete}"


@dataclass(frozen=True)
class _Python:
    """Calls on the samples in memory."""

    unordered: bool
    masked: bool

    def report(self, option: str = "", value: Any = None) -> str:
        """Another report, with one argument changed."""
        more = f", {option}={value!r}" if option else ""
        order = ", ordered=False" if self.unordered else ""
        return f'from infer import analyse, write_report; write_report(analyse(samples{order}{more}), "report.html")'

    def fit(self, method: str, output: str, estimator: str, alpha: float | None = None) -> str:
        """Fit an estimator."""
        given = [] if alpha is None else [f"alpha={alpha:.4g}"]
        if self.masked and estimator == "PseudoLikelihood":
            given.append('missing="mask"')
        return f"from infer import {estimator}; model = {estimator}({', '.join(given)}).fit(samples)"

    def landscape(self, estimator: str) -> str:
        """Energy landscape of the model that was fitted."""
        return "from infer import energy_landscape; landscape = energy_landscape(model, samples)"


def next_steps(analysis: Analysis) -> list[Step]:
    """Commands to run next; calls in Python on `samples` where they came from no file."""
    found, about = analysis.diagnosis, analysis.data.attributes
    unordered, masked = not analysis.data.time_ordered, analysis.parameters["missing"] == "mask"
    file = analysis.parameters.get("file") or (analysis.source if "." in analysis.source else "")
    reading = analysis.parameters.get("reading", _options(about))
    data = shlex.quote(file) + reading
    write: Any = _Shell(data, " --no-time-order" if unordered else "", masked) if file else _Python(unordered, masked)
    steps = []
    ran_away = analysis.runaway is not None and analysis.runaway.ran_away
    if not found.accepted or ran_away:
        method = "pseudolikelihood" if analysis.fit.method == "maximum-likelihood" else "maximum-likelihood"
        if found.adequacy.fit.shrunk:
            steps.append(
                Step("Record more rows, or choose fewer units: the penalty that so few need hides what is missed.")
            )
        elif analysis.fit.mismatch_noise is not None and analysis.fit.mismatch_noise > LOUDEST:
            steps.append(Step("Fit fewer rows, or fewer spins: chains as long as these cannot match so many rows."))
        elif analysis.fit.method == "maximum-likelihood" and analysis.fit.alpha is not None:
            stronger = float(f"{10 * analysis.fit.alpha:.1g}")
            steps.append(Step("Fit with a stronger penalty.", write.report("alpha", stronger)))
        else:
            slow = method == "maximum-likelihood" and analysis.data.n_spins > MOST_MONTE_CARLO_SPINS
            text = (
                "Fit by maximum likelihood, which takes long for so many spins." if slow else "Fit by another method."
            )
            steps.append(Step(text, write.report("method", method)))
    if found.couplings_needed is False:
        steps.append(Step("Record more rows: small effects may become significant."))
        if "bin_width" in about and file:
            wider = f"{shlex.quote(file)} --bin-width {2 * float(about['bin_width']):g}"
            others = re.sub(r" --bin-width \S+", "", reading)
            steps.append(Step("Or take wider bins.", f"reverie report {wider}{others} --output report.html"))
        return steps
    if found.stationary is False:
        half = ""
        if "bin_width" in about and file and analysis.data.n_chains in (None, 1):
            middle = float(about["first_bin_edge"]) + float(about["bin_width"]) * (analysis.data.n_rows // 2)
            half = f"reverie report {data} --stop {middle:g} --output first_half.html"
        steps.append(Step("The record drifts: fit parts of it, and compare their couplings.", half))
        if analysis.data.kind == "recording" and not half and not unordered:
            text = "Or state it, if rows are in no order in time."
            shown = f"{write.report()} --no-time-order" if file else write.report("ordered", False)
            steps.append(Step(text, shown))
    known = {method.name for method in METHODS}
    if found.reversible is False and "kinetic" in known:
        text = "Fit a kinetic model, which has a direction in time."
        steps.append(Step(text, write.fit("kinetic", "kinetic.nc", "KineticCouplings")))
    if "number of +1" in found.missed and "population-count" in known:
        text = "Let the energy depend on the number of +1, which pairs miss."
        steps.append(Step(text, write.fit("population-count", "count.nc", "KPairwise")))
    if found.accepted:
        method = "pseudolikelihood" if masked else analysis.fit.method
        estimator = "PseudoLikelihood" if masked else analysis.fit.estimator
        kept = "Keep couplings, fields and errors in a file." if file else "Fit once more, to keep the model."
        alpha = analysis.fit.alpha if method == analysis.fit.method else None
        # the penalty of one prior sample is the default of a fit too; one that was chosen or given is not
        if alpha is not None and math.isclose(alpha, 1.0 / analysis.data.n_samples, rel_tol=1e-3):
            alpha = None
        steps.append(Step(kept, write.fit(method, "fit.nc", estimator, alpha)))
        if file or not masked:
            steps.append(Step("Look at the energy landscape.", write.landscape(estimator)))
    if not analysis.has_patterns and not ran_away:
        option = "--patterns" if file else "patterns"
        text = f"Compare the couplings with patterns estimated from the rows; known ones are given by {option}."
        steps.append(Step(text, write.report("n_patterns", 3)))
    return steps


def _options(about: dict[str, Any]) -> str:
    """Options that read the data as they were read here, of those that the record of the reading has."""
    text = f" --bin-width {about['bin_width']:g}" if "bin_width" in about else ""
    if "threshold" in about:
        text += f" --threshold {shlex.quote(str(about['threshold']))}"
    if about.get("constant") in ("keep", "drop"):
        text += f" --constant {about['constant']}"
    return text
