"""What a run answers that no file of it holds by itself: what is called how, what is like what, all as one table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ilk import corrections as by_hand
from ilk.runs.line import one_line
from ilk.runs.names import own_name
from ilk.runs.similar import Neighbours, count_of
from ilk.runs.table import Table, table_of

__all__ = ["CORRECTED", "Asked"]

CORRECTED = (
    "the groups of {} were corrected since its model was made: model.predict goes by the groups as they were found. By "
    "the groups as they are now: ilk.predict(run, images, model=model)."
)


class Asked(ABC):
    """Abstract: the part of a run that answers questions; `Run` reads the files."""

    path: Path
    header: dict[str, Any]
    _model: Any = None

    @property
    @abstractmethod
    def corrections(self) -> by_hand.Corrections:
        """What was done to the groups by hand."""

    @abstractmethod
    def images(self) -> Table:
        """Return the columns of images.parquet."""

    @abstractmethod
    def assignments(self) -> dict[str, list[Any]]:
        """Return the columns of assignments.parquet."""

    @abstractmethod
    def clusters(self) -> list[dict[str, Any]]:
        """Return the groups."""

    @abstractmethod
    def summary(self) -> dict[str, Any]:
        """Return what the command line prints."""

    @abstractmethod
    def features(self) -> npt.NDArray[Any]:
        """Return (n, d) features."""

    @abstractmethod
    def grouping(self) -> by_hand.Grouping | None:
        """Return the groups with all corrections."""

    @abstractmethod
    def model(self) -> Any:
        """Return the fitted model."""

    @abstractmethod
    def uncorrected(self) -> Asked:
        """Return the run with its groups as they were found."""

    @abstractmethod
    def labels(self) -> npt.NDArray[np.int64]:
        """Return the group of every image."""

    def regrouped(self) -> bool:
        """Whether images are in other groups by now than those that the model of the run found."""
        now = self.grouping()
        moved = now is not None and bool((now.labels != self.uncorrected().labels()).any())
        return moved or bool(self.header.get("regrouped"))

    def table(self, columns: Sequence[str] | None = None) -> Table:
        """Return one row per file of the source: what it is, and its group with name and confidence.

        Parameters
        ----------
        columns
            Those wanted; by default index, path, group, group_name, looks_like, confidence, distance, second,
            silhouette, and what `images` has. Empty (None) is what an unreadable file has not.

        Raises
        ------
        ArgumentError
            There is no such column.
        """
        return table_of(self.images(), self.assignments(), self.clusters(), columns)

    def similar(self, image: Any, n: int = 12, *, model: Any = None) -> list[tuple[int, float]]:
        """Return (row, cosine of the features) of each of the images most like `image`, the most alike first.

        A row is that of an image in `images` and `table`: ``run.images()["path"][row]`` is its path. A cosine of 1 is
        the same image; its scale differs between encoders. Copies are left out.

        One of the run's images costs some 10 ms for 100,000 and no torch; a new one is encoded.

        Parameters
        ----------
        image
            The row of an image of the run; its name, as `rows` takes it; the path of an image file; or pixels.
        n
            How many.
        model
            What `model` returned, where it takes arguments; else it is loaded with the first new image, and kept.

        Raises
        ------
        ArgumentError
            There is no such image, or it cannot be read.
        """
        n = count_of(n)
        if isinstance(image, int | np.integer) and not isinstance(image, bool):
            return self.neighbours.of_row(int(image), n)
        from ilk.jobs import similar  # up: what is no row may have to be encoded

        return similar(cast(Any, self), image, n, model=model).pairs()

    def rows(self, images: str | int | Iterable[str | int]) -> list[int]:
        """Return the rows of `images`, each a path in the source, the end of one, a row, or a content hash."""
        return self.corrections.rows(images)

    def group(self, name: str | int) -> int:
        """Return the number of the group called `name`: its number, ``group 3``, or the name that somebody gave it."""
        if not isinstance(name, bool) and str(name).strip().casefold() in ("-1", "not assigned"):
            return -1
        grouping = self.grouping()
        names = {int(one["id"]): own_name(one) for one in self.clusters() if one["id"] >= 0}
        return by_hand.find_group(name, names, {} if grouping is None else grouping.merged)

    def __repr__(self) -> str:
        return one_line(self.path, lambda: (self.summary(), self.clusters()))

    def _repr_html_(self) -> str:
        """Return the groups with pictures, as a notebook shows them: at most 500 KB."""
        from ilk.report.notebook import run_page  # up: pictures are files

        return run_page(cast(Any, self))

    @cached_property
    def neighbours(self) -> Neighbours:
        """What finds the images most like one, ready for many questions from many threads."""
        return Neighbours(self.images(), self.features())

    def loaded(self, **how: Any) -> Any:
        """Return what `model` of the groups as found returns, loaded once; anew where it is asked for otherwise."""
        if self._model is None or self._model[0] != how:
            self._model = how, self.uncorrected().model(**how)
        return self._model[1]
