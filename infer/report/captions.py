"""The prose of a report: what to look for in each figure, what each section says, methods and references."""

from infer.estimators.likelihood.partition import MOST_EXACT_SPINS
from infer.report.results import Analysis

__all__ = ["CAPTIONS", "MEASURES", "REFERENCES", "SECTIONS", "methods"]

# figures by key; braces are filled in where the figure is made
CAPTIONS = {
    "inferred": "Fitted to the samples by pseudo-likelihood. {scale}",
    "reference": (
        "The family at its best rate λ = {rate}, scaled to fit. Look for the same texture as in the inferred "
        "couplings. {scale}"
    ),
    "hebbian": (
        "Rate 0, scaled to fit. What the inferred couplings lack, or have besides, is what dreaming has to explain. "
        "{scale}"
    ),
    "scatter": (
        "Every pair of spins once. Points along the dashed line agree; scatter of equal width all along is noise of "
        "the estimate, a bend or a second branch is structure outside the family.{density}"
    ),
    "ranks": (
        "Look for a gap: it separates pairs that are connected from pairs that are not; a smooth decline has none. "
        "Couplings near their standard error (dots) cannot be told from 0."
    ),
    "transpose": (
        "Every coupling is estimated twice, once by each of its two spins, then averaged. Samples of an equilibrium "
        "model put all points on the dashed line up to noise (correlation {correlation}); a wide cloud means too few "
        "samples, a systematic departure couplings that act one way only."
    ),
    "degrees": (
        "How many couplings the spins have that differ from 0 by more than {threshold} standard errors, and how many "
        "above the gap in strength, where there is one. Look for hubs on the right; a device of known wiring shows its "
        "number of neighbours."
    ),
    "references": (
        "The inferred couplings along the dreaming families of different references. Look for the reference with the "
        "highest peak; how far right it peaks is measured on a scale of its own for each reference."
    ),
    "profile": (
        "From near the lower bound over Hebbian (0) to infinite rate; the axis is even in λ/(1 + λ). The cosine "
        "peaks at the best rate, its {level} interval is shaded. Bands are null models, 2.5th to 97.5th percentile. "
        "A peak far above the bands and away from 0 speaks for dreaming."
    ),
    "zoom": (
        "If Hebbian (dotted) lies inside the shaded interval, the couplings cannot be told from Hebbian ones. "
        "{likelihood}"
    ),
    "spectra": (
        "Dreaming presses the large eigenvalues together and keeps the eigenvectors. The inferred eigenvalues should "
        "follow the dreamed ones; a Hebbian spectrum spreads more widely at the top."
    ),
    "nulls": (
        "Shuffled eigenvalues keep the subspace of the reference and lose its spectrum, random couplings keep nothing; "
        "bars run from the 2.5th to the 97.5th percentile. The first two rows share their noise (bar: one standard "
        "error), so their difference of {difference} is known better than either: the couplings lie {sigma} standard "
        "errors away from Hebbian ones."
    ),
    "means": "Mean of each spin. Points on the dashed line: the model has it right. Bars are standard errors.",
    "correlations": (
        "Covariances ⟨sᵢsⱼ⟩ − ⟨sᵢ⟩⟨sⱼ⟩ of pairs of spins. They are what couplings are for: a departure from the "
        "line means a fit that did not settle, a penalty that is too strong, or samples that no equilibrium model "
        "of pairs can produce. Bars are standard errors."
    ),
    "third moments": (
        "Third cumulants of triples of spins, which were not fitted: this is the test of the pairwise model. A "
        "slope other than 1, or a cloud wider than the error bars, points to interactions of higher order or to a "
        "drive that leaves traces no couplings can explain."
    ),
    "sum": (
        "Not fitted either: it feels correlations of every order. Look for tails or peaks of the data that the model "
        "lacks. Shaded: standard errors."
    ),
    "energy": (
        "Energy under the fitted model. If the data sit higher or lower than the model’s own samples, the model "
        "puts its weight on other states than the data do."
    ),
    "held-out": (
        "Log-likelihood of samples that were not fitted to, above that of independent spins; bars are standard errors. "
        "Pairwise to the right of independent: couplings are worth having. The kinetic model knows the row before "
        "instead of the rest of the row; if it lies far to the right, successive rows remember each other."
    ),
    "reversal": (
        "Covariance of each pair of spins one row apart. A record that looks the same backwards puts all points on the "
        "dashed line within their error bars; points off the line go round in a cycle that equilibrium cannot have."
    ),
    "drift": (
        "Mean energy of successive blocks under the fitted model, from the mean of the record. Shaded: two standard "
        "deviations of blocks about their mean. A trend, or a step, means that one set of couplings does not describe "
        "the whole record."
    ),
    "rhat": (
        "R-hat compares the spread between chains with that within. Above the dashed line, chains have not seen the "
        "same states."
    ),
    "ess": (
        "Neighbouring samples repeat each other. Below the dashed line, error bars are not to be trusted; the "
        "dotted line is the number of samples taken."
    ),
}

