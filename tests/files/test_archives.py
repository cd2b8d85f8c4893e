"""Listings of tar and zip files, friendly, broken and hostile."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from made import make_tar, picture

from ilk.errors import DataError
from ilk.files import open_source


# -- archives ---------------------------------------------------------------------------------------------------------
def test_tar_and_zip_are_read_in_place(tmp_path: Path) -> None:
    members = [(f"./set/{i:02d}.png", picture(colour=i)) for i in reversed(range(40))]
    members += [("set/._00.png", b"x"), ("set/note.txt", b"x"), ("set/bare", picture("JPEG"))]
    make_tar(tmp_path / "x.tar", members)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    for name in ["x.tar", "x.zip"]:
        found = open_source(tmp_path / name)
        assert found.kind == name[2:]
        assert found.names == [f"set/{i:02d}.png" for i in range(40)] + ["set/bare"]
        assert found.ignored == {"txt": 1}
        assert found.stamps.min() > 10**17
        with ThreadPoolExecutor(8) as threads:
            read = list(threads.map(found.read, list(range(40)) * 10))
        assert read == [picture(colour=i) for i in range(40)] * 10
        assert sorted(p.name for p in tmp_path.iterdir()) == ["x.tar", "x.zip"]


def test_hostile_members_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        for name, kind, link in [
            ("../../evil.png", tarfile.REGTYPE, ""),
            ("a/../../up.png", tarfile.REGTYPE, ""),
            ("/etc/abs.png", tarfile.REGTYPE, ""),
            ("C:/win.png", tarfile.REGTYPE, ""),
            ("soft.png", tarfile.SYMTYPE, "/etc/passwd"),
            ("hard.png", tarfile.LNKTYPE, "good.png"),
            ("dev/sda", tarfile.BLKTYPE, ""),
            ("fifo.png", tarfile.FIFOTYPE, ""),
            ("good.png", tarfile.REGTYPE, ""),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, data = kind, link, picture() if kind == tarfile.REGTYPE else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    found = open_source(path)
    assert len(found.names) == 9
    assert len(found.refused) == 5
    for good in ("good.png", "hard.png", "etc/abs.png", "win.png"):  # nothing is extracted: no harm in a slash
        assert found.read(found.names.index(good)) == picture()
    reasons = {found.names[i]: reason for i, reason in found.refused.items()}
    assert reasons["../../evil.png"] == reasons["a/../../up.png"] == "leads out of the archive (..)"
    assert reasons["soft.png"] == "a link to what is no file in the archive"
    assert reasons["dev/sda"] == reasons["fifo.png"] == "not a regular file in an archive"
    for i in found.refused:
        with pytest.raises(OSError, match="archive"):
            found.read(i)


def test_doubled_members_take_the_last(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "x.tar", [("a.png", picture(colour=1)), ("a.png", picture(colour=2))])
    found = open_source(path)
    assert (found.names, found.read(0)) == (["a.png"], picture(colour=2))
    assert "more than once" in found.notes[0]


def test_broken_tars(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "x.tar", [(f"{i}.png", bytes(5000)) for i in range(4)])
    data = path.read_bytes()
    path.write_bytes(data[:9000])  # breaks off in the second
    found = open_source(path)
    assert found.names[0] == "0.png"
    assert found.read(0) == bytes(5000)
    assert found.refused.get(1) == "the archive ends before it" or found.notes
    path.write_bytes(data[:512] + b"rubbish " * 64 + data[1024:])
    open_source(path)
    path.write_bytes(b"rubbish " * 200)
    with pytest.raises(DataError, match="not a readable tar"):
        open_source(path)
    for mode in ("w:gz", "w:bz2", "w:xz"):
        packed = make_tar(tmp_path / "y.tar", [("a.png", picture())], mode)
        with pytest.raises(DataError, match=r"is a compressed tar.*unpack"):
            open_source(packed)


def test_hostile_zips(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../evil.png", picture())
        archive.writestr("..\\evil2.png", picture())
        archive.writestr("bomb.png", bytes(70 * 2**20))
        archive.writestr("claims.png", picture())
        archive.writestr("secret.png", picture())
        archive.writestr("broken.png", picture() * 20)
        archive.writestr("good.png", picture())
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        offset = archive.getinfo("broken.png").header_offset
    data = bytearray(path.read_bytes())
    data[offset + 45] ^= 0xFF
    at = data.rindex(b"claims.png") - 46  # its entry in the directory
    data[at + 24 : at + 28] = struct.pack("<I", 600 * 2**20)
    data[data.rindex(b"secret.png") - 46 + 8] |= 1
    path.write_bytes(data)
    found = open_source(path)
    reasons = {found.names[i]: reason for i, reason in found.refused.items()}
    assert reasons == {
        "../evil.png": "leads out of the archive (..)",
        "../evil2.png": "leads out of the archive (..)",
        "bomb.png": reasons["bomb.png"],
        "claims.png": "claims to unpack to 600 MiB; the limit is 512",
        "secret.png": "locked with a password",
        "link.png": "a link to what is no file in the archive",
    }
    assert "claims to unpack to 70 MiB" in reasons["bomb.png"]
    assert found.read(found.names.index("good.png")) == picture()
    with pytest.raises(OSError, match="damaged in the archive"):
        found.read(found.names.index("broken.png"))
    path.write_bytes(data[:-30])
    with pytest.raises(DataError, match="not a readable zip"):
        open_source(path)


# -- links, absolute names, damaged members, replaced archives ---------------------------------------------------------
def linked_tar(path: Path, links: list[tuple[str, bytes, str]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for i in range(3):
            data = picture(colour=i)
            info = tarfile.TarInfo(f"photos/.store/{i}.jpg")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name, kind, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    return path


def test_links_to_members_are_read_as_these(tmp_path: Path) -> None:
    links = [
        ("photos/hard.jpg", tarfile.LNKTYPE, "photos/.store/0.jpg"),
        ("photos/soft.jpg", tarfile.SYMTYPE, ".store/1.jpg"),
        ("photos/a/chain.jpg", tarfile.SYMTYPE, "../soft.jpg"),
        ("abs.jpg", tarfile.LNKTYPE, "/photos/.store/2.jpg"),
        ("bare", tarfile.SYMTYPE, "photos/.store/2.jpg"),
        ("latest", tarfile.SYMTYPE, "photos"),  # a folder: no image, and no row
        ("circle.jpg", tarfile.SYMTYPE, "circle.jpg"),
        ("up.jpg", tarfile.SYMTYPE, "../x.jpg"),
    ]
    found = open_source(linked_tar(tmp_path / "x.tar", links))
    read = {name: found.read(i) for i, name in enumerate(found.names) if i not in found.refused}
    assert read == {
        "photos/hard.jpg": picture(colour=0), "photos/soft.jpg": picture(colour=1),
        "photos/a/chain.jpg": picture(colour=1), "abs.jpg": picture(colour=2), "bare": picture(colour=2),
    }  # fmt: skip
    assert {found.names[i] for i in found.refused} == {"circle.jpg", "up.jpg"}
    assert set(found.refused.values()) == {"a link to what is no file in the archive"}
    assert found.ignored == {"(none)": 1}
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(".store/0.png", picture(colour=4))
        for name, target in (("a/soft.png", "../.store/0.png"), ("out.png", "../../x.png"), ("long.png", "x" * 5000)):
            link = zipfile.ZipInfo(name)
            link.external_attr = 0o120777 << 16
            archive.writestr(link, target)
    found = open_source(tmp_path / "x.zip")
    assert found.names == ["a/soft.png", "long.png", "out.png"]
    assert found.read(0) == picture(colour=4)
    assert list(found.refused) == [1, 2]


def test_absolute_names_are_names(tmp_path: Path) -> None:
    members = [("/home/me/a.png", picture(colour=1)), ("//b.png", picture(colour=2))]
    found = open_source(make_tar(tmp_path / "x.tar", members))
    assert (found.names, found.refused) == (["b.png", "home/me/a.png"], {})
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name, data in [*members, ("C:\\Users\\c.png", picture(colour=3))]:
            archive.writestr(name, data)
    found = open_source(tmp_path / "x.zip")
    assert found.names == ["Users/c.png", "b.png", "home/me/a.png"]
    assert [found.read(i) for i in range(3)] == [picture(colour=c) for c in (3, 2, 1)]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_one_damaged_member_costs_one_image(tmp_path: Path, method: int) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for i in range(6):
            archive.writestr(f"{i}.png", picture(colour=i))
        archive.writestr("QQQQ", b"x")
        at = archive.getinfo("3.png").header_offset
    data = bytearray(path.read_bytes().replace(b"QQQQ", b"\0QQQ"))  # an empty name
    for k in range(35, 60):
        data[at + k] ^= 0xFF
    path.write_bytes(data)
    found = open_source(path)
    assert [found.read(i) for i in range(6) if i != 3] == [picture(colour=i) for i in range(6) if i != 3]
    with pytest.raises(OSError, match="damaged in the archive"):
        found.read(3)


def test_what_cannot_be_unpacked_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", picture())
    data = path.read_bytes()
    for at, value, why in ((8, 9, "packed by a method"), (6, 1, "locked with a password")):
        torn = bytearray(data)
        for header, shift in ((b"PK\3\4", 0), (b"PK\1\2", 2)):
            torn[torn.index(header) + at + shift] = value
        path.write_bytes(torn)
        found = open_source(path)
        assert why in found.refused[0]
        assert why in found.notes[0]
        assert "unpack it with the program that made it" in found.notes[0]


def test_a_replaced_archive_is_another_source(tmp_path: Path) -> None:
    """Same names, sizes and dates inside: its own size, time and checksums tell."""

    def write(shift: int) -> None:
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            for i in range(3):
                archive.writestr(zipfile.ZipInfo(f"{i}.bmp"), picture("BMP", i + shift))
        make_tar(tmp_path / "x.tar", [(f"{i}.bmp", picture("BMP", i + shift)) for i in range(3)])

    def opened(name: str, time: int) -> tuple[str, list[bytes] | None]:
        os.utime(tmp_path / name, ns=(10**18, time))
        found = open_source(tmp_path / name)
        return found.fingerprint(), found.marks()

    write(0)
    before = {name: opened(name, 10**18) for name in ("x.zip", "x.tar")}
    assert {name: opened(name, 10**18) for name in before} == before
    write(1)
    for name, (fingerprint, marks) in before.items():
        again = opened(name, 10**18 + 10**9)
        assert again[0] != fingerprint
        assert not set(again[1] or []) & set(marks or [])
    old = opened("x.zip", 10**18)  # even with its old time: a zip knows its checksums
    assert old[0] != before["x.zip"][0]
    assert not set(old[1] or []) & set(before["x.zip"][1] or [])


# -- headers of a tar that claim what cannot be ------------------------------------------------------------------------
def header(name: str, size: int, kind: bytes = tarfile.REGTYPE, mtime: float = 1.7e9) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.mtime = size, kind, mtime
    return info.tobuf(tarfile.GNU_FORMAT)


def blocks(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def further(**fields: str) -> bytes:
    body = b""
    for name, value in fields.items():
        record = f" {name}={value}\n".encode()
        length = len(record) + 2 if len(record) < 98 else len(record) + 3
        body += str(length).encode() + record
    return header("pax", len(body), tarfile.XHDTYPE) + blocks(body)


def sparse() -> bytes:
    found = bytearray(header("s.png", 0, tarfile.GNUTYPE_SPARSE))
    found[482] = 1  # its map goes on
    found[148:156] = b"%06o\0 " % (256 + sum(found[:148]) + sum(found[156:]))
    return bytes(found)


@pytest.mark.parametrize(
    "odd",
    [
        header("b.png", -512),
        further(size="-1024"),
        further(size="-4096"),
        header("././@LongLink", 2**62, tarfile.GNUTYPE_LONGNAME),
        header("././@LongLink", 100 * 2**30, tarfile.GNUTYPE_LONGNAME),
        header("pax", 40 * 2**30, tarfile.XHDTYPE),
        b"".join([header("././@LongLink", 4, tarfile.GNUTYPE_LONGNAME) + blocks(b"abc\0")] * 3000),
        header("pax", 300_000, tarfile.XHDTYPE) + blocks(b"1" * 300_000),
        header("pax", 300_000, tarfile.XHDTYPE) + blocks(b"5 " * 150_000),
        sparse(),
        b"nonsense" * 64,
    ],
)
def test_odd_headers_end_a_tar_with_a_note(tmp_path: Path, odd: bytes) -> None:
    image = blocks(picture())
    data = header("a.png", len(picture())) + image + odd
    data += b"" if odd == sparse() else header("b.png", len(picture())) + image + bytes(1024)
    (tmp_path / "x.tar").write_bytes(data)
    found = open_source(tmp_path / "x.tar")
    assert (found.names, found.read(0)) == (["a.png"], picture())
    assert found.notes == ["the archive is damaged after 'a.png': what comes later is missing"]


def test_the_map_of_a_sparse_file_is_passed_over(tmp_path: Path) -> None:
    begin, hole = sparse(), (b"00000000001\0" * 2) * 21
    data = begin + (hole + b"\1" + bytes(7)) * 40_000 + hole + bytes(8)
    (tmp_path / "x.tar").write_bytes(data + header("b.png", len(picture())) + blocks(picture()) + bytes(1024))
    tracemalloc.start()
    found = open_source(tmp_path / "x.tar")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.names, found.refused) == (["b.png", "s.png"], {1: "a sparse file in an archive"})
    assert found.read(0) == picture()
    assert most < 4 * 2**20


@pytest.mark.parametrize("time", ["1e30", "1e11", "nan", "-5", "inf", "x"])
def test_odd_times_of_a_tar_are_none(tmp_path: Path, time: str) -> None:
    one = blocks(picture())
    data = further(mtime=time) + header("a.png", len(picture())) + one + header("b.png", len(picture())) + one
    (tmp_path / "x.tar").write_bytes(data + bytes(1024))
    found = open_source(tmp_path / "x.tar")
    assert [found.read(i) for i in range(2)] == [picture()] * 2
    assert found.stamps.tolist() == [0, 1_700_000_000 * 10**9]


def test_further_fields_of_a_tar(tmp_path: Path) -> None:
    """Long names, names that are no ASCII, and sparse files, as GNU tar and Python write them."""
    long, odd = "x" * 150 + "/" + "y" * 120 + ".png", "\u00e9\u4e2d.png"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with tarfile.open(tmp_path / "x.tar", "w", format=form, pax_headers={"comment": "z"}) as tar:
            for name in (long, odd):
                info = tarfile.TarInfo(name)
                info.size, info.mtime = len(picture()), 1_700_000_000.5
                tar.addfile(info, io.BytesIO(picture()))
        found = open_source(tmp_path / "x.tar")
        assert found.names == [long, odd]
        assert [found.read(i) for i in range(2)] == [picture()] * 2
    body = further(**{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s.png"})
    data = (
        body + header("GNUSparseFile.0/s.png", 512) + bytes(512) + header("b.png", len(picture())) + blocks(picture())
    )
    (tmp_path / "x.tar").write_bytes(data + bytes(1024))
    found = open_source(tmp_path / "x.tar")
    assert (found.names, found.refused) == (["b.png", "s.png"], {1: "a sparse file in an archive"})
