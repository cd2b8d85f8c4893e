"""Shards of a cache, as whoever reads them needs them: one file, rows of many as one array, and how a run names them.

`ilk.data.shards` writes them. Needs no torch, for a run that names shards is looked at without.
"""

from ilk.shards.named import FILES, Named, Naming, forget, needed_by, note, read, unfit, write
from ilk.shards.one import OneShard, name_of
from ilk.shards.rows import ShardRows, Shards, ShardThumbs

__all__ = [
    "FILES",
    "Named",
    "Naming",
    "OneShard",
    "ShardRows",
    "ShardThumbs",
    "Shards",
    "forget",
    "name_of",
    "needed_by",
    "note",
    "read",
    "unfit",
    "write",
]
