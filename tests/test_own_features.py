"""Features of the user's own, from the command line and from Python: groups, report, export, predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from trial import Ilk, Said, refused, tree, write_images

import ilk as package
from ilk import methods, runs
from ilk.data import open_images
from ilk.errors import ArgumentError, DataError, NotEnoughImages
from ilk.methods import DAC, NMF, SCAN, DeepCluster, KMeans, TransferClustering
from ilk.methods.scan.simclr import SimCLR

TINY = ("-k", "3", "--set", "preset=tiny")
CENTRES = np.random.default_rng(3).normal(0, 4, (3, 6))


def clouds(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows around three directions, and which of them."""
    which = np.arange(n) % 3
    return (CENTRES[which] + np.random.default_rng(seed).normal(0, 0.4, (n, 6))).astype("f4"), which


def parquet(path: Path, names: list[str], rows: np.ndarray) -> Path:
    pq.write_table(pa.table({"path": names, "emb": pa.array(rows.tolist(), pa.list_(pa.float32()))}), path)
    return path


def voted(run: runs.Run, new: np.ndarray) -> np.ndarray:
    """Shares of the groups (b, k) among the 15 nearest rows by angle, each weighted by 1 / distance."""
    old = unit(np.asarray(run.features(), np.float64))
    away = np.linalg.norm(unit(new)[:, None] - old, axis=2)
    near = np.argsort(away, axis=1)[:, :15]
    weights = 1 / np.take_along_axis(away, near, 1)
    return np.stack([(weights * (run.labels()[near] == group)).sum(1) for group in range(3)], 1)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def done(said: Said) -> Any:
    assert said.code == 0, said.err
    return said


@pytest.fixture
def rows(home: Path) -> np.ndarray:
    """Features of 48 rows in ``home/f.npy``."""
    values, _ = clouds(48)
    np.save(home / "f.npy", values)
    return values


# -- beside images -----------------------------------------------------------------------------------------------------


def test_features_of_an_encoder_give_its_groups(ilk: Ilk, home: Path, photos: Path, no_report: None) -> None:
    done(ilk("cluster", photos, "-o", "known", "--encoder", "pixels", *TINY))
    known = runs.load_run("known")
    np.save(home / "f.npy", known.features())
    told = done(ilk("cluster", photos, "-o", "own", "--features", "f.npy", *TINY, "--labels", "prefix", "--json")).json
    own = runs.load_run("own")
    assert told["encoder"] == "features"
    assert told["scores"]["acc"] == 1
    assert np.array_equal(own.labels(), known.labels())
    assert np.array_equal(own.features(), known.features())
    assert own.assignments()["confidence"] == known.assignments()["confidence"]
    assert own.images() == known.images()
    assert own.header["source"]["fingerprint"] == known.header["source"]["fingerprint"]
    assert (own.path / "thumbs" / "00000.bin").is_file()
    order = np.random.default_rng(0).permutation(36)
    names = known.images()["path"]
    parquet(home / "f.parquet", [names[i] for i in order], known.features()[order])
    done(ilk("cluster", photos, "-o", "named", "--features", "f.parquet", *TINY))
    assert np.array_equal(runs.load_run("named").labels(), known.labels())


def test_what_a_run_says_of_them(ilk: Ilk, home: Path, photos: Path, rows: np.ndarray, no_report: None) -> None:
    parquet(home / "f.parquet", [f"{i % 3}_{i:04}.png" for i in range(2, 48)], rows[2:])
    said = done(ilk("cluster", photos, "--features", "f.parquet:emb", *TINY))
    assert "encoder  features: your own of f.parquet (column emb), 6 numbers an image, matched by path" in said.out
    assert "2 of 36 images have no features and are in no group: 0_0000.png, 1_0001.png" in said.out
    assert " could not be read or came without features" in said.out
    assert "12 rows of f.parquet are of images that are not here: " in said.out
    (path,) = (home / "ilk-runs").iterdir()
    run = runs.load_run(path)
    told = run.header["source"]["features"]
    assert told == {
        "file": str(home / "f.parquet"),
        "columns": "column emb",
        "n_features": 6,
        "matched": "path",
        "content": told["content"],
    }
    assert len(told["content"]) == 32
    assert [name for name, why in zip(*map(run.images().get, ("path", "reason")), strict=True) if why] == [
        "0_0000.png",
        "1_0001.png",
    ]
    assert set(run.images()["reason"]) == {None, "no features given"}
    assert len(json.dumps(run.header)) < 20_000


