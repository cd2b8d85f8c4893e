"""What the page takes away: below the folder for exports only; a dry run first; the selection only."""

from __future__ import annotations

from pathlib import Path

from asking import Browser
from trial import tree

from ilk.gallery import Served, serving


def test_a_dry_run_then_the_export(page: Browser, served: Served) -> None:
    asked = {"to": "sorted", "mode": "link", "groups": None, "images": None, "keep": "all"}
    before = tree(served.gallery.opened.path)
    dry = page.send("/api/export", {**asked, "dry": True}).json
    assert (dry["dry"], dry["count"]) == (True, 36)
    assert any("would" in line for line in dry["lines"])
    assert tree(served.gallery.opened.path) == before
    done = page.send("/api/export", {**asked, "dry": False}).json
    assert (done["dry"], done["count"]) == (False, 36)
    folder = served.gallery.opened.path / "exports" / "sorted"
    assert done["folder"] == str(folder.resolve())
    assert len([path for path in folder.rglob("*.png") if path.is_symlink()]) == 36


def test_a_selection_and_corrected_groups(page: Browser, served: Served) -> None:
    rows = page.get("/api/rows?group=0")["rows"][:3]
    page.do(do="new", images=rows, name="mine")
    done = page.send("/api/export", {"to": "three", "mode": "copy", "images": rows}).json
    assert done["count"] == 3
    folder = served.gallery.opened.path / "exports" / "three"
    assert {path.parent.name for path in folder.rglob("*.png")} == {"03-mine"}
    assert page.send("/api/export", {"to": "g", "mode": "csv", "groups": [1, 2]}).json["count"] == 24
    assert page.send("/api/export", {"to": "x", "mode": "xmp", "groups": [3]}).json["count"] == 3
    assert page.send("/api/export", {"to": "i", "mode": "imagefolder"}).json["count"] == 36


def test_odd_wishes_are_refused(page: Browser, served: Served) -> None:
    modes = [{"mode": "zip"}, {"mode": ["link"]}, {"keep": "some"}]
    groups = [{"groups": one} for one in ("all", [], [17], [0.5])]
    for more in (*modes, *groups, *({"images": one} for one in (["a"], [99], [True], 3))):
        answer = page.send("/api/export", {"to": "odd", "mode": "csv", **more})
        assert answer.status == 400, more
    assert not (served.gallery.opened.path / "exports").exists()


def test_another_folder_for_exports(finished_copy: Path, tmp_path: Path) -> None:
    with serving(finished_copy, exports=tmp_path / "out") as served:
        page = Browser(served)
        assert page.get("/api/run")["exports"] == str(tmp_path / "out")
        assert page.send("/api/export", {"to": "a", "mode": "csv"}).json["folder"] == str(
            (tmp_path / "out/a").resolve()
        )
        assert (tmp_path / "out/a/groups.csv").exists()
    assert not (finished_copy / "exports").exists()


def test_grouping_again_the_tree_and_the_queue(page: Browser) -> None:
    """What takes seconds, on real corrections: preview, accept, undo; fewer groups and back; what to ask."""
    page.do(do="move", images=page.get("/api/rows?group=0")["rows"][:2], to=1)
    found = page.send("/api/regroup", {}).json
    assert {"id", "count", "flows", "problems", "moves"} <= {*found}
    assert sum(map(len, found["moves"].values())) == found["count"]
    assert page.send("/api/regroup/accept", {"id": found["id"] + 1}).status == 400
    if found["count"]:
        state = page.send("/api/regroup/accept", {"id": found["id"]}).json["state"]
        assert "grouped again" in state["undo"]
    tree_ = page.get("/api/tree")
    assert tree_["low"] <= tree_["now"] == 3 <= tree_["high"]
    cut = page.get(f"/api/tree/{tree_['high']}")
    assert sum(group["size"] for group in cut["groups"]) == 36
    assert page.ask(f"/api/tree/{tree_['high'] + 1}").status == 404
    assert page.ask("/api/tree/x").status == 400
    before = page.get("/api/state")
    taken = page.send(f"/api/tree/{tree_['high']}", {}).json["state"]
    assert len(taken["groups"]) == tree_["high"]
    page.do(do="undo")
    assert page.get("/api/state")["groups"] == before["groups"]
    queue = page.get("/api/queue?limit=3")
    assert len(queue["items"]) <= 3
    assert {"left", "won", "items"} <= {*queue}
    assert page.ask("/api/queue?limit=0").status == 400


def test_a_preview_does_not_outlive_a_correction(page: Browser) -> None:
    page.do(do="move", images=[0], to=1)
    found = page.send("/api/regroup", {}).json
    page.do(do="ignore", images=[5])
    answer = page.send("/api/regroup/accept", {"id": found["id"]})
    assert answer.status in (400, 409)
    assert page.get("/api/state")["last"] == 2
