"""The tables of the README, and of docs/how-many-groups.md, from the committed results.

python benchmarks/table.py [--write]
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from pathlib import Path

from method_rows import (
    RESULTS,
    Row,
    baseline_rows,
    clustering_phase_rows,
    dac_rows,
    deepcluster_rows,
    load,
    scan_rows,
    scores,
)

from ilk import bench
from ilk.report.words import APART

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- results: made by benchmarks/table.py -->", "<!-- end of results -->"

K_BEGIN, K_END = "<!-- natural k: made by benchmarks/table.py -->", "<!-- end of natural k -->"
K_PAGE = ROOT / "docs" / "how-many-groups.md"

W_BEGIN, W_END = "<!-- words: made by benchmarks/table.py -->", "<!-- end of words -->"
W_PAGE = ROOT / "docs" / "report.md"

T2_BEGIN, T2_END = "<!-- table 2: made by benchmarks/table.py -->", "<!-- end of table 2 -->"


def quality_rows() -> list[Row]:
    """Rows on the quality of the groups, all seeds shown."""
    rows: list[Row] = []
    if demo := load("demo"):
        wall, least = demo[0]["wall_seconds"], min(r["scores"]["acc"] for r in demo)
        text = f"{wall:.0f} s, ACC {scores(demo, 'acc')}"
        what = "`make demo` after set-up: 1,797 digits, K = 10, seeds 0 to 2"
        rows.append((what, "< 60 s, ACC ≥ .95", text, wall < 60 and least >= 0.95))
    if mnist := load("mnist"):
        slowest, peak = max(r["wall_seconds"] for r in mnist), max(r["peak_rss_mib"] for r in mnist)
        acc = [r["scores"]["acc"] for r in mnist]
        fine = sum(acc) / len(acc) >= 0.98 and min(acc) >= 0.97
        seconds = " ".join(f"{r['wall_seconds']:.0f}" for r in mnist)
        text = f"ACC {scores(mnist, 'acc')}, NMI {scores(mnist, 'nmi')}, {seconds} s, {peak / 1024:.1f} GiB"
        goal = "mean ACC ≥ .98, none below .97, ≤ 90 s, < 3 GiB"
        rows.append(("MNIST, 70,000 images, K = 10", goal, text, fine and slowest <= 90 and peak < 3072))
    rows += photo_rows()
    if fashion := load("fashion"):
        text = f"ACC {scores(fashion, 'acc')}, NMI {scores(fashion, 'nmi')}"
        fine = sum(r["scores"]["acc"] for r in fashion) / len(fashion) >= 0.63
        rows.append(("Fashion-MNIST, 70,000 images, K = 10", "mean ACC ≥ .63", text, fine))
    if order := load("order"):
        ari = order[0]["ari"]
        text = "; ".join(f"{name} {' '.join(f'{v:.2f}' for v in values)}" for name, values in ari.items())
        fine = min(v for values in ari.values() for v in values) >= 0.97
        rows.append(("Order and names of files decide nothing: ARI with the first", "≥ .97", text, fine))
    return rows


def photo_rows() -> list[Row]:
    """Rows on 500 photos of clothes, with the encoder that "auto" takes, with the fast one, and with MobileNetV2."""
    kinds = {
        "": ("500 photos of clothes, K = 10, no other option", "mean ACC ≥ .70, NMI ≥ .67", 0.70, 0.67),
        "fast": ("… `--encoder fast`", "mean ACC ≥ .63", 0.63, 0.0),
        "mobilenetv2_100": ("… MobileNetV2's weights", "mean ACC ≥ .60", 0.60, 0.0),
    }
    rows: list[Row] = []
    for kind, (what, goal, acc, nmi) in kinds.items():
        found = [r for r in load("clothing500") if (re.findall(r"--encoder (\S+)", r["command"]) or [""])[0] == kind]
        if not found:
            continue
        mean = {key: sum(r["scores"][key] for r in found) / len(found) for key in ("acc", "nmi")}
        text = f"ACC {scores(found, 'acc')}, NMI {scores(found, 'nmi')}"
        rows.append((what, goal, text, mean["acc"] >= acc and mean["nmi"] >= nmi))
    return rows


def placing_rows() -> list[Row]:
    """Rows on first groups, and on images a run has not seen."""
    rows: list[Row] = []
    if found := load("first"):
        r = found[0]
        seen = [r["photos"]["first"], r["large"]["first"], r["slow_encoder"]["first"]]
        text = f"{seen[0]:.0f} s, {seen[1]:.0f} s; {seen[2]:.0f} s with a 12 × slower network"
        what = f"First groups shown: 500 photos, {r['n_large']:,} JPEGs"
        rows.append((what, "≤ 20 s from start", text, max(seen) <= 20))
    if found := load("predict"):
        r = found[0]
        text = f"{100 * r['over']:.1f} % ({r['seconds']:.0f} s in all)"
        rows.append((f"`predict`, {r['n']:,} new JPEGs: on top of decode + encode", "≤ 10 %", text, r["over"] <= 0.1))
    if found := load("heldout"):
        for key, what in (("own_pipeline", "two pipelines"), ("same_layout", "on one layout")):
            shares = [r[key]["agreement"] for r in found]
            text = " ".join(f"{100 * share:.1f}" for share in shares) + " %"
            goal = "≥ 97 %"
            rows.append(
                (f"Held-out MNIST: same group as umap-learn + mixture, {what}", goal, text, min(shares) >= 0.97)
            )
        pairs = [(r["own_pipeline"]["acc_test"], r["own_pipeline"]["acc_train"]) for r in found]
        text = ", ".join(f"{a:.3f} ({b:.3f})".replace("0.", ".") for a, b in pairs)
        fine = all(abs(a - b) <= 0.01 for a, b in pairs)
        rows.append(("… ACC of predicted images (of the run's own)", "within .01", text, fine))
    if found := load("unknown"):
        shares = found[0]["mnist"]
        text = f"noise {100 * shares['uniform_noise']:.0f} %, letters {100 * shares['letters']:.0f} %, clothes "
        text += f"{100 * shares['clothes']:.0f} %, test digits {100 * shares['known']:.1f} %"
        rows.append(("… “none of these”", "letters or noise mostly", text, shares["uniform_noise"] > 0.5))
    return rows


def cost_rows() -> list[Row]:
    """Rows on time and memory."""
    rows: list[Row] = []
    if found := load("help"):
        seconds = found[0]["help_seconds"]
        rows.append(("`ilk --help`", "< 0.5 s", f"{seconds:.2f} s", seconds < 0.5))
    for r in load("encoding"):
        name, how = r["model"], r["rounds"][0]["precision"]
        if "ratio" in r:
            text = f"{r['ratio']:.1f} × ({r['images_per_second']:.0f} against {r['plain']:.0f} images/s, {how})"
            rows.append((f"Photos to features, `{name}`, against a plain script", "≥ 8 ×", text, r["ratio"] >= 8))
        text = f"{r['share_of_bound']:.2f} ({r['images_per_second']:.0f} of {r['bound']:.0f} images/s, {how})"
        what = f"… `{name}`, against the bound of decoder and encoder"
        rows.append((what, "≥ .9", text, r["share_of_bound"] >= 0.9))
    if found := load("kmeans"):
        r = found[0]
        rows.append(
            ("K-means 100,000 × 384, K = 100, time against faiss", "≤ 1.1 ×", f"{r['ratio']:.2f} ×", r["ratio"] <= 1.1)
        )
        off = r["inertia_ratio"]
        rows.append(("… inertia against scikit-learn", "within 1 %", f"{100 * (off - 1):+.2f} %", off <= 1.01))
    if found := load("bad_inputs"):
        r = found[0]
        text = f"{r['n']} accounted for, {r['seconds']:.0f} s, {r['peak_rss_mib'] / 1024:.2f} GiB"
        fine = r["n"] == 193 and r["seconds"] < 60 and r["peak_rss_mib"] < 1536
        rows.append(("193 odd and hostile files", "all, < 60 s, < 1.5 GiB", text, fine))
    if found := load("kills"):
        r = found[0]
        text = (
            f"{'same' if r['same_assignments'] else 'OTHER'} groups, {max(r['encoded_twice_per_kill'])} images at most"
        )
        fine = r["same_assignments"] and r["at_most_one_shard"]
        rows.append(("SIGKILL while encoding, 5 times", "same groups, ≤ 256 images encoded twice", text, fine))
    if len(found := sorted(load("scale"), key=lambda r: r["n_images"])) == 2:
        small, large = found
        above, factor = large["above_loaded_mib"], large["list_and_encode_seconds"] / small["list_and_encode_seconds"]
        rows.append(
            ("100,000 JPEGs: memory above the loaded encoder", "≤ 2 GiB", f"{above / 1024:.2f} GiB", above <= 2048)
        )
        rows.append(("… list + encode against 10,000 JPEGs", "≤ 11 ×", f"{factor:.1f} ×", factor <= 11))
        stages = ", ".join(f"{k} {v:.0f} s" for k, v in large["seconds"].items())
        rows.append(("… all stages", "reported", stages, True))
    return rows


def report_rows() -> list[Row]:
    """Rows on what is looked at and taken away."""
    rows: list[Row] = []
    if found := load("report"):
        r = found[0]
        size, took, peak = r["page_mb"], r["report_seconds"], r["peak_rss_mib"]
        text = f"{size:.1f} MB, {took:.0f} s, {peak:.0f} MiB; {r['console_errors']} errors, {r['requests']} requests"
        fine = size <= 15 and took < 30 and peak < 1024 and not r["console_errors"] and not r["requests"]
        rows.append((f"Report and plots for {r['n_images']:,} images", "≤ 15 MB, < 30 s, < 1 GiB", text, fine))
    if found := load("export"):
        r = found[0]["exports"]
        text = ", ".join(f"{name} {r[name]['seconds']:.0f} s" for name in ("link", "copy", "csv"))
        rows.append((f"Export of {found[0]['n_images']:,} images", "(reported)", text, True))
    return rows


def k_rows() -> list[Row]:
    """Rows on the number of groups."""
    rows: list[Row] = []
    if found := load("kscan"):
        for r in found[0]["wide"]["races"]:
            goal = 20 if r["n_init"] == 1 else 10
            text = (
                f"{r['ratio_silhouette_only']:.0f} × (with all four criteria {r['ratio_all_criteria']:.1f} ×), best K "
            )
            text += f"{r['best_k']['ilk']} (theirs {r['best_k']['scikit-learn']})"
            fine = r["ratio_silhouette_only"] >= goal and r["best_k"]["ilk"] == r["best_k"]["scikit-learn"]
            what = f"K = 2 … 30 on 1,500 × 1,280, against scikit-learn's loop, {r['n_init']} start(s)"
            rows.append((what, f"≥ {goal} ×, same best K", text, fine))
        slowest = found[0]["many"]["slowest_seconds"]
        rows.append(("… 70,000 × 10, K up to 50, all four criteria", "< 60 s", f"{slowest:.0f} s", slowest < 60))
    if found := load("natural_k"):
        r = found[0]
        wanted = [name for name in ("digits", "MNIST, 10,000 of it", "USPS") if name in r["natural"]]
        text = "; ".join(f"{name}: {' '.join(map(str, r['natural'][name]))}" for name in wanted)
        fine = all(8 <= k <= 12 for name in wanted for k in r["natural"][name])
        rows.append(("Natural number of groups, three seeds (true: 10)", "10 ± 2", text, fine))
        hits, n = r["chief_photo_sets_met"], r["chief_photo_sets"]
        text = f"{hits} of {n} ([all sets](docs/how-many-groups.md#against-the-true-number))"
        rows.append(("… photo sets with one of three suggestions within 20 % of the truth", "5 of 6", text, hits >= 5))
    return rows


def k_table() -> str:
    """Return suggested against true numbers of groups as Markdown, misses included."""
    lines = ["| set | images | classes | communities | coarse, **natural**, fine of each seed | within 20 % | clear |"]
    lines.append("|---|---|---|---|---|---|---|")
    for r in load("natural_k")[0]["sets"]:
        runs = r["runs"]
        three = "; ".join(f"{run['coarse'] or '–'}, **{run['natural']}**, {run['fine'] or '–'}" for run in runs)
        number = " ".join(str(run["communities"]) for run in runs)
        hit = f"{r['one_within_20_percent']} of {len(runs)}"
        kind = r["set"] + " (photos)" * r["photos"] + " †" * r["new"]
        cells = (kind, f"{r['images']:,}", str(r["classes"]), number, three, hit, f"{r['clear']} of {len(runs)}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def words_table() -> str:
    """Return what the words of the report stood for, and on which sets, as Markdown."""
    r = load("words")[0]
    parts = ("as_many", "more", "fewer")
    by_word = {part: {told["word"]: told for told in r["words"][part]} for part in parts}
    titles = ("in words", "silhouette from", "confidence from", "groups", "their purity")
    titles += ("mostly (.8) one class", "purity with 1.5 and 2 times as many", "with half as many")
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for word, (least, sure, _) in APART.items():
        first, *others = (by_word[part][word] for part in parts)
        limits = [f"{limit:g}" if limit > lowest else "–" for limit, lowest in ((least, -1), (sure, 0))]
        share = f"{100 * first['mostly_one_class']:.0f} %"
        rest = [f"{told['purity']:.2f} ({told['groups']})" for told in others]
        cells = (f"**{word}**", *limits, str(first["groups"]), f"{first['purity']:.2f}", share, *rest)
        lines.append(f"| {' | '.join(cells)} |")
    named = {"silhouette": "silhouette", "silhouette_reduced": "in the reduced space", "confidence": "confidence"}
    named["neighbours"] = "share of nearest neighbours in the group"
    rho = ", ".join(f"{name} {r['rank_correlation_with_purity'][key]:.2f}" for key, name in named.items())
    lines += [
        "",
        f"{r['groups']:,} groups: {len(r['sets'])} sets, {r['seeds']} seeds, 0.5, 1, 1.5 and 2 times as many groups as "
        f"classes. Rank correlation with purity, without those of half as many: {rho}. "
        "Means over the images, as many groups as classes:",
        "",
        "| set, encoder | images | classes | silhouette | in the reduced space | confidence | purity |",
        "|---|---|---|---|---|---|---|",
    ]
    for s in r["sets"]:
        numbers = " | ".join(f"{s[key]:.2f}" for key in ("silhouette", "silhouette_reduced", "confidence", "purity"))
        lines.append(f"| {s['set']} | {s['images']:,} | {s['classes']} | {numbers} |")
    return "\n".join(lines)


def table2() -> str:
    """Return the MNIST part of the DAC paper's table as Markdown, ours beside the published figures."""
    recipe = bench.load_recipe(ROOT / "benchmarks" / "table2.toml")
    # whether the images are on this machine is no matter of the table
    recipe = dataclasses.replace(
        recipe, data={name: dataclasses.replace(data, source="digits") for name, data in recipe.data.items()}
    )
    lines = bench.markdown(recipe, only=["mnist"]).splitlines()
    return "\n".join(lines[4:]).strip()


