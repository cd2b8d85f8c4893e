"""A finished run, read lazily, with every damage named."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import corrections as by_hand
from ilk import disk
from ilk.errors import IlkError, IlkWarning, RunError
from ilk.runs import checking, shapes
from ilk.runs.asked import CORRECTED, Asked
from ilk.runs.figures import load_figures
from ilk.runs.names import own_name
from ilk.runs.parts import Part, Update
from ilk.runs.rows import Rows
from ilk.runs.state import AGAIN, check_numbers, load_state, short
from ilk.runs.table import Table
from ilk.shards import Named, ShardThumbs

__all__ = ["SCHEMA", "WHOLE", "Run", "load_run", "needed", "read_header"]

WHOLE, SCHEMA = 2, 3
"""Formats of a run: one that has all it needs, which an older ilk reads; one that names shards of a cache."""
_FIVE = ("acc", "nmi", "nmi_geometric", "ari", "purity")


def read_header(folder: Path) -> dict[str, Any]:
    """Return what ``run.json`` of a finished or unfinished run holds."""
    try:
        header = disk.read_json(folder / "run.json")
        schema = header["ilk_run"]
    except FileNotFoundError:
        raise RunError(f"{folder} is not an ilk run: it has no run.json.") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise RunError(f"{folder / 'run.json'} is damaged ({short(error)}).") from None
    if not isinstance(schema, int) or schema > SCHEMA:
        raise RunError(
            f"{folder} was written by a newer ilk (run format {schema}, this one reads up to {SCHEMA}). Upgrade ilk."
        )
    return dict(header)


class Run(Asked):
    """A finished run, read lazily. What does not fit together is a `RunError` that names the file.

    Groups are those with all corrections (`corrections`), whatever asks for them; `uncorrected` has them as found.
    Images are those that the run was made with and behind them those that joined it since (`ilk update`), as of the
    first look at this object; `as_made` has the first alone.

    Attributes
    ----------
    path : Path
    header : dict
        What run.json holds: method, params, source, versions, seconds, history, warnings …
    """

    def __init__(self, path: Path, header: dict[str, Any], *, uncorrected: bool = False, as_made: bool = False) -> None:
        self.path = path
        self.header = header
        self._as_found, self._as_made = uncorrected, as_made
        self._rows = Rows(path, header, as_made=as_made)

    def uncorrected(self) -> Run:
        """Return the same run with its groups as the method found them."""
        other = Run(self.path, self.header, uncorrected=True, as_made=self._as_made)
        other._rows = self._rows  # the same images, whatever joins meanwhile
        return other

    def as_made(self) -> Run:
        """Return the run without what joined it later: the images that its model was fitted on."""
        return Run(self.path, self.header, uncorrected=self._as_found, as_made=True)

    @property
    def updates(self) -> list[Update]:
        """What joined the run later, in order: a folder below ``updates`` each."""
        return self._rows.updates

    @property
    def parts(self) -> list[Part]:
        """What has rows of it, in order: the run as it was made, and updates."""
        return self._rows.full

    @property
    def named(self) -> Named | None:
        """The shards of a cache that it needs; None where it has features and thumbnails of its own."""
        return self._rows.first.named

    @property
    def features_path(self) -> Path:
        """The file that says what the features are: they themselves, or in which shard each is."""
        return self._rows.first.features_path

    def sources(self) -> list[dict[str, Any]]:
        """Return where its images are: the source that it was made from, as it was seen last, and those of updates.

        Records as ``source`` of run.json, with ``prefix``: what stands before the names of its images.
        """
        return self._rows.sources()

    @cached_property
    def corrections(self) -> by_hand.Corrections:
        """What was done to the groups by hand, and doing it: move, merge, split, rename, undo …"""
        folders: list[Path | tuple[Path, str]] = []
        for source in self.sources():
            spec = source.get("folder") or source.get("spec") or []
            listed, prefix = spec if isinstance(spec, list) else [spec], source["prefix"]
            folders += [(Path(one), prefix) if prefix else Path(one) for one in listed]
        return by_hand.Corrections(self.path, self._found, lambda: self.images()["path"], self.features, folders)

    def regroup(self, *, preview: bool = False, seed: int = 0) -> Any:
        """Group the images again with what was corrected by hand: in effect at once, undone as any correction.

        Parameters
        ----------
        preview
            Only return what would move (`ilk.regroup.Preview`).
        seed
            Of images that are drawn where there are very many.

        Returns
        -------
        Action or Preview
            The line of the journal; what would move.

        Raises
        ------
        ArgumentError
            Nothing would move.
        RunError
            The run is damaged, cannot be written, or another process is correcting it.
        """
        from ilk import regroup  # upwards, as `model`

        found = regroup.preview(self, seed=seed)
        return found if preview else regroup.accept(self, found)

    def grouping(self) -> by_hand.Grouping | None:
        """Return the groups by image with all corrections; None where there are none, or they are left out."""
        return None if self._as_found or not by_hand.is_there(self.path) else self.corrections.grouping()

    def images(self) -> Table:
        """Columns of images.parquet: index, path, bytes, width, height, status, duplicate_of (a path), reason; gone.

        Those of updates stand behind; ``path`` is where an image was found last, ``gone`` whether it no longer was.
        A dict of lists that is a table too: ``.to_pandas()``, ``.to_arrow()``. With groups and names: `table`.
        """
        return Table(self._rows.images())

    def assignments(self) -> dict[str, list[Any]]:
        """Columns of assignments.parquet: index, group, confidence, distance, second, silhouette; fine by method.

        Of images that joined later distance and silhouettes are empty.

        Empty (None) is what does not hold for the group that a person put an image into.
        """
        grouping = self.grouping()
        return self._rows.assignments() if grouping is None else by_hand.assignments(self._rows.assignments(), grouping)

    def clusters(self) -> list[dict[str, Any]]:
        """Groups by id: id, name, size, exemplars, borderline, quality, looks_like; note where there is one."""
        records, grouping = self._clusters(), self.grouping()
        if grouping is None:
            return records
        duplicate = [status == "duplicate" for status in self.images()["status"]]
        return by_hand.clusters(records, self._found(), grouping, self.assignments(), duplicate)

    def summary(self) -> dict[str, Any]:
        """What ``--json`` prints: that of run.json, with the groups as they are now."""
        summary, grouping = dict(self.header["summary"]), self.grouping()
        summary |= self._rows.counts()
        if grouping is None and not self.updates:
            return summary
        groups = [group for group in self.clusters() if group["size"]]
        sizes = [group["size"] for group in groups if group["id"] >= 0]
        kept = [{name: group.get(name) for name in ("id", "name", "size", "looks_like")} for group in groups]
        scores = self.scores()
        five = None if scores is None else {name: scores[name] for name in _FIVE if name in scores}
        now = {"n_clusters": len(sizes), "sizes": sizes, "groups": kept, "scores": five}
        return {**summary, **now, **({} if grouping is None else {"n_corrections": grouping.count})}

    def _found(self) -> by_hand.Found:
        """Return the groups as they were found."""
        images = self.images()
        content = self.hashes() or [None] * len(images["path"])
        # copies share what they are known by, also where the run knows no contents
        same = [copy or path for copy, path in zip(images["duplicate_of"], images["path"], strict=True)]
        keys = [known or f"path:{path}" for known, path in zip(content, same, strict=True)]
        names = {int(group["id"]): own_name(group) for group in self._clusters()}
        return by_hand.Found(keys, checking.by_image(self._rows.assignments(), "group", len(keys)), names)

    def _clusters(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._json("clusters.json", shapes.CLUSTERS)
        ids, n = {row["id"] for row in rows}, self._n()
        shown = (i for row in rows for key in ("exemplars", "borderline") for i in row.get(key, ()))
        if len(ids) < len(rows) or not all(0 <= i < n for i in shown):
            raise self._damaged("clusters.json", ValueError("ids that are there twice, or images that are not"))
        return self._rows.grown(rows)

    def k_table(self) -> list[dict[str, Any]]:
        """One row of criteria per number of groups that was tried; empty when K was given."""
        there = (self.path / "k_table.json").exists()
        return list(self._json("k_table.json", shapes.K_TABLE)) if there else []

    def suggestions(self) -> dict[str, dict[str, Any]]:
        """Groups of the suggested numbers by name (coarse, natural, fine): k, groups; empty when K was given."""
        if not (self.path / "suggestions.json").exists():
            return {}
        found: dict[str, dict[str, Any]] = self._json("suggestions.json", shapes.SUGGESTIONS)
        n = self._n()
        if not all(0 <= i < n for level in found.values() for group in level["groups"] for i in group["exemplars"]):
            raise self._damaged("suggestions.json", ValueError("images that are not there"))
        return found

    def scores(self) -> dict[str, Any] | None:
        """What `ilk evaluate` wrote; None where it was not asked, or not since the last correction or update."""
        if not (self.path / "scores.json").exists():
            return None
        scores: dict[str, Any] = self._json("scores.json", shapes.SCORES)
        corrected = scores.pop("corrected", None)
        if scores.pop("updates", 0) != len(self.updates):
            return None
        for one in (scores, corrected or {}):
            if not all(key.removeprefix("-").isdecimal() for key in one.get("clusters", ())):
                raise self._damaged("scores.json", ValueError("a group without a number"))
        grouping = self.grouping()
        if grouping is None or not grouping.count:
            return scores
        if corrected is None or corrected.pop("last") != grouping.last:
            return None
        return {"labels": scores.get("labels"), **corrected, "uncorrected": scores}

    def figures(self) -> list[dict[str, Any]]:
        """The method's own figures: name, title, caption, kind and the arrays of that kind; empty where it has none."""
        return load_figures(self.path)

    def features(self) -> npt.NDArray[Any]:
        """(n, d), one row per image; NaN where unreadable.

        A memory map, or what acts as one and reads what is asked for: after updates (`ilk.runs.stacked`), and where
        the run names shards of a cache (`ilk.shards.ShardRows`).

        Raises
        ------
        RunError
            They are missing or damaged; also later, when rows are read from a shard that is.
        """
        return self._rows.features()

    def map(self) -> npt.NDArray[Any] | None:
        """(n, 2) float32 layout, NaN where unreadable; None where the run has none."""
        return self._rows.map()

    def thumbs(self) -> list[tuple[int, Path | ShardThumbs]]:
        """Return where thumbnails are, and the row that each begins with: what `ilk.files.sprites_of` takes."""
        return self._rows.thumbs()

    def state(self) -> dict[str, Any]:
        """The fitted model's state, held against the checksums in run.json."""
        record = self.header.get("checksums") or {}
        known = {name.removeprefix("model/"): value for name, value in record.items() if name.startswith("model/")}
        state = load_state(self.path / "model", known)
        check_numbers(self.path / "model", state)
        return state

    def hashes(self) -> list[str | None] | None:
        """Content of every file of the source (BLAKE2b, 32 hex digits; None where unknown); None in older runs."""
        return self._rows.hashes()

    def model(
        self,
        *,
        cls: type[Any] | str | None = None,
        device: str = "auto",
        cache: str | Path | None = None,
        encoder: Any = None,
    ) -> Any:
        """Return the fitted model with its encoder, to be asked many times: it is loaded once.

        ``model.predict([path])`` then costs decoding, encoding and little more; several threads may ask at once. It
        knows the groups as they were found. Where images are in other groups by now, ``ilk.predict(run, [path],
        model=model)`` goes by these, as cheaply, and an `IlkWarning` says so; ``run.uncorrected().model()`` is the
        same model without the warning.

        Parameters
        ----------
        cls : class or str, optional
            The method's class, or ``module:Class``, where the run was made with one of your own: a run never says what
            code to import.
        device
            "auto", "cpu" or "cuda".
        cache
            Where the converted encoder is kept for the next process; None: nowhere, and a network is converted anew
            (2 to 10 s).
        encoder
            The user's own encoder the run was made with, again: an object or ``module:function``.

        Raises
        ------
        ArgumentError
            The run is of a method that is not one of ilk's, and `cls` is not its class.
        RunError
            The model is damaged.
        """
        from ilk.jobs import models  # the one way up: whoever reads runs without it needs no torch

        if not self._as_found and self.regrouped():
            warnings.warn(CORRECTED.format(self.path), IlkWarning, stacklevel=2)
        model = models.model_of(self, cls=cls, device=device, cache=cache, encoder=encoder)
        models.give_training_images(model, self)
        labels = self.as_made().uncorrected().labels()  # a model knows the groups that it found, of its own images
        model.labels_ = np.where(labels < 0, -1, labels)
        return model

    def labels(self) -> npt.NDArray[np.int64]:
        """(n,) group of every image of images.parquet; -1 for "none of these", -2 for unreadable."""
        grouping = self.grouping()
        return self._by_image("group") if grouping is None else grouping.labels

    def fine_labels(self) -> npt.NDArray[np.int64] | None:
        """(n,) fine cluster of every image, -2 for unreadable; None where the method has one level only."""
        return self._by_image("fine") if "fine" in self.assignments() else None

    def update(self, source: Any = None, **options: Any) -> Any:
        """Let new images join: see `ilk.update`. This object sees them too."""
        from ilk import jobs  # upwards, as `model`

        done = jobs.update(self, source, **options)
        self._rows = Rows(self.path, self.header, as_made=self._as_made)
        for name in ("corrections", "neighbours"):
            vars(self).pop(name, None)
        return done

    def _n(self) -> int:
        """Number of images."""
        return len(self._rows)

    def _by_image(self, column: str) -> npt.NDArray[np.int64]:
        return checking.by_image(self.assignments(), column, self._n())

    def _json(self, name: str, shape: Any) -> Any:
        found = self._read(name, disk.read_json)
        if wrong := shapes.misfit(found, shape):
            raise self._damaged(name, ValueError(wrong))
        return found

    def _read(self, name: str, read: Any) -> Any:
        return self._rows.first.read(name, read)

    def _damaged(self, name: str, error: Exception) -> RunError:
        return self._rows.first.damaged(name, error)


