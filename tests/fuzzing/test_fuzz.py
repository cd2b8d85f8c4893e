"""The fuzzers themselves: that they see what is wrong, keep it, and can do it again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def in_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder `fuzz` is no package of an installation: it is found from the root, here and in the processes."""
    for path in (ROOT, ROOT / "src", Path(__file__).parent):
        monkeypatch.syspath_prepend(str(path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, ROOT / "src", Path(__file__).parent))))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_every_kind_of_failure_is_seen_and_kept(tmp_path: Path) -> None:
    from fuzz.watching import watch

    cases = []
    for kind in range(6):
        (tmp_path / f"{kind}.txt").write_text(str(kind))
        cases.append(tmp_path / f"{kind}.txt")
    wrong = {}
    for kind, case in enumerate(cases):  # one process each: what dies takes the rest of its list along
        result = watch("toy_fuzzer:Toy", repeat=[case], found=tmp_path / "found", clock=1 if kind == 4 else 60)
        assert result.mutants == 1
        wrong[kind] = [failure["wrong"] for failure in result.failures]
        for failure in result.failures:
            assert Path(failure["kept"]).read_text() == str(kind)
    assert wrong[0] == []
    assert "ValueError: raised" in wrong[1][0]
    assert "died (7)" in wrong[2][0]
    assert re.search(r"^1\.[2-4] GiB of memory", wrong[3][0])  # and what the process had before
    assert "1 s and no answer" in wrong[4][0]
    assert wrong[5] == ["wrong words"]


def test_it_goes_on_after_a_failure(tmp_path: Path) -> None:
    from fuzz.judging import random_of
    from fuzz.watching import watch

    kinds = [random_of("toy_fuzzer:Toy", 64, number).randrange(8) for number in range(12)]
    assert {1, 2, 5} <= set(kinds)
    result = watch("toy_fuzzer:Toy", seed=64, mutants=12, found=tmp_path, clock=5)
    assert result.mutants == 12
    bad = [number for number, kind in enumerate(kinds) if kind in (1, 2, 3, 4, 5)]
    assert [failure["number"] for failure in result.failures] == bad


def test_mutants_are_the_same_each_time(tmp_path: Path) -> None:
    from fuzz.judging import random_of
    from fuzz.worker import build

    for name in ("decode", "sources"):
        one, other = build(name, tmp_path / "a"), build(name, tmp_path / "b")
        made = [one.mutant(random_of(name, 3, number)) for number in range(20)]
        assert made == [other.mutant(random_of(name, 3, number)) for number in range(20)]
        assert len({case.data for case in made}) > 15
        for number, case in enumerate(made[:5]):
            kept = one.keep(case, tmp_path / f"{name}{number}")
            assert other.load(kept).data == case.data
            assert one.verdict(case) == other.verdict(other.load(kept))


def test_seeds_are_read(tmp_path: Path) -> None:
    """A fuzzer whose seeds are refused tries nothing but the first line of a reader."""
    from fuzz.judging import Case
    from fuzz.worker import build

    for name, most in (("decode", 0), ("sources", 10)):
        fuzzer = build(name, tmp_path)
        seeds = fuzzer.seeds()
        refused = [what for what, data in seeds.items() if fuzzer.verdict(Case(what, data)).outcome == "refused"]
        assert len(seeds) > 25
        assert len(refused) <= most, refused


def test_decoding_wrongly_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fuzz.images
    from fuzz.judging import Case
    from fuzz.worker import build
    from ilk.files import Decoded

    fuzzer = build("decode", tmp_path)
    data = next(iter(fuzzer.seeds().values()))
    for reason in ("two\nlines", "", "unexpected TypeError"):
        monkeypatch.setattr(fuzz.images, "decode", lambda *_, reason=reason, **__: Decoded(None, 0, 0, reason))
        assert fuzzer.verdict(Case("x.png", data)).wrong
    monkeypatch.setattr(fuzz.images, "decode", lambda *_, **__: Decoded(None, 0, 0, None))
    assert fuzzer.verdict(Case("x.png", data)).wrong


def test_the_command(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    command = [sys.executable, "-m", "fuzz", "--only", "decode", "--json", tmp_path / "a.json", "--found", tmp_path]
    done = subprocess.run([*command, "--mutants", "40"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "a.json").read_text())["values"]["fuzzers"]["decode"]
    assert figures["mutants"] >= 40
    assert figures["failures"] == 0
    done = subprocess.run([*command, "--repeat", tmp_path / "plain.png"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "decoded 1" in done.stdout
