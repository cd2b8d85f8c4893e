"""Runs of the same images set side by side: how much they agree, which groups match, and what moved."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ilk import disk
from ilk.errors import ArgumentError, DataError, answered
from ilk.metrics import agreement, contingency
from ilk.runs import Run, columns_of, load_run, short_name, source_name

__all__ = ["Comparison", "Flow", "Step", "compare", "match"]

Ints = npt.NDArray[np.int64]

NOISE = -1
_ARRAYS = ("npz", "npy", "digits", "idx", "cifar", "array")
_PART = 0.2  # of a group, from which on a piece of it counts as a piece and not as strays
_WHOLE = 0.8  # of a group, from which on it counts as having gone as a whole
_EXAMPLES = 5


@dataclass(frozen=True)
class Flow:
    """Images that went from one group to another.

    Attributes
    ----------
    a, b : int
        Group in the first and in the second run; -1 not assigned.
    n : int
    kind : str
        "same": the groups match. "part": one group split or several merged, so the images kept their company.
        "moved": they left it.
    examples : list of str
        Names of the first few images.
    """

    a: int
    b: int
    n: int
    kind: str
    examples: list[str]


@dataclass(frozen=True)
class Step:
    """From one run to the next.

    Attributes
    ----------
    matched : list of dict
        ``a, b, size_a, size_b, common, jaccard``: groups matched one to one so that the most images stay.
    split, merged : list of dict
        ``group`` of the first run and ``into``; ``group`` of the second and ``of``: pieces of at least a fifth each.
    flows : list of Flow
        All of them, the largest first.
    n_moved, n_moved_away : int
        Images that left the group matched with theirs; those among them whose flow is "moved".
    """

    matched: list[dict[str, Any]]
    split: list[dict[str, Any]]
    merged: list[dict[str, Any]]
    flows: list[Flow]
    n_moved: int
    n_moved_away: int


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    runs : list of Path
    names : list of dict
        For every run the names of its groups, by id.
    sizes : list of dict
        For every run the number of common images in each group.
    n_common : int
    n_only : list of int
        For every run, its readable images that another run lacks.
    pairs : list of dict
        ``a, b`` (positions of runs), ``ari``, ``nmi``, ``same``, for every two runs.
    steps : list of Step
        From every run to the next.
    """

    runs: list[Path]
    names: list[dict[int, str]]
    sizes: list[dict[int, int]]
    n_common: int
    n_only: list[int]
    pairs: list[dict[str, Any]]
    steps: list[Step]
    _paths: list[str] = field(repr=False)
    _labels: list[Ints] = field(repr=False)

    def summary(self) -> dict[str, Any]:
        """Return what ``ilk compare --json`` prints."""
        steps = [
            {
                "a": i,
                "b": i + 1,
                "matched": step.matched,
                "split": step.split,
                "merged": step.merged,
                "n_moved": step.n_moved,
                "n_moved_away": step.n_moved_away,
                "flows": [vars(flow) for flow in step.flows if flow.kind != "same"],
            }
            for i, step in enumerate(self.steps)
        ]
        runs = [
            {"run": str(run), "n_clusters": sum(i != NOISE for i in sizes), "n_only": n_only}
            for run, sizes, n_only in zip(self.runs, self.sizes, self.n_only, strict=True)
        ]
        return {"runs": runs, "n_common": self.n_common, "pairs": self.pairs, "steps": steps}

    def moved(self) -> list[dict[str, Any]]:
        """One row per image and step in which it left the group matched with its own."""
        rows = []
        for i, step in enumerate(self.steps):
            kinds = {(flow.a, flow.b): flow.kind for flow in step.flows}
            for path, a, b in zip(self._paths, self._labels[i].tolist(), self._labels[i + 1].tolist(), strict=True):
                if kinds[a, b] != "same":
                    rows.append(
                        {
                            "path": path,
                            "run_a": str(self.runs[i]),
                            "group_a": a,
                            "group_name_a": self.names[i][a],
                            "run_b": str(self.runs[i + 1]),
                            "group_b": b,
                            "group_name_b": self.names[i + 1][b],
                            "kind": kinds[a, b],
                        }
                    )
        return rows

    def write_moved(self, path: str | Path) -> list[str]:
        """Write the rows of `moved` as CSV. Return what to know of the table."""
        with disk.output(Path(path)) as raw, disk.as_text(raw) as file:
            out = csv.DictWriter(file, columns_of("moved"), lineterminator="\n")
            out.writeheader()
            out.writerows(rows := self.moved())
        return disk.formula_note(
            text for row in rows for text in (row["path"], row["group_name_a"], row["group_name_b"])
        )

    def draw(self, path: str | Path) -> None:
        """Write a picture of the flow between the groups: .png, .svg or .pdf."""
        from ilk.report.flow import write_flow

        columns = [
            {"title": run.name, "names": names, "sizes": sizes}
            for run, names, sizes in zip(self.runs, self.names, self.sizes, strict=True)
        ]
        bands = [[(flow.a, flow.b, flow.n, flow.kind) for flow in step.flows] for step in self.steps]
        partners = [{row["b"]: row["a"] for row in step.matched} for step in self.steps]
        write_flow(Path(path), columns, bands, partners)


