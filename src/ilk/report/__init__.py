"""Reports of finished runs: `write_report` makes one HTML file, `write_plots` PNG pictures. None of them needs torch.

`write_first` draws the first groups of a run that is not finished.
"""

from ilk.report.first import write_first
from ilk.report.page import write_report
from ilk.report.plots import write_plots

__all__ = ["write_first", "write_plots", "write_report"]
