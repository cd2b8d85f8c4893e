"""A run as the one Parquet file that Embedding Atlas opens: points, groups, thumbnails and neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ilk.errors import DataError, RunError
from ilk.exports.rows import UNREADABLE, Rows
from ilk.files import sprites_of
from ilk.runs import AGAIN, Run, written

__all__ = ["MOST_WORK", "write_atlas"]

MOST_WORK = 3e11  # multiplications for the neighbours: some ten seconds on two cores
_NEIGHBORS = 15
_BLOCK = 4096  # images whose thumbnails are in memory at a time


def write_atlas(target: BinaryIO, run: Run, rows: Rows, report: Callable[[int, int], object]) -> tuple[int, bool]:
    """Write one row per readable image, and return how many, and whether their neighbours are among the columns.

    Columns: those of the table ``atlas`` (`ilk.runs.COLUMNS`). Neighbours are the 15 nearest by cosine of the features.

    Raises
    ------
    DataError
        The run has no map.

    Notes
    -----
    Neighbours cost n² d; beyond 3e11 multiplications (17,000 images of 1,000 features) the column is left out.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    layout = run.map()
    if layout is None:
        raise DataError(f"{run.path} has no map, which Embedding Atlas needs. Export it as parquet.")
    index = np.flatnonzero(rows.chosen & (rows.group != UNREADABLE) & np.isfinite(np.asarray(layout)).all(1))
    features = run.features()
    with_neighbors = len(index) > 1 and len(index) ** 2 * features.shape[1] <= MOST_WORK
    x = np.asarray(features[index], np.float32) if with_neighbors else None
    if x is not None and not np.isfinite(x).all():
        raise RunError(f"{run.features_path} is damaged (values that are no numbers, or infinite). {AGAIN}")
    near = None if x is None else _neighbors(x)
    thumbs = sprites_of(run.thumbs())
    writer: Any = None
    try:
        for start in range(0, len(index), _BLOCK):
            block = index[start : start + _BLOCK]
            columns = _columns(rows, block, np.asarray(layout[block], np.float32))
            if thumbs is not None:
                pictures = [{"bytes": thumbs.picture(i)[0], "path": rows.path[i]} for i in block.tolist()]
                columns["image"] = pa.array(pictures, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
            if near is not None:
                ids, distances = (values[start : start + _BLOCK] for values in near)
                kind = pa.struct([("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float32()))])
                pairs = zip(ids.tolist(), distances.tolist(), strict=True)
                columns["neighbors"] = pa.array([{"ids": a, "distances": b} for a, b in pairs], kind)
            table = written(columns)
            writer = writer or pq.ParquetWriter(target, table.schema, compression="zstd")
            writer.write_table(table)
            report(start + len(block), len(index))
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise DataError(f"{run.path} has no image that is on its map.")
    return len(index), with_neighbors


def _columns(rows: Rows, block: npt.NDArray[np.int64], points: npt.NDArray[np.float32]) -> dict[str, Any]:
    import pyarrow as pa

    groups, second = rows.group[block].tolist(), rows.second[block]
    words = {i: ", ".join(rows.looks[i]) or None for i in rows.names}
    return {
        "x": points[:, 0],
        "y": points[:, 1],
        "path": [rows.path[i] for i in block],
        "group": rows.group[block],
        "group_name": [rows.names[i] for i in groups],
        "looks_like": pa.array([words[i] for i in groups], pa.string()),
        "caption": [rows.shown(i) for i in groups],
        "confidence": pa.array(rows.confidence[block], from_pandas=True),
        "second": pa.array(second, mask=second < 0),
        "silhouette": pa.array(rows.silhouette[block], from_pandas=True),
        "status": [rows.status[i] for i in block],
    }


def _neighbors(x: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Rows (n, k) of the nearest by cosine, nearest first, none of them the row itself; and their distances, 0 to 2."""
    n, k = len(x), min(_NEIGHBORS, len(x) - 1)
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    found, distances = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    step = max(1, 2**24 // n)
    for start in range(0, n, step):
        similarity = x[start : start + step] @ x.T
        similarity[np.arange(len(similarity)), start + np.arange(len(similarity))] = -np.inf
        best = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(similarity, best, 1)
        order = np.lexsort((best, -values), axis=1)
        found[start : start + step] = np.take_along_axis(best, order, 1)
        distances[start : start + step] = np.clip(1 - np.take_along_axis(values, order, 1), 0, 2)
    return found, distances
