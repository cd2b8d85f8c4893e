"""Words for groups, from the job to every place where a group is shown; old runs and odd files have none."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from trial import Ilk, refused, write_images

import ilk as package
from ilk import naming, runs
from ilk import report as reports
from ilk.errors import ArgumentError, DataError
from ilk.naming import Guess, Named

OPTIONS = {"n_clusters": 3, "encoder": "pixels", "preset": "tiny", "cache": None}
SHOES = [{"word": "sandal", "share": 0.3, "lift": 9.9}, {"word": "clog", "share": 0.2, "lift": 9.8}]

Edit = Callable[[Mapping[int, Mapping[str, Any]]], Path]


@pytest.fixture
def edited(finished_copy: Path) -> Edit:
    """Change entries of groups in clusters.json of a finished run, by id."""

    def edit(changes: Mapping[int, Mapping[str, Any]]) -> Path:
        file = finished_copy / "clusters.json"
        groups = [{**group, **changes.get(group["id"], {})} for group in json.loads(file.read_text("utf-8"))]
        file.write_text(json.dumps(groups), "utf-8")
        return finished_copy

    return edit


def folders(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir() if path.is_dir())


# -- where they show ---------------------------------------------------------------------------------------------------


@pytest.fixture
def named(edited: Edit) -> Path:
    """Words for groups 0 and 1; a person has named group 1."""
    hat = [{"word": "hat", "share": 0.5, "lift": 3.0}]
    return edited({0: {"looks_like": SHOES}, 1: {"name": "sleeves", "looks_like": hat}, 2: {"looks_like": []}})


def test_on_the_screen(ilk: Ilk, named: Path) -> None:
    out = ilk("info", named).out
    assert re.search(r"^group +looks like +images", out, re.M)
    assert re.search(r"^group 0 +sandal, clog +12 ", out, re.M)
    assert re.search(r"^sleeves +12 ", out, re.M)
    assert re.search(r"^group 2 +12 ", out, re.M)
    assert "looks like: a guess" in out


def test_in_predictions_and_comparisons(ilk: Ilk, named: Path, finished: Path, photos: Path, home: Path) -> None:
    assert ilk("predict", named, photos, "-o", "placed.csv").code == 0
    with open(home / "placed.csv", newline="") as file:
        found = {(row["group"], row["group_name"], row["looks_like"]) for row in csv.DictReader(file)}
    assert found == {("0", "group 0", "sandal, clog"), ("1", "sleeves", "hat"), ("2", "group 2", "")}
    assert "group 0 (looks like sandal, clog)" in ilk("predict", named, photos).out
    out = ilk("compare", finished, named).out
    assert re.search(r"^group 0 +12 +group 0: sandal\? +12 ", out, re.M)
    assert re.search(r"^group 1 +12 +sleeves +12 ", out, re.M)


def test_in_exports(ilk: Ilk, named: Path, home: Path) -> None:
    assert ilk("export", named, "out").code == 0
    assert folders(home / "out") == ["00-sandal-clog", "01-sleeves", "02-group"]
    with open(home / "out" / "groups.csv", newline="") as file:
        found = {(row["group"], row["group_name"], row["looks_like"]) for row in csv.DictReader(file)}
    assert found == {("0", "group 0", "sandal, clog"), ("1", "sleeves", "hat"), ("2", "group 2", "")}
    assert ilk("export", named, "tables", "--as", "parquet").code == 0
    columns = pq.read_table(home / "tables" / "groups.parquet").to_pydict()
    found = set(zip(columns["group"], columns["looks_like"], strict=True))
    assert found == {(0, "sandal, clog"), (1, "hat"), (2, None)}
    assert ilk("export", named, "atlas", "--as", "embedding-atlas").code == 0
    atlas = pq.read_table(home / "atlas" / "atlas.parquet").to_pydict()
    assert set(atlas["caption"]) == {"group 0 (looks like sandal, clog)", "sleeves", "group 2"}


def test_a_name_given_later_renames_the_folder(ilk: Ilk, named: Path, home: Path) -> None:
    assert ilk("export", named, "out").code == 0
    text = (named / "clusters.json").read_text("utf-8").replace('"group 0"', '"summer shoes"')
    (named / "clusters.json").write_text(text, "utf-8")
    assert ilk("export", named, "out").code == 0
    assert folders(home / "out") == ["00-summer-shoes", "01-sleeves", "02-group"]


def test_in_the_report(named: Path) -> None:
    page = reports.write_report(runs.load_run(named)).read_text("utf-8")
    assert '<th scope="col">Looks like</th>' in page
    assert "looks like <bdi>sandal, clog</bdi>" in page
    assert "Group 1 “sleeves”" in page
    assert "hat</bdi>" not in page
    assert "is a guess" in page


ODD = [None, [], "sandal", 7, [7], [[]], [{"word": 7}], [{"word": ""}], [{"word": "x" * 61}], [{"word": "a\x1b"}]]


@pytest.mark.parametrize("words", ODD)
def test_runs_without_words_are_as_before(ilk: Ilk, edited: Edit, home: Path, words: Any) -> None:
    """Old runs have no such key; in a damaged one it may hold anything."""
    run = edited({0: {"looks_like": words}})
    if words is None:
        groups = json.loads((run / "clusters.json").read_text("utf-8"))
        bare = [{key: value for key, value in group.items() if key != "looks_like"} for group in groups]
        (run / "clusters.json").write_text(json.dumps(bare), "utf-8")
    said = ilk("info", run)
    assert said.code == 0
    assert "looks like" not in said.out
    assert ilk("export", run, "out").code == 0
    assert folders(home / "out") == ["00-group", "01-group", "02-group"]
    assert "Looks like" not in reports.write_report(runs.load_run(run)).read_text("utf-8")


def test_hostile_words_stay_words(ilk: Ilk, edited: Edit, home: Path) -> None:
    odd = ["a\u202eb\n", "../../etc", "<script>alert(1)</script>", "[bold]"]
    run = edited({0: {"looks_like": [{"word": word} for word in odd]}})
    assert "group 0  ../../etc, <script>alert(1)</script>, [bold]" in ilk("info", run).out
    assert "<script>alert" not in reports.write_report(runs.load_run(run)).read_text("utf-8")
    assert ilk("export", run, "out").code == 0
    assert len(folders(home / "out")) == 3
    assert all(name.startswith(("00-", "01-", "02-")) for name in folders(home / "out"))
    assert sorted(path.name for path in home.iterdir()) == ["out", "run"]


# -- how they come about -----------------------------------------------------------------------------------------------


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A stand-in for the network: what it was asked, and what it says."""
    box: dict[str, Any] = {"answer": Named({0: [Guess("sandal", 0.3, 9.9)], 1: [], 2: [Guess("hat", 1.0, 3.0)]})}

    def name_groups(encoder: Any, source: Any, encoded: Any, labels: Any, distance: Any, **given: Any) -> Named:
        box.update({"encoder": encoder, "labels": labels, "distance": distance, **given})
        given["before"]()
        if isinstance(box["answer"], Exception):
            raise box["answer"]
        return box["answer"]

    monkeypatch.setattr(naming, "name_groups", name_groups)
    return box


