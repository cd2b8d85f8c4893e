"""Reading a recipe: what is to be run, on what, with which seeds, and what was published."""

from __future__ import annotations

import hashlib
import json
import re
import string
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ilk.errors import ArgumentError, DataError, nearest

__all__ = ["SCORES", "Cell", "Data", "Recipe", "Row", "load_recipe"]

SCORES = {"acc": "ACC", "nmi_geometric": "NMI", "nmi": "NMI (arithmetic)", "ari": "ARI", "purity": "purity"}
"""Scores that can be columns. Papers up to 2018 normalise NMI by the geometric mean, so that is "NMI" here."""

_TOP = ("title", "scores", "notes", "variables", "data", "row")
_DATA = ("source", "labels", "split", "score_split", "clusters", "about", "get")
_ROW = (
    "name",
    "id",
    "method",
    "preset",
    "settings",
    "data",
    "seeds",
    "clusters",
    "images",
    "sweep",
    "budget",
    "published",
    "note",
)
_SWEEP = ("key", "values")
_BUDGET = ("minutes", "images", "settings")
_PUBLISHED = (*SCORES, "copied", "note")


@dataclass(frozen=True)
class Data:
    """Where images are, and what is known of them."""

    name: str
    source: str
    labels: str = "auto"
    split: str = "all"
    score_split: str | None = None
    clusters: int | None = None
    about: str = ""
    get: str = ""

    def here(self) -> bool:
        """Whether the images are on this machine."""
        return self.source == "digits" or Path(self.source).exists()


