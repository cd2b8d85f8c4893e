"""A run folder is data: nothing in it chooses code."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from toy import Toy
from trial import Ilk, refused

import ilk as package
from ilk import methods, runs
from ilk.errors import ArgumentError

PAYLOAD = """
from pathlib import Path
Path({mark!r}).write_text("code of a run was executed")
from toy import Toy
class Own(Toy): pass
"""


@pytest.fixture
def payload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that can be imported and leaves a mark when it is; returns where the mark would be."""
    folder, mark = tmp_path / "code", tmp_path / "mark"
    folder.mkdir()
    (folder / "payload.py").write_text(PAYLOAD.format(mark=str(mark)))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "payload", raising=False)
    return mark


def name_method(run: Path, method: object) -> None:
    header = json.loads((run / "run.json").read_text("utf-8"))
    (run / "run.json").write_text(json.dumps({**header, "method": method}), "utf-8")


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "run", "PHOTOS", "-o", "table.csv"),
        ("probe", "run", "--labels", "prefix"),
        ("evaluate", "run", "PHOTOS", "--labels", "prefix"),
        ("evaluate", "run", "--labels", "prefix"),
        ("report", "run"),
        ("export", "run", "out"),
        ("info", "run"),
        ("compare", "run", "run"),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("finished_copy")
def test_what_a_run_names_is_never_imported(
    ilk: Ilk, home: Path, photos: Path, payload: Path, command: tuple[str, ...]
) -> None:
    loaded = set(sys.modules)
    name_method(home / "run", "payload:Own")
    said = ilk(*(photos if word == "PHOTOS" else word for word in command))
    assert not payload.exists()
    assert "payload" not in sys.modules.keys() - loaded
    if command[0] in ("predict", "probe") or "PHOTOS" in command:
        refused(said, "payload:Own", "--method")
    else:
        assert said.code == 0, said


@pytest.mark.parametrize(
    "name", ["venv.__main__:x", "antigravity:x", ":x", "..a:b", "a b:c", "os:system", "ilk.cli:main"]
)
def test_names_that_run_something(ilk: Ilk, home: Path, photos: Path, finished_copy: Path, name: str) -> None:
    name_method(finished_copy, name)
    before = sorted(home.rglob("*"))
    refused(ilk("predict", "run", photos, "-o", "table.csv"), "no method", "--method")
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize("name", [None, 3, ["transfer"], {"a": 1}])
def test_a_method_that_is_no_name(ilk: Ilk, photos: Path, finished_copy: Path, name: object) -> None:
    name_method(finished_copy, name)
    refused(ilk("predict", "run", photos), "run.json", "method")


def test_only_what_the_caller_gives(photos: Path, tmp_path: Path, payload: Path, ilk: Ilk) -> None:
    run = package.cluster(photos, tmp_path / "own", method="toy:Toy", options={"preset": "tiny"})
    with pytest.raises(ArgumentError, match=r"toy:Toy.*--method"):
        package.predict(run, photos)
    found = package.predict(run, photos, cls=Toy)
    assert found.group.tolist() == run.labels().tolist()
    assert ilk("predict", run.path, photos, "--method", "toy:Toy", "-o", "table.csv").code == 0
    assert ilk("evaluate", run.path, photos, "--labels", "prefix", "--method", "toy:Toy").code == 0
    with pytest.raises(ArgumentError, match="Own"):  # not the class of the run
        package.predict(run, photos, cls="payload:Own")
    assert payload.exists()  # the caller named it


def test_every_registered_name_is_found() -> None:
    for short, name in methods.short_names().items():
        assert methods.registered(short) is methods.registered(name) is getattr(methods, name)
    for name in ("ImageClusterer", "find", "importlib", "_SHORT", ""):
        with pytest.raises(ArgumentError, match="no method"):
            methods.registered(name)


def test_an_encoder_that_a_run_names_is_not_looked_for_elsewhere(photos: Path, finished_copy: Path) -> None:
    """Names that timm would load from the hub or a folder are no networks that it knows."""
    state = runs.load_run(finished_copy).state()
    for name in ("hf-hub:evil/model", "local-dir:x", "../../x", "payload:Own"):
        changed = {**state, "encoder": {**state["encoder"], "name": name, "weights_hash": "0"}}
        path = finished_copy / "model" / "encoder.safetensors"
        path.write_bytes(np.random.default_rng(0).bytes(100))
        runs.save_state(finished_copy / "model", changed)
        header = json.loads((finished_copy / "run.json").read_text("utf-8"))
        (finished_copy / "run.json").write_text(json.dumps({**header, "checksums": {}}), "utf-8")
        with pytest.raises((ArgumentError, package.errors.RunError)):
            package.predict(finished_copy, photos)


@pytest.mark.parametrize(
    "params", [{"encoder": "payload:f"}, {"settings": {"encoder": "payload:f"}}, {"encoder": "fast+payload:f"}], ids=str
)
@pytest.mark.usefixtures("finished_copy")
def test_an_encoder_that_is_code_is_not_taken_from_a_run(home: Path, photos: Path, payload: Path, params: dict) -> None:
    from sklearn.base import clone

    header = json.loads((home / "run" / "run.json").read_text("utf-8"))
    header["params"] |= params
    (home / "run" / "run.json").write_text(json.dumps(header), "utf-8")
    model = runs.load_run(home / "run").model()
    model.save(home / "model.ilk")
    for one in (model, package.load(home / "model.ilk")):
        assert "payload" not in json.dumps(one.get_params(), default=str)
        for fitted in (one, clone(one)):
            fitted.fit(photos)
    assert not payload.exists()
    assert "payload" not in sys.modules
