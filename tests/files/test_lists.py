"""Lists of paths as other programs write them: coding, quotes, labels, CSV, JSON lines."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from made import picture, put

from ilk.errors import DataError
from ilk.files import open_source, truth
from ilk.files.opening import as_list

NAMES = ["p/00.png", "p/#1.png", "p/with space.png", "p/trail .png", "p/ü.png", "p/a,b.png", "p/it's.png"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, name in enumerate(NAMES):
        put(tmp_path / name, picture(colour=i))
    return tmp_path


def listed(path: Path, text: str, coding: str = "utf-8") -> list[str]:
    put(path, text.encode(coding))
    found = open_source(path)
    assert found.kind == "list"
    assert found.refused == {}
    assert [found.read(i) for i in range(len(found))] == [picture(colour=NAMES.index(name)) for name in found.names]
    return found.names


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_codings(folder: Path, coding: str) -> None:
    assert listed(folder / "x.txt", "\r\n".join(NAMES) + "\r\n", coding) == NAMES


@pytest.mark.parametrize(
    "form",
    ["{}", "{}  ", '"{}"', "'{}'", "./{}", "{}\t3", "{} cat", '"{}" 7'],
    ids=["plain", "spaces", "quotes", "single", "dot", "tab", "label", "quoted label"],
)
def test_lines(folder: Path, form: str) -> None:
    assert listed(folder / "x.txt", "\n".join(form.format(name) for name in NAMES)) == NAMES
    assert listed(folder / "x.lst", "\n".join(form.format(name.replace("/", "\\")) for name in NAMES)) == NAMES


def test_a_name_that_begins_with_a_hash_is_a_name(folder: Path) -> None:
    for name in ("#0.png", "1.png"):
        put(folder / "p" / name)
    put(folder / "p" / "list.txt", b"# my list\n#0.png\n1.png\n#gone.png\n")
    found = open_source(folder / "p" / "list.txt")
    assert found.names == ["#0.png", "1.png"]
    assert found.notes == ["2 lines that begin with # and name no file: taken as comments"]


def test_tables(folder: Path) -> None:
    quoted = [f'"{name}",{i % 2}' for i, name in enumerate(NAMES)]
    assert listed(folder / "a.csv", "Path,label\n" + "\n".join(quoted)) == NAMES
    assert listed(folder / "b.csv", "n;file_name\n" + "\n".join(f'{i};"{n}"' for i, n in enumerate(NAMES))) == NAMES
    assert listed(folder / "c.tsv", "label\timage\n" + "\n".join(f"{i}\t{n}" for i, n in enumerate(NAMES))) == NAMES
    assert listed(folder / "d.csv", "\n".join(f'"{name}"' for name in NAMES)) == NAMES  # no header
    assert listed(folder / "e.csv", "foto,art\n" + "\n".join(quoted), "utf-16") == NAMES  # a header of other words
    assert truth(folder / "a.csv", folder / "a.csv") == {name: str(i % 2) for i, name in enumerate(NAMES)}
    put(folder / "f.csv", b"size,colour\n1,2\n")
    with pytest.raises(DataError, match=r"no column of paths.*file_name.*its first row is size, colour"):
        open_source(folder / "f.csv")


def test_json_lines(folder: Path) -> None:
    assert listed(folder / "a.jsonl", "\n".join(json.dumps({"file_name": n, "text": "x"}) for n in NAMES)) == NAMES
    assert listed(folder / "b.ndjson", "\n".join(json.dumps(n) for n in NAMES)) == NAMES
    for line, words in (
        ('{"id": 3}', "line 1: no path"),
        ("{", "line 1: not JSON"),
        ("[" * 10_000, "line 1: not JSON"),
    ):
        put(folder / "c.jsonl", line.encode())
        with pytest.raises(DataError, match=words):
            open_source(folder / "c.jsonl")


def test_what_is_gone_stays_a_row(folder: Path) -> None:
    put(folder / "x.csv", b"path\np/00.png\ngone.png\n")
    assert open_source(folder / "x.csv").refused == {1: "no such file"}
    put(folder / "y.txt", b"q/00.png\nq/01.png\n")
    assert open_source(folder / "y.txt").notes == [
        f"none of the 2 listed files is there: they were looked for in {folder}"
    ]


def test_paths_of_arrays_and_columns(folder: Path) -> None:
    import pyarrow as pa

    paths = [str(folder / name) for name in NAMES]
    wanted = open_source(paths)

    class Series:  # as of pandas, which ilk does not need
        def tolist(self) -> list[str]:
            return paths

    for given in (np.array(paths), np.array(paths, object), Series(), pa.array(paths), tuple(paths)):
        found = open_source(given)
        assert (found.names, found.fingerprint()) == (wanted.names, wanted.fingerprint())
    assert as_list(np.zeros(3)).dtype == float
    numbers = np.array([[1, 2]], object)
    assert as_list(numbers) is numbers


def test_long_lines_are_gone_through_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of many commas names one file at most, and is not tried at each of them."""
    asked: list[str] = []
    exists = os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: asked.append(path) or exists(path))
    name = NAMES[0]
    lines = ["," * 100_000 + "x", " ".join("y" * 50_000), "\t" * 50_000 + "z", f"{name}," + "1," * 50_000]
    (folder / "long.lst").write_text("\n".join(lines))
    found = open_source(folder / "long.lst")
    assert (len(found), len(found.refused)) == (4, 3)
    assert sum(map(len, asked)) < 50 * sum(map(len, lines))
    assert len(asked) < 300


def test_no_row_of_a_table_vanishes(folder: Path) -> None:
    """Quotes that do not end, line breaks that are none, and rows without a path."""
    odd = ['p/"open.png', "p/a\x85b.png", "p/a\u2028b.png", "p/two\nlines.png"]
    for name in odd:
        put(folder / name)
    put(folder / "open.csv", b'path,label\np/00.png,a\np/"open.png,b\n"p/a,b.png",c\n"p/gone,d\np/00.png,e\n')
    found = open_source(folder / "open.csv")
    assert found.names == ["p/00.png", 'p/"open.png', "p/a,b.png", '"p/gone', "p/00.png#2"]
    assert found.refused == {3: "no such file"}
    put(folder / "far.csv", b'path\n"p/gone\np/00.png\np/with space.png"\n')
    assert open_source(folder / "far.csv").names == ['"p/gone', "p/00.png", "p/with space.png"]
    put(folder / "breaks.csv", f'path\r\n{odd[1]}\r\n{odd[2]}\r\n"{odd[3]}"\r\np/00.png\r\n'.encode())
    found = open_source(folder / "breaks.csv")
    assert (len(found), found.refused) == (4, {})
    put(folder / "empty.csv", b"id,path\n1,p/00.png\n2,\n3\n\n4,p/00.png\n")
    found = open_source(folder / "empty.csv")
    assert found.names == ["p/00.png", "row 2", "row 3", "p/00.png#2"]
    assert found.refused == {1: "no path in this row", 2: "no path in this row"}


def test_labels_behind_a_quote_that_does_not_end(tmp_path: Path) -> None:
    for i in range(3):
        put(tmp_path / "x" / f"{i}.png")
    put(tmp_path / "labels.csv", b'name,label\n0.png,"a\n1.png,b\n2.png,c\n')
    found = truth(tmp_path / "labels.csv", tmp_path / "x")
    assert found == {"0.png": '"a', "1.png": "b", "2.png": "c"}