@answered
def compare(runs: Sequence[Run | str | Path]) -> Comparison:
    """Compare two or more runs of the same images.

    Parameters
    ----------
    runs
        Finished runs or their paths, in the order in which the images flow.

    Returns
    -------
    Comparison
        Over the images that all runs could read. "Not assigned" is a group like another in ARI and NMI, and matches
        only itself.

    Raises
    ------
    ArgumentError
        Fewer than two runs.
    DataError
        Two runs have no image in common.

    Notes
    -----
    An image is the same where its path in the source and the content of its file are the same: two cameras both write
    IMG_0001.jpg. Where a run does not know contents (of an older ilk), the path must do; of runs of different sources,
    also the size in bytes and pixels. Arrays have no paths: they are the same where their pixels are. The
    match of groups is the one-to-one match that keeps the most images (Hungarian algorithm), of equal ones the one with
    the larger Jaccard indices. Runs are never changed.

    References
    ----------
    H. Kuhn, The Hungarian method for the assignment problem, Naval Research Logistics Quarterly 2, 1955. L. Hubert and
    P. Arabie, Comparing partitions, Journal of Classification 2, 1985.
    """
    opened = [run if isinstance(run, Run) else load_run(run) for run in runs]
    if len(opened) < 2:
        raise ArgumentError(f"compare takes two runs or more, got {len(opened)}.")
    readable = [_readable(run) for run in opened]
    paths = _common(opened, readable)
    labels = [np.array([found[path].group for path in paths], np.int64) for found in readable]
    named = [{int(group["id"]): disk.printable(short_name(group)) for group in run.clusters()} for run in opened]
    sizes = [dict(zip(*(v.tolist() for v in np.unique(one, return_counts=True)), strict=True)) for one in labels]
    names = [
        {i: "not assigned" if i == NOISE else mine.get(i) or f"group {i}" for i in size}
        for mine, size in zip(named, sizes, strict=True)
    ]
    pairs = [
        {"a": a, "b": b, **agreement(labels[a], labels[b])} for a, b in itertools.combinations(range(len(labels)), 2)
    ]
    return Comparison(
        runs=[run.path for run in opened],
        names=names,
        sizes=sizes,
        n_common=len(paths),
        n_only=[len(found) - len(paths) for found in readable],
        pairs=pairs,
        steps=[_step(a, b, paths) for a, b in itertools.pairwise(labels)],
        _paths=paths,
        _labels=labels,
    )


class _Image(NamedTuple):
    """One readable image of a run: its group, and what it is known by beside its path."""

    group: int
    content: str | None  # None where the run does not know it
    facts: tuple[Any, ...]  # bytes, width, height: what must agree instead where the sources differ


def _readable(run: Run) -> dict[str, _Image]:
    """Every readable image by its path."""
    images, found = run.images(), run.assignments()
    facts = list(zip(images["bytes"], images["width"], images["height"], strict=True))
    path = images["path"]
    # pixels of arrays are compared as a whole; where there are features and no images, contents are those of features
    files = run.header["source"].get("kind") not in (*_ARRAYS, "features")
    content = (run.hashes() if files else None) or [None] * len(path)
    groups = zip(found["index"], found["group"], strict=True)
    return {path[i]: _Image(int(c), content[i], facts[i]) for i, c in groups}


def _common(runs: list[Run], readable: list[dict[str, _Image]]) -> list[str]:
    """Paths of the images that all runs have, in the order of the first."""
    first, paths = readable[0], list(readable[0])
    for run, found in zip(runs[1:], readable[1:], strict=True):
        same = _same_source(runs[0], run)
        arrays = any(one.header["source"].get("kind") in _ARRAYS for one in (runs[0], run))
        named = [path for path in paths if path in found]
        paths = [path for path in named if _agree(first[path], found[path], same)]
        if not paths or (arrays and not same):
            both = f"{runs[0].path} ({_what(runs[0])}) and {run.path} ({_what(run)})"
            among = "" if run is runs[1] else ", with what lies between them,"
            why = " (names are the same, and what is in the files is not)" if named and not arrays else ""
            raise DataError(f"{both}{among} have no image in common{why}: compare runs of the same images.")
    return paths


def _agree(a: _Image, b: _Image, same_source: bool) -> bool:
    """Whether two images of the same path are the same image."""
    if a.content is not None and b.content is not None:
        return a.content == b.content
    return same_source or a.facts == b.facts


