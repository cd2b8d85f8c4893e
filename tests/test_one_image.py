"""A run asked about single images: from Python by `run.model()`, and by `ilk predict RUN photo.jpg`."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toy import Toy
from trial import CLASSIC, SMALL, Ilk, refused, write_images

import ilk as package
from ilk import cli, methods, runs
from ilk.errors import ArgumentError, RunError


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder ``photos`` with a copy and a file that is text, runs of it, and a folder ``new``."""
    root = tmp_path_factory.mktemp("album")
    write_images(root / "photos", 60, groups=4)
    shutil.copy(root / "photos" / "0_0000.png", root / "photos" / "3_9999.png")
    (root / "photos" / "0_0001.png").write_bytes(b"not an image at all")  # so rows of the run and of the model differ
    write_images(root / "new", 12, groups=4, seed=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "xdg"))
        assert cli.main(["cluster", str(root / "photos"), "-o", str(root / "run"), "-k", "4", *SMALL]) == 0
        assert cli.main(["cluster", str(root / "photos"), "-o", str(root / "classic"), *CLASSIC]) == 0
    return root


@pytest.fixture
def run(album: Path) -> runs.Run:
    return runs.load_run(album / "run")


def by_one(model: Any, paths: list[Path]) -> np.ndarray:
    return np.concatenate([model.predict_proba([path]) for path in paths])


# -- from Python -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run", "classic"])
def test_the_model_of_a_run_says_what_the_command_says(album: Path, home: Path, name: str) -> None:
    model = runs.load_run(album / name).model()
    paths = sorted((album / "new").iterdir())
    found = package.predict(album / name, album / "new", cache=home / "cache")  # the long way
    proba = by_one(model, paths)
    assert model.decide(proba).tolist() == found.group.tolist()
    assert proba.max(1).tolist() == found.confidence.tolist()  # to the bit
    assert [int(model.predict([path])[0]) for path in paths] == found.group.tolist()
    with ThreadPoolExecutor(4) as pool:
        assert [int(one[0]) for one in pool.map(lambda path: model.predict([path]), paths)] == found.group.tolist()


def test_it_is_fitted(run: runs.Run, album: Path) -> None:
    model = run.model(device="cpu")
    assert model.get_params()["preset"] == "tiny"
    assert model.get_params()["n_clusters"] == 4
    labels = run.labels()
    assert model.labels_.tolist() == np.where(labels == -2, -1, labels).tolist()
    assert np.array_equal(model.predict(album / "photos"), model.labels_)


def test_nearest_rows_are_those_of_the_run(run: runs.Run, album: Path) -> None:
    """Every image of the run is most like itself, or like the one it is a copy of."""
    model, images = run.model(), run.images()
    for name in ("0_0000.png", "1_0005.png", "3_0059.png", "3_9999.png"):
        rows, similarity = model.nearest([album / "photos" / name], 3)
        wanted = "0_0000.png" if name == "3_9999.png" else name
        assert images["path"][rows[0, 0]] == wanted
        assert similarity[0, 0] == pytest.approx(1, abs=1e-5)
        assert len({*rows[0].tolist()}) == 3


def test_older_runs_know_their_images_too(album: Path, home: Path) -> None:
    shutil.copytree(album / "run", home / "old")
    state = runs.load_run(home / "old").state()
    rows = state.pop("rows")
    assert sorted(rows.tolist()) == [i for i in range(62) if i not in (1, 61)]
    for name in ("voter_space", "voter_proba"):  # they were in the order of the source
        state[name] = state[name][np.argsort(rows)]
    runs.save_state(home / "old" / "model", state)
    header = json.loads((home / "old" / "run.json").read_text())
    header.pop("checksums", None)
    (home / "old" / "run.json").write_text(json.dumps(header))
    models = [runs.load_run(path).model() for path in (home / "old", album / "run")]
    paths = sorted((album / "new").iterdir())
    old, new = (model.nearest(paths) for model in models)
    assert np.array_equal(old[0], new[0])
    assert np.array_equal(old[1], new[1])


def test_features_of_other_images_are_refused(album: Path, home: Path) -> None:
    shutil.copytree(album / "run", home / "run")
    features = np.load(home / "run" / "features.npy")
    np.save(home / "run" / "features.npy", features[:, :-1])
    with pytest.raises(RunError, match=r"features\.npy"):
        runs.load_run(home / "run").model()
    package.predict(home / "run", album / "new")  # which needs none of them


def test_a_run_of_ones_own_method(home: Path, album: Path, no_report: None, no_map: None) -> None:
    made = package.cluster(album / "photos", "own", method="toy:Toy")
    with pytest.raises(ArgumentError, match="cls=Toy"):
        made.model()
    for cls in (Toy, "toy:Toy"):
        model = made.model(cls=cls)
        assert np.array_equal(model.predict(album / "photos"), model.labels_)
    with pytest.raises(ArgumentError, match="the model is of the class TransferClustering"):
        runs.load_run(album / "run").model(cls=Toy)


def test_a_run_becomes_a_file_and_back(run: runs.Run, album: Path, home: Path) -> None:
    model = run.model()
    loaded = package.load(model.save("model.safetensors"))
    assert isinstance(loaded, methods.TransferClustering)
    assert np.array_equal(loaded.predict_proba(album / "new"), model.predict_proba(album / "new"))


# -- the command -------------------------------------------------------------------------------------------------------


