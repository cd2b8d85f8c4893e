"""What an export costs: N small files in a folder tree and a made-up run of them in 100 groups.

    python benchmarks/export.py 100000

Links, the same again (nothing to do), the same after a tenth of the images changed their group, copies, and the tables;
each by the command, in a process of its own, with the peak of its memory. Nothing is decoded or grouped: the run is
written by hand, with the columns that a real one has.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ilk import files, runs

GROUPS, A_FOLDER = 100, 1000


def write_photos(folder: Path, n: int) -> list[str]:
    """Write `n` files of 2 to 6 KB; their content does not matter, nothing opens them."""
    rng = np.random.default_rng(0)
    noise, names = rng.bytes(2**20), []
    for i in range(n):
        name = f"{i // A_FOLDER:03}/{i:06}.jpg"
        if i % A_FOLDER == 0:
            (folder / name).parent.mkdir(parents=True)
        start, size = (int(v) for v in rng.integers((0, 2000), (10**6, 6000)))
        (folder / name).write_bytes(b"\xff\xd8\xff" + noise[start : start + size])
        names.append(name)
    return names


def write_run(path: Path, source: Path, names: list[str], labels: np.ndarray) -> None:
    """Write a run folder with these labels."""
    n = len(names)
    listing = files.open_source(source)
    told = {"spec": str(source), "split": "all", "n": n, "kind": "folder", "fingerprint": listing.fingerprint()}
    header = {"method": "transfer", "params": {}, "source": told, "summary": {}, "created": "2026-01-01T00:00:00+00:00"}
    writer = runs.begin(path, header, overwrite=True)
    facts = {"bytes": listing.sizes, "width": np.full(n, 64), "height": np.full(n, 64), "status": ["ok"] * n}
    nothing = {"reason": [None] * n, "duplicate_of": [None] * n}
    writer.table("images.parquet", {"index": np.arange(n), "path": names, **facts, **nothing})
    rng = np.random.default_rng(1)
    floats = {
        name: rng.random(n).astype(np.float32)
        for name in ("confidence", "distance", "silhouette", "silhouette_reduced")
    }
    second = (labels + 1) % GROUPS
    writer.table("assignments.parquet", {"index": np.arange(n), "group": labels, "second": second, **floats})
    groups = [{"id": i, "name": f"group {i}", "size": int((labels == i).sum())} for i in range(GROUPS)]
    writer.json("clusters.json", groups)
    writer.finish()


def export(run: Path, folder: Path, *options: str) -> dict[str, float]:
    """Run `ilk export`, and return its counts, seconds, and peak memory."""
    code = (
        "import resource, sys; from ilk.cli import main; code = main(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, "export", str(run), str(folder), *options, "--json"]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    wall = time.perf_counter() - start
    told = json.loads(done.stdout)
    peak = int(done.stderr.split()[-1]) / (2**20 if sys.platform == "darwin" else 2**10)
    keys = ("added", "moved", "unchanged", "n_images")
    rate = {"images_per_second": round(told["n_images"] / wall)}
    return {"seconds": round(wall, 2), **rate, "peak_rss_mib": round(peak), **{key: told[key] for key in keys}}


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n", type=int, nargs="?", default=100_000)
    n = parser.parse_args().n
    with tempfile.TemporaryDirectory(prefix="ilk-export-") as scratch:
        place = Path(scratch)
        names = write_photos(place / "photos", n)
        labels = np.random.default_rng(2).integers(0, GROUPS, n)
        write_run(place / "run", place / "photos", names, labels)
        found = {"link": export(place / "run", place / "links")}
        found["link again"] = export(place / "run", place / "links")
        moved = labels.copy()
        moved[::10] = (moved[::10] + 1) % GROUPS
        write_run(place / "other", place / "photos", names, moved)
        found["a tenth moved"] = export(place / "other", place / "links")
        found["copy"] = export(place / "run", place / "copies", "--mode", "copy")
        found["imagefolder"] = export(place / "run", place / "train", "--as", "imagefolder")
        for layout in ("csv", "parquet"):
            found[layout] = export(place / "run", place / layout, "--as", layout)
        size = sum(entry.stat().st_size for entry in os.scandir(place / "links") if entry.is_file())
        assert found["a tenth moved"]["moved"] == len(moved[::10])
        peak = max(one["peak_rss_mib"] for one in found.values())
    print(json.dumps({"n_images": n, "groups": GROUPS, "exports": found, "peak_rss_mib": peak, "table_bytes": size}))


if __name__ == "__main__":
    main()
