"""The report is one inert, self-contained file that says everything the run says, at a bounded size."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_run import BAD, HOSTILE, Make, N, pixels_of

from ilk import files
from ilk.report import gallery, interactive, words, write_report
from ilk.report import page as pages

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
                allowed = ("data:image/webp;base64,", "data:image/png;base64,", "#")
                assert (value or "").startswith(allowed), (tag, name, value)
    assert not re.search(r"@import|url\(", page.styles)
    targets = {a.get("id") for _, a in page.elements}
    assert {(a["href"] or "#")[1:] for a in page.all("a")} <= targets


def test_the_policy_allows_two_scripts_by_their_very_text(make_run: Make) -> None:
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


def test_a_page_without_map_runs_no_script(make_run: Make) -> None:
    page = read(write_report(make_run(no_map=True)))
    assert not page.scripts
    assert "script-src" not in policy_of(page)
    assert not page.all("button")


def test_a_page_without_plotly_keeps_its_picture(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactive, "_plotly", lambda: None)
    page = read(write_report(make_run()))
    assert not page.scripts
    assert any("width" in a and "Map of all" in (a["alt"] or "") for a in page.all("img"))


def test_hostile_names_are_inert(make_run: Make) -> None:
    run = make_run(bad={i: f"reason {i}" for i in HOSTILE}, scored=True)
    path = write_report(run)
    raw, page = path.read_text("utf-8"), read(path)
    assert not {"i", "u", "b"} & {tag for tag, _ in page.elements}
    assert len(page.scripts) == 4
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


def test_pictures_come_from_the_source_when_it_is_there(make_run: Make, tmp_path: Path) -> None:
    run = make_run()
    source = files.ArraySet("array", pixels_of(N), [HOSTILE.get(i, f"{i:05d}.jpg") for i in range(N)])
    small = write_report(run, tmp_path / "small.html").stat().st_size
    sharp = write_report(run, tmp_path / "sharp.html", source).stat().st_size
    assert sharp > small + 300_000
    other = files.ArraySet("array", pixels_of(N), [f"other/{i}" for i in range(N)])
    for gone, note in ((other, "holds other images"), (tmp_path / "gone", "could not be opened")):
        path = write_report(run, tmp_path / "gone.html", gone)
        assert note in read(path).text
        assert path.stat().st_size < small + 20_000


def test_small_images_are_shown_by_pixels(make_run: Make, tmp_path: Path) -> None:
    source = files.ArraySet("array", pixels_of(N, 8), [HOSTILE.get(i, f"{i:05d}.jpg") for i in range(N)])
    page = read(write_report(make_run(side=8), source=source))
    assert page.all("body")[0]["class"] == "pixelated"
    assert max(len(a["src"] or "") for a in page.all("img") if a["alt"] == "00000.jpg") < 900  # 8 × 8, not 48 × 48


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
    assert len(pictures) > 10
    assert sum(len(a["src"] or "") for a in pictures) <= 60_000
    assert len(page.all("article")) == 100
    assert "20 smaller groups, without pictures" in page.text
    assert "30 still smaller groups with 180 images" in page.text


def test_worst_pictures_stay_far_below_the_cap() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (gallery.SIDE, gallery.SIDE, 3), np.uint8)
    from ilk.report.pictures import data_uri

    assert len(data_uri(noise)) * gallery.MAX_DECODED < gallery.BUDGET
    assert gallery.BUDGET < 15_000_000 - gallery.MAX_CARDS * 4_000


def test_pictures_make_room_where_the_page_would_be_too_large(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(n=900, k=150, bad={}, noise=False)
    whole = write_report(run).stat().st_size
    monkeypatch.setattr(pages, "MAX_BYTES", whole - 100_000)
    small = write_report(run)
    assert whole - 400_000 < small.stat().st_size <= whole - 100_000
    assert len(read(small).all("article")) == 150
    assert any("width" not in a for a in read(small).all("img"))


def test_importing_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import ilk.report; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_words() -> None:
    assert words.visible("plain ünï 日本") == "plain ünï 日本"
    assert words.visible("\u2066\ud800\x07") == "\\u2066\\ud800\\x07"
    assert words.decimal(float("inf")) == "–"
    assert words.command_line(["ilk", "cluster", "my photos"]) == "ilk cluster 'my photos'"
    assert len(words.shortened("x" * 5000, 120)) == 120
