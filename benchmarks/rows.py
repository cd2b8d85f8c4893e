"""Rows of the page of results on what any run does, from the committed results; `method_rows.py` has the methods."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from ilk.bench.results import flat

RESULTS = Path(__file__).resolve().parent / "results"


class Row(NamedTuple):
    """One line: what was measured, what it had to reach, what it reached, whether; which folder of results has it."""

    what: str
    goal: str
    measured: str
    fine: bool
    source: str


def load(recipe: str) -> list[dict[str, Any]]:
    """Return the committed results of `recipe`, in the order of their names."""
    return [read(path) for path in sorted((RESULTS / recipe).glob("*.json"))]


def read(path: Path) -> dict[str, Any]:
    """Return one result, what was measured and what it says of itself on one level."""
    return flat(json.loads(path.read_text("utf-8")))


def short(value: float) -> str:
    """Return three digits: .977."""
    return f"{value:.3f}".lstrip("0")


def scores(runs: list[dict[str, Any]], name: str) -> str:
    """Return the scores of all seeds: .977 .976 .977."""
    return " ".join(short(run["scores"][name]) for run in runs)


def mean(runs: list[dict[str, Any]], name: str = "acc") -> float:
    """Return the mean of a score."""
    return float(sum(run["scores"][name] for run in runs) / len(runs))


def default_rows() -> list[Row]:
    """Rows on the quality of the groups without any option but the number of groups, all seeds shown."""
    rows: list[Row] = []
    if demo := load("demo"):
        wall, least = demo[0]["wall_seconds"], min(r["scores"]["acc"] for r in demo)
        text = f"{wall:.0f} s, ACC {scores(demo, 'acc')}"
        what = "Digits of scikit-learn (`make demo`, after set-up), 1,797 images, K = 10"
        rows.append(Row(what, "< 60 s, ACC ≥ .95", text, wall < 60 and least >= 0.95, "demo"))
    if mnist := load("mnist"):
        slowest, peak = max(r["wall_seconds"] for r in mnist), max(r["peak_rss_mib"] for r in mnist)
        fine = mean(mnist) >= 0.98 and min(r["scores"]["acc"] for r in mnist) >= 0.97
        seconds = " ".join(f"{r['wall_seconds']:.0f}" for r in mnist)
        text = f"ACC {scores(mnist, 'acc')}, NMI {scores(mnist, 'nmi')}, {seconds} s, {peak / 1024:.1f} GiB"
        goal = "mean ACC ≥ .98, none below .97, ≤ 90 s, < 3 GiB"
        fine = fine and slowest <= 90 and peak < 3072
        rows.append(Row("MNIST, 70,000 images, K = 10", goal, text, fine, "mnist"))
    rows += photo_rows()
    if fashion := load("fashion"):
        text = f"ACC {scores(fashion, 'acc')}, NMI {scores(fashion, 'nmi')}"
        what = "Fashion-MNIST, 70,000 images, K = 10"
        rows.append(Row(what, "mean ACC ≥ .63", text, mean(fashion) >= 0.63, "fashion"))
    return rows


def photo_rows() -> list[Row]:
    """Rows on 500 photos of clothes, with the encoder that "auto" takes, with the fast one, and with MobileNetV2."""
    photos = "500 photos of clothes, K = 10"
    kinds = {
        "": (f"{photos}, no other option", "mean ACC ≥ .70, NMI ≥ .67", 0.70, 0.67),
        "fast": (f"{photos}, `--encoder fast`", "mean ACC ≥ .63", 0.63, 0.0),
        "mobilenetv2_100": (f"{photos}, MobileNetV2's weights", "mean ACC ≥ .60", 0.60, 0.0),
    }
    rows: list[Row] = []
    for kind, (what, goal, acc, nmi) in kinds.items():
        found = [r for r in load("clothing500") if (re.findall(r"--encoder (\S+)", r["command"]) or [""])[0] == kind]
        if found:
            text = f"ACC {scores(found, 'acc')}, NMI {scores(found, 'nmi')}"
            fine = mean(found) >= acc and mean(found, "nmi") >= nmi
            rows.append(Row(what, goal, text, fine, "clothing500"))
    return rows


def number_rows() -> list[Row]:
    """Rows on the number of groups."""
    rows: list[Row] = []
    if found := load("natural_k"):
        r = found[0]
        wanted = [name for name in ("digits", "MNIST, 10,000 of it", "USPS") if name in r["natural"]]
        text = "; ".join(f"{name}: {' '.join(map(str, r['natural'][name]))}" for name in wanted)
        fine = all(8 <= k <= 12 for name in wanted for k in r["natural"][name])
        rows.append(Row("Natural number of groups, three seeds (true: 10)", "10 ± 2", text, fine, "natural_k"))
        hits, n = r["chief_photo_sets_met"], r["chief_photo_sets"]
        what = "Photo sets with one of three suggestions within 20 % of the truth"
        rows.append(Row(what, "5 of 6", f"{hits} of {n}", hits >= 5, "natural_k"))
    return rows


def placing_rows() -> list[Row]:
    """Rows on images a run has not seen."""
    rows: list[Row] = []
    if found := load("heldout"):
        for key, what in (("own_pipeline", "two pipelines"), ("same_layout", "on one layout")):
            shares = [r[key]["agreement"] for r in found]
            text = " ".join(f"{100 * share:.1f}" for share in shares) + " %"
            what = f"Held-out MNIST: same group as umap-learn + mixture, {what}"
            rows.append(Row(what, "≥ 97 %", text, min(shares) >= 0.97, "heldout"))
        pairs = [(r["own_pipeline"]["acc_test"], r["own_pipeline"]["acc_train"]) for r in found]
        text = ", ".join(f"{short(a)} ({short(b)})" for a, b in pairs)
        fine = all(abs(a - b) <= 0.01 for a, b in pairs)
        what = "Held-out MNIST: ACC of predicted images (of the run's own)"
        rows.append(Row(what, "within .01", text, fine, "heldout"))
    if found := load("unknown"):
        shares = found[0]["mnist"]
        text = f"noise {100 * shares['uniform_noise']:.0f} %, letters {100 * shares['letters']:.0f} %, clothes "
        text += f"{100 * shares['clothes']:.0f} %, test digits {100 * shares['known']:.1f} %"
        fine = shares["uniform_noise"] > 0.5
        rows.append(Row("A run of MNIST says “none of these”", "letters or noise mostly", text, fine, "unknown"))
    return rows


def waiting_rows() -> list[Row]:
    """Rows on what a person waits for."""
    rows: list[Row] = []
    if found := load("help"):
        seconds = found[0]["help_seconds"]
        rows.append(Row("`ilk --help`", "< 0.5 s", f"{seconds:.2f} s", seconds < 0.5, "help"))
    if found := load("second_run"):
        r = found[0]
        text = f"{r['cpu_seconds_second']:.0f} s, the first time {r['cpu_seconds_first']:.0f}"
        what = "`ilk cluster digits -k 10`, second run: CPU"
        rows.append(Row(what, "≤ 5 s", text, r["cpu_seconds_second"] <= 5, "second_run"))
    if found := load("first"):
        r = found[0]
        seen = [r["photos"]["first"], r["large"]["first"], r["slow_encoder"]["first"]]
        text = f"{seen[0]:.0f} s, {seen[1]:.0f} s; {seen[2]:.0f} s with a 12 × slower network"
        what = f"First groups shown: 500 photos, {r['n_large']:,} JPEGs"
        rows.append(Row(what, "≤ 20 s from start", text, max(seen) <= 20, "first"))
    if found := load("one_image"):
        r = found[0]
        text = f"{r['over_ms']['median']:.1f} ms, {r['over_ms_70000']['median']:.1f} in a run of 70,000"
        what = "`predict` of one photo from Python, on top of decode + encode"
        rows.append(Row(what, "(reported)", text, True, "one_image"))
    if found := load("predict"):
        r = found[0]
        text = f"{100 * r['over']:.1f} % ({r['seconds']:.0f} s in all)"
        what = f"`ilk predict`, {r['n']:,} new JPEGs: on top of decode + encode"
        rows.append(Row(what, "≤ 10 %", text, r["over"] <= 0.1, "predict"))
    return rows


def engine_rows() -> list[Row]:
    """Rows on speed beside what people use instead."""
    rows: list[Row] = []
    for r in load("encoding"):
        name, how = r["model"], r["rounds"][0]["precision"]
        what = f"Photos to features, `{name}`"
        if "ratio" in r:
            text = f"{r['ratio']:.1f} × ({r['images_per_second']:.0f} against {r['plain']:.0f} images/s, {how})"
            rows.append(Row(f"{what}, against a plain PyTorch script", "≥ 8 ×", text, r["ratio"] >= 8, "encoding"))
        text = f"{r['share_of_bound']:.2f} ({r['images_per_second']:.0f} of {r['bound']:.0f} images/s, {how})"
        fine = r["share_of_bound"] >= 0.9
        rows.append(Row(f"{what}, against the bound of decoder and encoder", "≥ .9", text, fine, "encoding"))
    if found := load("kmeans"):
        r = found[0]
        what = "K-means 100,000 × 384, K = 100"
        fine = r["ratio"] <= 1.1
        rows.append(Row(f"{what}, time against faiss", "≤ 1.1 ×", f"{r['ratio']:.2f} ×", fine, "kmeans"))
        off = r["inertia_ratio"]
        text = f"{100 * (off - 1):+.2f} %"
        rows.append(Row(f"{what}, inertia against scikit-learn", "within 1 %", text, off <= 1.01, "kmeans"))
    return rows + scan_of_k_rows()


def scan_of_k_rows() -> list[Row]:
    """Rows on trying many numbers of groups, beside a loop of scikit-learn."""
    rows: list[Row] = []
    if found := load("kscan"):
        for r in found[0]["wide"]["races"]:
            goal = 20 if r["n_init"] == 1 else 10
            text = f"{r['ratio_silhouette_only']:.0f} × (all four criteria {r['ratio_all_criteria']:.1f} ×), best K "
            text += f"{r['best_k']['ilk']} (theirs {r['best_k']['scikit-learn']})"
            fine = r["ratio_silhouette_only"] >= goal and r["best_k"]["ilk"] == r["best_k"]["scikit-learn"]
            starts = "1 start" if r["n_init"] == 1 else f"{r['n_init']} starts"
            what = f"K = 2 … 30 on 1,500 × 1,280, against scikit-learn's loop, {starts}"
            rows.append(Row(what, f"≥ {goal} ×, same best K", text, fine, "kscan"))
        slowest = found[0]["many"]["slowest_seconds"]
        what = "K up to 50 on 70,000 × 10, all four criteria"
        rows.append(Row(what, "< 60 s", f"{slowest:.0f} s", slowest < 60, "kscan"))
    return rows


def scale_rows() -> list[Row]:
    """Rows on 100,000 images and more."""
    rows: list[Row] = []
    if len(found := sorted(load("scale"), key=lambda r: r["n_images"])) >= 2:
        small, large = found[:2]
        above, factor = large["above_loaded_mib"], large["list_and_encode_seconds"] / small["list_and_encode_seconds"]
        text = f"{above / 1024:.2f} GiB"
        rows.append(Row("100,000 JPEGs: memory above the loaded encoder", "≤ 2 GiB", text, above <= 2048, "scale"))
        what = "100,000 JPEGs: list + encode against 10,000"
        rows.append(Row(what, "≤ 11 ×", f"{factor:.1f} ×", factor <= 11, "scale"))
        stages = ", ".join(f"{k} {v:.0f} s" for k, v in large["seconds"].items())
        rows.append(Row("100,000 JPEGs: all stages", "(reported)", stages, True, "scale"))
    if found := load("report"):
        r = found[0]
        size, took, peak = r["page_mb"], r["report_seconds"], r["peak_rss_mib"]
        text = f"{size:.1f} MB, {took:.0f} s, {peak:.0f} MiB; {r['console_errors']} errors, {r['requests']} requests"
        fine = size <= 15 and took < 30 and peak < 1024 and not r["console_errors"] and not r["requests"]
        what = f"Report and plots for {r['n_images']:,} images"
        rows.append(Row(what, "≤ 15 MB, < 30 s, < 1 GiB", text, fine, "report"))
        for r in found[1:]:
            text = f"{r['page_mb']:.1f} MB, {r['cpu_seconds']:.0f} CPU s, {r['peak_rss_mib']:,} MiB"
            fine = r["page_mb"] <= 15 and r["peak_rss_mib"] <= 2048
            rows.append(Row(f"The same for {r['n_images']:,}", "≤ 15 MB, ≤ 2 GiB", text, fine, "report"))
    if found := load("export"):
        r = found[0]["exports"]
        text = ", ".join(f"{name} {r[name]['seconds']:.0f} s" for name in ("link", "copy", "csv"))
        rows.append(Row(f"Export of {found[0]['n_images']:,} images", "(reported)", text, True, "export"))
    if r := next((r for r in load("gallery") if "largest_group" in r), None):
        page = r["page"]
        frames = [page[f"scroll_{how}_frames_per_second"] for how in ("reading", "fast", "flying")]
        text = f"first pictures {page['pictures_seconds']:.1f} s; {' '.join(f'{f:.0f}' for f in frames)} frames/s"
        what = f"Gallery of {r['n_images']:,} images, half of them in one group, on a busy machine"
        fine = page["pictures_seconds"] <= 2 and min(frames) >= 50
        goal = "≤ 2 s; 50 frames/s reading, fast, flying"
        rows.append(Row(what, goal, text, fine, "gallery"))
    return rows


def lines(name: str) -> list[dict[str, Any]]:
    """Return the records of a file of results that grows: ``scale/million`` is scale/million.jsonl."""
    file = RESULTS / f"{name}.jsonl"
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


def million_rows() -> list[Row]:
    """Rows on a million images, and on neighbours that are approximate."""
    rows: list[Row] = []
    million = {r["command"].split()[2]: r for r in lines("scale/million") if r["n"] == 1_000_000}
    if r := million.get("whole"):
        spent, peak = r["stages"]["job"]["cpu_s"], r["stages"]["job"]["peak_gib"]
        text = f"{spent:,.0f} CPU s, {peak:.1f} GiB"
        what = "`ilk cluster` on 1,000,000 rows of 384 numbers: all after encoding, report included"
        rows.append(Row(what, "≤ 1,500 CPU s, ≤ 4 GiB", text, spent <= 1500 and peak <= 4, "scale"))
        each = 1000 * r["stages"]["placed"]["cpu_s"] / 20_000
        what = "A new image placed by that run"
        rows.append(Row(what, "≤ .2 ms", f"{each:.2f} ms", each <= 0.2, "scale"))
    if r := million.get("levels"):
        fit = r["stages"]["fit"]
        text = f"{fit['cpu_s']:,.0f} CPU s, {fit['peak_gib']:.1f} GiB"
        rows.append(Row("The same with `-m hierarchical`", "(reported)", text, True, "scale"))
    if r := million.get("predict"):
        each = 1000 * r["stages"]["cells, 20,000 rows"]["cpu_s"] / 20_000
        text = f"{each:.2f} ms, recall@15 {short(r['recall@15'])}"
        rows.append(Row("Its neighbours alone", "(reported)", text, True, "scale"))
    kinds = {r["set"]: r for r in lines("scale/approximate") if "recall@15" in r and "cpu_s" in r}
    if kinds:
        found = [(name, r["n"], r["recall@15"]) for name, r in sorted(kinds.items())]
        if r := million.get("reduce"):
            found.append(("made up", r["n"], r["stages"]["neighbours"]["recall"]))
        text = ", ".join(f"{name} {n:,}: {short(value)}" for name, n, value in found)
        what = "Approximate neighbours: recall@15"
        rows.append(Row(what, "≥ .98", text, min(value for *_, value in found) >= 0.98, "scale"))
    groups = {r["set"]: r for r in lines("scale/approximate") if "seeds" in r and "ari_two_seeds" in r}
    if groups:
        means = {
            name: [sum(r[key]) / len(r[key]) for key in ("ari_exact_approximate", "ari_two_seeds")]
            for name, r in sorted(groups.items())
        }
        text = ", ".join(f"{name} {short(one)} ({short(other)})" for name, (one, other) in means.items())
        what = "Groups from exact and from approximate neighbours: ARI (of two seeds), means of three"
        fine = all(one >= other for one, other in means.values())
        rows.append(Row(what, "at least that of two seeds", text, fine, "scale"))
    return rows


def cluster_rows() -> list[Row]:
    """Rows on kills, caches of many shards, servers that wait, many small files, and machines that share."""
    rows: list[Row] = []
    if found := load("reads"):
        r = found[0]
        text = f"{r['read_twice']} of {r['n_images']:,} read twice"
        rows.append(Row("SIGKILL half-way: files read again", "≤ one shard", text, r["read_twice"] <= 256, "reads"))
    if found := load("shards"):
        r = found[0]
        ratio = r["cpu_seconds_without_index"] / r["cpu_seconds_with_index"]
        text = f"{r['cpu_seconds_with_index']:.3f} CPU s, {ratio:.0f} × less than without the index"
        rows.append(Row("Start from a cache of 1,000 shards", "(reported)", text, True, "shards"))
    for r in load("small_images"):
        if ratio := r["after_by_before"].get("command"):
            text = f"{short(ratio)} in CPU seconds, {short(r['after_by_before']['command_peak'])} in memory"
            what = f"`ilk cluster` on {r['n_images']:,} small JPEG, against the version before all this (fe109cb)"
            rows.append(Row(what, "≤ 1", text, ratio <= 1, "small_images"))
    if found := load("latency"):
        r = found[0]
        text = f"{short(r['rate_ratio'])} ({short(r['rate_ratio_one_by_one'])} one at a time)"
        what = "Photos from a server that waits 50 ms: rate against the local disk's"
        rows.append(Row(what, "≥ .8", text, r["rate_ratio"] >= 0.8, "latency"))
    for r in load("ray"):
        if "overhead" in r:
            text = f"{100 * r['overhead']:.0f} %"
            what = f"`--engine ray`, parts of {r['part']:,} images: CPU above one process"
            rows.append(Row(what, "≤ 15 %", text, r["overhead"] <= 0.15, "ray"))
    return rows


def reliability_rows() -> list[Row]:
    """Rows on what must not change a result, and what must not be lost."""
    rows: list[Row] = []
    if found := load("order"):
        ari = found[0]["ari"]
        text = "; ".join(f"{name} {' '.join(f'{v:.2f}' for v in values)}" for name, values in ari.items())
        fine = min(v for values in ari.values() for v in values) >= 0.97
        rows.append(Row("Order and names of files decide nothing: ARI with the first", "≥ .97", text, fine, "order"))
    if found := load("bad_inputs"):
        r = found[0]
        text = f"{r['n']} accounted for, {r['seconds']:.0f} s, {r['peak_rss_mib'] / 1024:.2f} GiB"
        fine = r["n"] == 193 and r["seconds"] < 60 and r["peak_rss_mib"] < 1536
        rows.append(Row("193 odd and hostile files", "all, < 60 s, < 1.5 GiB", text, fine, "bad_inputs"))
    if found := load("kills"):
        r = found[0]
        same = "same" if r["same_assignments"] else "OTHER"
        text = f"{same} groups, {max(r['encoded_twice_per_kill'])} images at most"
        fine = r["same_assignments"] and r["at_most_one_shard"]
        goal = "same groups, ≤ 256 images encoded twice"
        rows.append(Row("SIGKILL while encoding, 5 times", goal, text, fine, "kills"))
    if found := load("kill_trials"):
        r = found[0]
        text = f"{r['byte_identical']} of {r['trials']}, ended {r['ended']} times"
        fine = r["byte_identical"] == r["trials"] and not r["with_leftovers"]
        what = f"SIGKILL while training, {len(r['methods'])} methods: the run in the end"
        rows.append(Row(what, "the same to the byte, nothing left over", text, fine, "kill_trials"))
    if r := next((r for r in load("gallery") if "confirmed" in r), None):
        text = f"{r['confirmed']} answered, {r['lost'] or 'none'} lost, {r['torn_lines'] or 'no'} torn lines"
        what = f"Gallery killed {r['trials']} times in the midst of corrections"
        rows.append(Row(what, "none lost", text, not r["lost"] and not r["torn_lines"], "gallery"))
    return rows + fuzz_rows()


def fuzz_rows() -> list[Row]:
    """One row: mutants of images, sources and runs by the fuzzers."""
    tried: dict[str, list[int]] = {}
    for r in load("fuzz"):
        for name, of in r["fuzzers"].items():
            counts = tried.setdefault(name, [0, 0])
            counts[0] += of["mutants"]
            counts[1] += of["failures"]
    if not tried:
        return []
    counted = [(name, n, failed or "no", "s" * (failed != 1)) for name, (n, failed) in tried.items()]
    text = "; ".join(f"{name} {n:,}, {failed} failure{s}" for name, n, failed, s in counted)
    fine = not any(failed for _, failed in tried.values())
    return [Row("Damaged images, sources and runs (`make fuzz`)", "no failure", text, fine, "fuzz")]
