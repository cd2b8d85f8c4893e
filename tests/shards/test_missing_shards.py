"""What a run names may be gone, damaged, another, or elsewhere: one line says so, and the same command mends it."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from twice import Place

import ilk
from ilk import disk, encoders, jobs, runs, shards
from ilk.cli import main
from ilk.data.shards import Shard, Store
from ilk.errors import DataError, Interrupted, RunError
from ilk.files import sprites_of


def other_features(path: Path) -> None:
    """Make it a sound shard of the same images with other features, as another processor might."""
    tensors = load_file(path)
    facts = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])["__metadata__"]
    tensors["features"] = tensors["features"] + np.float16(1)
    facts["digest"] = disk.tensor_digest(tensors, facts["facts"])
    save_file(tensors, path, facts)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def another(path: Path) -> None:
    """Put another sound shard in its place."""
    shutil.copy(next(one for one in sorted(path.parent.glob("*.safetensors")) if one != path), path)


DAMAGE: dict[Callable[[Path], object], str] = {
    Path.unlink: "1 of the 2 shards that this run needs are missing",
    cut: "an array that is not where it should be|no safetensors file",
    another: "it is of other images",
}


@pytest.fixture
def harmed(alone: Place, request: pytest.FixtureRequest) -> Place:
    request.param(alone.shards()[0])
    return alone


@pytest.mark.parametrize(("harmed", "words"), DAMAGE.items(), indirect=["harmed"], ids=[d.__name__ for d in DAMAGE])
def test_one_line_names_it_and_the_same_command_mends_it(harmed: Place, words: str) -> None:
    wanted = np.asarray(harmed.copied.features()).tobytes()
    with pytest.raises(RunError, match=words) as caught:
        np.asarray(harmed.named.features())
    assert "\n" not in str(caught.value)
    assert "Give the command that made the run again" in str(caught.value)
    assert (harmed.named.labels() == harmed.copied.labels()).all()  # what needs no features goes on
    table = (harmed.home / "named" / "assignments.parquet").read_bytes()
    run = harmed.cluster()
    assert np.asarray(run.features()).tobytes() == wanted
    assert (harmed.home / "named" / "assignments.parquet").read_bytes() == table
    both = [sprites_of(one.thumbs()) for one in (harmed.copied, run)]
    assert [both[0].picture(row) for row in range(40)] == [both[1].picture(row) for row in range(40)]


def test_features_of_another_processor_are_not_taken_for_those_of_the_run(alone: Place) -> None:
    before, path = np.asarray(alone.named.features()), alone.shards()[0]
    other_features(path)
    with pytest.raises(RunError, match="it has another content than when the run was made"):
        np.asarray(alone.named.features())
    after = np.asarray(alone.cluster().features())  # who asks for it gets what the cache has now
    changed = (after != before).any(1) & np.isfinite(before).all(1)
    assert len(load_file(path)["hashes"]) <= changed.sum() + 2 < len(before)


def test_a_link_is_no_shard(alone: Place) -> None:
    path = alone.shards()[0]
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))
    with pytest.raises(RunError, match="a link, where a file of its own belongs"):
        np.asarray(alone.named.features())
    with pytest.raises(RunError, match="Choose another --cache"):
        alone.cluster()


def test_a_flipped_bit_is_found_when_all_is_copied(alone: Place) -> None:
    path = alone.shards()[0]
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match="its checksum is another"):
        ilk.gather(alone.named)
    assert not (alone.home / "named" / "features.npy").exists()
    assert alone.cluster().named is not None  # nothing seems to be wrong


def test_a_cache_that_is_gone(alone: Place) -> None:
    shutil.rmtree(alone.cache)
    with pytest.raises(RunError, match=r"cache/features/[0-9a-f]{32}, which this run needs, is not there"):
        alone.named.features()
    with pytest.raises(RunError, match="is not there"):
        alone.named.thumbs()
    run = alone.cluster(cache=alone.home / "new-cache")
    assert run.header["shards"]["cache"] == str(alone.home / "new-cache")
    assert np.asarray(run.features()).tobytes() == np.asarray(alone.copied.features()).tobytes()


def test_a_cache_that_was_moved_is_named_by_the_same_command(alone: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    alone.cache.rename(alone.home / "elsewhere")
    monkeypatch.setattr(encoders.FrozenEncoder, "__call__", lambda *_: pytest.fail("encoded again"))
    run = alone.cluster(cache=alone.home / "elsewhere")
    assert run.header["shards"]["beside"] == "../elsewhere"
    assert len(run.features()[:3]) == 3


def test_run_and_cache_moved_together(alone: Place) -> None:
    wanted = np.asarray(alone.copied.features()).tobytes()
    moved = alone.home.with_name("again")
    shutil.rmtree(moved, ignore_errors=True)
    alone.home.rename(moved)
    assert np.asarray(ilk.load_run(moved / "named").features()).tobytes() == wanted


def test_images_that_are_others_mend_nothing(alone: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    alone.shards()[0].unlink()
    hashes = ["0" * 32] * len(alone.named.labels())
    monkeypatch.setattr(runs.Run, "hashes", lambda self: hashes)
    with pytest.raises(RunError, match="not those that it was made from"):
        alone.cluster()


def test_a_sound_shard_is_never_written_over(tmp_path: Path) -> None:
    def shard(value: float) -> Shard:
        return Shard([b"a" * 16], [np.full(3, value, np.float16)], [b""], [1], [1], [None])

    store = Store(tmp_path / "features" / "key", 3)
    store.add(shard(1))
    path = next(store.folder.glob("*.safetensors"))
    before = path.read_bytes()
    Store(store.folder, 3).add(shard(2))
    assert path.read_bytes() == before
    cut(path)
    Store(store.folder, 3).add(shard(2))
    assert len(path.read_bytes()) == len(before)


# -- clearing the cache ------------------------------------------------------------------------------------------------


@pytest.fixture
def usual(alone: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The cache is that of the user."""
    home = alone.home / "xdg"
    home.mkdir()
    alone.cache.rename(home / "ilk")
    alone.cluster(cache=home / "ilk")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return alone


