"""Report on samples: `analyse` computes the numbers, `write_report` writes HTML and JSON."""

from infer.report.analysis import Analysis, analyse
from infer.report.page import render_page, write_report

__all__ = ["Analysis", "analyse", "render_page", "write_report"]
