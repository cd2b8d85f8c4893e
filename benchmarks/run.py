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

from ilk.bench.results import hardware

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DATA = os.environ.get("ILK_DATA", "../shared/data")
FASHION = f"{DATA}/fashion_mnist.npz"
KEEP = "--keep benchmarks/runs/ablation"  # so that a killed run goes on
WEIGHTS = f"{DATA}/mobilenetv2_100_imagenet1k_supervised_fp16.safetensors"
MOBILENET = f"--encoder mobilenetv2_100 --weights {WEIGHTS}"
PACKAGES = ("torch", "timm", "openvino", "numpy", "scipy", "scikit-learn", "umap-learn", "Pillow", "faiss-cpu")

# recipe -> {result file: command}; ilk's own commands get a run folder and --json added
RECIPES: dict[str, dict[str, str]] = {
    "demo": {f"digits-transfer-{s}": f"ilk cluster ilk-demo/digits -k 10 --labels prefix --seed {s}" for s in range(3)},
    "help": {"help": "python benchmarks/start.py"},
    "second_run": {"second_run": "python benchmarks/second_run.py"},
    "mnist": {f"mnist-transfer-{s}": f"ilk cluster {DATA}/mnist.npz -k 10 --seed {s}" for s in range(3)},
    "clothing500": {
        f"clothing500-{name}-{s}": f"ilk cluster {DATA}/clothing500.tar {encoder} -k 10 --labels folder --seed {s}"
        for name, encoder in (("auto", ""), ("fast", "--encoder fast"), ("mobilenet", MOBILENET))
        for s in range(3)
    },
    "order": {"order": f"python benchmarks/order.py {DATA}/clothing500.tar"},
    "fashion": {f"fashion-transfer-{s}": f"ilk cluster {DATA}/fashion_mnist.npz -k 10 --seed {s}" for s in range(3)},
    "encoding": {
        "fast": f"python benchmarks/encoding.py --photos {DATA}/clothing500.tar --model fast",
        "balanced": f"python benchmarks/encoding.py --photos {DATA}/clothing500.tar --model balanced",
        "encoding": f"python benchmarks/encoding.py --photos {DATA}/clothing500.tar --model mobilenetv2_100 "
        f"--weights {WEIGHTS}",
    },
    "kmeans": {"kmeans": "python benchmarks/kmeans.py"},
    "deepcluster": {
        "digits-ablation": f"python benchmarks/deepcluster_ablation.py digits --epochs 6 {KEEP} --set image_size=16 "
        "--set batch_size=64 --set flip=false --set n_fine=100",
        "fashion-ablation": f"python benchmarks/deepcluster_ablation.py {FASHION} --epochs 5 {KEEP}",
    },
    "clustering_phase": {
        "clustering_phase": "python benchmarks/clustering_phase.py",
        "clustering_phase-small": "python benchmarks/clustering_phase.py --n 40000 --d 512 --k 400",
    },
    "dec_speed": {"dec_speed": f"python benchmarks/dec_speed.py {DATA}/mnist.npz --rounds 2"},
    "scan_compile": {
        "small": "python benchmarks/scan_compile.py --networks small",
        "resnet18": "python benchmarks/scan_compile.py --networks resnet18 --batch 16 --turns 5 --steps 2",
    },
    "probes": {
        "cifar10-small": "python benchmarks/probes.py --preset small --set epochs=30 --no-supervised "
        "--keep benchmarks/runs/probes",
        "cifar10-small-20000": "python benchmarks/probes.py --preset small --set epochs=20 --train 20000 "
        "--no-supervised --keep benchmarks/runs/probes",
        "cifar10-alexnet": "python benchmarks/probes.py --preset paper_alexnet --set epochs=10 --set n_fine=500 "
        "--set precision=bf16 --seeds 0 --no-supervised --keep benchmarks/runs/probes",
    },
    "kill_trials": {"kill_trials": "python benchmarks/kill_trials.py"},
    "kscan": {"kscan": f"python benchmarks/kscan.py {DATA}/clothing500.tar {WEIGHTS} {DATA}/mnist.npz"},
    "natural_k": {"natural_k": f"python benchmarks/natural_k.py {DATA} --sets ../sets"},
    "words": {"words": f"python benchmarks/words.py {DATA} --folder benchmarks/runs/words"},
    "bad_inputs": {"bad_inputs": f"python benchmarks/bad_inputs.py {DATA}/bad_inputs.tar"},
    "seeds": {"seeds": f"python benchmarks/seeds.py {DATA}/clothing500.tar {WEIGHTS}"},
    "seed_experiment": {"seed_experiment": f"python benchmarks/seed_experiment.py {DATA}/clothing500.tar {WEIGHTS}"},
    "kills": {"kills": f"python benchmarks/kills.py {DATA}/clothing500.tar {WEIGHTS}"},
    "first": {"first": f"python benchmarks/first.py {DATA}/clothing500.tar {WEIGHTS}"},
    "predict": {"predict": f"python benchmarks/predict.py {WEIGHTS}"},
    "one_image": {"one_image": f"python benchmarks/one_image.py {DATA}/clothing500.tar {WEIGHTS}"},
    "heldout": {"heldout-0": f"python benchmarks/heldout.py {DATA}/mnist.npz"},
    "unknown": {"unknown": f"python benchmarks/unknown.py {DATA}/mnist.npz {DATA}/fashion_mnist.npz"},
    "report": {"report-100000": "python benchmarks/report.py 100000"},
    "export": {"export": "python benchmarks/export.py 100000"},
    "dac_small": {"dac_small": "python benchmarks/dac_small.py"},
    "dac_curve": {"mnist-0": "python benchmarks/dac_curve.py benchmarks/runs/dac/mnist-dac-released_star-0-59dd01c3"},
    "dac_port": {"dac_port": "python benchmarks/dac_port.py"},
    "dac_drift": {"dac_drift": "python benchmarks/dac_drift.py"},
    "dac_graph": {"dac_graph": "python benchmarks/dac_graph.py"},
    "dac_precision": {"dac_precision": "python benchmarks/dac_precision.py"},
    "scale": {f"scale-{n}": f"python benchmarks/scale.py {n} {WEIGHTS}" for n in (10_000, 100_000)},
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
    record = _as_result(figures, name) if "method" in figures else {"recipe": recipe, **figures}
    return {
        **record,
        "wall_seconds": round(wall, 2),
        "peak_rss_mib": figures.get("peak_rss_mib", round(peak)),
        "device": "cpu",
        "hardware": hardware(),
        "versions": versions(),
        "commit": commit(),
        "command": command,
    }


def _as_result(summary: dict[str, Any], name: str) -> dict[str, Any]:
    """Bring the JSON of ``ilk cluster`` into the form of a benchmark result."""
    data, method, seed = name.rsplit("-", 2)
    kept = (
        "encoder",
        "n_images",
        "n_unreadable",
        "n_duplicates",
        "n_clusters",
        "scores",
        "seconds",
        "images_per_second",
    )
    return {
        "data": data,
        "method": method,
        "preset": None,
        "seed": int(seed),
        "fit_on": "all images",
        "score_on": "all images",
        "epochs": None,
        "budget": None,
        **{key: summary[key] for key in kept},
        "images_per_second": summary["images_per_second"],
        "warnings": summary["warnings"],
    }


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


def main() -> None:
    """Run the recipes named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", help="names of recipes, short, or all")
    parser.add_argument("--again", action="store_true", help="measure anew what is there already")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
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
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
            print(f"    {record['wall_seconds']} s, {json.dumps(record.get('scores') or '')}", flush=True)


if __name__ == "__main__":
    main()
