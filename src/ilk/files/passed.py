"""What a source holds beside its images: passed over, counted by kind, and how to take it in.

Every file of a folder is a row of its listing (read, or refused with a reason) or counted here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ARCHIVES", "VIDEOS", "Passed", "PassedOver", "counted", "extension", "set_aside"]

_PICTURES = """jxl svg svgz dcm dicom exr hdr xcf kra ai eps cdr wmf emf afphoto sketch djvu wdp jxr hdp
nii mrc czi lif nd2 vsi svs ndpi"""
VIDEOS = frozenset("mov mp4 m4v avi mkv webm mpg mpeg wmv 3gp mts m2ts flv ogv".split())  # noqa: SIM905
ARCHIVES = frozenset("zip tar gz tgz bz2 tbz xz txz zst 7z rar cbz cbr".split())  # noqa: SIM905
_ARRAYS = "npz npy parquet pq h5 hdf5 mat tfrecord lmdb mdb arrow feather pkl"
_KIND = {
    ending: kind
    for kind, endings in (("pictures", _PICTURES.split()), ("videos", VIDEOS), ("archives", ARCHIVES))
    for ending in endings
} | dict.fromkeys(_ARRAYS.split(), "arrays")

# kind -> (one, several, how to take them in); in the order in which they are said
_WORDS = {
    "pictures": (
        "picture of a format that ilk cannot read",
        "pictures of formats that ilk cannot read",
        "convert the pictures to PNG or JPEG",
    ),
    "videos": ("video", "videos", "extract frames of the videos"),
    "archives": ("archive", "archives", "give the archives as sources of their own"),
    "arrays": ("table or array", "tables or arrays", "give the tables and arrays as sources of their own"),
    "hidden": ("hidden picture", "hidden pictures", "name what is hidden as a source (its folder, or the files)"),
    "deleted": ("deleted picture", "deleted pictures", "name the folder of what is deleted as a source"),
    "previews": (
        "preview or snapshot that a system keeps",
        "previews and snapshots that a system keeps",
        "name the folder of the previews as a source",
    ),
    "outside": (
        "link to a folder above it",
        "links to folders above them",
        "name the folder behind the link as a source",
    ),
    "results": ("folder of ilk's own results", "folders of ilk's own results", None),
    "system": ("file that a system keeps", "files that a system keeps", None),
    "other": ("other file", "other files", None),
}
_SAID_QUIETLY = ("results", "system", "other")

_EXAMPLES = 3

# folders that are never looked into, in any case; all others that begin with a dot are hidden
_DELETED = re.compile(
    r"[#@]recycle|\$recycle\.bin|recycle[rd]|\.recycle(\.bin)?|\.trash.*|\.dtrash|lost\+found|found\.\d{3}", re.I
)
_PREVIEWS = re.compile(
    r"@eadir|#snapshots?|@recently-snapshot|@snapshots?|\.snapshots?|\.zfs|\.thumbnails?|\.thumbs?|\.@__thumb|@__thumb"
    r"|\.picasaoriginals",
    re.I,
)
_SYSTEM = re.compile(
    r"__macosx|system volume information|\.appledouble|\.ds_store|\.spotlight-.*|\.fseventsd|\.temporaryitems"
    r"|thumbs\.db|desktop\.ini|ehthumbs\.db|\.nomedia|\._.*",
    re.I | re.S,
)


def set_aside(part: str) -> str | None:
    """Say of which kind a file or folder is whose name alone sets it aside; None for all others.

    >>> [set_aside(name) for name in ("#recycle", ".photos", "._a.jpg", "a.jpg", "..")]
    ['deleted', 'hidden', 'system', None, None]
    """
    first = part[:1]
    if first.isalnum() and first not in "SsRrTtDdEeLlFfIi":  # most names, quickly
        return None
    for kind, names in (("deleted", _DELETED), ("previews", _PREVIEWS), ("system", _SYSTEM)):
        if names.fullmatch(part):
            return kind
    if part == "ilk-runs":
        return "results"
    return "hidden" if first == "." and part not in (".", "..") else None


def extension(name: str) -> str:
    """Lower-case ending without the dot; empty where there is none that looks like one.

    >>> extension("a/b.JPG"), extension("a.b/c"), extension("x.y z")
    ('jpg', '', '')
    """
    stem, dot, ending = name.rpartition("/")[2].rpartition(".")
    return ending.lower() if dot and stem and len(ending) <= 11 and ending.isalnum() else ""


@dataclass
class Passed:
    """Files of one kind: how many, how many with each ending, and the names of a few."""

    count: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)


class PassedOver(dict[str, Passed]):
    """Kind -> `Passed`.

    The kinds: "pictures" of formats that cannot be read, "videos", "archives", "arrays", "hidden" pictures, "deleted"
    ones, "previews", links that lead "outside", ilk's own "results", "system" files, and "other".
    """

    def add(self, kind: str, name: str, count: int = 1) -> None:
        """Count `name`, or `count` files like it, as of `kind`."""
        found = self.setdefault(kind, Passed())
        found.count += count
        found.endings[extension(name) or "(none)"] += count
        if len(found.examples) < _EXAMPLES:
            found.examples.append(name)

    def file(self, name: str) -> None:
        """Count a file that is no image, by its ending."""
        self.add(_KIND.get(extension(name), "other"), name)

    def merge(self, others: PassedOver, prefix: str = "") -> None:
        """Count what another source passed over too, its names below `prefix`."""
        for kind, other in others.items():
            found = self.setdefault(kind, Passed())
            found.count += other.count
            found.endings += other.endings
            found.examples = [*found.examples, *(prefix + name for name in other.examples)][:_EXAMPLES]

    @property
    def endings(self) -> dict[str, int]:
        """Files that are neither images nor set aside by their names, by ending."""
        found = Counter[str]()
        for kind in ("pictures", "videos", "archives", "arrays", "other"):
            if kind in self:
                found += self[kind].endings
        return dict(found)

    def loud(self) -> PassedOver:
        """Return those kinds that a user may have meant: without ilk's own, a system's, and other files."""
        return PassedOver({kind: found for kind, found in self.items() if kind not in _SAID_QUIETLY})

    def as_record(self) -> dict[str, dict[str, Any]]:
        """Return all of it as plain JSON."""
        return {
            kind: {
                "count": self[kind].count,
                "endings": dict(sorted(self[kind].endings.items())),
                "examples": self[kind].examples,
                "cure": _WORDS[kind][2],
            }
            for kind in _WORDS
            if kind in self
        }

    def lines(self) -> list[str]:
        """Say it in at most two lines: what there was, and how to take in what may be meant."""
        return lines(self.as_record())


def lines(record: dict[str, dict[str, Any]]) -> list[str]:
    """Say what `PassedOver.as_record` holds, which may come from a run: what there was; how to take it in.

    >>> found = PassedOver()
    >>> found.file("a.mov")
    >>> found.lines()
    ['1 video (.mov)', 'to take them in: extract frames of the videos']
    """
    loud = [kind for kind in _WORDS if kind in record and kind not in _SAID_QUIETLY]
    quiet = [kind for kind in _SAID_QUIETLY if kind in record]
    if not loud and not {*quiet} - {"system"}:
        return []
    said = [", ".join(_one(kind, record[kind]) for kind in [*loud, *(kind for kind in quiet if kind != "system")])]
    cures = [str(_WORDS[kind][2]) for kind in loud]
    return [*said, f"to take them in: {'; '.join(cures)}"] if cures else said


def counted(record: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """Return for each kind in a record how many of what there are; none where only systems left something."""
    if record.keys() <= {"system"}:
        return []
    return [(kind, _one(kind, record[kind], named=False)) for kind in _WORDS if kind in record]


def _one(kind: str, record: dict[str, Any], named: bool = True) -> str:
    """Say one kind: count, words, and the endings or an example."""
    count = int(record.get("count") or 0)
    text = f"{count:,} {_WORDS[kind][count != 1]}"
    endings: Iterable[tuple[str, int]] = sorted((record.get("endings") or {}).items(), key=lambda x: (-x[1], x[0]))
    if kind in ("pictures", "videos", "other"):
        shown = list(endings)
        parts = [ending_words(end, n if len(shown) > 1 else 0) for end, n in shown[:4]]
        return f"{text} ({', '.join(parts)}{' …' if len(shown) > 4 else ''})"
    examples = list(record.get("examples") or []) if named else []
    return f"{text} ({examples[0]}{' …' if count > 1 else ''})" if examples else text


def ending_words(end: str, count: int = 0) -> str:
    """Return how an ending is said.

    >>> ending_words("jxl", 2), ending_words("(none)", 1), ending_words("jxl")
    ('2 .jxl', '1 without a known ending', '.jxl')
    """
    word = "without a known ending" if end == "(none)" else f".{end}"
    return f"{count:,} {word}" if count else word
