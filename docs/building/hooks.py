"""What the docs site has besides the pages of docs/: called by mkdocs (``hooks`` in mkdocs.yml).

* pages that are files of the repository outside docs/ (CHANGELOG.md …) or read off the code (commands, settings)
* every file of the repository that a page links to, so that no link of the site leads out of it
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "src")]

from building import commands, evidence, links, tables  # noqa: E402


def on_config(config: Any) -> None:
    """Leave out of the navigation what this version of the repository does not have (a page that is still to come)."""
    config.nav = _there(config.nav)


def _there(entries: list[Any]) -> list[Any]:
    kept = []
    for entry in entries:
        inner = next(iter(entry.values())) if isinstance(entry, dict) else entry
        if isinstance(inner, list):
            kept.append({next(iter(entry)): _there(inner)})
        elif links.is_there(inner):
            kept.append(entry)
    return kept


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages that are not files of docs/."""
    mounted = {path: uri for path, uri in links.MOUNTED.items() if (ROOT / path).exists()}
    pages = {uri: (ROOT / path).read_text("utf-8") for path, uri in mounted.items()}
    pages["reference/cli.md"] = commands.page()
    pages["reference/settings.md"] = tables.page()
    pages |= evidence.pages()
    for uri, text in pages.items():
        files.append(File.generated(config, uri, content=text))
    for path in links.linked():
        if links.copied(path):
            files.append(File.generated(config, links.uri_of(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Let the links of a page lead to where their files are on the site."""
    return links.rewritten(markdown, page.file.src_uri)
