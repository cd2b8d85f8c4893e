"""Runs to export."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from album import Regroup, group
from PIL import Image
from trial import write_images

import ilk
from ilk.runs import Run


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 images of 3 patterns, some of the same names in a subfolder; a twin, two unreadable ones."""
    folder = write_images(tmp_path_factory.mktemp("album") / "album", 18)
    write_images(folder / "more", 6, seed=1)
    shutil.copy(folder / "0_0003.png", folder / "twin of 3.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff not much more")
    (folder / "page.png").write_text("<html>no</html>")
    Image.open(folder / "0_0000.png").save(folder / "other.tga")
    return folder


@pytest.fixture(scope="session")
def album_run(tmp_path_factory: pytest.TempPathFactory, album: Path) -> Run:
    """A run of the album in 3 groups; not to be changed."""
    return group(album, tmp_path_factory.mktemp("album_run") / "run")


@pytest.fixture
def regroup(tmp_path: Path) -> Regroup:
    """A copy of a run in which some images, by path, are in another group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = iter(range(100))

    def change(run: Run, groups: dict[str, int]) -> Run:
        copy = shutil.copytree(run.path, tmp_path / f"regrouped-{next(count)}")
        paths, table = run.images()["path"], run.assignments()
        table["group"] = [groups.get(paths[i], group) for i, group in zip(table["index"], table["group"], strict=True)]
        pq.write_table(pa.table(table), copy / "assignments.parquet")
        return ilk.load_run(copy)

    return change
