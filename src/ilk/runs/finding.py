"""The runs below a folder: what each is of, how large it is, and whether it is finished."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ilk import disk
from ilk.errors import IlkError
from ilk.runs.reading import load_run, needed, read_header

__all__ = ["Kept", "begun_with", "below", "is_run"]

_DEEP = 3  # folders within each other
_FOLDERS = 20_000  # looked into; a run is seldom deeper in anything than that
_PARTIAL = ".partial"


@dataclass(frozen=True)
class Kept:
    """One run below a folder.

    Attributes
    ----------
    name : str
        Its path below the folder, relative, with ``/``.
    state : str
        "finished"; "running": another process writes it; "partial": it was interrupted, and the command that began it
        goes on; "damaged": `why` says what is wrong.
    created : str or None
        When it was begun, UTC, as ISO 8601.
    method, source, command : str or None
    n_images, n_clusters : int or None
        Readable images and groups, as they are now: with corrections and updates. None until it is finished.
    bytes : int
        Of all its files.
    why : str or None
    """

    name: str
    state: str
    created: str | None
    method: str | None
    source: str | None
    n_images: int | None
    n_clusters: int | None
    bytes: int
    command: str | None
    why: str | None = None

    def as_record(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)


def is_run(folder: Path) -> bool:
    """Tell whether `folder` looks like a run, finished or not: whether it has a run.json that is a file."""
    try:
        return stat.S_ISREG((folder / "run.json").lstat().st_mode)
    except (OSError, ValueError):
        return False


def below(folder: str | Path, *, most: int = _FOLDERS) -> list[Kept]:
    """Return the runs in `folder` and up to three folders deep, the newest first; itself, where it is one.

    Links are not followed, and no run is looked for within another. Looks into `most` folders.
    Reads run.json of each, and the tables of those
    that were corrected or grew: 1 to 10 ms a run.
    """
    folder = Path(folder).expanduser()
    found = [folder] if is_run(folder) else list(_folders(folder, most))
    kept = [_kept(path, "." if path == folder else path.relative_to(folder).as_posix()) for path in found]
    return sorted(kept, key=lambda one: (one.created or "", one.name), reverse=True)


def begun_with(folder: Path) -> list[str] | None:
    """Return the words of the command that began the run in `folder`, without ``ilk``; None where it says none."""
    try:
        words = shlex.split(str(read_header(folder).get("command") or ""))
    except (IlkError, ValueError):
        return None
    return words[1:] if len(words) > 1 and words[0] == "ilk" else None


def _folders(folder: Path, most: int) -> Iterator[Path]:
    """Yield every run below `folder`."""
    level, looked = [folder], 0
    for _ in range(_DEEP):
        deeper: list[Path] = []
        for one in level:
            looked += 1
            if looked > most:
                return
            for path in _inside(one):
                if is_run(path):
                    yield path
                else:
                    deeper.append(path)
        level = deeper


def _inside(folder: Path) -> list[Path]:
    """Return the folders in `folder` but for hidden ones and links, sorted; none where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            found = [e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [folder / name for name in sorted(found)]


def _kept(path: Path, name: str) -> Kept:
    header: dict[str, Any] = {}
    images = groups = why = None
    state = ("running" if _is_written(path) else "partial") if path.name.endswith(_PARTIAL) else "finished"
    try:
        header = read_header(path)
        if state == "finished":
            run = load_run(path)
            with needed(run):
                summary = run.summary()
                images, groups = int(summary["n_images"]), int(summary["n_clusters"])
    except IlkError as error:
        state, why = "damaged", disk.one_line(error)
    return Kept(
        name=name.removesuffix(_PARTIAL) if state != "damaged" else name,
        state=state,
        created=_time(header.get("created")),
        method=_text(header.get("method")),
        source=_text(source.get("spec") if isinstance(source := header.get("source"), dict) else None),
        n_images=images,
        n_clusters=groups,
        bytes=_bytes(path),
        command=_text(header.get("command")),
        why=why,
    )


def _text(value: Any) -> str | None:
    """Return a short text of run.json, which is anybody's."""
    if isinstance(value, list):
        value = ", ".join(map(str, value[:3])) + (" …" if len(value) > 3 else "")
    return value[:2000] if isinstance(value, str) else None


def _time(value: Any) -> str | None:
    try:
        return datetime.fromisoformat(value).astimezone(UTC).isoformat(timespec="seconds")
    except (TypeError, ValueError, OverflowError):
        return None


def _bytes(folder: Path) -> int:
    """Return the bytes of all files below `folder`; a file that has two names in it counts once."""
    seen: set[tuple[int, int]] = set()
    total, level = 0, [folder]
    while level:
        try:
            with os.scandir(level.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        level.append(Path(entry.path))
                    elif entry.is_file(follow_symlinks=False):
                        found = entry.stat(follow_symlinks=False)
                        at = (found.st_dev, found.st_ino)
                        total += found.st_size if not found.st_ino or at not in seen else 0
                        seen.add(at)
        except OSError:
            continue
    return total


def _is_written(folder: Path) -> bool:
    """Tell whether another process holds the lock of a partial run; False where the system has no such locks."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        descriptor = os.open(folder / ".lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
