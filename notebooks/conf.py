"""Configuration of the documentation site: `sphinx-build -W notebooks site`."""

import sys
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))


def mathjax() -> Path:
    """MathJax as one file, from the package that ships it, so that formulas are set without a network."""
    spec = find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError('the site needs its extra: pip install ".[docs]"')
    return Path(spec.origin).parent / "static" / "mathjax" / "tex-svg.js"


project = "reverie"
author = "The reverie developers"
copyright = "the reverie developers, BSD-3-Clause"
release = version = installed("reverie")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "docstrings",
    "api",
    "gallery",
    "commands",
]
exclude_patterns = ["extensions", "_static", "**.ipynb_checkpoints"]
default_role = "py:obj"  # names between backticks are links where there is something to link to

myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks stand as they are committed
nb_merge_streams = True

smartquotes = False  # quotation marks of options and code stay as they are

autodoc_typehints = "none"  # types stand in the docstrings
autodoc_member_order = "bysource"
autosummary_generate = False
numpydoc_show_class_members = False
maximum_signature_line_length = 90
toc_object_entries_show_parents = "hide"

mathjax_path = mathjax().name

html_theme = "furo"
html_title = f"reverie {release}"
html_static_path = ["_static", str(mathjax())]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False  # summaries are fetched, which pages opened from a folder may not do
html_theme_options = {"navigation_with_keys": True}
