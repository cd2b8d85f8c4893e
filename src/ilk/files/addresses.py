"""Addresses: what does not lie on the local disk, named by a scheme. A text, never a `Path`: that would lose a slash.

Whoever types an address says that it may be asked for. One that a run folder names is data: it is asked for only where
somebody has said so (`allow`), because a run from elsewhere may name any machine.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ilk.errors import ArgumentError, DataError, nearest

__all__ = ["SCHEMES", "Address", "allow", "check_allowed", "is_address", "local_path", "public", "refuse_mangled"]

# scheme -> (the package that speaks it, what to install, what to type where it is refused)
_S3 = ("s3fs", "pip install 'ilk[s3]'", "type `aws configure`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
_GS = ("gcsfs", "pip install 'ilk[gs]'", "type `gcloud auth application-default login`")
_AZ = ("adlfs", "pip install 'ilk[az]'", "set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and …_KEY")
_HTTP = ("aiohttp", "pip install 'ilk[http]'", "download it with the program that may, and give the file")
_HF = ("huggingface_hub", "pip install huggingface_hub", "type `hf auth login`")
SCHEMES: dict[str, tuple[str, str, str]] = {
    **dict.fromkeys(("s3", "s3a"), _S3),
    **dict.fromkeys(("gs", "gcs"), _GS),
    **dict.fromkeys(("az", "abfs", "abfss"), _AZ),
    **dict.fromkeys(("http", "https"), _HTTP),
    "hf": _HF,
    "memory": ("fsspec", "pip install fsspec", ""),
}
_COPIES = {
    "s3fs": "aws s3 sync FOLDER {}",
    "gcsfs": "gcloud storage rsync -r FOLDER {}",
    "adlfs": "azcopy copy FOLDER {} --recursive",
    "huggingface_hub": "hf upload OWNER/NAME FOLDER --repo-type dataset",
}
_SHOWN = "s3, gs, az, http, https, hf, memory and file"
_SCHEME = re.compile(r"((?:[A-Za-z0-9]+::)*[A-Za-z][A-Za-z0-9+.-]+)://")  # fsspec chains them: zip::https://
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^\s'\"<>]+")
_SIGNED = re.compile(r"\?(?:[^/]*&)?(?:sig|signature|token|x-(?:amz|goog)-[a-z]+|awsaccesskeyid|key|sv|se)=", re.I)

_allowed: set[str] = set()


class Address(str):
    """An address as it is shown and stored: without name, password and signature, which are in `whole` alone.

    Attributes
    ----------
    whole : str
        What was given.
    size, stamp : int
        Of the one object that it names: bytes, and the time of its last change in ns with its entity tag in the part
        below a second. 0 for what is below a prefix, and where that is not known.
    options : tuple of (str, value)
        Settings of its client.
    """

    whole: str
    size: int
    stamp: int
    options: tuple[tuple[str, Any], ...]

    def __new__(cls, whole: str, size: int = 0, stamp: int = 0, options: tuple[tuple[str, Any], ...] = ()) -> Address:
        made = super().__new__(cls, public(whole))
        made.whole = whole.whole if isinstance(whole, Address) else whole
        made.size, made.stamp, made.options = size, stamp, options
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Address, (self.whole, self.size, self.stamp, self.options)

    @property
    def key(self) -> str:
        """What distinguishes it from every other address, also where the difference is not shown."""
        if str(self) == self.whole:
            return str(self)
        return f"{self}\0{hashlib.blake2b(self.whole.encode('utf-8', 'surrogateescape'), digest_size=16).hexdigest()}"

    @property
    def scheme(self) -> str:
        """In small letters."""
        return self.partition("://")[0].lower()

    @property
    def name(self) -> str:
        """What stands behind the last slash."""
        return self.rstrip("/").rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return Path(self.name).stem

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return Path(self.name).suffix

    @property
    def parent(self) -> Address:
        """All before the last slash."""
        return Address(self.whole.partition("?")[0].rstrip("/").rpartition("/")[0])

    @property
    def trusted(self) -> bool:
        """Whether the object is known to be the same by its stamp: the server's clock and ours are never compared."""
        return steady(self.stamp)

    def resolve(self) -> Address:
        """It is whole already."""
        return self

    absolute = resolve

    def state(self, fresh: bool = False) -> tuple[int, int]:
        """Return bytes and stamp of the object: as it was listed, or as the server says now.

        Raises
        ------
        OSError
            The server does not say.
        """
        if self.size and not fresh:
            return self.size, self.stamp
        from ilk.files.remote import state_at

        return state_at(self)

    def is_file(self) -> bool:
        """No: nothing of it is on the disk."""
        return False

    is_dir = exists = is_file


def steady(stamp: int) -> bool:
    """Whether a stamp of an object distinguishes one state of it from another: whole seconds do not.

    >>> steady(1_700_000_000_000_000_000), steady(1_700_000_000_123_456_789)
    (False, True)
    """
    return stamp % 10**9 != 0


