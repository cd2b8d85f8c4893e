"""Make small runs with the code as it is, for later code to open.

    python tests/runs_of_before/make.py NAME        writes tests/runs_of_before/NAME.tar.xz

Each archive holds ``photos/`` (two duplicates and a broken file among them), ``new/``, ``runs/`` and
``expected.json``: what the code that made the runs said of them. What can be made again is left out. An archive is
never made anew: it stands for the runs that people have. Another format gets another archive.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import ilk

HERE = Path(__file__).parent
SIDE, KINDS, SEED = 12, 3, 0
JOBS: dict[str, dict[str, Any]] = {
    "transfer": {"method": "transfer", "n_clusters": "auto", "encoder": "pixels", "preset": "tiny"},
    "dac": {"method": "dac", "n_clusters": 3, "preset": "tiny"},
    "scan": {"method": "scan", "n_clusters": 3, "preset": "tiny"},
    "deepcluster": {"method": "deepcluster", "n_clusters": 3, "preset": "tiny"},
    "dec": {"method": "dec", "n_clusters": 3, "preset": "tiny"},
    "kmeans": {"method": "kmeans", "n_clusters": 3},
}


def write_images(folder: Path, n: int, seed: int) -> None:
    """Write `n` images of 3 patterns under noise, of 16 grey levels: ``<pattern>_<number>.png``."""
    patterns = np.random.default_rng(5).integers(0, 256, (KINDS, SIDE // 4, SIDE // 4, 3)).repeat(4, 1).repeat(4, 2)
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for i in range(n):
        noise = rng.normal(0, 12, (SIDE, SIDE, 3))
        pixels = np.clip(patterns[i % KINDS] + noise, 0, 255) // 16 * 16
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i % KINDS}_{i:03}.png", optimize=True)


def expected(run: Any) -> dict[str, Any]:
    """Return what is held against later code: groups of the run's images and of new ones."""
    paths = [str(path) for path in sorted(Path("new").iterdir())]
    found = ilk.predict(run, "new")
    return {
        "labels": run.labels().tolist(),
        "predicted": [int(group) for group in found.group],
        "confidence": [round(float(one), 3) for one in found.confidence],
        "model": [int(group) for group in run.model().predict(paths)],
        "n_clusters": run.header["summary"]["n_clusters"],
    }


def make(name: str) -> None:
    """Make the runs, and pack them."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            write_images(Path("photos"), 48, SEED)
            for copy, original in (("copy.png", "0_000.png"), ("once more.png", "1_001.png")):
                shutil.copyfile(Path("photos", original), Path("photos", copy))
            Path("photos", "broken.png").write_bytes(b"no image")
            write_images(Path("new"), 12, SEED + 1)
            told = {}
            for run_name, options in JOBS.items():
                options = {**options, "device": "cpu", "precision": "fp32", "random_state": SEED, "cache": None}
                options = {key: value for key, value in options.items() if key != "method"}
                run = ilk.cluster("photos", f"runs/{run_name}", method=JOBS[run_name]["method"], options=options)
                told[run_name] = expected(run)
                header = (run.path / "run.json").read_text()
                (run.path / "run.json").write_text(header.replace(str(Path("photos").resolve()), "photos"))
                (run.path / "report.html").unlink()
                shutil.rmtree(run.path / "plots", ignore_errors=True)
                if run_name != "dac":  # the figures of one method will do
                    (run.path / "figures.json").unlink(missing_ok=True)
                    (run.path / "figures.safetensors").unlink(missing_ok=True)
            Path("expected.json").write_text(json.dumps(told))
            with tarfile.open(HERE / f"{name}.tar.xz", "w:xz", preset=9) as archive:
                for one in ("expected.json", "photos", "new", "runs"):
                    archive.add(one)
        finally:
            os.chdir(here)


if __name__ == "__main__":
    make(sys.argv[1])
