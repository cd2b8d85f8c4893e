"""Jobs that train: interrupted anywhere, they go on, and the result is the undisturbed one to the bit."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import EPOCHS, Toy
from trial import Ilk

import ilk
from ilk import runs
from ilk.errors import ArgumentError, Interrupted
from ilk.runs import Checkpoint

TOY = "toy:Toy"
SAME = ("assignments.parquet", "features.npy", "map.npy", "model/state.safetensors", "images.parquet")

pytestmark = pytest.mark.usefixtures("home", "no_report", "no_map")


def job(source: Path, out: str, **more: Any) -> runs.Run:
    return ilk.cluster(source, out, method=TOY, **more)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> runs.Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ilk.report.write_plots", lambda run, source=None: [])
        patch.setattr("ilk.report.write_report", lambda run, out=None, source=None: run.path / "report.html")
        patch.setattr("ilk.layout.map_2d", lambda space, **_: space[:, :2])
        return job(photos, str(tmp_path_factory.mktemp("undisturbed") / "run"))


def assert_same(run: runs.Run, other: runs.Run) -> None:
    for name in SAME:
        assert (run.path / name).read_bytes() == (other.path / name).read_bytes(), name
    losses = [[record["loss"] for record in one.header["history"]] for one in (run, other)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == EPOCHS


def test_a_run_of_a_trained_network_is_whole(undisturbed: runs.Run, photos: Path) -> None:
    header = undisturbed.header
    assert header["encoder"]["name"] == header["summary"]["encoder"] == "toy net"
    assert set(header["summary"]["seconds"]) >= {"list", "encode", "train", "report", "total"}
    assert header["summary"]["seconds"]["train"] > 0
    assert not list(undisturbed.path.glob("checkpoint*"))
    assert [record["epoch"] for record in header["history"]] == list(range(1, EPOCHS + 1))
    with pytest.raises(ArgumentError, match="cls=Toy"):  # what a run says is never imported
        ilk.predict(undisturbed, photos)
    found = ilk.predict(undisturbed, photos, cls=Toy)
    assert found.group.tolist() == undisturbed.labels().tolist()
    assert not (undisturbed.path / "model" / "encoder.safetensors").exists()


@pytest.mark.parametrize("threads", [1, 3])
def test_a_run_says_how_many_threads_it_was_trained_with(photos: Path, threads: int) -> None:
    """They share sums: "same seed, same machine" holds for the same number of them alone."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        job(photos, "run")
    finally:
        torch.set_num_threads(before)
    assert json.loads(Path("run/run.json").read_text("utf-8"))["threads"] == threads
    assert runs.load_run("run").header["threads"] == threads


@pytest.mark.parametrize("epoch", [1, 3, EPOCHS])
def test_stopped_after_an_epoch(undisturbed: runs.Run, photos: Path, epoch: int) -> None:
    with pytest.raises(Interrupted, match=f"stopped after {epoch} of {EPOCHS} epochs; the same command goes on"):
        job(photos, "run", on_event=lambda event: event.get("epoch") == epoch)
    assert not Path("run").exists()
    assert sorted(p.name for p in Path("run.partial/checkpoint").iterdir()) == ["state.json", "state.safetensors"]
    events: list[dict[str, Any]] = []
    run = job(photos, "run", on_event=events.append)
    assert [event["epoch"] for event in events if "epoch" in event] == list(range(epoch + 1, EPOCHS + 1))
    assert_same(run, undisturbed)


def test_a_checkpoint_made_elsewhere_is_gone_on_with(undisturbed: runs.Run, photos: Path) -> None:
    with pytest.raises(Interrupted):
        job(photos, "elsewhere", on_event=lambda event: event.get("epoch") == 2)
    events: list[dict[str, Any]] = []
    run = job(photos, "run", start_from=Path("elsewhere.partial/checkpoint"), on_event=events.append)
    assert [event["epoch"] for event in events if "epoch" in event] == list(range(3, EPOCHS + 1))
    assert_same(run, undisturbed)
    fresh = job(photos, "fresh", start_from=Path("no such checkpoint"))
    assert_same(fresh, undisturbed)


