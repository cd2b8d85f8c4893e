"""Measurements of `system.py` on large made-up runs: the report, and exports."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import peak_mib
from PIL import Image

from ilk import files, runs
from ilk.files.thumbs import SHORTER

ROOT = Path(__file__).resolve().parents[1]
GROUPS, DIMENSIONS, BLOCK = 40, 1280, 4096
FOLDERS, A_FOLDER = 100, 1000


def report(options: argparse.Namespace) -> dict[str, Any]:
    """What the report of a large run costs: plots and page of N images, and the page in a browser.

    The run is made here, through the writer that real jobs use: random features, a random map, thumbnails of random
    textures; nothing in it is the result of grouping. Plots and page are then written by a fresh process, which reports
    its time and its peak memory. Where Chromium is installed, it opens the page, hovers over the map, and its
    complaints are counted.
    """
    n = int(options.n)
    with tempfile.TemporaryDirectory(prefix="ilk-report-") as scratch:
        run = make(Path(options.keep or scratch) / "run", n, int(options.dimensions), int(options.distinct) or n)
        again = [sys.executable, __file__, str(run)]
        figures = json.loads(subprocess.run(again, stdout=subprocess.PIPE, text=True, check=True).stdout)
        figures |= opened(run / "report.html")
    return {"n_images": n, "n_groups": GROUPS, "d": int(options.dimensions), "data": "synthetic", **figures}


def make(path: Path, n: int, dimensions: int = DIMENSIONS, distinct: int | None = None) -> Path:
    """Write a run of `n` images that has everything a report can show; `distinct` thumbnails take turns."""
    rng = np.random.default_rng(0)
    labels = rng.choice(GROUPS, n, p=rng.dirichlet(np.full(GROUPS, 3.0)))
    labels[rng.random(n) < 0.02] = -1
    unreadable, duplicate = rng.random(n) < 0.005, rng.random(n) < 0.02
    duplicate[0], unreadable[0], duplicate[unreadable] = False, False, False
    ok = np.flatnonzero(~unreadable)
    centres = rng.normal(size=(GROUPS + 1, 2)) * 9
    writer = runs.begin(path, header(n), overwrite=True)
    states = np.where(unreadable, "unreadable", np.where(duplicate, "duplicate", "ok")).tolist()
    paths = [f"archive/{2000 + i % 24}/holidays at the sea <{i % 97}>/IMG_{i:06}.jpeg" for i in range(n)]
    writer.table(
        "images.parquet",
        {
            "index": np.arange(n),
            "path": paths,
            "bytes": np.full(n, 300_000),
            "width": np.full(n, 1600, np.int32),
            "height": np.full(n, 1200, np.int32),
            "status": states,
            "reason": ["truncated: ends after 12 bytes" if s == "unreadable" else None for s in states],
            "duplicate_of": [paths[0] if s == "duplicate" else None for s in states],
        },
    )
    writer.table(
        "assignments.parquet",
        {
            "index": ok,
            "group": labels[ok],
            "confidence": rng.beta(6, 1.5, len(ok)).astype(np.float32),
            "distance": rng.gamma(4, 0.1, len(ok)).astype(np.float32),
            "second": (labels[ok] + 1) % GROUPS,
            "silhouette": np.clip(rng.normal(0.3, 0.25, len(ok)), -1, 1).astype(np.float32),
            "silhouette_reduced": np.clip(rng.normal(0.7, 0.25, len(ok)), -1, 1).astype(np.float32),
        },
    )
    writer.json("clusters.json", [group(k, ok[labels[ok] == k]) for k in range(GROUPS)])
    writer.json("k_table.json", [criteria(k) for k in range(2, 51)])
    writer.array("map.npy", (centres[labels] + rng.normal(size=(n, 2))).astype(np.float32))
    features = np.lib.format.open_memmap(
        writer.folder / "features.npy", mode="w+", dtype=np.float16, shape=(n, dimensions)
    )
    middle = rng.random((GROUPS + 1, dimensions), np.float32)
    for start in range(0, n, BLOCK):
        block = slice(start, start + BLOCK)
        features[block] = middle[labels[block]] + rng.random((len(labels[block]), dimensions), np.float32)
    del features
    few = list(textures(n if distinct is None else min(n, distinct), labels))
    files.write_thumbs(writer.folder / "thumbs", itertools.islice(itertools.cycle(few), n))
    writer.figures([runs.checked_figure(figure) for figure in figures_of(rng)])
    return writer.finish()


def header(n: int) -> dict[str, Any]:
    """Return what run.json of such a job holds."""
    epochs = [{"stage": "train", "epoch": i, "loss": 2 / (1 + i), "learning_rate": 0.1 * 0.9**i} for i in range(100)]
    return {
        "method": "synthetic",
        "params": {"n_clusters": "auto"},
        "source": {"spec": "/photos/archive", "kind": "folder", "n": n, "fingerprint": "0"},
        "summary": {"suggested": {"coarse": 12, "natural": GROUPS, "fine": None}, "warnings": []},
        "choice": {"clear": False, "why": "The criteria disagree: this run is made of random numbers."},
        "history": epochs,
        "command": "ilk cluster /photos/archive",
        "seconds": {"list": 1.0, "encode": 400.0, "reduce": 70.0, "cluster": 14.0},
        "warnings": [],
    }


def group(k: int, mine: np.ndarray) -> dict[str, Any]:
    """Return one record of clusters.json."""
    quality = {"silhouette": 0.3, "silhouette_reduced": 0.7, "confidence": 0.8}
    ends = {"exemplars": mine[:12].tolist(), "borderline": mine[-12:].tolist()}
    return {"id": k, "name": str(k), "size": len(mine), **ends, "quality": quality, "nearest": (k + 1) % GROUPS}


def criteria(k: int) -> dict[str, Any]:
    """Return one row of k_table.json."""
    far = abs(k - GROUPS)
    told = {"silhouette": 0.4 - far / 200, "calinski_harabasz": 5000.0 - 40 * abs(k - 30)}
    return {"k": k, **told, "davies_bouldin": 1 + far / 40, "stability": 0.9 - far / 60, "rank_sum": 4.0 + 3 * far}


def textures(n: int, labels: np.ndarray) -> Iterator[bytes]:
    """Yield thumbnails of 128 px: a smooth random texture in the colour of its group, with grain."""
    rng = np.random.default_rng(1)
    hues = rng.integers(40, 216, (GROUPS + 1, 1, 1, 3))
    coarse = rng.integers(-60, 60, (500, 6, 6, 3), dtype=np.int16)
    large = [
        Image.fromarray(t[:, :, c].astype(np.float32)).resize((SHORTER, SHORTER)) for t in coarse for c in range(3)
    ]
    smooth = (
        np.stack([np.asarray(band) for band in large]).reshape(len(coarse), 3, SHORTER, SHORTER).transpose(0, 2, 3, 1)
    )
    for start in range(0, n, 256):
        mine = labels[start : start + 256]
        cells = hues[mine] + smooth[rng.integers(0, len(smooth), len(mine))]
        yield from map(files.make_thumb, np.clip(cells + rng.integers(-6, 7, cells.shape), 0, 255).astype(np.uint8))


def figures_of(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return a figure of each kind."""
    panels = [{"title": "all", "points": rng.normal(size=(50_000, 2)), "labels": rng.integers(0, 10, 50_000)}]
    images = [{"title": "views", "images": rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)}]
    x = np.arange(200)
    curves = {"a": np.sin(x / 9), "b": np.cos(x / 9)}
    return [
        {"name": "curves", "title": "Curves", "kind": "lines", "x": x, "series": curves},
        {"name": "bars", "title": "Bars", "kind": "bars", "names": list("abc"), "values": [1, 2, 3]},
        {"name": "moves", "title": "Moves", "kind": "matrix", "values": rng.random((30, 30))},
        {"name": "space", "title": "Space", "kind": "scatter", "panels": panels},
        {"name": "views", "title": "Views", "kind": "images", "rows": images},
    ]


