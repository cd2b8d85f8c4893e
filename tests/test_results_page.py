"""The page of results and every figure in a text are what the committed results say."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
# numbers of the README that no measurement stands behind
PLAIN = (
    r"Python (≥ )?3\.\d+( or newer)?",
    r"ICCV \d{4}",
    r"1,797",  # the digits that come with scikit-learn
    r"K = \d+",
    r"Apache-2\.0",
)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What benchmarks/table.py defines; it takes rows from the files beside it."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return runpy.run_path(str(ROOT / "benchmarks" / "table.py"))


def test_tables_and_figures_of_all_pages_are_those_of_the_results(table: dict[str, Any]) -> None:
    pages = table["pages"]()
    assert {"benchmarks/README.md", "docs/how-many-groups.md", "docs/report.md"} <= {
        page.relative_to(ROOT).as_posix() for page in pages
    }
    for page in pages:
        assert table["written"](page) == page.read_text("utf-8"), "run: python benchmarks/table.py --write"


def test_every_goal_that_is_missed_has_its_reason(table: dict[str, Any]) -> None:
    page = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    reasons = page.partition("## Not reached, and why")[2]
    headings = {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in re.findall(r"### (.*)", reasons)}
    rows = [row for name in table["GROUPS"] for row in table["rows_of"](name)]
    missed = [row for row in rows if not row.fine]
    assert missed
    assert {table["why"](row) for row in missed} <= headings
    assert set(table["WHY"].values()) <= headings
    for row in rows:
        assert (ROOT / "benchmarks" / "results" / row.source).is_dir(), row


def test_a_figure_is_made_of_its_results(table: dict[str, Any]) -> None:
    written, loose = table["figures"].written, table["figures"].loose

    def figure(spec: str) -> str:
        return re.sub("<!--.*?-->", "", written(f"<!-- figure: {spec} -->?<!-- /figure -->"))

    seeds = figure("mnist/mnist-transfer-* scores.acc score").split()
    assert len(seeds) == 3
    assert all(re.fullmatch(r"\.\d{3}", seed) for seed in seeds)
    least, most = (figure(f"mnist/mnist-transfer-* scores.acc {how} .4f") for how in ("min", "max"))
    assert float(least) < float(figure("mnist/mnist-transfer-* scores.acc mean .4f")) < float(most)
    assert figure("mnist/mnist-transfer-0 n_images ,.0f") == "70,000"
    assert figure("mnist/mnist-transfer-0 scores.acc/scores.acc*100 .0f") == "100"
    with pytest.raises(LookupError):
        figure("mnist/none-such scores.acc")
    with pytest.raises(KeyError):
        figure("mnist/mnist-transfer-0 scores.none")
    text = "It takes 12 s (`-k 10`, [8 of 9](page-7.md)) or <!-- figure: help/help seconds -->0.1<!-- /figure --> s,\n"
    assert [number for _, number in loose(text + "1. first\n```\n5\n```\nDINOv2 has .977")] == ["12", "8", "9", ".977"]
    assert not [*loose("Python 3.11", PLAIN)]


def test_the_first_page_has_no_number_without_its_result(table: dict[str, Any]) -> None:
    """Each number of README.md, and of the first page of the site, is marked (benchmarks/figures.py) or `PLAIN`."""
    for name in ("README.md", "docs/index.md"):
        text = (ROOT / name).read_text("utf-8")
        if "<!-- results: made by" in text:  # a README of before: its tables are in benchmarks/README.md now
            continue
        assert not [*table["figures"].loose(text, PLAIN)], f"{name}: mark these, or take them out"
