"""Images at addresses as `Listing`: below a prefix, what a pattern or braces stand for, single ones, and shards."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

from ilk.errors import DataError
from ilk.files.addresses import Address, allow, checked
from ilk.files.archives import cleaned
from ilk.files.kinds import IMAGE_EXTENSIONS, looks_like_image, may_be_image, member_set_aside, wanted
from ilk.files.listing import EXPORTED, Listing, Row, build, printable
from ilk.files.passed import VIDEOS, PassedOver, extension
from ilk.files.patterns import expanded, is_pattern
from ilk.files.remote import Found, RemoteReader, Store, asked, in_flight, is_refusal, store_of, without_credentials
from ilk.files.shards import CONTAINERS, list_shard, open_containers

__all__ = ["open_address", "open_addresses"]

_ARRAYS = ("npz", "npy", "txt", "lst", "csv", "tsv", "jsonl", "ndjson")
_HEAD = 32


def open_address(text: str, split: str = "all") -> Listing:
    """Return the images at an address: of all objects below it, of an archive or table, or the one that it is.

    It counts as asked for by the user from now on: see `ilk.files.addresses.allow`.

    Parameters
    ----------
    text
        A prefix, an object, a pattern with ``*``, or with braces as ``shards-{000..099}.tar``.
    split

    Raises
    ------
    DataError
        It cannot be read, or holds nothing: one line that says what to type.

    Notes
    -----
    One request for each 1,000 names where the server lists that way, and none for an image. Objects without an ending
    that says what they are cost one each, 32 at a time, and a tar is gone through once.
    """
    address = checked(text)
    allow(text)
    store, base, found = _looked(address)
    if len(found) == 1 and found[0].path.rstrip("/") == base.rstrip("/"):
        return _object(store, found[0], split)
    passed = PassedOver()
    listing = _images(store, address, base, found, split, passed)
    if len(listing):
        return listing
    shards = {_below(one.path, base): one for one in found if extension(one.path) in CONTAINERS}
    if not shards:
        return listing
    opened, wrong = open_containers(address, {raw: _address(store, one) for raw, one in shards.items()}, split)
    if opened is None:
        return listing
    for raw in wrong:
        opened.passed_over.file(printable(raw))
    for kind, others in passed.items():
        if kind not in ("archives", "arrays"):
            opened.passed_over.merge(PassedOver({kind: others}))
    return opened


def open_addresses(texts: Sequence[str], split: str = "all") -> Listing:
    """Return single images at addresses of one server as a list, in the order given; what is not there is refused."""
    addresses = [checked(text) for text in texts]
    allow(texts)
    store = store_of(addresses[0])

    def row(address: Address) -> Row:
        mine = replace(store, address=address)
        try:
            found, folder = mine.info(mine.base)
        except Exception as error:  # of one object
            if is_refusal(error):
                asked(address, lambda: mine.info(mine.base))
            return Row(address.name, reason="no such object")
        return Row(address.name, found.size, found.stamp, "a folder, not an object" if folder else None, found.path)

    rows = in_flight(addresses, row)
    root = addresses[0].parent if len({one.parent for one in addresses}) == 1 else addresses[0]
    if len({one.parent for one in addresses}) > 1:
        rows = [one._replace(raw=address.partition("://")[2]) for one, address in zip(rows, addresses, strict=True)]
    return build("list", root, rows, _reader(store), split=split, ordered=True)


def _looked(address: Address) -> tuple[Store, str, list[Found]]:
    """Return the store, the path that names are relative to, and what is there."""
    store = store_of(address)

    def look() -> tuple[Store, str, list[Found]]:
        try:
            return (store, *_there(store))
        except Exception as error:
            other = without_credentials(store)
            if other is None or "NoCredentials" not in type(error).__name__:
                raise
            return (other, *_there(other))

    return asked(address, look)  # type: ignore[no-any-return]


def _there(store: Store) -> tuple[str, list[Found]]:
    base = store.base
    several = expanded(base)
    if len(several) > 1:
        named = in_flight(several, lambda path: store.info(path)[0])
        return _common(several), named
    if is_pattern(base) and store.address.scheme not in ("http", "https"):
        found = store.matching(base)
        if not found:
            raise DataError(f"nothing matches {store.address}")
        first = next(i for i, part in enumerate(base.split("/")) if is_pattern(part))
        return "/".join(base.split("/")[:first]), found
    if store.address.scheme in ("http", "https") and base.endswith("/"):  # a page of links
        return base, store.below(base)
    found_one, folder = store.info(base)
    return (base, store.below(base)) if folder else (base, [found_one])


def _common(paths: Sequence[str]) -> str:
    """Return the folder that all of them lie in."""
    split = [path.split("/")[:-1] for path in paths]
    same = 0
    while all(len(parts) > same and parts[same] == split[0][same] for parts in split):
        same += 1
    return "/".join(split[0][:same])


def _below(path: str, base: str) -> str:
    return path[len(base) :].lstrip("/") if path.startswith(base) else path.lstrip("/")


def _reader(store: Store) -> Callable[[list[Row]], RemoteReader]:
    return lambda rows: RemoteReader(store, tuple(str(row.where or "") for row in rows))


def _images(
    store: Store, address: Address, base: str, found: Sequence[Found], split: str, passed: PassedOver
) -> Listing:
    names = {one.path: _below(one.path, base) for one in found}
    own = _made_by_ilk(list(names.values()))
    heads = _heads(store, [one for one in found if may_be_image(names[one.path])])
    rows = []
    for one in found:
        raw, reason = cleaned(names[one.path])
        head = functools.partial(heads.__getitem__, one.path)
        if any(raw.startswith(folder) for folder in own):
            passed.add("results", printable(raw))
        elif not member_set_aside(raw, passed) and wanted(raw, head, passed):
            rows.append(Row(raw, one.size, one.stamp, reason, one.path))
    return build("folder", address, rows, _reader(store), split=split, passed=passed)


def _heads(store: Store, found: Sequence[Found]) -> dict[str, bytes]:
    """Return the first bytes of objects whose names do not say what they are."""

    def head(one: Found) -> bytes:
        try:
            return store.read(one.path, 0, min(_HEAD, one.size) or _HEAD)
        except OSError:
            return b""

    return {one.path: data for one, data in zip(found, in_flight(found, head), strict=True)}


def _made_by_ilk(names: Sequence[str]) -> list[str]:
    """Return the folders, with a slash, that are runs or exports of ilk's, by the names of their files."""
    every = set(names)
    folders = [name.removesuffix(EXPORTED) for name in names if name.rpartition("/")[2] == EXPORTED]
    for name in names:
        if name.endswith("/run.json") and f"{name.removesuffix('run.json')}assignments.parquet" in every:
            folders.append(name.removesuffix("run.json"))
    return [folder for folder in folders if folder]