def written(run: Path) -> dict[str, Any]:
    """Write plots and page of `run` in this process; return seconds, bytes and peak memory."""
    from ilk import report

    loaded = runs.load_run(run)
    begin = time.perf_counter()
    plots = report.write_plots(loaded)
    middle = time.perf_counter()
    page = report.write_report(loaded)
    end = time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "plots": len(plots),
        "plots_seconds": round(middle - begin, 2),
        "page_seconds": round(end - middle, 2),
        "report_seconds": round(end - begin, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_rss_mib": round(peak_mib()),
        "page_mb": round(page.stat().st_size / 1e6, 2),
    }


def opened(page: Path) -> dict[str, Any]:
    """Open the page in Chromium; return what it complained about and how quick its map is, or why it was not opened."""
    sys.path.insert(0, str(ROOT / "tests"))
    import browser

    if browser.find() is None:
        return {"browser": "none installed"}
    with browser.browser() as tab:
        begin = time.perf_counter()
        tab.open(page)
        loaded = time.perf_counter() - begin
        tab.show_map()
        drawn = time.perf_counter() - begin - loaded
        name = tab.hover(0)
        if picture := os.environ.get("ILK_SCREENSHOT"):
            tab.look(Path(picture))
        return {
            "browser": tab.version,
            "load_seconds": round(loaded, 2),
            "map_seconds": round(drawn, 2),
            "points": tab.run("document.querySelectorAll('#map-live .point').length"),
            "hovered": name,
            "console_errors": len(tab.problems),
            "requests": len(tab.requests),
        }


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
    origin = {"spec": str(source), "split": "all", "n": n, "kind": "folder", "fingerprint": listing.fingerprint()}
    header = {
        "method": "transfer",
        "params": {},
        "source": origin,
        "summary": {},
        "created": "2026-01-01T00:00:00+00:00",
    }
    writer = runs.begin(path, header, overwrite=True)
    facts = {"bytes": listing.sizes, "width": np.full(n, 64), "height": np.full(n, 64), "status": ["ok"] * n}
    nothing = {"reason": [None] * n, "duplicate_of": [None] * n}
    writer.table("images.parquet", {"index": np.arange(n), "path": names, **facts, **nothing})
    rng = np.random.default_rng(1)
    floats = {
        name: rng.random(n).astype(np.float32)
        for name in ("confidence", "distance", "silhouette", "silhouette_reduced")
    }
    second = (labels + 1) % FOLDERS
    writer.table("assignments.parquet", {"index": np.arange(n), "group": labels, "second": second, **floats})
    groups = [{"id": i, "name": f"group {i}", "size": int((labels == i).sum())} for i in range(FOLDERS)]
    writer.json("clusters.json", groups)
    writer.finish()


