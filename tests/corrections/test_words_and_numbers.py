"""What was guessed and measured of groups holds as long as they are what they were, and is left out otherwise."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from trial import Ilk

import ilk as package


def rows(path: Path) -> dict[str, dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def test_words_and_numbers_follow_the_corrected_groups(ilk: Ilk, finished_copy: Path, photos: Path) -> None:
    """A guess goes with its images, and is left out where they are mixed; numbers hold where nearly all images do."""
    run = package.load_run(finished_copy)
    found = dict(zip(run.images()["path"], run.labels().tolist(), strict=True))

    def of(pattern: int) -> int:
        return found[f"{pattern}_{pattern:04}.png"]

    records = json.loads((run.path / "clusters.json").read_text())
    for pattern, word in enumerate(("stripes", "dots", "rings")):
        next(one for one in records if one["id"] == of(pattern))["looks_like"] = [{"word": word}]
    (run.path / "clusters.json").write_text(json.dumps(records))
    zeros = [path for path in run.images()["path"] if path.startswith("0_")]
    run.corrections.new(zeros, "mine")  # all of a group that was found
    run.corrections.move([path for path in run.images()["path"] if path.startswith("1_")][:5], to=of(2))
    groups = {group["id"]: group for group in run.clusters()}
    words = {number: package.runs.looks_like(group) for number, group in groups.items()}
    assert words == {of(0): [], of(1): [], of(2): ["rings"], 3: ["stripes"]}
    assert [groups[number]["quality"] for number in (of(1), of(2), 3)] == [None] * 3
    assert ilk("predict", run.path, photos, "-o", "placed.csv").code == 0
    placed = rows(Path("placed.csv"))
    assert {placed[path]["looks_like"] for path in zeros} == {"stripes"}
    assert {row["looks_like"] for row in placed.values() if row["group"] == str(of(1))} == {""}
    told = ilk("info", run.path)
    assert told.out.count("not measured since you corrected it") == 3  # the emptied one is not shown
    assert ilk("report", run.path).code == 0
    page = (run.path / "report.html").read_text()
    assert page.count("not measured since you corrected it") >= 3
    assert f"ilk gallery {run.path}" in page
    for _ in range(2):
        run.corrections.undo()
    assert "not measured" not in ilk("info", run.path).out
    run.corrections.move(zeros[0], to=of(1))  # one of twelve: what was measured holds, but for that one
    assert all(group["quality"]["confidence"] for group in run.clusters())
