"""Messages say what happened in the user's terms: the options that were typed, the files, what to do next."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from trial import CLASSIC, SMALL, Ilk, refused, write_images

from ilk import choose, files
from ilk.cli.spoken import spoken as as_options
from ilk.cli.words import shortened
from ilk.errors import Diverged
from ilk.methods.assign import nearest_center

BROKEN = b"\x89PNG\r\n\x1a\nnonsense"


def test_nearly_equal_images_have_a_number_of_groups() -> None:
    """Plain cards differ by less than k-means can see: a group that runs empty has no mean, and is no error."""
    random = np.random.default_rng(0)
    cards = np.vstack([1e-5 * random.normal(size=(19, 64)), np.ones((1, 64))]).astype(np.float32)
    assert choose.choose_k(cards).natural == 2
    assert choose.choose_k(torch.from_numpy(cards).half().numpy()).natural == 2


@pytest.mark.usefixtures("no_report")
def test_plain_grey_cards(ilk: Ilk, home: Path) -> None:
    (home / "cards").mkdir()
    for i in range(20):
        Image.new("RGB", (40, 30), (10 + 12 * i,) * 3).save(home / "cards" / f"{i:02}.png")
    for more in ((), ("-k", "4"), ("-m", "kmeans", "-k", "4")):
        said = ilk("cluster", "cards", "--encoder", "pixels", "-o", f"run{len(more)}", *more)
        assert said.code == 0, said


def test_few_of_the_files_can_be_read(ilk: Ilk, home: Path, photos: Path) -> None:
    (home / "mixed").mkdir()
    shutil.copy(photos / "0_0000.png", home / "mixed" / "a.png")
    for i in range(5):
        (home / "mixed" / f"b{i}.png").write_bytes(BROKEN + bytes([i]))
    said = ilk("cluster", "mixed", "-k", "2", *SMALL, "-o", "run")
    refused(said, "only 1 of 6 files could be read", "truncated PNG", "Give more images.")
    assert "look the same" not in said.err
    assert "fewer groups" not in said.err
    shutil.copy(photos / "0_0000.png", home / "mixed" / "c.png")
    refused(ilk("cluster", "mixed", "-k", "2", *SMALL, "-o", "run"), "only 2 of 7 files", "1 of them differ")


def test_copies_of_one_image(ilk: Ilk, home: Path, photos: Path) -> None:
    (home / "copies").mkdir()
    for i in range(4):
        shutil.copy(photos / "0_0000.png", home / "copies" / f"{i}.png")
    refused(ilk("cluster", "copies", "-k", "2", *SMALL, "-o", "run"), "all 4 images are the same one", "Give more")
    shutil.copy(photos / "1_0001.png", home / "copies")
    refused(ilk("cluster", "copies", "-k", "3", *SMALL, "-o", "run"), "only 2 of 5 images differ", "fewer groups (-k)")


def test_a_single_image_is_not_asked_for_fewer_groups(ilk: Ilk, home: Path) -> None:
    write_images(home / "one", 1)
    for k in ((), ("-k", "2")):
        said = ilk("cluster", "one", *k, *SMALL)
        refused(said, "1 image is too few")
        assert "fewer groups" not in said.err
    refused(ilk("cluster", "one", "-k", "1", *SMALL), "-k 1", "at least 2")


def test_a_training_that_blew_up() -> None:
    """The images were enough; it is the network that gives one answer for all of them."""
    with pytest.raises(Diverged, match=r"does not distinguish the images.*--seed"):
        nearest_center.group_centers(np.ones((50, 4), np.float32), 10, 1, 0)
    with pytest.raises(Diverged, match="too few different answers for 10 groups"):
        nearest_center.group_centers(np.full((50, 4), np.nan, np.float32), 10, 1, 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seed", "-1"], "--seed -1:"),
        (["--set", "random_state=-2"], "--seed -2:"),
        (["--set", "n_clusters=0"], "-k 0:"),
        (["--encoder", "mobilenetv2_100", "--weights", "no.pt"], "--weights no.pt:"),
        (["-m", "kmeans"], "-k"),
    ],
)
def test_options_have_the_names_that_were_typed(ilk: Ilk, photos: Path, options: list[str], words: str) -> None:
    said = ilk("cluster", photos, *options, "-o", "run")
    refused(said, words)
    assert not {"n_clusters", "random_state", "weights="} & set(said.err.replace("=", "= ").split())


def test_names_of_files_are_left_alone() -> None:
    assert as_options("no such file: photos/n_clusters=3.zip") == "no such file: photos/n_clusters=3.zip"
    assert as_options("weights='a b.pt': no such file") == "--weights a b.pt: no such file"


@pytest.mark.parametrize("width", [20, 28, 40, 60])
def test_the_name_of_a_file_is_never_cut_at_its_front(width: int) -> None:
    for name in ("a.jpg", "2019/holiday in greece/monday/IMG_2034.jpg", "x/" * 60 + "DSC00001.jpg"):
        found = shortened(name, width)
        assert len(found) <= max(width, len("IMG_2034.jpg") + 4)
        assert found.endswith(name.rpartition("/")[2])
    assert shortened("holiday-" * 12 + "34.jpg", width).startswith("holiday-")
    assert shortened("holiday-" * 12 + "34.jpg", width).endswith("34.jpg")


def test_group_is_a_number_and_group_name_a_name_everywhere(ilk: Ilk, home: Path, photos: Path, finished: Path) -> None:
    assert ilk("predict", finished, photos, "-o", "placed.csv").code == 0
    assert ilk("export", finished, "tables", "--as", "csv").code == 0
    assert ilk("export", finished, "tables", "--as", "parquet").code == 0
    assert ilk("export", finished, "atlas", "--as", "embedding-atlas").code == 0
    tables = []
    for path in ("placed.csv", "tables/groups.csv"):
        with (home / path).open(encoding="utf-8", newline="") as file:
            tables.append({row["path"]: (int(row["group"]), row["group_name"]) for row in csv.DictReader(file)})
    for path in ("tables/groups.parquet", "atlas/atlas.parquet"):
        found = pq.read_table(home / path).to_pydict()
        tables.append(dict(zip(found["path"], zip(found["group"], found["group_name"], strict=True), strict=True)))
    assert tables[0] == tables[1] == tables[2] == tables[3]
    assert {name for _, name in tables[0].values()} == {"group 0", "group 1", "group 2"}
    image = ilk("predict", finished, photos / "0_0000.png", "--json").json["images"][0]
    assert image["nearest"][0]["group"] == image["group"]
    assert image["group_name"] == f"group {image['group']}"


def test_an_output_in_a_folder_that_is_not_there(ilk: Ilk, home: Path, finished: Path) -> None:
    refused(ilk("report", finished, "-o", "no/r.html"), "no/r.html", "there is no folder no", "make that first")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("data", [b"I", b"II", b"MM\0", b"\xff", b"\xff\xd8", b"\x89PN", b"RIF", b"BM", b"\0\0", b"P6"])
def test_files_of_one_to_three_bytes_do_not_kill_the_decoder(data: bytes) -> None:
    reason = files.decode(data, (8, 8)).reason
    assert reason is not None
    assert "crashed" not in reason


@pytest.mark.usefixtures("no_report")
def test_cached_work_has_no_first_groups_and_no_speed(ilk: Ilk, home: Path) -> None:
    source = write_images(home / "many", 320)
    command = ("cluster", source, *CLASSIC, "-o")
    first = ilk(*command, "first")
    assert "images/s" in first.out
    again = ilk(*command, "again")
    assert again.code == 0
    assert "\nfirst " not in again.out
    assert "images/s" not in again.out
    assert "images from the cache" in again.out
    for path in source.iterdir():
        path.touch()  # read again, and found by their content
    third = ilk(*command, "third")
    assert "\nfirst " not in third.out
    assert "images/s" not in third.out
    write_images(home / "many", 322)
    fourth = ilk(*command, "fourth")
    assert "\nfirst " not in fourth.out
