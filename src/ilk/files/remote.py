"""What lies at an address, read through fsspec: objects below a prefix, single ones, and files that can be sought in.

An object that cannot be had is one image with a reason; nothing that a client raises gets out of here.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ilk import disk
from ilk.disk import one_line, printable
from ilk.errors import DataError
from ilk.files.addresses import SCHEMES, Address, checked, steady, without_secrets
from ilk.files.quick import Quick
from ilk.files.reading import Reader

__all__ = ["REQUESTS", "Found", "NotHad", "RemoteReader", "Store", "downloaded", "seekable"]

REQUESTS = 32
"""Requests to a server at a time."""

_S3 = ("s3", "s3a")
_LARGEST = 512 * 2**20  # bytes of one image: as `ilk.files.listing` has it
_TRIES, _PAUSE = 3, 0.25  # of a request that failed for a reason that may pass; seconds, doubled each time
_BLOCK = 4 * 2**20  # bytes of a file that is sought in, fetched at once
_KEPT = 8  # such pieces kept of one file
_DEEPEST = 12  # pages of links below a page
_REFUSED = (
    "NoCredentials", "PartialCredentials", "PermissionError", "Forbidden", "Unauthorized", "ClientAuthentication",
    "DefaultCredentials", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "GatedRepo",
)  # fmt: skip
_UNREACHED = ("Connect", "Timeout", "Timedout", "Resolution", "ServerDisconnected", "Network", "Offline", "gaierror")

_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")  # what clients call it
_TAGS = ("ETag", "etag", "blob_id", "generation", "md5Hash")

Options = tuple[tuple[str, Any], ...]


class NotHad(OSError):
    """The server did not answer, or refused: it may be the same with the next object."""


@dataclass(frozen=True)
class Found:
    """An object: its path as the client names it, its bytes (0: unknown) and stamp (see `Address`)."""

    path: str
    size: int
    stamp: int


@dataclass(frozen=True)
class Store:
    """One server and how it is spoken to; plain data, opened where it is used."""

    address: Address
    options: Options = field(default=(), repr=False)

    @property
    def base(self) -> str:
        """The path of the address itself."""
        return _spoken(self.address, self.options)[1]

    @property
    def fs(self) -> Any:
        """The file system of fsspec, one for each process: its clients survive no fork."""
        return _spoken(self.address, self.options)[0]

    def read(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """Return an object, or bytes `start` to `end` of it.

        Raises
        ------
        OSError
            With a reason fit for a reader; after three tries where it may pass.
        """
        for left in reversed(range(_TRIES)):
            try:
                data = self._cat(path, start, end)
            except Exception as error:  # botocore, aiohttp, httpx, azure: each has a tree of its own
                if left and may_pass(error):
                    time.sleep(_PAUSE * 2 ** (_TRIES - 1 - left))
                    continue
                reason = plain_reason(error)
                raise (OSError if isinstance(error, FileNotFoundError) else NotHad)(reason) from None
            if len(data) > _LARGEST:
                raise OSError(f"larger than {_LARGEST >> 20} MiB")
            return data
        raise AssertionError

    def _cat(self, path: str, start: int | None, end: int | None) -> bytes:
        if self.address.scheme in _S3:
            bucket, _, key = path.partition("/")
            quick = _quick(*_asked_how(self.address, self.options), bucket)
            if quick is not None and (data := quick.read(key, start, end, _LARGEST)) is not None:
                return data
        if self.address.scheme not in ("http", "https") or end is not None:
            return bytes(self.fs.cat_file(path, start=start, end=end))
        with self.fs.open(path, "rb") as file:  # a server may send without end
            return bytes(file.read(_LARGEST + 1))

    def info(self, path: str) -> tuple[Found, bool]:
        """Return an object, and whether it is a folder; raises what the client raises."""
        info = self.fs.info(path)
        return found_of(info.get("name") or path, info), info.get("type") == "directory"

    def below(self, path: str) -> list[Found]:
        """Return all objects below `path`; one request per 1,000 where the server has such."""
        deep = {"maxdepth": _DEEPEST} if self.address.scheme in ("http", "https") else {}
        return _objects(self.fs.find(path, detail=True, **deep))

    def matching(self, pattern: str) -> list[Found]:
        """Return all objects that a pattern stands for, and what is below the folders that it stands for."""
        found = self.fs.glob(pattern, detail=True)
        folders = [path for path, info in found.items() if info.get("type") == "directory"]
        if "**" in pattern:  # what is below them is among them
            folders = []
        below = [one for every in in_flight(folders, self.below) for one in every]
        return list({one.path: one for one in [*_objects(found), *below]}.values())

    def open(self, path: str) -> Any:
        """Return a file that can be sought in: pieces of 4 MiB, the next of which comes meanwhile, a few are kept."""
        return self.fs.open(path, "rb", block_size=_BLOCK, cache_type="background", cache_options={"maxblocks": _KEPT})


@dataclass(frozen=True)
class RemoteReader(Reader):
    """Objects of a store by their paths."""

    store: Store
    paths: tuple[str, ...]

    def __call__(self, i: int) -> bytes:
        """Return the bytes of image `i`."""
        return self.store.read(self.paths[i])

    def take(self, rows: Sequence[int]) -> RemoteReader:
        """Return the reader of the images `rows` alone."""
        return RemoteReader(self.store, tuple(self.paths[i] for i in rows))


def store_of(address: Address) -> Store:
    """Return what `address` is asked through; without credentials where there are none (public data needs none).

    Raises
    ------
    DataError
        The client library is missing.
    """
    store = Store(address, address.options)
    _ = asked(address, lambda: store.base)
    return store


def without_credentials(store: Store) -> Store | None:
    """Return the same without credentials, for what is public; None where that makes no difference."""
    word = {"s3": ("anon", True), "s3a": ("anon", True), "gs": ("token", "anon"), "gcs": ("token", "anon")}
    option = word.get(store.address.scheme)
    return None if option is None or option in store.options else Store(store.address, (*store.options, option))


def seekable(path: Path | Address) -> Any:
    """Return what a library can open: the path, or a file at the address that can be sought in.

    Raises
    ------
    DataError
        It is not there.
    """
    if not isinstance(path, Address):
        return path
    store = store_of(path)
    return asked(path, lambda: store.open(store.base))


def state_at(address: Address) -> tuple[int, int]:
    """Return bytes and stamp of an object as the server says now; OSError where it does not."""
    store = Store(address, address.options)
    try:
        found, _ = store.info(store.base)
    except Exception as error:  # see Store.read
        raise NotHad(plain_reason(error)) from None
    return found.size, found.stamp


def asked(address: Address, question: Callable[[], Any]) -> Any:
    """Return the answer to `question`; whatever goes wrong becomes one line that says what to type.

    Raises
    ------
    DataError
        It does.
    """
    try:
        return question()
    except DataError:
        raise
    except Exception as error:  # see Store.read
        raise DataError(_said(address, error)) from None


def in_flight(tasks: Iterable[Any], work: Callable[[Any], Any]) -> list[Any]:
    """Return what `work` makes of each of `tasks`, in their order, `REQUESTS` at a time."""
    every = list(tasks)
    if len(every) < 2:
        return [work(one) for one in every]
    with ThreadPoolExecutor(min(REQUESTS, len(every)), thread_name_prefix="ilk-ask") as pool:
        return list(pool.map(work, every))


def found_of(path: str, info: dict[str, Any]) -> Found:
    """Return what a client says of an object, whatever words it has for it."""
    size = info.get("size") or info.get("Size") or 0
    return Found(path, int(size) if isinstance(size, int | float) else 0, _stamp(info))


def _stamp(info: dict[str, Any]) -> int:
    when = next((value for word in _TIMES if (value := info.get(word))), None)
    if isinstance(when, str):
        try:
            when = datetime.datetime.fromisoformat(when)
        except ValueError:
            when = None
    if isinstance(when, datetime.datetime):
        when = (when if when.tzinfo else when.replace(tzinfo=datetime.UTC)).timestamp()
    # microseconds: one and the same client gives the one time as a date and the other time as a number
    stamp = round(when * 1e6) * 1000 if isinstance(when, int | float) and 0 < when < 9e9 else 0
    tag = next((str(value) for word in _TAGS if (value := info.get(word))), "")
    if tag:  # the tag changes with the content; the time says it in seconds, by a clock that is not ours
        digest = hashlib.blake2b(f"{tag}\0{stamp}".encode(), digest_size=8).digest()
        stamp = stamp - stamp % 10**9 + 1 + int.from_bytes(digest, "big") % (10**9 - 1)
    return stamp


def _objects(found: dict[str, Any]) -> list[Found]:
    return [
        found_of(path, info)
        for path, info in found.items()
        if info.get("type") != "directory" and not path.endswith("/")
    ]


def _spoken(address: Address, options: Options) -> tuple[Any, str]:
    """Return the file system that `address` is of, one for all of the same server, and its path there."""
    import fsspec

    kind = fsspec.get_filesystem_class(address.scheme)
    return _file_system(*_asked_how(address, options)), str(kind._strip_protocol(address.whole))


def _asked_how(address: Address, options: Options) -> tuple[str, Options, int]:
    """Return what makes one file system another."""
    import fsspec

    kind = fsspec.get_filesystem_class(address.scheme)
    # what was listed before may have changed since; and one million entries need not be kept twice
    once = {"max_concurrency": 1} if address.scheme in _S3 else {}  # more: each object is asked for its size
    how = {"use_listings_cache": False, **once, **kind._get_kwargs_from_urls(address.whole), **dict(options)}
    return address.scheme, tuple(sorted(how.items())), os.getpid()


@functools.lru_cache(16)
def _file_system(scheme: str, how: Options, process: int) -> Any:
    import fsspec

    # of itself the client of S3 has ten connections, and all further requests wait for one of them
    pool = {"config_kwargs": {"max_pool_connections": REQUESTS}} if scheme in _S3 else {}
    return fsspec.filesystem(scheme, skip_instance_cache=True, **pool, **dict(how))  # fsspec's own is one a thread


@functools.lru_cache(64)
def _quick(scheme: str, how: Options, process: int, bucket: str) -> Quick | None:
    return Quick.of(_file_system(scheme, how, process), bucket, REQUESTS)


def forget() -> None:
    """Let go of all servers that were spoken to: credentials and settings are read anew."""
    _file_system.cache_clear()
    _quick.cache_clear()


def downloaded(text: str, folder: Path) -> Path:
    """Return the one object at an address as a file in `folder`; what is there already is not fetched again.

    Raises
    ------
    DataError
        It is not there, or breaks off.
    """
    address = checked(text)
    store = store_of(address)
    found, is_folder = asked(address, lambda: store.info(store.base))
    if is_folder:
        raise DataError(f"{address} is a folder: give the file")
    state = hashlib.blake2b(f"{address.key}\0{found.size}\0{found.stamp}".encode(), digest_size=8).hexdigest()
    file = folder / f"{state}-{printable(address.name)[-80:]}"
    if file.is_file() and steady(found.stamp):
        return file
    folder.mkdir(parents=True, exist_ok=True)

    def fetch() -> None:
        with store.open(store.base) as source, disk.replacing(file) as target:
            shutil.copyfileobj(source, target, _BLOCK)
        if found.size and file.stat().st_size != found.size:
            file.unlink()
            raise OSError("it broke off")

    asked(address, fetch)
    return file


def may_pass(error: BaseException) -> bool:
    """Whether the same request may be answered another time."""
    names = _names(error)
    if isinstance(error, FileNotFoundError | PermissionError | ImportError | ValueError):
        return False
    status = getattr(error, "status", None) or getattr(error, "status_code", None)
    if isinstance(status, int) and 400 <= status < 500 and status not in (408, 429):
        return False
    return isinstance(error, OSError | TimeoutError) or any(word in names for word in _UNREACHED) or bool(status)


def plain_reason(error: BaseException) -> str:
    """Return what a client says, in one short line without secrets."""
    if isinstance(error, FileNotFoundError):
        return "gone: there is no such object any more"
    text, name = without_secrets(one_line(error))[:160], type(error).__name__
    if not text:
        return name
    return text if isinstance(error, OSError) else f"{name}: {text}"


def _names(error: BaseException) -> str:
    """Names of the classes of an error and of its causes."""
    names, at = [], error
    for _ in range(6):
        names += [kind.__name__ for kind in type(at).__mro__ if kind not in (object, BaseException)]
        following = at.__cause__ or at.__context__
        if following is None:
            break
        at = following
    return " ".join(names)


def is_refusal(error: BaseException) -> bool:
    """Whether a client says that one may not, or that it does not know who one is."""
    status = getattr(error, "status", None) or getattr(error, "status_code", None)
    said = f"{_names(error)} {str(error)[:300]}"
    return isinstance(error, PermissionError) or status in (401, 403) or any(word in said for word in _REFUSED)


def _said(address: Address, error: BaseException) -> str:
    package, install, hint = SCHEMES[address.scheme]
    if isinstance(error, ImportError):
        return f"{address}: {address.scheme}:// needs the package {package}: {install}"
    said = without_secrets(one_line(error))[:160] or type(error).__name__
    names = _names(error)
    if is_refusal(error):
        return f"{address} must not be read as you are ({said}): {hint}"
    if any(word in names for word in _UNREACHED):
        return f"{address} cannot be reached ({said}): is this machine online, and the name of the server right?"
    if isinstance(error, FileNotFoundError) and "bucket" in said.lower():
        return f"{address}: there is no such bucket ({said}); is the name right?"
    if isinstance(error, FileNotFoundError) or "NotFound" in names:
        return f"there is nothing at {address}; is the name right?"
    return f"{address} cannot be read ({type(error).__name__}: {said})"


def ordered(found: Sequence[Found]) -> list[Found]:
    """Return objects by their paths in byte order."""
    return sorted(found, key=lambda one: one.path.encode("utf-8", "surrogateescape"))
