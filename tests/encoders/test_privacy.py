"""Nothing is ever sent: OpenVINO's telemetry stays out, and no socket is opened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WATCH = """
import socket, sys
def refuse(*args, **kwargs):
    raise SystemExit("a socket was used")
sent = []
def watch():
    socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
    import openvino_telemetry.main as t
    t.Telemetry.send_event = lambda self, *a, **k: sent.append(a)
    t.Telemetry.init = lambda self, *a, **k: setattr(self, "sender", 1)
"""

OURS = """
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from ilk import encoders
encoder = encoders.build(
    "test_efficientnet", weights=sys.argv[1], settings={"image_size": 32}, device="cpu", cache=sys.argv[2]
)
assert encoder.backend == "openvino", encoder
loaded = [name for name in sys.modules if name.startswith("openvino_telemetry") and sys.modules[name] is not None]
assert not loaded, loaded
"""

# a program that imported OpenVINO itself, before us: our conversion must not add an event
AFTER = """
watch()
import openvino
before = len(sent)
assert before, "the test sees no event at all: it cannot fail"
from ilk import encoders
encoder = encoders.build(
    "test_efficientnet", weights=sys.argv[1], settings={"image_size": 32}, device="cpu", cache=sys.argv[2]
)
assert encoder.backend == "openvino", encoder
assert len(sent) == before, sent
"""


def run(code: str, weights: Path, tmp_path: Path) -> None:
    """Run code in a fresh interpreter and a fresh home folder, without the switches of a CI machine."""
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WATCH + code, str(weights), str(tmp_path / "cache")],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not (home / "intel").exists()


def test_no_telemetry(weights: Path, tmp_path: Path) -> None:
    run(OURS, weights, tmp_path)


def test_no_telemetry_even_if_openvino_was_imported_before(weights: Path, tmp_path: Path) -> None:
    run(AFTER, weights, tmp_path)