@pytest.mark.usefixtures("no_report")
def test_a_job_asks_once_its_groups_stand(home: Path, photos: Path, told: dict[str, Any]) -> None:
    events: list[dict[str, Any]] = []
    run = package.cluster(photos, "run", options=OPTIONS, on_event=events.append)
    groups = run.clusters()
    assert [group["looks_like"] for group in groups] == [
        [{"word": "sandal", "share": 0.3, "lift": 9.9}], [], [{"word": "hat", "share": 1.0, "lift": 3.0}],
    ]  # fmt: skip
    assert [group["name"] for group in groups] == ["group 0", "group 1", "group 2"]  # names stay for people to give
    assert run.header["summary"]["groups"] == [
        {key: group[key] for key in ("id", "name", "size", "looks_like")} for group in groups
    ]
    assert run.header["summary"]["seconds"]["name"] >= 0
    assert (told["words"], told["encoder"].name) == (None, "pixels")
    assert len(told["labels"]) == len(told["distance"]) == 36
    order = [event.get("stage", event["event"]) for event in events]
    assert order[-6:] == ["write", "name", "name", "write", "finishing", "done"]


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("trouble", [RuntimeError("the disk\nis gone"), DataError("no weights"), MemoryError("much")])
def test_no_trouble_costs_the_groups(home: Path, photos: Path, told: dict[str, Any], trouble: Exception) -> None:
    told["answer"] = trouble
    run = package.cluster(photos, "run", options=OPTIONS)
    assert {json.dumps(group["looks_like"]) for group in run.clusters()} == {"[]"}
    expected = f"no words for groups: {' '.join(str(trouble).split())}"
    assert expected in run.header["summary"]["warnings"]


