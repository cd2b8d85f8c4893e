"""The run folder: everything one job leaves behind, and the only thing reports, exports and predictions read.

A run is written into ``<RUN>.partial`` and renamed to ``<RUN>`` when it is complete, so a folder without that ending is
always whole. A lock file keeps two processes off one run. Nothing here is ever pickled.
"""

from ilk.runs.checkpoint import Checkpoint
from ilk.runs.columns import COLUMNS, TABLES_VERSION, Column, columns_of, kinds_of, written
from ilk.runs.copying import with_other_groups
from ilk.runs.figures import checked_figure, save_figures
from ilk.runs.finding import Kept, begun_with, below, is_run
from ilk.runs.growing import UpdateWriter
from ilk.runs.names import guessed, looks_like, own_name, plain_name, short_name, shown_name, source_name
from ilk.runs.reading import SCHEMA, WHOLE, Run, load_run, needed
from ilk.runs.similar import Neighbours, Similar, count_of
from ilk.runs.state import AGAIN, load_state, save_state, write_json
from ilk.runs.table import Table
from ilk.runs.writing import RunWriter, begin, difference, outgrown

__all__ = [
    "AGAIN",
    "COLUMNS",
    "SCHEMA",
    "TABLES_VERSION",
    "WHOLE",
    "Checkpoint",
    "Column",
    "Kept",
    "Neighbours",
    "Run",
    "RunWriter",
    "Similar",
    "Table",
    "UpdateWriter",
    "begin",
    "begun_with",
    "below",
    "checked_figure",
    "columns_of",
    "count_of",
    "difference",
    "guessed",
    "is_run",
    "kinds_of",
    "load_run",
    "load_state",
    "looks_like",
    "needed",
    "outgrown",
    "own_name",
    "plain_name",
    "save_figures",
    "save_state",
    "short_name",
    "shown_name",
    "source_name",
    "with_other_groups",
    "write_json",
    "written",
]