@dataclass(frozen=True)
class Row:
    """One method with its settings: a line of the table.

    Attributes
    ----------
    name : str
        As the table shows it.
    key : str
        What the names of its result files hold beside data, method, preset and seed; often empty.
    images : int or None
        A random part of the images, the same for every row and seed.
    swept : (str, number) or None
        The setting that this row varies, and its value.
    budgets : tuple of mapping
        Reductions by minutes, smallest first.
    published : mapping
        Data name -> scores, with "copied" where the paper took them from elsewhere.
    """

    name: str
    method: str
    key: str = ""
    preset: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    clusters: int | None = None
    images: int | None = None
    swept: tuple[str, Any] | None = None
    budgets: tuple[Mapping[str, Any], ...] = ()
    published: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """One run: a row on one data set with one seed, reduced to a budget or not."""

    row: Row
    data: Data
    seed: int
    budget: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """``<data>-<method>[-<preset>][-<key>][-<budget>min]-<seed>``, the name of its result."""
        minutes = f"{self.budget['minutes']:g}min" if self.budget else ""
        parts = (self.data.name, self.row.method.rpartition(":")[2], self.row.preset or "", self.row.key, minutes)
        return "-".join([*(re.sub(r"[^\w.]+", "_", part) for part in parts if part), str(self.seed)])

    @property
    def images(self) -> int | None:
        """How many images are taken; None = all."""
        return self.budget.get("images", self.row.images) if self.budget else self.row.images

    def options(self) -> dict[str, Any]:
        """Return the flat options of the method, device and cache apart."""
        chosen: dict[str, Any] = {"random_state": self.seed, **self.row.settings}
        clusters = self.row.clusters or self.data.clusters
        if clusters is not None:
            chosen["n_clusters"] = clusters
        if self.row.preset is not None:
            chosen["preset"] = self.row.preset
        return {**chosen, **(self.budget or {}).get("settings", {})}

    @property
    def asked(self) -> str:
        """The options of ``ilk bench`` that run this cell alone."""
        return f"--only {self.name}" + (f" --budget {self.budget['minutes']:g}" if self.budget else "")

    def job(self) -> dict[str, Any]:
        """Return everything that decides what comes out, as plain data."""
        data = {key: getattr(self.data, key) for key in ("labels", "split", "score_split")}
        record = {"method": self.row.method, "options": self.options(), "images": self.images, "data": data}
        return dict(json.loads(json.dumps(record)))

    def digest(self) -> str:
        """Return 8 hex digits of `job`."""
        text = json.dumps(self.job(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


@dataclass(frozen=True)
class Recipe:
    """A recipe as it was read.

    Attributes
    ----------
    path : Path
    title : str
    scores : tuple of str
        Columns of the table, keys of `SCORES`.
    data : mapping name -> Data
    rows : tuple of Row
        Sweeps are written out.
    notes : tuple of str
        Shown below the table.
    variables : mapping
        What ``$NAME`` stands for.
    """

    path: Path
    title: str
    scores: tuple[str, ...]
    data: Mapping[str, Data]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)

    def options(self, cell: Cell) -> dict[str, Any]:
        """Return the options of `cell` with ``$NAME`` filled in: files, from the folder of the recipe.

        A result keeps the name and not what it stands for, which differs between machines.
        """
        record = cell.options()
        for key, value in record.items():
            if isinstance(value, str) and "$" in value:
                meant = string.Template(value).safe_substitute(self.variables)
                record[key] = meant if Path(meant).is_absolute() else str(self.path.parent / meant)
        return record

    @property
    def results(self) -> Path:
        """The folder of its results: ``results/<recipe>`` beside it."""
        return self.path.parent / "results" / self.path.stem

    def cells(self, only: Iterable[str] = (), budget: float | None = None) -> list[Cell]:
        """Return all cells, in the order of the rows, or those that one of the names in `only` fits.

        Parameters
        ----------
        only
            Name of a row, of a data set, or of a cell; ``*`` stands for anything.
        budget
            Minutes. Each row takes the largest of its reductions that fits, or the smallest where none does, and runs
            whole where it has none.

        Raises
        ------
        ArgumentError
            A name that fits nothing.
        """
        every = [
            Cell(row, self.data[name], seed, _reduction(row, budget))
            for row in self.rows
            for name in row.data
            for seed in row.seeds
        ]
        wanted = list(only)
        for name in wanted:
            if not any(_fits(name, cell) for cell in every):
                known = [*dict.fromkeys(row.name for row in self.rows), *self.data, *(cell.name for cell in every)]
                raise ArgumentError(
                    f"--only {name}: no row, data set or cell of {self.path.name} is called so.{nearest(name, known)}"
                )
        return [cell for cell in every if not wanted or any(_fits(name, cell) for name in wanted)]


def _fits(name: str, cell: Cell) -> bool:
    pattern = re.compile(".*".join(map(re.escape, name.split("*"))), re.IGNORECASE)
    return any(pattern.fullmatch(known) for known in (cell.row.name, cell.row.method, cell.data.name, cell.name))


def _reduction(row: Row, budget: float | None) -> Mapping[str, Any] | None:
    if budget is None or not row.budgets:
        return None
    fitting = [record for record in row.budgets if record["minutes"] <= budget]
    return fitting[-1] if fitting else row.budgets[0]


def load_recipe(path: str | Path, variables: Mapping[str, str] | None = None) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    path
        A TOML file.
    variables
        What ``$NAME`` in a source stands for; they win over ``[variables]`` of the recipe. Relative sources are taken
        from the folder of the recipe.

    Raises
    ------
    DataError
        The file is missing or no TOML.
    ArgumentError
        A key that no recipe has, or one that is missing; a row on data that are not described.
    """
    path = Path(path)
    try:
        record = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no recipe: {error}.") from None
    _known(path, "the recipe", record, _TOP, needed=("data", "row"))
    # what the recipe says is meant from its own folder, and what the caller says from where the caller is
    given = {name: str(Path(value).resolve()) if _exists(value) else value for name, value in (variables or {}).items()}
    named = {**record.get("variables", {}), **given}
    data = {name: _data(path, name, entry, named) for name, entry in record["data"].items()}
    rows = tuple(row for entry in record["row"] for row in _rows(path, entry, data))
    scores = tuple(record.get("scores", ("acc", "nmi_geometric", "ari")))
    for score in scores:
        if score not in SCORES:
            raise ArgumentError(
                f"{path.name}: no score {score!r}; there are {', '.join(SCORES)}.{nearest(score, SCORES)}"
            )
    recipe = Recipe(path, record.get("title", path.stem), scores, data, rows, tuple(record.get("notes", ())), named)
    names = [cell.name for cell in recipe.cells()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ArgumentError(f"{path.name}: two rows would write {twice[0]}.json; give one of them an id.")
    return recipe


def _exists(value: str) -> bool:
    try:
        return Path(value).exists()
    except (OSError, ValueError):  # a variable of the environment may be far too long to be the name of a file
        return False


def _known(path: Path, what: str, entry: Any, allowed: Iterable[str], needed: Iterable[str] = ()) -> None:
    if not isinstance(entry, Mapping):
        raise ArgumentError(f"{path.name}: {what} is not a table.")
    for key in entry:
        if key not in allowed:
            raise ArgumentError(f"{path.name}: {what} has no key {key!r}.{nearest(key, allowed)}")
    for key in needed:
        if key not in entry:
            raise ArgumentError(f"{path.name}: {what} lacks {key!r}.")


def _data(path: Path, name: str, entry: Any, variables: Mapping[str, str]) -> Data:
    _known(path, f"[data.{name}]", entry, _DATA, needed=("source",))
    source = string.Template(entry["source"]).safe_substitute(variables)
    location = source if source == "digits" or Path(source).is_absolute() else str(path.parent / source)
    return Data(name, **{**entry, "source": location})


def _rows(path: Path, entry: Any, data: Mapping[str, Data]) -> list[Row]:
    """Return the rows that one ``[[row]]`` stands for: one for each value of its sweep."""
    what = f"row {entry.get('name', '')!r}" if isinstance(entry, Mapping) else "a row"
    _known(path, what, entry, _ROW, needed=("name", "method"))
    on = tuple(entry.get("data", data))
    published = entry.get("published", {})
    for name in (*on, *published):
        if name not in data:
            raise ArgumentError(f"{path.name}: {what} is on {name!r}, which is no [data.…].{nearest(name, data)}")
    for name, figures in published.items():
        _known(path, f"{what}, published.{name}", figures, _PUBLISHED)
    for record in entry.get("budget", ()):
        _known(path, f"{what}, budget", record, _BUDGET, needed=("minutes",))
    budgets = sorted(entry.get("budget", ()), key=lambda record: float(record["minutes"]))
    kept = {key: entry[key] for key in ("name", "method", "preset", "clusters", "images", "note") if key in entry}
    row = Row(
        **kept,
        key=entry.get("id", ""),
        settings=dict(entry.get("settings", {})),
        data=on,
        seeds=tuple(entry.get("seeds", (0,))),
        budgets=tuple(budgets),
        published=published,
    )
    if "sweep" not in entry:
        return [row]
    _known(path, f"{what}, sweep", entry["sweep"], _SWEEP, needed=_SWEEP)
    values = entry["sweep"]["values"]
    for figures in published.values():
        for name, record in figures.items():
            if isinstance(record, list) and len(record) != len(values):
                raise ArgumentError(
                    f"{path.name}: {what} has {len(record)} published figures of {name} for {len(values)} values."
                )
    return [_swept(row, entry["sweep"]["key"], value, at) for at, value in enumerate(values)]


def _swept(row: Row, key: str, value: Any, at: int) -> Row:
    """Return `row` with one setting, "images" or "clusters", at `value`, and the published figures of that."""
    inner = {key: value} if key in ("images", "clusters") else {"settings": {**row.settings, key: value}}
    name = f"{row.key}_{key}{value}" if row.key else f"{key}{value}"
    published = {
        data: {score: record[at] if isinstance(record, list) else record for score, record in figures.items()}
        for data, figures in row.published.items()
    }
    return Row(**{**vars(row), **inner, "key": name, "swept": (key, value), "published": published})
