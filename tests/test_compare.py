"""Runs side by side: pairs with a known match, known pieces and known movers."""

from __future__ import annotations

import csv
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from trial import SMALL, Ilk, tree, write_images

import ilk
from ilk import comparing, runs
from ilk.errors import ArgumentError, DataError
from ilk.report import flow

Make = Callable[..., runs.Run]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a run with the given labels; -2 is unreadable."""
    count = itertools.count()

    def build(labels: list[int], kind: str = "folder", spec: str | None = "/photos", **other: object) -> runs.Run:
        n = len(labels)
        paths = other.get("paths", [f"{i:03}.jpg" for i in range(n)])
        read = [i for i, label in enumerate(labels) if label != -2]
        source = {"spec": spec, "split": "all", "n": n, "kind": kind, "fingerprint": other.get("fingerprint", "f")}
        header = {"method": "transfer", "params": {}, "source": source, "summary": {}}
        writer = runs.begin(tmp_path / f"run{next(count)}", header)
        writer.table(
            "images.parquet",
            {
                "index": list(range(n)),
                "path": paths,
                "bytes": other.get("bytes", [100] * n),
                "width": [5] * n,
                "height": [5] * n,
                "reason": [None] * n,
                "duplicate_of": pa.array([None] * n, pa.string()),
                "status": ["unreadable" if label == -2 else "ok" for label in labels],
                **({"content": other["content"]} if "content" in other else {}),
            },
        )
        mine = [labels[i] for i in read]
        zeros = np.zeros(len(read), np.float32)
        columns = {**dict.fromkeys(("confidence", "distance", "silhouette"), zeros), "second": zeros.astype(np.int64)}
        writer.table("assignments.parquet", {"index": read, "group": mine, **columns})
        names = {i: f"group {i}" for i in set(mine)} | dict(other.get("names", {}))  # type: ignore[call-overload]
        writer.json("clusters.json", [{"id": i, "name": names[i], "size": mine.count(i)} for i in sorted(set(mine))])
        return runs.load_run(writer.finish())

    return build


# -- known pairs -------------------------------------------------------------------------------------------------------


def test_a_run_and_itself(finished: Path) -> None:
    before = tree(finished)
    found = ilk.compare([finished, str(finished)])
    assert tree(finished) == before  # a run is never written into
    assert found.pairs == [{"a": 0, "b": 1, "ari": 1.0, "nmi": 1.0, "same": 1.0}]
    (step,) = found.steps
    assert (step.n_moved, step.split, step.merged, found.moved()) == (0, [], [], [])
    assert [(row["a"], row["b"], row["jaccard"]) for row in step.matched] == [(0, 0, 1), (1, 1, 1), (2, 2, 1)]
    assert (found.n_common, found.n_only) == (36, [0, 0])


def test_other_numbers_for_the_same_groups(make: Make) -> None:
    labels = [0] * 9 + [1] * 7 + [2] * 5 + [-1] * 2
    other = [{0: 2, 1: 0, 2: 1, -1: -1}[label] for label in labels]
    found = ilk.compare([make(labels), make(other)])
    assert found.pairs[0]["ari"] == found.pairs[0]["nmi"] == 1
    assert {row["a"]: row["b"] for row in found.steps[0].matched} == {0: 2, 1: 0, 2: 1, -1: -1}
    assert found.steps[0].n_moved == 0
    assert found.moved() == []


def test_pieces_and_movers_by_hand(make: Make, tmp_path: Path) -> None:
    #    0: divided into 0 (6) and 3 (4)   1 and 2: united in 1   4: stays, but one goes to 0 and one to nobody
    a = [0] * 10 + [1] * 5 + [2] * 6 + [4] * 8 + [-1] * 2
    b = [0] * 6 + [3] * 4 + [1] * 5 + [1] * 6 + [2] * 6 + [0, -1] + [-1, 2]
    found = ilk.compare([make(a), make(b)])
    (step,) = found.steps
    assert {row["a"]: row["b"] for row in step.matched} == {0: 0, 2: 1, 4: 2, -1: -1}
    sizes = {row["a"]: (row["size_a"], row["size_b"], row["common"]) for row in step.matched}
    assert sizes == {0: (10, 7, 6), 2: (6, 11, 6), 4: (8, 7, 6), -1: (2, 2, 1)}
    assert step.matched[0]["jaccard"] == pytest.approx(6 / 11)
    assert step.split == [{"group": 0, "size": 10, "into": [{"group": 0, "n": 6}, {"group": 3, "n": 4}]}]
    assert step.merged == [{"group": 1, "size": 11, "of": [{"group": 2, "n": 6}, {"group": 1, "n": 5}]}]
    kinds = {(one.a, one.b): (one.n, one.kind) for one in step.flows}
    assert kinds == {
        (0, 0): (6, "same"),
        (2, 1): (6, "same"),
        (4, 2): (6, "same"),
        (-1, -1): (1, "same"),
        (1, 1): (5, "part"),
        (0, 3): (4, "part"),
        (4, 0): (1, "moved"),
        (4, -1): (1, "moved"),
        (-1, 2): (1, "moved"),
    }
    assert (step.n_moved, step.n_moved_away) == (12, 3)
    assert next(one.examples for one in step.flows if one.kind == "part") == [f"{i:03}.jpg" for i in range(10, 15)]
    found.write_moved(tmp_path / "moved.csv")
    with open(tmp_path / "moved.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert [(row["path"], row["group_name_a"], row["group_name_b"], row["kind"]) for row in rows[-3:]] == [
        ("027.jpg", "group 4", "group 0", "moved"),
        ("028.jpg", "group 4", "not assigned", "moved"),
        ("030.jpg", "not assigned", "group 2", "moved"),
    ]


def test_scores_are_those_of_scikit_learn(make: Make) -> None:
    rng = np.random.default_rng(0)
    labels = [rng.integers(-1, k, 200).tolist() for k in (3, 5, 9)]
    found = ilk.compare([make(one) for one in labels])
    assert [(pair["a"], pair["b"]) for pair in found.pairs] == [(0, 1), (0, 2), (1, 2)]
    for pair in found.pairs:
        a, b = labels[pair["a"]], labels[pair["b"]]
        assert pair["ari"] == pytest.approx(adjusted_rand_score(a, b))
        assert pair["nmi"] == pytest.approx(normalized_mutual_info_score(a, b))
    assert len(found.steps) == 2


def test_no_other_match_keeps_more_images(make: Make) -> None:
    rng = np.random.default_rng(1)
    for k in (3, 4):
        a, b = rng.integers(0, 4, 60), rng.integers(0, k, 60)
        partner = comparing.match(a, b)
        kept = sum(partner.get(x) == y for x, y in zip(a.tolist(), b.tolist(), strict=True))
        best = max(
            sum(order[x] == y for x, y in zip(a.tolist(), b.tolist(), strict=True))
            for order in itertools.permutations([*range(k), *([None] * (4 - k))])
        )
        assert kept == best
    # of two matches that keep as many images, the one with the better overlap: 1 is the smaller group
    a = np.array([0] * 4 + [-1] * 8)
    assert comparing.match(a, np.array([0, 0, 1, 1] + [0] * 8)) == {0: 1}
    assert comparing.match(a, np.array([0, 0, 1, 1] + [1] * 8)) == {0: 0}


# -- which images are the same -----------------------------------------------------------------------------------------


def test_images_that_one_run_lacks(make: Make) -> None:
    found = ilk.compare([make([0, 0, 1, 1, -2, 1]), make([0, 0, 1, 1, 1, -2, 1], bytes=[100] * 7)])
    assert (found.n_common, found.n_only) == (4, [1, 2])
    assert found.pairs[0]["ari"] == 1


def test_same_names_in_other_sources(make: Make) -> None:
    """Two cameras both write 000.jpg: of different sources, sizes must agree too."""
    one, moved = make([0, 0, 1, 1]), make([0, 0, 1, 1], spec="/elsewhere", fingerprint="g")
    assert ilk.compare([one, moved]).n_common == 4
    other = make([0, 0, 1, 1], spec="/camera2", fingerprint="h", bytes=[90, 100, 91, 92])
    assert ilk.compare([one, other]).n_common == 1
    none = make([0, 0, 1, 1], spec="/camera3", fingerprint="i", bytes=[90, 91, 92, 93])
    with pytest.raises(DataError, match=r"images of /photos.*images of /camera3.*no image in common"):
        ilk.compare([one, none])
    edited = make([0, 0, 1, 1], fingerprint="j", bytes=[90, 91, 92, 93])  # the same folder, later
    assert ilk.compare([one, edited]).n_common == 4


def test_contents_decide_where_both_runs_know_them(make: Make) -> None:
    a, b = [f"{i:032x}" for i in range(5)], [f"{i:032x}" for i in (0, 1, 7, 3, 8)]
    labels = [0, 0, 1, 1, 1]
    one = make(labels, content=a)
    for kind, spec, fingerprint in [("folder", "/camera2", "g"), ("folder", "/photos", "h"), ("tar", "/p.tar", "i")]:
        found = ilk.compare([one, make(labels, kind, spec, fingerprint=fingerprint, content=b)])
        assert (found.n_common, found.n_only) == (3, [2, 2])
    copied = make(labels, spec="/copy", fingerprint="j", content=a, bytes=[1] * 5)  # contents say more than sizes
    assert ilk.compare([one, copied]).n_common == 5
    others = make(labels, content=[f"{i:032x}" for i in range(10, 15)])
    with pytest.raises(DataError, match=r"no image in common \(names are the same, and what is in the files is not\)"):
        ilk.compare([one, others])
    older = make(labels, spec="/copy", fingerprint="k")
    assert ilk.compare([one, older]).n_common == ilk.compare([older, one]).n_common == 5
    assert ilk.compare([one, make(labels, content=[*a[:4], None])]).n_common == 5


def test_two_cameras_write_the_same_names(tmp_path: Path) -> None:
    made = []
    for seed in (0, 1):
        folder = tmp_path / f"camera{seed}"
        folder.mkdir()
        rng = np.random.default_rng(seed)
        for i in range(12):  # uncompressed: all of one size
            pixels = rng.integers(0, 60, (8, 8)) + 190 * (i % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"IMG_{i:04}.bmp")
        quick = {"n_clusters": 2, "encoder": "pixels", "preset": "tiny", "cache": None}
        made.append(ilk.cluster(folder, tmp_path / f"run{seed}", options=quick, names=False))
    with pytest.raises(DataError, match="no image in common"):
        ilk.compare(made)
    moved = shutil.copytree(tmp_path / "camera0", tmp_path / "moved")
    again = ilk.cluster(moved, tmp_path / "run2", options=quick, names=False)
    assert ilk.compare([made[0], again]).n_common == 12


def test_arrays_are_the_same_where_their_pixels_are(make: Make) -> None:
    names = [f"{i:06}" for i in range(4)]
    a = make([0, 0, 1, 1], "npz", "/a.npz", paths=names, fingerprint="a")
    with pytest.raises(DataError, match="no image in common"):
        ilk.compare([a, make([0, 0, 1, 1], "npz", "/b.npz", paths=names, fingerprint="b")])
    with pytest.raises(DataError, match="no image in common"):
        ilk.compare([a, make([0, 0, 1, 1], "npz", "/a.npz", paths=names, fingerprint="changed")])
    assert ilk.compare([a, make([0, 0, 1, 1], "npz", "/copy.npz", paths=names, fingerprint="a")]).n_common == 4


def test_runs_that_cannot_be_compared(make: Make, finished: Path) -> None:
    with pytest.raises(ArgumentError, match="two runs or more, got 1"):
        ilk.compare([finished])
    with pytest.raises(DataError, match="no image in common"):
        ilk.compare([finished, make([0, 1])])


# -- the picture -------------------------------------------------------------------------------------------------------


def drawn(labels: list[list[int]], make: Make, path: Path, **other: object) -> Image.Image:
    ilk.compare([make(one, **other) for one in labels]).draw(path)
    return Image.open(path)


def test_bands_and_bars_add_up(make: Make) -> None:
    """At every bar the bands leave no gap and do not overlap: each image is drawn once on either side."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(-1, 6, 500).tolist(), rng.integers(-1, 40, 500).tolist()
    found = ilk.compare([make(a), make(b)])
    shown = [flow._largest(sizes) for sizes in found.sizes]
    bands = [(one.a, one.b, one.n, one.kind) for one in found.steps[0].flows]
    folded = flow._folded(bands, *shown)
    assert len(shown[1]) == flow.MAX_GROUPS - 1
    assert shown[1][-1] == -1
    assert sum(sum(kinds.values()) for kinds in folded.values()) == 500
    columns = [
        {"title": "x", "names": names, "sizes": sizes} for names, sizes in zip(found.names, found.sizes, strict=True)
    ]
    stacks = [flow._stack(column, ids, 0.01) for column, ids in zip(columns, shown, strict=True)]
    for stack in stacks:
        flow._place(stack, 20)
        assert sum(bar.size for bar in stack.values()) == 500
        edges = [edge for bar in stack.values() for edge in (bar.low + bar.height, bar.low)]
        assert edges == sorted(edges, reverse=True)  # no bar over another
    figure = flow.draw_flow(columns, [bands], [{}])
    flow._draw_bands(figure.axes[0], *stacks, folded, 0, 1, 0.01)
    for bar in stacks[0].values():
        assert bar.right == pytest.approx(bar.low)
    for bar in stacks[1].values():
        assert bar.left == pytest.approx(bar.low)


