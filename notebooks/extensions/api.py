"""Directive `api`: a table of names of a module, then each with its documentation."""

import inspect
from importlib import import_module
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
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


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("api", Api)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
