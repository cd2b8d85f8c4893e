"""A cache is optional, may be shared, and heals: what cannot be written is said, what is damaged is made again."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trial import CLASSIC, Ilk, refused, tree, write_images

from ilk import disk, encoders, runs
from ilk.data import open_images
from ilk.data.shards import Shard, Store
from ilk.encoders import backend, remembered
from ilk.errors import DataError
from ilk.files import make_thumb

# -- none --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def homeless(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No home: neither a variable nor an entry of the user."""

    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", none)
    return home


@pytest.mark.usefixtures("no_report")
def test_without_a_home(ilk: Ilk, homeless: Path, photos: Path) -> None:
    said = ilk("cluster", photos, "-o", "run", *CLASSIC)
    assert said.code == 0, said
    assert said.err.startswith("note     there is no home folder")
    assert len(said.err.splitlines()) == 1
    assert ilk("predict", "run", photos, "-o", "table.csv").code == 0
    assert {path.name for path in homeless.iterdir()} == {"run", "table.csv"}
    refused(ilk("info", "--cache"), "no home folder", "XDG_CACHE_HOME")


def test_a_tilde_without_a_home(ilk: Ilk, homeless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "expanduser", lambda _: Path.home())
    refused(ilk("info", "~/run"), "no home folder", "whole path")


@pytest.mark.usefixtures("no_report")
def test_a_cache_that_cannot_be_made(ilk: Ilk, home: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "file"))
    said = ilk("cluster", photos, "-o", "run", *CLASSIC)
    assert (said.code, said.err) == (0, "")
    assert "cannot be made (Not a directory)" in said.out
    assert "--cache DIR" in runs.load_run("run").header["summary"]["warnings"][-1]
    assert ilk("predict", "run", photos, "-o", "table.csv").code == 0
    assert not (home / "run" / "cache").exists()


# -- not ours to write -------------------------------------------------------------------------------------------------


def closed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Nothing can be written below `folder`, as if it were somebody else's."""
    create, mkdir = disk.create, Path.mkdir

    def refusing_create(path: Any) -> Any:
        if Path(path).is_relative_to(folder):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return create(path)

    def refusing_mkdir(self: Path, *options: Any, **more: Any) -> None:
        if self.is_relative_to(folder) and not self.exists():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        mkdir(self, *options, **more)

    monkeypatch.setattr("ilk.disk.writing.create", refusing_create)
    monkeypatch.setattr(Path, "mkdir", refusing_mkdir)


def test_a_cache_of_somebody_else_is_read(
    ilk: Ilk, home: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_images(home / "source", 20)
    command = ("cluster", source, *CLASSIC, "--cache", home / "shared")
    assert ilk(*command, "-o", "first").code == 0
    write_images(source, 30)
    before = tree(home / "shared")
    with monkeypatch.context() as patch:
        closed(patch, home / "shared")
        said = ilk(*command, "-o", "second")
    assert said.code == 0, said
    assert "cannot be written (Permission denied)" in said.out
    assert tree(home / "shared") == before
    encoded = runs.load_run("second").header["encoded"]
    assert encoded == {"now": 10, "cached": 20}
    assert ilk(*command[:-2], "-o", "alone", "--no-cache").code == 0
    for name in ("assignments.parquet", "features.npy"):
        assert (home / "second" / name).read_bytes() == (home / "alone" / name).read_bytes()


def test_weights_and_models_without_a_cache_to_write(
    vit_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = open_images(np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3), np.uint8))
    options = {"weights": vit_weights, "source": images, "device": "cpu", "precision": "fp32"}
    free = encoders.build("test_vit", cache=tmp_path / "free", **options)
    shut = tmp_path / "shut"
    shut.mkdir()
    closed(monkeypatch, shut)
    found = encoders.build("test_vit", cache=shut, **options)
    assert found.key == free.key
    assert any("cannot be written (Permission denied)" in note for note in found.notes)
    assert found.weights_file is not None
    assert found.weights_file.is_file()
    assert list(shut.iterdir()) == []
    pixels = backend.synthetic(2, 160, 160)
    np.testing.assert_array_equal(found(pixels), free(pixels))


