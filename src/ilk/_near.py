"""The near duplicates of a fit as a file of a run folder."""

from __future__ import annotations

from typing import Any

import numpy as np

from ilk import near
from ilk.runs import RunWriter

__all__ = ["heads_of", "write"]


def write(writer: RunWriter, model: Any, frozen: bool) -> None:
    """Write ``near.npy`` and what run.json says of it: the limit, how it was found, how many images it stacks.

    Parameters
    ----------
    writer
    model
        Fitted. Without `near_`, as methods of the user's own are, its features are looked through here.
    frozen : bool
        Whether the features are those of a frozen encoder.
    """
    whole = model.encoded_.whole or model.encoded_
    found: Any = getattr(model, "near_", None)
    limit, heads = heads_of(whole) if found is None and frozen else (None, None)
    if found is not None:
        limit, heads = found.limit, found.heads
    if limit is None or heads is None:
        limit, heads = near.Limit(None, near.NO_FEATURES), np.arange(len(whole.rows))
    at = whole.position
    writer.array(near.FILE, np.where(at >= 0, whole.rows[heads[at]], np.arange(len(at))).astype(np.int32))
    count = int((heads != np.arange(len(heads))).sum())
    stacked = model.encoded_.whole is not None
    writer.update(near={**limit.as_record(), "n": count, "stacked": stacked})


def heads_of(encoded: Any) -> tuple[near.Limit, Any]:
    """Return the limit and the heads of the distinct images of `encoded`, from their features alone."""
    from ilk.vectors import nearest_of_many  # imports torch, and wrong words are refused before that

    rows, limit = encoded.rows, near.find(encoded.features)
    if limit.value is None:
        return limit, None
    order, ties = near.best_first(encoded.widths[rows], encoded.heights[rows], encoded.sizes[rows])
    return limit, near.lead(encoded.features, order, limit.value, ties, nearest_of_many(len(rows)))
