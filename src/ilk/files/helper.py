"""The decoding helper: a process with limits on memory and time, for odd formats and huge claims.

Two parts. `serve` is what the helper runs: it imports NumPy and Pillow only, takes one file at a time on its standard
input and answers with pixels or a reason. `HelperPool` is what the calling threads use: at most two helpers, started
when first needed, replaced when they crash, hang or eat too much, and gone with the program (end of their input).

A frame is a fixed header and a payload; both are in this file so that they cannot disagree.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from ilk.files import odd
from ilk.files.reasons import explain
from ilk.files.render import Decoded, Resize
from ilk.files.samples import Samples

__all__ = ["HelperPool", "serve", "shared_pool"]

# what, stretch?, thumbnail?, height, width (0, 0: native), crop_pct, bytes of `Samples`, bytes of the file
_REQUEST = struct.Struct(">BBBIIdIQ")
_DECODE, _PROBE, _LOOK = 0, 1, 2
# 1 = pixels and a thumbnail follow, 0 = a reason follows; width, height; rows, columns; bytes of both; of the thumbnail
_ANSWER = struct.Struct(">BIIIIQI")


# -- the helper's half ------------------------------------------------------------------------------------------------
def serve(memory: int, seconds: float) -> None:
    """Answer requests on standard input until it ends; the limits are bytes above what the start took, and seconds."""
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):  # a C library that prints must not write into the frames
        os.dup2(nowhere, fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent; it closes our input when it ends
    Image.init()
    Image.MAX_IMAGE_PIXELS = None  # this process is ours alone: `_work` checks by the size, with better words
    _limit_memory(memory)
    while header := source.read(_REQUEST.size):
        what, stretch, thumb, height, width, crop_pct, extra, length = _REQUEST.unpack(header)
        if hasattr(signal, "alarm"):  # the parent kills a hung helper; this is for one whose parent has died
            signal.alarm(int(seconds * 2) + 30)
        try:
            size = (height, width) if height else None
            samples = Samples.decoded(source.read(extra))
            data = source.read(length)
            if what == _LOOK:
                done = Decoded(None, 0, 0, json.dumps(odd.look(data)))
            else:
                resize: Resize = "stretch" if stretch else "crop"
                done = odd.work(data, size, resize, crop_pct, samples, what == _PROBE, memory, bool(thumb))
            payload = (done.reason or "").encode() if done.pixels is None else done.pixels.tobytes() + done.thumb
        except MemoryError:
            done = Decoded(None, 0, 0, explain(MemoryError(), b"", None, memory))
            payload = (done.reason or "").encode()
        rows, columns = (0, 0) if done.pixels is None else done.pixels.shape[:2]
        sizes = (done.width, done.height, rows, columns, len(payload), len(done.thumb))
        sink.write(_ANSWER.pack(done.reason is None, *sizes))
        sink.write(payload)
        sink.flush()
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        del data, done, payload


def _limit_memory(memory: int) -> None:
    """Limit the address space to `memory` bytes above what the interpreter and its libraries take now."""
    try:
        import resource
    except ImportError:  # Windows: only the time is limited
        return
    taken = 2**30
    with contextlib.suppress(OSError, ValueError):
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    with contextlib.suppress(OSError, ValueError):  # macOS accepts the call or refuses it, and enforces neither
        resource.setrlimit(resource.RLIMIT_AS, (taken + memory, taken + memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


# -- the callers' half ------------------------------------------------------------------------------------------------
class _Helper:
    """One running helper process."""

    def __init__(self, seconds: float, memory: int) -> None:
        home = str(Path(__file__).resolve().parents[2])
        # -P: a numpy.py in the working folder is not imported; the package's own folder is named instead
        code = f"import sys; sys.path.append({home!r}); from ilk.files.helper import serve; serve({memory}, {seconds})"
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-W", "ignore", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._ready = False

    def ask(self, request: bytes, data: bytes, seconds: float) -> tuple[Decoded, bool]:
        """The answer, and whether this helper can be used again."""
        # The first answer also waits for the interpreter, which may be slow to start on a busy machine.
        watch = _Watch(self.process, seconds if self._ready else seconds + 20)
        try:
            stdin, stdout = self.process.stdin, self.process.stdout
            assert stdin is not None
            assert stdout is not None
            stdin.write(request)
            stdin.write(data)
            stdin.flush()
            answer = _read_answer(stdout)
        except (OSError, EOFError):
            answer = None
        expired = watch.stop()
        if answer is not None:
            self._ready = True
            return answer, not expired
        if expired:
            return Decoded(None, 0, 0, f"decoding took longer than {seconds:g} s"), False
        code = self.process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return Decoded(None, 0, 0, f"the decoder crashed ({how})"), False

    def close(self, wait: float = 2.0) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # a dead helper's pipe: what was buffered is lost, as it should be
                    pipe.close()
        try:
            self.process.wait(wait)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class _Watch:
    """Kills a process after `seconds` unless stopped before: a deadline that also works where pipes have no select."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self._process, self._lock, self._over, self._fired = process, threading.Lock(), False, False
        self._timer = threading.Timer(seconds, self._fire)
        self._timer.daemon = True
        self._timer.start()

    def _fire(self) -> None:
        with self._lock:
            if not self._over:
                self._fired = True
                self._process.kill()

    def stop(self) -> bool:
        """Stop watching; True if the process had to be killed."""
        with self._lock:
            self._over = True
        self._timer.cancel()
        return self._fired