def marks_at(
    root: Address, salt: str, names: Sequence[str], sizes: Sequence[int], stamps: Sequence[int]
) -> list[bytes] | None:
    """Return `Listing.marks` of what lies at an address, whose server has a clock of its own."""
    if root.size and not root.trusted:
        return None
    start = f"{root.key}\0{root.size}\0{root.stamp}\0{salt}".encode("utf-8", "surrogateescape")
    head = hashlib.blake2b(start, digest_size=16).digest()
    return [
        hashlib.blake2b(head + f"\0{size}\0{stamp}\0{name}".encode(), digest_size=16).digest()
        if root.size or steady(stamp)
        else b""
        for name, size, stamp in zip(names, sizes, stamps, strict=True)
    ]


def is_address(text: Any) -> bool:
    """Whether `text` begins with a scheme.

    >>> is_address("s3://bucket/photos"), is_address("C:/photos"), is_address("photos")
    (True, False, False)
    """
    return isinstance(text, str) and _SCHEME.match(text) is not None


def public(text: str) -> str:
    """Return an address without what nobody else should see: name and password, and what signs it.

    Of http addresses nothing behind ? is kept: any of it may be a token.

    >>> public("https://me:secret@host/a.tar?X-Amz-Signature=1"), public("abfs://box@account/a?.png")
    ('https://host/a.tar', 'abfs://box@account/a?.png')
    """
    found = _SCHEME.match(text)
    if found is None:
        return str(text)
    scheme, rest = found[1].lower(), text[found.end() :]
    host, slash, path = rest.partition("/")
    user, at, machine = host.rpartition("@")
    if at and (":" in user or scheme in ("http", "https")):
        host = machine
    rest = host + slash + path
    if scheme in ("http", "https"):
        rest = re.split("[?#]", rest, maxsplit=1)[0]
    elif signed := _SIGNED.search(rest):
        rest = rest[: signed.start()]
    return f"{scheme}://{rest}"


def without_secrets(text: str) -> str:
    """Return what a library or a command line says with every address in it as `public` gives it.

    >>> without_secrets("403, url='https://h/x.tar?sig=1', at k")
    "403, url='https://h/x.tar', at k"
    """
    return _IN_TEXT.sub(lambda found: public(found[0]), text)


def checked(text: str) -> Address:
    """Return `text` as an address of a scheme that ilk knows.

    Raises
    ------
    DataError
        It is of another, of several, or holds a password where none belongs.
    """
    address = Address(text)
    scheme = address.scheme
    if "::" in text:
        raise DataError(f"{address} is a chain of addresses, which ilk does not read: give the one of the images")
    if scheme not in SCHEMES:
        hint = nearest(scheme, SCHEMES)
        raise DataError(f"{address}: ilk does not know {scheme}://; it reads {_SHOWN}.{hint}")
    if scheme not in ("http", "https") and ":" in text[len(scheme) + 3 :].partition("/")[0].rpartition("@")[0]:
        raise DataError(f"{address}: a password does not belong into an address: {SCHEMES[scheme][2]}")
    if len(address) == len(scheme) + 3:
        raise DataError(f"{address} names nothing: write it as {scheme}://bucket/folder")
    return address


def local_path(text: str) -> Path | None:
    """Return the path that a file:// address means; None of any other.

    >>> str(local_path("file:///photos/a%20b")), local_path("s3://photos")
    ('/photos/a b', None)
    """
    scheme, _, rest = text.partition("://")
    if scheme.lower() not in ("file", "local"):
        return None
    rest = rest.removeprefix("localhost/") if not rest.startswith("/") else rest
    if re.match(r"/[A-Za-z]:[/\\]", rest):  # a drive
        rest = rest[1:]
    plain = Path(rest)
    return plain if "%" not in rest or plain.exists() else Path(unquote(rest))


def refuse_mangled(path: str, what: str = "") -> None:
    """Raise where `path` is an address that went through a `Path`, which makes one slash of two."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):[/\\](?![/\\])", path)
    if found and found[1].lower() in SCHEMES and not Path(path).exists():
        raise DataError(f"{what or path}: a Path loses a slash of an address: give it as text, {path[: found.end()]}/…")


def local_only(path: Any, what: str) -> None:
    """Raise where results are to be written to an address: a folder there has no locks and no renames.

    Raises
    ------
    ArgumentError
        It says how to copy them.
    """
    text = str(path)
    mangled = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):[/\\]", text)
    if mangled is None or mangled[1].lower() not in SCHEMES or Path(text).exists():
        return
    scheme, rest = mangled[1].lower(), text[mangled.end() :].lstrip("/")
    address = public(f"{scheme}://{rest}")
    how = _COPIES.get(SCHEMES[scheme][0], "the program of that server")
    raise ArgumentError(
        f"{what} {address}: results are written to the local disk. Name a folder, and copy it when it is done: "
        f"{how.format(address)}"
    )


def allow(addresses: str | Iterable[str]) -> None:
    """Say that these may be asked for, also where a run folder names them; holds for this process."""
    _allowed.update(public(one) for one in ([addresses] if isinstance(addresses, str) else addresses))


def check_allowed(spec: Any) -> None:
    """Raise where a run names an address that nobody has asked for.

    Raises
    ------
    DataError
        It says what to do.
    """
    named = [one for one in (spec if isinstance(spec, list | tuple) else [spec]) if is_address(one)]
    for one in named:
        if local_path(one) is None and public(one) not in _allowed:
            raise DataError(
                f"the run says that its images are at {public(one)}, and what a run says is not asked for unasked: "
                "add --fetch, or give the address yourself"
            )
