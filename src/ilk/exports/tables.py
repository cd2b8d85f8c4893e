"""The tables of an export: groups.csv, groups.parquet, and what ImageFolder's and FiftyOne's readers want beside it."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from ilk import disk
from ilk.exports.rows import NOISE, UNREADABLE, Rows
from ilk.runs import columns_of, written

__all__ = ["fiftyone_labels", "write_csv", "write_metadata", "write_parquet"]


def write_csv(target: BinaryIO, rows: Rows, exported: Mapping[int, str]) -> None:
    """Write one line per chosen image of the run: UTF-8, empty where a value is missing.

    Names are written as they are, also those that a spreadsheet would take for a formula: with a mark in front they
    would no longer name their file. See `disk.formula_note`.
    """
    with disk.as_text(target) as file:
        out = csv.writer(file, lineterminator="\n")
        lines: Iterator[tuple[Any, ...]] = _lines(rows, exported)
        columns = columns_of("groups", *(() if rows.fine is None else ("fine",)))
        if rows.fine is not None:
            fine = ("" if number == UNREADABLE else number for number in rows.fine[rows.chosen].tolist())
            lines = ((*line, number) for line, number in zip(lines, fine, strict=True))
        out.writerow(columns)
        out.writerows(lines)


def _lines(rows: Rows, exported: Mapping[int, str]) -> Iterator[tuple[Any, ...]]:
    groups, seconds = rows.group.tolist(), rows.second.tolist()
    looks = {group: ", ".join(words) for group, words in rows.looks.items()}
    numbers = (rows.confidence.tolist(), rows.distance.tolist(), rows.silhouette.tolist())
    chosen = rows.chosen.tolist()
    for i, (path, group, second, *values) in enumerate(zip(rows.path, groups, seconds, *numbers, strict=True)):
        if not chosen[i]:
            continue
        confidence, distance, silhouette = ("" if math.isnan(value) else f"{value:.6g}" for value in values)
        number = "" if group == UNREADABLE else group
        next_best = second if second != NOISE else ""
        location = exported.get(i, "")
        yield (
            *(path, number, disk.printable(rows.names.get(group, "")), looks.get(group, "")),
            *(confidence, distance, next_best, silhouette),
            *(rows.status[i], rows.duplicate_of[i], rows.reason[i], location),
        )


def write_parquet(target: BinaryIO, rows: Rows, exported: Mapping[int, str]) -> None:
    """Write the same columns as Parquet, null where a value is missing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    none = rows.group == UNREADABLE
    looks = {group: ", ".join(words) for group, words in rows.looks.items() if words}
    columns = {
        "path": rows.path,
        "group": pa.array(rows.group, mask=none),
        "group_name": [rows.names.get(group) for group in rows.group.tolist()],
        "looks_like": pa.array([looks.get(group) for group in rows.group.tolist()], pa.string()),
        "confidence": pa.array(rows.confidence, from_pandas=True),
        "distance": pa.array(rows.distance, from_pandas=True),
        "second": pa.array(rows.second, mask=rows.second == NOISE),
        "silhouette": pa.array(rows.silhouette, from_pandas=True),
        "status": rows.status,
        "duplicate_of": pa.array([path or None for path in rows.duplicate_of], pa.string()),
        "reason": pa.array([reason or None for reason in rows.reason], pa.string()),
        "exported": pa.array([exported.get(i) for i in range(len(rows))], pa.string()),
    }
    if rows.fine is not None:
        columns["fine"] = pa.array(rows.fine, mask=none)
    pq.write_table(written(columns).filter(pa.array(rows.chosen)), target, compression="zstd")


def write_metadata(target: BinaryIO, rows: Rows, exported: Mapping[int, str]) -> None:
    """Write the ``metadata.csv`` that Hugging Face's imagefolder loader reads: one line per image that was exported.

    The label is the name of its folder: never a bare number, which the loader would read as another type.
    """
    with disk.as_text(target) as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(("file_name", "label", "group", "confidence"))
        for i, location in sorted(exported.items(), key=lambda item: item[1]):
            confidence = float(rows.confidence[i])
            known = "" if math.isnan(confidence) else f"{confidence:.6g}"
            out.writerow((location, location.partition("/")[0], int(rows.group[i]), known))


def fiftyone_labels(
    target: BinaryIO, rows: Rows, exported: Mapping[int, str], folders: Mapping[int, str], layout: Any
) -> None:
    """Write ``labels.json`` as FiftyOne's image classification format wants it.

    Parameters
    ----------
    exported
        ``data/<name>`` of every exported image, by row.
    folders
        The label of every group.
    layout : ndarray (n, 2) or None
        The run's map; each image's point becomes the attributes `map_x` and `map_y`.
    """
    ids = sorted(folders)
    position = {group: i for i, group in enumerate(ids)}
    labels = {}
    for i, location in exported.items():
        numbers = {name: getattr(rows, name)[i] for name in ("distance", "silhouette")}
        if layout is not None:
            numbers |= {"map_x": layout[i, 0], "map_y": layout[i, 1]}
        attributes: dict[str, Any] = {name: float(value) for name, value in numbers.items() if np.isfinite(value)}
        attributes |= {"ilk_path": rows.path[i], "status": rows.status[i]}
        second = folders.get(int(rows.second[i])) if rows.second[i] != NOISE else None
        attributes |= {"second": int(rows.second[i]), "second_label": second} if second else {}
        record = {"label": position[int(rows.group[i])], "attributes": attributes}
        if np.isfinite(rows.confidence[i]):
            record["confidence"] = float(rows.confidence[i])
        labels[location.removeprefix("data/").rpartition(".")[0]] = record
    with disk.as_text(target) as file:
        json.dump({"classes": [folders[i] for i in ids], "labels": labels}, file, ensure_ascii=False, allow_nan=False)
