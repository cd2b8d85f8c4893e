"""Where a file of the repository is on the site; the links of a page, rewritten by that.

The pages are read in two ways: as files of the repository, where ``../benchmarks/results/demo`` leads to a folder, and
on the site, which has to be whole without the repository. A file that is linked to is copied below ``files/``; a folder
of results has a page (`evidence`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]

# file of the repository -> page of the site
MOUNTED = {
    "CHANGELOG.md": "project/changes.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "examples/README.md": "project/examples.md",
    "SECURITY.md": "project/security.md",
    "benchmarks/README.md": "results/index.md",
    "benchmarks/archive/README.md": "results/answered.md",
}
OTHERS = {"README.md": "index.md", "benchmarks/results": "results/evidence/index.md"}  # stands for, here
RESULTS = "benchmarks/results/"

GENERATED = {"docs/reference/cli.md", "docs/reference/settings.md"}  # made with the site: no page may link to them

KEPT = (".json", ".png")

FENCE = re.compile(r"^( *)(```+|~~~+).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
TICKS = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"(\]\(|(?:href|src)=\")([^)\"\s]+)([)\"])")
OUTSIDE = re.compile(r"[a-z]+:|#|//")


def plain(text: str) -> str:
    """Return a page with its code blanked out, so that positions stay."""

    def blank(found: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", found[0])

    return TICKS.sub(blank, FENCE.sub(blank, text))


def targets(text: str) -> Iterator[str]:
    """Yield the targets of all links and pictures of a page that are not addresses of others."""
    for found in LINK.finditer(plain(text)):
        if not OUTSIDE.match(found[2]) or found[2].startswith("#"):
            yield found[2]


def resolved(page: str, target: str) -> str:
    """Return what a link of `page` (a path in the repository) leads to, as such a path; "" for the page itself."""
    path = target.partition("#")[0]
    return os.path.normpath(PurePosixPath(page).parent / path) if path else ""


def uri_of(path: str) -> str:
    """Return where a file or folder of the repository is on the site."""
    if path in MOUNTED or path in OTHERS:
        return MOUNTED.get(path) or OTHERS[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith(RESULTS) and (ROOT / path).is_dir():
        return f"results/evidence/{path.removeprefix(RESULTS)}.md"
    if path.startswith(RESULTS) and path.endswith("/table.md"):
        return f"results/evidence/{PurePosixPath(path).parent.name}.md"
    return f"files/{path}" + ".txt" * path.endswith((".md", ".toml", ".py", ".yml"))


def copied(path: str) -> bool:
    """Return whether a file is on the site as a copy."""
    return uri_of(path).startswith("files/") and (ROOT / path).is_file()


def source_of(uri: str) -> str:
    """Return the path in the repository of a page of the site."""
    if uri.startswith("results/evidence/") and not uri.endswith("/index.md"):
        return f"{RESULTS}{PurePosixPath(uri).stem}/table.md"
    return next((path for path, own in MOUNTED.items() if own == uri), f"docs/{uri}")


def is_there(uri: str) -> bool:
    """Return whether a page of the site is there: one of docs/, a file of the repository, or one that is made."""
    made = f"docs/{uri}" in GENERATED or uri == OTHERS["benchmarks/results"]
    return made or (ROOT / source_of(uri)).exists()


def sources() -> list[str]:
    """Return all pages of the site that are files of the repository."""
    own = (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md")))
    return [*own, *(path for path in MOUNTED if (ROOT / path).exists())]


def linked() -> list[str]:
    """Return what the pages link to, and all results, as paths in the repository."""
    found = {}
    for page in sources():
        for target in targets((ROOT / page).read_text("utf-8")):
            found[resolved(page, target)] = None
    evidence = [path.relative_to(ROOT).as_posix() for path in (ROOT / RESULTS).rglob("*") if path.suffix in KEPT]
    return sorted({*evidence, *(path for path in found if path)})


def rewritten(text: str, uri: str, source: str | None = None) -> str:
    """Return the page at `uri` with links that lead to where things are on the site."""
    source = source or source_of(uri)
    code, here = plain(text), PurePosixPath(uri).parent

    def moved(found: re.Match[str]) -> str:
        target = found[2]
        if OUTSIDE.match(target) or code[found.start() : found.end()] != found[0]:
            return found[0]
        to = uri_of(resolved(source, target))
        anchor = target.partition("#")[2] if (resolved(source, target) not in OTHERS) else ""
        return f"{found[1]}{os.path.relpath(to, here)}{'#' * bool(anchor)}{anchor}{found[3]}"

    return LINK.sub(moved, text)


def slug(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and the site make it of plain words."""
    words = re.sub(r"[^\w\s-]", "", re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading).strip().lower())
    return re.sub(r"[\s]+", "-", words)


def anchors(text: str) -> set[str]:
    """Return the anchors of a page: of its headings, and those set by hand."""
    found = {slug(line) for line in re.findall(r"^#+ +(.*?)(?: *\{.*\})?$", FENCE.sub("", text), re.MULTILINE)}
    found |= set(re.findall(r"^::: ([\w.]+)", text, re.MULTILINE))
    return found | set(re.findall(r"(?:id|name)=\"([^\"]+)\"", text)) | set(re.findall(r"\{ *#([\w-]+)", text))


def dead(pages: list[str]) -> list[str]:
    """Return the links of pages of the repository that lead nowhere: no file, or no such heading in it."""
    wrong = []
    for page in pages:
        for target in targets((ROOT / page).read_text("utf-8")):
            path, anchor = resolved(page, target) or page, target.partition("#")[2]
            if not (ROOT / path).exists():
                wrong.append(f"{page} links to {target}: no such file")
            elif anchor and path.endswith(".md") and anchor not in anchors((ROOT / path).read_text("utf-8")):
                wrong.append(f"{page} links to {target}: no such heading")
    return wrong
