"""UMAP's compiled kernels, kept between processes: compiling three of them takes numba some seven seconds of CPU.

numba keeps compiled functions in files that it unpickles, so whoever can write them can run code as us. They are
therefore kept only in a folder that nobody else can write, which the user's own cache is and a cache from elsewhere
may not be.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ilk import disk
from ilk.errors import ArgumentError

__all__ = [
    "attach",
    "first_private",
    "keep",
    "numba_can_import",
    "own_temporary",
    "prepare_numba_cache",
    "private_folder",
    "private_or_new",
    "refusal",
]

KERNELS = (
    ("umap_", "smooth_knn_dist"),
    ("umap_", "compute_membership_strengths"),
    ("layouts", "_nb_optimize_layout_euclidean_single_epoch"),
)
"""Module and name of every function that umap-learn compiles anew in each process, as far as ilk calls it."""

_SOURCES = ("umap_.py", "layouts.py", "utils.py")  # of the kernels and of what is compiled into them
_PACKAGES = ("umap-learn", "numba", "llvmlite", "numpy")
_OTHERS = stat.S_IWGRP | stat.S_IWOTH

_COMPILED = ("umap", "pynndescent")  # packages for which numba keeps files at their import

_kept: list[Path] = []  # the first that will do
_temporary: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends
_attached: list[bool] = []  # done, in this process


def keep(*folders: str | os.PathLike[str]) -> None:
    """Keep the compiled kernels from now on, in this process, in the first of `folders` that is ours alone.

    The first call decides. Without one, and where no folder will do (see `refusal`), every process compiles them anew.
    The layouts are the same to the bit. Nothing is touched before UMAP is needed; then the folder is made, open to us
    alone. It takes about half a megabyte for each version of umap-learn or numba.
    """
    if not _kept:
        _kept.extend(Path(folder) for folder in folders)


def private_folder(folder: str | os.PathLike[str]) -> Path:
    """Return `folder`, made where it is missing, links resolved; code that lies in it is ours.

    Raises
    ------
    ArgumentError
        It cannot be made or written, or `refusal` says why code from there is not to be trusted.
    """
    path = Path(folder).expanduser().resolve()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        why = refusal(path)
        if why is None and not os.access(path, os.W_OK | os.X_OK):
            why = "it cannot be written"
    except OSError as error:
        why = error.strerror or str(error)
    if why is not None:
        raise ArgumentError(f"compiled code cannot be kept in {path}: {why}.")
    return path


def first_private(folders: Sequence[Path]) -> Path:
    """Return the first of `folders` that `private_folder` takes.

    Raises
    ------
    ArgumentError
        There is none; it says what is wrong with the first.
    """
    wrong = []
    for folder in folders:
        try:
            return private_folder(folder)
        except ArgumentError as error:
            wrong.append(error)
    raise wrong[0]


def private_or_new(folders: Sequence[Path]) -> Path:
    """Return the first of `folders` that will do, else a new one for this process alone."""
    try:
        return first_private(folders)
    except ArgumentError:
        _temporary.append(tempfile.TemporaryDirectory(prefix="ilk-", ignore_cleanup_errors=True))
        return Path(_temporary[-1].name)


def own_temporary() -> Path:
    """Return a folder below the system's temporary one that is meant for this user."""
    user = os.geteuid() if hasattr(os, "geteuid") else "user"  # that of Windows is nobody else's anyway
    return Path(tempfile.gettempdir()) / f"ilk-{user}" / "kernels"


def numba_can_import() -> bool:
    """Whether numba can keep the files that it makes at the import of umap-learn where it wants to: beside the code.

    Otherwise it looks for a home, and where that cannot be written either, umap-learn does not load at all.
    """
    specs = [find_spec(name) for name in _COMPILED]
    paths = [Path(spec.origin).parent / "__pycache__" for spec in specs if spec is not None and spec.origin]
    return all(disk.unwritable(location) is None for location in paths)


def prepare_numba_cache() -> None:
    """Give numba a folder for its files where its own ones cannot be written, before umap-learn is imported.

    Does nothing where ``NUMBA_CACHE_DIR`` names one, which the command line sees to.
    """
    import numba

    if not numba.config.CACHE_DIR and not numba_can_import():
        numba.config.CACHE_DIR = str(private_or_new([*_kept, own_temporary()]))


