"""Files written whole or not at all, under a name nobody can guess, through no link."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

__all__ = [
    "as_text",
    "check_replaceable",
    "copied",
    "create",
    "forbidden",
    "is_special",
    "is_stdout",
    "is_temporary",
    "new_folder",
    "output",
    "own_folder",
    "remove_temporaries",
    "replacing",
    "temporary_name",
    "unwritable",
    "write_bytes",
]

_TEMPORARY = re.compile(r"\.ilk-[0-9a-f]{16}\.tmp")
# Windows knows neither links that a user makes by accident nor the flag
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a link",
}


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file in the folder of `path`; when the block succeeds, it is synced and takes the name `path`.

    Parameters
    ----------
    path
        Absent, a regular file, or a link. A link is replaced itself: where it leads is not touched.

    Raises
    ------
    OSError
        `path` is a folder, a pipe or a device, which no file takes the place of; or the disk refuses. Nothing half
        written remains.

    Notes
    -----
    The temporary name is random and opened only if it is new, so no link that somebody left can lie in the way. The
    mode is what the umask of the process leaves. A sync costs some milliseconds a file.
    """
    check_replaceable(path)
    temporary = path.with_name(temporary_name())
    done = False
    try:
        with _named(path):
            if not path.parent.exists():
                raise FileNotFoundError(errno.ENOENT, f"there is no folder {path.parent} for it; make that first")
            file = create(temporary)
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with _named(path):
            temporary.replace(path)
        done = True
    except OSError as error:
        if error.filename is None:  # a full disk does not say whose file it was
            error.filename = str(path)
        raise
    finally:
        if not done:
            with contextlib.suppress(OSError):
                temporary.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` as `path`, as `replacing` does."""
    with replacing(path) as file:
        file.write(data)


@contextlib.contextmanager
def as_text(file: BinaryIO) -> Iterator[TextIO]:
    """Yield `file` as UTF-8 text whose line ends are written as they are; it stays open."""
    text = io.TextIOWrapper(file, "utf-8", newline="")
    yield text
    text.flush()
    text.detach()


@contextlib.contextmanager
def new_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder with a random name below `parent`, removed at the end with what is still in it.

    For libraries that want a name instead of a file: what they write in it can meet no link.
    """
    folder = parent / temporary_name()
    with _named(parent):
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def output(path: Path) -> Iterator[BinaryIO]:
    """Yield a file for what the user asked to have written as `path`.

    As `replacing`, but where `path` is a pipe or a character device, such as ``/dev/stdout``, the content goes into it
    when the block has succeeded.

    Raises
    ------
    OSError
        As `replacing`; also for other devices and sockets.
    """
    if not is_special(path):
        with replacing(path) as file:
            yield file
        return
    memory = io.BytesIO()
    yield memory
    standard = _standard(path)
    if standard is None and not stat.S_ISFIFO(mode := path.stat().st_mode) and not stat.S_ISCHR(mode):
        raise OSError(errno.EINVAL, "is a device or a socket: give the name of a file", str(path))
    descriptor = os.open(path, os.O_WRONLY) if standard is None else os.dup(standard)
    with open(descriptor, "wb") as file:
        file.write(memory.getbuffer())


def is_special(path: Path) -> bool:
    """Whether `path` exists and is no file that could be replaced: a pipe, a device, or where our output goes."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or _standard(path) is not None


def is_stdout(path: Path | None) -> bool:
    """Whether `path` is another name of the process's standard output, such as ``/dev/stdout``."""
    return path is not None and _standard(path) == 1


def _standard(path: Path) -> int | None:
    """1 or 2 where `path` is a link or device that means our standard output or error; None elsewhere."""
    try:
        if stat.S_ISREG(path.lstat().st_mode):  # the very file, by its own name
            return None
        state = path.stat()
        return next((n for n in (1, 2) if os.path.samestat(state, os.fstat(n))), None)
    except (OSError, ValueError):
        return None


def copied(source: BinaryIO, path: Path) -> None:
    """Write the whole file `source` as `path`, as `replacing` does; systems that can share the room on the disk do.

    The copy is a file of its own: damage of one is not damage of the other, as it is with a hard link.
    """
    with replacing(path) as file:
        try:
            while os.copy_file_range(source.fileno(), file.fileno(), 1 << 30):
                pass
        except (AttributeError, OSError) as error:  # not on this system, or not between these two disks
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
            source.seek(0)
            file.seek(0)
            shutil.copyfileobj(source, file, 1 << 20)


def forbidden(error: BaseException | None) -> bool:
    """Whether `error`, or what it was raised for, says that we may not write there: nothing that time or space cures.

    >>> forbidden(PermissionError(errno.EACCES, "")), forbidden(OSError(errno.ENOSPC, "")), forbidden(None)
    (True, False, False)
    """
    if isinstance(error, OSError):
        return error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
    return error is not None and forbidden(error.__cause__ or error.__context__)


def unwritable(folder: Path) -> str | None:
    """Say why `folder` can be neither written nor made, in the system's words; None where it seems it can."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    try:
        mode = folder.stat().st_mode
    except OSError as error:
        return error.strerror or str(error)
    if not stat.S_ISDIR(mode):
        return os.strerror(errno.ENOTDIR)
    if os.access(folder, os.W_OK | os.X_OK):
        return None
    read_only = hasattr(os, "statvfs") and os.statvfs(folder).f_flag & os.ST_RDONLY
    return os.strerror(errno.EROFS if read_only else errno.EACCES)


def own_folder(path: Path) -> Path:
    """Return the folder `path`, made where it is missing.

    Raises
    ------
    OSError
        It is a link, or no folder: what is written there would land elsewhere.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir()
    if not stat.S_ISDIR(mode := path.lstat().st_mode):
        what = _KINDS.get(stat.S_IFMT(mode), "a file")
        raise OSError(errno.EEXIST, f"is {what}, not a folder of its own: remove it", str(path))
    return path


def is_temporary(name: str) -> bool:
    """Whether `name` is one that `replacing` and `new_folder` use until a file is whole.

    >>> is_temporary(".ilk-0123456789abcdef.tmp"), is_temporary("a.tmp")
    (True, False)
    """
    return _TEMPORARY.fullmatch(name) is not None


def remove_temporaries(folder: Path) -> None:
    """Remove what killed processes left half written in `folder`."""
    for path in folder.glob(".ilk-*.tmp"):
        if is_temporary(path.name):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def temporary_name() -> str:
    """Return a name for what is not whole yet: hidden, and new each time."""
    return f".ilk-{os.urandom(8).hex()}.tmp"


def create(path: str | Path) -> BinaryIO:
    """Open a new file for writing; FileExistsError where the name is taken, be it by a link to nothing."""
    return open(path, "xb", opener=_opener)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors name what people know: `path`, not the name that it has meanwhile."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None


def _opener(name: str, flags: int) -> int:
    return os.open(name, flags | _FLAGS, 0o666)


def check_replaceable(path: Path) -> None:
    """Raise OSError where `path` is something that a file must not take the place of."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        what = _KINDS.get(stat.S_IFMT(mode), "no file")
        raise OSError(errno.EEXIST, f"is {what}, and a file is to be written there: remove it", str(path))
