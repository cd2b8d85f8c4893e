"""Near duplicates through a whole job: found, kept in the run, grouped as one, exported once; what fits no group."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from trial import Ilk

import ilk as package
from ilk import near
from ilk.errors import ArgumentError, RunError
from ilk.runs import Run, load_run

OPTIONS = {"n_clusters": 3, "encoder": "pixels", "preset": "tiny", "image_size": 16}
SCENES, SHOTS = 45, 12

pytestmark = pytest.mark.usefixtures("no_report")


def scene(seed: int) -> Image.Image:
    """A picture of a few soft patches, like no other."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((72, 72), Image.Resampling.BICUBIC)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """45 scenes; twelve shots of the first, of which number 7 is the largest; a smaller copy of each of five others."""
    folder = tmp_path / "album"
    folder.mkdir()
    for i in range(SCENES):
        scene(i).save(folder / f"scene_{i:02}.png")
    rng = np.random.default_rng(0)
    for i in range(SHOTS):
        side = 90 if i == 7 else 72
        x, y = rng.uniform(0, 1.5, 2)
        shot = scene(0).resize((side, side), Image.Resampling.BICUBIC, box=(x, y, x + 70, y + 70))
        ImageEnhance.Brightness(shot).enhance(rng.uniform(0.95, 1.05)).save(folder / f"shot_{i:02}.png")
    for i in range(1, 6):
        scene(i).resize((60, 60)).save(folder / f"small_{i:02}.png")
    shutil.copy(folder / "scene_20.png", folder / "the_same_20.png")
    return folder


def group(source: Path, out: Path, **options: object) -> Run:
    return package.cluster(source, out, options={**OPTIONS, **options}, labels="none", names=False)


def by_name(run: Run) -> dict[str, str]:
    paths = run.images()["path"]
    return {path: paths[row] for path, row in zip(paths, near.stacks(run).tolist(), strict=True)}


def test_stacks_are_those_that_are_there(home: Path, album: Path) -> None:
    run = group(album, home / "run")
    heads = by_name(run)
    assert {heads["scene_00.png"], *(heads[f"shot_{i:02}.png"] for i in range(SHOTS))} == {"shot_07.png"}
    assert [heads[f"small_{i:02}.png"] for i in range(1, 6)] == [f"scene_{i:02}.png" for i in range(1, 6)]
    assert heads["the_same_20.png"] == "scene_20.png"
    assert all(heads[f"scene_{i:02}.png"] == f"scene_{i:02}.png" for i in range(1, SCENES))
    summary = run.summary()
    assert (summary["n_duplicates"], summary["n_near_duplicates"]) == (1, SHOTS + 5)
    limit = near.limit_of(run)
    assert limit.n_copies > 0
    x = near.unit(run.features())
    assert np.linalg.norm(x - x[near.stacks(run)], axis=1).max() <= limit.value + 1e-6


def test_a_stack_is_grouped_as_one_image(home: Path, album: Path) -> None:
    run = group(album, home / "run", near_duplicates="stack")
    labels, heads = run.labels(), near.stacks(run)
    np.testing.assert_array_equal(labels, labels[heads])
    assert len(labels) == len(list(album.iterdir())) == sum(g["size"] for g in run.clusters())
    assert len(run.assignments()["index"]) == len(labels)
    images = run.images()
    assert images["duplicate_of"][images["path"].index("the_same_20.png")] == "scene_20.png"
    assert images["status"].count("duplicate") == 1
    whole = group(album, home / "kept")  # every image keeps its own features
    np.testing.assert_array_equal(run.features(), whole.features())
    assert any("23 images that are nearly the same are grouped as 6: 45 images instead of 62" in note
               for note in run.summary()["warnings"])  # fmt: skip
    assert by_name(run) == by_name(whole)
    shown = [row for g in run.clusters() for row in g["exemplars"]]
    assert len({int(heads[row]) for row in shown}) == len(shown)
    again = run.model().predict(album)
    assert (again == labels).mean() > 0.7
    rows, _ = run.model().nearest([str(album / "shot_07.png")], 1)
    assert images["path"][rows[0, 0]] == "shot_07.png"


def test_without_near_duplicates_nothing_changes(home: Path, album: Path) -> None:
    for path in [*album.glob("shot_*"), *album.glob("small_*")]:
        path.unlink()
    kept, stacked = group(album, home / "kept"), group(album, home / "stacked", near_duplicates="stack")
    np.testing.assert_array_equal(kept.labels(), stacked.labels())
    assert kept.summary()["n_near_duplicates"] == stacked.summary()["n_near_duplicates"] == 0


@pytest.mark.parametrize("name", ["KMeans", "Spectral", "TURTLE", "TEMI", "DeepCluster", "SCAN", "DAC"])
def test_every_method_on_frozen_features_can_stack(name: str, album: Path) -> None:
    cls = getattr(package, name)
    quick = {"DeepCluster": {"network": "features", "epochs": 0}, "SCAN": {"network": "features"},
             "DAC": {"network": "features"}}  # fmt: skip
    preset = {"SCAN": "frozen", "DAC": "quick"}.get(name, "tiny" if "tiny" in cls.presets else "default")
    model = cls(3, preset=preset)
    few = {"TEMI": {"epochs": 2}, "TURTLE": {"steps": 20}, "SCAN": {"cluster_epochs": 2, "selflabel_epochs": 1}}
    settings = {**quick.get(name, {}), **few.get(name, {}), "near_duplicates": "stack"}
    settings |= {"encoder": "pixels"} if name in quick else {}
    model.set_params(settings=settings, **({} if name in quick else {"encoder": "pixels"}))
    model.fit(album)
    assert model.near_.count >= SHOTS
    assert len(model.encoded_.features) == len(model.encoded_.whole.features) - model.near_.count
    burst = model.labels_[[i for i, path in enumerate(sorted(album.iterdir())) if path.name.startswith("shot_")]]
    assert len(set(burst.tolist())) == 1
    assert len(model.labels_) == len(list(album.iterdir()))


def test_where_a_network_is_trained_stacking_is_refused(album: Path) -> None:
    with pytest.raises(ArgumentError, match="near_duplicates=stack: a network is trained on all images"):
        package.Autoencoder(3, preset="tiny", settings={"near_duplicates": "stack"}).fit(album)
    with pytest.raises(ArgumentError, match="near_duplicates"):
        package.KMeans(3, settings={"near_duplicates": "some"}).resolved()


def test_from_the_command_line(ilk: Ilk, album: Path, home: Path) -> None:
    small = ("-k", 3, "--encoder", "pixels", "--set", "preset=tiny", "--set", "image_size=16", "--no-names")
    said = ilk("cluster", album, "-o", "run", *small, "--near-duplicates", "stack")
    assert "are grouped as 6" in said.out + said.err
    assert "17 near duplicates" in said.out + said.err
    assert ilk("info", "run", "--json").json["summary"]["n_near_duplicates"] == 17
    done = ilk("export", "run", "best", "--keep", "best", "--json").json
    assert done["n_dropped"] == 18
    assert "the_same_20.png" in done["dropped"]
    files = {path.name for path in (home / "best").rglob("*.png")}
    assert files == {"shot_07.png", *(f"scene_{i:02}.png" for i in range(1, SCENES))}
    lines = (home / "best" / "groups.csv").read_text().splitlines()
    assert len(lines) == 1 + 45
    assert ilk("export", "run", "best", "--json").json["added"] == 18  # all again
    assert len((home / "best" / "groups.csv").read_text().splitlines()) == 1 + 63
    assert ilk("export", "run", "table", "--as", "csv", "--keep", "best", "--json").json["n_images"] == 45
    assert ilk("export", "run", "x", "--keep", "worst").code == 2


def test_what_a_person_put_elsewhere_is_exported_too(home: Path, album: Path) -> None:
    run = group(album, home / "run", near_duplicates="stack")
    paths, labels = run.images()["path"], run.labels()
    row = paths.index("shot_07.png")
    assert near.kept(run).sum() == 45
    other = int(next(label for label in np.unique(labels) if label != labels[row]))
    run.corrections.move(["shot_02.png"], to=other)
    assert near.kept(run).sum() == 46
    run.corrections.ignore(["shot_07.png"])  # the best one of those that are in a group stays
    kept = near.kept(load_run(run.path))
    assert not kept[row]
    assert kept[paths.index("shot_02.png")]
    assert kept.sum() == 46


def test_a_run_that_grew_or_is_older(home: Path, album: Path) -> None:
    run = group(album, home / "run")
    before = near.stacks(run)
    file = run.path / near.FILE
    kept = np.load(file)
    head = run.images()["path"].index("shot_07.png")
    for known in (len(kept) - 5, head + 1, 0):
        shorter = np.where(kept[:known] < known, kept[:known], np.arange(known))
        np.save(file, shorter)
        found = near.stacks(load_run(run.path))
        assert (found[found] == found).all()
        x = near.unit(run.features())
        assert np.linalg.norm(x - x[found], axis=1).max() <= near.limit_of(run).value + 1e-6
        assert len(np.unique(found)) == len(np.unique(before))
    file.unlink()
    np.testing.assert_array_equal(near.stacks(load_run(run.path)), before)
    header = json.loads((run.path / "run.json").read_text())
    del header["near"]
    (run.path / "run.json").write_text(json.dumps(header))
    older = load_run(run.path)
    assert "no copies" in near.limit_of(older).why
    np.testing.assert_array_equal(near.stacks(older), before)


@pytest.mark.parametrize(
    "wrong",
    [np.array([1, 2, 2]), np.array([-1, 1, 2]), np.array([9, 1, 2]), np.zeros((2, 2), int), np.zeros(99, int),
     np.array([0.0, 1.0])],
    ids=["a head of a head", "below", "beyond", "two columns", "too long", "floats"],
)  # fmt: skip
def test_a_damaged_file_is_named(home: Path, album: Path, wrong: np.ndarray) -> None:
    run = group(album, home / "run")
    np.save(run.path / near.FILE, wrong)
    with pytest.raises(RunError, match=r"near\.npy is damaged"):
        near.stacks(run)


def test_features_that_were_trained_show_no_near_duplicates(home: Path, album: Path) -> None:
    options = {"n_clusters": 2, "preset": "tiny", "epochs": 3}
    run = package.cluster(album, home / "run", method="autoencoder", options=options, labels="none", names=False)
    limit, heads = near.limit_of(run), near.stacks(run)
    assert limit.value is None
    assert "frozen encoder" in limit.why
    assert (heads != np.arange(len(heads))).sum() == 1  # the exact copy


def test_a_burst_that_takes_groups_is_said_with_what_to_type(ilk: Ilk, tmp_path: Path) -> None:
    folder = tmp_path / "burst"
    folder.mkdir()
    for i in range(25):
        scene(i).save(folder / f"scene_{i:02}.png")
    rng = np.random.default_rng(1)
    for i in range(100):
        x, y = rng.uniform(0, 1.5, 2)
        shot = scene(0).resize((72, 72), Image.Resampling.BICUBIC, box=(x, y, x + 70, y + 70))
        shot.save(folder / f"shot_{i:02}.png")
    small = ("-k", 8, "--encoder", "pixels", "--set", "umap_epochs=50", "--no-names")
    said = ilk("cluster", folder, "-o", "run", *small)
    note = [line for line in (said.out + said.err).splitlines() if "they take" in line]
    assert len(note) == 1
    assert "101 of 125 images are nearly the same" in note[0]
    assert "With --near-duplicates stack they count as one image" in note[0]
    again = ilk("cluster", folder, "-o", "stacked", *small, "--near-duplicates", "stack")
    assert "they take" not in again.out + again.err
    labels = load_run(Path("stacked")).labels()
    assert len(np.unique(labels[25:])) == 1
    assert len(np.unique(labels[:25])) == 8


def test_what_fits_no_group(home: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(3, 20)) * 4
    x = np.concatenate([centers[rng.integers(0, 3, 240)] + rng.normal(size=(240, 20)), rng.normal(size=(4, 20)) * 6])
    run = package.cluster(x.astype(np.float32), home / "run", options={"n_clusters": 3}, labels="none", names=False)
    found = near.outliers(run)
    assert set(found[:4].tolist()) & {240, 241, 242, 243}
    assert len(found) < 20
    first = int(found[0])
    run.corrections.confirm([first])
    assert first not in near.outliers(load_run(run.path))
    assert set(near.outliers(load_run(run.path)).tolist()) == {*found.tolist()} - {first}


def test_very_many_images_are_stacked_by_their_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above `EXACT_UP_TO` a fit looks at the nearest of each image, and finds the same stacks."""
    rng = np.random.default_rng(0)
    scenes = rng.integers(0, 256, (60, 16, 16), np.uint8)
    images = np.concatenate([scenes, scenes, rng.integers(0, 256, (80, 16, 16), np.uint8)])
    images[60:120, 0, 0] ^= 1  # nearly the same
    plain, found = {"reducer": "pca", "clusterer": "kmeans"}, []
    for limit in (100_000, 100):
        monkeypatch.setattr(importlib.import_module("ilk.vectors.neighbors"), "EXACT_UP_TO", limit)
        asked: list[object] = []
        real = near.lead
        monkeypatch.setattr(near, "lead", lambda *given: asked.append(given[-1]) or real(*given))  # noqa: B023
        model = package.TransferClustering(3, encoder="pixels", settings=plain).fit(images)
        monkeypatch.setattr(near, "lead", real)
        assert (asked[0] is None) == (limit == 100_000)
        found.append(model.near_.heads)
    np.testing.assert_array_equal(*found)
    assert (found[0] != np.arange(200)).sum() == 60
