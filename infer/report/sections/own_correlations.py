"""Section on the recording's own correlations: a description only, since a dreaming rate needs patterns."""

from matplotlib.figure import Figure as MatplotlibFigure

from infer.report.layout import Table
from infer.report.rate_figures import rate_profile
from infer.report.results import Analysis
from infer.report.section import Figure, Numbers, Section
from infer.report.sections.dreaming import measures, null_bands, profile_caption

#: The claim in place of a rate.
NO_PATTERNS = "No patterns given: how dreamed cannot be told from pair statistics."


def _text(analysis: Analysis) -> str:
    return (
        f"{NO_PATTERNS} As a description only, the couplings are set beside the correlation matrix of the samples in "
        "place of Hebbian couplings. Where they lie along the family that starts from it follows from means and pair "
        "correlations alone; driven and undriven samples with the same correlations give the same number."
    )


def _drawn(analysis: Analysis) -> MatplotlibFigure:
    found = analysis.similarity
    profile = {name: found.profile[name] for name in ("cosine", "pearson")}
    return rate_profile(found.rates, profile, found.best_rate, found.best_rate_interval, nulls=null_bands(analysis))


def _measures(analysis: Analysis, numbers: Numbers) -> Table:
    return measures(analysis, numbers)


SECTION = Section(
    "own-correlations",
    "Similarity to the recording’s own correlations",
    _text,
    [Figure("profile", "Similarity along the family", _drawn, profile_caption)],
    [_measures],
    needs=lambda analysis: not analysis.has_patterns,
)