def exported(run: Path, folder: Path, *options: str) -> dict[str, float]:
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


def export(options: argparse.Namespace) -> dict[str, Any]:
    """What an export costs: N small files in a folder tree and a made-up run of them in 100 groups.

    Links, the same again (nothing to do), the same after a tenth of the images changed their group, copies, and the
    tables; each by the command, in a process of its own, with the peak of its memory. Nothing is decoded or grouped.
    """
    n = int(options.n)
    with tempfile.TemporaryDirectory(prefix="ilk-export-") as scratch:
        home = Path(scratch)
        names = write_photos(home / "photos", n)
        labels = np.random.default_rng(2).integers(0, FOLDERS, n)
        write_run(home / "run", home / "photos", names, labels)
        found = {name: exported(home / "run", home / "links") for name in ("link", "link again")}
        moved = labels.copy()
        moved[::10] = (moved[::10] + 1) % FOLDERS
        write_run(home / "other", home / "photos", names, moved)
        found["a tenth moved"] = exported(home / "other", home / "links")
        named = ("--source", str(home / "photos"))  # the run cannot show what these files held: nobody decoded them
        found["copy"] = exported(home / "run", home / "copies", "--mode", "copy", *named)
        found["imagefolder"] = exported(home / "run", home / "train", "--as", "imagefolder", *named)
        for layout in ("csv", "parquet"):
            found[layout] = exported(home / "run", home / layout, "--as", layout)
        size = sum(entry.stat().st_size for entry in os.scandir(home / "links") if entry.is_file())
        assert found["a tenth moved"]["moved"] == len(moved[::10])
    peak = max(one["peak_rss_mib"] for one in found.values())
    return {"n_images": n, "groups": FOLDERS, "exports": found, "peak_rss_mib": peak, "table_bytes": size}


if __name__ == "__main__":  # in the fresh process that `report` starts
    print(json.dumps(written(Path(sys.argv[1]))))
