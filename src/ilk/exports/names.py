"""Names for folders and files that hold on every system: never outside, never hidden, never twice."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from ilk.files.listing import IMAGE_EXTENSIONS
from ilk.files.passed import extension
from ilk.runs import own_name

__all__ = ["LIMIT", "component", "file_names", "folder_names", "is_own", "tree_names"]

LIMIT = 140  # bytes of UTF-8: encrypted home folders take 143, other disks 255, and a whole Windows path 260
_PLAIN = re.compile(r"[A-Za-z0-9_(][A-Za-z0-9_ .,()+=@#~-]*(?<![. ])")
_BAD = re.compile(r'[<>:"/\\|?*]')  # Windows takes none of them; / and \ would lead elsewhere
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?=\.|$)")
_JOINERS = "\u200c\u200d"  # part of ordinary words and emoji
_NUMBERED = re.compile(r"(.+)\.([A-Za-z0-9]{1,11})#(\d+)")  # how a listing marks equal names


def component(text: str, limit: int = LIMIT) -> str:
    r"""One name of a folder or a file, made of `text`.

    Control, bidi and other invisible characters, and those that some system forbids, become ``_``; dots and blanks go
    from both ends; names of devices get a ``_`` in front; what is longer than `limit` bytes loses the end of its stem
    and gets eight digits of its hash.

    Examples
    --------
    >>> component("beach.jpg"), component(".."), component("a:b?.png "), component("aux.txt")
    ('beach.jpg', 'image', 'a_b_.png', '_aux.txt')
    """
    if len(text) <= limit and _PLAIN.fullmatch(text) and not _DEVICES.match(text):
        return text
    clean = "".join("_" if unicodedata.category(c)[0] == "C" and c not in _JOINERS else c for c in text)
    clean = _BAD.sub("_", clean.replace("\u2028", "_").replace("\u2029", "_")).strip(". ") or "image"
    if _DEVICES.match(clean):
        clean = f"_{clean}"
    return clean if len(clean.encode()) <= limit else _with(clean, f"~{_digits(text)}", limit)


def _digits(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


def _split(name: str) -> tuple[str, str]:
    """A name's stem and its ending with the dot, as far as it looks like one."""
    ending = extension(name)
    return (name[: -len(ending) - 1], name[-len(ending) - 1 :]) if ending else (name, "")


def _with(name: str, mark: str, limit: int = LIMIT) -> str:
    """Put `mark` between stem and ending, and shorten the stem until all of it fits."""
    stem, ending = _split(name)
    room = limit - len(mark.encode()) - len(ending.encode())
    if len(stem.encode()) > room:
        stem = stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ")
    return f"{stem}{mark}{ending}"


def _same(name: str) -> str:
    """What two names share where they are one name to a disk: case and composition do not count."""
    return name.casefold() if name.isascii() else unicodedata.normalize("NFC", name.casefold())


def file_names(paths: Sequence[str], endings: Mapping[int, str], by_stem: bool = False) -> list[str]:
    """One file name for each image of a run, the same in every export of these images.

    Parameters
    ----------
    paths
        Names of the images in the run: unique, posix.
    endings
        By position: another ending, with its dot.
    by_stem
        Names must differ in more than their endings.

    Returns
    -------
    list of str
        The last part of each path where no other image of the run has it; else the whole path, joined with ``-``; a
        hash between stem and ending where even those are equal. What decides is the whole run, not one group of it:
        an image keeps its name when it goes to another group.

    Examples
    --------
    >>> file_names(["a.jpg", "x/b.jpg", "y/B.jpg"], {})
    ['a.jpg', 'x-b.jpg', 'y-B.jpg']
    """

    def made(i: int, text: str) -> str:
        numbered = _NUMBERED.fullmatch(text)
        if numbered and numbered[2].lower() in IMAGE_EXTENSIONS:
            text = f"{numbered[1]}#{numbered[3]}.{numbered[2]}"
        if i in endings:
            text = (_split(text)[0] or "image") + endings[i]
        return component(text)

    def key(name: str) -> str:
        return _same(_split(name)[0] if by_stem else name)

    names = [made(i, path.rpartition("/")[2]) for i, path in enumerate(paths)]
    _tell_apart(names, key, lambda i: made(i, paths[i].replace("/", "-")))
    _tell_apart(names, key, lambda i: _with(names[i], f"~{_digits(paths[i])}"))
    taken = set[str]()
    for i, name in enumerate(names):  # two hashes of 32 bits that agree
        count = 2
        while key(names[i]) in taken:
            names[i], count = _with(name, f"~{count}"), count + 1
        taken.add(key(names[i]))
    return names


def _tell_apart(names: list[str], key: Callable[[str], str], other: Callable[[int], str]) -> None:
    keys = [key(name) for name in names]
    counts = Counter(keys)
    if len(counts) < len(keys):
        for i in [i for i, one in enumerate(keys) if counts[one] > 1]:
            names[i] = other(i)


def tree_names(paths: Sequence[str]) -> list[str]:
    """The path of each image of a run as one that holds on every system: for a tree like that of the source.

    >>> tree_names(["2019/a.jpg", "../b:1.jpg", "b?1.jpg", "B_1.jpg"])
    ['2019/a.jpg', 'image/b_1.jpg', 'b_1~d084fdf0.jpg', 'B_1~af9a3e50.jpg']
    """
    names = ["/".join(component(part) for part in path.split("/")) for path in paths]
    _tell_apart(names, _same, lambda i: _marked(names[i], _digits(paths[i])))
    return names


def _marked(path: str, digits: str) -> str:
    folder, slash, name = path.rpartition("/")
    return folder + slash + _with(name, f"~{digits}")


def folder_names(groups: Mapping[int, str], guesses: Mapping[int, Sequence[str]] | None = None) -> dict[int, str]:
    """Folder of each group: its number and its name, or the words guessed for it; ``not-assigned`` for -1.

    Examples
    --------
    >>> folder_names({0: "group 0", 3: "long sleeves", -1: "not assigned"})
    {0: '00-group', 3: '03-long-sleeves', -1: 'not-assigned'}
    >>> folder_names({3: "group 3"}, {3: ["running shoe", "clog"]})
    {3: '03-running-shoe-clog'}
    """
    width = max(2, len(str(max([0, *groups]))))
    shown = {i: own_name({"id": i, "name": name}) or " ".join((guesses or {}).get(i, [])) for i, name in groups.items()}
    return {i: "not-assigned" if i < 0 else f"{i:0{width}}-{_slug(name)}" for i, name in shown.items()}


def _slug(name: str) -> str:
    return component("-".join(name.split()), 60) if name else "group"


def is_own(rel: str) -> bool:
    """Whether `rel` is a path that an export can have made: one or two plain parts, none of them hidden.

    >>> is_own("00-group/a.jpg"), is_own("../a.jpg"), is_own("/etc/passwd"), is_own("a/b/c")
    (True, False, False, False)
    """
    parts = rel.split("/")
    return len(parts) <= 2 and all(
        part and part[0] != "." and not _BAD.search(part) and "\0" not in part for part in parts
    )
