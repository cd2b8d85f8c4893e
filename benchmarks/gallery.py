"""What the gallery costs with very many images, and what it keeps when it is killed; prints one JSON object.

python benchmarks/gallery.py bars 100000     opening, looking, moving, scrolling, 50 clients, memory
python benchmarks/gallery.py kills 100       killed in the midst of corrections: what was answered has to be there

The run is made here, through the writer that real jobs use: groups of random directions, 128 px thumbnails of random
textures, a file for each image. The server is a process of its own; where Chromium is installed it opens the page.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
from common import timed
from PIL import Image

import ilk
from ilk import files, runs
from ilk.files.packs import write_thumbs

ROOT = Path(__file__).resolve().parents[1]
GROUPS, DIMENSIONS, FILES, BLOCK = 40, 384, 256, 4096
LARGEST = 0.5  # share of the first group


# -- the run -----------------------------------------------------------------------------------------------------------


def make(home: Path, n: int) -> Path:
    """Write a run of `n` images, half of them in the first group, and the images."""
    rng = np.random.default_rng(0)
    shares = np.append(LARGEST, np.full(GROUPS - 1, (1 - LARGEST) / (GROUPS - 1)))
    labels = rng.choice(GROUPS, n, p=shares)
    labels[: int(LARGEST * n)], labels[int(LARGEST * n) :] = 0, np.maximum(labels[int(LARGEST * n) :], 1)
    rng.shuffle(labels)
    pictures = [picture(rng, i) for i in range(FILES)]
    paths = [f"{2000 + i % 24}/holidays {i % 97}/IMG_{i:06}.jpg" for i in range(n)]
    for folder in {path.rpartition("/")[0] for path in paths}:
        (home / "photos" / folder).mkdir(parents=True)
    data = [pictures[i % FILES] + path.encode() for i, path in enumerate(paths)]  # what follows the end is not shown
    for path, content in zip(paths, data, strict=True):
        (home / "photos" / path).write_bytes(content)
    writer = runs.begin(home / "run", header(home / "photos", n))
    writer.table("images.parquet", images(paths, data))
    writer.table("assignments.parquet", assignments(labels, rng))
    writer.json("clusters.json", [group(k, np.flatnonzero(labels == k)) for k in range(GROUPS)])
    centres = rng.normal(size=(GROUPS, 2)) * 9
    writer.array("map.npy", (centres[labels] + rng.normal(size=(n, 2))).astype(np.float32))
    shape = (n, DIMENSIONS)
    features = np.lib.format.open_memmap(writer.folder / "features.npy", mode="w+", dtype=np.float16, shape=shape)
    middle = rng.normal(size=(GROUPS, DIMENSIONS)).astype(np.float32)
    for start in range(0, n, BLOCK):
        block = slice(start, start + BLOCK)
        mine = labels[block]
        features[block] = middle[mine] + rng.normal(size=(len(mine), DIMENSIONS)).astype(np.float32)
    del features
    thumbs = [files.make_thumb(Image.open(io.BytesIO(data))) for data in pictures]
    write_thumbs(writer.folder / "thumbs", (thumbs[i % FILES] for i in range(n)))
    path = writer.finish()
    os.sync()  # what was written here is not waited for by the first correction
    return path


def picture(rng: np.random.Generator, i: int) -> bytes:
    """Return a JPEG of 160 x 120 with a date and a camera: a smooth random texture with grain."""
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC), np.int16)
    exif = Image.Exif()
    exif[0x0132], exif[0x0110] = f"20{10 + i % 14}:{1 + i % 12:02}:03 10:00:00", f"Camera {i % 5}"
    out = io.BytesIO()
    noisy = np.clip(pixels + rng.integers(-8, 9, pixels.shape), 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(out, "JPEG", quality=80, exif=exif)
    return out.getvalue()


def images(paths: list[str], data: list[bytes]) -> dict[str, Any]:
    """Return the columns of images.parquet."""
    n = len(paths)
    return {
        "index": np.arange(n),
        "path": paths,
        "bytes": np.array([len(one) for one in data]),
        "width": np.full(n, 160, np.int32),
        "height": np.full(n, 120, np.int32),
        "status": ["ok"] * n,
        "reason": [None] * n,
        "duplicate_of": [None] * n,
        "content": [files.content_hash(one).hex() for one in data],
    }


def assignments(labels: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """Return the columns of assignments.parquet."""
    n = len(labels)
    return {
        "index": np.arange(n),
        "group": labels,
        "confidence": rng.beta(6, 1.5, n).astype(np.float32),
        "distance": rng.gamma(4, 0.1, n).astype(np.float32),
        "second": (labels + 1) % GROUPS,
        "silhouette": np.clip(rng.normal(0.3, 0.25, n), -1, 1).astype(np.float32),
    }


def group(k: int, mine: np.ndarray) -> dict[str, Any]:
    """Return one record of clusters.json."""
    ends = {"exemplars": mine[:12].tolist(), "borderline": mine[-12:].tolist()}
    return {"id": k, "name": f"group {k}", "size": len(mine), **ends, "quality": None, "nearest": (k + 1) % GROUPS}


def header(folder: Path, n: int) -> dict[str, Any]:
    """Return what run.json of such a job holds."""
    return {
        "method": "synthetic",
        "params": {"n_clusters": GROUPS},
        "source": {"spec": str(folder), "kind": "folder", "n": n, "fingerprint": "0"},
        "summary": {"suggested": {}, "warnings": []},
        "command": "benchmarks/gallery.py",
        "seconds": {},
        "warnings": [],
    }


# -- asking ------------------------------------------------------------------------------------------------------------


class Client:
    """One browser's worth of requests, over one connection that stays open."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._own = f"127.0.0.1:{parts.port}"
        self._connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=120)
        self._connection.request("GET", f"/?{parts.query}")
        answer = self._connection.getresponse()
        answer.read()
        self._cookie = str(answer.getheader("set-cookie")).partition(";")[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, path: str) -> bytes:
        """Return what is at `path`."""
        self._connection.request("GET", path, headers={"cookie": self._cookie})
        return self._answer(path)

    def post(self, path: str, body: Any) -> Any:
        """Send JSON, and return the JSON that is answered."""
        headers = {"cookie": self._cookie, "origin": f"http://{self._own}", "content-type": "application/json"}
        self._connection.request("POST", path, json.dumps(body), headers)
        return json.loads(self._answer(path))

    def last(self) -> int:
        """Return the number of the newest correction."""
        return int(json.loads(self.get("/api/state"))["last"])

    def _answer(self, path: str) -> bytes:
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {data[:200]!r}")
        return data


