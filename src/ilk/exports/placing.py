"""From what an export should hold and what lies there to what must be done, and doing it."""

from __future__ import annotations

# ruff: noqa: PTH103, PTH104, PTH108, PTH120, PTH211
# Plain strings and os: a Path for each of 100,000 files takes seconds and most of the memory.
import contextlib
import errno
import functools
import hashlib
import itertools
import os
import shutil
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ilk import disk
from ilk.exports.manifest import Made, look, verified
from ilk.exports.origin import Origin

__all__ = ["Item", "OnProgress", "Placer", "Plan", "reconcile"]

OnProgress = Callable[[int, int], object]
_NO_LINKS = {
    getattr(errno, name, None)
    for name in ("EPERM", "EACCES", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL", "EXDEV", "EMLINK")
}


@dataclass(slots=True)
class Item:
    """One file that the export should hold.

    Attributes
    ----------
    row : int
        The image, by its row in the run.
    how : str
        "link", "copy", "bytes", "png"; "" where the source no longer has the image.
    made : Made
        What the manifest will say of it.
    """

    rel: str
    row: int
    how: str
    made: Made


@dataclass
class Plan:
    """What must be done; `kept` are files of ours that the user changed, `foreign` those in the way."""

    unchanged: list[Item] = field(default_factory=list)
    create: list[Item] = field(default_factory=list)
    move: list[tuple[str, Item]] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    missing: list[Item] = field(default_factory=list)


def reconcile(
    folder: Path, old: Mapping[str, Made], items: list[Item], known: Callable[[str], bool], *, tidy: bool = True
) -> Plan:
    """Compare what the export should hold with what lies in `folder`. Nothing is changed.

    Parameters
    ----------
    old
        What former exports made.
    items
        What is wanted, one per image.
    known
        Whether the source still has an image of that name: a copy of one that it has not is never removed.
    tidy
        Remove what a killed export left half written.
    """
    wanted = {item.rel: item for item in items}
    disk = _on_disk(folder, {rel.rpartition("/")[0] for rel in itertools.chain(wanted, old)}, tidy)
    ours = {rel: made for rel, made in old.items() if rel in disk and verified(f"{folder}/{rel}", disk[rel], made)}
    paths: dict[str, list[str]] = {}
    for rel, made in ours.items():
        if rel not in wanted and made.path:
            paths.setdefault(made.path, []).append(rel)
    plan = Plan()
    moved = set[str]()
    for item in items:
        here = ours.get(item.rel)
        if here is not None and here.path == item.made.path and _serves(here, disk[item.rel], item):
            item.made = here
            plan.unchanged.append(item)
        elif here is not None:
            plan.remove.extend([item.rel] if item.how else [])
            (plan.create if item.how else plan.missing).append(item)
        elif item.rel in disk:
            (plan.kept if item.rel in old else plan.foreign).append(item.rel)
        else:
            found = paths.get(item.made.path, [])
            before = next((rel for rel in found if _serves(ours[rel], disk[rel], item)), None)
            if before is not None:
                moved.add(before)
                item.made = ours[before]
                plan.move.append((before, item))
            else:
                (plan.create if item.how else plan.missing).append(item)
    for rel, made in old.items():
        if rel not in wanted and rel not in moved and rel in disk and made.path:
            if rel not in ours:
                plan.kept.append(rel)
            elif stat.S_ISLNK(disk[rel].st_mode) or known(made.path):
                plan.remove.append(rel)
            else:
                plan.left.append(rel)
    return plan


def _on_disk(folder: Path, parts: Iterable[str], tidy: bool) -> dict[str, os.stat_result]:
    found = {}
    for part in sorted(parts):
        for name, state in (look(folder, part, tidy=tidy) or {}).items():
            found[f"{part}/{name}" if part else name] = state
    return found


def _serves(here: Made, state: os.stat_result, item: Item) -> bool:
    """Whether a file that is ours is what `item` asks for. Where the source is gone, any content of it serves."""
    is_link = stat.S_ISLNK(state.st_mode)
    if not item.how:
        return not is_link
    if item.how == "link" and is_link:
        return here.link == item.made.link
    # a copy, or on a disk without links the hard link or the copy that stands in for one
    same = here.size is None or (here.size == item.made.size and here.stamp == item.made.stamp)
    return not is_link and here.link == item.made.link and same


class Placer:
    """Makes the files of one export below `folder`.

    Attributes
    ----------
    kind : str
        What stands for a link on this disk: "symlink", "hard link" or "copy"; found out at the first one.
    failed : dict of str to str
        Why an image could not be exported, by its name in the run.
    """

    def __init__(self, folder: Path, origin: Origin | None) -> None:
        self.folder = os.fspath(folder)
        self.origin = origin
        self.kind = "symlink"
        self.failed: dict[str, str] = {}

    def clear(self, rels: Iterable[str]) -> None:
        """Remove files of ours."""
        for rel in rels:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.folder}/{rel}")

    def make(self, plan: Plan, report: OnProgress) -> None:
        """Move and create what `plan` says; `report(done, total)` is called now and then."""
        total, done = len(plan.move) + len(plan.create), 0
        for part in {item.rel.rpartition("/")[0] for item in (*plan.create, *(item for _, item in plan.move))}:
            os.makedirs(f"{self.folder}/{part}", exist_ok=True)
        for before, item in plan.move:
            self._guarded(item, functools.partial(self._give, f"{self.folder}/{before}"))
            done += 1
        for _ in self._created(plan.create):
            done += 1
            if done % 256 == 0:
                report(done, total)
        report(total, total)

    def _created(self, items: list[Item]) -> Iterator[None]:
        """Create `items`: links one after the other, contents on all cores with a few in memory at a time."""
        cores = os.cpu_count() or 1
        running: deque[Future[None]] = deque()
        with ThreadPoolExecutor(cores, thread_name_prefix="ilk-export") as pool:
            for item in items:
                if item.how == "link" and self.kind != "copy":
                    self._guarded(item, self._link)
                    yield
                    continue
                running.append(pool.submit(self._guarded, item, self._write))
                if len(running) > 2 * cores:
                    running.popleft().result()
                    yield
            for future in running:
                future.result()
                yield

    def _guarded(self, item: Item, action: Callable[[Item], None]) -> None:
        """Do it; what is wrong with one image is its own failure, what is wrong with the disk ends the export."""
        try:
            action(item)
        except FileExistsError:
            self.failed[item.made.path] = f"{item.rel} is in the way: another file of the same name is there"
        except FileNotFoundError:
            self.failed[item.made.path] = "not in the source any more"
        except _Unreadable as error:
            self.failed[item.made.path] = str(error)

    def _link(self, item: Item) -> None:
        target, location = item.made.link, f"{self.folder}/{item.rel}"
        assert target is not None
        if self.kind == "symlink":
            try:
                os.symlink(target, location)
                return
            except (OSError, NotImplementedError) as error:
                self._next_kind(error, "hard link")
        if self.kind == "hard link":
            try:
                os.link(os.path.realpath(target), location)
                return
            except (OSError, NotImplementedError) as error:
                self._next_kind(error, "copy")
        self._write(item)

    def _next_kind(self, error: Exception, kind: str) -> None:
        if isinstance(error, OSError) and error.errno not in _NO_LINKS and getattr(error, "winerror", None) != 1314:
            raise error
        self.kind = kind

    def _write(self, item: Item) -> None:
        """Write a copy or pixels to a name of our own first: half of a file never bears its name."""
        assert self.origin is not None
        location = f"{self.folder}/{item.rel}"
        temporary = f"{os.path.dirname(location)}/{disk.temporary_name()}"
        try:
            with disk.create(temporary) as file:
                if item.how in ("bytes", "png"):
                    with _reading():
                        data = self.origin.content(item.row, item.how == "png")
                    file.write(data)
                else:
                    with _reading(), disk.opened(Path(self.origin.file(item.row)), follow=True) as source:
                        read = _Hashed(source)
                        shutil.copyfileobj(read, file, 1 << 20)
                        self.origin.vouch(item.row, read.digest.digest())
            os.utime(temporary, ns=(item.made.stamp, item.made.stamp))
            self._give(temporary, item)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)

    def _give(self, temporary: str, item: Item) -> None:
        """Give a finished file its name, unless another has it."""
        location = f"{self.folder}/{item.rel}"
        if os.path.lexists(location):
            raise FileExistsError(errno.EEXIST, "in the way", location)
        os.rename(temporary, location)


class _Hashed:
    """A file whose content is hashed as `ilk.files.content_hash` does, while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.blake2b(digest_size=16)

    def read(self, size: int = -1) -> bytes:
        """Read as the file does."""
        data = self._file.read(size)
        self.digest.update(data)
        return data


class _Unreadable(Exception):
    """One image cannot be read."""


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """What the source refuses is the image's own failure; a full disk is not."""
    try:
        yield
    except (FileNotFoundError, _Unreadable):
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE):
            raise
        raise _Unreadable(error.strerror or str(error)) from error
