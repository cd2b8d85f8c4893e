"""The model is checked like the weights: one flipped bit is an error that names the file."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from trial import Ilk, refused

import ilk as package
from ilk import runs
from ilk.errors import RunError


def test_run_json_holds_the_checksums(finished: Path) -> None:
    told = runs.load_run(finished).header["checksums"]
    assert told.keys() == {"model/state.safetensors", "model/state.json"}
    for name, value in told.items():
        assert hashlib.blake2b((finished / name).read_bytes(), digest_size=16).hexdigest() == value


@pytest.mark.parametrize("name", ["state.safetensors", "state.json"])
def test_one_flipped_bit(ilk: Ilk, photos: Path, finished_copy: Path, name: str) -> None:
    rng = random.Random(0)
    path = finished_copy / "model" / name
    whole = path.read_bytes()
    state = runs.load_run(finished_copy)
    for _ in range(25):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        with pytest.raises(RunError, match=r"the model in .* is damaged"):
            state.state()
    refused(ilk("predict", "run", photos, "-o", "table.csv"), "model", "damaged", "--overwrite")
    path.write_bytes(whole)
    assert ilk("predict", "run", photos, "-o", "table.csv").code == 0


def forget(run: Path) -> None:
    """Make it a run of before there were checksums."""
    header = json.loads((run / "run.json").read_text("utf-8"))
    del header["checksums"]
    (run / "run.json").write_text(json.dumps(header), "utf-8")
    state = json.loads((run / "model" / "state.json").read_text("utf-8"))
    del state["state.safetensors"]
    (run / "model" / "state.json").write_text(json.dumps(state), "utf-8")


def test_older_runs_still_load(photos: Path, finished: Path, finished_copy: Path) -> None:
    forget(finished_copy)
    old, new = (package.predict(run, photos) for run in (finished_copy, finished))
    assert old.group.tolist() == new.group.tolist()
    assert "state.safetensors" not in runs.load_run(finished).state()


def test_each_checksum_counts_alone(finished_copy: Path, tmp_path: Path) -> None:
    """That in state.json guards a state without a run; that in run.json also the plain values."""
    kept = shutil.copytree(finished_copy / "model", tmp_path / "kept")
    arrays = load_file(kept / "state.safetensors")
    save_file(
        {name: array.copy() for name, array in arrays.items()} | {"more": np.zeros(1)}, kept / "state.safetensors"
    )
    with pytest.raises(RunError, match="checksum"):
        runs.load_state(kept)
    state = json.loads((finished_copy / "model" / "state.json").read_text("utf-8"))
    (finished_copy / "model" / "state.json").write_text(json.dumps({**state, "threshold": 0.9}), "utf-8")
    runs.load_state(finished_copy / "model")
    with pytest.raises(RunError, match=r"state\.json.*checksum"):
        runs.load_run(finished_copy).state()


def test_no_number_is_refused_by_name(ilk: Ilk, photos: Path, finished_copy: Path) -> None:
    forget(finished_copy)
    path = finished_copy / "model" / "state.safetensors"
    arrays = {name: array.copy() for name, array in load_file(path).items()}
    name = next(name for name, array in sorted(arrays.items()) if array.dtype.kind == "f" and array.size)
    arrays[name].reshape(-1)[0] = np.nan
    save_file(arrays, path)
    refused(ilk("predict", "run", photos, "-o", "table.csv"), "model", name, "NaN")
    assert not (finished_copy.parent / "table.csv").exists()


def test_a_plain_value_that_is_no_number(ilk: Ilk, photos: Path, finished_copy: Path) -> None:
    forget(finished_copy)
    path = finished_copy / "model" / "state.json"
    state = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**state, "threshold": float("nan")}), "utf-8")
    refused(ilk("predict", "run", photos), "threshold", "NaN")


def test_a_checkpoint_with_a_flipped_bit_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    runs.save_state(folder, {"epoch": 3, "x": np.arange(5.0), "checkpoint.seconds": 1.0, "checkpoint.stages": {}})
    assert runs.Checkpoint(tmp_path, 0.0).load()["epoch"] == 3
    data = bytearray((folder / "state.safetensors").read_bytes())
    data[-3] ^= 1
    (folder / "state.safetensors").write_bytes(data)
    checkpoint = runs.Checkpoint(tmp_path, 0.0)
    assert checkpoint.load() is None
    assert "damaged" in checkpoint.notes[0]


def test_the_encoders_weights(ilk: Ilk, home: Path, photos: Path, vit_weights: Path) -> None:
    """Their content is named in state.json, which run.json answers for."""
    said = ilk("cluster", photos, "-o", "run", "-k", "2", "--encoder", "test_vit", "--weights", vit_weights)
    assert said.code == 0, said
    path = home / "run" / "model" / "encoder.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink()  # it may share its bytes with the cache
    path.write_bytes(data)
    refused(ilk("predict", "run", photos), "encoder.safetensors", "not hold the weights")
