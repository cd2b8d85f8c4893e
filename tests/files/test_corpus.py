"""The 193 odd and malformed files: what Pillow decodes, we decode; the rest has a reason; nobody pays for it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

from ilk.files import decode, open_source, probe

ROOT = Path(__file__).resolve().parents[2]


def test_every_file_is_accounted_for(shared_data: Path) -> None:
    with open(shared_data / "bad_inputs_manifest.csv", encoding="utf-8", newline="") as file:
        says = {row["name"]: row["pillow_13_says"] for row in csv.DictReader(file)}
    listing = open_source(shared_data / "bad_inputs.tar")
    assert len(listing) == len(says) == 193
    assert not listing.refused
    wrong = []
    for i, name in enumerate(listing.names):
        data = listing.read(i)
        done = decode(data, (64, 64))
        assert (done.pixels is None) != (done.reason is None)
        if (done.pixels is not None) != says[name.partition("/")[2]].endswith("decodes"):
            wrong.append((name, done.reason))
        if done.pixels is not None:
            assert probe(data) == (done.width, done.height)
    # no end marker, all rows: read, as viewers do
    assert wrong == [("bad_inputs/generated__jpeg_missing_eoi.jpg", None)]


def test_the_cost_is_bounded(shared_data: Path) -> None:
    script = ROOT / "benchmarks" / "system.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", script, "decode", shared_data / "bad_inputs.tar"],
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout)
    assert (result["n"], result["readable"], result["unreadable"]) == (193, 134, 59)
    assert result["seconds"] < 60
    assert result["peak_rss_mib"] < 1536
    assert done.stderr == ""
