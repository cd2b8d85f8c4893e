"""Tables that people read: the same columns, with the same values, whoever wrote them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from trial import write_images

import ilk
from ilk import load_run
from ilk.runs import COLUMNS, TABLES_VERSION, WHOLE, columns_of

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos with a duplicate and a broken file; two runs of them, exports, predictions and a comparison."""
    home = tmp_path_factory.mktemp("tables")
    photos = write_images(home / "photos", 36)
    (photos / "copy.png").write_bytes((photos / "0_0000.png").read_bytes())
    (photos / "broken.png").write_bytes(b"no image")
    with pytest.MonkeyPatch.context() as patch:  # what takes long
        patch.setattr("ilk.layout.map_2d", lambda space, **_: space[:, :2])
        patch.setattr("ilk.report.write_plots", lambda run, source=None: [])
        patch.setattr("ilk.report.write_report", lambda run, out=None, source=None: run.path / "report.html")
        for name, k in (("a", "auto"), ("b", 4)):
            options = {"n_clusters": k, "encoder": "pixels", "preset": "tiny"}
            ilk.cluster(photos, home / name, options=options, names=False)
    for kind in ("csv", "parquet", "embedding-atlas"):
        ilk.export(home / "a", home / "out", layout=kind)
    found = ilk.predict(home / "a", photos, threshold=0)
    for name in ("predictions.csv", "predictions.parquet"):
        found.write(home / name)
    ilk.compare([home / "a", home / "b"]).write_moved(home / "moved.csv")
    return home


def lines(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_table_has_the_columns_that_are_written_down(folder: Path) -> None:
    found = {
        "images": folder / "a" / "images.parquet",
        "assignments": folder / "a" / "assignments.parquet",
        "groups": folder / "out" / "groups.parquet",
        "predictions": folder / "predictions.parquet",
        "atlas": folder / "out" / "atlas.parquet",
    }
    about = {column.name: column for column in COLUMNS}
    for table, path in found.items():
        schema = pq.read_schema(path)
        more = ("image", "neighbors") if table == "atlas" else ()
        assert tuple(schema.names) == columns_of(table, *more), table
        assert schema.metadata[b"ilk_tables"] == str(TABLES_VERSION).encode()
        for column in schema:
            kind = {"string": "text", "large_string": "text", "double": "float64", "float": "float32"}
            stored = kind.get(str(column.type), str(column.type))
            meant = about[column.name].dtype
            assert stored == meant or (stored.startswith("struct") and meant == "struct"), (table, column)
    assert tuple(lines(folder / "out" / "groups.csv")[0]) == columns_of("groups")
    assert tuple(lines(folder / "predictions.csv")[0]) == columns_of("predictions")
    assert tuple(lines(folder / "moved.csv")[0]) == columns_of("moved")
    levels = pq.read_schema(folder / "a" / "suggestions.parquet").names
    assert tuple(levels) == columns_of("suggestions", "coarse", "natural", "fine")
    assert load_run(folder / "a").header["ilk_run"] == WHOLE


def test_predictions_of_a_run_s_own_images_are_its_export(folder: Path) -> None:
    exported, predicted = lines(folder / "out" / "groups.csv"), lines(folder / "predictions.csv")
    same = ("path", "group", "group_name", "looks_like", "status", "duplicate_of", "reason")
    assert [[row[name] for name in same] for row in predicted] == [[row[name] for name in same] for row in exported]
    for mine, other in zip(predicted, exported, strict=True):
        empty = mine["status"] == "unreadable"
        assert {row[name] == "" for row in (mine, other) for name in ("group", "confidence", "second")} == {empty}
    assert [row["duplicate_of"] for row in exported if row["duplicate_of"]] == ["0_0000.png"]


def test_the_run_s_own_tables_agree_with_its_export(folder: Path) -> None:
    run, exported = load_run(folder / "a"), lines(folder / "out" / "groups.csv")
    images, found = run.images(), run.assignments()
    by_path = {row["path"]: row for row in exported}
    assert [by_path[path]["duplicate_of"] or None for path in images["path"]] == images["duplicate_of"]
    for column in ("group", "second"):
        told = [by_path[images["path"][i]][column] for i in found["index"]]
        assert [int(value or -1) for value in told] == found[column]


def test_a_column_has_one_meaning() -> None:
    names = [column.name for column in COLUMNS]
    assert len(set(names)) == len(names)
    assert all(column.about.endswith(".") and len(column.about) < 120 for column in COLUMNS)


def test_the_docs_have_every_column() -> None:
    text = (DOCS / "run-folder.md").read_text("utf-8")
    for column in COLUMNS:
        row: Any = f"| `{column.name}` | {column.dtype} | {', '.join(column.tables.split())} | {column.about} |"
        assert f"{row}\n" in text, f"docs/run-folder.md lacks the row\n{row}"
