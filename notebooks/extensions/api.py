"""Directive `api`: a table of names of a module, then each with its documentation; names in guides link there."""

import inspect
from importlib import import_module
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from listed import names_on_pages
from sphinx.addnodes import pending_xref
from sphinx.util.docutils import SphinxDirective

#: Added by scikit-learn to every estimator.
REQUESTS = "set_fit_request, set_score_request, set_predict_request, set_transform_request"


class Api(SphinxDirective):
    """Names of one module, one a line."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """The table and the entries, from reStructuredText that Sphinx's own directives read."""
        module, names = self.arguments[0], [line.strip() for line in self.content if line.strip()]
        text = [f".. currentmodule:: {module}", "", ".. autosummary::", "   :nosignatures:", ""]
        text += [*(f"   {name}" for name in names), ""]
        home = import_module(module)
        for name in names:
            thing = getattr(home, name)
            if inspect.isclass(thing):
                text += [f".. autoclass:: {name}", "   :members:", f"   :exclude-members: {REQUESTS}", ""]
            elif inspect.isfunction(thing):
                text += [f".. autofunction:: {name}", ""]
            elif inspect.ismodule(thing):
                text += [f".. automodule:: {module}.{name}", ""]
            else:
                text += [f".. autodata:: {name}", "   :no-value:", ""]
        holder = nodes.Element()
        self.state.nested_parse(StringList(text, source=self.env.docname), self.content_offset, holder)
        return holder.children


def link_names(app: Any, tree: nodes.document) -> None:
    """Make links of names of the reference that guides and notebooks write as code."""
    if app.env.docname.startswith("api/"):
        return
    known = {name: f"{module}.{name}" for module, name in names_on_pages()}
    known |= {full: full for full in known.values()} | {full.removeprefix("simulate."): full for full in known.values()}
    for literal in list(tree.findall(nodes.literal)):
        target = known.get(literal.astext().partition("(")[0])
        if target is not None and not isinstance(literal.parent, nodes.reference):
            link = pending_xref(
                "", refdomain="py", reftype="obj", reftarget=target, refexplicit=True, refdoc=app.env.docname
            )
            literal.replace_self(link)
            link += literal


def setup(app: Any) -> dict[str, bool]:
    """Register the directive and the links."""
    app.add_directive("api", Api)
    app.connect("doctree-read", link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