SECTIONS = {
    "couplings": (
        "Couplings are dimensionless: they contain the inverse temperature, so that the probability of a state is "
        "proportional to exp(−E)."
    ),
    "patterns": (
        "The reference family runs from the Hebbian couplings of the patterns (rate 0) to their pseudo-inverse "
        "(infinite rate)."
    ),
    "data correlations": (
        "No patterns are known, so the correlation matrix of the data stands in for the Hebbian matrix. The family "
        "runs from the recording’s own correlations (rate 0) to naive mean-field couplings (infinite rate). A rate "
        "above 0 is to be expected even of undriven samples, because couplings are sparser than correlations: do "
        "not compare it with a rate that was measured from patterns."
    ),
    "goodness": (
        "Samples drawn from the fitted equilibrium model are set against the data. An equilibrium model with pairwise "
        "couplings is adequate when both agree within error bars, in what was not fitted, too."
    ),
    "time": (
        "Equilibrium dynamics look the same backwards, and stay what they are. Blocks of the record are reversed at "
        "random, or put in random order, to see how much asymmetry and drift chance alone produces."
    ),
    "background": (
        "Everything needed to repeat this analysis. The same samples, parameters and seed give the same numbers."
    ),
}

MEASURES = {
    "cosine": "cosine (1 = same)",
    "pearson": "Pearson correlation (1 = same)",
    "frobenius_distance": "Frobenius distance after the best scale, relative (0 = same)",
    "spectrum_distance": "distance of the spectra, each of unit norm (0 = same)",
}

# (text, label, link), in the order in which `methods` numbers them
REFERENCES = (
    (
        "A. K. Behera, M. Du, U. Jagadisan, S. Sastry, M. Rao, S. Vaikuntanathan, A correspondence between Hebbian "
        "unlearning and steady states generated by nonequilibrium dynamics (2024).",
        "arXiv 2410.06269",
        "https://arxiv.org/abs/2410.06269",
    ),
    (
        "A. Fachechi, E. Agliari, A. Barra, Dreaming neural networks: forgetting spurious memories and reinforcing "
        "pure ones, Neural Networks 112, 24 (2019).",
        "arXiv 1810.12217",
        "https://arxiv.org/abs/1810.12217",
    ),
    (
        "J. J. Hopfield, D. I. Feinstein, R. G. Palmer, ‘Unlearning’ has a stabilizing effect in collective memories, "
        "Nature 304, 158 (1983).",
        "doi 10.1038/304158a0",
        "https://doi.org/10.1038/304158a0",
    ),
    (
        "J. Besag, Statistical analysis of non-lattice data, The Statistician 24, 179 (1975).",
        "doi 10.2307/2987782",
        "https://doi.org/10.2307/2987782",
    ),
    (
        "E. Aurell, M. Ekeberg, Inverse Ising inference using all the data, Physical Review Letters 108, 090201 "
        "(2012).",
        "arXiv 1107.3536",
        "https://arxiv.org/abs/1107.3536",
    ),
    (
        "H. J. Kappen, F. B. Rodríguez, Efficient learning in Boltzmann machines using linear response theory, Neural "
        "Computation 10, 1137 (1998).",
        "doi 10.1162/089976698300017386",
        "https://doi.org/10.1162/089976698300017386",
    ),
    (
        "A. Vehtari, A. Gelman, D. Simpson, B. Carpenter, P.-C. Bürkner, Rank-normalization, folding, and "
        "localization: an improved R-hat for assessing convergence of MCMC, Bayesian Analysis 16, 667 (2021).",
        "arXiv 1903.08008",
        "https://arxiv.org/abs/1903.08008",
    ),
    (
        "R. M. Neal, Annealed importance sampling, Statistics and Computing 11, 125 (2001).",
        "arXiv physics/9803008",
        "https://arxiv.org/abs/physics/9803008",
    ),
    (
        "Y. Roudi, J. Hertz, Mean field theory for nonequilibrium network reconstruction, Physical Review Letters 106, "
        "048702 (2011).",
        "arXiv 1009.5946",
        "https://arxiv.org/abs/1009.5946",
    ),
    (
        "I. Z. Steinberg, On the time reversal of noise signals, Biophysical Journal 50, 171 (1986).",
        "doi 10.1016/S0006-3495(86)83449-X",
        "https://doi.org/10.1016/S0006-3495(86)83449-X",
    ),
    (
        "M. Aguilera, S. Ito, A. Kolchinsky, Inferring entropy production in many-body systems using nonequilibrium "
        "maximum entropy, Physical Review Letters 136, 077101 (2026).",
        "arXiv 2505.10444",
        "https://arxiv.org/abs/2505.10444",
    ),
    (
        "S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 65 "
        "(1979).",
        "JSTOR 4615733",
        "https://www.jstor.org/stable/4615733",
    ),
)


