"""Names in a table and the images they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from ilk.files.matching import matched


def test_names_as_they_are_listed_come_in_the_order_of_the_source() -> None:
    assert matched(["y/b.png", "x/a.png", "z"], ["x/a.png", "x/b.png", "y/b.png"]) == {
        "x/a.png": "x/a.png",
        "y/b.png": "y/b.png",
    }


def test_base_names_only_where_they_are_unmistakable() -> None:
    names = ["x/a.png", "x/b.png", "y/b.png"]
    assert matched(["a.png"], names) == {"x/a.png": "a.png"}
    assert matched(["a.png", "b.png"], names) == {}
    assert matched(["a.png", "x/b.png"], names) == {"x/b.png": "x/b.png"}


def test_paths_of_files_in_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (tmp_path / "link").symlink_to(photos)
    monkeypatch.chdir(tmp_path)
    names = ["a.png", "x/b.png"]
    whole = [str(photos / "a.png"), str(photos / "x" / "b.png")]
    assert matched(whole, names, photos) == dict(zip(names, whole, strict=True))
    assert matched(whole, names, Path("link")) == dict(zip(names, whole, strict=True))
    assert matched(["photos/x/b.png"], names, photos) == {"x/b.png": "photos/x/b.png"}
    assert matched(["photos/../other/a.png", "/elsewhere/a.png"], names, photos) == {}
