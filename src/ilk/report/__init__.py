"""Reports of finished runs: `write_report` makes one HTML file, `write_plots` PNG pictures. Neither needs torch."""

from ilk.report.page import write_report
from ilk.report.plots import write_plots

__all__ = ["write_plots", "write_report"]