def table() -> str:
    """Return the whole table as Markdown."""
    rows = (
        quality_rows()
        + dac_rows()
        + scan_rows()
        + deepcluster_rows()
        + clustering_phase_rows()
        + baseline_rows()
        + k_rows()
        + report_rows()
        + placing_rows()
        + cost_rows()
    )
    lines = ["| what | goal | measured | |", "|---|---|---|---|"]
    lines += [f"| {what} | {goal} | {text} | {'✓' if fine else '✗'} |" for what, goal, text, fine in rows]
    own = {path.stem for path in RESULTS.parent.glob("*.toml")}  # recipes that have tables of their own
    records = [r for folder in sorted(RESULTS.iterdir()) if folder.name not in own for r in load(folder.name)]
    hardware = sorted({r["hardware"] for r in records if r["commit"]})
    commits = sorted({r["commit"] for r in records if r["commit"]})
    lines += ["", f"On {'; '.join(hardware)}. Commits {', '.join(commits)}. Every figure has its command in"]
    lines += ["[benchmarks/results](benchmarks/results); `python benchmarks/run.py NAME --again` measures it anew."]
    return "\n".join(lines)


def replace(page: Path, begin: str, end: str, text: str) -> None:
    """Put `text` between two marks of a page."""
    before, _, rest = page.read_text("utf-8").partition(begin)
    page.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}", "utf-8")


def main() -> None:
    """Print the tables, or write them into their pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        replace(ROOT / "README.md", BEGIN, END, table())
        replace(ROOT / "README.md", T2_BEGIN, T2_END, table2())
        if load("natural_k"):
            replace(K_PAGE, K_BEGIN, K_END, k_table())
        if load("words"):
            replace(W_PAGE, W_BEGIN, W_END, words_table())
    else:
        print(table())


if __name__ == "__main__":
    main()
