"""The sections of a report, one file each, in their order on the page.

A figure is one more `Figure` in the list of its section; a section is one more file and one more line here.
"""

from infer.report.section import Section
from infer.report.sections import (
    convergence,
    couplings,
    data,
    dreaming,
    held_out,
    landscape,
    misses,
    own_correlations,
    time_order,
)

__all__ = ["SECTIONS"]

SECTIONS: list[Section] = [
    dreaming.SECTION,
    held_out.SECTION,
    misses.SECTION,
    time_order.SECTION,
    couplings.SECTION,
    landscape.SECTION,
    convergence.SECTION,
    own_correlations.SECTION,
    data.SECTION,
]
