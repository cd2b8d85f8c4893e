"""What people say of the groups of a run: an append-only journal, and the one function that makes groups of it.

Groups as found + journal = groups as they are (`corrected`). What was found is never changed; images are known by their
content, so that a renamed or moved file keeps its corrections. No torch; knows nothing of runs but their folder.
"""

from ilk.corrections.actions import VERBS, Action
from ilk.corrections.editing import Corrections
from ilk.corrections.finding import find_group, find_images
from ilk.corrections.folding import Found, Grouping, corrected
from ilk.corrections.journal import NAME, is_there
from ilk.corrections.tables import assignments, at_home, clusters, looking_like

__all__ = [
    "NAME",
    "VERBS",
    "Action",
    "Corrections",
    "Found",
    "Grouping",
    "assignments",
    "at_home",
    "clusters",
    "corrected",
    "find_group",
    "find_images",
    "is_there",
    "looking_like",
]