@contextlib.contextmanager
def needed(run: Run) -> Iterator[None]:
    """Whatever is missing in the block from what `run` says is a `RunError`: for showing runs of whatever age."""
    try:
        yield
    except IlkError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        what = f"it says nothing of {error}" if isinstance(error, KeyError) else short(error)
        raise RunError(f"{run.path} cannot be shown: {what}. {AGAIN}") from None


def load_run(path: str | Path, *, uncorrected: bool = False) -> Run:
    """Open a finished run.

    Parameters
    ----------
    path
    uncorrected
        Leave out what was corrected by hand.

    Raises
    ------
    RunError
        No such folder, not a run, an unfinished run, damaged, or one written by a newer ilk.
    """
    path = Path(path).expanduser()
    if not path.exists():
        partial = path.with_name(path.name + ".partial")
        hint = " It is unfinished: give the command that started it again." if partial.exists() else ""
        raise RunError(f"no run at {path}.{hint}")
    header = read_header(path)
    if header.get("status") != "done" and path.name.endswith(".partial"):
        raise RunError(f"{path} is unfinished. Give the command that started it again, and it goes on from there.")
    wrong = "no status done" if header.get("status") != "done" else shapes.misfit(header, shapes.HEADER)
    if wrong:
        raise RunError(f"{path / 'run.json'} is damaged ({wrong}). {AGAIN}")
    return Run(path, header, uncorrected=uncorrected)
