"""Run a benchmark recipe and keep its figures with their command, commit, versions and hardware.

    python benchmarks/run.py --list
    python benchmarks/run.py mnist encoding …      (or: short, all)

A figure that is there already is kept unless --again is given, so an interrupted run of this script goes on where it
stopped. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from ilk.bench.results import framed, hardware

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DATA = os.environ.get("ILK_DATA", "../shared/data")
WEIGHTS = f"{DATA}/mobilenetv2_100_imagenet1k_supervised_fp16.safetensors"
MOBILENET = f"--encoder mobilenetv2_100 --weights {WEIGHTS}"
PACKAGES = ("torch", "timm", "openvino", "numpy", "scipy", "scikit-learn", "umap-learn", "Pillow", "faiss-cpu")

SYSTEM, ENGINE, TRAINING, PLACING = (
    f"python benchmarks/{name}.py" for name in ("system", "engine", "training", "placing")
)
PROBES = "python benchmarks/probes.py --no-supervised --keep benchmarks/runs/probes"
PHOTOS = f"{DATA}/clothing500.tar"
PHOTO_SETS = ("clothing500", "groceries", "flowers", "animals8", "vehicles5", "pets3")  # folders of kinds

# recipe -> {result file: command}; ilk's own commands get a run folder and --json added
RECIPES: dict[str, dict[str, str]] = {
    "demo": {f"digits-transfer-{s}": f"ilk cluster ilk-demo/digits -k 10 --labels prefix --seed {s}" for s in range(3)},
    "mnist": {f"mnist-transfer-{s}": f"ilk cluster {DATA}/mnist.npz -k 10 --seed {s}" for s in range(3)},
    "fashion": {f"fashion-transfer-{s}": f"ilk cluster {DATA}/fashion_mnist.npz -k 10 --seed {s}" for s in range(3)},
    "clothing500": {
        f"clothing500-{name}-{s}": f"ilk cluster {PHOTOS} {encoder} -k 10 --labels folder --seed {s}"
        for name, encoder in (("auto", ""), ("fast", "--encoder fast"), ("mobilenet", MOBILENET))
        for s in range(3)
    },
    "help": {"help": f"{SYSTEM} start"},
    "second_run": {"second_run": f"{SYSTEM} second-run"},
    "order": {"order": f"{SYSTEM} order {PHOTOS}"},
    "bad_inputs": {"bad_inputs": f"{SYSTEM} decode {DATA}/bad_inputs.tar"},
    "encoding": {
        "fast": f"{SYSTEM} encode {PHOTOS} --model fast",
        "balanced": f"{SYSTEM} encode {PHOTOS} --model balanced",
        "encoding": f"{SYSTEM} encode {PHOTOS} --model mobilenetv2_100 --weights {WEIGHTS}",
    },
    "convention": {"convention-153": f"python benchmarks/convention.py {' '.join(f'../sets/{s}' for s in PHOTO_SETS)}"},
    "latency": {"latency": f"python benchmarks/latency.py {PHOTOS}"},
    "one_image": {"one_image": f"{SYSTEM} one-image {PHOTOS} {WEIGHTS}"},
    "predict": {"predict": f"{SYSTEM} predict {WEIGHTS}"},
    "first": {"first": f"{SYSTEM} first {PHOTOS} {WEIGHTS}"},
    "scale": {f"scale-{n}": f"{SYSTEM} memory {n} {WEIGHTS}" for n in (10_000, 100_000)},
    "report": {
        "report-100000": f"{SYSTEM} report 100000",
        "report-1000000": f"{SYSTEM} report 1000000 --dimensions 384 --distinct 2048",
    },
    "reads": {"reads-4000": f"{SYSTEM} kill 4000"},
    "shards": {"shards-1000": f"{SYSTEM} shards 1000"},
    "small_images": {  # ../before: a checkout of fe109cb
        "small_images-10000": f"{SYSTEM} small-images 10000 --before ../before",
        "small_images-100000": f"{SYSTEM} small-images 100000 --rounds 1 --before ../before --groups 50",
    },
    "ray": {
        "ray": "python benchmarks/ray_engine.py overhead 8192 4096 fast",
        "ray-kmeans": "python benchmarks/ray_engine.py kmeans 1000000 50 50 --iterations 10",
    },
    "export": {"export": f"{SYSTEM} export 100000"},
    "kills": {"kills": f"{SYSTEM} resume-encoding {PHOTOS} {WEIGHTS}"},
    "kill_trials": {"kill_trials": f"{SYSTEM} resume-training"},
    "gallery": {
        "bars": "python benchmarks/gallery.py bars 100000",
        "kills": "python benchmarks/gallery.py kills 100",
    },
    "kmeans": {"kmeans": f"{ENGINE} kmeans"},
    "clustering_phase": {
        "clustering_phase": f"{ENGINE} phase",
        "clustering_phase-small": f"{ENGINE} phase --n 40000 --d 512 --k 400",
    },
    "kscan": {"kscan": f"{ENGINE} kscan {PHOTOS} {WEIGHTS} {DATA}/mnist.npz"},
    "dac_port": {"dac_port": f"{TRAINING} dac-port"},
    "dac_graph": {"dac_graph": f"{TRAINING} graphs"},
    "dec_speed": {"dec_speed": f"{TRAINING} dec {DATA}/mnist.npz"},
    "heldout": {"heldout-0": f"{PLACING} heldout {DATA}/mnist.npz"},
    "unknown": {"unknown": f"{PLACING} unknown {DATA}/mnist.npz {DATA}/fashion_mnist.npz"},
    "natural_k": {"natural_k": f"python benchmarks/natural_k.py {DATA} --sets ../sets"},
    "corrections": {"corrections": f"python benchmarks/corrections.py {DATA}"},
    "words": {"words": f"python benchmarks/words.py {DATA} --folder benchmarks/runs/words"},
    "probes": {
        "cifar10-small": f"{PROBES} --preset small --set epochs=30",
        "cifar10-small-20000": f"{PROBES} --preset small --set epochs=20 --train 20000",
        "cifar10-alexnet": f"{PROBES} --preset paper_alexnet --set epochs=10 --set n_fine=500 --set precision=bf16 "
        "--seeds 0",
    },
    "dac_curve": {"mnist-0": "python benchmarks/dac_curve.py benchmarks/runs/dac/mnist-dac-released_star-0-59dd01c3"},
}
SHORT = ["demo", "help", "clothing500", "kmeans", "bad_inputs"]


def run(recipe: str, name: str, command: str) -> dict[str, Any]:
    """Run one command and return its record."""
    words = shlex.split(command)
    with tempfile.TemporaryDirectory(prefix="ilk-bench-") as scratch:
        if words[0] == "ilk":
            extra = ["--json", "-o", f"{scratch}/run"]
            words = [sys.executable, "-m", "ilk", *words[1:], *extra]
        else:
            words[0] = sys.executable
        start = time.perf_counter()
        done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        wall = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{command}\nended with exit code {done.returncode}")
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    record = _as_result(figures, name) if "warnings" in figures else figures
    flat = {
        **record,
        "wall_seconds": round(wall, 2),
        "peak_rss_mib": figures.get("peak_rss_mib", round(peak)),
        "device": "cpu",
        "hardware": hardware(),
        "versions": versions(),
        "commit": commit(),
        "command": command,
    }
    return framed(flat, f"{recipe}/{name}")


def _as_result(summary: dict[str, Any], name: str) -> dict[str, Any]:
    """Bring the JSON of ``ilk cluster`` into the form of a benchmark result."""
    data, method, seed = name.rsplit("-", 2)
    kept = ("encoder", "n_images", "n_unreadable", "n_duplicates", "n_clusters", "scores", "seconds")
    fixed = {"preset": None, "fit_on": "all images", "score_on": "all images", "epochs": None, "budget": None}
    found = {key: summary[key] for key in (*kept, "images_per_second", "warnings")}
    return {"data": data, "method": method, "seed": int(seed), **fixed, **found}


def versions() -> dict[str, str]:
    """Return the versions of Python and of what the figures depend on."""
    found = {"python": platform.python_version()}
    for package in ("ilk", *PACKAGES):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Return the short commit, with a plus sign where the tree differs from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    dirty = subprocess.run([*git, "status", "--porcelain", "src"], capture_output=True, text=True).stdout.strip()
    return head + ("+" if dirty else "")


def convert() -> None:
    """Bring results of the flat form of before into the one format; their date is that of their last commit."""
    for path in sorted(RESULTS.rglob("*.json")):
        record = json.loads(path.read_text("utf-8"))
        if "values" in record:
            continue
        log = subprocess.run(
            ["git", "-C", str(ROOT), "log", "-1", "--format=%as", "--", str(path)], capture_output=True, text=True
        )
        if record.get("hardware") is None:
            record["hardware"] = f"{record['cores']} cores" if "cores" in record else "not recorded"
        found = framed(record, f"{path.parent.name}/{path.stem}", log.stdout.strip() or None)
        if not found["seeds"] and path.parent.name == "dac_curve":
            found["seeds"] = [int(path.stem.rpartition("-")[2])]
        elif not found["seeds"] and "above_pixels" in record:
            found["seeds"] = sorted(map(int, record["rows"]["all"]))
        write(path, found)


def write(target: Path, record: dict[str, Any]) -> None:
    """Keep a result."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")


def main() -> None:
    """Run the recipes named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", help="names of recipes, short, or all")
    parser.add_argument("--again", action="store_true", help="measure anew what is there already")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--convert", action="store_true", help="bring flat results of before into the one format")
    options = parser.parse_args()
    if options.convert:
        convert()
        return
    if options.list or not options.recipes:
        for recipe, commands in RECIPES.items():
            print(recipe, *commands.values(), sep="\n    ")
        return
    names = {"short": SHORT, "all": list(RECIPES)}.get(options.recipes[0], options.recipes)
    if unknown := sorted(set(names) - set(RECIPES)):
        parser.error(f"no such recipe: {', '.join(unknown)}; --list shows them")
    for recipe in names:
        for name, command in RECIPES[recipe].items():
            target = RESULTS / recipe / f"{name}.json"
            if target.exists() and not options.again:
                print(f"{recipe}/{name}: there already")
                continue
            print(f"{recipe}/{name}: {command}", flush=True)
            record = run(recipe, name, command)
            write(target, record)
            measured = record["values"]
            print(f"    {measured['wall_seconds']} s, {json.dumps(measured.get('scores') or '')}", flush=True)


if __name__ == "__main__":
    main()