def test_other_features_are_another_run(ilk: Ilk, home: Path, photos: Path, rows: np.ndarray, no_report: None) -> None:
    np.save("f.npy", rows[:36])
    command = ("cluster", photos, "--features", "f.npy", *TINY)
    done(ilk(*command))
    before = tree(home / "ilk-runs")
    assert "done     already" in done(ilk(*command)).out
    assert tree(home / "ilk-runs") == before
    (first,) = (home / "ilk-runs").iterdir()
    np.save("f.npy", rows[36:][np.r_[:12, :12, :12]])
    refused(ilk(*command, "-o", first), "holds a finished run of other features of the same images")
    done(ilk(*command))
    assert len(list((home / "ilk-runs").iterdir())) == 2


def test_what_cannot_be_is_said_in_one_line(ilk: Ilk, home: Path, photos: Path, rows: np.ndarray) -> None:
    refused(ilk("cluster", photos, "--features", "f.npy"), "48 rows", "36 images", "column `path`")
    np.save("f.npy", rows[:36])
    refused(ilk("cluster", photos, "--features", "f.npy", "--encoder", "fast"), "leave one out")
    refused(ilk("cluster", photos, "--features", "g.npy"), "g.npy", "does not exist")
    refused(ilk("cluster", photos, "--encoder", "features"), "--features FILE")
    refused(ilk("cluster", photos, "--features", "f.npy", "-m", "vae", *TINY), "trains a network", "-m transfer")
    refused(ilk("cluster", "f.npy", "-m", "dac", *TINY), "trains a network")
    refused(ilk("cluster", "f.npy", "--features", "f.npy"), "holds features already")
    rows[5, 1] = np.inf
    np.save("f.npy", rows[:36])
    refused(ilk("cluster", photos, "--features", "f.npy"), "1 row holds NaN, infinity", "row 5")
    assert not (home / "ilk-runs").exists()


# -- predictions -------------------------------------------------------------------------------------------------------


def test_new_images_are_placed_by_their_features(ilk: Ilk, home: Path, photos: Path, no_report: None) -> None:
    rows, which = clouds(36)
    new, where = clouds(9, seed=1)
    by_name = np.argsort(where, kind="stable")  # as the files are listed
    new, where = new[by_name], where[by_name]
    np.save("f.npy", rows)
    np.save("new.npy", new)
    write_images(home / "new", 9, seed=7)
    done(ilk("cluster", photos, "--features", "f.npy", "-o", "run", *TINY))
    run = runs.load_run("run")
    labels = run.labels()
    for source in (("new", "--features", "new.npy"), ("new.npy",)):
        done(ilk("predict", "run", *source, "-o", "out.parquet"))
        found = pq.read_table("out.parquet").to_pydict()
        assert all(labels[which == g][0] == group for g, group in zip(where, found["group"], strict=True))
        assert found["group"] == voted(run, new).argmax(1).tolist()
        assert found["confidence"] == pytest.approx(
            TransferClustering.from_state(run.state()).predict_proba(new).max(1), abs=1e-4
        )
    assert found["path"][8] == "row 8"
    done(ilk("predict", "run", "f.npy", "-o", "out.parquet"))  # an exact match takes the group of its own
    assert pq.read_table("out.parquet")["group"].to_pylist() == labels.tolist()
    np.save("one.npy", rows[5:6])
    told = done(ilk("predict", "run", "one.npy", "--json")).json["images"]
    assert (told[0]["path"], told[0]["group"]) == ("row 0", labels[5])
    assert told[0]["nearest"][0]["path"] == run.images()["path"][5]
    refused(ilk("predict", "run", "new"), "features of your own", "--features FILE")
    refused(ilk("predict", "run", "new", "--features", "f.npy"), "36 rows", "9 images")
    np.save("short.npy", new[:, :5])
    refused(ilk("predict", "run", "short.npy"), "has 5 numbers an image", "made from 6")
    told = done(ilk("evaluate", "run", "new", "--features", "new.npy", "--labels", "prefix", "--json")).json
    assert told["scores"]["acc"] == 1
    refused(ilk("evaluate", "run", "--features", "new.npy"), "SOURCE")


