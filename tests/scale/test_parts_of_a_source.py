"""Parts of one source by several processes, and processes that are killed: the same features, and little done twice."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ilk import disk, encoders, scale
from ilk.cli import main
from ilk.data import open_images
from ilk.data.collect import memo_of
from ilk.data.encoded import Work
from ilk.data.gathering import Found
from ilk.data.index import Hashes, Index, as_names
from ilk.data.memo import Memo
from ilk.data.shards import Shard, Store, images_per_shard
from ilk.errors import ArgumentError, RunError
from ilk.files import Listing

_OLD = 1_600_000_000
_SHARD = 256

# Encodes part I of N of a folder; says how many files were read and, where it is to, kills itself after so many images.
_JOB = """
import json, os, signal, sys
from ilk import scale
from ilk.data import open_images
from ilk.files import Listing

folder, cache, i, of, most, name = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]), sys.argv[6]
read, inner = [], Listing.read
Listing.read = lambda self, i: (read.append(i), inner(self, i))[1]
images = open_images(folder)
encoder = scale.decide(images, cache, name)
read.clear()

def progress(done, total):
    if most and done >= most:
        print(json.dumps({"done": done}), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

found = scale.encode_part(images, encoder, cache, *scale.share(len(images), i, of), on_progress=progress)
print(json.dumps({"read": len(read), "encoded": found.n_encoded, "cached": found.n_cached}), flush=True)
"""


def _start(folder: Path, cache: Path, i: int = 1, of: int = 1, kill_at: int = 0, name: str = "pixels") -> Any:
    words = [sys.executable, "-c", _JOB, str(folder), str(cache), str(i), str(of), str(kill_at), name]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def _end(process: Any, code: int = 0) -> dict[str, Any]:
    said, _ = process.communicate()
    assert process.returncode == code
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def _pictures(folder: Path, n: int) -> Path:
    rng = np.random.default_rng(0)
    folder.mkdir()
    for i in range(n):
        path = folder / f"{i:05}.png"
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(path)
        os.utime(path, (_OLD, _OLD))
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Distinct pictures, and among them two equal ones in different parts and one that is none."""
    folder = _pictures(tmp_path_factory.mktemp("parts") / "photos", 700)
    (folder / "00650.png").write_bytes((folder / "00010.png").read_bytes())
    (folder / "00300.png").write_bytes(b"no picture")
    for name in ("00650.png", "00300.png"):
        os.utime(folder / name, (_OLD, _OLD))
    return folder


def _whole(folder: Path, cache: Path) -> tuple[str, Any]:
    """Encode all in this process: digest of everything that follows from the images, and what was done."""
    images = open_images(folder)
    found = encoders.encode(images, encoders.build("pixels", source=images, cache=cache), cache=cache)
    digest = hashlib.blake2b(found.features.tobytes() + found.position.tobytes() + b"".join(found.hashes))
    digest.update(json.dumps([found.status, found.reasons, found.widths.tolist()]).encode())
    return digest.hexdigest(), found


@pytest.fixture(scope="module")
def truth(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return _whole(photos, tmp_path_factory.mktemp("alone"))[0]


def test_two_processes_at_once_are_as_one(photos: Path, truth: str, tmp_path: Path) -> None:
    jobs = [_start(photos, tmp_path, i, 2) for i in (1, 2)]
    told = [_end(job) for job in jobs]
    assert [one["read"] for one in told] == [350, 350]
    digest, found = _whole(photos, tmp_path)
    assert digest == truth
    assert found.n_encoded == 0
    assert found.n_cached == 698  # one duplicate, one unreadable


def test_a_part_that_was_killed_goes_on(photos: Path, truth: str, tmp_path: Path) -> None:
    killed, other = _start(photos, tmp_path, 1, 2, kill_at=300), _start(photos, tmp_path, 2, 2)
    done = _end(killed, -9)["done"]
    _end(other)
    assert _end(_start(photos, tmp_path, 1, 2))["read"] <= 350 - done + _SHARD
    digest, found = _whole(photos, tmp_path)
    assert digest == truth
    assert found.n_encoded == 0


def test_a_killed_run_reads_at_most_one_shard_again(tmp_path: Path) -> None:
    folder, cache, n = _pictures(tmp_path / "photos", 1500), tmp_path / "cache", 1500
    done = _end(_start(folder, cache, kill_at=1200), -9)["done"]
    again = _end(_start(folder, cache))
    assert again["read"] <= n - done + _SHARD
    assert again["encoded"] <= n - done + _SHARD
    assert _end(_start(folder, cache)) == {"read": 0, "encoded": 0, "cached": n}


def test_jobs_on_parts_keep_their_memories_apart(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, inner = encoders.build("pixels", source=open_images(photos)), Listing.read
    read: list[int] = []
    monkeypatch.setattr(Listing, "read", lambda self, i: (read.append(i), inner(self, i))[1])

    def reads(i: int, of: int) -> int:
        images = open_images(photos)
        read.clear()
        scale.encode_part(images, encoder, tmp_path, *scale.share(len(images), i, of))
        return len(read)

    assert [reads(i, 3) for i in (1, 2, 3)] == [233, 233, 234]
    assert [reads(i, 3) for i in (1, 2, 3)] == [0, 0, 0]
    assert reads(1, 1) == 0
    assert [reads(i, 5) for i in (2, 4)] == [0, 0]  # cut elsewhere


def test_only_a_job_over_all_forgets_what_is_gone(tmp_path: Path) -> None:
    folder, cache = _pictures(tmp_path / "photos", 40), tmp_path / "cache"
    encoder = encoders.build("pixels", source=open_images(folder))

    def tables() -> int:
        return sum(len(np.frombuffer(path.read_bytes(), np.uint8)) for path in (cache / "files").rglob("*.safetensors"))

    scale.encode_part(open_images(folder), encoder, cache)
    whole = tables()
    names = sorted(folder.iterdir())
    for path in names[30:]:
        path.rename(tmp_path / path.name)
    scale.encode_part(open_images(folder), encoder, cache, 0, 15)
    for path in names[30:]:
        (tmp_path / path.name).rename(path)
    assert (memo_of(open_images(folder), cache).found != b"").all()  # a part says nothing of the others
    for path in names[30:]:
        path.unlink()
    scale.encode_part(open_images(folder), encoder, cache)
    assert tables() < whole
    assert len(list((cache / "files").rglob("*.safetensors"))) == 1


def test_a_memory_that_is_damaged_is_made_again(tmp_path: Path) -> None:
    folder, cache = _pictures(tmp_path / "photos", 20), tmp_path / "cache"
    encoder = encoders.build("pixels", source=open_images(folder))
    scale.encode_part(open_images(folder), encoder, cache)
    (table,) = (cache / "files").rglob("*.safetensors")
    data = bytearray(table.read_bytes())
    data[-5] ^= 1
    table.write_bytes(data)
    assert (memo_of(open_images(folder), cache).found == b"").all()
    assert scale.encode_part(open_images(folder), encoder, cache).n_encoded == 0
    assert (memo_of(open_images(folder), cache).found != b"").all()


def test_a_memory_of_an_older_version_counts(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    from ilk.disk import tensor_digest

    stamps = [bytes([i]) * 16 for i in range(1, 6)]
    pairs = np.array([list(stamp + stamp[::-1]) for stamp in stamps], np.uint8)
    save_file({"pairs": pairs}, tmp_path / "abc.safetensors", {"digest": tensor_digest({"pairs": pairs})})
    memo = Memo(tmp_path / "abc", stamps)
    assert memo.found.tolist() == [stamp.rstrip(b"\0") for stamp in stamps]
    memo.save(np.array([b"x" * 16] * 5, "S16"))
    assert not (tmp_path / "abc.safetensors").exists()
    assert Memo(tmp_path / "abc", stamps).found.tolist() == [b"x" * 16] * 5


def test_hashes_and_stamps_that_end_in_zeros_are_kept() -> None:
    names = [b"a" * 15 + b"\0", b"a" * 14 + b"\0\0", b"\0" * 15 + b"b", b"c" * 16]
    index = Index()
    index.add("f" * 32, names, [False] * 4)
    assert [index.get(name) for name in names] == index.find(as_names(names)).tolist() == [0, 1, 2, 3]
    assert index.get(b"d" * 16) == -1
    assert list(Hashes(as_names([*names, b""]))) == [*names, b""]


def test_parts_are_all_rows_once() -> None:
    for n in (0, 1, 7, 100):
        for of in (1, 3, 8):
            assert [row for i in range(1, of + 1) for row in range(*scale.share(n, i, of))] == list(range(n))
        for per in (1, 3, 1000):
            assert [row for a, b in scale.cut(n, per) for row in range(a, b)] == list(range(n))
    with pytest.raises(ArgumentError, match="parts are counted from 1 to 3"):
        scale.share(10, 0, 3)


def test_shards_grow_with_the_set_and_not_beyond_their_bytes() -> None:
    sizes = [images_per_shard(n, 2560)[0] for n in (10, 99_999, 100_000, 999_999, 1_000_000, 10**9)]
    assert sizes == [256, 256, 2048, 2048, 16384, 16384]
    for row_bytes in (100, 10_000, 10**6, 10**9):
        rows, most = images_per_shard(10**7, row_bytes)
        assert rows == 1 or rows * row_bytes <= most


def test_the_encoder_is_decided_once(photos: Path, tmp_path: Path) -> None:
    images = open_images(photos)
    first = scale.decide(images, tmp_path)
    (record,) = (tmp_path / "parts").glob("*.json")
    before = record.read_bytes()
    assert scale.decide(open_images(photos), tmp_path).key == first.key
    assert record.read_bytes() == before
    changed = json.loads(before)
    changed["spec"]["key"] = "0" * 32  # as where another machine, or another version of a library, began
    record.write_text(json.dumps(changed))
    with pytest.raises(RunError, match="features would not mix"):
        scale.decide(images, tmp_path)


def test_on_the_command_line(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "cache"
    found = []
    for part in ("1/2", "2/2"):
        assert (
            main(["encode", str(photos), "--part", part, "--cache", str(cache), "--encoder", "gradients", "--json"])
            == 0
        )
        out = capsys.readouterr()
        found.append(json.loads(out.out))
    assert [one["rows"] for one in found] == [[0, 350], [350, 700]]
    assert sum(one["n_encoded"] for one in found) == 698  # the second found the duplicate in the cache
    assert found[0]["n_unreadable"] == 1
    assert found[0]["unreadable"][0]["path"] == "00300.png"
    words = found[1]["next"].split()
    assert main([*words[1:], "-o", str(tmp_path / "run"), "-k", "3", "--json"]) == 0
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["encoded"] == {"now": 0, "cached": 698}


@pytest.mark.parametrize("part", ["0/2", "3/2", "x", "1", "1/0", "-1/2"])
def test_a_part_that_is_none(part: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", str(photos), f"--part={part}", "--cache", str(tmp_path)]) == 1
    assert f"--part {part}: write it as I/N" in capsys.readouterr().err


def test_what_would_not_be_kept_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "digits", "--encoder", "pixels", "--cache", str(tmp_path)]) == 1
    assert "nothing is kept" in capsys.readouterr().err
    np.save(tmp_path / "own.npy", np.zeros((30, 5), np.float32))
    assert main(["encode", str(tmp_path / "own.npy"), "--cache", str(tmp_path)]) == 1
    assert "nothing to encode" in capsys.readouterr().err


# -- the index of shards -----------------------------------------------------------------------------------------------


def _shards(folder: Path, n: int) -> list[bytes]:
    names = []
    for i in range(n):
        hashes = [hashlib.blake2b(f"{i} {j}".encode(), digest_size=16).digest() for j in range(3)]
        store = Store(folder, 2)
        reasons = [None, None, "no picture"]
        store.add(Shard(hashes, [np.full(2, i, np.float16)] * 3, [b"\xff\xd8", b"", b""], [4] * 3, [5] * 3, reasons))
        names += hashes
    return names


def test_a_start_opens_no_shard_that_the_index_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "features" / "key"
    folder.parent.mkdir()
    names = _shards(folder, 40)
    Store(folder, 2).complete()
    opened: list[Path] = []
    inner = disk.open_tensors
    monkeypatch.setattr(disk, "open_tensors", lambda path: (opened.append(path), inner(path))[1])
    store = Store(folder, 2)
    assert [path.name for path in opened] == ["index"]
    assert all(name in store for name in names)
    assert (store.find(as_names(names)) >= 0).all()
    next(iter(folder.glob("*.safetensors"))).unlink()
    assert sum(name in Store(folder, 2) for name in names) == len(names) - 3


@pytest.mark.parametrize("what", ["damaged", "of other shards", "empty"])
def test_an_index_that_is_wrong_changes_nothing(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "features" / "key"
    folder.parent.mkdir()
    names = _shards(folder, 20)
    Store(folder, 2).complete()
    index = folder / "index"
    if what == "damaged":
        data = bytearray(index.read_bytes())
        data[-9] ^= 1
        index.write_bytes(data)
    elif what == "empty":
        index.write_bytes(b"")
    else:  # sound, but each shard holds what another one should
        wrong = Index()
        shards = sorted(path.stem for path in folder.glob("*.safetensors"))
        kind = Store(folder, 2)._kind
        for i, shard in enumerate(shards):
            wrong.add(shard, names[3 * i : 3 * i + 3], [False, False, True])
        wrong.save(index, kind)
    work = Work("features/key", 2, np.float16, lambda pixels: np.zeros((len(pixels), 2), np.float16), 4, 1)
    hashes = as_names(names)
    for _ in range(2):  # shards that are not as the index says are forgotten, and looked into by the next
        found = Found.of(hashes, Store(folder, 2), {}, work)
        for name, at in zip(names, found.position.tolist(), strict=True):
            lost = name in found.lost
            assert lost or at < 0 or found.features[at].tolist() == [names.index(name) // 3] * 2
        assert set(found.lost.tolist()) <= {name.rstrip(b"\0") for name in names}
    if what != "of other shards":
        assert not len(found.lost)
        assert found.status().count("unreadable") == 20
