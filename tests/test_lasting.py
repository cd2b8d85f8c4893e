"""A run that lasts: copied elsewhere, without its images and caches, it places new images as before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from trial import Ilk, write_images

import ilk
from ilk import jobs, runs
from ilk.errors import ArgumentError

NETWORK = "test_resnet.r160_in1k"  # timm's smallest


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int], list[str]]:
    """A run of a network's features; its images, weights and caches are gone. Also the answers it gave before."""
    import timm

    folder = tmp_path_factory.mktemp("lasting")
    torch.manual_seed(0)
    save_file(timm.create_model(NETWORK, pretrained=False).state_dict(), folder / "weights.safetensors")
    photos = write_images(folder / "photos", 40, side=40)
    new = write_images(folder / "new", 12, side=40, seed=8)
    options = {
        "n_clusters": 3,
        "encoder": NETWORK,
        "weights": str(folder / "weights.safetensors"),
        "preset": "kmeans",
        "image_size": 64,
        "cache": folder / "cache",
    }
    run = jobs.cluster(photos, folder / "run", options=options)
    told = jobs.predict(run, new, cache=folder / "cache")
    copy = shutil.copytree(run.path, tmp_path_factory.mktemp("elsewhere") / "copied")
    shutil.copytree(new, copy.parent / "new")
    shutil.rmtree(folder)
    return copy, told.group.tolist(), told.columns()["group_name"]


def test_on_another_machine(trained: tuple[Path, list[int], list[str]], tmp_path: Path) -> None:
    """In a fresh process, another folder, with a read-only run and an empty cache."""
    run, clusters, names = trained
    code = (
        "import json, sys, ilk; found = ilk.predict(*sys.argv[1:3]); "
        "print(json.dumps([found.group.tolist(), found.columns()['group_name']]))"
    )
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "xdg"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", code, str(run), str(run.parent / "new")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, check=True, timeout=120)
    assert json.loads(done.stdout.splitlines()[-1]) == [clusters, names]


def test_an_image_has_its_group_whatever_else_is_asked(trained: tuple[Path, list[int], list[str]]) -> None:
    run, clusters, _ = trained
    names = sorted(path.name for path in (run.parent / "new").iterdir())
    order = np.random.default_rng(0).permutation(len(names))
    paths = [run.parent / "new" / names[i] for i in order]
    assert ilk.predict(run, paths).group.tolist() == [clusters[i] for i in order]
    one = [ilk.predict(run, [run.parent / "new" / name]).group.tolist() for name in names[:3]]
    assert one == [[cluster] for cluster in clusters[:3]]


def test_names_given_by_hand_stay_with_their_groups(trained: tuple[Path, list[int], list[str]], tmp_path: Path) -> None:
    run, clusters, _ = trained
    copy = shutil.copytree(run, tmp_path / "named")
    groups = json.loads((copy / "clusters.json").read_text("utf-8"))
    for group in groups:
        group["name"] = f"kind {group['id']}"
    (copy / "clusters.json").write_text(json.dumps(groups[::-1]), "utf-8")  # nor does their order in the file matter
    found = ilk.predict(copy, run.parent / "new")
    assert found.group.tolist() == clusters
    assert found.columns()["group_name"] == [f"kind {c}" if c >= 0 else "not assigned" for c in clusters]


def test_the_threshold_of_one_prediction(ilk: Ilk, home: Path, finished: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 12, 12), np.uint8)
    np.save(home / "noise.npy", noise)
    refused = [
        ilk("predict", finished, "noise.npy", "--json", "--threshold", value).json["sizes"]["none of these"]
        for value in (0, 1)
    ]
    assert refused == [0, 20]
    assert ilk("predict", finished, "noise.npy", "--json").json["sizes"]["none of these"] == 20
    said = ilk("predict", finished, "noise.npy", "--threshold", 2)
    assert said.code == 1
    assert "0 (no image is refused) to 1" in said.err


def test_a_threshold_for_a_method_that_refuses_nothing(ilk: Ilk, home: Path, photos: Path, no_report: None) -> None:
    assert ilk("cluster", photos, "-o", "run", "-m", "dac", "-k", 3, "--set", "preset=tiny").code == 0
    said = ilk("predict", "run", photos, "--threshold", 0.5)
    assert said.code == 1
    assert "method dac refuses no image" in said.err
    assert ilk("predict", "run", photos).code == 0


def test_a_threshold_in_python(finished: Path, photos: Path) -> None:
    with pytest.raises(ArgumentError, match="threshold=-1"):
        ilk.predict(runs.load_run(finished), photos, threshold=-1)
