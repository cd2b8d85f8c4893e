"""Rows of the page of results on single methods, from the committed results; `table.py` puts them together."""

from __future__ import annotations

import statistics
from typing import Any

from rows import RESULTS, Row, load, mean, read, scores, short


def cells(recipe: str, *words: str) -> list[dict[str, Any]]:
    """Return the results of one row of an `ilk bench` recipe, by seed: those whose file is named after `words`."""
    start = "-".join(words) + "-"
    found = [path for path in sorted((RESULTS / recipe).glob("*.json")) if path.stem.rpartition("-")[0] + "-" == start]
    return [read(path) for path in found]


def hardware(runs: list[dict[str, Any]]) -> str:
    """Return the processor or GPU that did the work."""
    return str(runs[-1]["hardware"].split(" beside ")[0].split(",")[0])


def dac_rows() -> list[Row]:
    """Rows on deep adaptive clustering: is what it trains better than what it starts from."""
    rows: list[Row] = []
    small, chance = cells("dac", "digits", "dac", "small"), cells("dac", "digits", "dac", "small", "random")
    pixels = cells("dac", "digits", "transfer", "kmeans")
    if small and len(small) == len(chance) == len(pixels):
        pairs = zip(small, chance, pixels, strict=True)
        above = [a["scores"]["acc"] > c["scores"]["acc"] > b["scores"]["acc"] for a, b, c in pairs]
        longest = max(run["seconds"]["total"] for run in small)
        text = f"ACC {scores(small, 'acc')}; pairs at random {scores(chance, 'acc')}; K-means {scores(pixels, 'acc')}"
        what = "`-m dac`, 1,797 digits from scratch (small), seeds 0 to 2"
        goal = "above K-means on pixels, pairs at random below, 3 of 3; < 2 minutes"
        fine = all(above) and longest < 120
        rows.append(Row(what, goal, f"{text}; {longest:.0f} s at most", fine, "dac"))
    return rows + robust_rows()


def robust_rows() -> list[Row]:
    """Rows on DAC as it is by itself, from the groups of the default pipeline: goals, and its start beside it."""
    rows: list[Row] = []
    for data, what, least in (
        ("mnist", "MNIST, 70,000 images", 0.97),
        ("usps", "USPS, 9,298 images", None),
        ("digits", "1,797 digits", 0.9),
    ):
        found, start = cells("dac", data, "dac", "robust"), cells("dac", data, "transfer")
        if len(found) < 5 or (least is None and len(start) < len(found)):
            continue
        bars = [least] * len(found) if least is not None else [run["scores"]["acc"] for run in start]
        goal = f"ACC ≥ {short(least)} on 5 of 5 seeds" if least is not None else "at least its start on 5 of 5 seeds"
        text = f"ACC {scores(found, 'acc')}" + ("" if least is not None else f"; default {scores(start, 'acc')}")
        fine = all(run["scores"]["acc"] >= bar for run, bar in zip(found, bars, strict=True))
        rows.append(Row(f"`-m dac`, {what}, seeds 0 to 4", goal, text, fine, "dac"))
    return rows


def step_rows() -> list[Row]:
    """Rows on the speed of trainings, beside those of others."""
    rows: list[Row] = []
    if found := load("dac_port"):
        r = found[0]
        text = f"{r['ratio']:.1f} × with the port's augmentation, {r['ratio_without_alteration']:.1f} × without any"
        what = f"`-m dac`: training step ({r['precision']}) against a plain PyTorch port"
        fine = min(r["ratio"], r["ratio_without_alteration"]) >= 2
        rows.append(Row(what, "≥ 2 ×", text, fine, "dac_port"))
    if found := load("dec_speed"):
        ratio = found[0]["ratio"]
        text = f"autoencoder {ratio['autoencoder']:.2f} ×, clustering steps {ratio['clustering_steps']:.2f} ×, "
        text += f"with our target over all images {ratio['clustering']:.2f} ×"
        what = f"`-m dec` ({found[0]['precision']}): images/s against ClustPy's DEC"
        rows.append(Row(what, "≥ 1.5 ×", text, min(ratio.values()) >= 1.5, "dec_speed"))
    return rows + clustering_phase_rows()