@contextmanager
def server(run: Path) -> Iterator[tuple[subprocess.Popen[str], str, float]]:
    """Yield `ilk gallery` as a process, its address, and the seconds until it printed it."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "ilk", "gallery", str(run), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        yield process, told["address"], time.perf_counter() - begin
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def memory(pid: int) -> dict[str, int]:
    """Return the resident memory of a process in MiB: now, the most so far, and what of it is not mapped files."""
    said = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) // 1024 for line in said if line.startswith(("Vm", "Rss"))}
    return {"now_mib": found["VmRSS"], "peak_mib": found["VmHWM"], "anonymous_mib": found["RssAnon"]}


def milliseconds(call: Callable[[], Any], times: int) -> dict[str, float]:
    """Return the median and the 19th of 20 of what a call takes, and the first."""
    found = [1000 * timed(call)[0] for _ in range(times)]
    ordered = sorted(found)
    return {
        "first_ms": round(found[0], 1),
        "median_ms": round(statistics.median(found), 1),
        "p95_ms": round(ordered[int(0.95 * (len(found) - 1))], 1),
    }


# -- what is measured --------------------------------------------------------------------------------------------------


def bars(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what a person waits for."""
    n = int(options.n)
    with tempfile.TemporaryDirectory(prefix="ilk-gallery-") as scratch:
        run = make(Path(scratch), n)
        with server(run) as (process, address, started), Client(address) as client:
            found: dict[str, Any] = {"n_images": n, "n_groups": GROUPS, "largest_group": int(LARGEST * n)}
            found["start_seconds"] = round(started, 2)
            first = ("/", "/api/run", "/api/state", "/api/rows?group=0&sort=central&stack=1")
            found["first_answers_seconds"] = round(timed(lambda: [client.get(path) for path in first])[0], 3)
            found["page"] = opened(address, options.frames)
            found["memory_opened"] = memory(process.pid)
            found["group"] = milliseconds(lambda: client.get("/api/rows?group=0&sort=central"), 10)
            found["group_bytes"] = len(client.get("/api/rows?group=0&sort=central"))
            found["thumb"] = milliseconds(lambda: client.get(f"/thumb/{random.randrange(n)}"), 200)
            found["neighbours"] = milliseconds(lambda: client.get(f"/api/image/{random.randrange(n)}"), 20)
            found["move_1"] = moves(client, n, 1)
            found["beside_regroup"] = beside(address, n)
            found["move_1000"] = moves(client, n, 1000)
            found["undo"] = milliseconds(lambda: client.post("/api/do", {"do": "undo", "last": client.last()}), 20)
            found["clients"] = together(address, n, options.clients)
            found["memory"] = memory(process.pid)
        found["load"] = round(os.getloadavg()[0], 1)
    return found


