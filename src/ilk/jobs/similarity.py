"""A run and one image in, the images of the run most like it out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ilk import disk, runs
from ilk.errors import ArgumentError, DataError
from ilk.files import Listing, content_hash, open_source
from ilk.jobs.prediction import predict

__all__ = ["Alike", "similar"]

_NONE = {"id": -1}


@dataclass(frozen=True)
class Alike:
    """The images of a run most like one image.

    Attributes
    ----------
    run : Run
    row : int or None
        The image by its row, where the run has it, perhaps under another name; None for a new one.
    rows, similarity : list of int, list of float
        Rows of the run, the most alike first, and the cosine of the features.
    image
        What was asked about.
    model
        What a new image was encoded with; else None.
    """

    run: runs.Run
    row: int | None
    rows: list[int]
    similarity: list[float]
    image: Any
    model: Any = None

    def pairs(self) -> list[tuple[int, float]]:
        """Return (row, similarity) of each."""
        return list(zip(self.rows, self.similarity, strict=True))

    def summary(self) -> dict[str, Any]:
        """Return what ``ilk similar --json`` prints; a new image is placed for it as `ilk predict` does."""
        paths, labels = self.run.images()["path"], self.run.labels()
        groups = {int(one["id"]): one for one in self.run.clusters()}

        def named(group: int) -> dict[str, Any]:
            return {"group": group, "group_name": disk.printable(runs.shown_name(groups.get(group, {"id": group})))}

        near = [
            {"row": row, "path": paths[row], "similarity": round(like, 4), **named(int(labels[row]))}
            for row, like in self.pairs()
        ]
        found: dict[str, Any] = {"run": str(self.run.path), "image": str(self.image), "row": self.row}
        if self.row is not None:
            return {**found, "path": paths[self.row], **named(int(labels[self.row])), "nearest": near, "notes": []}
        placed = predict(self.run, _source(self.image), nearest=0, model=self.model)
        second = int(placed.second[0])
        return {
            **found,
            "path": None,
            **named(int(placed.group[0])),
            "confidence": round(float(placed.confidence[0]), 4),
            "second": second if second >= 0 else None,
            "nearest": near,
            "notes": placed.notes,
        }


def similar(run: runs.Run | str | Path, image: Any, n: int = 12, *, model: Any = None, **how: Any) -> Alike:
    """Find the images of `run` most like `image`.

    Parameters
    ----------
    run
    image
        The path of a file; the name of an image of the run, as `Run.rows` takes it, or its row; or pixels (uint8, or a
        PIL image). A file that the run has, under whatever name, is known by its content and not encoded: that takes no
        torch.
    n
        How many; a copy of another is not counted.
    model
        What ``run.model()`` returned; None: it is loaded when a new image has to be encoded.
    **how
        Of `Run.model`: ``cls, device, cache, encoder``.

    Raises
    ------
    ArgumentError
        There is no such image or file, or `n` is no number of images.
    DataError
        The file cannot be read as an image.
    """
    run, n = run if isinstance(run, runs.Run) else runs.load_run(run), runs.count_of(n)
    if (row := _known(run, image)) is not None:
        pairs = run.similar(row, n)
        return Alike(run, row, [one for one, _ in pairs], [like for _, like in pairs], image)
    model = run.loaded(**how) if model is None else model
    encoded = model.encode(_source(image))
    if not (encoded.position >= 0).all():
        raise DataError(f"{image if isinstance(image, str | Path) else 'the image'}: {encoded.reasons[0]}.")
    rows, likes = run.neighbours.search.of(np.asarray(encoded.features[encoded.position[0]]), n)
    return Alike(run, None, rows.tolist(), likes.tolist(), image, model)


def _source(image: Any) -> Any:
    """Return one image as a source; raise where it is none, or several."""
    if isinstance(image, str | Path):
        return [Path(image).expanduser()]
    pixels = np.asarray(image.convert("RGB") if hasattr(image, "convert") else image)
    if pixels.ndim not in (2, 3):
        raise ArgumentError(f"image of shape {pixels.shape}: give one image, (h, w) or (h, w, 3).")
    return pixels[None]


def _known(run: runs.Run, image: Any) -> int | None:
    """Return the row of `image` where the run has it; None where it is a new one.

    What a file holds decides, and not where it lies: it may have moved, or been edited since.
    """
    if isinstance(image, int | np.integer) and not isinstance(image, bool):
        return int(image)
    if not isinstance(image, str | Path):
        return None
    if not Path(image).expanduser().is_file():
        try:
            return run.rows([str(image)])[0]
        except ArgumentError as error:
            raise ArgumentError(f"there is no file {image}, and in the run {error}") from None
    hashes = run.hashes()
    try:
        listing = open_source([Path(image).expanduser()])
        content = content_hash(listing.read(0)).hex() if isinstance(listing, Listing) else None
    except OSError:
        return None  # what opens it next says why
    return None if hashes is None or content not in hashes else hashes.index(content)
