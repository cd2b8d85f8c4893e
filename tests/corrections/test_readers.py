"""Every reader of a run sees the groups as they are; what was found is there for who asks for it."""

from __future__ import annotations

import base64
import csv
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from trial import Ilk, refused, tree

import ilk as package
from ilk.errors import ArgumentError, RunError
from ilk.runs import Run

# of the fixture: 36 images in 3 groups, `0_0000.png` is of pattern 0 and so on; each pattern is a group


@pytest.fixture
def run(finished_copy: Path) -> Run:
    return package.load_run(finished_copy)


@pytest.fixture
def of(run: Run) -> Callable[[int], int]:
    """Group in which the images of a pattern were found."""
    found = dict(zip(run.images()["path"], run.uncorrected().labels().tolist(), strict=True))
    return lambda pattern: found[f"{pattern}_{pattern:04}.png"]


def rows(path: Path) -> dict[str, dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def test_labels_tables_and_groups(run: Run, of: Callable[[int], int]) -> None:
    before = {name: tree(run.path)[str(run.path / name)] for name in ("assignments.parquet", "clusters.json")}
    run.corrections.move("0_0003.png", to=of(1))
    run.corrections.merge(of(1), of(2))
    run.corrections.rename(of(1), "both")
    run.corrections.note(of(1), "look again")
    paths, labels = run.images()["path"], run.labels()
    for path, label in zip(paths, labels.tolist(), strict=True):
        assert label == (of(0) if path.startswith("0") and path != "0_0003.png" else of(1)), path
    table = run.assignments()
    assert table["group"] == labels[table["index"]].tolist()
    at = table["index"].index(paths.index("0_0003.png"))
    assert [table[name][at] for name in ("confidence", "distance", "silhouette")] == [None] * 3
    assert table["second"][at] == of(0)  # where it was found
    assert {*table["second"]} <= {of(0), of(1), -1}
    groups = {group["id"]: group for group in run.clusters()}
    assert {*groups} == {of(0), of(1)}
    assert (groups[of(1)]["name"], groups[of(1)]["note"]) == ("both", "look again")
    assert (groups[of(0)]["size"], groups[of(1)]["size"]) == (11, 25)
    for number, group in groups.items():
        for key in ("exemplars", "borderline"):
            assert {labels[row] for row in group[key]} <= {number}
        assert group["exemplars"]
        assert group["nearest"] in (None, *({*groups} - {number}))
    patterns = {paths[row][0] for row in groups[of(1)]["exemplars"]}
    assert {"1", "2"} <= patterns  # of both groups that were merged
    found = run.uncorrected()
    assert sorted(np.bincount(found.labels()).tolist()) == [12, 12, 12]
    assert {group["name"] for group in found.clusters()} == {"group 0", "group 1", "group 2"}
    assert package.load_run(run.path, uncorrected=True).labels().tolist() == found.labels().tolist()
    assert {name: tree(run.path)[str(run.path / name)] for name in before} == before


def test_ignored_and_new_and_emptied(run: Run, of: Callable[[int], int]) -> None:
    zeros = [path for path in run.images()["path"] if path.startswith("0_")]
    run.corrections.new(zeros[:2], "first two")
    run.corrections.ignore(zeros[2:4])
    run.corrections.move(zeros[4:], to=of(1))
    sizes = {group["id"]: group["size"] for group in run.clusters()}
    assert sizes == {of(0): 0, of(1): 20, of(2): 12, 3: 2, -1: 2}
    groups = {group["id"]: group for group in run.clusters()}
    assert sorted(run.images()["path"][row] for row in groups[3]["exemplars"]) == zeros[:2]
    assert (groups[-1]["name"], groups[-1]["quality"]) == ("not assigned", None)
    assert run.summary()["n_clusters"] == 3
    assert [group["id"] for group in run.summary()["groups"]] == [*sorted({of(1), of(2), 3}), -1]


def test_halves_of_a_group_are_found_by_its_features(run: Run, of: Callable[[int], int]) -> None:
    run.corrections.merge(of(0), of(1), of(2))
    new = run.corrections.split(of(0), examples="2_0002.png").arguments["to"]
    run.corrections.split(of(0))
    patterns: dict[int, set[str]] = {}
    for path, label in zip(run.images()["path"], run.labels().tolist(), strict=True):
        patterns.setdefault(label, set()).add(path[0])
    assert sorted(map(sorted, patterns.values())) == [["0"], ["1"], ["2"]]
    assert patterns[new] == {"2"}
    said = run.corrections.grouping().said
    assert np.flatnonzero(said).tolist() == [run.images()["path"].index("2_0002.png")]
    with pytest.raises(ArgumentError, match="is not in group"):
        run.corrections.split(of(0), examples="2_0002.png")
    alone = run.corrections.new("0_0000.png").arguments["to"]
    with pytest.raises(ArgumentError, match="cannot be split: it has no two images"):
        run.corrections.split(alone)


def test_images_by_path_row_and_hash(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, paths, content = run.corrections, run.images()["path"], run.hashes()
    row = paths.index("1_0004.png")
    names = ["1_0004.png", row, str(row), content[row], content[row][:12].upper(), str(photos / "1_0004.png")]
    for name in names:
        assert made.confirm(name).arguments["images"] == [content[row]], name
    assert made.confirm(np.int64(row)).arguments["images"] == [content[row]]
    monkeypatch.chdir(photos)
    assert made.confirm("./1_0004.png").arguments["images"] == [content[row]]
    with pytest.raises(ArgumentError, match=r"no image 1_004\.png.*Did you mean '1_0\d+\.png'"):
        made.confirm("1_004.png")
    with pytest.raises(ArgumentError, match="no image 36"):
        made.confirm(36)
    with pytest.raises(ArgumentError, match="no group grup 1"):
        made.move(0, "grup 1")
    made.rename(1, "sleeves")
    with pytest.raises(ArgumentError, match=r"Did you mean 'sleeves'"):
        made.move(0, "sleves")
    assert made.move(0, "Sleeves").arguments["to"] == 1
    made.merge(1, 2)
    with pytest.raises(ArgumentError, match="group 2 was merged into group 1"):
        made.move(0, 2)


def test_copies_go_together_and_unreadable_files_nowhere(tmp_path: Path, photos: Path) -> None:
    folder = shutil.copytree(photos, tmp_path / "photos")
    shutil.copy(folder / "0_0003.png", folder / "copy.png")
    (folder / "broken.png").write_text("no")
    options = {"n_clusters": 3, "encoder": "pixels", "preset": "tiny", "cache": None}
    run = package.cluster(folder, tmp_path / "run", options=options)
    other = next(group for group in range(3) if group != run.labels()[run.images()["path"].index("copy.png")])
    run.corrections.move("copy.png", to=other)
    labels = dict(zip(run.images()["path"], run.labels().tolist(), strict=True))
    assert labels["copy.png"] == labels["0_0003.png"] == other
    assert labels["broken.png"] == -2
    with pytest.raises(ArgumentError, match=r"broken\.png could not be read"):
        run.corrections.ignore("broken.png")
    done = package.export(run, tmp_path / "out", layout="csv")
    assert rows(done.table)["broken.png"]["group"] == ""
    # files are known by their content: another run of renamed files takes the same journal
    (folder / "0_0003.png").rename(folder / "renamed.png")
    again = package.cluster(folder, tmp_path / "again", options=options)
    shutil.copy(run.corrections.path, again.path)
    labels = dict(zip(again.images()["path"], again.labels().tolist(), strict=True))
    assert labels["renamed.png"] == labels["copy.png"] == other


def test_exports(run: Run, of: Callable[[int], int], tmp_path: Path) -> None:
    package.export(run, tmp_path / "out")
    run.corrections.merge(of(0), of(1))
    run.corrections.rename(of(0), "both")
    run.corrections.ignore("2_0002.png")
    run.corrections.new(["2_0005.png"], "mine")
    done = package.export(run, tmp_path / "out")
    folders = {path.name: len(list(path.iterdir())) for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert folders == {f"{of(0):02}-both": 24, f"{of(2):02}-group": 10, "03-mine": 1, "not-assigned": 1}
    found = rows(done.table)
    assert (found["2_0002.png"]["group"], found["2_0002.png"]["group_name"]) == ("-1", "not assigned")
    assert (found["2_0005.png"]["group_name"], found["2_0005.png"]["confidence"]) == ("mine", "")
    assert found["2_0005.png"]["second"] == str(of(2))
    assert {row["silhouette"] for row in found.values() if row["group"] == str(of(0))} == {""}
    for layout, name in (("parquet", "groups.parquet"), ("embedding-atlas", "atlas.parquet")):
        package.export(run, tmp_path / layout, layout=layout)
        table = pq.read_table(tmp_path / layout / name).to_pydict()
        groups = dict(zip(table["path"], table["group"], strict=True))
        assert [groups[path] for path in ("0_0000.png", "1_0001.png", "2_0002.png", "2_0005.png")] == [
            of(0),
            of(0),
            -1,
            3,
        ]
    package.export(run, tmp_path / "folder", layout="imagefolder")
    with open(tmp_path / "folder" / "metadata.csv", encoding="utf-8", newline="") as file:
        assert {row["confidence"] for row in csv.DictReader(file) if row["label"] == "03-mine"} == {""}
    package.export(run, tmp_path / "fiftyone", layout="fiftyone")
    labels = json.loads((tmp_path / "fiftyone" / "labels.json").read_text("utf-8"))
    assert "03-mine" in labels["classes"]
    plain = package.export(run.uncorrected(), tmp_path / "plain", layout="csv")
    assert {row["group_name"] for row in rows(plain.table).values()} == {"group 0", "group 1", "group 2"}


def test_scores_of_both(run: Run, of: Callable[[int], int]) -> None:
    before = package.evaluate(run, "prefix")
    run.corrections.move("0_0003.png", to=of(1))
    assert run.scores() is None  # nobody has scored these groups
    assert run.uncorrected().scores()["acc"] == before["acc"] == 1
    scores = package.evaluate(run, "prefix")
    assert scores["acc"] == pytest.approx(35 / 36)
    assert scores["uncorrected"] == before
    assert run.scores() == {"labels": "prefix", **scores, "uncorrected": {"labels": "prefix", **before}}
    assert run.summary()["scores"]["acc"] == scores["acc"]
    written = tree(run.path)
    assert package.evaluate(run, "prefix") == scores
    assert tree(run.path) == written  # says nothing else
    run.corrections.undo()
    assert package.evaluate(run, "prefix") == before
    assert package.evaluate(run.uncorrected(), "prefix") == before


def test_comparing(run: Run, finished: Path, of: Callable[[int], int]) -> None:
    run.corrections.move("0_0003.png", to=of(1))
    run.corrections.rename(of(1), "ones")
    found = package.compare([finished, run])
    assert [row["path"] for row in found.moved()] == ["0_0003.png"]
    assert found.moved()[0]["group_name_b"] == "ones"
    assert package.compare([finished, run.uncorrected()]).moved() == []


def test_predictions(ilk: Ilk, run: Run, of: Callable[[int], int], photos: Path) -> None:
    images = [str(photos / f"{i}_{i:04}.png") for i in range(3)]
    plain = package.predict(run, images)
    run.corrections.merge(of(1), of(2))
    run.corrections.rename(of(1), "both")
    run.corrections.new(["0_0003.png"], "mine")
    found = package.predict(run, images)
    assert found.group.tolist() == [of(0), of(1), of(1)]
    assert found.columns()["group_name"] == [f"group {of(0)}", "both", "both"]
    assert found.second[0] == 3  # of the same pattern, and known to whoever places new images
    assert {*found.second[1:].tolist()} <= {of(0), 3}
    assert found.known.tolist() == plain.known.tolist()
    assert found.confidence.tolist() == pytest.approx([1, 1, 1])  # copies of images of the run go where these are
    alone = package.predict(run, images[1])  # in no company either
    assert (alone.group.tolist(), alone.confidence.tolist()) == ([of(1)], pytest.approx([1]))
    assert {one["group"] for one in found.nearest[0] if one["path"] == "0_0003.png"} <= {3}
    assert "placed by the groups as they are now" in found.notes[0]
    machine = package.predict(run.uncorrected(), images)
    assert (machine.group.tolist(), machine.notes) == (plain.group.tolist(), [])
    said = ilk("predict", run.path, *images)
    assert "group    both, " in said.out
    assert "note     placed by the groups as they are now" in said.out
    model = run.model()  # knows the groups that it found
    assert model.labels_.tolist() == run.uncorrected().labels().tolist()


def test_the_report(ilk: Ilk, run: Run, of: Callable[[int], int]) -> None:
    run.corrections.merge(of(1), of(2))
    run.corrections.rename(of(1), "both of them")
    run.corrections.new(["0_0003.png"], "mine alone")
    assert ilk("report", run.path, "-o", "page.html").code == 0
    page = Path("page.html").read_text("utf-8")
    assert "both of them" in page
    assert "mine alone" in page
    assert "<dt>corrections by hand</dt><dd>3</dd>" in page
    assert ilk("report", run.path, "-o", "page.html", "--uncorrected").code == 0
    page = Path("page.html").read_text("utf-8")
    assert "both of them" not in page
    assert "corrections by hand" not in page


def test_the_plots_are_drawn_anew_with_the_report(ilk: Ilk, run: Run, of: Callable[[int], int]) -> None:
    contacts = {path.name for path in (run.path / "plots").glob("contact-*.png")}
    sizes = (run.path / "plots" / "sizes.png").read_bytes()
    run.corrections.merge(of(1), of(2))
    assert ilk("report", run.path, "-o", "page.html").code == 0  # the run itself stays as it is
    assert (run.path / "plots" / "sizes.png").read_bytes() == sizes
    assert ilk("report", run.path).code == 0
    assert {path.name for path in (run.path / "plots").glob("contact-*.png")} == contacts - {f"contact-{of(2)}.png"}
    assert (run.path / "plots" / "sizes.png").read_bytes() != sizes
    assert ilk("report", run.path, "--uncorrected").code == 0
    assert {path.name for path in (run.path / "plots").glob("contact-*.png")} == contacts
    assert (run.path / "plots" / "sizes.png").read_bytes() == sizes


def test_the_report_says_who_put_an_image_into_its_group(ilk: Ilk, run: Run, of: Callable[[int], int]) -> None:
    run.corrections.move("0_0003.png", to=of(1))
    run.corrections.confirm("1_0001.png")
    assert ilk("report", run.path, "-o", "page.html").code == 0
    text = Path("page.html").read_text("utf-8").partition('id="pictures-data">')[2].partition("<")[0]
    said = json.loads(gzip.decompress(base64.b64decode(text)))["said"]
    rows = {path: str(row) for row, path in enumerate(run.images()["path"])}
    assert said == {rows["0_0003.png"]: "put here by a person", rows["1_0001.png"]: "confirmed by a person"}


def test_a_run_without_contents_goes_by_paths(run: Run) -> None:
    table = pq.read_table(run.path / "images.parquet")
    pq.write_table(table.drop_columns(["content"]), run.path / "images.parquet")
    action = run.corrections.move("0_0003.png", to=(int(run.labels()[3]) + 1) % 3)
    assert action.arguments["images"] == ["path:0_0003.png"]
    assert package.load_run(run.path).labels()[run.images()["path"].index("0_0003.png")] == action.arguments["to"]


def test_a_corrected_run_is_not_overwritten(ilk: Ilk, run: Run, photos: Path) -> None:
    run.corrections.rename(0, "mine")
    before = tree(run.path)
    again = ilk("cluster", photos, "-o", run.path, "-k", "3", "--encoder", "pixels", "--overwrite")
    refused(again, "was corrected by hand", "corrections.jsonl")
    assert tree(run.path) == before


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command(ilk: Ilk, run: Run, of: Callable[[int], int]) -> None:
    path = run.path
    assert "no corrections" in ilk("correct", path).out
    said = ilk("correct", path, "--move", "0_0003.png", "0_0006.png", "--to", of(1))
    assert (said.code, said.err) == (0, "")
    assert "moved    2 images: 0_0003.png, 0_0006.png to group" in said.out
    assert f"group {of(0)}: 12 -> 10" in said.out
    assert "--undo" in said.out
    steps: list[tuple[Any, ...]] = [
        ("--rename", of(1), "long", "name"),
        ("--merge", "long name", of(2)),
        ("--split", of(1)),
        ("--note", of(0), "two words"),
        ("--ignore", 0, "1_0001.png"),
        ("--confirm", "0_0009.png"),
        ("--new", "0_0012.png", "0_0015.png", "--name", "mine"),
        ("--undo",),
        ("--redo",),
    ]
    for step in steps:
        said = ilk("correct", path, *step, "--json")
        assert said.code == 0, (step, said)
        assert said.json["do"] == step[0].removeprefix("--")
        assert said.json["sizes"] == [
            {"id": group, "name": run.grouping().names.get(group, ""), "size": size}
            for group, size in run.grouping().sizes().items()
        ]
    listed = ilk("correct", path, "--list", "--json").json
    assert [one["do"] for one in listed["corrections"]] == ["move", *(step[0][2:] for step in steps[:-2])]
    assert all(one["in_effect"] for one in listed["corrections"])
    assert (listed["n_corrections"], listed["n_redo"]) == (8, 0)
    assert "two words" in ilk("correct", path).out
    said = ilk("info", path)
    assert "by hand  8 corrections" in said.out
    assert "mine" in said.out
    summary = ilk("info", path, "--json").json["summary"]
    assert summary["n_corrections"] == 8
    assert sum(summary["sizes"]) == 34
    assert "by hand" not in ilk("info", path, "--uncorrected").out
    said = ilk("evaluate", path, "--labels", "prefix")
    assert "by hand  ACC" in said.out
    assert "as found ACC 1.000" in said.out
    both = ilk("evaluate", path, "--labels", "prefix", "--json").json
    assert both["uncorrected"]["acc"] == 1 > both["scores"]["acc"]
    assert "uncorrected" not in ilk("evaluate", path, "--labels", "prefix", "--json", "--uncorrected").json
    while ilk("correct", path, "--undo").code == 0:
        pass
    refused(ilk("correct", path, "--undo"), "nothing to undo")
    assert run.labels().tolist() == run.uncorrected().labels().tolist()
    assert run.grouping().redo == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--move", "0", "--undo"), "one correction at a time"),
        (("--undo", "--list"), "one correction at a time"),
        (("--move", "0"), "--move IMG… --to GROUP"),
        (("--to", "1"), "--to goes with --move"),
        (("--ignore", "0", "--name", "x"), "--name goes with --new"),
        (("--rename", "1"), "--rename A NAME"),
        (("--note", "1"), "--note A TEXT"),
        (("0_0000.png",), "say what to do with it"),
        (("--undo", "0_0000.png"), "say what to do with it"),
    ],
)
def test_wrong_usage(ilk: Ilk, finished: Path, arguments: tuple[str, ...], words: str) -> None:
    before = tree(finished)
    said = ilk("correct", finished, *arguments)
    assert said.code == 2
    assert words in " ".join(said.err.replace("│", " ").split())
    assert tree(finished) == before


def test_a_torn_line_is_said(ilk: Ilk, run: Run) -> None:
    run.corrections.rename(0, "mine")
    with open(run.corrections.path, "ab") as file:
        file.write(b'{"n": 2, "do": "ren')
    for command in (("info",), ("correct",), ("correct", "--rename", "1", "next")):
        said = ilk(command[0], run.path, *command[1:])
        assert said.code == 0
        assert "was cut off" in said.out
    assert "cut off" not in ilk("info", run.path).out
    assert [group["name"] for group in run.clusters()][:2] == ["mine", "next"]


def test_a_run_on_a_read_only_disk(ilk: Ilk, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.disk.unwritable", lambda folder: "Read-only file system")
    refused(ilk("correct", run.path, "--rename", "0", "x"), "Read-only file system", "it can be looked at")
    assert ilk("correct", run.path).code == 0
    with pytest.raises(RunError, match="it can be looked at"):
        run.corrections.rename(0, "x")
