"""What a run found, taken away: folders, tables, what other tools open. No torch; no source is ever changed."""

from ilk.exports.job import KEEP, LAYOUTS, MODES, export
from ilk.exports.outcome import Exported

__all__ = ["KEEP", "LAYOUTS", "MODES", "Exported", "export"]