def methods(analysis: Analysis) -> list[str]:
    """Paragraphs that can be pasted into a paper; numbers in brackets count `REFERENCES`.

    Parameters
    ----------
    analysis : Analysis

    Returns
    -------
    list of str
    """
    data, fit, found = analysis.data, analysis.fit, analysis.similarity
    fields, bias = ("and fields ", " + Σᵢ βhᵢ sᵢ") if fit["fit_fields"] else ("", "")
    fitting = (
        f"Couplings {fields}of an Ising model, P(s) ∝ exp(½ Σᵢⱼ βJᵢⱼ sᵢ sⱼ{bias}), were fitted to "
        f"{data['n_samples']:,} samples of {data['n_spins']} spins by pseudo-likelihood [4, 5] with an l2 penalty on "
        f"couplings (alpha = {fit['alpha']:.3g} on the mean over samples), and made symmetric by averaging both "
        "estimates of each coupling. Standard errors come from a sandwich estimate over contiguous batches of "
        "samples, which allows for autocorrelation."
    )
    if found.reference == "patterns":
        reference = "G = ξᵀξ/N with the stored patterns ξ"
    else:
        reference = (
            "G the correlation matrix of the data, which takes the place of the Hebbian matrix (in the limit of "
            "infinite rate: naive mean-field couplings [6])"
        )
    likelihood = ""
    if analysis.dreaming is not None:
        likelihood = (
            " Rate and inverse temperature were also fitted directly to the samples, by pseudo-likelihood with these "
            "parameters alone."
        )
    comparing = (
        "They were compared with the family of Hebbian-unlearned couplings [1, 2, 3], "
        f"offdiag[(1 + λ) G (I + λG)⁻¹], {reference}, by the cosine of all entries off the diagonal. Interval of the "
        f"best rate (confidence {100 * found.confidence:g} %): {found.interval_method}.{likelihood}"
    )
    found_fit = analysis.adequacy
    drawn = "by enumeration of all states" if found_fit.exact else "by heat-bath dynamics"
    judging = (
        f"Goodness of fit compares the data with {found_fit.n_sets:,} sets of {found_fit.n_rows:,} samples drawn from "
        f"the fitted model {drawn}; statistics are judged less their regression on means and pairs."
    )
    if analysis.convergence["applicable"]:
        judging += " Convergence was judged by rank-normalised split R-hat and bulk effective sample size [7]."
    return [fitting, comparing, judging, *_diagnosing(analysis)]


def _diagnosing(analysis: Analysis) -> list[str]:
    """How the model was judged."""
    found = analysis.diagnosis
    folds = "one fold of contiguous blocks" if found.held_out.n_folds == 1 else f"{found.held_out.n_folds} folds"
    partition = "by enumeration" if found.n_spins <= MOST_EXACT_SPINS else "by annealed importance sampling [8]"
    text = (
        f"Log-likelihoods of held-out samples ({folds}) were computed for independent spins and for the pairwise "
        f"model, its partition function {partition}"
    )
    if "kinetic" in found.held_out.scores:
        text += ", and, given the row before, for a kinetic Ising model with asymmetric couplings [9]"
    text += (
        ". The p-values of the checks of the model were judged together with Holm’s correction [12] at level "
        f"{found.false_alarms:g}; they come from the model’s own draws."
    )
    paragraphs = [text]
    if found.time_reversal is not None:
        lags = ", ".join(map(str, found.time_reversal.lags))
        paragraphs.append(
            "Time reversal was tested with the antisymmetric part of all lagged covariances of pairs of spins (lags "
            f"{lags} rows) and with third-order lagged moments of the energy and the leading principal components "
            f"[10], against the record with each of {found.time_reversal.n_blocks} blocks reversed at random. The "
            "lower bound of the entropy production is the variational one for antisymmetric pair observables of "
            "successive rows [11], evaluated on blocks that were not used to fit it. Drift was tested with means, "
            "energy and products of the leading principal components in the quarters of the record, against blocks in "
            "random order."
        )
    return paragraphs
