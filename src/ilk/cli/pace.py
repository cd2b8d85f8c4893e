"""How fast images were encoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["speed"]


def speed(header: Mapping[str, Any]) -> str:
    """Return how fast images were encoded, and how many did not have to be."""
    rate = header["summary"]["images_per_second"]
    counts = header.get("encoded") or {"now": rate, "cached": 0}
    if not counts["now"]:
        return "; images from the cache" if counts["cached"] else ""
    cached = (
        f", {counts['cached']:,} of {counts['now'] + counts['cached']:,} from the cache" if counts["cached"] else ""
    )
    return f"; {rate:,.0f} images/s{cached}"
