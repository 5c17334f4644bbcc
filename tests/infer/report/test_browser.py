"""The page in a real browser, where one is found: no errors, no requests, nothing overlaps, nothing overflows."""

import csv
import html
import json
import re
import shutil
import subprocess

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no chromium found: install it (apt-get install chromium) to look at reports in a browser"
)
QUIET = ("background-networking", "sync", "component-update", "default-apps", "gpu", "quic", "dev-shm-usage")
OPTIONS = ["--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in QUIET)]
OPTIONS += ["--allow-file-access-from-files", "--enable-logging=stderr", "--v=0", "--hide-scrollbars"]
OPTIONS += ["--virtual-time-budget=4000", "--dump-dom"]
OPTIONS += ["--host-resolver-rules=MAP * ~NOTFOUND"]  # the browser itself shall not call home either
# the report stands in a frame as wide as a screen; what is measured there is written into this page
WRAPPER = """<!DOCTYPE html><body style="margin:0">
<iframe src="report.html" style="width:WIDTHpx;height:900px;border:0"></iframe><pre id="result"></pre><script>
addEventListener("load", async () => {
  const frame = document.querySelector("iframe"), page = frame.contentDocument, root = page.documentElement;
  const overlaps = [], small = [], outside = [];
  for (const svg of page.querySelectorAll("figure svg")) {
    const texts = Array.from(svg.querySelectorAll("text")).filter((text) => text.textContent.trim());
    const boxes = texts.map((text) => text.getBoundingClientRect()), edge = svg.getBoundingClientRect();
    texts.forEach((text, i) => {
      const a = boxes[i];
      const height = parseFloat(getComputedStyle(text).fontSize) * svg.getScreenCTM().a;
      if (height < 11) small.push([text.textContent, height]);
      if (a.left < edge.left - 1 || a.right > edge.right + 1 || a.top < edge.top - 1 || a.bottom > edge.bottom + 1)
        outside.push([svg.getAttribute("aria-label"), text.textContent]);
      for (let j = 0; j < i; j++) {
        const b = boxes[j];
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        // the box of a text is higher than its letters
        const pair = [svg.getAttribute("aria-label"), text.textContent, texts[j].textContent];
        if (wide > 1 && high > 0.3 * height) overlaps.push(pair);
      }
    });
  }
  const table = page.querySelector("#couplings table.sortable");
  const value = (row) => Number(row.cells[2].querySelector("data").value);
  // what would be saved is looked at instead
  const saved = {}, blobs = [], inside = frame.contentWindow;
  inside.URL.createObjectURL = (blob) => { blobs.push(blob); return "blob:kept"; };
  inside.HTMLAnchorElement.prototype.click = function () { saved[this.download] = blobs[blobs.length - 1]; };
  page.querySelector(".download-numbers button").click();
  table.caption.querySelector("button.download").click();
  const names = Object.keys(saved), texts = await Promise.all(names.map((name) => saved[name].text()));
  const kept = Object.fromEntries(names.map((name, k) => [name, texts[k]]));
  const column = () => Array.from(table.tBodies[0].rows, value);
  const before = column();
  table.tHead.rows[0].cells[2].querySelector("button").click();
  // numbers of the first screen that leave their cards, and last rows of figures that fill less than half of the width
  const right = (element) => element.getBoundingClientRect().right;
  const bigs = Array.from(page.querySelectorAll(".headline .big"));
  const wide = bigs.filter((number) => right(number) > right(number.closest("div")) - 8);
  const thin = Array.from(page.querySelectorAll(".figures")).filter((grid) => {
    const boxes = Array.from(grid.children, (figure) => figure.getBoundingClientRect()), last = boxes[boxes.length - 1];
    const row = boxes.filter((box) => Math.abs(box.top - last.top) < 2);
    return row.reduce((sum, box) => sum + box.width, 0) < 0.5 * grid.getBoundingClientRect().width;
  });
  const result = {
    wide: wide.map((number) => number.textContent), thin: thin.map((grid) => grid.closest("section").id),
    overflow: root.scrollWidth - root.clientWidth, overlaps, small, outside, before, sorted: column(),
    saved: kept, tables: page.querySelectorAll("table").length, sortable: page.querySelectorAll("th button").length,
    scripts: page.scripts.length, images: page.images.length,
    figures: page.querySelectorAll("figure svg").length,
    requests: frame.contentWindow.performance.getEntriesByType("resource").map((entry) => entry.name),
    background: getComputedStyle(page.body).backgroundColor,
    ink: getComputedStyle(page.querySelector("figure svg text")).fill,
    card: getComputedStyle(page.querySelector("figure")).backgroundColor,
  };
  document.getElementById("result").textContent = "RESULT" + JSON.stringify(result) + "END";
});
</script></body>"""


def look(folder, width, *options):
    """What the browser measured, and its log."""
    (folder / "wrapper.html").write_text(WRAPPER.replace("WIDTH", str(width)), encoding="utf-8")
    command = [BROWSER, *OPTIONS, f"--window-size={max(width, 500)},1000", f"--user-data-dir={folder / 'profile'}"]
    command += [*options, (folder / "wrapper.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search("RESULT(.*)END</pre>", done.stdout, re.DOTALL)
    assert found, done.stderr
    return json.loads(html.unescape(found.group(1))), done.stderr


def brightness(colour):
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [("simulated", 360, "light"), ("recorded", 360, "dark"), ("simulated", 1280, "dark"), ("referred", 360, "light")],
)
def test_the_page_reads_well(name, width, scheme, written, tmp_path):
    shutil.copy(written(name) / "report.html", tmp_path)
    number = {"dark": 0, "light": 1}[scheme]
    found, log = look(tmp_path, width, f"--blink-settings=preferredColorScheme={number}")
    assert found["figures"] >= 10
    assert found["overflow"] == 0
    assert found["overlaps"] == []
    assert found["outside"] == []
    assert found["wide"] == []
    assert found["thin"] == []
    assert found["small"] == []
    assert found["requests"] == []
    assert found["sorted"] == sorted(found["before"], reverse=True)
    assert (found["scripts"], found["images"]) == (2, 0)  # a unit named <script> or <img> stays text
    assert found["sortable"] > 30
    assert set(found["saved"]) == {"report.json", "report-the-20-strongest-couplings.csv"}
    numbers = json.loads((written(name) / "report.json").read_text("utf-8"))
    assert json.loads(found["saved"]["report.json"]) == numbers
    rows = list(csv.reader(found["saved"]["report-the-20-strongest-couplings.csv"].lstrip("\ufeff").splitlines()))
    assert rows[0] == ["spin i", "spin j", "β J", "standard error", "β J / error"]
    for row, pair in zip(rows[1:], numbers["strongest_couplings"], strict=True):
        assert row[0].lstrip("'") == " ".join(numbers["names"][pair["i"]].split())
        assert float(row[2]) == pair["coupling"]
    assert "CONSOLE" not in log, log
    sign = {"dark": -1, "light": 1}[scheme]
    assert sign * (brightness(found["card"]) - brightness(found["ink"])) > 150
    assert sign * (brightness(found["background"]) - 128) > 80


@pytest.mark.slow
def test_a_bad_page_would_be_noticed(written, tmp_path):
    page = tmp_path / "report.html"
    text = (written("simulated") / "report.html").read_text("utf-8")
    text = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    text = text.replace("</main>", '<img src="http://127.0.0.1:9/x.png"><div style="width:2000px">wide</div></main>')
    text = text.replace("</body>", "<script>console.error('trouble')</script></body>")
    extra = '<text x="100" y="50" style="font-size: 10px">above</text><text x="102" y="52">below</text>'
    extra += '<text x="400" y="50" style="font-size: 3px">outside</text></svg>'
    text = text.replace('<span class="big">', '<span class="big">' + "much" * 30, 1)
    page.write_text(text.replace("</svg>", extra, 1), encoding="utf-8")
    found, log = look(tmp_path, 360)
    assert found["overflow"] > 1000
    assert len(found["wide"]) == 1
    assert [pair[1:] for pair in found["overlaps"]] == [["below", "above"]]
    assert [text for _, text in found["outside"]] == ["outside"]
    assert [text for text, _ in found["small"]] == ["outside"]
    assert found["requests"] == ["http://127.0.0.1:9/x.png"]
    assert "trouble" in log