def test_a_picture_without_moves_has_no_red(make: Make, tmp_path: Path) -> None:
    def red(image: Image.Image) -> int:
        pixels = np.asarray(image.convert("RGB")).astype(int)[: int(image.height * 0.85)]  # not the legend
        return int(((pixels[..., 0] - pixels[..., 2] > 60) & (pixels[..., 0] > 150)).sum())

    still = drawn([[0] * 50 + [1] * 50, [1] * 50 + [0] * 50], make, tmp_path / "still.png")
    moving = drawn([[0] * 50 + [1] * 50, [0] * 30 + [1] * 70], make, tmp_path / "moving.png")
    assert red(still) == 0
    assert red(moving) > 1000


def test_hostile_names_are_drawn(make: Make, tmp_path: Path) -> None:
    names = {0: "$\\frac{1$", 1: "two\nlines\u202e", 2: "日本" * 60}
    for ending in ("png", "svg", "pdf"):
        ilk.compare([make([0, 1, 2, -1], names=names)] * 3).draw(tmp_path / f"flow.{ending}")
        assert (tmp_path / f"flow.{ending}").stat().st_size > 1000


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command(finished: Path, photos: Path, ilk: Ilk, tmp_path: Path) -> None:
    assert ilk("cluster", photos, "-o", "two", "-k", "2", *SMALL).code == 0
    before = tree(finished), tree(Path("two"))
    said = ilk("compare", finished, "two", "-o", "flow.png", "--moved", "moved.csv", "--json")
    assert said.code == 0
    assert (tree(finished), tree(Path("two"))) == before
    assert said.json["n_common"] == 36
    assert [run["n_clusters"] for run in said.json["runs"]] == [3, 2]
    assert len(said.json["steps"][0]["merged"]) == 1
    assert said.json["steps"][0]["n_moved"] == 12
    with Image.open("flow.png") as picture:
        assert picture.width > 500
    assert len(Path("moved.csv").read_text().splitlines()) == 13
    said = ilk("compare", finished, "two")
    assert said.code == 0
    for words in ("common   36 images", "ARI", "merged ", "moved    12 of 36 images (33.3 %)", "-o flow.png"):
        assert words in said.out
    for options, words in [
        (("-o", "flow.gif"), ".png or .svg or .pdf"),
        (("--moved", "moved.xls"), ".csv"),
        (("-o", "no/such/flow.png"), "a folder that exists"),
    ]:
        said = ilk("compare", finished, "two", *options)
        assert said.code == 1
        assert words in said.err
    assert "two runs or more" in ilk("compare", finished).err
    assert ilk("compare").code == 2


def test_a_renamed_group_shows_its_name(finished: Path, photos: Path, ilk: Ilk) -> None:
    copy = Path(shutil.copytree(finished, "copy"))
    text = (copy / "clusters.json").read_text().replace('"group 1"', '"long sleeves"')
    (copy / "clusters.json").write_text(text)
    assert "long sleeves" in ilk("compare", finished, copy).out


def test_more_images_in_the_later_run(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", 18)
    quick = {"n_clusters": 3, "encoder": "pixels", "preset": "tiny", "cache": None}
    first = ilk.cluster(folder, tmp_path / "one", options=quick)
    write_images(folder / "more", 6, seed=4)
    second = ilk.cluster(folder, tmp_path / "two", options=quick)
    found = ilk.compare([first, second])
    assert (found.n_common, found.n_only, found.steps[0].n_moved) == (18, [0, 6], 0)
    assert pq.read_table(first.path / "images.parquet").num_rows == 18
