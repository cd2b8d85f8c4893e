"""Every image of a source once: read, made into a row of numbers, kept. What was done before is found by its content.

Every image goes the same way: read, hash, and unless the hash is known decode, work, write into a shard. At the end all
rows are gathered from the shards, so fresh ones and cached ones are the same bytes, whatever the number of workers, the
order in which they finished, or how often the process was killed. `ilk.encoders.encode` makes features in this way, and
`ilk.data.pack` pixels to train on.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ilk import compute
from ilk.data.ahead import ahead
from ilk.data.encoded import Encoded, First, OnProgress, Speed, Work
from ilk.data.few import FEW, collect_few
from ilk.data.folder import FolderImages
from ilk.data.gathering import Found
from ilk.data.index import Hashes, Names, as_names, content
from ilk.data.kept import Kept
from ilk.data.memo import Memo
from ilk.data.shards import Shard, Store, digest, images_per_shard
from ilk.data.sources import Block, ImageSource
from ilk.data.thumbs import Thumbs, as_squares
from ilk.errors import DataError, Interrupted
from ilk.files import Samples
from ilk.files.ahead import NoAnswer
from ilk.files.reasons import may_pass
from ilk.shards.slots import row_of, unreadable

__all__ = ["Work", "collect", "location", "memo_of", "missing"]

_LONGEST = 300  # seconds of work that a process that is killed may lose
_OLD_THUMBS = (
    "images are in the cache as an older ilk left them, with pictures of 48 pixels: for sharp ones clear it "
    "(ilk info --cache --clear) and run the command again"
)

Rows = npt.NDArray[Any]


def collect(
    source: ImageSource,
    work: Work,
    *,
    cache: str | Path | None = None,
    on_progress: OnProgress | None = None,
    before: Callable[[int], object] | None = None,
    first: First | None = None,
) -> Encoded:
    """Make a row of numbers of every distinct readable image of `source`.

    Parameters
    ----------
    source : ImageSource
        As it is to be read: see `ImageSource.sized`.
    work : Work
    cache : path, optional
        Where rows are kept for the next time; a temporary folder, removed with the result, otherwise.
    on_progress : callable (done, total) -> bool or None
        Called from the calling thread as blocks finish. True stops: `Interrupted` is raised once all finished work is
        in the cache.
    before : callable (number of images not known yet)
        Called before the first is read.
    first : First, optional
        Rows to read before all others; it is called with their rows of numbers as soon as they are there.

    Raises
    ------
    DataError
        The cache cannot be written (disk full).
    Interrupted
        `on_progress` asked for it.

    Notes
    -----
    Memory: (workers + 3) blocks of ``work.batch_size`` images, one shard (at most 16 MiB, 64 from 100,000 images on, or
    one image), about 60 bytes an image, and rows beyond 256 MiB in a nameless file in the cache. A process that is
    killed loses at most the one shard in work, and that at most five minutes of work: neither are more files read again
    nor more encoded. An odd
    file never stops it. Up to `FEW` images without a cache take another way: in the calling thread and in memory; as
    nothing is kept then, `before` is not called.
    """
    if cache is None and len(source) <= FEW and (first is None or not len(first.rows)):
        return collect_few(
            source, work.width, work.dtype, work.apply, canonical=work.canonical, on_progress=on_progress
        )
    begin = time.perf_counter()
    notify: OnProgress = on_progress or (lambda done, total: None)
    home = Path(tempfile.mkdtemp(prefix="ilk-features-")) if cache is None else Path(cache).expanduser()
    way = source.samples.key() if isinstance(source, FolderImages) else ""
    store = Store(home / f"{work.subfolder}{way}", work.width, work.dtype)
    if cache is None:
        weakref.finalize(store, shutil.rmtree, home, ignore_errors=True)
    job = _Job(source, work, store, home, notify, first)
    rows = job.run(before or (lambda n: None))
    return job.result(rows, begin, lasting=cache is not None)


def memo_of(source: ImageSource, home: Path) -> Memo:
    """Return what the cache `home` knows of the files of `source`; nothing where it is no folder or the like."""
    if not isinstance(source, FolderImages):
        return Memo(home / "files", None)
    where = digest(source.kind, location(source))
    return Memo(home / "files" / where, source.stamps(), source.listing.span)


def location(source: ImageSource) -> str:
    """Return where the files of a source lie, whatever part of it this is; "" for arrays."""
    root = source.listing.root if isinstance(source, FolderImages) else ""
    return str(root.resolve() if isinstance(root, Path) else root)


def missing(source: ImageSource, work: Work, cache: str | Path) -> npt.NDArray[np.int64]:
    """Return the rows that `collect` would have to read: neither the memory of their files nor the cache has them."""
    home = Path(cache).expanduser()
    known = memo_of(source, home).found
    if not known.any():
        return np.arange(len(source))
    way = source.samples.key() if isinstance(source, FolderImages) else ""
    return np.flatnonzero(Store(home / f"{work.subfolder}{way}", work.width, work.dtype).find(known) < 0)


class _Stopped(Exception):
    pass


class _Job:
    """One pass over a source: which rows are known, which are in work, what was found."""

    def __init__(
        self,
        source: ImageSource,
        work: Work,
        store: Store,
        home: Path,
        notify: OnProgress,
        first: First | None = None,
    ) -> None:
        self.source = source
        self.work = work
        self.store = store
        self.home = home
        self.notify = notify
        self.first = first if first is not None and len(first.rows) else None
        self.awaited: set[int] = set()  # rows of `first` that are not there yet
        n = len(source)
        self.hashes: Names = np.zeros(n, "S16")
        self.reasons: dict[int, str] = {}  # of files that could not be read at all
        self.read: list[int] = []  # rows that the memo has not got yet
        self.sizes = np.zeros(n, np.int64)
        self.pending = Shard()
        # one thread more than cores: while two wait for the interpreter's lock, the third computes (idle: 8 % -> 4 %)
        self.threads = work.workers + 1 if work.workers > 1 else 1
        self.shard, self.most = images_per_shard(whole_of(source), work.width * np.dtype(work.dtype).itemsize)
        self.flush_at = max(self.shard // 4, self.shard - work.batch_size * (self.threads + 2))
        self.done = self.n_encoded = self.held = 0
        self.flushed = time.monotonic()
        self.speed = Speed()
        self.claimed: set[bytes] = set()
        self.passing: dict[bytes, str] = {}  # unreadable for a reason that may pass
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.memo = memo_of(source, home)
        if isinstance(source, FolderImages):
            self.sizes[:] = source.listing.sizes

    def run(self, before: Callable[[int], object]) -> Rows:
        """Fill the store, then gather the rows; a shard that turns out damaged is made again."""
        todo = self._unknown()
        before(len(todo))
        self.done = len(self.hashes) - len(todo)
        if self.first is not None:
            ahead = np.isin(todo, self.first.rows)
            self.awaited.update(todo[ahead].tolist())
            todo = np.concatenate([todo[ahead], todo[~ahead]])
        for _ in range(3):
            self._scan(todo)
            self.found = Found.of(self.hashes, self.store, self.passing, self.work)
            if not len(self.found.lost):
                self.store.complete()
                return self.found.features
            todo = np.flatnonzero(np.isin(self.hashes, self.found.lost))
            self.done -= len(todo)
        raise DataError(f"the cache {self.store.folder} cannot be read back; clear it with `ilk info --cache --clear`")

    def _unknown(self) -> npt.NDArray[np.int64]:
        """Return the rows that have to be read, after filling in those that the memo and the store know."""
        if not len(self.memo.found):
            return np.arange(len(self.hashes))
        there = self.store.find(self.memo.found) >= 0
        self.hashes[there] = self.memo.found[there]
        return np.flatnonzero(~there)

    def _scan(self, todo: npt.NDArray[np.int64]) -> None:
        """Read and work on `todo` with the wanted number of workers; whatever happens, finished work is kept."""
        start = time.perf_counter()
        total = len(self.hashes)
        self.claimed.clear()
        running: set[Future[tuple[Block, Rows]]] = set()
        step = self.work.batch_size
        blocks = iter([todo[i : i + step] for i in range(0, len(todo), step)])
        try:
            if self.notify(self.done, total):
                raise Interrupted("stopped before the first image")
            in_work = step * (self.threads + 2)
            with ahead(self.source, todo, in_work), compute.pool(self.threads) as pool:
                try:
                    self._drive(pool, blocks, running, total)
                except BaseException:
                    self.stop.set()
                    raise
                finally:
                    for future in running:
                        future.cancel()
        except DataError as error:
            if isinstance(error, NoAnswer):
                self._rescue(running)
            raise
        except BaseException:
            self._rescue(running)
            raise
        finally:
            self.memo.save(self.hashes)
            self.speed.seconds += time.perf_counter() - start
        self._flush()

    def _drive(
        self,
        pool: ThreadPoolExecutor,
        blocks: Iterator[npt.NDArray[np.int64]],
        running: set[Future[tuple[Block, Rows]]],
        total: int,
    ) -> None:
        """Keep at most two blocks more than there are threads in flight, and take in what they found."""
        while True:
            while len(running) < self.threads + 2 and (rows := next(blocks, None)) is not None:
                running.add(pool.submit(self._work, rows))
            if not running:
                return self._show_first(last=True)
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                running.discard(future)
                self._take(*future.result())
            self._show_first()
            if self.notify(self.done, total):
                raise Interrupted(f"stopped after {self.done} of {total} images; the same command goes on from here")

    def _rescue(self, running: set[Future[tuple[Block, Rows]]]) -> None:
        """Keep what workers had finished when something stopped the job."""
        for future in running:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._take(*future.result())
        self._flush()

    def _work(self, rows: npt.NDArray[np.int64]) -> tuple[Block, Rows]:
        """One block, in a worker's thread: read, hash, decode, work."""
        start = time.perf_counter()
        block = self.source.scan(rows, self._known)
        pixels = block.pixels if block.ok.all() else block.pixels[torch.from_numpy(block.ok)]
        made = self.work.apply(pixels) if len(pixels) else np.zeros((0, self.work.width), self.work.dtype)
        self.speed.took(time.perf_counter() - start, len(pixels))
        return block, made

    def _known(self, name: bytes) -> bool:
        """Whether an image is done, or in work; if neither, it is the caller's from now on."""
        if self.stop.is_set():
            raise _Stopped
        with self.lock:
            if name in self.store or name in self.claimed:
                return True
            self.claimed.add(name)
            return False

    def _take(self, block: Block, features: Rows) -> None:
        """Take in one finished block: facts of its rows, and its new images into the shard in work."""
        at = 0
        blank = np.zeros(self.work.width, self.work.dtype)
        self.awaited.difference_update(block.index.tolist())
        for i, row in enumerate(block.index.tolist()):
            name = block.hashes[i]
            self.hashes[row] = name
            self.sizes[row] = block.sizes[i]
            self.read.append(row)
            if not name and block.reasons[i] is not None:
                self.reasons[row] = str(block.reasons[i])
            if not name or (not block.ok[i] and block.reasons[i] is None):
                continue
            if may_pass(block.reasons[i]):  # another time it may be readable: reported now, kept nowhere
                self.passing[name] = str(block.reasons[i])
                continue
            self.pending.hashes.append(name)
            self.pending.features.append(features[at] if block.ok[i] else blank)
            self.pending.thumbs.append(block.thumbs[i])
            self.pending.widths.append(int(block.widths[i]))
            self.pending.heights.append(int(block.heights[i]))
            self.pending.reasons.append(block.reasons[i])
            at += int(block.ok[i])
            self.held += blank.nbytes + len(block.thumbs[i])
            if len(self.pending) == self.shard or self.held >= self.most:
                self._flush()
        self.n_encoded += at
        self.done += len(block.index)
        if len(self.pending) >= self.flush_at or len(self.read) >= 4 * self.shard or self._is_long():
            self._flush()

    def _is_long(self) -> bool:
        return len(self.pending) > 0 and time.monotonic() - self.flushed > _LONGEST

    def _show_first(self, last: bool = False) -> None:
        """Hand over the rows that were to come first, once: there, and as many as half of them encoded; or at last."""
        if self.first is None or self.awaited or not (2 * self.n_encoded >= len(self.first.rows) or last):
            return
        first, self.first = self.first, None
        rows: list[int] = []
        features: list[Rows] = []
        fresh = {name: at for at, name in enumerate(self.pending.hashes)}
        read = functools.cache(self.store.features)
        for name, row in {content(self.hashes[row]): row for row in reversed(first.rows.tolist())}.items():
            slot = self.store.find(as_names([name]))
            if (at := fresh.get(name)) is not None and self.pending.reasons[at] is None:
                features.append(self.pending.features[at])
            elif (
                slot[0] >= 0 and not unreadable(slot)[0] and (found := read(self.store.shard(int(slot[0])))) is not None
            ):
                features.append(found[row_of(slot)[0]])
            else:  # unreadable, or its shard is damaged
                continue
            rows.append(row)
        if rows:
            order = np.argsort(rows)
            first(np.array(rows)[order], np.stack(features)[order], self._thumbs_now)

    def _thumbs_now(self, rows: Iterable[int]) -> npt.NDArray[np.uint8]:
        """Return thumbnails of rows that were read already, from the shard in work or from the store."""
        names = [content(self.hashes[row]) for row in rows]
        fresh = {name: at for at, name in enumerate(self.pending.hashes)}
        kept = Thumbs(self.store, self.store.find(as_names(names))).files(range(len(names)))
        now = self.pending.thumbs
        return as_squares([now[fresh[n]] if n in fresh else old for n, old in zip(names, kept, strict=True)])

    def _flush(self) -> None:
        if len(self.pending):
            shard, self.pending = self.pending, Shard()
            self.store.add(shard)
            with self.lock:
                self.claimed.difference_update(shard.hashes)
        self.held, self.flushed = 0, time.monotonic()
        if self.read:
            rows, self.read = np.array(self.read, np.int64), []
            self.memo.add(rows, self.hashes[rows])

    def result(self, features: Rows, begin: float, lasting: bool) -> Encoded:
        """Put together what was found; `lasting`: the store is one that outlives this process."""
        found = self.found
        seconds = time.perf_counter() - begin
        old = [f"{found.n_old:,} {_OLD_THUMBS}"] if found.n_old else []
        reasons: list[str | None] = [None] * len(self.hashes)
        for row, reason in {**self.reasons, **found.reasons}.items():
            reasons[row] = reason
        return Encoded(
            features=features,
            rows=found.rows,
            position=found.position,
            status=found.status(),
            reasons=reasons,
            hashes=Hashes(self.hashes),
            sizes=self.sizes,
            widths=found.widths,
            heights=found.heights,
            images_per_second=self.speed.of(self.n_encoded),
            seconds=seconds,
            n_encoded=self.n_encoded,
            n_cached=max(0, len(found.rows) - self.n_encoded),
            thumbs=Thumbs(self.store, found.slots),
            notes=[*self.store.notes, *old],
            samples=self.source.samples if isinstance(self.source, FolderImages) else Samples(),
            kept=Kept(self.store, found.slots) if lasting else None,
        )


def whole_of(source: ImageSource) -> int:
    """Return how many images the source has of which `source` is a part, or is all."""
    whole = source.listing.whole if isinstance(source, FolderImages) else None
    return len(source) if whole is None else whole
