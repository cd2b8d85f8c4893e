"""What `--verbose` adds to a finished run: how every choice fell, with what it was computed, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ilk.cli.show import Screen
    from ilk.runs import Run

__all__ = ["details"]

_MOST = 10_000  # files by name


def details(screen: Screen, run: Run) -> None:
    """Print choices, settings, machine and versions of a run, and every file of its source that has no group."""
    header = run.header
    if isinstance(encoder := header.get("encoder"), Mapping):
        screen.line(f"encoder  {encoder.get('name')}: {encoder.get('why')}; computed by {encoder.get('backend')}")
    if isinstance(near := header.get("near"), Mapping) and near.get("why"):
        screen.line(f"near     {near['why']}")
    settings = {"preset": (header.get("params") or {}).get("preset"), **(header.get("resolved") or {})}
    for key, value in settings.items():
        screen.line(f"setting  {key}={_plain(value)}")
    threads = header.get("threads")
    screen.line(f"seed     {header.get('seed')}")
    screen.line(f"device   {header.get('device')}" + (f", {threads} threads" if threads else ""))
    versions = ", ".join(f"{name} {version}" for name, version in header["versions"].items())
    screen.line(f"versions {versions}")
    images = run.images()
    rows = zip(images["path"], images["status"], images["reason"], strict=True)
    lost = [(path, reason) for path, status, reason in rows if status == "unreadable"]
    for path, reason in lost[:_MOST]:
        screen.line(f"unread   {path}: {reason}")
    if len(lost) > _MOST:
        screen.line(f"         and {len(lost) - _MOST:,} more, in images.parquet")


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_plain, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