def refusal(folder: Path) -> str | None:
    """Return why others could put code into `folder` (absolute, without links), or None where they cannot.

    It has to belong to us and be closed to all others. So that nobody can put another folder there instead, those above
    it belong to us or to the system, and are closed too or let nobody move what is not theirs (as ``/tmp`` does); one
    that is open to a group is fine where the group is ours alone.
    """
    if not hasattr(os, "geteuid"):  # Windows: permissions are not to be seen here, but the profile is ours alone
        return None if folder.is_relative_to(Path.home()) else "it is not below your own folder"
    us = os.geteuid()
    own = folder.stat()
    if own.st_uid != us:
        return "it belongs to somebody else"
    if own.st_mode & _OTHERS:
        return "others can write to it"
    for above in folder.parents:
        found = above.stat()
        if found.st_uid not in (us, 0):
            return f"{above} belongs to somebody else"
        others = found.st_mode & _OTHERS
        if others and not found.st_mode & stat.S_ISVTX and not (others == stat.S_IWGRP and _ours_alone(found.st_gid)):
            return f"others can write to {above}"
    return None


def _ours_alone(group: int) -> bool:
    """Whether `group` is the private group that many systems give every user: ours, of our name, nobody else in it."""
    import grp
    import pwd

    try:
        found, user = grp.getgrgid(group), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return group == user.pw_gid and found.gr_name == user.pw_name and set(found.gr_mem) <= {user.pw_name}


def attach(umap: Any) -> None:
    """Give the kernels of the imported package `umap` their files, where `keep` was called.

    Never raises: what looks different in this version of umap-learn or numba is compiled as ever.
    """
    if not _kept or _attached:
        return
    _attached.append(True)
    with contextlib.suppress(Exception):
        folder = private_folder(first_private(_kept) / _versions(Path(umap.__file__).parent))
        for module, name in KERNELS:
            with contextlib.suppress(Exception):
                kernel = getattr(getattr(umap, module), name)
                kernel._cache = _files(kernel.py_func, folder)


def _versions(sources: Path) -> str:
    """Return a name that differs where the compiled code may: versions, system, and the sources of the kernels.

    The processor and the types are part of the name of each file.
    """
    parts = [f"{name} {version(name)}" for name in _PACKAGES]
    parts += [sys.implementation.cache_tag, platform.python_version(), platform.system(), platform.machine()]
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8)
    for source in _SOURCES:
        digest.update((sources / source).read_bytes())
    return digest.hexdigest()


def _files(function: Any, folder: Path) -> Any:
    """Return numba's cache of the compiled `function`, in `folder`, with an index for each compiled variant.

    numba's own index of all variants is read, changed and written without a lock: of two processes that do so at once,
    one can find the machine code of the other's variant under its own name. An index of one variant cannot be mixed up,
    whoever writes it last. What cannot be read or written there is compiled.
    """
    from numba.core import caching

    class Place(caching.UserProvidedCacheLocator):  # type: ignore[misc]
        def __init__(self, py_func: Any, py_file: str) -> None:
            self._py_file, self._lineno, self._cache_path = py_file, py_func.__code__.co_firstlineno, str(folder)

        @classmethod
        def from_function(cls, py_func: Any, py_file: str) -> Any:
            return cls(py_func, py_file)

    class Results(caching.CompileResultCacheImpl):  # type: ignore[misc]
        _locator_classes = (Place,)

    class Files(caching.FunctionCache):  # type: ignore[misc]
        _impl_class = Results

        def _choose(self, types: Any, codegen: Any) -> None:
            variant = hashlib.blake2b(repr(self._index_key(types, codegen)).encode(), digest_size=8).hexdigest()
            self._cache_file = caching.IndexDataCacheFile(
                self.cache_path, f"{self._impl.filename_base}-{variant}", self._impl.locator.get_source_stamp()
            )

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            try:
                self._choose(sig, target_context.codegen())
                return super().load_overload(sig, target_context)
            except Exception:
                return None

        def save_overload(self, sig: Any, data: Any) -> None:
            with contextlib.suppress(Exception):
                self._choose(sig, data.codegen)
                super().save_overload(sig, data)

    files = Files(function)
    if files.cache_path != str(folder):
        raise ArgumentError(f"numba keeps {function.__name__} in {files.cache_path}")  # by a variable of its own
    return files
