"""Slips in Python are answered as those on the command line: in a line, with what was meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import ilk
from ilk.errors import ArgumentError

SLIPS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: ilk.cluster("photos", "run", k=4), TypeError, "Did you mean options={'n_clusters': 4}?"),
    (lambda: ilk.cluster("photos", encoder="fast"), TypeError, "Did you mean options={'encoder': 'fast'}?"),
    (lambda: ilk.cluster("photos", overwrit=True), TypeError, "Did you mean 'overwrite'?"),
    (lambda: ilk.cluster("photos", options={"k": 4}), ArgumentError, "Did you mean 'n_clusters'?"),
    (lambda: ilk.cluster("photos", options={"seed": 4}), ArgumentError, "Did you mean 'random_state'?"),
    (lambda: ilk.cluster("photos", options={"zzz": 4}), ArgumentError, "`ilk methods TransferClustering` lists all"),
    (lambda: ilk.predict("run", "new", treshold=0), TypeError, "Did you mean 'threshold'?"),
    (lambda: ilk.update("run", sources="new"), TypeError, "Did you mean 'source'?"),
    (lambda: ilk.export("run", "out", layouts="csv"), TypeError, "Did you mean 'layout'?"),
    (lambda: ilk.evaluate("run", label="folder"), TypeError, "Did you mean 'labels'?"),
    (lambda: ilk.TransferClustering(k=4), TypeError, "Did you mean 'n_clusters'?"),
    (lambda: ilk.KMeans(n_cluster=4), TypeError, "Did you mean 'n_clusters'?"),
    (lambda: ilk.DAC(lr=0.1), TypeError, "Did you mean settings={'lr': 0.1}?"),
]


@pytest.mark.parametrize(("slip", "error", "said"), SLIPS, ids=[said for *_, said in SLIPS])
def test_a_slip_is_answered_with_what_was_meant(slip: Callable[[], Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as found:
        slip()
    text = str(found.value)
    assert said in text
    assert len(text) < 160
    assert "\n" not in text


def test_signatures_are_those_that_were_written() -> None:
    assert list(inspect.signature(ilk.cluster).parameters)[:3] == ["source", "out", "method"]
    assert "n_clusters" in inspect.signature(ilk.TransferClustering).parameters
    assert "options" in (ilk.cluster.__doc__ or "")