def test_a_slice_at_a_time(undisturbed: runs.Run, photos: Path) -> None:
    """With no time at all, every slice is one epoch."""
    for epoch in range(1, EPOCHS):
        with pytest.raises(Interrupted, match=f"{epoch} of {EPOCHS}"):
            job(photos, "run", max_seconds=1e-9)
    run = job(photos, "run", max_seconds=1e-9)
    assert_same(run, undisturbed)
    seconds = run.header["summary"]["seconds"]
    assert seconds["total"] > seconds["train"] > 0


@pytest.mark.parametrize("when", ["in an epoch", "while saving", "between two renames"])
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_killed(undisturbed: runs.Run, photos: Path, home: Path, when: str) -> None:
    """`kill -9` in the fourth epoch, in the writing of its state, and when the old state has lost its name."""
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import toy, ilk
from ilk import train, report
from ilk.runs import checkpoint
from ilk import layout
layout.map_2d = lambda space, **_: space[:, :2]
report.write_plots = lambda run, source=None: []
report.write_report = lambda run, out=None, source=None: run.path / "report.html"
done = []
def die():
    os.kill(os.getpid(), signal.SIGKILL)
def counted(real, least):
    def call(*arguments, **options):
        done.append(0)
        return die() if len(done) >= least else real(*arguments, **options)
    return call
when = {when!r}
checkpoint.Checkpoint.__init__.__defaults__ = (None, 1e9)  # every epoch is saved
if when == "in an epoch":
    toy.affine = counted(toy.affine, 3 * 5 + 2)
elif when == "while saving":
    from ilk.runs import state
    checkpoint.save_state = counted(lambda folder, s: state.save_state(folder, s), 4)
    real = state.write_json
    state.write_json = lambda path, value: die() if len(done) >= 3 and path.name == "state.json" else real(path, value)
else:
    real = Path.rename
    def rename(self, target):
        if Path(target).name == "checkpoint" and not done.append(0) and len(done) == 3:
            die()
        return real(self, target)
    Path.rename = rename
ilk.cluster({str(photos)!r}, "run", method="toy:Toy")
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=120, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    events: list[dict[str, Any]] = []
    run = job(photos, "run", on_event=events.append)
    first = next(event["epoch"] for event in events if "epoch" in event)
    assert first in (3, 4)
    assert_same(run, undisturbed)