def reproduced_rows() -> list[Row]:
    """Rows on DAC as published and as mostly copied, on all of MNIST."""
    rows: list[Row] = []
    if star := cells("dac", "mnist", "dac", "released_star", "shuffled"):
        text = f"ACC {scores(star, 'acc')} ({hardware(star)})"
        fine = sum(run["scores"]["acc"] >= 0.97 for run in star) >= 3
        what = "`-m dac --set preset=released_star --set order=shuffled`, MNIST, 70,000 images, seeds 0 to 4"
        rows.append(Row(what, "ACC ≥ .97 on 3 of 5 seeds", text, fine, "dac"))
    if seed := cells("dac", "mnist", "dac", "keras_port"):
        text = f"ACC {scores(seed, 'acc')} ({hardware(seed)})"
        fine = statistics.median(run["scores"]["acc"] for run in seed) >= 0.965
        what = "`-m dac --set preset=keras_port`, MNIST, 70,000 images, seeds 0 to 2"
        rows.append(Row(what, "median about .97, as a repetition of it has", text, fine, "dac"))
    return rows


def scan_rows() -> list[Row]:
    """Rows on SCAN."""
    rows: list[Row] = []
    heads, plain, layout = (cells("scan", "clothing500", *name) for name in SCAN_ROWS)
    if heads and plain and layout:
        text = f"ACC {short(mean(heads))}; K-means {short(mean(plain))}, UMAP + mixture {short(mean(layout))}"
        what = "`-m scan`, 500 photos of clothes, MobileNetV2, heads, mean of 5 seeds"
        rows.append(Row(what, "above K-means on the same features", text, mean(heads) > mean(plain), "scan"))
    for data, what in (("mnist", "MNIST"), ("fashion", "Fashion-MNIST")):
        small, lot = cells("scan", data, "scan", "small"), cells("scan", data, "scan", "small", "random")
        pixels = cells("scan", data, "transfer", "kmeans")
        if len(small) == len(lot) == len(pixels) == 3:
            pairs = zip(small, lot, pixels, strict=True)
            apart = all(a["scores"]["acc"] > c["scores"]["acc"] > b["scores"]["acc"] for a, b, c in pairs)
            minutes = max(run["seconds"]["total"] for run in small) / 60
            figures = [scores(runs, "acc") for runs in (small, lot, pixels)]
            text = f"ACC {figures[0]}; at random {figures[1]}; K-means {figures[2]}; {minutes:.1f} minutes at most"
            goal = "above K-means on pixels, with neighbours at random below, < 10 minutes"
            what = f"`-m scan` from scratch, 10,000 of {what}, seeds 0 to 2"
            rows.append(Row(what, goal, text, apart and minutes < 10, "scan"))
    return rows


SCAN_ROWS = (("scan", "frozen"), ("transfer", "kmeans"), ("transfer", "default"))


def deepcluster_rows() -> list[Row]:
    """Rows on DeepCluster and its probes."""
    rows: list[Row] = []
    for r in load("deepcluster"):
        if r["n_images"] != 10_000 or "above_pixels" not in r:
            continue
        ours, pixels = (scores(list(r["rows"][name].values()), "acc") for name in ("all", "pixels"))
        what = "`-m deepcluster`, 10,000 of Fashion-MNIST, 100 clusters to 10 groups, 5 epochs, seeds 0 to 2"
        text = f"ACC {ours}; K-means {pixels}"
        rows.append(Row(what, "above K-means on pixels", text, all(r["above_pixels"]), "deepcluster"))
        means, without = r["means"], ("first clustering for ever", "one head")
        if all(name in means for name in without):
            parts = [
                f"{key.upper()} {short(means['all'][key])} against "
                + " and ".join(short(means[name][key]) for name in without)
                for key in ("nmi", "ari", "acc")
            ]
            fine = all(means["all"][key] > means[name][key] for key in ("nmi", "ari", "acc") for name in without)
            what = "`-m deepcluster` with its first clustering for ever, with one head: means"
            rows.append(Row(what, "both lower", ", ".join(parts), fine, "deepcluster"))
    return rows + probe_rows()