def _address(store: Store, one: Found) -> Address:
    """Return the address of an object, which knows how it is read."""
    base, whole = store.base, store.address.whole
    if one.path.startswith(base) and "?" not in whole:
        full = whole.rstrip("/") + one.path[len(base.rstrip("/")) :]
    else:
        full = one.path if "://" in one.path else str(store.fs.unstrip_protocol(one.path))
    return Address(full, one.size, one.stamp, store.options)


def _object(store: Store, one: Found, split: str) -> Listing:
    """Return the images of a single object."""
    address = store.address
    ending = extension(address.name)
    what = Address(address.whole, one.size, one.stamp, store.options)
    if ending in CONTAINERS:
        return list_shard(what, split)
    if ending in VIDEOS:
        raise DataError(f"{address} is a video: download it, and take its frames (`ffmpeg -i FILE -vf fps=1 %06d.jpg`)")
    if ending in _ARRAYS:
        raise DataError(f"{address}: a .{ending} is read from the local disk only: download it first")
    if ending in IMAGE_EXTENSIONS or looks_like_image(_heads(store, [one])[one.path]):
        return build("list", address.parent, [Row(address.name, one.size, one.stamp, where=one.path)], _reader(store))
    if address.scheme in ("http", "https"):
        raise DataError(
            f"{address} is no image, .tar, .zip or .parquet; a page of links to images is given with / at its end"
        )
    raise DataError(f"{address} is of a type that ilk cannot read at an address (.{ending})")
