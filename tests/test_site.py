"""The built documentation site in a real browser: formulas are set, nothing is fetched, nothing overflows.

`sphinx-build -W notebooks site` builds it, and `REVERIE_SITE=site` tells this test where it is.
"""

import html
import importlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.extensions import extension

ROOT = Path(__file__).parents[1]
SITE = Path(os.environ.get("REVERIE_SITE", "")).resolve() if os.environ.get("REVERIE_SITE") else None
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.skipif(
        SITE is None,
        reason="no site: build it (sphinx-build -W notebooks site) and set REVERIE_SITE=site to look at it",
    ),
    pytest.mark.skipif(
        BROWSER is None,
        reason="no chromium found: install it (apt-get install chromium) to look at the site in a browser",
    ),
]
QUIET = ("background-networking", "sync", "component-update", "default-apps", "gpu", "quic", "dev-shm-usage")
OPTIONS = ["--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in QUIET)]
OPTIONS += ["--allow-file-access-from-files", "--enable-logging=stderr", "--v=0", "--hide-scrollbars"]
OPTIONS += ["--virtual-time-budget=200000", "--dump-dom", "--host-resolver-rules=MAP * ~NOTFOUND"]
PHONE, DESK = 390, 1280
# each page in turn stands in a frame as wide as a screen; what is measured there is written into this page
WRAPPER = """<!DOCTYPE html><body style="margin:0">
<iframe style="width:WIDTHpx;height:900px;border:0"></iframe><pre id="result"></pre><script>
const frame = document.querySelector("iframe"), found = {};
const shown = (address) => new Promise((done) => { frame.onload = done; frame.src = address; });
addEventListener("load", async () => {
  for (const name of PAGES) {
    await shown("SITE/" + name);
    const inside = frame.contentWindow, page = frame.contentDocument, root = page.documentElement;
    if (inside.MathJax) await inside.MathJax.startup.promise;
    // results of a search come one after the other
    if (name.includes("?")) await new Promise((done) => setTimeout(done, 3000));
    const wide = Array.from(page.querySelectorAll("article *")).filter((one) =>
      one.getBoundingClientRect().right > root.clientWidth + 1 && one.matches("p, li, dt, dd, h1, h2, h3, code, img"));
    found[name] = {
      overflow: root.scrollWidth - root.clientWidth,
      wide: wide.filter((one) => !one.closest("pre, table, .math, mjx-container, .output")).length,
      formulas: page.querySelectorAll("mjx-container").length,
      errors: page.querySelectorAll("[data-mml-node=merror], mjx-container [fill=red]").length,
      results: page.querySelectorAll("#search-results li").length,
      broken: Array.from(page.images).filter((one) => one.complete && !one.naturalWidth).map((one) => one.src),
      requests: inside.performance.getEntriesByType("resource").map((one) => one.name)
        .filter((one) => !one.startsWith("file:") && !one.startsWith("data:")),
      background: inside.getComputedStyle(page.body).backgroundColor,
      ink: inside.getComputedStyle(page.body).color,
    };
  }
  document.getElementById("result").textContent = "RESULT" + JSON.stringify(found) + "END";
});
</script></body>"""
# what `sphinx.ext.mathjax` leaves for the browser to set
SOURCE = re.compile(r'<(?:span|div) class="math [^"]*"[^>]*>(.*?)</(?:span|div)>', re.DOTALL)


def look(folder: Path, site: Path, pages: list[str], width: int, *options: str) -> tuple[dict[str, Any], str]:
    """What the browser measured on each page, and its log."""
    text = WRAPPER.replace("WIDTH", str(width)).replace("PAGES", json.dumps(pages)).replace("SITE", site.as_uri())
    (folder / "wrapper.html").write_text(text, encoding="utf-8")
    command = [str(BROWSER), *OPTIONS, f"--window-size={max(width, 500)},1000", f"--user-data-dir={folder / 'profile'}"]
    command += [*options, (folder / "wrapper.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = re.search("RESULT(.*)END</pre>", done.stdout, re.DOTALL)
    assert found, done.stderr
    return json.loads(html.unescape(found.group(1))), done.stderr


def brightness(colour: str) -> float:
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def formulas_in_source(path: Path) -> int:
    """Formulas between dollars in a page of Markdown or in the cells of a notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells)
    text = re.sub(r"^```.*?^```|`[^`]*`|^    .*?$", "", text, flags=re.DOTALL | re.MULTILINE)
    return len(re.findall(r"\$\$.+?\$\$|\$[^$]+\$", text, flags=re.DOTALL))


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """Every page of the site with its text."""
    assert SITE is not None
    found = {path.relative_to(SITE).as_posix(): path.read_text("utf-8") for path in sorted(SITE.rglob("*.html"))}
    return {name: text for name, text in found.items() if not name.startswith(("_static", "genindex", "search"))}


@pytest.fixture(scope="module")
def on_a_phone(pages: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    assert SITE is not None
    names = [*pages, "search.html?q=dreaming+rate"]
    return look(tmp_path_factory.mktemp("phone"), SITE, names, PHONE, "--blink-settings=preferredColorScheme=1")


def test_all_pages_are_there(pages: dict[str, str]) -> None:
    sources = [path for ending in ("md", "ipynb", "rst") for path in (ROOT / "notebooks").rglob(f"*.{ending}")]
    expected = {path.relative_to(ROOT / "notebooks").with_suffix(".html").as_posix() for path in sources}
    assert set(pages) == expected
    assert len(pages) > 25


def test_nothing_goes_wrong_on_any_page(on_a_phone: tuple[dict[str, Any], str]) -> None:
    found, log = on_a_phone
    assert "CONSOLE" not in log, log
    for wrong in ("overflow", "wide", "errors", "broken", "requests"):
        assert {name: page[wrong] for name, page in found.items() if page[wrong]} == {}, wrong


def test_every_formula_is_set(pages: dict[str, str], on_a_phone: tuple[dict[str, Any], str]) -> None:
    found, _ = on_a_phone
    waiting = {name: len(SOURCE.findall(text)) for name, text in pages.items()}
    assert {name: found[name]["formulas"] for name in pages} == waiting
    written = {
        path.with_suffix(".html").name: formulas_in_source(path)
        for path in [*(ROOT / "notebooks").glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")]
    }
    assert {name: waiting[name] for name in written} == written
    assert sum(waiting[name] > 0 for name in pages) > 10


def test_formulas_of_docstrings_are_on_their_page(pages: dict[str, str]) -> None:
    text = html.unescape(" ".join(pages[name] for name in pages if name.startswith("api/")))
    shown = re.sub(r"\s+", "", text)
    formulas = 0
    for module, name in extension("listed").names_on_pages():
        thing = getattr(importlib.import_module(module), name)
        for formula in re.findall(r":math:`([^`]+)`", thing.__doc__ or ""):
            assert re.sub(r"\s+", "", formula) in shown, f"{name}: {formula}"
            formulas += 1
    assert formulas > 20


def test_the_search_finds_pages_without_a_server(on_a_phone: tuple[dict[str, Any], str]) -> None:
    assert on_a_phone[0]["search.html?q=dreaming+rate"]["results"] > 5


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_site_follows_the_colours_of_the_system(scheme: str, tmp_path: Path) -> None:
    assert SITE is not None
    number = {"dark": 0, "light": 1}[scheme]
    names = ["index.html", "simulate.html"]
    found, log = look(tmp_path, SITE, names, DESK, f"--blink-settings=preferredColorScheme={number}")
    assert "CONSOLE" not in log, log
    for page in found.values():
        assert page["overflow"] == 0
        sign = {"dark": -1, "light": 1}[scheme]
        assert sign * (brightness(page["background"]) - brightness(page["ink"])) > 150


def test_a_bad_page_would_be_noticed(tmp_path: Path, pages: dict[str, str]) -> None:
    assert SITE is not None
    shutil.copytree(SITE / "_static", tmp_path / "_static")
    bad = '<img src="http://127.0.0.1:9/x.png"><p style="width:2000px">wide <span class="math notranslate nohighlight">'
    bad += r"\(\frac\) \(\nosuchletter\)</span></p><script>console.error('trouble')</script></article>"
    (tmp_path / "bad.html").write_text(pages["conventions.html"].replace("</article>", bad), encoding="utf-8")
    found, log = look(tmp_path, tmp_path, ["bad.html"], PHONE)
    assert found["bad.html"]["overflow"] + found["bad.html"]["wide"] > 0
    assert found["bad.html"]["errors"] >= 2
    assert found["bad.html"]["requests"] == ["http://127.0.0.1:9/x.png"]
    assert "trouble" in log