def _read_answer(stdout: IO[bytes]) -> Decoded:
    ok, width, height, rows, columns, length, thumb = _ANSWER.unpack(_read_exactly(stdout, _ANSWER.size))
    payload = _read_exactly(stdout, length)
    if not ok:
        return Decoded(None, width, height, payload.decode("utf-8", "replace"))
    if not rows:
        return Decoded(None, width, height, None)  # a probe
    pixels = np.frombuffer(payload, np.uint8, length - thumb).reshape(rows, columns, 3)
    return Decoded(pixels, width, height, None, bytes(payload[length - thumb :]))


def _read_exactly(stdout: IO[bytes], length: int) -> bytearray:
    payload = bytearray(length)  # writable, so that the pixels are
    view, at = memoryview(payload), 0
    while at < length:
        got = stdout.readinto(view[at:])  # type: ignore[attr-defined]
        if not got:
            raise EOFError
        at += got
    return payload


class HelperPool:
    """At most `count` helper processes for any number of threads.

    Parameters
    ----------
    count : int
        Helpers at the same time; further threads wait.
    seconds : float
        Time for one image, after which its helper is killed.
    memory : int
        Bytes of address space that decoding one image may take (Linux; elsewhere only the time is limited).
    """

    def __init__(self, count: int = 2, seconds: float = 10.0, memory: int = 2**30) -> None:
        self.count, self.seconds, self.memory = count, seconds, memory
        self._places: queue.LifoQueue[_Helper | None] = queue.LifoQueue()
        for _ in range(count):
            self._places.put(None)

    def decode(
        self,
        data: bytes,
        size: tuple[int, int] | None,
        resize: Resize = "crop",
        crop_pct: float = 1.0,
        samples: Samples = Samples(),  # noqa: B008 - frozen
        thumb: bool = False,
    ) -> Decoded:
        """As `ilk.files.decode.decode`, in a helper."""
        height, width = size or (0, 0)
        packed = samples.encoded()
        head = _REQUEST.pack(_DECODE, resize == "stretch", thumb, height, width, crop_pct, len(packed), len(data))
        return self._ask(head + packed, data)

    def probe(self, data: bytes) -> tuple[int, int] | None:
        """(width, height) from the header, or None."""
        done = self._ask(_REQUEST.pack(_PROBE, 0, 0, 0, 0, 1.0, 0, len(data)), data)
        return (done.width, done.height) if done.reason is None else None

    def look(self, data: bytes) -> dict[str, Any]:
        """As `ilk.files.odd.look`, in a helper; empty as well where it took too long or crashed."""
        done = self._ask(_REQUEST.pack(_LOOK, 0, 0, 0, 0, 1.0, 0, len(data)), data)
        try:
            record = json.loads(done.reason or "")
        except ValueError:
            return {}
        return record if isinstance(record, dict) else {}

    def _ask(self, request: bytes, data: bytes) -> Decoded:
        helper = self._places.get()
        try:
            if helper is not None and helper.process.poll() is not None:
                helper.close()  # died while idle (somebody else's doing): not this image's fault
                helper = None
            if helper is None:
                try:
                    helper = _Helper(self.seconds, self.memory)
                except OSError as error:
                    self._places.put(None)
                    return Decoded(None, 0, 0, f"the decoding helper cannot start: {error.strerror}")
            done, reusable = helper.ask(request, data, self.seconds)
        except BaseException:  # an interrupted exchange leaves half a frame in the pipe
            if helper is not None:
                helper.process.kill()
                helper.close()
            self._places.put(None)
            raise
        if not reusable:
            helper.close()
        self._places.put(helper if reusable else None)
        return done

    def close(self) -> None:
        """End the idle helpers; the pool can be used again."""
        for _ in range(self.count):
            with contextlib.suppress(queue.Empty):
                helper = self._places.get_nowait()
                if helper is not None:
                    helper.close()
        while self._places.qsize() < self.count:
            self._places.put(None)


_pool: HelperPool | None = None
_pool_lock = threading.Lock()


def shared_pool() -> HelperPool:
    """The program's own pool, made when first needed and closed at exit."""
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = HelperPool()
            atexit.register(_pool.close)
        return _pool


def _forget() -> None:
    """A forked child must not talk into its parent's pipes."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
