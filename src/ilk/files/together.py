"""The sources of a run that grew, opened again as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ilk.errors import DataError
from ilk.files.arrays import ArraySet
from ilk.files.features import FeatureSet
from ilk.files.listing import Listing
from ilk.files.opening import open_again
from ilk.files.several import as_listing, joined

__all__ = ["Together", "open_together"]


@dataclass
class Together:
    """What `open_together` opened.

    Attributes
    ----------
    images : Listing, ArraySet or FeatureSet
        All of it, with the names that the run has.
    parts : list of (record, source)
        Each source by itself.
    pixels : set of str
        Names of images that come out of arrays, which were found to be those of the run.
    lost : dict of str to str
        Prefix of names -> why their source could not be opened.
    """

    images: Listing | ArraySet | FeatureSet
    parts: list[tuple[Mapping[str, Any], Listing | ArraySet | FeatureSet]]
    pixels: set[str] = field(default_factory=set)
    lost: dict[str, str] = field(default_factory=dict)


def open_together(
    records: Sequence[Mapping[str, Any]], first: Listing | ArraySet | FeatureSet | None = None
) -> Together:
    """Open the sources of a run, ``Run.sources()``; `first` stands for the first of them.

    Raises
    ------
    DataError
        The first cannot be opened, which is what the run was made from. Others are `Together.lost` then.
    """
    first = open_again(records[0]) if first is None else first
    done = Together(first, [(records[0], first)])
    for record in records[1:]:
        prefix = record["prefix"]
        try:
            if record.get("spec") is None:
                raise DataError("it came from an array or a list in memory, and cannot be found again")
            found = open_again(record)
            if isinstance(found, ArraySet) and found.fingerprint() != record.get("fingerprint"):
                raise DataError("its source does not hold the images of the run any more")
            done.parts.append((record, found))
        except DataError as error:
            done.lost[prefix] = str(error)
    named = [(record.get("prefix", ""), one) for record, one in done.parts]
    if len(named) > 1 and not any(isinstance(one, FeatureSet) for _, one in named):
        for prefix, one in named:
            if isinstance(one, ArraySet):
                done.pixels.update(prefix + name for name in one.names)
        listings = [(prefix, as_listing(one) if isinstance(one, ArraySet) else one) for prefix, one in named]
        done.images = joined(
            "several", first.root or Path(), [(p, one) for p, one in listings if isinstance(one, Listing)]
        )
    return done
