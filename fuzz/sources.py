"""Damaged archives, lists, arrays and tables through `ilk.open_images`, as `ilk cluster` takes them."""

from __future__ import annotations

import bz2
import gzip
import io
import random
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import ilk
from fuzz import mutating
from fuzz.judging import Case, Verdict, one_line
from ilk import files
from ilk.errors import IlkError

__all__ = ["Sources"]

_READ = 12  # images of a source that are read


class Sources:
    """The fuzzer `sources`."""

    def __init__(self, scratch: Path) -> None:
        self._folder = scratch / "sources"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._seeds = _seeds()
        self._names = sorted(self._seeds)
        (self._folder / "i0.png").write_bytes(_pictures(1)[0])
        (self._folder / "labelled.parquet").write_bytes(self._seeds["none.parquet"])
        for name in self._names:  # what is imported late is no cost of a mutant
            self.verdict(Case(name, self._seeds[name]))

    def seeds(self) -> dict[str, bytes]:
        """Return a small valid source of every kind."""
        return self._seeds

    def mutant(self, rng: random.Random) -> Case:
        """Return one of the seeds, damaged at its beginning, at its end, or anywhere."""
        name = rng.choice(self._names)
        return Case(name, mutating.bytes_of(self._seeds[name], rng, ends=True))

    def verdict(self, case: Case) -> Verdict:
        """Open the source and read from it; a table of labels is read as that."""
        path = self._folder / f"mutant{Path(case.what).suffix}"
        path.write_bytes(case.data)
        try:
            if case.what.startswith("labels"):
                files.truth(str(path), str(self._folder / "labelled.parquet"))
                return Verdict("labels")
            return self._opened(path)
        except IlkError as error:
            return Verdict("refused", one_line(str(error)))
        finally:
            path.unlink(missing_ok=True)

    def _opened(self, path: Path) -> Verdict:
        source: Any = ilk.open_images(str(path))
        names = source.names()
        wrong = None
        if len(set(names)) != len(names) or len(names) != len(source):
            wrong = f"{len(source)} images, {len(names)} names, {len(set(names))} different ones"
        source.fingerprint()
        found = source.scan(np.arange(min(len(source), _READ)))
        for ok, reason in zip(found.ok, found.reasons, strict=True):
            if bool(ok) != (reason is None):
                wrong = f"an image is {'' if ok else 'not '}there, and the reason is {reason!r}"
            elif reason is not None and (not reason.isprintable() or "unexpected" in reason):
                wrong = f"not one printable line: {reason!r}"
        if path.suffix in (".npz", ".parquet"):
            files.truth("auto", str(path))
        return Verdict("opened", wrong)

    def keep(self, case: Case, target: Path) -> Path:
        """Write the file."""
        kind = "labels" if case.what.startswith("labels") else "source"
        path = target.with_name(f"{target.name}-{kind}{Path(case.what).suffix}")
        path.write_bytes(case.data)
        return path

    def load(self, path: Path) -> Case:
        """Read a file; a name with "-labels" in it is a table of labels."""
        return Case(("labels" if "-labels" in path.name else "source") + path.suffix, path.read_bytes())


def _pictures(n: int) -> list[bytes]:
    rng = np.random.default_rng(0)
    made = []
    for i in range(n):
        out = io.BytesIO()
        image = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        image.save(out, ("PNG", "JPEG", "BMP")[i % 3])
        made.append(out.getvalue())
    return made


