"""Reports of finished runs: `write_report` makes one HTML file, `write_plots` PNG pictures. None of them needs torch.

`write_first` draws the first groups of a run that is not finished. Each is loaded when it is first used: matplotlib is
not needed to open images.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["images_of", "write_first", "write_plots", "write_report"]

_HOMES = {"images_of": "pictures", "write_first": "first", "write_plots": "plots", "write_report": "page"}

if TYPE_CHECKING:
    from ilk.report.first import write_first
    from ilk.report.page import write_report
    from ilk.report.pictures import images_of
    from ilk.report.plots import write_plots


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
