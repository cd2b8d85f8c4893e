"""The journal: what was confirmed is there, whatever happened; one writer at a time; every damage named."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from eight import KEYS, opened
from trial import Ilk, refused, tree

import ilk as package
from ilk import disk
from ilk.corrections import Corrections, Found
from ilk.corrections.journal import MAX_BYTES
from ilk.errors import ArgumentError, RunError


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "corrections.jsonl").read_text("ascii").splitlines()]


def test_a_line_an_action(tmp_path: Path) -> None:
    made = opened(tmp_path)
    assert (made.grouping().count, list(tmp_path.iterdir())) == (0, [])  # looking leaves nothing behind
    made.move("0.png", to=1)
    made.rename(1, " sleeves ")
    made.undo()
    first, second, third = lines(tmp_path)
    assert {name: first[name] for name in ("n", "do", "images", "to")} == {
        "n": 1, "do": "move", "images": [KEYS[0]], "to": 1,
    }  # fmt: skip
    assert str(first["at"]).endswith("Z")
    assert (second["name"], third["do"], third["n"]) == ("sleeves", "undo", 3)
    assert [(action.do, live) for action, live in made.actions()] == [("move", True), ("rename", False)]


def test_a_line_is_only_added_and_wrong_words_leave_no_trace(tmp_path: Path) -> None:
    made, before = opened(tmp_path), b""
    verbs = [
        lambda: made.move([0, 1], 1), lambda: made.split(1), lambda: made.new("2.png", "new"), lambda: made.undo(),
        lambda: made.merge(0, 1), lambda: made.ignore("3.png"), lambda: made.confirm(["4.png"]),
        lambda: made.note(0, "a\nb"),
    ]  # fmt: skip
    for verb in verbs:
        verb()
        now = made.path.read_bytes()
        assert now.startswith(before)
        assert now.count(b"\n") == before.count(b"\n") + 1
        before = now
    wrong = [
        lambda: made.move("9.png", 0), lambda: made.move("0.png", 9), lambda: made.merge(0), lambda: made.merge(0, 1),
        lambda: made.rename(0, "x" * 201), lambda: made.rename(0, "a\x1b[31m"), lambda: made.note(0, "\x00"),
        lambda: made.redo(), lambda: made.confirm("3.png"), lambda: made.move([], 0),
    ]  # fmt: skip
    for verb in wrong:
        with pytest.raises(ArgumentError):
            verb()
        assert made.path.read_bytes() == before


# -- killed ------------------------------------------------------------------------------------------------------------

# a child corrects as fast as it can and says what is confirmed; it is killed after so many answers, in whatever it does
KILL = """
import os, random, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from eight import opened
rng = random.Random(0)
for turn in range(int(sys.argv[3])):
    folder = Path(sys.argv[2]) / str(turn)
    folder.mkdir()
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        made = opened(folder)
        while True:
            n = made.move([rng.randrange(8), rng.randrange(8)], rng.randrange(2)).n
            os.write(theirs, n.to_bytes(4, "big"))
    os.close(theirs)
    wanted = rng.randrange(1, 40)
    for _ in range(wanted):
        last = int.from_bytes(os.read(ours, 4), "big")
    for _ in range(rng.randrange(3000)):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while (rest := os.read(ours, 4)):
        last = int.from_bytes(rest, "big")
    os.close(ours)
    print(turn, last, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL")
@pytest.mark.parametrize("tries", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_nothing_that_was_confirmed_is_lost_by_a_kill(tmp_path: Path, tries: int) -> None:
    command = [sys.executable, "-c", KILL, str(Path(__file__).parent), str(tmp_path), str(tries)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    answers = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(answers) == tries
    for turn, last in answers:
        made = opened(tmp_path / str(turn))
        assert made.grouping().last - last in (0, 1)  # one may be on the disk and not yet said
        assert made.rename(0, "goes on").n == made.grouping().last
        assert [line["n"] for line in lines(tmp_path / str(turn))] == list(range(1, made.grouping().last + 1))


def test_a_line_that_was_cut_off_anywhere_is_passed_over_and_said(tmp_path: Path) -> None:
    made = opened(tmp_path)
    for i in range(3):
        made.move(i, to=1)
    whole = made.path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    for end in range(start + 1, len(whole)):
        made.path.write_bytes(whole[:end])
        again = opened(tmp_path)
        assert again.grouping().last == 2
        assert len(notes := again.notes()) == 1
        assert "cut off" in notes[0]
        assert made.path.read_bytes() == whole[:end]  # looking changes nothing
    assert again.rename(1, "x").n == 3
    assert made.path.read_bytes().startswith(whole[:start])
    assert [line["n"] for line in lines(tmp_path)] == [1, 2, 3]
    assert (opened(tmp_path).notes(), again.notes()) == ([], [])


@pytest.mark.skipif(os.name == "nt", reason="limits of files")
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    import resource

    made = opened(tmp_path)
    made.move(0, to=1)
    before, limits = made.path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
    try:
        with pytest.raises(RunError, match=r"cannot write .*corrections\.jsonl.*was not made"):
            made.move(1, to=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert made.path.read_bytes() == before
    assert made.grouping().labels.tolist() == [1, 0, 0, 0, 1, 1, 1, 1]
    assert made.move(1, to=1).n == 2


def test_nothing_is_answered_before_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = opened(tmp_path)
    made.move(0, to=1)
    before = made.path.read_bytes()

    def refuse(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(RunError, match=r"Input/output error\. The correction was not made"):
        made.move(1, to=1)
    assert made.path.read_bytes() == before
    assert made.grouping().count == 1


def test_a_number_is_never_given_twice(tmp_path: Path) -> None:
    made, numbers = opened(tmp_path), []
    for images in (0, 1, 2):
        numbers.append(made.new(images).arguments["to"])
        made.undo()
        made = opened(tmp_path)
    made.redo()
    numbers.append(made.split(0).arguments["to"])
    assert numbers == [2, 3, 4, 5]
    assert {*made.grouping().names} == {0, 1, 4, 5}


# -- writers -----------------------------------------------------------------------------------------------------------


def test_two_writers(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    one.move(0, to=1)
    assert other.move(1, to=1).n == 2  # each sees what the other wrote
    assert one.grouping().labels.tolist() == [1, 1, 0, 0, 1, 1, 1, 1]
    with one:
        one.rename(0, "mine")
        with pytest.raises(RunError, match="being corrected by another process"):
            other.rename(0, "theirs")
        assert other.grouping().names[0] == "mine"  # looking is free
        one.undo()
    assert other.rename(0, "theirs").n == 5
    assert one.grouping().names[0] == "theirs"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="locks")
def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); from eight import opened\n"
        "for i in range(20): opened(Path(sys.argv[2])).note(0, f'{sys.argv[3]} {i}')"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)]
    running = [subprocess.Popen([*command, name], stderr=subprocess.PIPE) for name in "ab"]
    errors = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    found = lines(tmp_path)
    assert [line["n"] for line in found] == list(range(1, 41))
    assert {line["text"] for line in found} == {f"{name} {i}" for name in "ab" for i in range(20)}


def test_a_run_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = opened(tmp_path)
    made.move(0, to=1)
    monkeypatch.setattr(disk, "unwritable", lambda folder: "Read-only file system")
    again, before = opened(tmp_path), tree(tmp_path)
    assert again.grouping().labels[0] == 1
    with pytest.raises(RunError, match=r"cannot be written \(Read-only file system\): it can be looked at"):
        again.move(1, to=1)
    with pytest.raises(RunError, match="it can be looked at"), again:
        pass
    assert tree(tmp_path) == before


def test_links_and_folders_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    made = opened(tmp_path)
    made.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match=r"cannot be read \(a link"):
        made.grouping()
    with pytest.raises(RunError, match="a link"):
        made.move(0, to=1)
    assert (tmp_path / "elsewhere").read_text() == "mine"
    made.path.unlink()
    made.path.symlink_to(tmp_path / "nothing")
    with pytest.raises(RunError, match="a link"):
        made.move(0, to=1)
    assert not (tmp_path / "nothing").exists()
    made.path.unlink()
    made.path.mkdir()
    with pytest.raises(RunError, match="a folder"):
        made.grouping()


@pytest.mark.skipif(not hasattr(os, "link"), reason="hard links")
def test_a_second_name_of_the_journal_is_left_alone(tmp_path: Path) -> None:
    made = opened(tmp_path)
    made.move(0, to=1)
    os.link(made.path, tmp_path / "backup")
    before = made.path.read_bytes()
    made.move(1, to=1)
    assert (tmp_path / "backup").read_bytes() == before
    assert made.path.read_bytes().startswith(before)
    assert opened(tmp_path).grouping().last == 2


# -- damage ------------------------------------------------------------------------------------------------------------

GOOD = b'{"n": 1, "at": "2026-11-30T12:00:00Z", "do": "move", "images": ["%s"], "to": 1}\n' % KEYS[0].encode()
BAD = [
    (b"\n", "line 2"),
    (b"[]\n", "no object"),
    (b'{"n": 2}\n', "action"),
    (b'{"n": "2", "do": "undo"}\n', "no number"),
    (b'{"n": true, "do": "undo"}\n', "no number"),
    (b'{"n": 1, "do": "undo"}\n', "number 1 comes after 1"),
    (b'{"n": 2, "do": "explode"}\n', "newer ilk"),
    (b'{"n": 2, "do": ["undo"]}\n', "newer ilk"),
    (b'{"n": 2, "do": "undo", "at": 7}\n', "time"),
    (b'{"n": 2, "do": "move", "images": [], "to": 1}\n', "no list of images"),
    (b'{"n": 2, "do": "move", "images": "all", "to": 1}\n', "no list of images"),
    (b'{"n": 2, "do": "move", "images": [7], "to": 1}\n', "no list of images"),
    (b'{"n": 2, "do": "move", "images": ["a"], "to": -1}\n', "no group"),
    (b'{"n": 2, "do": "move", "images": ["a"], "to": 1e3}\n', "no group"),
    (b'{"n": 2, "do": "move", "images": ["a"], "to": 99999999999999999999}\n', "no group"),
    (b'{"n": 2, "do": "move", "images": ["a"]}\n', "no to"),
    (b'{"n": 2, "do": "merge", "groups": 3}\n', "no list of groups"),
    (b'{"n": 2, "do": "confirm", "images": ["a"], "groups": [1, 2]}\n', "as many groups"),
    (b'{"n": 2, "do": "rename", "group": 1, "name": "\\u001b[31m"}\n', "cannot be shown"),
    (b'{"n": 2, "do": "rename", "group": 1, "name": "\\ud800"}\n', "cannot be shown"),
    (b'{"n": 2, "do": "rename", "group": 1, "name": "%s"}\n' % (b"x" * 300), "more than 200"),
    (b'{"n": 2, "do": "note", "group": 1, "text": {}}\n', "no text"),
    (b"[" * 100_000 + b"]" * 100_000 + b"\n", "nested too deep"),
    (b'{"n": 2, "do": "undo", "more": ' + b"[" * 50 + b"]" * 50 + b"}\n", "nested too deep"),
    (b"\xff\xfe\n", "line 2"),
    (b"\x00" * 50 + b"\n", "line 2"),
    (b'{"n": NaN, "do": "undo"}\n', "no number"),
]


@pytest.mark.parametrize(("bad", "words"), BAD, ids=range(len(BAD)))
def test_a_damaged_line_is_named(tmp_path: Path, bad: bytes, words: str) -> None:
    made = opened(tmp_path)
    made.path.write_bytes(GOOD + bad)
    before = made.path.read_bytes()
    for ask in (made.grouping, made.undo, lambda: made.move(0, 1)):
        with pytest.raises(RunError, match=r"corrections\.jsonl is damaged \(line 2") as caught:
            ask()
        assert words in str(caught.value)
        assert "--uncorrected" in str(caught.value)
        assert len(str(caught.value)) < 500 + len(str(tmp_path))
    assert made.path.read_bytes() == before


def test_a_journal_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    made = opened(tmp_path)
    with open(made.path, "wb") as file:
        file.truncate(MAX_BYTES + 1)  # a hole
    with pytest.raises(RunError, match="larger than 64 MiB"):
        made.grouping()


def test_damage_is_answered_by_every_command(ilk: Ilk, home: Path, photos: Path, finished: Path) -> None:
    commands = {
        "info": ("info", "run"),
        "correct": ("correct", "run"),
        "undo": ("correct", "run", "--undo"),
        "export": ("export", "run", "out", "--as", "csv"),
        "evaluate": ("evaluate", "run", "--labels", "prefix"),
        "compare": ("compare", "run", finished),
        "report": ("report", "run", "-o", "page.html"),
        "predict": ("predict", "run", photos),
    }
    shutil.copytree(finished, "run")
    key = package.load_run(finished).hashes()[0]
    rng, good = random.Random(0), GOOD.replace(KEYS[0].encode(), key.encode())
    for name, command in commands.items():
        Path("run/corrections.jsonl").write_bytes(good + rng.choice(BAD)[0])
        refused(ilk(*command), "corrections.jsonl is damaged (line 2", "--uncorrected")
        if name not in ("correct", "undo", "predict", "report"):
            assert ilk(*command, "--uncorrected").code == 0
    shutil.rmtree("out")
    for _ in range(40):  # one flipped bit: a named damage, or another journal that is as good
        data = bytearray(good * 1 + b'{"n": 2, "do": "merge", "groups": [0, 1]}\n')
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        Path("run/corrections.jsonl").write_bytes(data)
        said = ilk("export", "run", "out", "--as", "csv")
        if said.code:
            refused(said, "corrections.jsonl")


def test_the_first_line_of_a_new_journal_reads_the_groups_no_second_time(tmp_path: Path) -> None:
    asked: list[int] = []

    def found() -> Found:
        asked.append(1)
        return Found(KEYS, np.array([0, 0, 0, 0, 1, 1, 1, 1]), {0: "", 1: ""})

    made = Corrections(tmp_path, found, lambda: [f"{i}.png" for i in range(8)], lambda: np.zeros((8, 2)))
    made.grouping()
    made.move([0], 1)
    made.move([1], 1)
    assert made.grouping().labels.tolist() == [1, 1, 0, 0, 1, 1, 1, 1]
    assert len(asked) == 1
    opened(tmp_path).undo()
    assert made.grouping().labels.tolist() == [1, 0, 0, 0, 1, 1, 1, 1]
    made.path.unlink()
    assert made.grouping().labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