def moves(client: Client, n: int, count: int) -> dict[str, float]:
    """Move `count` images at a time, at random, between random groups."""
    rng, last = random.Random(count), client.last()

    def move() -> None:
        nonlocal last
        rows = rng.sample(range(n), min(count, n // 2))
        body = {"do": "move", "images": rows, "to": rng.randrange(GROUPS), "last": last}
        last = client.post("/api/do", body)["action"]["n"]

    return milliseconds(move, 50)


def together(address: str, n: int, count: int) -> dict[str, Any]:
    """Let many clients look at once: rows of a group, then 40 thumbnails each."""
    waited: list[float] = []
    wrong: list[str] = []

    def look(seed: int) -> None:
        rng = random.Random(seed)
        try:
            with Client(address) as client:
                client.get(f"/api/rows?group={rng.randrange(1, GROUPS)}")
                waited.extend(1000 * timed(lambda: client.get(f"/thumb/{rng.randrange(n)}"))[0] for _ in range(40))
        except (RuntimeError, OSError) as error:
            wrong.append(str(error))

    threads = [threading.Thread(target=look, args=(seed,)) for seed in range(count)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    ordered = sorted(waited)
    return {
        "clients": count,
        "errors": len(wrong),
        "seconds": round(seconds, 2),
        "thumbs_per_second": round(len(waited) / seconds),
        "p95_ms": round(ordered[int(0.95 * (len(ordered) - 1))], 1),
    }


def beside(address: str, n: int) -> dict[str, Any]:
    """Ask for thumbnails while the server groups again."""
    took: list[float] = []
    waited = []
    with Client(address) as client, Client(address) as slow:
        thread = threading.Thread(target=lambda: took.append(timed(lambda: slow.post("/api/regroup", {}))[0]))
        thread.start()
        while thread.is_alive():
            waited.append(1000 * timed(lambda: client.get(f"/thumb/{random.randrange(n)}"))[0])
        thread.join()
    ordered = sorted(waited)
    return {
        "regroup_seconds": round(took[0], 1),
        "thumbs": len(waited),
        "thumb_median_ms": round(statistics.median(waited), 1),
        "thumb_p95_ms": round(ordered[int(0.95 * (len(waited) - 1))], 1),
    }


SCROLL = """new Promise(done => {
  const grid = document.getElementById('grid'), times = []; let way = 1;
  const step = now => {
    times.push(now); const before = grid.scrollTop; grid.scrollTop += way * SPEED;
    if (grid.scrollTop === before) way = -way;
    if (times.length < FRAMES) requestAnimationFrame(step);
    else { const d = times.slice(1).map((t, i) => t - times[i]).sort((a, b) => a - b);
      done([1000 * d.length / (times[times.length - 1] - times[0]), d[Math.floor(d.length * 0.95)]]); } };
  requestAnimationFrame(step) })"""
SHOWN = "[...document.images].filter(i => i.src.includes('/thumb/') && i.complete && i.naturalWidth).length"


def opened(address: str, frames: int) -> dict[str, Any]:
    """Open the page in Chromium; return how soon pictures are there, and frames a second while it scrolls."""
    sys.path.insert(0, str(ROOT / "tests"))
    import browser

    if browser.find() is None:
        return {"browser": "none installed"}
    with browser.browser() as tab:
        tab.page, tab.loaded = address, False
        begin = time.perf_counter()
        tab.ask("Page.navigate", url=address)
        tab.wait(f"{SHOWN} > 20")
        seconds = time.perf_counter() - begin
        found = {"browser": tab.version, "pictures_seconds": round(seconds, 2)}
        for name, speed in (("reading", 40), ("fast", 400), ("flying", 20_000)):  # pixels a frame
            script = SCROLL.replace("SPEED", str(speed)).replace("FRAMES", str(frames))
            rate, late = tab.run(script)
            found |= {f"scroll_{name}_frames_per_second": round(rate, 1), f"scroll_{name}_p95_ms": round(late, 1)}
        found["console"] = tab.problems[:5]
    return found


def kills(options: argparse.Namespace) -> dict[str, Any]:
    """Kill the server at a random moment of a stream of moves, again and again; count what was lost."""
    lost = torn = answered = 0
    rng = random.Random(0)
    with tempfile.TemporaryDirectory(prefix="ilk-gallery-") as scratch:
        run = make(Path(scratch), int(options.images))
        for _ in range(options.trials):
            with server(run) as (process, address, _started), Client(address) as client:
                last = client.last()
                timer = threading.Timer(rng.uniform(0.05, 0.8), process.kill)
                timer.start()
                confirmed: dict[int, tuple[list[int], int]] = {}
                try:
                    while True:
                        rows, to = rng.sample(range(int(options.images)), 20), rng.randrange(GROUPS)
                        last = client.post("/api/do", {"do": "move", "images": rows, "to": to, "last": last})["action"][
                            "n"
                        ]
                        confirmed[last] = rows, to
                except (OSError, http.client.HTTPException):
                    timer.join()
            corrections = ilk.load_run(run).corrections
            there = {action.n: action for action, _ in corrections.actions()}
            keys = corrections.keys()
            for number, (rows, to) in confirmed.items():
                action = there.get(number)
                whole = action is not None and action.arguments == {"images": [keys[row] for row in rows], "to": to}
                lost += not whole
            answered += len(confirmed)
            torn += any("cut off" in note for note in corrections.notes())
    return {"trials": options.trials, "confirmed": answered, "lost": lost, "torn_lines": torn}


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("bars")
    one.add_argument("n", type=int)
    one.add_argument("--clients", type=int, default=50)
    one.add_argument("--frames", type=int, default=300)
    one.set_defaults(measure=bars)
    two = commands.add_parser("kills")
    two.add_argument("trials", type=int)
    two.add_argument("--images", type=int, default=2000)
    two.set_defaults(measure=kills)
    options = parser.parse_args()
    print(json.dumps(options.measure(options)))


if __name__ == "__main__":
    main()
