"""What a source holds beside its images is said: by kind, with the cure; and which links are followed."""

from __future__ import annotations

from pathlib import Path

import pytest
from made import make_tar, picture, put

from ilk.errors import DataError
from ilk.files import PassedOver, open_source
from ilk.files.passed import set_aside


def counts(passed: PassedOver) -> dict[str, int]:
    return {kind: found.count for kind, found in passed.items()}


def test_every_file_is_an_image_or_counted(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    others = {
        "pictures": ["b.jxl", "c.svg", "d.dcm", "sub/e.JXL"],
        "videos": ["f.mp4", "g.MOV"],
        "archives": ["h.zip", "i.tar.gz", "j.7z"],
        "arrays": ["k.npz", "l.parquet"],
        "other": ["m.txt", "README"],
        "hidden": [".n.jpg", ".o/p.png", ".o/deep/q.png"],
        "system": [".DS_Store", "Thumbs.db", "._a.png", ".o/r.txt", "__MACOSX"],
    }
    for names in others.values():
        for name in names:
            put(tmp_path / name / "x" if name == "__MACOSX" else tmp_path / name, b"something else, and no picture")
    found = open_source(tmp_path)
    assert found.names == ["a.png"]
    assert counts(found.passed_over) == {kind: len(names) for kind, names in others.items()}
    assert found.passed_over["pictures"].endings == {"jxl": 2, "svg": 1, "dcm": 1}
    assert found.passed_over["hidden"].examples == [".n.jpg", ".o/p.png", ".o/deep/q.png"]
    what, cure = found.passed_over.lines()
    assert what == (
        "4 pictures of formats that ilk cannot read (2 .jxl, 1 .dcm, 1 .svg), 2 videos (1 .mov, 1 .mp4), "
        "3 archives (h.zip …), 2 tables or arrays (k.npz …), 3 hidden pictures (.n.jpg …), "
        "2 other files (1 without a known ending, 1 .txt)"
    )
    assert cure.startswith(
        "to take them in: convert the pictures to PNG or JPEG; extract frames of the videos; give the"
    )


def test_a_picture_is_one_whatever_its_ending(tmp_path: Path) -> None:
    for name in ("a.MOV", "b.dat", "c.jxl", "d", "e.jpg~"):
        put(tmp_path / name, picture("JPEG"))
    found = open_source(tmp_path)
    assert found.names == ["a.MOV", "b.dat", "c.jxl", "d", "e.jpg~"]
    assert found.passed_over == {}


def test_raw_files_are_pictures(tmp_path: Path) -> None:
    for name in ("a.CR3", "b.nef", "c.dng"):
        put(tmp_path / name, b"no raw file")
    found = open_source(tmp_path)
    assert (found.names, found.passed_over) == (["a.CR3", "b.nef", "c.dng"], {})  # rows with a reason, if need be


def test_deleted_and_system_pictures_are_not_the_users(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    deleted = [
        "#recycle",
        "@Recycle",
        "$RECYCLE.BIN/S-1-5-21",
        "lost+found",
        ".Trash-1000/files",
        ".Trashes",
        "RECYCLER",
    ]
    previews = ["#snapshot/GMT-2024", "@eaDir/a.png", ".thumbnails", ".@__thumb", "@Recently-Snapshot"]
    for folder in [*deleted, *previews, "System Volume Information", "__MACOSX", "ilk-runs/x"]:
        put(tmp_path / folder / "old.jpg")
        put(tmp_path / "sub" / folder / "old.jpg")
    found = open_source(tmp_path)
    assert found.names == ["a.png"]
    assert counts(found.passed_over) == {
        "deleted": 2 * len(deleted), "previews": 2 * len(previews), "system": 4, "results": 2,
    }  # fmt: skip
    named = open_source(tmp_path / "#recycle")  # who names it means it
    assert (named.names, named.passed_over) == (["old.jpg"], {})
    for name in ("#1.png", "recycle", "Trash", "snapshots", "found", "thumbs", "System", "$money.jpg"):
        assert set_aside(name) is None


def test_hidden_pictures_alone_are_not_nothing(tmp_path: Path) -> None:
    put(tmp_path / ".photos" / "a.jpg")
    put(tmp_path / ".b.jpg")
    with pytest.raises(DataError, match=r"it holds only 2 hidden pictures \(\.b\.jpg …\); to take them in: name what"):
        open_source(tmp_path)
    assert open_source(tmp_path / ".photos").names == ["a.jpg"]
    assert open_source(str(tmp_path / ".*.jpg")).passed_over == {}
    assert len(open_source([tmp_path / ".photos", tmp_path / ".b.jpg"])) == 2


def test_a_link_never_leads_upwards(tmp_path: Path) -> None:
    for name in ("photos/a.png", "photos/2024/b.png", "private/c.png", "other/deep/d.png", "other/secret.png"):
        put(tmp_path / name)
    source = tmp_path / "photos"
    (source / "back").symlink_to("..")
    (source / "2024" / "up").symlink_to("..")
    (source / "root").symlink_to("/")
    found = open_source(source)
    assert found.names == ["2024/b.png", "a.png"]
    assert counts(found.passed_over) == {"outside": 2}  # `up` leads to the source itself, which is listed
    assert found.passed_over["outside"].examples == ["back", "root"]
    # beside the source: a data set may be put together of links, and a note says so; but not upwards from there either
    (source / "more").symlink_to(tmp_path / "other" / "deep")
    (tmp_path / "other" / "deep" / "up").symlink_to("..")
    found = open_source(source)
    assert found.names == ["2024/b.png", "a.png", "more/d.png"]
    assert found.passed_over["outside"].examples == ["back", "root", "more/up"]
    assert found.notes == [f"1 image lies outside of {source}, behind links: more -> {tmp_path / 'other' / 'deep'}"]


def test_archives_say_it_too(tmp_path: Path) -> None:
    members = [("a.png", picture()), ("b.svg", b"<svg/>"), (".c.png", picture()), ("__MACOSX/._a.png", b"x")]
    found = open_source(make_tar(tmp_path / "x.tar", [*members, ("#recycle/d.jpg", b"x")]))
    assert found.names == ["a.png"]
    assert counts(found.passed_over) == {"pictures": 1, "hidden": 1, "system": 1, "deleted": 1}
