"""Nothing is sent, nothing on a terminal moves the cursor, and a spreadsheet is warned of formulas."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from trial import SMALL, Ilk

from ilk import cli
from ilk.encoders import weights
from ilk.errors import DataError

RED = "\x1b[31mred\x1b]0;title\x07\x9b2J"


def clean(*texts: str) -> bool:
    """Whether nothing in `texts` moves a cursor or turns the direction of reading."""
    return not any(c in text for text in texts for c in "\x1b\x07\x9b\x00\u202e\u2066")


# -- telemetry ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK"])
def test_nothing_is_counted(ilk: Ilk, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name, raising=False)
    assert ilk("--version").code == 0
    assert os.environ[name] == "1"
    monkeypatch.delenv(name)


def test_what_a_download_says_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From Python there is no command line to set variables."""
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", False)
    asked: list[str] = []

    def refuse(*_: Any, **__: Any) -> None:
        asked.append(build_hf_headers()["user-agent"])
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", refuse)
    cfg = type("Facts", (), {"hf_hub_id": "timm/x", "hf_hub_filename": None, "url": None})()
    with pytest.raises(DataError, match="cannot be downloaded"):
        weights.fetch("x", cfg, tmp_path)
    assert asked
    assert "torch" not in asked[0]


# -- control characters ------------------------------------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, fail: Any) -> None:
    """Let every command end by `fail`."""
    monkeypatch.setattr("ilk.cli.commands.options_of", lambda arguments: set())
    monkeypatch.setattr("ilk.cli.commands.parser", lambda: fail)


def test_an_error_of_the_disk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for filename in (f"/photos/{RED}.png", f"/photos/{RED}.png".encode(), 3, None):

        def fail(*_: Any, filename: Any = filename, **__: Any) -> None:
            raise OSError(28, f"No space {RED}", filename)

        failing(monkeypatch, fail)
        assert cli.main(["info"]) == 1
        said = capsys.readouterr()
        assert clean(said.out, said.err)
        assert "No space" in said.err
        assert said.err.count("\n") == 1
        assert ("/photos/\\x1b[31mred" in said.err) == isinstance(filename, str | bytes)


@pytest.mark.parametrize("error", [RuntimeError(RED), KeyError(RED), DataError(f"a\u202e{RED}"), MemoryError(RED)])
def test_other_errors(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    failing(monkeypatch, fail)
    assert cli.main(["info"]) == 1
    said = capsys.readouterr()
    assert clean(said.out, said.err)
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [(RED,), ("cluster", "x", f"--{RED}"), ("info", RED), ("export", RED, "out"), ("compare", RED, RED)]
)
def test_wrong_usage(ilk: Ilk, arguments: tuple[str, ...]) -> None:
    said = ilk(*arguments)
    assert said.code != 0
    assert clean(said.out, said.err)


@pytest.fixture
def loud(finished_copy: Path) -> Path:
    """A run whose every text moves the cursor."""
    header = json.loads((finished_copy / "run.json").read_text("utf-8"))
    header |= {"command": RED, "created": RED}
    header["versions"]["ilk"] = RED
    header["summary"]["warnings"] = [RED]
    (finished_copy / "run.json").write_text(json.dumps(header), "utf-8")
    groups = json.loads((finished_copy / "clusters.json").read_text("utf-8"))
    names = [f"=cmd|' /C calc'!A{i}\n{RED}" for i in range(len(groups))]
    told = [{**group, "name": name} for group, name in zip(groups, names, strict=True)]
    (finished_copy / "clusters.json").write_text(json.dumps(told), "utf-8")
    table = pq.read_table(finished_copy / "images.parquet").to_pydict()
    table["path"] = [f"{RED}{name}" for name in table["path"]]
    table["reason"] = [RED] * len(table["path"])
    pq.write_table(pa.table(table), finished_copy / "images.parquet")
    return finished_copy


@pytest.mark.parametrize(
    "command",
    [
        ("info", "run"),
        ("info", "run", "--json"),
        ("report", "run"),
        ("predict", "run", "PHOTOS", "-o", "table.csv"),
        ("export", "run", "out"),
        ("export", "run", "out", "--as", "csv"),
        ("compare", "run", "run", "--moved", "moved.csv"),
        ("evaluate", "run"),
    ],
    ids=" ".join,
)
def test_a_run_that_is_loud(ilk: Ilk, home: Path, photos: Path, loud: Path, command: tuple[str, ...]) -> None:
    said = ilk(*(photos if word == "PHOTOS" else word for word in command))
    assert clean(said.out, said.err), said
    assert "unexpected" not in said.err
    for path in (home / "table.csv", home / "moved.csv", loud / "report.html"):
        if path.exists():
            assert clean(path.read_text("utf-8")), path


# -- spreadsheets ------------------------------------------------------------------------------------------------------


def test_formulas_in_the_names_of_images(ilk: Ilk, home: Path, finished: Path) -> None:
    (home / "new").mkdir()
    for name in ("=1+1.png", "-rf.png", "@x.png", "+1.png", "a.png"):
        pixels = np.random.default_rng(len(name)).integers(0, 255, (12, 12)).astype(np.uint8)
        Image.fromarray(pixels).save(home / "new" / name)
    said = ilk("predict", finished, "new", "-o", "table.csv")
    assert said.code == 0
    assert "4 names begin with = + - or @" in said.out
    assert "formulas" not in ilk("predict", finished, "new", "-o", "table.parquet").out
    assert "formulas" not in ilk("predict", finished, "new").out


def test_formulas_in_the_names_of_groups(ilk: Ilk, photos: Path, loud: Path) -> None:
    said = ilk("predict", "run", photos, "-o", "table.csv")
    assert "3 names begin with = + - or @" in said.out
    said = ilk("export", "run", "tables", "--as", "csv")
    assert "3 names begin with = + - or @" in said.out


def test_formulas_in_what_moved(ilk: Ilk, home: Path, loud: Path, photos: Path) -> None:
    assert ilk("cluster", photos, "-o", "two", "-k", "2", *SMALL).code == 0
    table = pq.read_table(home / "two" / "images.parquet").to_pydict()
    table["path"] = [f"{RED}{name}" for name in table["path"]]
    pq.write_table(pa.table(table), home / "two" / "images.parquet")
    assert "formulas" in ilk("compare", "run", "two", "--moved", "moved.csv").out
