"""The commonest mistakes at the command line: each is answered with the command to type."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest
from trial import SMALL, Ilk, Said, refused, tree, write_images

from ilk import runs


def typed(said: Said) -> str:
    """The command that the answer says to type."""
    assert said.code in (1, 2), said
    assert said.err.count("\n") == 1, said.err
    assert said.err.startswith("ilk: ")
    return said.err.rstrip("\n").rpartition("ype: ")[2]


# -- words -------------------------------------------------------------------------------------------------------------

WORDS: list[tuple[str, str]] = [
    ("clutser photos -k 3", "ilk cluster photos -k 3"),
    ("photos", "ilk cluster photos"),
    ("photos/ -k 3", "ilk cluster photos/ -k 3"),
    ("help", "ilk --help"),
    ("list", "ilk runs"),
    ("undo run", "ilk correct RUN --undo"),
    ("cluster", "ilk cluster SOURCE…"),
    ("predict run", "ilk predict run SOURCE…"),
    ("export", "ilk export RUN DIR"),
    ("cluster photos -m transfr", "ilk cluster photos -m transfer"),
    ("cluster photos --set preset=tyny", "ilk cluster photos --set preset=tiny"),
    ("cluster photos --set reducr=pca", "ilk cluster photos --set reducer=pca"),
    ("cluster photos --set reducer=pac", "ilk cluster photos --set reducer=pca"),
    ("cluster photos --labls none", "ilk cluster photos --labels none"),
    ("cluster photos -K 3", "ilk cluster photos -k 3"),
    ("cluster photos --n-clusters=3", "ilk cluster photos -k 3"),
    ("cluster photos --gpu", "ilk cluster photos --device cuda"),
    ("cluster photos --epochs 5", "ilk cluster photos --set epochs=5"),
    ("cluster photos k=3", "ilk cluster photos -k 3"),
    ("cluster photos preset=tiny", "ilk cluster photos --set preset=tiny"),
    ("cluster photos --split tarin", "ilk cluster photos --split train"),
    ("cluster photos --labels perfix", "ilk cluster photos --labels prefix"),
    ("methods transfr", "ilk methods transfer"),
    ("cluster phtos", "ilk cluster photos"),
    ("cluster photos --encoder pixel", "ilk cluster photos --encoder pixels"),
]


@pytest.mark.parametrize(("wrong", "right"), WORDS, ids=[wrong for wrong, _ in WORDS])
def test_a_slip_is_answered_with_the_command_that_was_meant(
    ilk: Ilk, home: Path, photos: Path, wrong: str, right: str
) -> None:
    (home / "photos").symlink_to(photos, target_is_directory=True)
    before = tree(home)
    assert typed(ilk(*wrong.split())) == right
    assert tree(home) == before


# -- things ------------------------------------------------------------------------------------------------------------


def test_a_folder_without_images(ilk: Ilk, home: Path) -> None:
    """Also one of folders of archives: what is there is named."""
    (home / "empty").mkdir()
    said = ilk("cluster", "empty")
    assert "there is no image in empty: it holds nothing" in said.err
    assert typed(said).startswith("ilk cluster FOLDER")
    (home / "nested" / "a" / "b").mkdir(parents=True)
    (home / "note.txt").write_text("a")
    with tarfile.open(home / "nested" / "a" / "b" / "old.tar", "w") as tar:
        tar.add(home / "note.txt", "note.txt")
    assert "1 archive (a/b/old.tar)" in ilk("cluster", "nested").err


def test_a_run_folder_that_is_taken(ilk: Ilk, home: Path, photos: Path, finished_copy: Path) -> None:
    said = ilk("cluster", photos, "-k", "2", *SMALL, "-o", "run")
    assert "-k was 3, not 2" in said.err
    command = typed(said)
    assert command.endswith("-o run-2")
    assert f"cluster {photos} -k 2" in command
    (home / "run-2").mkdir()
    assert typed(ilk("cluster", photos, "-k", "2", *SMALL, "-o", "run")).endswith("-o run-3")
    (home / "mine").mkdir()
    (home / "mine" / "a.txt").write_text("a")
    assert typed(ilk("cluster", photos, "-k", "2", "-o", "mine")) == f"ilk cluster {photos} -k 2"


def test_a_folder_that_has_grown_since(ilk: Ilk, home: Path, photos: Path) -> None:
    """The same command as last month: the run is brought up to date, and what was said of it is kept."""
    source = shutil.copytree(photos, home / "photos")
    command = ["cluster", "photos", "-k", "3", *SMALL, "-o", "run"]
    assert ilk(*command).code == 0
    write_images(source, 43, seed=9)
    said = ilk(*command)
    assert "Since then 7 images are new: an update lets them join, and groups, names and corrections stay" in said.err
    assert said.err.index("an update") < said.err.index("-o, or add --overwrite")
    assert typed(said) == "ilk update run"
    assert typed(ilk(*command[:2], "-k", "2", *command[4:])).endswith("-o run-2")  # other settings: another run
    assert ilk(*command[:-1], "run", "--overwrite").code == 0  # nothing was said of it by hand
    assert ilk("correct", "run", "--rename", "0", "mine").code == 0
    write_images(source, 44, seed=9)
    (source / "0_0000.png").unlink()
    said = ilk(*command, "--overwrite")
    assert "--overwrite would lose that. Since then 1 image is new and 1 image is gone: an update takes" in said.err
    assert typed(said) == "ilk update run"
    assert typed(ilk(*command)) == "ilk update run"
    assert ilk("update", "run").code == 0
    said = ilk(*command)
    assert "has all of these images by now" in said.err
    assert typed(said) == "ilk gallery run"


def test_a_folder_that_has_grown_and_no_run_is_named(ilk: Ilk, home: Path, photos: Path, no_report: None) -> None:
    source = shutil.copytree(photos, home / "photos")
    command = ["cluster", "photos", "-k", "3", *SMALL]
    assert "as they were before" not in ilk(*command).out
    first = runs.below(home / "ilk-runs")[0].name
    write_images(source, 43, seed=9)
    said = ilk(*command)
    assert f"ilk-runs/{first} has these images as they were before: `ilk update` lets new ones join" in said.out
    assert len(runs.below(home / "ilk-runs")) == 2
    assert "as they were before" not in ilk(*command).out  # it is there already


def test_more_groups_than_images(ilk: Ilk, photos: Path) -> None:
    said = ilk("cluster", photos, "-k", "100")
    assert "36 images are too few for 100 groups" in said.err
    assert typed(said) == f"ilk cluster {photos} -k auto"


def test_a_single_photo(ilk: Ilk, photos: Path) -> None:
    assert typed(ilk("cluster", photos / "0_0000.png")) == f"ilk cluster {photos}"


def test_no_run_where_one_is_asked_for(ilk: Ilk, home: Path, photos: Path, finished_copy: Path) -> None:
    assert typed(ilk("predict", photos, "run")) == f"ilk predict run {photos}"  # exchanged
    assert typed(ilk("info", "runn")) == "ilk info run"
    assert typed(ilk("predict", home, photos)) == f"ilk predict {finished_copy} {photos}"  # the folder it is in
    assert typed(ilk("info", photos)) == f"ilk cluster {photos}"
    (home / "ilk-runs").mkdir()
    shutil.move(finished_copy, home / "ilk-runs" / "first")
    assert typed(ilk("info", photos)) == "ilk runs"
    assert typed(ilk("cluster", "ilk-runs/first")) == "ilk open ilk-runs/first"


def test_a_run_of_another_version(ilk: Ilk, finished_copy: Path) -> None:
    header = json.loads((finished_copy / "run.json").read_text("utf-8"))
    (finished_copy / "run.json").write_text(json.dumps({**header, "ilk_run": 99}), "utf-8")
    refused(ilk("info", "run"), "newer ilk", "run format 99", "Upgrade ilk")


def test_an_unfinished_run_is_answered_with_the_command_that_began_it(ilk: Ilk, home: Path) -> None:
    header = {"ilk_run": runs.SCHEMA, "status": "running", "command": "ilk cluster 'my photos' -k 3 -o run"}
    (home / "run.partial").mkdir()
    (home / "run.partial" / "run.json").write_text(json.dumps(header))
    assert typed(ilk("info", "run")) == "ilk cluster 'my photos' -k 3 -o run"
    assert typed(ilk("info", "run.partial")) == "ilk cluster 'my photos' -k 3 -o run"
    for command in ("ilk cluster x; rm -rf ~", "ilk cluster $(reboot)", "ilk cluster `reboot` | sh"):
        (home / "run.partial" / "run.json").write_text(json.dumps({**header, "command": command}))
        answer = typed(ilk("info", "run"))  # the folder may be anybody's: what it says is quoted, word by word
        assert not any(word.startswith((";", "|", "$", "`")) for word in answer.split()), answer
        assert "x;" not in answer.replace("'x;'", "")
    (home / "run.partial" / "run.json").write_text(json.dumps({**header, "command": "rm -rf ~"}))
    assert "rm -rf" not in ilk("info", "run").err


def test_a_gpu_where_there_is_none(ilk: Ilk, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    said = ilk("cluster", photos, "-k", "3", "--device", "cuda", *SMALL)
    assert "no CUDA GPU is usable here" in said.err
    assert typed(said) == f"ilk cluster {photos} -k 3 {' '.join(SMALL)} --device cpu"


def test_a_package_that_is_missing() -> None:
    from ilk.cli import mistakes
    from ilk.errors import MissingDependency

    error = MissingDependency("the UMAP reducer needs umap-learn, which does not load here (no module). Install it.")
    assert mistakes.answer(str(error), ["cluster", "photos"], error).endswith(" Type: pip install umap-learn")
    said = MissingDependency("s3:// needs s3fs: pip install 'ilk[s3]'")
    assert mistakes.answer(str(said), ["cluster", "photos"], said) == str(said)


def test_labels_that_are_not_there(ilk: Ilk, finished_copy: Path) -> None:
    assert typed(ilk("evaluate", "run")) == "ilk evaluate run --labels prefix"
    assert typed(ilk("evaluate", "run", "--labels", "class")) == "ilk evaluate run --labels prefix"


def test_an_export_into_the_images(ilk: Ilk, home: Path, photos: Path, finished_copy: Path) -> None:
    before = tree(photos)
    said = ilk("export", "run", photos)
    assert typed(said) == "ilk export run sorted"
    assert tree(photos) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cluster", "x", "--seed", "abc"], "--seed abc: give a whole number."),
        (["predict", "run", "x", "--threshold", "abc"], "--threshold abc: give a number."),
        (["similar", "run", "x", "-n", "0"], "-n 0: it must be greater than or equal to 1."),
        (["cluster", "x", "--xyzzy"], "there is no option --xyzzy. See: ilk cluster --help"),
        (["gobbledygook"], "there is no command gobbledygook. ilk --help lists all."),
        (["cluster", "x", "-k"], "requires an argument. See: ilk cluster --help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_in_one_line(ilk: Ilk, home: Path, arguments: list[str], words: str) -> None:
    refused(ilk(*arguments), words, code=2)