@pytest.mark.skipif(os.name == "nt", reason="modes")
@pytest.mark.parametrize(("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o007, 0o660, 0o770)])
def test_modes_follow_the_umask(
    ilk: Ilk, home: Path, photos: Path, vit_weights: Path, no_report: None, umask: int, file: int, folder: int
) -> None:
    """So a colleague can predict from a run, and two users can share a cache."""
    before = os.umask(umask)
    try:
        more = ("--encoder", "test_vit", "--weights", vit_weights)
        assert ilk("cluster", photos, "-o", "run", "-k", "3", *more, "--cache", home / "cache").code == 0
        assert ilk("export", "run", "out", "--mode", "copy").code == 0
        assert ilk("predict", "run", photos, "-o", "table.csv", "--cache", home / "cache").code == 0
    finally:
        os.umask(before)
    for path in (home / "run", home / "cache", home / "out", home / "table.csv"):
        for inner in (path, *path.rglob("*")):
            mode = stat.S_IMODE(inner.lstat().st_mode)
            assert inner.is_symlink() or mode == (folder if inner.is_dir() else file), (inner, oct(mode))
    assert (home / "run" / "model" / "encoder.safetensors").is_file()


def test_the_weights_of_a_run_are_its_own(
    ilk: Ilk, home: Path, photos: Path, vit_weights: Path, no_report: None
) -> None:
    more = ("--encoder", "test_vit", "--weights", vit_weights, "--cache", home / "cache")
    assert ilk("cluster", photos, "-o", "run", "-k", "3", *more).code == 0
    kept = home / "run" / "model" / "encoder.safetensors"
    assert kept.stat().st_nlink == 1
    for path in (home / "cache" / "weights").iterdir():
        path.write_bytes(b"damaged")
    assert ilk("predict", "run", photos, "-o", "table.csv", "--cache", home / "other").code == 0


# -- damaged, or only out of reach -------------------------------------------------------------------------------------


def filled(folder: Path) -> Store:
    store = Store(folder, 3)
    thumb = make_thumb(np.zeros((48, 48, 3), np.uint8))
    store.add(Shard([b"x" * 16], [np.ones(3, np.float16)], [thumb], [48], [48], [None]))
    return store


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES, errno.ENOMEM])
@pytest.mark.parametrize("when", ["opened", "read"])
def test_what_cannot_be_read_now_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, when: str
) -> None:
    folder = tmp_path / "features" / "key"
    store = filled(folder)
    (name,) = (path.stem for path in folder.iterdir())

    def failing(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number), "a shard")

    with monkeypatch.context() as patch:
        patch.setattr("ilk.disk.open_tensors", failing)
        if when == "opened":
            store = Store(folder, 3)
        else:
            assert store.features(name) is None
    assert b"x" * 16 not in store
    assert os.strerror(number) in store.notes[-1]
    assert [path.stem for path in folder.iterdir()] == [name]
    assert Store(folder, 3).features(name) is not None


@pytest.mark.parametrize("when", ["opened", "read"])
def test_what_is_damaged_is_dropped(tmp_path: Path, when: str) -> None:
    folder = tmp_path / "features" / "key"
    store = filled(folder)
    (path,) = folder.iterdir()
    data = bytearray(path.read_bytes())
    data[-1 if when == "read" else 20] ^= 0xFF
    path.write_bytes(data)
    store = Store(folder, 3) if when == "opened" else store
    assert when == "opened" or store.features(path.stem) is None
    assert "damaged" in store.notes[-1]
    assert not path.exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x01
    path.write_bytes(data)


def lie(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "n_features": 7}), "utf-8")


DAMAGE = [
    ("weights/*.safetensors", cut),
    ("weights/*.safetensors", flip),
    ("models/*/model.xml", cut),
    ("models/*/model.xml", flip),
    ("models/*/model.xml", Path.unlink),
    ("models/*/model.bin", cut),
    ("models/*/model.bin", flip),
    ("models/*/model.bin", Path.unlink),
    ("models/*/check-fp32.json", cut),
    ("models/*/check-fp32.json", lie),
    ("encoders/*.json", cut),
]


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory, vit_weights: Path) -> Path:
    """A cache with weights that were given once, and their converted network."""
    cache = tmp_path_factory.mktemp("warm") / "cache"
    encoders.build("test_vit", weights=vit_weights, device="cpu", precision="fp32", cache=cache)
    return cache


@pytest.mark.parametrize(("where", "damage"), DAMAGE, ids=[f"{w}-{d.__name__}" for w, d in DAMAGE])
def test_a_damaged_cache_heals(warm: Path, vit_weights: Path, where: str, damage: Callable[[Path], Any]) -> None:
    pixels = backend.synthetic(2, 160, 160)
    options = {"weights": vit_weights, "device": "cpu", "precision": "fp32", "cache": warm}
    sound = encoders.build("test_vit", **options)
    before = {path: path.read_bytes() for path in warm.rglob("*") if path.is_file()}
    files = list(warm.glob(where))
    assert files
    for path in files:
        damage(path)
    found = encoders.build("test_vit", **options)
    assert (found.key, found.n_features) == (sound.key, sound.n_features)
    np.testing.assert_array_equal(found(pixels), sound(pixels))
    for path, data in before.items():
        if path.suffix in (".safetensors", ".bin"):  # the graph has a time in it, the verdict its checksum
            assert path.read_bytes() == data, path


def test_remembered_weights_heal_from_where_they_came(vit_weights: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.safetensors"
    given.write_bytes(vit_weights.read_bytes())
    options = {"device": "cpu", "precision": "fp32", "cache": tmp_path / "cache"}
    key = encoders.build("test_vit", weights=given, **options).key
    (entry,) = remembered.listed(tmp_path / "cache")
    flip(entry.file(tmp_path / "cache"))
    assert encoders.build("test_vit", **options).key == key
    flip(entry.file(tmp_path / "cache"))
    given.unlink()
    with pytest.raises(DataError, match=r"damaged .*no longer holds them.*ilk encoders add FILE --as test_vit"):
        encoders.build("test_vit", **options)


def test_weights_that_others_put_into_the_cache_are_not_taken(vit_weights: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    cache = tmp_path / "cache"
    options = {"device": "cpu", "precision": "fp32", "cache": cache}
    first = encoders.build("test_vit", weights=vit_weights, **options)
    other = {name: tensor + 1 for name, tensor in load_file(vit_weights).items()}
    for path in (cache / "weights").iterdir():
        save_file(other, path)
    again = encoders.build("test_vit", weights=vit_weights, **options)
    assert again.weights_file is not None
    kept, wanted = load_file(again.weights_file), load_file(vit_weights)
    assert all(torch.equal(kept[name], wanted[name]) for name in kept)
    assert again.key == first.key