def test_features_are_of_no_use_to_a_run_with_an_encoder(ilk: Ilk, home: Path, finished: Path, photos: Path) -> None:
    np.save("f.npy", clouds(36)[0])
    refused(ilk("predict", finished, photos, "--features", "f.npy"), "encoder pixels", "leave the features out")
    refused(ilk("predict", finished, "f.npy"), "encoder pixels", "give the images")


# -- alone -------------------------------------------------------------------------------------------------------------


def test_features_alone(ilk: Ilk, home: Path, rows: np.ndarray) -> None:
    rows[40] = rows[1]
    np.save("f.npy", rows)
    (home / "labels.csv").write_text("name,label\n" + "".join(f"row {i},{i % 3}\n" for i in range(48)))
    said = done(ilk("cluster", "f.npy", "-o", "run", *TINY, "--labels", "labels.csv"))
    assert "found    48 feature rows" in said.out
    run = runs.load_run("run")
    assert run.header["source"]["kind"] == "features"
    assert run.header["summary"]["n_duplicates"] == 1
    assert run.header["summary"]["scores"]["acc"] == 1
    assert run.images()["path"][17] == "row 17"
    assert np.array_equal(run.features(), rows)
    assert not (run.path / "thumbs").exists()
    plots = {path.name for path in (run.path / "plots").iterdir()}
    assert "map.png" in plots
    assert not any(name.startswith("contact") for name in plots)
    page = (run.path / "report.html").read_text("utf-8")
    assert 'class="strip' not in page
    assert page.count("Most central: <bdi>row ") == 3
    assert "features of your own" in page
    assert "there are no pictures" in page
    done(ilk("report", "run", "-o", "again.html"))
    assert done(ilk("export", "run", "table", "--as", "csv"))
    assert "row 17" in (home / "table" / "groups.csv").read_text()
    done(ilk("export", "run", "atlas", "--as", "embedding-atlas"))
    refused(ilk("export", "run", "folders"), "holds features and no images", "--as csv")
    assert done(ilk("evaluate", "run", "--labels", "labels.csv", "--json")).json["scores"]["acc"] == 1
    assert "feature" in done(ilk("info", "run")).out


def test_many_rows_have_first_groups_without_a_picture(ilk: Ilk, home: Path, no_report: None, no_map: None) -> None:
    np.save("f.npy", clouds(360)[0])
    said = done(ilk("cluster", "f.npy", *TINY))
    assert "first    groups of 300 images" in said.out
    assert "look at" not in said.out


def test_rows_in_any_order_are_the_same_groups(home: Path) -> None:
    rows, which = clouds(60)
    order = np.random.default_rng(1).permutation(60)
    one = TransferClustering(3, preset="tiny").fit(rows)
    other = TransferClustering(3, preset="tiny").fit(rows[order])
    assert np.array_equal(one.labels_[order], other.labels_)
    assert np.array_equal(one.probabilities_[order], other.probabilities_)
    assert len({*zip(which, one.labels_, strict=True)}) == 3


# -- Python ------------------------------------------------------------------------------------------------------------


def test_jobs_take_them_as_an_array(home: Path, photos: Path, no_report: None) -> None:
    rows, _ = clouds(36)
    options = {"n_clusters": 3, "preset": "tiny"}
    run = package.cluster(photos, "a", options=options, features=rows)
    assert package.cluster(photos, "a", options={**options, "features": rows}).header == run.header
    assert run.header["source"]["features"]["file"] is None
    assert "features" not in run.header["params"]
    assert np.array_equal(run.features(), rows)
    found = package.predict(run, photos, features=rows)
    assert np.array_equal(found.group, run.labels())
    alone = package.cluster(rows, "b", options=options)
    assert alone.header["source"]["spec"] is None
    with pytest.raises(DataError, match="array in memory"):
        package.export(alone, "out")


