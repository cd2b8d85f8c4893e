"""Threads that begin to encode at the same moment must not wait for each other for ever."""

from __future__ import annotations

import subprocess
import sys

# two threads that want the interpreter's lock all the time, and do what a first inference does as soon as a third does:
# without the call in `runners.openvino`, one process in three stood still here
AT_ONCE = """
import threading, time
from ilk.encoders.runners import openvino
ov, begun = openvino(), False
def late():
    while not begun:
        pass
    ov.Type.u8.to_dtype()
def early():
    global begun
    begun = True
    ov.Type.u8.to_dtype()
threads = [threading.Thread(target=late, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
time.sleep(0.05)
threads.append(threading.Thread(target=early, daemon=True))
threads[-1].start()
for thread in threads:
    thread.join()
"""


def test_first_inferences_at_the_same_time() -> None:
    processes = [subprocess.Popen([sys.executable, "-c", AT_ONCE]) for _ in range(3)]
    try:
        assert [process.wait(timeout=100) for process in processes] == [0] * 3
    finally:
        for process in processes:
            process.kill()
            process.wait()
