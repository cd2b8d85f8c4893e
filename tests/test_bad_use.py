"""Bad use: one clear line on stderr, exit code 1 (2 for wrong usage), no traceback, and nothing is changed."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import socket
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from trial import SMALL, Ilk, refused, tree, write_images

from ilk import runs


@pytest.fixture
def folders(home: Path, photos: Path) -> Path:
    """Every folder that cannot be grouped, below `home`."""
    (home / "empty").mkdir()
    write_images(home / "one", 1)
    write_images(home / "two", 2)
    (home / "texts").mkdir()
    (home / "texts" / "a.txt").write_text("a")
    (home / "broken").mkdir()
    (home / "same").mkdir()
    for i in range(5):
        (home / "broken" / f"{i}.png").write_bytes(b"nonsense")
        shutil.copy(photos / "0_0000.png", home / "same" / f"{i}.png")
        Image.new("L", (12, 12), 7).save(home / "same" / f"flat{i}.png", compress_level=i)
    for i in range(5):
        (home / "same" / f"{i}.png").unlink()
    (home / "inside" / "photo.jpg").mkdir(parents=True)
    (home / "list.txt").write_text("gone.png\nlost.png\n")
    return home


SOURCES: list[tuple[list[str], list[str]]] = [
    (["nowhere"], ["there is no nowhere"]),
    (["emty"], ["there is no emty", "Did you mean 'empty'?"]),
    (["empty"], ["there is no image in empty", "nothing"]),
    (["texts"], ["there is no image in texts", "1 other file (.txt)"]),
    (["inside"], ["there is no image in inside"]),
    (["one"], ["1 image is too few for 2 groups", "more images"]),
    (["two", "-k", "3"], ["2 images are too few for 3 groups", "fewer groups"]),
    (["broken", "-k", "2"], ["none of the 5 files could be read", "nonsense"]),
    (["same", "-k", "2"], ["images look the same"]),
    (["list.txt", "-k", "2"], ["none of the 2 files could be read"]),
    (["https://example.org/photos"], ["cannot be reached", "online"]),
    (["two", "--split", "train"], ["split 'train'"]),
]


@pytest.mark.parametrize(("arguments", "words"), SOURCES, ids=lambda value: " ".join(value)[:30])
def test_sources(ilk: Ilk, folders: Path, arguments: list[str], words: list[str]) -> None:
    before = tree(folders)
    refused(ilk("cluster", *arguments, *SMALL), *words)
    assert tree(folders) == before


SETTINGS: list[tuple[list[str], list[str]]] = [
    (["-k", "1"], ["at least 2"]),
    (["-k", "-3"], ["at least 2"]),
    (["-k", "many"], ["-k many", "whole number", "auto"]),
    (["-k", "2.5"], ["-k 2.5", "whole number"]),
    (["-m", "transfr"], ["no method 'transfr'", "Did you mean 'transfer'?"]),
    (["-m", "no.such:Thing"], ["cannot be loaded"]),
    (["-m", "json:dumps"], ["is not an ilk estimator"]),
    (["--encoder", "pixel"], ["'pixel' is unknown", "Did you mean 'pixels'?"]),
    (["--set", "reducr=pca"], ["no option 'reducr'", "Did you mean 'reducer'?"]),
    (["--set", "reducer=pac"], ["--set reducer=pac:", "Did you mean 'pca'?"]),
    (["--set", "preset=tyny"], ["Did you mean 'tiny'?"]),
    (["--set", "preset"], ["KEY=VALUE"]),
    (["--set", "=3"], ["KEY=VALUE"]),
    (["--set", "n_init=0"], ["n_init=0", "at least 1"]),
    (["--set", "n_init=many"], ["--set n_init=many:"]),
    (["--set", "epochs=abc"], ["epochs=abc:"]),
    (["--set", "min_dist=abc"], ["--set min_dist=abc:"]),
    (["--set", "threshold=2"], ["threshold=2"]),
    (["--set", "threshold=high"], ["--set threshold=high:"]),
    (["--set", "pool=gap"], ["no setting 'pool'"]),
    (["--set", "image_size=0"], ["image_size"]),
    (["--set", "image_size=big"], ["image_size"]),
    (["--set", "resize=squash"], ["resize"]),
    (["--seed", "-1"], ["--seed -1"]),
    (["--device", "cuda"], ["--device cuda"]),
    (["--weights", "nowhere.safetensors"], ["weights"]),
    (["--cache", "a", "--no-cache"], ["--cache and --no-cache"]),
    (["--labels", "perfix"], ["--labels perfix", "Did you mean 'prefix'?"]),
    (["--labels", "nowhere.csv"], ["--labels nowhere.csv", "no such file"]),
    (["-o", "."], ["-o"]),
    (["-o", "/"], ["-o"]),
    (["-o", "file"], ["file exists and is not an ilk run"]),
    (["-o", "file/below/it"], ["cannot write to", "Not a directory", "-o"]),
    (["-o", "plain"], ["plain exists and is not an ilk run", "-o"]),
    (["-o", "plain", "--overwrite"], ["plain exists and is not an ilk run", "-o"]),
    (["-o", "other"], ["other.partial holds files that are not ilk's"]),
    (["-o", "other", "--overwrite"], ["other.partial holds files that are not ilk's"]),
    (["-o", "n" * 300], ["File name too long"]),
    (["-o", "new/folders", "--set", "image_size=0"], ["image_size"]),
]


@pytest.mark.parametrize(("arguments", "words"), SETTINGS, ids=lambda value: " ".join(value)[:30])
def test_settings(
    ilk: Ilk, home: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    if "cuda" in arguments:
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (home / "file").write_text("a")
    for name in ("plain", "other.partial"):
        (home / name).mkdir()
        (home / name / "mine.txt").write_text("mine")
    before = tree(home)
    refused(ilk("cluster", photos, "-k", "3", *SMALL, *arguments), *words)
    assert tree(home) == before


USAGE: list[tuple[list[str], list[str]]] = [
    ([], ["Usage", "cluster"]),
    (["cluster"], ["SOURCE"]),
    (["clutser", "x"], ["clutser", "cluster"]),
    (["cluster", "x", "--labls", "none"], ["--labls", "--labels"]),
    (["cluster", "x", "--device", "tpu"], ["tpu", "cpu"]),
    (["cluster", "x", "--split", "tarin"], ["tarin", "train"]),
    (["cluster", "x", "--seed", "abc"], ["--seed abc", "whole number"]),
    (["predict", "run"], ["SOURCE"]),
    (["info"], ["RUN", "--cache"]),
    (["info", "--clear"], ["RUN", "--cache"]),
    (["info", "run", "--cache"], ["RUN", "--cache"]),
]


@pytest.mark.parametrize(("arguments", "words"), USAGE, ids=lambda value: " ".join(value)[:30])
def test_wrong_usage(ilk: Ilk, home: Path, arguments: list[str], words: list[str]) -> None:
    said = ilk(*arguments)
    assert said.code == 2
    for word in words:
        assert word in said.out + said.err
    assert "Traceback" not in said.err
    assert tree(home) == {}


# -- sources that are files --------------------------------------------------------------------------------------------


def floats(path: Path) -> None:
    np.savez(path, x=np.zeros((4, 8, 8)))


def objects(path: Path) -> None:
    np.savez(path, x=np.array([np.zeros(3, "u1"), None], object))


def flat(path: Path) -> None:
    np.savez(path, x=np.zeros((4, 64), "u1"))


def keyless(path: Path) -> None:
    np.savez(path, images=np.zeros((4, 8, 8), "u1"))


def half(path: Path) -> None:
    np.savez(path, x=np.zeros((400, 8, 8), "u1"))
    path.write_bytes(path.read_bytes()[:500])


FILES: list[tuple[str, Callable[[Path], Any], list[str]]] = [
    ("float.npz", floats, ["float64", "uint8"]),
    ("object.npz", objects, ["object"]),
    ("rank.npz", flat, ["(4, 64)"]),
    ("keyless.npz", keyless, ["images"]),
    ("half.npz", half, ["half.npz"]),
    ("pickle.npy", lambda p: np.save(p, np.array([{}], object)), ["pickle", "never loaded"]),
    ("text.npy", lambda p: p.write_text("hello"), ["text.npy"]),
    ("columns.parquet", lambda p: pq.write_table(pa.table({"a": [1]}), p), ["columns.parquet", "a"]),
    ("text.parquet", lambda p: p.write_text("hello"), ["text.parquet"]),
    ("text.zip", lambda p: p.write_text("hello"), ["text.zip"]),
    ("text.tar", lambda p: p.write_text("hello"), ["text.tar"]),
    ("photo.png", lambda p: Image.new("L", (9, 9)).save(p), ["single image", "folder"]),
    ("nothing.txt", lambda p: p.write_text("\n"), ["nothing.txt"]),
    ("notes.pdf", lambda p: p.write_text("hello"), ["pdf"]),
    ("zero.zip", lambda p: p.write_bytes(b""), ["empty file"]),
]


@pytest.mark.parametrize(("name", "write", "words"), FILES, ids=[name for name, *_ in FILES])
def test_files(ilk: Ilk, home: Path, name: str, write: Callable[[Path], Any], words: list[str]) -> None:
    write(home / name)
    before = tree(home)
    refused(ilk("cluster", home / name, "-k", "2", *SMALL), *words)
    assert tree(home) == before


@pytest.mark.usefixtures("no_report")
def test_archive_members_never_leave_the_archive(ilk: Ilk, home: Path, photos: Path) -> None:
    with tarfile.open(home / "photos.tar", "w") as tar:
        for path in sorted(photos.iterdir()):
            tar.add(path, path.name)
        for name in ("../../evil.png", "/evil.png"):
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"evil"))
    said = ilk("cluster", "photos.tar", "-o", "run", "-k", "3", *SMALL, "--json")
    assert said.code == 0
    assert (said.json["n_images"], said.json["n_unreadable"]) == (36, 2)
    assert sorted(path.name for path in home.iterdir()) == ["photos.tar", "run"]
    assert not (home.parent / "evil.png").exists()


# -- labels ------------------------------------------------------------------------------------------------------------

CSVS: list[tuple[str, list[str]]] = [
    ("name,label\n0_0000.png,a\n", ["no label for 35 of 36"]),
    ("name,label\n0_0000.png,a\n0_0000.png,b\n", ["two different labels", "0_0000.png"]),
    ("name\n0_0000.png\n", ["two columns"]),
    ("", ["two columns"]),
]


@pytest.mark.parametrize(("text", "words"), CSVS, ids=["missing", "doubled", "one column", "empty"])
@pytest.mark.usefixtures("no_report")
def test_labels_that_cannot_be_used_never_cost_the_run(
    ilk: Ilk, home: Path, photos: Path, text: str, words: list[str]
) -> None:
    (home / "labels.csv").write_text(text)
    said = ilk("cluster", photos, "-o", "my run", "-k", "3", *SMALL, "--labels", "labels.csv")
    refused(said, *words, "finished and kept in my run", "ilk evaluate 'my run' --labels")
    assert sorted(path.name for path in home.iterdir()) == ["labels.csv", "my run"]
    assert ilk("info", "my run").code == 0
    assert ilk("evaluate", "my run", "--labels", "prefix").code == 0
    refused(ilk("evaluate", "my run", "--labels", "labels.csv"), *words)
    assert runs.load_run("my run").scores()["labels"] == "prefix"


@pytest.mark.usefixtures("no_report")
def test_labels_found_by_themselves_are_only_a_note(ilk: Ilk, home: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(home / "set.npz", x=rng.integers(0, 255, (20, 8, 8), np.uint8), y=rng.random(20))
    said = ilk("cluster", "set.npz", "-o", "run", "-k", "2", *SMALL, "--json")
    assert said.code == 0
    assert said.json["scores"] is None
    assert any("not scored" in warning for warning in said.json["warnings"])


def test_labels_of_the_wrong_kind_are_refused_before_the_work(ilk: Ilk, home: Path) -> None:
    np.savez(home / "set.npz", x=np.random.default_rng(0).integers(0, 255, (20, 8, 8), np.uint8))
    refused(ilk("cluster", "set.npz", "-k", "2", *SMALL, "--labels", "folder"), "--labels folder", "auto or none")
    assert sorted(path.name for path in home.iterdir()) == ["set.npz"]


# -- weights -----------------------------------------------------------------------------------------------------------


class Evil:
    """What a pickle can do to the machine that loads it."""

    def __reduce__(self) -> Any:
        return (os.mkdir, ("executed",))


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "truncated", "pickle", "another architecture"])
def test_weights(ilk: Ilk, home: Path, photos: Path, vit_weights: Path, kind: str) -> None:
    path, words = home / "w.safetensors", ["w.safetensors"]
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("hello, world\n" * 100)
    elif kind == "truncated":
        path.write_bytes(vit_weights.read_bytes()[:-100])
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"weights": Evil()}))
    elif kind == "another architecture":
        shutil.copy(vit_weights, path)
        words += ["not those of test_resnet", "missing (", "bn1", "of another network (", "blocks.0"]
    before = tree(home)
    said = ilk("cluster", photos, "-k", "2", "--encoder", "test_resnet", "--weights", path, "--no-cache")
    refused(said, *words)
    assert tree(home) == before
    assert not Path("executed").exists()


def test_no_network_is_said_within_seconds(ilk: Ilk, home: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    begin = time.monotonic()
    said = ilk("cluster", photos, "-k", "2", "--encoder", "test_resnet.r160_in1k")
    refused(said, "not on this machine", "--weights FILE")
    assert time.monotonic() - begin < 30  # most of it the imports of a busy machine
    assert tree(home) == {}