def _seeds() -> dict[str, bytes]:
    pictures = _pictures(8)
    rows = b"".join(b"p%d.png,%c\n" % (i, 97 + i % 3) for i in range(8))
    lines = ["i0.png", "./i0.png", "../i0.png", "/dev/null", "", "# a comment", "#i0.png", '"i0.png"']
    listed = "\n".join(lines)
    return {
        **_zips(pictures),
        **_tars(pictures),
        **_arrays(),
        **_tables(pictures),
        "list.txt": listed.replace("\n", "\r\n").encode(),
        "wide.txt": listed.encode("utf-16"),
        "list.csv": b"path,label\ni0.png,a\n../i0.png,b\n",
        "list.jsonl": b'{"path": "i0.png", "label": 1}\n{"path": "../i0.png"}\n',
        "labels.csv": b"path,label\n" + rows,
        "labels.tsv": b"path\tlabel\n" + rows.replace(b",", b"\t"),
        "one.png": pictures[0],
    }


def _zips(pictures: list[bytes]) -> dict[str, bytes]:
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    made = {}
    for kind in kinds:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for i, data in enumerate(pictures[: 8 if kind < zipfile.ZIP_BZIP2 else 4]):
                name = "é.png" if i == 3 else f"folder/i{i}.png"
                archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data, kind)
        made[f"kind{kind}.zip"] = out.getvalue()
    return made


def _tars(pictures: list[bytes]) -> dict[str, bytes]:
    made = {}
    for name, kind in (("ustar", tarfile.USTAR_FORMAT), ("pax", tarfile.PAX_FORMAT), ("gnu", tarfile.GNU_FORMAT)):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
            for i, data in enumerate(pictures):
                member = tarfile.TarInfo(("é" * 60 + "/") * (i == 3) + f"i{i}.png")
                member.size, member.mtime = len(data), int(1e9)
                archive.addfile(member, io.BytesIO(data))
            link = tarfile.TarInfo("again.png")
            link.type, link.linkname = tarfile.LNKTYPE, "i0.png"
            archive.addfile(link)
        made[f"{name}.tar"] = out.getvalue()
    packed = {"packed.tar.gz": gzip.compress(made["pax.tar"], mtime=0), "packed.tbz2": bz2.compress(made["gnu.tar"])}
    return made | packed


def _arrays() -> dict[str, bytes]:
    rng = np.random.default_rng(1)
    grey = rng.integers(0, 256, (8, 10, 10), dtype=np.uint8)
    colour = rng.integers(0, 256, (8, 10, 10, 3), dtype=np.uint8)
    made = {}
    contents: dict[str, dict[str, Any]] = {
        "plain": {"x": grey, "y": np.arange(8)},
        "parts": {"x_train": colour, "x_test": colour[:2] // 2, "y_train": np.arange(8), "y_test": np.arange(2)},
    }
    for name, arrays in contents.items():
        for save in (np.savez, np.savez_compressed):
            out = io.BytesIO()
            save(out, **arrays)
            made[f"{name}-{save.__name__}.npz"] = out.getvalue()
    for name, held in (("pixels", grey), ("features", rng.random((8, 5), np.float32))):
        out = io.BytesIO()
        np.save(out, held)
        made[f"{name}.npy"] = out.getvalue()
    made["images.idx3-ubyte"] = struct.pack(">IIII", 0x803, *grey.shape) + grey.tobytes()
    return made


def _tables(pictures: list[bytes]) -> dict[str, bytes]:
    hub = pa.array([{"bytes": data, "path": f"p{i}.png"} for i, data in enumerate(pictures)])
    vectors = pa.array(np.random.default_rng(2).random((8, 4)).tolist())
    paths = [f"p{i}.png" for i in range(8)]
    made = {}
    for name, columns, packing in (
        ("none", {"image": hub, "label": list(range(8))}, "none"),
        ("snappy", {"image": hub, "label": list(range(8))}, "snappy"),
        ("zstd", {"image": pictures, "path": paths}, "zstd"),
        ("features", {"path": paths, "features": vectors}, "none"),
        ("paths", {"path": ["i0.png", "../i0.png"], "label": [0, 1]}, "none"),
    ):
        out = io.BytesIO()
        pq.write_table(pa.table(columns), out, compression=packing, row_group_size=5)
        made[f"{name}.parquet"] = out.getvalue()
    return made
