"""The groups of the suggested numbers (coarse, natural, fine) as files of a run folder."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.runs import RunWriter

__all__ = ["NAMES", "write"]

Ints = npt.NDArray[np.int64]

NAMES = ("coarse", "natural", "fine")
EXEMPLARS = 8


def write(writer: RunWriter, model: Any) -> None:
    """Write ``suggestions.json`` and ``suggestions.parquet``, where a number of groups was chosen and groups are known.

    The table has the group of every readable image at each suggested number. The groups of the number that was taken
    are the model's own, those of the others K-means groups of the same space.
    """
    choice: Any = getattr(model, "k_choice_", None)
    found = getattr(choice, "labels", None)
    if not found:
        return
    encoded = model.encoded_
    suggested = {name: k for name, k in choice.suggested().items() if k in found}
    own = {name: found[k] for name, k in suggested.items()}
    if choice.natural == model.n_clusters_:
        own["natural"] = model.labels_[encoded.rows]
    index = np.flatnonzero(encoded.position >= 0)
    at = encoded.position[index]
    writer.table("suggestions.parquet", {"index": index, **{name: labels[at] for name, labels in own.items()}})
    levels = {}
    for name, labels in own.items():
        groups = _groups(model.embedding_, labels, encoded.rows, labels[at], own["natural"][at])
        levels[name] = {"k": suggested[name], "groups": groups}
    writer.json("suggestions.json", levels)


def _groups(space: npt.NDArray[Any], labels: Ints, rows: Ints, images: Ints, natural: Ints) -> list[dict[str, Any]]:
    """Return the groups of one level: id, size in images, exemplars, and the natural groups they go with.

    Parameters
    ----------
    labels
        (m,) of the rows of `space`.
    rows
        (m,) image of every row.
    images, natural
        (n,) group of every readable image at this level and at the natural one.
    """
    from ilk.describe import describe  # torch

    described = describe(space, space, labels, np.ones(len(labels), np.float32), n_shown=EXEMPLARS)
    wide = int(natural.max()) + 2  # -1, not assigned, has the last column
    table = np.bincount(images * wide + np.where(natural < 0, wide - 1, natural), minlength=wide * (images.max() + 1))
    shared = table.reshape(-1, wide)[:, :-1]
    home, source = shared.argmax(0), shared.argmax(1)
    return [
        {
            "id": group["id"],
            "size": int((images == group["id"]).sum()),
            "exemplars": rows[group["exemplars"]].tolist(),
            "holds": [int(g) for g in np.flatnonzero(home == group["id"]) if shared[group["id"], g]],
            "part_of": int(source[group["id"]]),
        }
        for group in described.groups
        if group["id"] >= 0
    ]
