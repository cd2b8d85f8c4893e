"""The report is one inert, self-contained file that says everything the run says, at a bounded size."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from report_run import BAD, HOSTILE, Make, N, pixels_of

from ilk import files
from ilk.report import further, gallery, interactive, words, write_report
from ilk.report import page as pages
from ilk.report.facts import gather

VOID = {"meta", "img", "br", "source", "link", "input", "hr"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; fails on crossed tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.styles = ""
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.styles += data
        elif self._open and self._open[-1] == "script":
            self.scripts.append((self.elements[-1][1], data))
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def read(path: Path) -> Page:
    return Page(path.read_text("utf-8"))


def policy_of(page: Page) -> str:
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    return policy


def test_is_one_file_without_references(make_run: Make) -> None:
    page = read(write_report(make_run(scored=True)))
    for tag, attributes in page.elements:
        assert tag not in {"link", "iframe", "object", "embed", "form", "base"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "srcset", "href", "action", "data", "poster"}:
                allowed = ("data:image/webp;base64,", "data:image/png;base64,", "data:image/jpeg;base64,", "#")
                assert (value or "").startswith(allowed), (tag, name, value)
    assert not re.search(r"@import|url\(", page.styles)
    targets = {a.get("id") for _, a in page.elements}
    assert {(a["href"] or "#")[1:] for a in page.all("a")} <= targets


def test_the_policy_allows_three_scripts_by_their_very_text(make_run: Make) -> None:
    page = read(write_report(make_run()))
    policy = policy_of(page)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "connect" not in policy
    sources = policy.partition("script-src ")[2].partition(";")[0].split()
    runs_at_once = [text for attributes, text in page.scripts if attributes.get("type") != "text/plain"]
    packed = {str(a["id"]): text for a, text in page.scripts if a.get("type") == "text/plain"}
    plotly = gzip.decompress(base64.b64decode(packed["map-plotly"])).decode()
    assert "plotly.js v" in plotly[:200]
    hashes = [base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in (*runs_at_once, plotly)]
    assert sources == [f"'sha256-{h}'" for h in hashes]


def test_a_page_without_map_and_pictures_runs_no_script(make_run: Make) -> None:
    page = read(write_report(make_run(no_map=True, no_thumbs=True)))
    assert not page.scripts
    assert "script-src" not in policy_of(page)
    assert not page.all("button")


def test_a_page_without_plotly_keeps_its_picture(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactive, "_plotly", lambda: None)
    page = read(write_report(make_run()))
    assert "map-data" not in {attributes.get("id") for attributes, _ in page.scripts}
    assert any("width" in a and "Map of all" in (a["alt"] or "") for a in page.all("img"))


def test_hostile_names_are_inert(make_run: Make) -> None:
    run = make_run(bad={i: f"reason {i}" for i in HOSTILE}, scored=True)
    path = write_report(run)
    raw, page = path.read_text("utf-8"), read(path)
    assert not {"i", "u", "b"} & {tag for tag, _ in page.elements}
    assert len(page.scripts) == 6  # with a text inside: there are no larger pictures
    assert not [data for _, data in page.scripts if "alert(1)" in data]
    assert not re.search(r"<script[^>]*>\s*alert", raw)
    assert "<script>alert(1)</script>.jpg" in page.text
    assert "“<b>sleeves</b>”" in page.text
    assert "\u202e" not in raw
    assert "photo\\u202egpj.exe" in page.text
    assert "two\\nlines\\r.jpg" in page.text
    assert "日本語 العربية 👩\u200d👧 $x_1$.webp" in page.text
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_hostile_names_are_inert_as_alternative_texts(make_run: Make) -> None:
    page = read(write_report(make_run()))
    names = {a["alt"] for a in page.all("img")}
    assert HOSTILE[9] in names  # an exemplar: the whole name is the value of one attribute
    assert all(a.get("alt") for a in page.all("img"))


def test_says_what_the_run_says(make_run: Make) -> None:
    page = read(write_report(make_run(scored=True)))
    for reason in BAD.values():
        assert reason in page.text
    for text in (
        *("Group 0", "Group 1 “<b>sleeves</b>”", "Group 2", "Not assigned", "58 images", "features are hand-made"),
        *(
            "natural",
            "K = 3",
            "0.500",
            "well apart",
            "0.42",
            "0.80",
            "120 images/s decoded and encoded, 1,500 of 1,540 from the cache",
            "mobilenetv2_100",
            "weights given",
        ),
        *(
            "ilk cluster '/data/<img src=x>.tar' -k auto",
            "abc1234",
            "2.5 s",
            "<i>hi</i>",
            "0.810",
            "0.820",
            "weights given",
        ),
        *("<u>cat</u> (75.0 %)", "58 labelled images", "2026-11-23 15:40 UTC"),
    ):
        assert text in page.text, text
    assert page.text.count("2 files could not be <read>") == 1
    assert {a.get("id") for a in page.all("article")} == {"group-0", "group-1", "group-2", "group--1"}
    assert page.text.count("duplicate") >= 1
    assert "(2 sets)" in page.text


@pytest.mark.parametrize("missing", ["no_map", "no_k_table", "no_thumbs"])
def test_works_without(make_run: Make, missing: str) -> None:
    page = read(write_report(make_run(**{missing: True})))
    assert ("#map" in {a["href"] for a in page.all("a")}) == (missing != "no_map")
    assert ("K = 3 was taken" in page.text) == (missing != "no_k_table")
    assert len(page.all("article")) == 4


def test_works_without_noise_and_with_a_bare_header(make_run: Make) -> None:
    run = make_run(noise=False, bad={})
    run.header = {"ilk_run": 1, "source": {"n": N}}
    page = read(write_report(run))
    assert "Not assigned" not in page.text
    assert len(page.all("article")) == 3


def packed(page: Page, name: str) -> str:
    return next((text for attributes, text in page.scripts if attributes.get("id") == name), "")


def told(page: Page) -> dict[str, Any]:
    """What the page knows of the pictures that it has beside its cards."""
    return dict(json.loads(gzip.decompress(base64.b64decode(packed(page, "pictures-data")))))


def seen(text: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_cards_hold_the_thumbnails_of_the_run_to_the_byte(make_run: Make) -> None:
    run = make_run()
    shown = {a["data-row"]: a["src"] for a in read(write_report(run)).all("img") if "data-row" in a}
    assert len(shown) > 20
    for row, source in shown.items():
        data, kind = files.Sprites(run.path / "thumbs").picture(int(row or 0))
        assert source == f"data:{kind};base64,{base64.b64encode(data).decode()}"


def test_every_image_of_a_group_is_in_the_page(make_run: Make) -> None:
    run = make_run(n=200, bad={3: "gone"}, noise=False)
    page = read(write_report(run))
    inside = {int(a["data-row"] or 0) for a in page.all("img") if "data-row" in a}
    more = told(page)
    beside = dict(zip(more["more"], packed(page, "pictures-more").split(), strict=True))
    assert not inside & beside.keys()
    assert inside | beside.keys() == set(range(200)) - {3}
    facts = gather(run)
    for group in facts.groups:
        rows = more["groups"][str(group.id)]["rows"]
        assert sorted(rows) == sorted(group.members.tolist())
        assert (np.diff(facts.distance[rows]) >= 0).all()  # those that are surely of it first
    for row, text in list(beside.items())[:5]:
        assert base64.b64decode(text) == files.Sprites(run.path / "thumbs").picture(row)[0]
    assert packed(page, "pictures-large") == ""


def test_what_has_no_room_is_counted(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(further, "MORE", 100_000)
    run = make_run(n=300, bad={}, noise=False)
    page = read(write_report(run))
    more = told(page)
    assert len(packed(page, "pictures-more")) <= 100_000
    assert 0 < len(more["more"]) < 240
    for group in more["groups"].values():  # a fair share of every group
        assert 15 < len(group["rows"]) < group["size"] == 100
    assert more["command"] == "ilk gallery run"


def test_larger_pictures_come_from_the_source_when_it_is_there(make_run: Make, tmp_path: Path) -> None:
    run = make_run(side=200)
    source = files.ArraySet("array", pixels_of(N, 200), [HOSTILE.get(i, f"{i:05d}.jpg") for i in range(N)])
    small = write_report(run, tmp_path / "small.html").stat().st_size
    page = read(write_report(run, tmp_path / "sharp.html", source))
    large = dict(zip(told(page)["large"], packed(page, "pictures-large").split(), strict=True))
    assert large.keys() == {int(a["data-row"] or 0) for a in page.all("img") if "data-row" in a}
    for row, text in list(large.items())[:3]:
        assert seen(text).shape == (200, 200, 3)
        means = [np.abs(seen(text) - pixels).mean() for pixels in pixels_of(N, 200)[[row, (row + 1) % N]]]
        assert means[0] < 0.8 * means[1]  # the very image; noise is hard for JPEG
    other = files.ArraySet("array", pixels_of(N), [f"other/{i}" for i in range(N)])
    for gone, note in ((other, "holds other images"), (tmp_path / "gone", "could not be opened")):
        path = write_report(run, tmp_path / "gone.html", gone)
        assert note in read(path).text
        assert path.stat().st_size < small + 20_000


def test_what_has_another_content_by_now_is_not_shown(make_run: Make, tmp_path: Path) -> None:
    """A run from elsewhere may name any file of the user, and a file may be another picture since."""
    run = make_run(side=200, bad={})
    (tmp_path / "photos").mkdir()
    for i in range(N):
        Image.fromarray(pixels_of(N, 200)[i]).save(tmp_path / "photos" / f"{i:05d}.jpg", quality=30)
    names = [f"{i:05d}.jpg" for i in range(N)]
    hashes = [files.content_hash((tmp_path / "photos" / name).read_bytes()).hex() for name in names]
    Image.new("RGB", (300, 300), "red").save(tmp_path / "photos" / "00001.jpg")
    run.hashes = lambda: hashes  # type: ignore[method-assign]
    page = read(write_report(run, tmp_path / "page.html", tmp_path / "photos"))
    shown = {int(a["data-row"] or 0) for a in page.all("img") if "data-row" in a}
    assert 1 in shown
    assert set(told(page)["large"]) == shown - {1} - HOSTILE.keys()


def test_small_images_are_shown_by_pixels(make_run: Make, tmp_path: Path) -> None:
    source = files.ArraySet("array", pixels_of(N, 8), [HOSTILE.get(i, f"{i:05d}.jpg") for i in range(N)])
    page = read(write_report(make_run(side=8), source=source))
    assert page.all("body")[0]["class"] == "pixelated"
    for picture in page.all("img"):
        if picture.get("data-row"):
            right = pixels_of(N, 8)[int(picture["data-row"] or 0)]
            assert np.array_equal(seen((picture["src"] or "").partition(",")[2]), right)  # 8 × 8, to the bit
    assert told(page)["large"] == []


def test_lists_are_capped_and_say_so(make_run: Make) -> None:
    run = make_run(n=700, bad={i: f"reason {i}" for i in range(100, 400)})
    page = read(write_report(run))
    assert "300 files could not be read" in page.text
    assert "100 more are not" in page.text
    assert "images.parquet" in page.text
    assert "reason 299" in page.text
    assert "reason 300" not in page.text


def test_size_is_bounded(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "BUDGET", 60_000)
    monkeypatch.setattr(gallery, "MAX_CARDS", 100)
    monkeypatch.setattr(gallery, "MAX_ROWS", 120)
    run = make_run(n=900, k=150, bad={}, noise=False)
    path = write_report(run)
    page = read(path)
    pictures = [a for a in page.all("img") if "width" not in a]
    assert len(pictures) > 5
    assert sum(len(a["src"] or "") for a in pictures) <= 60_000
    assert len(page.all("article")) == 100
    assert "20 smaller groups, without pictures" in page.text
    assert "30 still smaller groups with 180 images" in page.text


@pytest.mark.parametrize("less", [100_000, 3_500_000])
def test_pictures_make_room_where_the_page_would_be_too_large(
    make_run: Make, monkeypatch: pytest.MonkeyPatch, less: int
) -> None:
    """Those beside the cards first, then those of the smallest groups."""
    run = make_run(n=900, k=150, bad={}, noise=False)
    whole = write_report(run).stat().st_size
    shown = len(read(run.path / "report.html").all("img"))
    monkeypatch.setattr(pages, "MAX_BYTES", whole - less)
    small = write_report(run)
    assert small.stat().st_size <= whole - less
    page = read(small)
    assert len(page.all("article")) == 150
    assert packed(page, "pictures-more") == ""
    assert len(page.all("img")) == shown if less == 100_000 else 20 < len(page.all("img")) < shown


def test_importing_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import ilk.report; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_words() -> None:
    assert words.visible("plain ünï 日本") == "plain ünï 日本"
    assert words.visible("\u2066\ud800\x07") == "\\u2066\\ud800\\x07"
    assert words.decimal(float("inf")) == "–"
    assert words.command_line(["ilk", "cluster", "my photos"]) == "ilk cluster 'my photos'"
    assert len(words.shortened("x" * 5000, 120)) == 120
