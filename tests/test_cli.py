"""The command line as a stranger meets it: what it prints, where, and what it leaves behind."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from trial import CLASSIC, SMALL, Ilk, tree, write_images

import ilk as package
from ilk import runs
from ilk.cli import options

KEYS = [
    "run", "method", "encoder", "n_images", "n_unreadable", "n_duplicates", "n_near_duplicates", "n_clusters", "sizes",
    "groups", "k_table", "suggested", "scores", "seconds", "images_per_second", "warnings",
]  # fmt: skip
SECONDS = ["list", "encode", "near", "reduce", "cluster", "report", "total"]
FIVE = ["acc", "nmi", "nmi_geometric", "ari", "purity"]

# -- what it prints ----------------------------------------------------------------------------------------------------


def test_a_run_in_a_pipe(ilk: Ilk, home: Path, photos: Path) -> None:
    said = ilk("cluster", photos, "-o", "run", *SMALL, "--labels", "prefix")
    assert (said.code, said.err) == (0, "")
    for line in ("found    36 image files", "encoder  pixels, as asked", "encoded  in", "taking   3 groups",
                 "36 images in 3 groups", "scores   ACC 1.000", "report   run/report.html"):  # fmt: skip
        assert f"\n{line}" in f"\n{said.out}"
    assert "\x1b" not in said.out
    assert not re.search(r"[ \t]\n", said.out)
    assert sorted(path.name for path in home.iterdir()) == ["run"]


def test_json_is_one_object_with_the_promised_keys(ilk: Ilk, photos: Path) -> None:
    said = ilk("cluster", photos, "-o", "run", *SMALL, "--labels", "prefix", "--json")
    found = said.json
    assert list(found) == KEYS
    assert list(found["seconds"]) == SECONDS
    assert list(found["scores"]) == FIVE
    assert list(found["suggested"]) == ["coarse", "natural", "fine"]
    assert (found["run"], found["method"], found["encoder"]) == ("run", "transfer", "pixels")
    assert (found["n_images"], found["n_unreadable"], found["n_duplicates"]) == (36, 0, 0)
    assert (found["n_clusters"], found["sizes"]) == (3, [12, 12, 12])
    assert {"k", "silhouette"} <= found["k_table"][0].keys()
    assert "36 images in 3 groups" in said.err
    assert runs.load_run("run").header["summary"] == found


def test_every_json_is_one_object(ilk: Ilk, photos: Path, finished: Path) -> None:
    predicted = ilk("predict", finished, photos, "--json").json
    assert (predicted["n_images"], sum(predicted["sizes"].values())) == (36, 36)
    assert list(ilk("evaluate", finished, photos, "--labels", "prefix", "--json").json["scores"])[:5] == FIVE
    assert ilk("info", finished, "--json").json["summary"]["n_images"] == 36
    assert "presets" in ilk("methods", "--json").json["transfer"]
    assert {"name", "what", "cached"} <= ilk("encoders", "--json").json["encoders"][0].keys()
    assert ilk("info", "--cache", "--json").json.keys() == {"path", "bytes", "kinds", "cleared", "needed_by"}


def test_an_error_leaves_stdout_empty_with_json(ilk: Ilk) -> None:
    said = ilk("cluster", "nowhere", "--json")
    assert (said.code, said.out) == (1, "")


def test_json_knows_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    from ilk.cli.show import Screen

    Screen(True).json({"a": [float("nan"), 1.5, float("inf")], 2: {"b": float("-inf")}})
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5, None], "2": {"b": None}}


def test_debug_shows_the_traceback(ilk: Ilk) -> None:
    with pytest.raises(package.errors.DataError, match="there is no nowhere"):
        ilk("cluster", "nowhere", "--debug")


def test_a_bug_is_said_in_one_line(ilk: Ilk, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.data.open_images", lambda *_, **__: 1 / 0)
    said = ilk("cluster", photos)
    assert said.code == 1
    assert "ilk: unexpected: division by zero. This is a fault of ilk." in said.err
    assert said.err.count("\n") == 1
    monkeypatch.setattr("ilk.data.open_images", lambda *_, **__: (_ for _ in ()).throw(MemoryError))
    assert "out of memory" in ilk("cluster", photos).err


def test_help_version_and_lists(ilk: Ilk) -> None:
    assert ilk("--version").out == f"ilk {package.__version__}\n"
    for said in (ilk("-h"), ilk("--help")):
        assert said.code == 0
        assert {"cluster", "predict", "evaluate", "report", "info", "methods", "encoders"} <= set(said.out.split())
    assert "SOURCE" in ilk("cluster", "-h").out
    assert "transfer" in ilk("methods").out
    assert "after a download" in ilk("encoders").out


def test_values_of_settings() -> None:
    texts = ("3", "0.5", "true", "False", "none", "None", "crop", "2,4", "1e-3", "")
    assert [options.value(text) for text in texts] == [3, 0.5, True, False, None, "None", "crop", [2, 4], 0.001, ""]


def test_threads_sleep_soon_unless_set_otherwise(ilk: Ilk, monkeypatch: pytest.MonkeyPatch) -> None:
    for told, policy, spins in ((None, "PASSIVE", "1000"), ("ACTIVE", "ACTIVE", None)):
        monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        if told:
            monkeypatch.setenv("OMP_WAIT_POLICY", told)
        assert ilk("--version").code == 0
        assert (os.environ["OMP_WAIT_POLICY"], os.environ.get("GOMP_SPINCOUNT")) == (policy, spins)


# -- hostile names and odd terminals -----------------------------------------------------------------------------------

NAMES = ["a\nb.png", "[red]x.png", "<script>alert(1)<!--.png", ":smile:.png", "日本語.png", "\x1b[31mred.png",
         "-rf.png", "$(touch pwned).png", "x\\[y].png", "=1+1.png"]  # fmt: skip


def test_hostile_names(ilk: Ilk, ilk_process: Ilk, home: Path, photos: Path) -> None:
    folder = home / "[bold]photos\n2"
    (folder / "directory.png").mkdir(parents=True)
    for name, path in zip([*NAMES, "bad\udcff.png"], sorted(photos.iterdir()), strict=False):
        shutil.copy(path, folder / name)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    said = ilk("cluster", folder, "-o", "run", "-k", "9", *SMALL)
    assert (said.code, said.err) == (0, "")
    assert "\x1b" not in said.out
    shown = {line.split("  ")[-1] for line in said.out.splitlines() if line.startswith("group ")}
    assert shown & {"a\\x0ab.png", "[red]x.png", ":smile:.png", "\\x1b[31mred.png", "x\\[y].png"}
    assert "<script>alert" not in (home / "run" / "report.html").read_text("utf-8")
    assert ilk("predict", "run", folder, "-o", "table.csv").code == 0
    table = list(csv.DictReader(io.StringIO((home / "table.csv").read_text("utf-8"))))
    assert {row["path"] for row in table} >= {"a\\x0ab.png", "[red]x.png", "日本語.png", "bad\\xff.png", "=1+1.png"}
    plain = ilk_process("info", "run", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert (plain.code, plain.err) == (0, "")
    assert plain.out.isascii()
    assert sorted(path.name for path in home.iterdir()) == sorted([folder.name, "run", "table.csv"])


def test_a_source_whose_name_is_no_text(ilk: Ilk, home: Path) -> None:
    write_images(home / "bad\udcff", 6)
    said = ilk("cluster", "bad\udcff", "-k", "3", *SMALL)
    assert (said.code, said.err) == (0, "")
    run = next((home / "ilk-runs").iterdir())
    assert run.name.startswith("bad-transfer-")
    assert ilk("evaluate", run, "--labels", "prefix").code == 0


# -- the same run again ------------------------------------------------------------------------------------------------


def test_a_finished_run_again(ilk: Ilk, home: Path, photos: Path, finished_copy: Path) -> None:
    before = tree(home)
    command = ("cluster", photos, "-o", "run", "-k", "3", *SMALL)
    said = ilk(*command)
    assert (said.code, said.err) == (0, "")
    assert "done     already" in said.out
    assert "--overwrite" in said.out
    assert "36 images in 3 groups" in said.out
    assert ilk(*command, "--json").json["n_images"] == 36
    assert ilk("cluster", f"{photos}/", "-o", "run/", "-k", "3", *SMALL).code == 0
    assert tree(home) == before
    assert ilk(*command, "--labels", "prefix", "--json").json["scores"]["acc"] == 1  # asked for later
    assert ilk("info", "run", "--json").json["summary"]["scores"]["acc"] == 1


@pytest.mark.usefixtures("no_report")
def test_overwrite(ilk: Ilk, home: Path, photos: Path, finished_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(finished_copy)
    with monkeypatch.context() as patch:
        patch.setattr("ilk._record.write", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        assert ilk("cluster", photos, "-o", "run", "-k", "2", *SMALL, "--overwrite").code == 130
    assert tree(finished_copy) == before  # the old one stays until the new one is whole
    said = ilk("cluster", photos, "-o", "run", "-k", "2", *SMALL, "--overwrite", "--json")
    assert said.json["n_clusters"] == 2
    assert [path.name for path in home.iterdir()] == ["run"]
    assert ilk("info", "run", "--json").json["summary"]["n_clusters"] == 2


@pytest.mark.usefixtures("no_report")
def test_paths(ilk: Ilk, home: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home))
    shutil.copytree(photos, home / "my photos")
    shutil.copytree(photos, home / "digits")
    first = ilk("cluster", "~/my photos", "-k", "3", *SMALL, "--json")
    again = ilk("cluster", "./my photos/", "-k", "3", *SMALL, "--json")
    assert first.json == again.json  # the same job, however its source is written
    assert Path(first.json["run"]).parent == Path("ilk-runs")
    assert Path(first.json["run"]).name.startswith("my-photos-transfer-")
    assert ilk("cluster", "my photos", "-o", "new/folders/run/", "-k", "3", *SMALL).code == 0
    assert ilk("cluster", "my photos", "-o", "~/at-home", "-k", "3", *SMALL).code == 0
    assert (home / "new" / "folders" / "run" / "run.json").is_file()
    assert (home / "at-home" / "run.json").is_file()
    assert ilk("predict", "~/at-home", "~/my photos", "-o", "~/table.csv").code == 0
    assert (home / "table.csv").is_file()
    inside = ilk("cluster", "my photos", "-o", "my photos/run", "-k", "3", *SMALL, "--json").json
    assert inside["n_images"] == 36
    assert ilk("cluster", "my photos", "-o", "my photos/run", "-k", "3", *SMALL, "--json").json == inside


def test_a_folder_called_digits_wins_over_the_built_in_ones(ilk: Ilk, home: Path) -> None:
    write_images(home / "digits", 36)
    said = ilk("cluster", "digits", "-o", "d", "-k", "3", *SMALL)
    assert "found    36 image files" in said.out
    assert "for scikit-learn's digits say ilk:digits" in said.out
    assert runs.load_run("d").header["source"]["spec"] == str(home / "digits")
    assert "1797 images are too few" in ilk("cluster", "ilk:digits", "-k", "1800", *SMALL).err
    shutil.rmtree("digits")
    assert "1797 images are too few" in ilk("cluster", "digits", "-k", "1800", *SMALL).err


def test_a_run_of_the_built_in_digits_is_scored_by_them(ilk: Ilk, home: Path) -> None:
    assert ilk("cluster", "digits", "-o", "d", "-k", "10", *SMALL).code == 0
    write_images(home / "digits", 3)
    assert ilk("evaluate", "d", "--json").json["scores"]["n_scored"] == 1797


# -- sources and labels ------------------------------------------------------------------------------------------------


@pytest.fixture
def npz(home: Path) -> Path:
    """30 + 10 images of 2 patterns, with labels of two kinds."""
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    x = np.clip(rng.integers(0, 256, (2, 9, 9))[y] + rng.normal(0, 9, (40, 9, 9)), 0, 255).astype(np.uint8)
    parts = {"x_train": x[:30], "x_test": x[30:], "y_train": y[:30], "y_test": y[30:]}
    np.savez(home / "set.npz", **parts, other_train=y[:30] // 2, other_test=y[30:] // 2)
    return home / "set.npz"


@pytest.mark.usefixtures("no_report")
def test_split_of_an_npz(ilk: Ilk, npz: Path) -> None:
    both = ilk("cluster", npz, "-o", "both", "-k", "2", *SMALL)
    assert re.search("note +.*train.*test", both.out)
    for split, n in (("all", 40), ("train", 30), ("test", 10)):
        found = ilk("cluster", npz, "-o", f"r-{split}", "-k", "2", *SMALL, "--split", split, "--json").json
        assert (found["n_images"], found["scores"]["acc"]) == (n, 1)
    assert ilk("evaluate", "r-train", npz, "--split", "test", "--json").json["scores"]["acc"] == 1
    assert ilk("evaluate", "r-train", "--labels", "other", "--json").json["scores"]["acc"] < 1
    said = ilk("evaluate", "r-train", "--labels", "othr")
    assert (said.code, "othr" in said.err, "other" in said.err) == (1, True, True)


@pytest.mark.usefixtures("no_report")
def test_split_of_folders(ilk: Ilk, home: Path) -> None:
    for part, n in (("train", 20), ("test", 8)):
        write_images(home / "set" / part, n, 2)
    for split, n in (("all", 28), ("train", 20), ("test", 8)):
        said = ilk("cluster", "set", "-o", f"r-{split}", "-k", "2", *SMALL, "--split", split, "--json")
        assert said.json["n_images"] == n
        assert bool(re.search("note +.*train/", said.err)) == (split == "all")


@pytest.mark.usefixtures("no_report")
def test_labels(ilk: Ilk, home: Path, photos: Path) -> None:
    for path in photos.iterdir():
        target = home / "set" / f"class {path.name[0]}" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    with open(home / "labels.csv", "w") as file:
        csv.writer(file).writerows([("name", "label"), *((path.name, path.name[0]) for path in photos.iterdir())])
    for labels in ("folder", "prefix", "labels.csv"):
        command = ("cluster", "set", "-o", f"r-{labels}", "-k", "3", *SMALL, "--labels", labels, "--json")
        assert ilk(*command).json["scores"]["acc"] == 1, labels
    for labels in ("auto", "none"):
        command = ("cluster", "set", "-o", f"r-{labels}", "-k", "3", *SMALL, "--labels", labels, "--json")
        assert ilk(*command).json["scores"] is None
        said = ilk("evaluate", f"r-{labels}")
        assert (said.code, "--labels" in said.err) == (1, True)
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)  # the run remembers where its labels are
    assert ilk("evaluate", "../r-labels.csv", "--json").json["scores"]["acc"] == 1


# -- the other commands ------------------------------------------------------------------------------------------------


def test_predict_writes_tables(ilk: Ilk, home: Path, photos: Path, finished: Path) -> None:
    new = shutil.copytree(photos, home / "new")
    (new / "broken.png").write_bytes(b"nonsense")
    shutil.copy(new / "0_0000.png", new / "copy.png")
    said = ilk("predict", finished, "new", "-o", "table.csv")
    assert (said.code, said.err) == (0, "")
    assert "placed   37 images; 1 file (broken.png) could not be read" in said.out
    assert "\nnone of these: known below 0.2; known is the sum" in said.out
    found = ilk("predict", finished, "new", "-o", "table.parquet", "--json").json
    assert (found["n_unreadable"], found["threshold"]) == (1, 0.2)
    assert found["mean_known"] >= found["mean_confidence"] > 0.5  # of what could be read
    rows = list(csv.DictReader(io.StringIO((home / "table.csv").read_text("utf-8"))))
    assert list(rows[0]) == list(runs.columns_of("predictions"))
    by_name = {row["path"]: row for row in rows}
    assert {by_name["broken.png"][name] for name in ("group", "group_name", "confidence")} == {""}
    assert by_name["broken.png"]["status"] == "unreadable"
    assert by_name["broken.png"]["reason"]
    assert by_name["copy.png"]["group"] == by_name["0_0000.png"]["group"]
    assert by_name["copy.png"]["duplicate_of"] == "0_0000.png"
    columns = pq.read_table(home / "table.parquet").to_pydict()
    assert ["" if c is None else str(c) for c in columns["group"]] == [row["group"] for row in rows]
    assert not [path for path in home.iterdir() if path.name.startswith(".")]


def test_evaluate_with_a_source(ilk: Ilk, home: Path, finished_copy: Path) -> None:
    write_images(home / "new", 9, seed=4)
    said = ilk("evaluate", "run", "new", "--labels", "prefix")
    assert (said.code, said.err) == (0, "")
    assert "scores   ACC 1.000" in said.out
    assert not (home / "run" / "scores.json").exists()  # of other images: not the run's own
    assert ilk("evaluate", "run", "--labels", "prefix", "--json").json["scores"]["n_scored"] == 36
    assert runs.load_run("run").scores()["acc"] == 1


def test_report_elsewhere(ilk: Ilk, home: Path, finished: Path) -> None:
    said = ilk("report", finished, "-o", "page.html")
    assert said.out == "report   page.html\n"
    assert (home / "page.html").stat().st_size > 10_000


def test_cache(ilk: Ilk, home: Path, photos: Path, no_report: None) -> None:
    own = home.parent / "xdg" / "ilk"
    assert ilk("cluster", photos, "-o", "run", *CLASSIC).code == 0
    size = sum(path.stat().st_size for path in own.rglob("*") if path.is_file())
    assert size > 0
    (own / "mine.txt").write_text("not ilk's")
    assert ilk("info", "--cache", "--json").json["bytes"] == size
    said = ilk("info", "--cache")
    assert str(own) in said.out
    assert "MB" in said.out
    assert "freed" in ilk("info", "--cache", "--clear").out
    assert ilk("info", "--cache", "--json").json["bytes"] == 0
    assert [path.name for path in own.rglob("*") if path.is_file()] == ["mine.txt"]
    assert ilk("info", "run").code == 0


def test_no_cache_writes_none(ilk: Ilk, home: Path, photos: Path, no_report: None) -> None:
    assert ilk("cluster", photos, "-o", "run", *CLASSIC, "--no-cache").code == 0
    assert not (home.parent / "xdg").exists()
    assert not (home / "run" / "cache").exists()
