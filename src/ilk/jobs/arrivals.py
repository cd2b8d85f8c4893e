"""New images of a run: encoded, placed by its model, and written as rows behind those that it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import _kept, runs
from ilk.errors import Interrupted
from ilk.jobs.joining import Known, Matched
from ilk.jobs.models import give_training_images, model_of
from ilk.jobs.prediction import assigned
from ilk.jobs.seen import Seen

__all__ = ["Arrived", "arrived", "as_corrected", "keys_by_hand", "nothing", "write"]

OnEvent = Callable[[dict[str, Any]], bool | None]
Ints = npt.NDArray[np.int64]

_NEAR = 5  # images that say where a new one is on the map


@dataclass
class Arrived:
    """New images, in the order of the source.

    Attributes
    ----------
    encoded : Encoded or None
        Of these alone.
    status, reasons, copy_of : list
        As in images.parquet; the path of the image that a duplicate equals.
    owner : (m,) int64
        Row of the run (these included) that has the features of each; its own, or that of the image it equals.
    group, second : (m,) int64
        -1 = none of these; -2 = unreadable.
    confidence : (m,) float32
    map : (m, 2) float32 or None
    fine : (m,) int64 or None
    by_hand : dict
        Rows that go to groups which were made by hand, by group: what was found knows nothing of those.
    """

    encoded: Any
    status: list[str]
    reasons: list[str | None]
    copy_of: list[str | None]
    owner: Ints
    group: Ints
    second: Ints
    confidence: npt.NDArray[np.float32]
    map: npt.NDArray[np.float32] | None = None
    fine: Ints | None = None
    by_hand: dict[int, list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def keys_by_hand(came: Arrived, before: int) -> dict[int, list[str]]:
    """Return the contents of new images that go to groups made by hand, by group; the run has `before` others."""
    hashes = came.encoded.hashes
    return {group: [hashes[row - before].hex() for row in rows] for group, rows in came.by_hand.items()}


def as_corrected(run: runs.Run, came: Arrived, names: Sequence[str]) -> Ints:
    """Return the groups of images that have not joined yet, as `run` will have them."""
    if run.grouping() is None:
        return came.group
    hashes = [] if came.encoded is None else came.encoded.hashes
    keys = [one.hex() if one else f"path:{name}" for one, name in zip(hashes, names, strict=True)]
    by_hand = keys_by_hand(came, len(run.labels())) if came.by_hand else {}
    return run.corrections.joined(keys, came.group, by_hand)


def nothing() -> Arrived:
    """Return no images at all."""
    none = np.zeros(0, np.int64)
    return Arrived(None, [], [], [], none, none, none, np.zeros(0, np.float32))


def arrived(
    run: runs.Run,
    known: Known,
    seen: Seen,
    found: Matched,
    *,
    cls: type[Any] | str | None,
    device: str,
    cache: str | Path | None,
    encoder: Any,
    notify: OnEvent,
) -> Arrived:
    """Encode the new images that were `found` in the source, and find their groups.

    Raises
    ------
    RunError
        The model is damaged.
    """
    model = model_of(run, cls=cls, device=device, cache=cache, encoder=encoder)

    def progress(done: int, total: int) -> bool:
        if notify({"event": "stage", "stage": "encode", "done": done, "total": total}):
            raise Interrupted("stopped; the run is as before, and the same command goes on from here")
        return False

    encoded = model.encode(seen.images.take(found.new), on_progress=progress)
    paths = [found.rows[row][0] if row in found.rows else path for row, path in enumerate(known.paths)]
    paths += [seen.names[i] for i in found.new]
    came = _sorted_out(known, paths, [seen.contents[i] for i in found.new], encoded)
    _place(run, model, came, len(known.paths))
    return came


def _sorted_out(known: Known, paths: Sequence[str], contents: Sequence[str | None], encoded: Any) -> Arrived:
    """Say which of the new images are copies, and of which image; `paths` are those of all, as they are now."""
    n, m = len(known.paths), len(contents)
    first: dict[str, int] = {}  # content -> the row that has its features
    for wanted in ("ok", "duplicate"):
        for row, content in enumerate(known.contents):
            if content is not None and known.status[row] == wanted:
                first.setdefault(content, row)
    read = encoded.position >= 0
    owner, status, copies = np.arange(n, n + m), [], list[str | None]()
    for i, content in enumerate(contents):
        if read[i] and content is not None:
            owner[i] = first.setdefault(content, n + i)
        copy = owner[i] != n + i
        status.append("unreadable" if not read[i] else "duplicate" if copy else "ok")
        copies.append(paths[owner[i]] if copy else None)
    reasons = [None if ok else why for ok, why in zip(read.tolist(), encoded.reasons, strict=True)]
    none = np.full(m, -2, np.int64)
    return Arrived(encoded, status, reasons, copies, owner, none, none.copy(), np.full(m, np.nan, np.float32))


def _place(run: runs.Run, model: Any, came: Arrived, n: int) -> None:
    """Put every readable image into a group: those that are new by the model, copies with their image."""
    encoded, read = came.encoded, came.encoded.position >= 0
    placed, table = assigned(run, model, encoded), run.uncorrected().assignments()
    # what is written is the group as found, and corrections come on top: those of before leave a group that was found
    # and is still there as it is, and bring images of merged groups along
    kept = [*(int(group["id"]) for group in run.uncorrected().clusters()), -1]
    merged = {} if (grouping := run.grouping()) is None else grouping.merged
    brought = np.array([merged.get(group, group) for group in placed.found.tolist()], np.int64)
    by_hand = ~np.isin(placed.group, kept)
    as_found = (brought == placed.group) | by_hand
    came.group = np.where(read, np.where(as_found, placed.found, placed.group), -2).astype(np.int64)
    for i in np.flatnonzero(read & by_hand & (came.owner >= n)).tolist():
        came.by_hand.setdefault(int(placed.group[i]), []).append(n + i)
    came.second = np.where(np.isin(placed.second, kept), placed.second, -1).astype(np.int64)
    came.confidence = np.where(read, placed.confidence, np.nan).astype(np.float32)
    if "fine" in table and hasattr(model, "fine_of"):
        came.fine = np.asarray(model.fine_of(encoded), np.int64)
    copies = np.flatnonzero(read & (came.owner < n))
    at = {row: i for i, row in enumerate(table["index"])} if len(copies) else {}
    for i in copies.tolist():
        here = at[int(came.owner[i])]
        came.group[i], came.second[i] = table["group"][here], table["second"][here]
        came.confidence[i] = np.nan if (value := table["confidence"][here]) is None else value
        if came.fine is not None:
            came.fine[i] = table["fine"][here]
    if (layout := run.map()) is not None:
        came.map = _on_the_map(run, model, came, np.asarray(layout), n)


def _on_the_map(run: runs.Run, model: Any, came: Arrived, layout: npt.NDArray[Any], n: int) -> npt.NDArray[np.float32]:
    """Return where new images stand: between the images of the run that are most like them, weighted by likeness."""
    give_training_images(model, run)
    rows, like = model.nearest_of(came.encoded, _NEAR)
    weights = 1 / (1 - np.minimum(like, 1) + 1e-6)
    weights /= weights.sum(1, keepdims=True)
    placed = np.einsum("nk,nkd->nd", weights, layout[np.maximum(rows, 0)])
    copies = came.owner < n
    placed[copies] = layout[came.owner[copies]]
    placed[came.encoded.position < 0] = np.nan
    found: npt.NDArray[np.float32] = placed.astype(np.float32)
    return found


# -- on the disk -------------------------------------------------------------------------------------------------------


def write(run: runs.Run, writer: runs.UpdateWriter, before: int, names: Sequence[str], came: Arrived) -> None:
    """Write the rows of new images, which stand behind `before` others."""
    import pyarrow as pa

    encoded, m = came.encoded, len(names)
    writer.table(
        "images.parquet",
        {
            "index": np.arange(before, before + m),
            "path": list(names),
            "bytes": np.asarray(encoded.sizes, np.int64),
            "width": np.asarray(encoded.widths, np.int32),
            "height": np.asarray(encoded.heights, np.int32),
            "status": came.status,
            "duplicate_of": pa.array(came.copy_of, pa.string()),
            "reason": pa.array(came.reasons, pa.string()),
            "content": pa.array([one.hex() or None for one in encoded.hashes], pa.string()),
        },
    )
    read = np.flatnonzero(encoded.position >= 0)
    unknown = pa.nulls(len(read), pa.float32())
    columns = {
        "index": read + before,
        "group": came.group[read],
        "confidence": pa.array(came.confidence[read], from_pandas=True),
        "distance": unknown,
        "second": pa.array(came.second[read], mask=came.second[read] < 0),
        "silhouette": unknown,
        "silhouette_reduced": unknown,
    }
    writer.table("assignments.parquet", columns if came.fine is None else {**columns, "fine": came.fine[read]})
    kept = run.features()
    shape = len(encoded.position), kept.shape[1]
    _kept.copy(writer.folder, shape, kept.dtype, _features(run, before, came), encoded.thumbs.blocks())
    if came.map is not None:
        writer.array("map.npy", came.map)


def _features(run: runs.Run, before: int, came: Arrived) -> Iterator[npt.NDArray[Any]]:
    """Yield features of the run's dtype, a slice at a time; NaN rows are unreadable images."""
    kept, position = run.features(), came.encoded.position
    d = kept.shape[1]
    step = max(1, (64 << 20) // max(1, kept.dtype.itemsize * d))
    for start in range(0, len(position), step):
        at, owner = position[start : start + step], came.owner[start : start + step]
        block = np.full((len(at), d), np.nan, kept.dtype)
        block[at >= 0] = came.encoded.features[at[at >= 0]]
        copies = (at >= 0) & (owner < before)
        if copies.any():
            block[copies] = kept[owner[copies]]
        yield block
