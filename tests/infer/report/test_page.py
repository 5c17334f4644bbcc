"""The page: stands alone, shows text as text, shows the numbers of the JSON, is written whole or not at all."""

import base64
import dataclasses
import hashlib
import importlib
import json
import re
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr

from infer.report import analyse, large_arrays, write_report
from infer.report import page as page_module
from infer.report.layout import entry, readable, setting, typeset
from infer.report.sections import SECTIONS
from infer.report.sections.first import claims, first_line
from infer.report.sections.methods import REFERENCES, methods
from infer.report.sections.own_correlations import NO_PATTERNS
from tests.exact import draw


class Page(HTMLParser):
    """Elements with attributes, and what is inside <data>, <script> and the script element that holds the numbers."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.script, self.embedded, self.data, self.open = [], "", "", "", [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "data":
            self.data.append((dict(attributes)["value"], ""))

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] == "script":
            if "type" in self.elements[-1][1]:
                self.embedded += text
            else:
                self.script += text
        elif self.open and self.open[-1] != "style":
            self.text += text
            if self.open[-1] == "data":
                self.data[-1] = (self.data[-1][0], self.data[-1][1] + text)


@pytest.fixture(scope="module", params=["simulated", "recorded", "unbounded"])
def rendered(request, written):
    folder = written(request.param)
    html = (folder / "report.html").read_text("utf-8")
    numbers = json.loads((folder / "report.json").read_text("utf-8"))
    return request.getfixturevalue(request.param), numbers, html, Page(html)


@pytest.fixture
def no_figures(monkeypatch):
    """Drawing takes long and has nothing to do with files."""
    monkeypatch.setattr(page_module, "shown_sections", lambda analysis, numbers: [])


def test_elements_are_closed_and_ids_unique(rendered):
    _, _, _, page = rendered
    assert page.open == []
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert len(ids) > 10
    assert max(ids.values()) == 1


def test_nothing_is_loaded_from_elsewhere(rendered):
    _, _, html, page = rendered
    publications = {link for _, _, link in REFERENCES.values()}
    for tag, attributes in page.elements:
        for name in ("src", "href", "action", "srcset", "poster", "data", "formaction", "background"):
            value = attributes.get(name)
            if value is None or value.startswith(("data:", "#")):
                continue
            assert tag == "a"
            assert name == "href"
            assert value in publications | {"report.json"}
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert {tag for tag, _ in page.elements}.isdisjoint({"iframe", "object", "embed", "base", "form"})


def test_the_policy_allows_nothing_but_the_page_itself(rendered):
    _, _, _, page = rendered
    [policy] = [a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert [a.get("type") for tag, a in page.elements if tag == "script"] == ["application/json", None]


def test_all_numbers_are_part_of_the_page(rendered):
    _, numbers, _, page = rendered
    assert json.loads(page.embedded) == numbers
    assert not set("<>&") & set(page.embedded)


def test_arrays_that_are_too_large_are_left_to_a_file(simulated, no_figures, monkeypatch, tmp_path):
    monkeypatch.setattr(page_module, "MOST_EMBEDDED", 10_000)
    monkeypatch.setattr(large_arrays, "LARGE", 100)
    numbers = simulated.to_dict()
    page = Page(page_module.render_page(simulated, numbers, "report.json"))
    embedded = json.loads(page.embedded)
    assert embedded["couplings"] == {"variable": "couplings", "shape": [12, 12]}
    assert embedded["means"] == numbers["means"]
    assert "NetCDF file" in page.text
    write_report(simulated, tmp_path / "r.html")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["r-arrays.nc", "r.html", "r.json"]
    written = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert written["arrays_file"] == "r-arrays.nc"
    with xr.open_dataset(tmp_path / "r-arrays.nc", engine="h5netcdf") as found:
        np.testing.assert_allclose(found["couplings"], simulated.couplings, rtol=1e-8)
        assert "adequacy.moments.third moments.observed" in found


def test_hostile_names_stay_text(written):
    html = (written("recorded") / "report.html").read_text("utf-8")
    page = Page(html)
    assert sum(tag == "script" for tag, _ in page.elements) == 2
    assert "alert" not in page.script
    assert {"img", "b", "i", "u"}.isdisjoint({tag for tag, _ in page.elements})
    for text in ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "<i>not markup</i>"):
        assert text in page.text
    assert "49" not in re.findall(r"<th scope=\"row\">([^<]*)</th>", html)
    html.encode("utf-8")
    assert "\x00" not in html


def test_every_number_on_the_page_is_in_the_json(rendered):
    _, numbers, _, page = rendered
    known = set()

    def collect(value):
        if isinstance(value, dict):
            for item in value.values():
                collect(item)
        elif isinstance(value, list):
            for item in value:
                collect(item)
        elif value is not None:
            known.add(str(value))

    collect(numbers)
    assert len(page.data) > 50
    for exact, text in page.data:
        assert exact == "" or exact in known, (exact, text)
        if exact in ("", "inf", "-inf"):
            assert text in ("not defined", "∞", "−∞")
            continue
        if text == "≤ 0.001":
            assert float(exact) <= 0.001
            continue
        plain = text.replace(",", "").replace("−", "-").partition("\u00a0±")[0]
        share = plain.endswith(" %")
        mantissa, _, exponent = plain.removesuffix(" %").partition("×10")
        digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
        scale = 10.0 ** int(exponent.translate(digits) or 0) / (100.0 if share else 1.0)
        # half a unit of the last digit that is shown
        half = 0.51 * 10.0 ** -len(mantissa.partition(".")[2]) * scale
        np.testing.assert_allclose(float(mantissa) * scale, float(exact), rtol=1e-9, atol=half)


def test_headline_warnings_figures_and_captions_are_there(rendered):
    analysis, _, _, page = rendered
    page_ids = {attributes.get("id") for _, attributes in page.elements}
    assert typeset(first_line(analysis)) in page.text
    for claim in claims(analysis):
        assert f"{claim.mark} {claim.statement}: {claim.outcome}" in page.text
        assert claim.text in page.text
    assert ("figure-reversal" in page_ids) == (analysis.diagnosis.time_reversal is not None)
    assert ("figure-drift" in page_ids) == (analysis.diagnosis.drift is not None)
    assert all(warning in page.text for warning in analysis.warnings)
    assert (NO_PATTERNS in page.text) == (not analysis.has_patterns)
    figures = [attributes["id"] for tag, attributes in page.elements if tag == "figure"]
    for key in ("inferred", "ranks", "third-moments", "count", "energy", "held-out", "profile"):
        assert f"figure-{key}" in figures
    for key in ("reference", "hebbian", "scatter", "spectra", "nulls"):
        assert (f"figure-{key}" in figures) == analysis.has_patterns
    assert ("figure-transpose" in figures) == (analysis.couplings_by_node is not None)
    assert ("figure-rhat" in figures) == analysis.convergence.applicable
    tags = Counter(tag for tag, _ in page.elements)
    assert tags["figcaption"] == tags["figure"] == tags["svg"] == len(figures)
    assert not re.search(r"\{[a-z]+\}", page.text)  # nothing was left to be filled in
    labels = [attributes.get("aria-label") for tag, attributes in page.elements if tag == "svg"]
    assert all(labels)
    assert "seed" in page.text
    assert analysis.versions["numpy"] in page.text


def test_dreaming_comes_first_with_patterns_and_last_without(simulated, recorded):
    with_patterns = [section.key for section in SECTIONS if section.needs(simulated)]
    without = [section.key for section in SECTIONS if section.needs(recorded)]
    assert with_patterns[0] == "similarity"
    assert without[:3] == ["pays", "model", "time"]
    assert without[-2:] == ["own-correlations", "background"]
    assert "similarity" not in without
    assert [claim.key for claim in claims(simulated)] == ["similarity", "pays", "model", "time"]
    assert [claim.key for claim in claims(recorded)] == ["pays", "model", "time"]


def test_a_figure_is_added_by_one_line(simulated, tmp_path, monkeypatch):
    """A figure written in a file of its own, as a user would, and one entry in the list of a section."""
    (tmp_path / "activity.py").write_text(
        "from infer.plot.svg import drawing, new_axes\n"
        "from infer.report.section import Figure\n"
        "def draw(analysis):\n"
        "    with drawing():\n"
        "        figure, axes = new_axes()\n"
        "        axes.plot(analysis.means)\n"
        "        axes.set_xlabel('spin (number)')\n"
        "        axes.set_ylabel('mean (dimensionless)')\n"
        "    return figure\n"
        "FIGURE = Figure('activity', 'Means of all spins', draw, 'Look for silent spins.')\n"
        "HIDDEN = Figure('hidden', 'Never', draw, 'Never.', needs=lambda analysis: False)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("activity")
    [section] = [section for section in SECTIONS if section.key == "background"]
    monkeypatch.setattr(page_module, "SECTIONS", [section])
    section.figures.extend([module.FIGURE, module.HIDDEN])
    try:
        page = Page(page_module.render_page(simulated, simulated.to_dict()))
    finally:
        del section.figures[-2:]
    assert [attributes["id"] for tag, attributes in page.elements if tag == "figure"] == ["figure-activity"]
    assert "Look for silent spins." in page.text


def test_a_rate_that_is_not_determined_has_no_number(simulated, unbounded, no_figures):
    endless = dataclasses.replace(
        simulated.dreaming, rate=5e5, rate_std=0.0, rate_interval=(5e5, np.inf), converged=False
    )
    similarity = dataclasses.replace(
        simulated.similarity, best_rate=np.inf, best_rate_std=np.inf, best_rate_interval=(1.5, np.inf)
    )
    analysis = dataclasses.replace(simulated, dreaming=endless, similarity=similarity)
    numbers = analysis.to_dict()
    assert not numbers["headline"]["rate_determined"]
    text = Page(page_module.render_page(analysis, numbers)).text
    assert "no finite dreaming rate" in text
    assert "500,000" not in text
    assert "not determined" in text
    assert claims(analysis)[0].holds is None
    for name in (analysis, unbounded):
        whole = page_module.render_page(name, name.to_dict()) + page_module.json_text(name.to_dict())
        assert not re.search(r"(inf|∞|infinity)\s(±|\+-)", whole)
        assert not re.search(r"0\.0000\s(±|\+-)\s0\.0000", whole)


def test_a_recording_of_independent_spins_says_so_in_its_first_line(no_figures):
    coins = np.random.default_rng(1).choice(np.array([-1, 1], dtype=np.int8), size=(600, 5))
    found = analyse(coins, source="coins")
    assert found.diagnosis.couplings_needed is False
    page = page_module.render_page(found, found.to_dict())
    assert '<p class="first">These rows say nothing against independent spins' in page
    assert found.landscape is None
    assert claims(found)[0].holds is False


def test_only_cited_references_are_listed(simulated, recorded):
    for analysis in (simulated, recorded):
        paragraphs, listed = methods(analysis)
        cited = {
            int(n) for text in paragraphs for n in re.findall(r"\d+", " ".join(re.findall(r"\[([\d, ]+)\]", text)))
        }
        assert cited == set(range(1, len(listed) + 1))
        assert not re.search(r"\[[a-z]+[\],]", " ".join(paragraphs).replace("offdiag[", ""))


@pytest.mark.slow
def test_two_spins_have_a_report(tmp_path):
    couplings = np.array([[0.0, 0.5], [0.5, 0.0]])
    found = analyse(draw(couplings, 300, np.zeros(2), seed=1))
    write_report(found, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "figure-correlations" in page
    assert "figure-third-moments" not in page


@pytest.mark.slow
def test_written_files_are_the_page_and_its_numbers(simulated, tmp_path):
    html, numbers = write_report(simulated, tmp_path / "my report.html")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["my report.html", "my report.json"]
    assert json.loads(numbers.read_text("utf-8")) == json.loads(json.dumps(simulated.to_dict()))
    page = Page(html.read_text("utf-8"))
    assert any(attributes.get("href") == "my%20report.json" for tag, attributes in page.elements if tag == "a")
    assert html.stat().st_size < 1_000_000
    first = html.read_bytes(), numbers.read_bytes()
    write_report(simulated, html)
    assert (html.read_bytes(), numbers.read_bytes()) == first


@pytest.mark.parametrize("broken", ["render_page", "json_text"])
def test_failure_leaves_nothing_behind(simulated, tmp_path, monkeypatch, no_figures, broken):
    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(page_module, broken, fail)
    with pytest.raises(KeyboardInterrupt):
        write_report(simulated, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("nth", [1, 2])
def test_failure_of_a_rename_leaves_neither_file(simulated, tmp_path, monkeypatch, no_figures, nth):
    replace, calls = page_module.os.replace, []

    def fail(source, target):
        calls.append(target)
        if len(calls) == nth:
            raise OSError("no space left on device")
        replace(source, target)

    monkeypatch.setattr(page_module.os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_report(simulated, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_full_disk_keeps_the_older_report(simulated, tmp_path, monkeypatch, no_figures):
    write_report(simulated, tmp_path / "report.html")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def fail(self, *args, **keywords):
        raise OSError("no space left on device")

    monkeypatch.setattr(page_module.Path, "write_text", fail)
    with pytest.raises(OSError, match="no space"):
        write_report(simulated, tmp_path / "report.html")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_paths_that_cannot_be_are_refused(simulated, tmp_path):
    with pytest.raises(ValueError, match=r"another ending than \.json"):
        write_report(simulated, tmp_path / "report.json")
    with pytest.raises(ValueError, match="does not exist"):
        write_report(simulated, tmp_path / "absent" / "report.html")
    (tmp_path / "taken.json").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        write_report(simulated, tmp_path / "taken.html")
    assert [file.name for file in tmp_path.iterdir()] == ["taken.json"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.1235"),
        (-12345.6, "−12,346"),
        (1234567, "1,234,567"),
        (3.2e-7, "3.200×10⁻⁷"),
        (0.0, "0"),
        (float("inf"), "∞"),
        (float("nan"), "not defined"),
        ("-inf", "−∞"),
        (None, "not defined"),
        (True, "yes"),
        (0.99996, "1.0000"),
    ],
)
def test_readable_numbers(value, text):
    assert readable(value) == text


def test_sentences_get_the_signs_of_a_page():
    assert (
        typeset("rate -0.03, (-1.2 +- 0.1), p <= 0.001, 1-2")
        == "rate −0.03, (−1.2\u00a0±\u00a00.1), p\u00a0≤\u00a00.001, 1-2"
    )


def test_settings_have_no_idle_digits():
    assert [setting(value) for value in (1e-6, 0.5, 1.2, 2000, -0.25)] == ["1×10⁻⁶", "0.5", "1.2", "2000", "−0.25"]
    assert entry("text") == "text"
    assert entry(None) == "–"
    assert entry(False) == "no"