def test_one_image_is_shown_by_itself(ilk: Ilk, album: Path) -> None:
    path = sorted((album / "new").iterdir())[5]
    said = ilk("predict", album / "run", path)
    assert said.code == 0
    found = package.predict(album / "run", album / "new")
    group, confidence = found.columns()["group_name"][5], found.confidence[5]
    assert f"{group}, confidence {confidence:.2f}" in said.out
    table = said.out.splitlines()[said.out.splitlines().index("similarity  group    nearest images of the run") + 1 :]
    shown = [line.split() for line in table if not line.startswith("keep ")]
    model = runs.load_run(album / "run").model()
    rows, similarity = model.nearest([path], 5)
    names = runs.load_run(album / "run").images()["path"]
    assert [line[-1] for line in shown] == [names[row] for row in rows[0]]
    assert [line[0] for line in shown] == [f"{one:.2f}" for one in similarity[0]]
    assert all(" ".join(line[1:-1]) == f"group {model.labels_[row]}" for line, row in zip(shown, rows[0], strict=True))


def test_json_has_an_object_for_every_image(ilk: Ilk, album: Path) -> None:
    (album / "bad.jpg").write_bytes(b"not an image at all")
    paths = [*sorted((album / "new").iterdir())[:3], album / "bad.jpg"]
    said = ilk("predict", album / "run", *paths, "--json").json
    assert (said["n_images"], said["n_unreadable"], sum(said["sizes"].values())) == (3, 1, 3)
    assert set(said) == {
        "run",
        "n_images",
        "n_unreadable",
        "sizes",
        "out",
        "mean_confidence",
        "mean_known",
        "threshold",
        "images",
    }
    whole = {row["path"]: row for row in ilk("predict", album / "run", album / "new", "--json").json["images"]}
    assert len(whole) == 12
    for image in said["images"][:3]:
        same = whole[Path(image["path"]).name]
        assert {**image, "path": ""} == {**same, "path": ""}
        assert len(image["nearest"]) == 5
        assert tuple(image) == (*runs.columns_of("predictions"), "nearest")
        assert set(image["nearest"][0]) == {"path", "similarity", "group"}
        likes = [one["similarity"] for one in image["nearest"]]
        assert likes == sorted(likes, reverse=True)
    bad = said["images"][3]
    assert (bad["status"], bad["group"], bad["nearest"]) == ("unreadable", None, [])
    assert "not an image" in bad["reason"]


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp", "gif", "tif", "webp", "jp2", "ppm", "tga"])
def test_whatever_can_be_decoded(ilk: Ilk, album: Path, home: Path, ending: str) -> None:
    with Image.open(sorted((album / "new").iterdir())[0]) as image:
        image.convert("RGB").resize((48, 48)).save(home / f"photo.{ending}")
    said = ilk("predict", album / "run", f"photo.{ending}", "--json").json
    assert (said["n_images"], said["images"][0]["path"]) == (1, f"photo.{ending}")
    assert said["images"][0]["status"] == "ok"


def test_names_and_numbers(ilk: Ilk, album: Path, home: Path) -> None:
    shutil.copy(sorted((album / "new").iterdir())[0], home / "[red]a b.png")
    said = ilk("predict", album / "run", "./[red]a b.png", "--nearest", "2")
    assert "[red]a b.png" in said.out
    assert said.out.count(".png") == 4  # itself, two like it, and the command that lets it join
    for n, count in (("0", 0), ("1", 1), ("1000", 60)):
        said = ilk("predict", album / "run", "[red]a b.png", "--nearest", n, "--json").json
        assert len(said["images"][0].get("nearest", [])) == count
    refused(ilk("predict", album / "run", "[red]a b.png", "--nearest", "-1"), "--nearest -1")
    many = ilk("predict", album / "run", album / "new")
    assert "nearest" not in many.out  # more than a few: how many are in each group
    assert "add -o FILE.csv" in many.out
    assert ilk("predict", album / "run", "[red]a b.png", "-o", "one.csv").code == 0
    assert len((home / "one.csv").read_text().splitlines()) == 2


def test_an_image_that_cannot_be_read(ilk: Ilk, album: Path, home: Path) -> None:
    (home / "bad.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    said = ilk("predict", album / "run", "bad.jpg")
    assert said.code == 0
    assert "0 images; 1 file (bad.jpg) could not be read" in said.out
    assert "could not be read: " in said.out.splitlines()[-1]
    refused(ilk("predict", album / "run", "gone.jpg"), "there is no gone.jpg")
    said = ilk("predict", album / "run", "bad.jpg", "gone.jpg", "--json").json
    assert [image["reason"] for image in said["images"]][1] == "no such file"


def test_a_file_beside_its_folder_counts_once(ilk: Ilk, album: Path) -> None:
    path = sorted((album / "new").iterdir())[0]
    said = ilk("predict", album / "run", path, album / "new", "--json")
    assert said.json["n_images"] == len(list((album / "new").iterdir()))
    assert "1 file is in more than one of the sources, and counted once" in said.err
    refused(ilk("predict", album / "run", "a.zip", path), "there is no a.zip")


def test_one_image_makes_no_groups(ilk: Ilk, album: Path) -> None:
    path = sorted((album / "new").iterdir())[0]
    refused(ilk("cluster", path, *SMALL), "1 image is too few", "Give the folder it is in")


def test_what_a_run_says_is_never_imported(ilk: Ilk, album: Path, home: Path) -> None:
    shutil.copytree(album / "run", home / "run")
    (home / "payload.py").write_text("open('ran', 'w').close()\n\nclass Method: ...\n")
    header = json.loads((home / "run" / "run.json").read_text())
    header["method"] = "payload:Method"
    (home / "run" / "run.json").write_text(json.dumps(header))
    refused(ilk("predict", "run", album / "new"), "payload:Method", "--method")
    assert not (home / "ran").exists()
