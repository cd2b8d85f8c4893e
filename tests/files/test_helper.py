"""The helper process: its limits hold, and a crash, a hang or an appetite costs one row."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from ilk.files.helper import HelperPool


def tiff(side: int = 64, **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), (9, 8, 7)).save(out, "TIFF", **options)
    return out.getvalue()


@pytest.fixture
def pool():
    made: list[HelperPool] = []

    def make(**options: object) -> HelperPool:
        made.append(HelperPool(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_one_helper_serves_many_images(pool) -> None:
    one = pool(count=1)
    for _ in range(3):
        done = one.decode(tiff(), (8, 8))
        assert (done.pixels == (9, 8, 7)).all()
        assert done.pixels.flags.writeable
    helper = one._places.queue[0]
    assert one.probe(tiff()) == (64, 64)
    assert one._places.queue[0] is helper


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is enforced on Linux only")
def test_memory_limit(pool) -> None:
    one = pool(count=1, memory=96 * 2**20)
    big = tiff(6000, compression="tiff_lzw")  # 36 MP: 144 MB in Pillow
    assert one.decode(big, (8, 8)).reason == "needed more than 0.09375 GiB"
    assert one.decode(tiff(), (8, 8)).reason is None  # and the helper lives on


def test_time_limit_kills_and_replaces(pool) -> None:
    one = pool(count=1, seconds=0.5)
    assert one.decode(tiff(), (8, 8)).reason is None  # started
    first = one._places.queue[0].process.pid
    os.kill(first, signal.SIGSTOP)  # a decoder that hangs
    start = time.monotonic()
    assert one.decode(tiff(), (8, 8)).reason == "decoding took longer than 0.5 s"
    assert time.monotonic() - start < 5
    assert one.decode(tiff(), (8, 8)).reason is None
    assert one._places.queue[0].process.pid != first


def test_a_crash_is_a_reason(pool) -> None:
    one = pool(count=1, seconds=20)
    one.decode(tiff(), (8, 8))
    process = one._places.queue[0].process
    os.kill(process.pid, signal.SIGSTOP)
    threading.Timer(0.3, os.kill, (process.pid, signal.SIGSEGV)).start()
    threading.Timer(0.5, os.kill, (process.pid, signal.SIGCONT)).start()
    assert one.decode(tiff(), (8, 8)).reason == f"the decoder crashed (signal {signal.SIGSEGV.value})"
    assert one.decode(tiff(), (8, 8)).reason is None


def test_a_helper_that_died_idle_costs_nothing(pool) -> None:
    one = pool(count=1)
    one.decode(tiff(), (8, 8))
    process = one._places.queue[0].process
    process.kill()
    process.wait()
    assert one.decode(tiff(), (8, 8)).reason is None


def test_a_helper_that_cannot_start(pool, monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert "helper" in pool(count=1).decode(tiff(), (8, 8)).reason


def test_many_threads_share_two_helpers(pool) -> None:
    one = pool(count=2)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda side: one.decode(tiff(side), (side, side)).pixels.shape, range(10, 50)))
    assert found == [(side, side, 3) for side in range(10, 50)]
    assert len({helper.process.pid for helper in one._places.queue if helper}) == 2


def test_helpers_end_with_the_program() -> None:
    code = (
        "import io, os, sys; from PIL import Image; from ilk.files import decode\n"
        "from ilk.files.helper import shared_pool\n"
        "out = io.BytesIO(); Image.new('L', (8, 8)).save(out, 'TIFF'); decode(out.getvalue(), (8, 8))\n"
        "print(next(h for h in shared_pool()._places.queue if h).process.pid, flush=True)\n"
        "os._exit(0) if sys.argv[1] == 'die' else None\n"
    )
    for how in ("end", "die"):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, how], capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        pid = int(done.stdout)
        for _ in range(100):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.05)
        else:
            pytest.fail(f"the helper {pid} outlives its program ({how})")


def test_helper_loads_only_pillow_and_numpy() -> None:
    code = (
        "import sys, ilk.files.helper; print({'torch', 'pyarrow', 'sklearn', 'scipy', 'pi_heif'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_answers_larger_than_a_pipe(pool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "TIFF")
    assert (pool(count=1).decode(out.getvalue(), None).pixels == pixels).all()