def _same_source(a: Run, b: Run) -> bool:
    """Whether two runs are of one source: the same path (for arrays: the same pixels, or parts of one file)."""
    one, other = a.header["source"], b.header["source"]
    if one.get("fingerprint") == other.get("fingerprint"):
        return True
    same_place = one.get("spec") is not None and one.get("spec") == other.get("spec")
    return same_place and (one.get("kind") not in _ARRAYS or one.get("split") != other.get("split"))


def _what(run: Run) -> str:
    return f"images of {source_name(run.header['source']) or 'an array'}"


def match(a: Ints, b: Ints) -> dict[int, int]:
    """Match the groups of two labelings one to one so that the most images stay; ``{group of a: group of b}``.

    Parameters
    ----------
    a, b : (n,) int64
        Labels of the same images; -1 matches only -1.

    Examples
    --------
    >>> match(np.array([0, 0, 1, 1, 1]), np.array([5, 5, 3, 3, 5]))
    {0: 5, 1: 3}
    """
    from scipy.optimize import linear_sum_assignment

    table = contingency(a, b)
    common = table.dense().astype(np.float64)
    sizes = table.class_sizes()[:, None] + table.cluster_sizes()[None, :]
    ids = np.asarray(table.classes, np.int64)
    common[ids == NOISE] = 0
    common[:, table.clusters == NOISE] = 0
    # Jaccard indices sum to less than 1 here: they decide between equal matches and never against an image
    weight = common + common / (sizes - common) / (min(common.shape) + 1)
    rows, columns = linear_sum_assignment(weight, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    found = {int(ids[r]): int(table.clusters[c]) for r, c in pairs if common[r, c] > 0}
    return found | ({NOISE: NOISE} if NOISE in ids and NOISE in table.clusters else {})


def _step(a: Ints, b: Ints, paths: list[str]) -> Step:
    table = contingency(a, b)
    partner = match(a, b)
    size_a = dict(zip(np.asarray(table.classes).tolist(), table.class_sizes().tolist(), strict=True))
    size_b = dict(zip(table.clusters.tolist(), table.cluster_sizes().tolist(), strict=True))
    ids_a, ids_b = np.asarray(table.classes)[table.rows].tolist(), table.clusters[table.columns].tolist()
    counts = {(x, y): n for x, y, n in zip(ids_a, ids_b, table.counts.tolist(), strict=True)}
    matched = [
        {
            "a": x,
            "b": y,
            "size_a": size_a[x],
            "size_b": size_b[y],
            "common": counts.get((x, y), 0),
            "jaccard": counts.get((x, y), 0) / (size_a[x] + size_b[y] - counts.get((x, y), 0)),
        }
        for x, y in sorted(partner.items(), key=lambda pair: (pair[0] == NOISE, pair[0]))
    ]
    split = [
        {"group": x, "size": size_a[x], "into": into}
        for x in sorted(size_a)
        if x != NOISE and len(into := _pieces(counts, size_a[x], 0, x)) > 1
    ]
    merged = [
        {"group": y, "size": size_b[y], "of": of}
        for y in sorted(size_b)
        if y != NOISE and len(of := _pieces(counts, size_b[y], 1, y)) > 1
    ]
    examples = _examples(a, b, paths)
    flows = [
        Flow(x, y, n, _kind(x, y, n, partner, size_a, size_b), examples[x, y])
        for (x, y), n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    n_moved = sum(flow.n for flow in flows if flow.kind != "same")
    return Step(matched, split, merged, flows, n_moved, sum(flow.n for flow in flows if flow.kind == "moved"))


def _kind(x: int, y: int, n: int, partner: dict[int, int], size_a: dict[int, int], size_b: dict[int, int]) -> str:
    if partner.get(x) == y:
        return "same"
    if NOISE in (x, y):
        return "moved"
    return "part" if n >= _WHOLE * size_a[x] or n >= _WHOLE * size_b[y] else "moved"


def _pieces(counts: dict[tuple[int, int], int], size: int, side: int, group: int) -> list[dict[str, int]]:
    """Groups of the other run that hold at least a fifth of `group` each, and at least two images of it."""
    found = [
        {"group": pair[1 - side], "n": n}
        for pair, n in counts.items()
        if pair[side] == group and pair[1 - side] != NOISE and n >= max(2, _PART * size)
    ]
    return sorted(found, key=lambda piece: (-piece["n"], piece["group"]))


def _examples(a: Ints, b: Ints, paths: list[str]) -> dict[tuple[int, int], list[str]]:
    """The first few images of every flow."""
    found: dict[tuple[int, int], list[str]] = {}
    for x, y, path in zip(a.tolist(), b.tolist(), paths, strict=True):
        some = found.setdefault((x, y), [])
        if len(some) < _EXAMPLES:
            some.append(path)
    return found
