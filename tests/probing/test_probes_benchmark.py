"""The benchmark of probes: more images to train on than are probed, and a killed command that goes on."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ilk

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "probes.py"


@pytest.fixture
def source(tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("ilk.layout.map_2d", lambda space, **_: space[:, :2])
    rng = np.random.default_rng(0)
    shapes = rng.integers(0, 256, (3, 12, 12))
    kept = {}
    for name, n in (("train", 90), ("test", 30)):
        kept[f"y_{name}"] = np.arange(n) % 3
        noise = rng.normal(0, 30, (n, 12, 12))
        kept[f"x_{name}"] = np.clip(shapes[kept[f"y_{name}"]] + noise, 0, 255).astype(np.uint8)
    np.savez(tmp_path / "set.npz", **kept)
    return tmp_path / "set.npz"


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    fixed = ("--preset", "tiny", "--set", "n_clusters=3", "--set", "epochs=1", "--epochs", 1, "--images", "30,20")
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, (*words, *fixed, "--no-supervised"))])
    capsys.readouterr()
    runpy.run_path(str(SCRIPT), run_name="__main__")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_training_may_see_more_images_than_the_probes(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = said(monkeypatch, capsys, source, "--seeds", "0")
    more = said(monkeypatch, capsys, source, "--seeds", "0", "--train", 80)
    assert [found["trained_on"] for found in (plain, more)] == [30, 80]
    for found in (plain, more):
        assert found["trained_epochs"] == 1
        assert (found["probes"][0]["n_train"], found["probes"][0]["n_test"]) == (30, 20)
    assert plain["pixels"] != more["pixels"] or plain["trained"] != more["trained"]


def test_what_is_kept_is_not_done_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = (source, "--train", 60, "--keep", tmp_path / "kept")
    probe, calls = ilk.probe, list[int]()

    def dying(*args: Any, **kwargs: Any) -> dict[str, Any]:
        calls.append(kwargs["seed"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return probe(*args, **kwargs)

    monkeypatch.setattr(ilk, "probe", dying, raising=False)
    with pytest.raises(KeyboardInterrupt):
        said(monkeypatch, capsys, *kept, "--seeds", "0,1")
    whole = said(monkeypatch, capsys, *kept, "--seeds", "0,1")
    assert calls == [0, 1, 1]
    again = said(monkeypatch, capsys, *kept, "--seeds", "0,1")
    assert calls == [0, 1, 1]
    assert again == whole
    said(monkeypatch, capsys, *kept, "--seeds", "0", "--set", "lr=0.01")  # other settings are another question
    assert calls == [0, 1, 1, 0]
