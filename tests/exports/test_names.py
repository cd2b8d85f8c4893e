"""Names that hold on every disk."""

from __future__ import annotations

import unicodedata

import pytest
from hostile import NAMES

from ilk.exports.names import LIMIT, component, file_names, folder_names, is_own


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("a.jpg", "a.jpg"),
        ("..", "image"),
        (".", "image"),
        ("", "image"),
        ("   ", "image"),
        (".hidden.png", "hidden.png"),
        ("tail. .", "tail"),
        ("a/b", "a_b"),
        ("a\\b", "a_b"),
        ("C:evil.png", "C_evil.png"),
        ("nul", "_nul"),
        ("COM1.png", "_COM1.png"),
        ("com10.png", "com10.png"),
        ("console.png", "console.png"),
        ("a\x00b\n\x7f\x9b.png", "a_b___.png"),
        ("x\u202egpj.exe", "x_gpj.exe"),
        ("👩\u200d👧.webp", "👩\u200d👧.webp"),
        ("lone\udce9.png", "lone_.png"),
    ],
)
def test_component(name: str, made: str) -> None:
    assert component(name) == made
    assert component(made) == made  # once is enough


@pytest.mark.parametrize("text", ["x" * 1000, "ü" * 500 + ".jpeg", "日" * 141, "." * 999 + "a", "e" * 139 + ".jpg"])
def test_long_names_keep_their_ending_and_stay_apart(text: str) -> None:
    one, other = component(text), component(text[:-1] + "!" if "." not in text else "!" + text)
    assert len(one.encode()) <= LIMIT
    assert one != other
    assert one.rpartition(".")[2][:3] == text.rpartition(".")[2][:3]


def test_file_names_are_unique_and_do_not_depend_on_order() -> None:
    names = file_names(NAMES, {})
    keys = {unicodedata.normalize("NFC", name.casefold()) for name in names}
    assert len(keys) == len(NAMES)
    assert all(is_own(f"00-group/{name}") for name in names)
    backwards = file_names(NAMES[::-1], {})
    assert dict(zip(NAMES, names, strict=True)) == dict(zip(NAMES[::-1], backwards, strict=True))


def test_a_name_is_plain_until_another_has_it() -> None:
    assert file_names(["x/a.jpg", "y/b.jpg"], {}) == ["a.jpg", "b.jpg"]
    assert file_names(["x/a.jpg", "y/a.jpg"], {}) == ["x-a.jpg", "y-a.jpg"]
    one, other, plain = file_names(["p-q/a.jpg", "p/q-a.jpg", "b.jpg"], {})
    assert one == "a.jpg" and other == "q-a.jpg" and plain == "b.jpg"  # noqa: PT018
    one, other, third = file_names(["p-q/a.jpg", "p/q/a.jpg", "p/q-a.jpg"], {})
    assert one != other and {one[:6], other[:6]} == {"p-q-a~"}  # noqa: PT018 - a hash where even the paths are equal
    assert third == "q-a.jpg"


def test_stems_and_endings() -> None:
    assert file_names(["a.jpg", "a.png"], {}) == ["a.jpg", "a.png"]
    assert len({name.partition(".")[0] for name in file_names(["a.jpg", "a.png"], {}, by_stem=True)}) == 2
    assert file_names(["a.heic", "000001"], {0: ".png", 1: ".jpg"}) == ["a.png", "000001.jpg"]
    assert file_names(["a.heic", "a.png"], {0: ".png"}) != ["a.png", "a.png"]
    assert file_names(["a.jpg", "a.jpg#2", "b#2"], {}) == ["a.jpg", "a#2.jpg", "b#2"]


def test_folders_sort_by_number() -> None:
    names = folder_names({i: f"group {i}" for i in range(101)} | {-1: "not assigned"})
    assert names[7] == "007-group"
    assert names[-1] == "not-assigned"
    assert sorted(names.values()) == [names[i] for i in [*range(101), -1]]


@pytest.mark.parametrize("rel", ["a\\b", "a/../b", "..", "", "a//b", "C:/x", "a\0b", "./a", "a/.ilk", "/a"])
def test_paths_that_no_export_makes(rel: str) -> None:
    assert not is_own(rel)
