"""A run of somebody else that names a cache makes ilk open shards of a cache, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ilk
from ilk import runs
from ilk.errors import IlkError, RunError
from ilk.files import sprites_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home, rng = tmp_path_factory.mktemp("foreign"), np.random.default_rng(0)
    (home / "photos").mkdir()
    for i in range(40):
        pixels = rng.integers(0, 90, (20, 30, 3)) + 80 * (i % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(home / "photos" / f"{i:02}.png")
    options = {"n_clusters": 2, "encoder": "classic", "preset": "tiny", "cache": home / "cache"}
    ilk.cluster(home / "photos", home / "run", method="hierarchical", options=options, names=False, copies=False)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A run beside the one cache that it may name."""
    shutil.copytree(made, tmp_path / "home")
    change(tmp_path / "home", cache=str(tmp_path / "home" / "cache"), beside=None)
    return tmp_path / "home"


def change(home: Path, **entries: Any) -> None:
    header = runs.load_run(home / "run").header
    header["shards"].update(entries)
    runs.write_json(home / "run" / "run.json", header)


def read(home: Path) -> None:
    """Read all of it, as everything that works on a run does."""
    run = ilk.load_run(home / "run")
    np.asarray(run.features())
    sprites_of(run.thumbs()).read(range(40))


@pytest.mark.parametrize(
    "entries",
    [
        {"key": "../features/" + "0" * 32},
        {"key": "0" * 32 + "/.."},
        {"key": "."},
        {"key": ""},
        {"key": "secrets"},
        {"cache": "cache"},
        {"cache": ""},
        {"cache": "//server/share"},
        {"cache": "\\\\server\\share"},
        {"dtype": "O"},
        {"dtype": "float64"},
        {"n_features": 7},
        {"n_features": -1},
        {"n": 2**40},
        {"cache": 5},
        {"key": None},
    ],
    ids=str,
)
def test_what_is_no_cache_is_refused(home: Path, entries: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    true = os.open
    monkeypatch.setattr(os, "open", lambda path, *a, **k: opened.append(str(path)) or true(path, *a, **k))
    change(home, **entries)
    with pytest.raises(RunError):
        read(home)
    inside = [str(home / "run"), str(home / "cache" / "features")]
    assert [path for path in opened if not path.startswith(tuple(inside))] == []


def pipe(home: Path) -> None:
    shard = next((home / "cache" / "features").rglob("*.safetensors"))
    shard.unlink()
    os.mkfifo(shard)


def link_of_the_folder(home: Path) -> None:
    (home / "cache" / "features").rename(home / "elsewhere")
    (home / "cache" / "features").symlink_to(home / "elsewhere")


def link_of_the_key(home: Path) -> None:
    key = next((home / "cache" / "features").iterdir())
    key.rename(home / "elsewhere")
    key.symlink_to(home / "elsewhere")


def link_of_slots(home: Path) -> None:
    (home / "run" / "slots.npy").rename(home / "slots.npy")
    (home / "run" / "slots.npy").symlink_to(home / "slots.npy")


def array(name: str, made: Callable[[Any], Any]) -> Callable[[Path], None]:
    def written(home: Path) -> None:
        path = home / "run" / name
        changed = made(np.load(path))
        np.save(path, changed, allow_pickle=changed.dtype.hasobject)

    return written


WRONG = {
    "pipe": pipe,
    "link of the folder": link_of_the_folder,
    "link of the key": link_of_the_key,
    "link of slots": link_of_slots,
    "a shard that is not there": array("slots.npy", lambda x: x + (9 << 32)),
    "a row that is not there": array("slots.npy", lambda x: x + 10_000),
    "negative": array("slots.npy", lambda x: x - 5),
    "too few": array("slots.npy", lambda x: x[:-1]),
    "floats": array("slots.npy", lambda x: x.astype(float)),
    "objects": array("slots.npy", lambda x: x.astype(object)),
    "names of another length": array("shards.npy", lambda x: x[:, :31]),
    "another name": array("shards.npy", lambda x: x ^ 1),
    "another digest": array("shards.npy", lambda x: np.hstack([x[:, :16], x[:, 16:] ^ 1])),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_what_makes_no_sense_is_named(home: Path, wrong: Callable[[Path], None]) -> None:
    wrong(home)
    with pytest.raises(IlkError) as caught:
        read(home)
    assert "\n" not in str(caught.value)


def test_it_is_read_as_it_was_made(home: Path) -> None:
    read(home)