@pytest.mark.usefixtures("no_report")
def test_nobody_is_asked_where_no_names_are_wanted(ilk: Ilk, photos: Path, told: dict[str, Any]) -> None:
    quick = ("-k", 3, "--encoder", "pixels", "--set", "preset=tiny", "--json")
    found = ilk("cluster", photos, "--no-names", *quick).json
    assert told.keys() == {"answer"}
    assert {json.dumps(group["looks_like"]) for group in found["groups"]} == {"[]"}
    assert "name" not in found["seconds"]
    usual = ilk("cluster", photos, *quick).json
    assert usual["groups"][0]["looks_like"] == [{"word": "sandal", "share": 0.3, "lift": 9.9}]
    assert usual["run"] != found["run"]  # another job


@pytest.mark.usefixtures("no_report")
def test_words_of_ones_own(ilk: Ilk, home: Path, photos: Path, told: dict[str, Any]) -> None:
    (home / "words.txt").write_text("cat\nfelt hat of my aunt\n")
    quick = ("-k", 3, "--encoder", "pixels", "--set", "preset=tiny", "--json")
    first = ilk("cluster", photos, "--words", "words.txt", *quick).json
    assert told["words"] == ["cat", "felt hat of my aunt"]
    (home / "words.txt").write_text("dog\n")
    assert ilk("cluster", photos, "--words", "words.txt", *quick).json["run"] != first["run"]
    assert told["words"] == ["dog"]
    package.cluster(photos, "in-python", options=OPTIONS, words=["shoe"])
    assert told["words"] == ["shoe"]


def test_words_that_cannot_be_used_are_said_before_any_work(ilk: Ilk, home: Path, photos: Path) -> None:
    refused(ilk("cluster", photos, "--words", "none.txt"), "none.txt", "no such file")
    (home / "words.txt").write_text("Kleid\n")
    refused(ilk("cluster", photos, "--words", "words.txt"), "none of the words (Kleid)")
    assert not (home / "ilk-runs").exists()
    with pytest.raises(ArgumentError, match="none of the words"):
        package.cluster(photos, words=["Kleid"], options=OPTIONS)


@pytest.mark.usefixtures("no_report")
def test_small_images_get_none(home: Path, tmp_path: Path) -> None:
    """Digits, and whatever is no larger: the network is not even loaded."""
    folder = write_images(tmp_path / "some", 12, side=12)
    write_images(folder / "more", 12, side=64, seed=3)
    run = package.cluster(folder, "run", options={**OPTIONS, "encoder": "classic", "n_clusters": 2})
    assert {json.dumps(group["looks_like"]) for group in run.clusters()} == {"[]"}
    assert not any("words for groups" in warning for warning in run.header["summary"]["warnings"])
    assert "name" not in run.header["summary"]["seconds"]
