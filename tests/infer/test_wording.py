"""Numbers in sentences: one rule for digits."""

import pytest

from infer.wording import between, method_words, to_error, with_error


def test_numbers_and_intervals_have_the_digits_of_the_error():
    assert with_error(-0.00291, 0.0032) == "-0.0029 +- 0.0032"
    assert to_error(-0.00291, 0.0032) == "-0.0029"
    assert between((-0.009188, 0.003513), 0.0032) == "-0.0092 to 0.0035"
    assert between((3.557, 4.544), 0.25) == "3.56 to 4.54"
    assert between((0.5, float("inf")), float("inf")) == "0.5000 to infinity"
    assert between((0.5, float("inf")), 0.021) == "0.500 to infinity"


@pytest.mark.parametrize(
    ("method", "words"), [("pseudolikelihood", "pseudo-likelihood"), ("maximum-likelihood", "maximum likelihood")]
)
def test_methods_in_sentences(method, words):
    assert method_words(method) == words
