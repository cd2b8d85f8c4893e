"""What a run answers in Python: tables, names, what is alike; and how it shows itself."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from trial import SMALL, Ilk, refused, write_images

import ilk
from ilk import showing
from ilk.errors import ArgumentError, DataError, MissingDependency
from ilk.methods import TransferClustering
from ilk.runs import Run


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 images of 3 patterns, a duplicate of the first, and one that cannot be read."""
    folder = write_images(tmp_path_factory.mktemp("asked") / "images", 30)
    shutil.copy(folder / "0_0000.png", folder / "copy of the first.png")
    (folder / "x <b>broken.jpg").write_bytes(b"\xff\xd8\xff no")
    return folder


@pytest.fixture(scope="module")
def made(images: Path) -> Run:
    """A run of these; not to be changed."""
    options = {"n_clusters": "auto", "encoder": "pixels", "preset": "tiny", "k_max": 5}
    return ilk.cluster(images, images.parent / "run", options=options)


@pytest.fixture
def run(made: Run, tmp_path: Path) -> Run:
    return ilk.load_run(shutil.copytree(made.path, tmp_path / "run"))


# -- tables ------------------------------------------------------------------------------------------------------------


def test_images_are_a_dict_and_a_table(made: Run) -> None:
    table = made.images()
    assert isinstance(table, dict)
    assert dict(table) == json.loads(json.dumps(table))  # as before
    assert table.to_arrow().schema.field("width").type == pa.int32()
    assert table.to_arrow().to_pydict() == dict(table)
    assert table.n_rows == 32
    assert "32 rows" in repr(table)
    assert len(repr(table)) < 200


def test_without_pandas_it_says_what_to_install(made: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match="pip install pandas"):
        made.images().to_pandas()


def test_table_has_groups_and_names_beside_the_images(run: Run) -> None:
    run.corrections.rename(0, "zeros")
    table, labels = run.table(), run.labels()
    assert table["path"] == run.images()["path"]
    assert [-2 if one is None else one for one in table["group"]] == labels.tolist()
    assert {name for name, label in zip(table["group_name"], labels, strict=True) if label == 0} == {"zeros"}
    lost = table["status"].index("unreadable")
    assert {table[name][lost] for name in ("group", "group_name", "confidence", "second")} == {None}
    assert list(run.table(["path", "group"])) == ["path", "group"]
    assert table.to_arrow().num_rows == 32
    with pytest.raises(ArgumentError, match="no column 'grup'"):
        run.table(["grup"])


def test_groups_and_images_by_what_they_are_called(run: Run) -> None:
    run.corrections.rename(1, "ones")
    assert [run.group(name) for name in ("ones", 1, "1", "group 1", "not assigned", -1)] == [1, 1, 1, 1, -1, -1]
    with pytest.raises(ArgumentError, match="ones"):
        ilk.load_run(run.path).uncorrected().group("ones")
    assert run.rows(["0_0003.png", 2]) == [1, 2]


# -- what is alike -----------------------------------------------------------------------------------------------------