def test_an_estimator_is_what_it_was(photos: Path, tmp_path: Path) -> None:
    rows, _ = clouds(36)
    model = TransferClustering(3, preset="tiny")
    before = model.get_params()
    model.fit(open_images(photos, features=rows))
    assert model.get_params() == before
    again = clone(model).fit(open_images(photos, features=rows))
    assert np.array_equal(again.labels_, model.labels_)
    assert np.array_equal(model.transform(rows), rows)
    assert np.array_equal(model.predict(open_images(photos, features=rows)), model.labels_)
    model.save(tmp_path / "model")
    loaded = package.load(tmp_path / "model")
    assert np.array_equal(loaded.predict(rows), model.labels_)
    assert loaded.predict(rows[:1])[0] == model.labels_[0]
    with pytest.raises(ArgumentError, match="give their features too"):
        loaded.predict(photos)
    labels = make_pipeline(StandardScaler(), TransferClustering(3, preset="tiny")).fit_predict(rows)
    assert set(labels) == {0, 1, 2}


@pytest.mark.parametrize("name", ["dac", "scan", "deepcluster", "kmeans", "agglomerative", "spectral", "umap_gmm"])
@pytest.mark.parametrize("beside", [True, False])
def test_every_method_that_groups_features_takes_them(name: str, beside: bool, photos: Path, tmp_path: Path) -> None:
    rows, which = clouds(36)
    quick: dict[str, dict[str, Any]] = {
        "dac": {"epochs": 2, "batch_size": 16},
        "scan": {"cluster_epochs": 2, "selflabel_epochs": 1, "n_heads": 1, "n_neighbors": 3, "cluster_batch": 16},
        "deepcluster": {},
    }
    options = {"settings": quick[name]} if name in quick else {"preset": "tiny"}
    model = methods.find(name)(3, **options)
    source = open_images(photos, features=rows) if beside else rows
    model.fit(source)
    assert model.encoder_.name == "features"
    assert not any("photos on a CPU" in note for note in model.notes_)
    assert np.array_equal(model.predict(source), model.labels_)
    if name not in quick:
        assert len({*zip(which, model.labels_, strict=True)}) == 3
    state = model.state()
    again = type(model).from_state(state)
    assert np.array_equal(again.predict(source), model.labels_)
    package.cluster(source, tmp_path / "run", method=name, options={"n_clusters": 3, **quick.get(name, options)})
    kept = [figure["kind"] for figure in runs.load_run(tmp_path / "run").figures()]
    assert beside or "images" not in kept


def test_length_counts_beside_a_large_constant() -> None:
    which = np.arange(60) % 3
    length = np.array([1.0, 5.0, 10.0])[which] + np.random.default_rng(0).normal(0, 0.3, 60)
    rows = np.outer(length, CENTRES[0])
    with_constant = np.c_[rows, np.full(60, 10 * np.abs(rows).max())]
    with pytest.raises(NotEnoughImages, match="look the same"):
        TransferClustering(3, preset="tiny").fit(rows)
    labels = TransferClustering(3, preset="tiny").fit(with_constant).labels_
    assert len({*zip(which, labels, strict=True)}) == 3


@pytest.mark.parametrize("name", ["transfer", "dac", "scan", "deepcluster", "kmeans", "umap_gmm"])
@pytest.mark.parametrize("scale", [1e-6, 1e9])
def test_how_long_vectors_are_says_nothing(name: str, scale: float, tmp_path: Path) -> None:
    rows, _ = clouds(36)
    settings = {"dac": {"epochs": 2, "batch_size": 16}, "scan": {"cluster_epochs": 2, "n_heads": 1, "n_neighbors": 3}}
    options = {} if name in ("dac", "scan", "deepcluster") else {"preset": "tiny"}
    model = methods.find(name)(3, settings=settings.get(name), **options).fit((rows * scale).astype("f4"))
    assert np.isfinite(model.probabilities_).all()
    model.save(tmp_path / "model")
    assert np.array_equal(package.load(tmp_path / "model").predict((rows * scale).astype("f4")), model.labels_)


def test_who_trains_a_network_says_so(photos: Path) -> None:
    rows, _ = clouds(36)
    for model in (DAC(3, preset="tiny"), SCAN(3, preset="tiny"), DeepCluster(3, preset="tiny"), SimCLR(preset="tiny")):
        for source in (open_images(photos, features=rows), rows):
            with pytest.raises(ArgumentError, match="trains a network on the images themselves"):
                model.fit(source)
    with pytest.raises(ArgumentError, match="leave one out"):
        KMeans(3, encoder="classic").fit(rows)
    with pytest.raises((ArgumentError, DataError), match="negative"):
        NMF(3, preset="tiny").fit(rows)
