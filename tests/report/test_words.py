"""What a report and a terminal say of a group's numbers: which space they are of, and words that fit both."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from report_run import Make

from ilk import runs
from ilk.cli.grouptable import group_table, notes
from ilk.report import words, write_report
from ilk.report.facts import gather

HEADER = {"quality": {"silhouette": {"space": "features", "sample": None}}}
ORDER = list(words.APART)
RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "words" / "words.json"


def rank(silhouette: float, confidence: float) -> int:
    """0 for the best word."""
    return ORDER.index(words.apart(HEADER, silhouette, confidence))


def test_a_word_is_never_better_than_either_number_allows() -> None:
    values = np.linspace(-1, 1, 41)
    for silhouette, confidence in itertools.product(values, values[20:]):
        word = rank(silhouette, confidence)
        assert word == max(rank(silhouette, 1.0), rank(1.0, confidence))
        assert word <= rank(silhouette - 0.05, confidence)
        assert word <= rank(silhouette, confidence - 0.05)
    assert rank(0.9, 0.2) == rank(0.0, 1.0) == len(ORDER) - 1  # a far group whose images are not sure of it
    assert rank(0.9, 1.0) == 0


def test_without_both_numbers_nothing_is_said() -> None:
    assert words.apart(HEADER, None, 0.9) == words.apart(HEADER, 0.9, None) == words.apart({}, 0.9, 0.9) == ""


def test_what_is_promised_was_measured() -> None:
    """The purities that the page names are those of the calibration, for as many groups as classes."""
    told = json.loads(RESULT.read_text("utf-8"))["values"]
    found = {row["word"]: row for row in told["words"]["as_many"]}
    assert list(found) == ORDER
    for word, (_, _, purity) in words.APART.items():
        assert abs(100 * found[word]["purity"] - purity) <= 0.5
    means = [found[word]["purity"] for word in ORDER]
    assert means == sorted(means, reverse=True)


# -- in a report, and in a terminal ------------------------------------------------------------------------------------


def changed(run: runs.Run, older: bool = False, space: str = "features", sample: int | None = None) -> runs.Run:
    """The run as an older ilk would have left it, or with silhouettes of another kind."""
    header, groups = json.loads((run.path / "run.json").read_text("utf-8")), run.clusters()
    header["quality"]["silhouette"] = {"space": space, "sample": sample}
    if older:
        del header["quality"], header["encoded"]
        for group in groups:
            group["quality"].pop("silhouette_reduced", None)
        table = pq.read_table(run.path / "assignments.parquet")
        pq.write_table(table.drop_columns(["silhouette_reduced"]), run.path / "assignments.parquet")
    for name, value in (("run.json", header), ("clusters.json", groups)):
        (run.path / name).write_text(json.dumps(value), "utf-8")
    return runs.load_run(run.path)


def page_of(run: runs.Run) -> tuple[str, str]:
    """The page, and the numbers of its first group."""
    page = " ".join(write_report(run).read_text("utf-8").split())
    card = re.search(r"<dl> (<div><dt>(?:in words|silhouette|confidence).*?)</dl>", page)
    assert card is not None
    return page, card[1]


def terminal(run: runs.Run) -> tuple[list[str], list[list[str]]]:
    return group_table(run.header, run.clusters(), run.images()["path"])


def test_the_silhouette_is_named_after_its_space(make_run: Make) -> None:
    run = make_run()
    page, card = page_of(run)
    assert "<dt>in words</dt><dd><strong>well apart</strong></dd>" in card
    assert "<dt>silhouette</dt><dd>0.42</dd>" in card
    assert "<dt>silhouette in the reduced space</dt><dd>0.90</dd>" in card
    assert "It is that of the features" in page
    assert words.meaning() in page
    titles, lines = terminal(run)
    assert titles[3:6] == ["silhouette", "confidence", "in words"]
    assert lines[0][3:6] == ["0.42", "0.80", "well apart"]
    assert lines[-1][3:6] == ["", "", ""]  # not assigned
    assert notes(run.header, every=True)[0].startswith("silhouette: in the features; 1 = ")
    assert notes(changed(run, sample=4285).header, every=True)[0].startswith(
        "silhouette: in the features (distances to 4,285 images that stand for all); 1 = "
    )


def test_an_older_run_has_no_silhouette_of_its_features_and_no_words(make_run: Make) -> None:
    run = changed(make_run(), older=True)
    facts = gather(run)
    assert not np.isfinite(facts.silhouette).any()
    assert {group.silhouette for group in facts.groups} == {None}
    assert facts.groups[0].reduced == pytest.approx(np.nanmean(facts.reduced[facts.groups[0].members]))
    page, card = page_of(run)
    assert "<dt>silhouette</dt>" not in card
    assert "<dt>silhouette in the reduced space</dt>" in card
    assert "<dt>in words</dt>" not in page
    titles, _ = terminal(run)
    assert titles == ["group", "images", "share", "confidence", "most typical image"]
    assert notes(run.header) == []


def test_learned_features_get_no_words(make_run: Make) -> None:
    run = changed(make_run(), space="learned features")
    page, card = page_of(run)
    assert "<dt>silhouette</dt><dd>0.42</dd>" in card
    assert "<dt>in words</dt>" not in page
    assert "features that were learned for these groups" in page
    titles, _ = terminal(run)
    assert titles[3:5] == ["silhouette", "confidence"]
    assert "in words" not in titles
    assert "learned" in notes(run.header)[0]


def test_a_sample_is_told_below_the_silhouettes(make_run: Make) -> None:
    from ilk.report.shape import draw_silhouettes

    run = make_run()
    for sample, said in ((None, False), (500, True)):
        figure = draw_silhouettes(gather(changed(run, sample=sample)))
        assert figure is not None
        assert ("Distances are to 500 images" in figure.axes[0].get_xlabel()) == said
        assert "in the features" in figure.axes[0].get_title(loc="left")
