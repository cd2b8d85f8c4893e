"""Grouping again with what was corrected by hand, the tree of coarser and finer groups, and what to ask next.

Works on the stored features of any run and its journal alone: no torch, no method, no file but the journal.
"""

from ilk.regroup.again import Preview, accept, preview
from ilk.regroup.asking import Queue, queue
from ilk.regroup.placing import placer
from ilk.regroup.tree import Tree, tree

__all__ = ["Preview", "Queue", "Tree", "accept", "placer", "preview", "queue", "tree"]