def probe_rows() -> list[Row]:
    """Rows on what the layers of DeepCluster know."""
    rows: list[Row] = []
    for r in load("probes"):
        pairs = zip(r["layers"], r["trained"], r["random"], strict=True)
        text = ", ".join(f"{name} {short(a['mean'])} ({short(b['mean'])})" for name, a, b in pairs)
        epochs, n = r.get("trained_epochs", r["settings"].get("epochs")), r.get("trained_on", r["probes"][0]["n_train"])
        net = ", AlexNet" if r["preset"] == "paper_alexnet" else ""
        what = f"`-m deepcluster`, `ilk probe` after {epochs} epochs on {n:,} of CIFAR-10{net}, trained (random)"
        asked = [name for name in ("conv3", "conv4", "conv5") if name in r["layers"]]
        goal = "trained above random at " + ", ".join(asked)
        rows.append(Row(what, goal, text, all(all(r["trained_above_random"][name]) for name in asked), "probes"))
    return rows


def clustering_phase_rows() -> list[Row]:
    """Rows on components, whitening and K-means of many long features."""
    rows: list[Row] = []
    for r in load("clustering_phase"):
        if "ratio" not in r["against_faiss"]:
            continue
        ratio, peak = r["against_faiss"]["ratio"], r["peak_gib"]
        what = f"`-m deepcluster`: clustering phase, {r['n']:,} × {r['d']:,} to {r['components']}, K = {r['k']:,}"
        text = f"{ratio:.2f} × faiss's time, {peak:.1f} GiB"
        rows.append(Row(what, "≤ 1.1 ×, ≤ 4 GiB", text, ratio <= 1.1 and peak <= 4, "clustering_phase"))
        with_n, with_k = r["growth_with_n"]["total"], r["growth_with_k"]
        grown = f"n to the {with_n:.2f}, K to the {with_k:.2f}"
        what = "`-m deepcluster`: growth of the clustering phase, three sizes each"
        rows.append(Row(what, "at most linear", grown, max(with_n, with_k) <= 1.1, "clustering_phase"))
    return rows


# method and preset, goal in words, least and greatest ACC, seconds of the whole command
BASELINES: tuple[tuple[str, str, float, float, float | None], ...] = (
    ("kmeans", "ACC .53 to .58", 0.53, 0.58, None),
    ("spectral", "ACC ≥ .69", 0.69, 1.0, None),
    ("autoencoder", "ACC ≥ .80", 0.80, 1.0, None),
    ("autoencoder long", "ACC ≥ .80", 0.80, 1.0, None),
    ("dec", "ACC ≥ .84", 0.84, 1.0, None),
    ("dec long", "ACC ≥ .84", 0.84, 1.0, None),
    ("jule", "ACC ≥ .96", 0.96, 1.0, None),
    ("umap_gmm", "ACC ≥ .97, < 100 s", 0.97, 1.0, 100.0),
)


def baseline_rows() -> list[Row]:
    """Rows on the baselines that have a goal on MNIST."""
    rows: list[Row] = []
    for named, goal, least, highest, most in BASELINES:
        method, *preset = named.split()
        if found := cells("table2", "mnist", method, *preset):
            accs = [r["scores"]["acc"] for r in found]
            first = found[0]["seconds"]  # ran alone, the others beside another training
            fine = least <= min(accs) and max(accs) <= highest and (most is None or first["total"] < most)
            text = f"ACC {scores(found, 'acc')}"
            if most is not None:
                text += f", {first['total']:.0f} s alone, {first['report']:.0f} s of it the report"
            option = " --set preset=" + preset[0] if preset else ""
            what = f"`-m {method}{option}`, MNIST, 70,000 images"
            rows.append(Row(what, goal, text, fine, "table2"))
    seeds = [r for r in load("table2") if r["data"] == "mnist" and r["seed"] == 0 and not r["preset"]]
    seeds = [r for r in seeds if r["method"] not in ("umap_gmm", "random")]
    peaks = [r["peak_rss_mib"] / 1024 for r in load("table2") if r["n_images"] == 70_000 and r.get("peak_rss_mib")]
    minutes = sum(r["seconds"]["total"] for r in seeds) / 60
    text = f"{len(seeds)} of 13 rows, {minutes:.0f} minutes, {max(peaks):.1f} GiB at most"
    fine = len(seeds) == 13 and minutes <= 75 and max(peaks) < 12
    rows.append(Row("One seed of all thirteen of the table below", "≤ 75 minutes, < 12 GiB", text, fine, "table2"))
    return rows