def test_most_alike_are_those_of_the_features(made: Run) -> None:
    row = made.images()["path"].index("1_0004.png")
    x = np.asarray(made.features(), np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    cosine = x @ x[row]
    ok = [status == "ok" for status in made.images()["status"]]
    order = [i for i in np.argsort(-cosine, kind="stable") if ok[i] and i != row][:5]
    found = made.similar(row, 5)
    assert [one for one, _ in found] == order
    assert [like for _, like in found] == pytest.approx(cosine[order], abs=1e-5)


def test_a_duplicate_is_not_like_itself(made: Run) -> None:
    paths = made.images()["path"]
    first, copy = paths.index("0_0000.png"), paths.index("copy of the first.png")
    assert made.similar(first, 40) == made.similar(copy, 40)
    assert not {first, copy} & {row for row, _ in made.similar(first, 40)}
    assert len(made.similar(first, 40)) == 29


def test_a_file_is_known_by_its_content_and_a_new_one_encoded(
    made: Run, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    row = made.images()["path"].index("2_0005.png")
    moved = shutil.copy(images / "2_0005.png", tmp_path / "under another name.png")
    monkeypatch.setattr(Run, "model", lambda *_, **__: pytest.fail("nothing has to be encoded"))
    assert made.similar(moved, 3) == made.similar("2_0005.png", 3) == made.similar(row, 3)
    monkeypatch.undo()
    pixels = np.array(Image.open(images / "2_0005.png"))
    Image.fromarray(pixels).save(tmp_path / "new.bmp")  # the same picture in other bytes
    new = ilk.load_run(made.path).similar(tmp_path / "new.bmp", 3)
    assert new[0] == (row, pytest.approx(1, abs=1e-4))
    assert made.similar(pixels, 3) == new
    assert made.similar(Image.open(tmp_path / "new.bmp"), 3) == new
    model = made.model()
    assert made.similar(pixels, 3, model=model) == new


@pytest.mark.parametrize(
    ("image", "n", "error", "word"),
    [
        (99, 3, ArgumentError, "no image 99"),
        (-1, 3, ArgumentError, "no image -1"),
        (0, 0, ArgumentError, "n=0"),
        (0, True, ArgumentError, "n=True"),
        ("nowhere.png", 3, ArgumentError, "no file nowhere.png"),
        ("x <b>broken.jpg", 3, ArgumentError, "could not be read"),
        (np.zeros((2, 5, 5, 3), np.uint8), 3, ArgumentError, "one image"),
    ],
)
def test_what_is_no_image_is_named(made: Run, image: object, n: object, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=re.escape(word)):
        made.similar(image, n)


def test_a_file_that_is_no_image(made: Run, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(DataError, match=r"text\.jpg: not an image"):
        made.similar(tmp_path / "text.jpg")


def test_ilk_similar(ilk: Ilk, images: Path, tmp_path: Path) -> None:
    from PIL import Image

    assert ilk("cluster", images, "-k", "3", *SMALL, "-o", tmp_path / "run").code == 0
    known = ilk("similar", tmp_path / "run", images / "1_0001.png", "-n", "4", "--json").json
    assert (known["path"], len(known["nearest"])) == ("1_0001.png", 4)
    assert {one["group"] for one in known["nearest"]} == {known["group"]}
    Image.open(images / "1_0001.png").save(tmp_path / "new.bmp")
    new = ilk("similar", tmp_path / "run", tmp_path / "new.bmp", "-n", "4", "--json").json
    assert (new["row"], new["group"]) == (None, known["group"])
    assert new["nearest"][0]["path"] == "1_0001.png"
    assert "it is new to the run" in ilk("similar", tmp_path / "run", tmp_path / "new.bmp").out
    assert ilk("similar", tmp_path / "run", "3", "-n", "2").out.count(".png") == 3
    ilk("correct", tmp_path / "run", "--rename", known["group"], "the ones")
    assert ilk("similar", tmp_path / "run", tmp_path / "new.bmp", "--json").json["group_name"] == "the ones"
    refused(ilk("similar", tmp_path / "run", "nothing.jpg"), "no file nothing.jpg")


# -- in a notebook -----------------------------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """Tags and text of a page; a tag that is not closed fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.pictures: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag == "img":
            self.pictures.append(str(dict(attrs)["src"]))
        elif tag != "br":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = "<script>alert(1)</script> & \"'"


def test_a_run_shows_its_groups(run: Run) -> None:
    run.corrections.rename(0, HOSTILE)
    page = Page(run._repr_html_())
    assert HOSTILE in page.text
    assert {"script", "style", "link", "iframe"}.isdisjoint(page.tags)
    assert len(page.pictures) >= len([one for one in run.clusters() if one["size"]])
    assert all(one.startswith("data:image/jpeg;base64,") for one in page.pictures)
    for row in run.k_table():
        assert str(row["k"]) in page.text


def test_a_run_without_pictures_is_shown_all_the_same(run: Run) -> None:
    shutil.rmtree(run.path / "thumbs")
    assert Page(run._repr_html_()).pictures == []


@pytest.mark.parametrize(("groups", "side"), [(3, 12), (200, 48), (1000, 128)])
def test_a_page_stays_small(groups: int, side: int) -> None:
    rng = np.random.default_rng(0)
    noise = list(rng.integers(0, 256, (10, side, side, 3), np.uint8))
    shown = [showing.Group(HOSTILE * 50, 7, noise) for _ in range(groups)]
    text = showing.page("many", shown, rows=[{"k": k, "silhouette": 0.1} for k in range(2, 60)], suggested={})
    assert len(text.encode()) <= 500_000
    page = Page(text)
    assert page.pictures
    assert min(groups, 40) <= len(page.pictures) <= 400  # of each group one at least


def test_a_run_in_a_line_and_a_damaged_one_too(run: Run) -> None:
    assert re.fullmatch(r"<Run .*: 31 images in \d groups; group \d.* \(\d+\).*>", repr(run))
    (run.path / "clusters.json").write_text("[")
    assert "damaged" in repr(ilk.load_run(run.path))
    assert "\n" not in repr(ilk.load_run(run.path))


def test_a_fitted_model_shows_its_groups_and_an_unfitted_one_its_settings() -> None:
    x = np.repeat(np.random.default_rng(0).integers(0, 256, (3, 12, 12)), 10, 0)
    x = np.clip(x + np.random.default_rng(1).normal(0, 10, x.shape), 0, 255).astype(np.uint8)
    model = TransferClustering(3, encoder="pixels", preset="tiny")
    before = model._repr_mimebundle_()["text/html"]
    assert "sk-" in before
    model.fit(x)
    bundle = model._repr_mimebundle_()
    assert bundle["text/html"] == model._repr_html_()
    page = Page(bundle["text/html"])
    assert len(page.pictures) == 30
    assert page.text.count("group ") >= 3
    assert bundle["text/plain"] == repr(model)