def test_ctrl_c_in_an_epoch(undisturbed: runs.Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        job(
            photos,
            "run",
            on_event=lambda event: patch.setattr("toy.affine", interrupt) if event.get("epoch") == 2 else None,
        )
    assert_same(job(photos, "run"), undisturbed)


def test_a_damaged_checkpoint_is_passed_over_and_told(
    undisturbed: runs.Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoint.__init__, "__defaults__", (None, 1e9))  # every epoch is saved
    with pytest.raises(Interrupted):
        job(photos, "run", on_event=lambda event: event.get("epoch") == 4)
    path = Path("run.partial/checkpoint/state.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    events: list[dict[str, Any]] = []
    run = job(photos, "run", on_event=events.append)
    assert next(event["epoch"] for event in events if "epoch" in event) == 4
    assert_same(run, undisturbed)
    assert any("damaged checkpoint" in warning for warning in run.header["summary"]["warnings"])


def test_without_any_whole_checkpoint_it_starts_anew(undisturbed: runs.Run, photos: Path) -> None:
    with pytest.raises(Interrupted):
        job(photos, "run", on_event=lambda event: event.get("epoch") == 2)
    for folder in Path("run.partial").glob("checkpoint*"):
        shutil.rmtree(folder)
    assert_same(job(photos, "run"), undisturbed)


def test_a_stop_while_packing_goes_on(undisturbed: runs.Run, photos: Path) -> None:
    with pytest.raises(Interrupted):
        job(photos, "run", on_event=lambda event: event.get("done", 0) > 0)
    assert_same(job(photos, "run"), undisturbed)


# -- the checkpoint itself ---------------------------------------------------------------------------------------------


class Clock:
    """Time as the test says it is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("ilk.runs.checkpoint.time.perf_counter", lambda: self.now)


def record(epoch: int, epochs: int = 1000) -> dict[str, Any]:
    return {"stage": "train", "epoch": epoch, "epochs": epochs}


def test_saving_takes_two_percent_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    checkpoint = Checkpoint(tmp_path, clock.now)
    saved = []

    def state() -> dict[str, Any]:
        clock.now += 0.5
        saved.append(clock.now)
        return {"x": np.ones(3)}

    for epoch in range(1, 501):
        clock.now += 1
        assert not checkpoint.take(record(epoch), state, False)
    assert 0.5 * len(saved) <= 0.02 * clock.now
    assert len(saved) == pytest.approx(500 / 25, abs=2)
    before = len(saved)
    assert checkpoint.take(record(501), state, True)
    assert not checkpoint.take(record(1000), state, False)
    assert len(saved) == before + 2


def test_a_slice_ends_with_the_last_epoch_that_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    checkpoint = Checkpoint(tmp_path, clock.now, max_seconds=100)
    clock.now += 30  # decoding
    assert not checkpoint.take({"stage": "encode", "done": 5, "total": 9}, dict, False)
    assert not checkpoint.take({"stage": "train", "begin": True}, dict, False)
    stops = []
    for epoch in range(1, 10):
        clock.now += 8
        checkpoint.take({"stage": "train", "step": 3, "steps": 9}, dict, False)
        clock.now += 8
        stops.append(checkpoint.take(record(epoch), dict, False))
        if stops[-1]:
            break
    assert stops == [False, False, False, True]  # 30 + 4 * 16 = 94; one more would be 110
    assert checkpoint.stages == {"train": 64}
    assert checkpoint.where() == "stopped after 4 of 1,000 epochs"


def test_a_slice_ends_between_pieces_that_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    for stage in ("encode", "train"):
        checkpoint = Checkpoint(tmp_path, clock.now, max_seconds=100)
        clock.now += 150
        points = []
        for done in (5, 6, 9):  # 5: what was done before; 9: nothing is left to do
            points.append(checkpoint.take({"stage": stage, "done": done, "total": 9}, dict, False))
            clock.now += 1
        assert points == [False, True, False]


def test_pieces_of_an_epoch_are_saved_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    checkpoint = Checkpoint(tmp_path, clock.now)
    for done in range(1, 4):
        clock.now += 10
        checkpoint.take({"stage": "train", "done": done, "total": 9}, lambda done=done: {"done": done}, False)
        assert Checkpoint(tmp_path, clock.now).load() == {"done": done}


def test_time_before_the_first_epochs_end_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    checkpoint = Checkpoint(tmp_path, clock.now)
    checkpoint.take({"stage": "train", "begin": True}, dict, False)
    for step in (3, 6):
        clock.now += 10
        checkpoint.take({"stage": "train", "done": step, "total": 90, "step": step, "steps": 9}, dict, False)
    clock.now += 10
    checkpoint.take(record(1), dict, False)
    assert checkpoint.stages == {"train": 30}


def test_time_of_earlier_processes_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    checkpoint = Checkpoint(tmp_path, clock.now)
    clock.now += 40
    checkpoint.take(record(1), lambda: {"epoch": 1, "x": np.ones(2)}, True)
    clock.now += 1000
    again = Checkpoint(tmp_path, clock.now)
    state = again.load()
    assert again.seconds == 40
    assert state.keys() == {"epoch", "x"}
    clock.now += 2
    again.take(record(2), lambda: {"epoch": 2}, True)
    last = Checkpoint(tmp_path, clock.now)
    last.load()
    assert (last.seconds, last.stages) == (42, {"train": 42})


def test_scalars_stay_scalars(tmp_path: Path) -> None:
    runs.save_state(tmp_path, {"step": np.array(3.0), "x": np.ones((2, 3)).T})
    state = runs.load_state(tmp_path)
    assert state["step"].shape == ()
    assert state["x"].shape == (3, 2)


# -- the command line --------------------------------------------------------------------------------------------------


def test_slices_on_the_command_line(ilk: Ilk, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "pause", 0.05)
    arguments = ("cluster", photos, "-o", "run", "-m", TOY, "-k", "3")
    said = ilk(*arguments, "--slice", "0.0000001")
    assert said.code == 130
    assert "stopped after" in said.err
    assert "same command goes on" in said.err
    code, slices = 130, 1
    while code == 130:
        said = ilk(*arguments, "--slice", "0.0000001", "--json")
        code, slices = said.code, slices + 1
    assert (code, slices) == (0, EPOCHS)
    assert said.json["encoder"] == "toy net"
    assert json.loads(Path("run/run.json").read_text())["status"] == "done"
    assert ilk(*arguments, "--slice", "-1").code == 1
