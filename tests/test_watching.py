"""Progress: shown where a person looks, silent elsewhere, and nothing of what is found depends on it."""

from __future__ import annotations

import sys
import threading
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trial import Ilk, write_images

import ilk
from ilk.errors import ArgumentError
from ilk.methods import DEC, KMeans, TransferClustering
from ilk.showing.stages import Stages


def images() -> np.ndarray:
    rng = np.random.default_rng(0)
    patterns = np.repeat(rng.integers(0, 256, (3, 12, 12)), 20, 0)
    return np.clip(patterns + rng.normal(0, 15, (60, 12, 12)), 0, 255).astype(np.uint8)


def model(**more: Any) -> KMeans:
    return KMeans(3, encoder="pixels", preset="tiny", **more)


class Notebook:
    """Stands for Jupyter: keeps what is displayed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[dict[str, str]] = []
        self.outputs = 0
        shell = types.SimpleNamespace(kernel=object())
        package, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
        package.get_ipython = lambda: shell  # type: ignore[attr-defined]
        display.display = self._display  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "IPython", package)
        monkeypatch.setitem(sys.modules, "IPython.display", display)

    def _display(self, data: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        self.outputs += 1
        self.shown.append(data)
        return types.SimpleNamespace(update=lambda data, *, raw: self.shown.append(data))


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    return Notebook(monkeypatch)


def test_silent_where_nobody_looks(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model().fit(images())
    ilk.cluster(images(), tmp_path / "run", options={"n_clusters": 3, "encoder": "pixels", "preset": "tiny"})
    assert capfd.readouterr() == ("", "")


def test_lines_where_they_are_asked_for(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model(verbose=True).fit(images())
    out, err = capfd.readouterr()
    assert out == ""
    assert "ilk: encoding" in err
    assert "ilk: done in" in err.splitlines()[-1]
    options = {"n_clusters": 3, "encoder": "pixels", "preset": "tiny"}
    ilk.cluster(images(), tmp_path / "run", options=options, verbose=True)
    assert "ilk: done in" in capfd.readouterr().err


def test_one_output_in_a_notebook_with_a_bar_and_an_end(notebook: Notebook) -> None:
    model().fit(images())
    assert notebook.outputs == 1
    assert any("<progress" in one["text/html"] for one in notebook.shown)
    assert "<script" not in "".join(one["text/html"] for one in notebook.shown)
    assert notebook.shown[-1]["text/plain"].startswith("done in")
    assert "<progress" not in notebook.shown[-1]["text/html"]


def test_a_job_is_one_output_too(notebook: Notebook, tmp_path: Path) -> None:
    options = {"n_clusters": 3, "encoder": "pixels", "preset": "tiny"}
    ilk.cluster(images(), tmp_path / "run", options=options)
    assert notebook.outputs == 1


@pytest.mark.parametrize("how", ["verbose=False", "a hook", "another thread"])
def test_silent_in_a_notebook_where_somebody_else_looks(notebook: Notebook, how: str) -> None:
    if how == "another thread":
        worker = threading.Thread(target=lambda: model().fit(images()))
        worker.start()
        worker.join()
    elif how == "a hook":
        model().fit(images(), on_epoch=lambda record, state: None)
    else:
        model(verbose=False).fit(images())
    assert notebook.shown == []


def test_a_hook_hears_all_of_it_beside_the_bar(notebook: Notebook) -> None:
    plain, beside = [], []
    model().fit(images(), on_epoch=lambda record, state: plain.append(record))
    model(verbose=True).fit(images(), on_epoch=lambda record, state: beside.append(record))
    assert [one["stage"] for one in beside] == [one["stage"] for one in plain]
    assert notebook.outputs == 1
    with pytest.raises(Exception, match="stopped"):
        model(verbose=True).fit(images(), on_epoch=lambda record, state: "done" in record)
    assert notebook.shown[-1]["text/plain"] == "stopped"


def test_a_bar_on_a_terminal_that_is_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    running = set(threading.enumerate())
    model().fit(images())
    assert capsys.readouterr().out == ""
    assert set(threading.enumerate()) == running


def test_nothing_depends_on_it(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.showing.progress._Notebook.every", 0.0)
    shown, silent = (DEC(3, preset="tiny", device="cpu", verbose=one).fit(images()) for one in (True, False))
    assert np.array_equal(shown.labels_, silent.labels_)
    assert np.array_equal(shown.probabilities_, silent.probabilities_)
    assert notebook.outputs == 1
    assert any("epoch" in one["text/plain"] for one in notebook.shown)


def test_it_is_an_argument_and_no_option_of_a_job(ilk: Ilk, tmp_path: Path) -> None:
    from sklearn.base import clone

    import ilk as package

    kept = clone(TransferClustering(3, verbose=False)).get_params()
    assert kept["verbose"] is False
    with pytest.raises(ArgumentError, match="verbose"):
        TransferClustering.from_options({"verbose": True})
    with pytest.raises(ArgumentError, match="verbose='loud'"):
        model(verbose="loud").fit(images())
    folder, options = write_images(tmp_path / "in", 12), {"n_clusters": 3, "encoder": "pixels", "preset": "tiny"}
    first = package.cluster(folder, tmp_path / "run", options=options, verbose=False)
    assert "verbose" not in first.header["params"]
    events: list[Any] = []
    package.cluster(folder, tmp_path / "run", options=options, on_event=events.append)
    assert "already" in [event["event"] for event in events]  # the same job
    path = model(verbose=True).fit(images()).save(tmp_path / "model")
    assert package.load(path).get_params()["verbose"] is None
    assert "verbose" not in ilk("methods", "kmeans").out


# -- words -------------------------------------------------------------------------------------------------------------


def test_time_left_is_that_of_what_was_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    stages = Stages()
    stages.take({"stage": "encode", "begin": True})
    stages.take({"stage": "encode", "done": 500, "total": 1000})  # from the cache
    assert stages.line() == "encoding 500 of 1,000"
    now[0] = 10.0
    stages.take({"stage": "encode", "done": 600, "total": 1000})
    assert stages.line() == "encoding 600 of 1,000, 0:40 left"
    assert stages.share == 0.6
    stages.take({"stage": "encode", "seconds": 50.0})
    stages.take({"stage": "train", "begin": True})
    stages.take({"stage": "train", "epoch": 0, "epochs": 10})
    now[0] = 20.0
    stages.take({"stage": "train", "epoch": 1, "epochs": 10, "loss": 0.5})
    assert stages.line() == "training epoch 1 of 10, loss 0.5, 1:30 left"
    assert stages.take({"stage": "train", "step": 5, "steps": 10})
    assert stages.share == 0.15
    assert stages.take({"event": "found", "n": 3}) is False
    assert stages.summary() == "done in 20.0 s (encoding 50.0 s)"
