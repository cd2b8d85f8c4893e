"""A source and a frozen encoder in, features out. What was encoded before is found again by its content.

Every image goes the same way: read, hash, and unless the hash is known decode, encode, write into a shard. At the end
all features are gathered from the shards, so fresh ones and cached ones are the same bytes, whatever the number of
workers, the order in which they finished, or how often the process was killed.
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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ilk.data import ArrayImages, Block, FolderImages, ImageSource
from ilk.encoders.direct import encode_directly
from ilk.encoders.encoded import Encoded, First, Halves, Interrupted, OnProgress, check_room, room
from ilk.encoders.frozen import FrozenEncoder, digest
from ilk.encoders.shards import SHARD, Memo, Shard, Store, Thumbs
from ilk.errors import DataError

__all__ = ["encode"]

_LARGEST = float(np.finfo(np.float16).max)


def encode(
    source: ImageSource,
    encoder: FrozenEncoder,
    *,
    cache: str | Path | None = None,
    on_progress: OnProgress | None = None,
    first: First | None = None,
) -> Encoded:
    """Encode all images of a source.

    Parameters
    ----------
    source : ImageSource
    encoder : FrozenEncoder
    cache : path, optional
        Where features are kept for the next time; a temporary folder, removed with the result, otherwise.
    on_progress : callable (done, total) -> bool or None
        Called from the calling thread as blocks finish. True stops: `Interrupted` is raised once all finished work is
        in the cache.
    first : First, optional
        Rows to encode before all others; it is called with their features as soon as they are there.

    Raises
    ------
    ArgumentError
        More than 8 GiB of flattened maps.
    DataError
        The cache cannot be written (disk full), or the features are not finite.
    Interrupted
        `on_progress` asked for it.

    Notes
    -----
    Memory: (workers + 3) blocks of ``encoder.batch_size`` images, one shard, and features beyond 256 MiB in a nameless
    file in the cache. A process that is killed loses at most the one shard in work. An odd file never stops it.
    """
    begin = time.perf_counter()
    check_room(len(source), encoder.n_features, encoder.settings.get("pool"))
    tell: OnProgress = on_progress or (lambda done, total: None)
    if isinstance(source, ArrayImages) and encoder.name == "pixels":
        return encode_directly(source, encoder, tell, begin, first)
    home = Path(tempfile.mkdtemp(prefix="ilk-features-")) if cache is None else Path(cache).expanduser()
    store = Store(home / "features" / encoder.key, encoder.n_features)
    if cache is None:
        weakref.finalize(store, shutil.rmtree, home, ignore_errors=True)
    job = _Job(source, encoder, store, home, tell, first)
    features = job.run()
    return job.result(features, begin)


class _Stopped(Exception):
    pass


class _Job:
    """One pass over a source: which rows are known, which are in work, what was found."""

    def __init__(
        self,
        source: ImageSource,
        encoder: FrozenEncoder,
        store: Store,
        home: Path,
        tell: OnProgress,
        first: First | None = None,
    ) -> None:
        self.source = source.sized(encoder.image_size, encoder.resize, encoder.crop_pct)
        self.encoder = encoder
        self.store = store
        self.tell = tell
        self.first = first if first is not None and len(first.rows) else None
        self.awaited: set[int] = set()  # rows of `first` that are not there yet
        n = len(source)
        self.hashes: list[bytes] = [b""] * n
        self.reasons: list[str | None] = [None] * n
        self.sizes = np.zeros(n, np.int64)
        self.pending = Shard()
        # one thread more than cores: while two wait for the interpreter's lock, the third computes (idle: 8 % -> 4 %)
        self.threads = encoder.workers + 1 if encoder.workers > 1 else 1
        self.flush_at = max(SHARD // 4, SHARD - encoder.batch_size * (self.threads + 2))
        self.done = self.n_encoded = self.n_scanned = 0
        self.scan_seconds = 0.0
        self.distinct: dict[bytes, int] = {}  # hash of a readable image -> its row of the features
        self.claimed: set[bytes] = set()
        self.lock = threading.Lock()
        self.stop = threading.Event()
        where = digest(source.kind, str(source.listing.root.resolve())) if isinstance(source, FolderImages) else ""
        self.memo = Memo(home / "files" / f"{where}.safetensors", source.stamps() if where else None)
        if isinstance(source, FolderImages):
            self.sizes[:] = source.listing.sizes

    def run(self) -> Halves:
        """Fill the store, then gather the features; a shard that turns out damaged is made again."""
        todo = self._unknown()
        self.done = len(self.hashes) - len(todo)
        if self.first is not None:
            ahead = np.isin(todo, self.first.rows)
            self.awaited.update(todo[ahead].tolist())
            todo = np.concatenate([todo[ahead], todo[~ahead]])
        for _ in range(3):
            self._scan(todo)
            features, lost = self._gather()
            if not lost:
                return features
            todo = np.array([row for row, name in enumerate(self.hashes) if name in lost], np.int64)
            self.done -= len(todo)
        raise DataError(
            f"the feature cache {self.store.folder} cannot be read back; clear it with `ilk info --cache --clear`"
        )

    def _unknown(self) -> npt.NDArray[np.int64]:
        """Return the rows that have to be read, after filling in those that the memo and the store know."""
        todo = []
        for row in range(len(self.hashes)):
            name = self.memo.get(row)
            if name is not None and name in self.store:
                self.hashes[row] = name
            else:
                todo.append(row)
        return np.array(todo, np.int64)

    def _scan(self, todo: npt.NDArray[np.int64]) -> None:
        """Read and encode `todo` with the encoder's number of workers; whatever happens, finished work is kept."""
        start = time.perf_counter()
        total = len(self.hashes)
        self.claimed.clear()
        running: set[Future[tuple[Block, Halves]]] = set()
        step = self.encoder.batch_size
        blocks = iter([todo[i : i + step] for i in range(0, len(todo), step)])
        try:
            if self.tell(self.done, total):
                raise Interrupted("stopped before the first image")
            self._show_first()
            with _pool(self.threads) as pool:
                try:
                    self._drive(pool, blocks, running, total)
                except BaseException:
                    self.stop.set()
                    raise
                finally:
                    for future in running:
                        future.cancel()
        except DataError:
            raise
        except BaseException:
            self._rescue(running)
            raise
        finally:
            self.memo.save(self.hashes)
            self.scan_seconds += time.perf_counter() - start
        self._flush()

    def _drive(
        self,
        pool: ThreadPoolExecutor,
        blocks: Iterator[npt.NDArray[np.int64]],
        running: set[Future[tuple[Block, Halves]]],
        total: int,
    ) -> None:
        """Keep at most two blocks more than there are threads in flight, and take in what they found."""
        while True:
            while len(running) < self.threads + 2 and (rows := next(blocks, None)) is not None:
                running.add(pool.submit(self._work, rows))
            if not running:
                return
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                running.discard(future)
                self._take(*future.result())
            self._show_first()
            if self.tell(self.done, total):
                raise Interrupted(f"stopped after {self.done} of {total} images; the same command goes on from here")

    def _rescue(self, running: set[Future[tuple[Block, Halves]]]) -> None:
        """Keep what workers had finished when something stopped the job."""
        for future in running:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._take(*future.result())
        self._flush()

    def _work(self, rows: npt.NDArray[np.int64]) -> tuple[Block, Halves]:
        """One block, in a worker's thread: read, hash, decode, encode."""
        block = self.source.scan(rows, self._known)
        pixels = block.pixels if block.ok.all() else block.pixels[torch.from_numpy(block.ok)]
        if not len(pixels):
            return block, np.zeros((0, self.encoder.n_features), np.float16)
        return block, _halves(self.encoder(pixels), self.encoder.name)

    def _known(self, name: bytes) -> bool:
        """Whether an image is encoded, or in work; if neither, it is the caller's from now on."""
        if self.stop.is_set():
            raise _Stopped
        with self.lock:
            if name in self.store or name in self.claimed:
                return True
            self.claimed.add(name)
            return False

    def _take(self, block: Block, features: Halves) -> None:
        """Take in one finished block: facts of its rows, and its new images into the shard in work."""
        at = 0
        blank = np.zeros(self.encoder.n_features, np.float16)
        self.awaited.difference_update(block.index.tolist())
        for i, row in enumerate(block.index.tolist()):
            name = block.hashes[i]
            self.hashes[row], self.reasons[row] = name, block.reasons[i]
            self.sizes[row] = block.sizes[i]
            if not name or (not block.ok[i] and block.reasons[i] is None):
                continue
            self.pending.hashes.append(name)
            self.pending.features.append(features[at] if block.ok[i] else blank)
            self.pending.thumbs.append(block.thumbs[i])
            self.pending.widths.append(int(block.widths[i]))
            self.pending.heights.append(int(block.heights[i]))
            self.pending.reasons.append(block.reasons[i])
            at += int(block.ok[i])
            if len(self.pending) == SHARD:
                self._flush()
        self.n_encoded += at
        self.n_scanned += len(block.index)
        self.done += len(block.index)
        if len(self.pending) >= self.flush_at:
            self._flush()

    def _show_first(self) -> None:
        """Hand over the rows that were to come first, once, when the last of them is there."""
        if self.first is None or self.awaited:
            return
        first, self.first = self.first, None
        rows: list[int] = []
        features: list[npt.NDArray[np.float16]] = []
        fresh = {name: at for at, name in enumerate(self.pending.hashes)}
        read = functools.cache(self.store.features)
        for name, row in {self.hashes[row]: row for row in reversed(first.rows.tolist())}.items():
            place = self.store.place(name)
            if (at := fresh.get(name)) is not None and self.pending.reasons[at] is None:
                features.append(self.pending.features[at])
            elif place is not None and self.store.facts(place)[2] is None and (found := read(place[0])) is not None:
                features.append(found[place[1]])
            else:  # unreadable, or its shard is damaged
                continue
            rows.append(row)
        if rows:
            order = np.argsort(rows)
            first(np.array(rows)[order], np.stack(features)[order], self._thumbs_now)

    def _thumbs_now(self, rows: Iterable[int]) -> npt.NDArray[np.uint8]:
        """Return thumbnails of rows that were read already, from the shard in work or from the store."""
        names = [self.hashes[row] for row in rows]
        fresh = {name: at for at, name in enumerate(self.pending.hashes)}
        thumbs = Thumbs(self.store, [self.store.place(name) for name in names]).read(range(len(names)))
        for i, name in enumerate(names):
            if name in fresh:
                thumbs[i] = self.pending.thumbs[fresh[name]]
        return thumbs

    def _flush(self) -> None:
        if len(self.pending):
            shard, self.pending = self.pending, Shard()
            self.store.add(shard)

    def _gather(self) -> tuple[Halves, set[bytes]]:
        """Return the features of all distinct readable images in the order of the source, and hashes that got lost."""
        self.distinct = {}
        by_shard: dict[str, list[tuple[int, int]]] = {}
        lost: set[bytes] = set()
        for name in dict.fromkeys(self.hashes):
            place = self.store.place(name)
            if name and place is None:
                lost.add(name)
            elif place is not None and self.store.facts(place)[2] is None:
                row = self.distinct[name] = len(self.distinct)
                by_shard.setdefault(place[0], []).append((row, place[1]))
        features = room(len(self.distinct), self.encoder.n_features, self.store.folder)
        names = list(self.distinct)
        for shard, pairs in by_shard.items():
            found = self.store.features(shard)
            if found is None:
                lost.update(names[row] for row, _ in pairs)
                continue
            to, at = np.array(pairs).T
            features[to] = found[at]
        return features, lost

    def result(self, features: Halves, begin: float) -> Encoded:
        """Put together what was found."""
        n = len(self.hashes)
        position, rows = np.full(n, -1, np.int64), np.full(len(self.distinct), -1, np.int64)
        status, widths, heights = ["unreadable"] * n, np.zeros(n, np.int32), np.zeros(n, np.int32)
        places = [self.store.place(name) if name else None for name in self.hashes]
        for row, (name, place) in enumerate(zip(self.hashes, places, strict=True)):
            if place is not None:
                widths[row], heights[row], self.reasons[row] = self.store.facts(place)
            at = self.distinct.get(name)
            if at is None:
                continue
            position[row] = at
            status[row] = "ok" if rows[at] < 0 else "duplicate"
            rows[at] = row if rows[at] < 0 else rows[at]
        seconds = time.perf_counter() - begin
        speed = self.n_scanned / self.scan_seconds if self.n_encoded and self.scan_seconds else n / max(seconds, 1e-9)
        shown = [place if at >= 0 else None for place, at in zip(places, position, strict=True)]
        return Encoded(
            features=features,
            rows=rows,
            position=position,
            status=status,
            reasons=self.reasons,
            hashes=self.hashes,
            sizes=self.sizes,
            widths=widths,
            heights=heights,
            images_per_second=speed,
            seconds=seconds,
            n_encoded=self.n_encoded,
            n_cached=max(0, len(rows) - self.n_encoded),
            thumbs=Thumbs(self.store, shown),
            notes=list(self.store.notes),
        )


def _halves(features: npt.NDArray[np.float32], name: str) -> Halves:
    if not np.isfinite(features).all():
        raise DataError(f"encoder {name} gives features that are not finite; its weights are damaged or not its own")
    return features.clip(-_LARGEST, _LARGEST).astype(np.float16)


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool whose threads use one core each, and leave torch's number of threads as it was."""
    before = torch.get_num_threads()
    limit: Callable[[], Any] = (lambda: torch.set_num_threads(1)) if workers > 1 else (lambda: None)
    try:
        with ThreadPoolExecutor(workers, thread_name_prefix="ilk-encode", initializer=limit) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)
