"""The page of results (benchmarks/README.md) and the tables of docs/, from the committed results.

python benchmarks/table.py [--write]
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

import figures
from method_rows import baseline_rows, dac_rows, deepcluster_rows, reproduced_rows, scan_rows, step_rows
from rows import (
    Row,
    cluster_rows,
    default_rows,
    engine_rows,
    load,
    million_rows,
    number_rows,
    placing_rows,
    reliability_rows,
    scale_rows,
    waiting_rows,
)

from ilk import bench
from ilk.report.words import APART

ROOT = Path(__file__).resolve().parents[1]
PAGE, K_PAGE, W_PAGE = (ROOT / name for name in ("benchmarks/README.md", "docs/how-many-groups.md", "docs/report.md"))

# the tables of the page of results: name of the block -> what makes its rows
GROUPS: dict[str, tuple[Callable[[], list[Row]], ...]] = {
    "default": (default_rows,),
    "number of groups": (number_rows,),
    "new images": (placing_rows,),
    "trained": (dac_rows, scan_rows, deepcluster_rows),
    "waiting": (waiting_rows,),
    "engine": (engine_rows, step_rows),
    "scale": (scale_rows, million_rows, cluster_rows),
    "reliability": (reliability_rows,),
    "baselines": (baseline_rows, reproduced_rows),
}

# start of a row that misses its goal -> heading below "Not reached, and why"
WHY = {
    "Approximate neighbours": "many-images",
    "Groups from exact and from approximate": "many-images",
    "`--engine ray`": "many-images",
    "MNIST, 70,000 images": "mnist",
    "`ilk cluster digits -k 10`, second run": "a-run-of-the-digits",
    "Natural number of groups": "the-natural-number-of-the-digits",
    "Photos to features, `fast`": "fast-at-eight-times-a-plain-script",
    "`-m deepcluster` with its first": "deepclusters-key-steps",
    "`-m deepcluster`, `ilk probe`": "probes-above-random-ones",
    "`-m autoencoder`": "autoencoders-and-dec-in-20-epochs",
    "`-m dec`": "autoencoders-and-dec-in-20-epochs",
    "`-m dac --set preset=released_star --set order=shuffled`": "dac-on-mnist",
    "Gallery of 100,000": "the-gallery-on-a-busy-machine",
    "Damaged images": "an-attack-that-finds-nothing",
}


def marks(name: str) -> tuple[str, str]:
    """Return the marks of a page between which the table `name` stands."""
    return f"<!-- {name}: made by benchmarks/table.py -->", f"<!-- end of {name} -->"


def rows_of(name: str) -> list[Row]:
    """Return the rows of one table of the page of results."""
    return [row for make in GROUPS[name] for row in make()]


def why(row: Row) -> str:
    """Return the anchor of the paragraph that says why a row misses its goal."""
    return next(anchor for start, anchor in WHY.items() if row.what.startswith(start))


def group_table(name: str) -> str:
    """Return one table of the page of results as Markdown."""
    lines = ["| what | goal | measured | reached |", "|---|---|---|---|"]
    for row in rows_of(name):
        verdict = "✓" if row.fine else f"[no, why](#{why(row)})"
        lines.append(f"| {row.what} | {row.goal} | [{row.measured}](results/{row.source}) | {verdict} |")
    return "\n".join(lines)


def machines() -> str:
    """Return how many results there are, and the machines they are of."""
    folders = {row.source for name in GROUPS for row in rows_of(name)}
    records = [record for folder in sorted(folders) for record in load(folder)]
    by_name = sorted({record["hardware"] for record in records})
    commits = {record["commit"] for record in records if record["commit"]}
    lines = [f"{len(records)} results of {len(commits)} commits stand behind the tables, from these machines:", ""]
    return "\n".join([*lines, *(f"* {name}" for name in by_name)])


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


def tables() -> dict[Path, dict[str, str]]:
    """Return page -> name of a block -> what stands in it."""
    found = {PAGE: {name: group_table(name) for name in GROUPS} | {"table 2": table2(), "machines": machines()}}
    if load("natural_k"):
        found[K_PAGE] = {"natural k": k_table()}
    if load("words"):
        found[W_PAGE] = {"words": words_table()}
    return found


def written(page: Path) -> str:
    """Return a page with its tables and figures as the results have them."""
    text = page.read_text("utf-8")
    for name, table in tables().get(page, {}).items():
        begin, end = marks(name)
        before, found, rest = text.partition(begin)
        if not found or end not in rest:
            raise LookupError(f"{page.name} has no block {begin} … {end}")
        text = f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    return figures.written(text)


def pages() -> list[Path]:
    """Return the pages that have tables or figures of the results."""
    own = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [*tables(), *(page for page in own if figures.MARK.search(page.read_text("utf-8")) and page not in tables())]


def main() -> None:
    """Print the tables of the page of results, or write all into their pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        for page in pages():
            page.write_text(written(page), "utf-8")
    else:
        print("\n\n".join(f"{name}\n{table}" for name, table in tables()[PAGE].items()))


if __name__ == "__main__":
    main()