def test_a_cache_that_a_run_needs_is_not_cleared(usual: Place, capsys: pytest.CaptureFixture[str]) -> None:
    named = usual.home / "named"
    assert main(["info", "--cache"]) == 0
    assert f"needed   by {named}" in capsys.readouterr().out
    assert main(["info", "--cache", "--clear"]) == 1
    said = capsys.readouterr().err
    assert f"was not cleared: {named} needs it" in said
    assert f"ilk gather {named}" in said
    assert len(usual.named.features()[:5]) == 5
    assert main(["gather", str(named)]) == 0
    assert main(["info", "--cache", "--clear"]) == 0
    assert usual.named.features().shape == usual.copied.features().shape
    assert not (usual.home / "xdg" / "ilk" / "needed").exists()


def test_a_run_that_is_gone_needs_nothing(usual: Place) -> None:
    cache = usual.home / "xdg" / "ilk"
    assert shards.needed_by(cache) == [usual.home / "named"]
    with pytest.raises(DataError, match="needs it"):
        encoders.clear_cache(cache)
    other = runs.with_other_groups(usual.named, usual.home / "other", lambda copy: None)
    shutil.rmtree(usual.home / "named")
    assert shards.needed_by(cache) == [other.path]
    shutil.rmtree(other.path)
    assert encoders.clear_cache(cache) > 0


# -- copying in, disturbed ---------------------------------------------------------------------------------------------


def test_a_disk_that_is_full(alone: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ilk.files.write_thumbs", full)
    with pytest.raises(RunError, match=r"No space left on device\. The run is as it was"):
        ilk.gather(alone.named)
    assert not (alone.home / "named" / "features.npy").exists()
    assert len(alone.named.features()[:3]) == 3


def test_stopped_and_killed(alone: Place) -> None:
    with pytest.raises(Interrupted):
        jobs.gather(alone.named, on_event=lambda event: event.get("step", 0) > 2)
    (alone.home / "named" / "features.npy").write_bytes(b"half of it")  # of a process that was killed
    (alone.home / "named" / "thumbs").mkdir(exist_ok=True)
    assert np.asarray(alone.named.features()).tobytes() == np.asarray(alone.copied.features()).tobytes()
    assert ilk.gather(alone.named).named is None
