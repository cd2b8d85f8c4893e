"""Which images are shown in which order, against a plain account of the same; facets; what is known of one image."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from asking import Browser
from PIL import Image

import ilk as package
from ilk import near
from ilk.gallery import Served, serving
from ilk.gallery.centres import Centres


def test_central_first_and_doubtful_last(page: Browser, served: Served) -> None:
    table = package.load_run(served.gallery.opened.path).assignments()
    distance, confidence = (dict(zip(table["index"], table[name], strict=True)) for name in ("distance", "confidence"))
    for group in range(3):
        found = page.get(f"/api/rows?group={group}")
        away = [distance[row] for row in found["rows"]]
        assert away == sorted(away)
        assert found["confidence"] == pytest.approx([confidence[row] for row in found["rows"]], abs=6e-4)
        doubtful = [confidence[row] for row in page.get(f"/api/rows?group={group}&sort=doubtful")["rows"]]
        assert doubtful == sorted(doubtful)


def test_the_central_images_are_those_of_the_report(page: Browser, served: Served) -> None:
    """As found; and of groups that got images, lost some, were merged, split off or made by hand."""
    own = [row for row, status in enumerate(served.gallery.opened.columns.status) if status == "ok"]

    def agree() -> None:
        for group in package.load_run(served.gallery.opened.path).clusters():
            rows = page.get(f"/api/rows?group={group['id']}")["rows"]
            assert [row for row in rows if row in own][:6] == group["exemplars"][:6], group

    agree()
    zero = page.get("/api/rows?group=0")["rows"]
    page.do(do="move", images=[zero[0], zero[3]], to=1)
    agree()
    page.do(do="merge", groups=[1, 2])
    agree()
    page.do(do="new", images=zero[5:8], name="odd")
    page.do(do="split", group=1)
    agree()


def test_what_a_person_said_is_certain(page: Browser) -> None:
    last = page.get("/api/rows?group=0")["rows"][-1]
    page.do(do="confirm", images=[last])
    found = page.get("/api/rows?group=0")
    assert found["confidence"][found["rows"].index(last)] == 1
    assert found["said"][found["rows"].index(last)] == 2
    page.do(do="move", images=[last], to=1)
    found = page.get("/api/rows?group=1")
    assert found["said"][found["rows"].index(last)] == 1
    one = page.get(f"/api/image/{last}")
    assert (one["group"], one["second"], one["said"], one["confidence"]) == (1, 0, 1, 1)


def test_views_and_searches(page: Browser, served: Served) -> None:
    paths = package.load_run(served.gallery.opened.path).images()["path"]
    found = page.get("/api/rows?view=all")
    assert [paths[row] for row in found["rows"]] == sorted(paths)
    assert found["group"] == [served.gallery.now().labels[row] for row in found["rows"]]
    assert page.get("/api/rows?q=_003")["rows"] == [row for row, path in enumerate(paths) if "_003" in path]
    assert page.get("/api/rows?q=NOTHING")["rows"] == []
    assert page.get("/api/rows?view=unassigned")["rows"] == page.get("/api/rows?view=unreadable")["rows"] == []
    assert "merged into group 0" in page.ask("/api/rows?group=1").error if page.do(do="merge", groups=[0, 1]) else None


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of photos in folders with dates, copies, a file that is no image, one of a format no browser shows."""
    home = tmp_path_factory.mktemp("mixed")
    rng = np.random.default_rng(0)
    for i in range(24):
        folder = home / "photos" / ("beach" if i % 3 else "city/old")
        folder.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x010F], exif[0x0110] = "Acme", "Acme One" if i % 2 else "Two"
        if i % 4:
            exif.get_ifd(0x8769)[0x9003] = f"2024:0{i % 4}:0{1 + i // 4} 10:00:00"
        pixels = np.full((40 + 8 * (i % 2), 60, 3), 60 * (i % 3), np.uint8) + rng.integers(0, 40, (1, 60, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.jpg", exif=exif)
    (home / "photos" / "copy.jpg").write_bytes((home / "photos/beach/01.jpg").read_bytes())
    (home / "photos" / "broken.jpg").write_bytes(b"<html>")
    Image.fromarray(rng.integers(0, 255, (30, 30, 3), np.uint8)).save(home / "photos" / "deep.tif")
    options = {"n_clusters": 3, "encoder": "pixels", "preset": "tiny"}
    return package.cluster(home / "photos", home / "run", options=options).path


def test_facets_dates_copies_and_what_cannot_be_read(mixed: Path) -> None:
    with serving(mixed) as served:
        page = Browser(served)
        while not (facets := page.get("/api/facets"))["ready"]:
            pass
        paths = served.gallery.opened.columns.paths
        row = {path: i for i, path in enumerate(paths)}
        counts = {name: {one["value"]: one["count"] for one in facets[name]} for name in facets if name != "ready"}
        assert counts["folder"] == {"": 3, "beach": 16, "city/old": 8}
        assert counts["date"] == {"": 8, "2024-01": 7, "2024-02": 6, "2024-03": 6}
        assert counts["camera"] == {"Acme Two": 12, "Acme One": 13, "": 2}
        assert counts["dimensions"] == {"60 × 40": 12, "60 × 48": 13, "30 × 30": 1, "": 1}
        found = page.get("/api/rows?view=all&folder=beach&date=2024-01&date=2024-02&camera=Acme%20One")["rows"]
        assert found == sorted(row[f"beach/{i:02}.jpg"] for i in range(24) if i % 3 and i % 2 and i % 4 in (1, 2))
        dated = page.get("/api/rows?view=all&sort=date")["rows"]
        assert [paths[i] for i in dated[:3]] == ["beach/01.jpg", "copy.jpg", "beach/05.jpg"]
        codes = np.frombuffer(page.ask("/api/column/folder").body, "<i4")
        assert [facets["folder"][code]["value"] for code in codes] == [path.rpartition("/")[0] for path in paths]
        assert page.get("/api/rows?view=unreadable")["rows"] == [row["broken.jpg"]]
        broken = page.get(f"/api/image/{row['broken.jpg']}")
        assert (broken["group"], broken["status"], broken["neighbours"]) == (-2, "unreadable", [])
        assert "not an image" in broken["reason"]
        assert page.ask(f"/original/{row['broken.jpg']}").status == 404
        first = page.get(f"/api/image/{row['beach/01.jpg']}")
        assert first["duplicates"] == [row["copy.jpg"]]
        for same in (row["copy.jpg"], first["row"]):  # nor is an image like its own copies
            like = [one["row"] for one in page.get(f"/api/image/{same}")["neighbours"]]
            assert like
            assert not {row["copy.jpg"], first["row"]} & {*like}
        assert (first["date"], first["camera"]) == ("2024-01-01 10:00:00", "Acme One")
        assert first["file"] == str(mixed.parent / "photos/beach/01.jpg")
        stacks = near.stacks(package.load_run(mixed))
        both = page.get("/api/rows?view=all&stack=1")
        assert sorted(stacks[both["rows"]]) == sorted({*stacks.tolist()} - {row["broken.jpg"]})
        assert both["stack"] == [int((stacks == stacks[i]).sum()) for i in both["rows"]]
        assert (
            page.get(f"/api/stack/{row['copy.jpg']}")["rows"] == np.flatnonzero(stacks == stacks[first["row"]]).tolist()
        )
        heads = page.get("/api/rows?view=near")
        assert {*heads["rows"]} == {i for i in stacks.tolist() if (stacks == i).sum() > 1}
        assert heads["stack"] == sorted(heads["stack"], reverse=True)
        for path, kind in (("beach/01.jpg", "image/jpeg"), ("deep.tif", "image/png")):
            answer = page.ask(f"/original/{row[path]}")
            assert answer.headers["content-type"] == kind
        assert answer.body.startswith(b"\x89PNG")
        assert page.ask(f"/original/{row['beach/01.jpg']}").body == (mixed.parent / "photos/beach/01.jpg").read_bytes()
        small = page.ask(f"/original/{row['beach/01.jpg']}?side=20")
        assert max(Image.open(io.BytesIO(small.body)).size) == 20


def test_an_original_that_became_another_image_is_not_shown(mixed: Path) -> None:
    """A run of somebody else may name any file: what it grouped is shown, and nothing else."""
    path = mixed.parent / "photos/beach/02.jpg"
    before = path.read_bytes()
    try:
        path.write_bytes(b"\xff\xd8\xffsecret" + before[9:])
        with serving(mixed) as served:
            page = Browser(served)
            row = served.gallery.opened.columns.paths.index("beach/02.jpg")
            answer = page.ask(f"/original/{row}")
            assert answer.status == 404
            assert b"secret" not in answer.body
            assert page.ask(f"/thumb/{row}").status == 200
    finally:
        path.write_bytes(before)


def test_neighbours_are_those_of_the_features(page: Browser, served: Served) -> None:
    x = np.asarray(served.gallery.opened.run.features(), np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    for row in (0, 17, 35):
        near = x @ x[row]
        near[row] = -2
        expected = np.sort(near)[::-1][:12]
        found = page.get(f"/api/image/{row}")["neighbours"]
        assert [one["similarity"] for one in found] == pytest.approx(expected, abs=1e-3)
        assert [near[one["row"]] for one in found] == pytest.approx(expected, abs=1e-3)


def test_means_follow_any_changes() -> None:
    """What was kept up move by move is what is found anew."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((300, 8)).astype(np.float16)
    x[5] = np.nan
    x[6] = 0
    kept, labels = Centres(x), rng.integers(-2, 6, 300)
    for _ in range(20):
        labels = labels.copy()
        labels[rng.integers(0, 300, 40)] = rng.integers(-2, 6)
        kept.follow(labels)
        anew = Centres(x)
        anew.follow(labels)
        groups = list(range(6))
        assert kept.nearest(groups, 3) == anew.nearest(groups, 3)
        units = np.array(x, np.float64)
        units /= np.where((length := np.linalg.norm(units, axis=1, keepdims=True)) > 0, length, 1)
        means = np.array([np.nansum(units[labels == group], axis=0) for group in groups])
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        rows = np.flatnonzero((labels >= 0) & (np.arange(300) != 5) & (np.arange(300) != 6))
        near = units[rows] @ means.T
        own = near[np.arange(len(rows)), labels[rows]]
        near[np.arange(len(rows)), labels[rows]] = -2
        assert anew.margins(rows, groups) == pytest.approx(own - near.max(1), abs=1e-5)
