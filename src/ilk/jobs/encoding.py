"""The images of a source into a cache, all of them or one part of several: the first half of a job."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ilk.errors import ArgumentError
from ilk.files import without_secrets
from ilk.jobs import asking

__all__ = ["encode"]

OnEvent = Callable[[dict[str, Any]], bool | None]


def encode(
    source: Any,
    cache: str | Path,
    *,
    part: tuple[int, int] = (1, 1),
    encoder: Any = "auto",
    weights: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    split: str = "all",
    device: str = "auto",
    precision: str = "auto",
    by_content: bool = False,
    on_event: OnEvent | None = None,
) -> dict[str, Any]:
    """Encode the images of `source` into `cache`: afterwards `cluster` with the same encoder and cache encodes nothing.

    Parameters
    ----------
    source
        As in `cluster`.
    cache
        Where features are kept; shared by all who encode a part.
    part : (i, of)
        Part `i` (1 … `of`) of `of` about equal ones, of the images in the order of the listing. Any number of
        processes, on any number of machines, may work on parts at the same time.
    encoder, weights, device, precision, settings
        As in `ilk.encoders.build`; ``range`` and ``bands`` may stand among the settings. "auto" is decided for the
        whole source by the first process, and kept in the cache for the others: see `ilk.scale.decide`.
    split, by_content
        As in `cluster`.
    on_event
        Called with what happens; a true answer stops: `Interrupted` is raised, and the same call goes on.

    Returns
    -------
    dict
        "part" [i, of], "rows" [a, b], "n_images", "n_encoded", "n_cached" and "n_duplicates" of this part, "unreadable"
        (name and reason of up to 100, and "n_unreadable"), "encoder", "precision", "cache", "seconds",
        "images_per_second", "notes", "next" (the command that groups all images).
    """
    began = time.perf_counter()
    notify = on_event or (lambda event: None)
    i, of = part
    if not 1 <= i <= of:
        raise ArgumentError(f"--part {i}/{of}: parts are counted from 1 to {of}.")
    settings = dict(settings or {})
    reading = {key: settings.pop(key) for key in ("range", "bands") if key in settings}
    opened = asking.opened(source, split, by_content)
    given, piece = (source, split) if opened is None else (opened, "all")
    from ilk import scale
    from ilk.data import OwnFeatures, open_images

    images = open_images(given, piece, **reading)
    if isinstance(images, OwnFeatures):
        raise ArgumentError("the source is features already: there is nothing to encode. Give it to `ilk cluster`.")
    n = len(images)
    a, b = scale.share(n, i, of)
    listed = time.perf_counter() - began
    entry = {"event": "found", "n": n, "what": asking.what(images), "notes": asking.notes(images), "seconds": listed}
    notify({**entry, "passed": asking.passed_over(images).lines()})
    chosen = scale.decide(
        images, cache, encoder, weights=weights, settings=settings, device=device, precision=precision
    )
    notify({"event": "stage", "stage": "encoder", "encoder": chosen.name, "why": chosen.why, "notes": chosen.notes})
    notify({"event": "part", "part": [i, of], "rows": [a, b]})
    notify({"event": "stage", "stage": "encode", "begin": True})

    def progress(done: int, total: int) -> bool:
        return bool(notify({"event": "stage", "stage": "encode", "done": done, "total": total}))

    found = scale.encode_part(images, chosen, cache, a, b, on_progress=progress)
    notify({"event": "stage", "stage": "encode", "seconds": round(found.seconds, 3)})
    rest = {
        "part": [i, of],
        "rows": [a, b],
        "encoder": chosen.name,
        "backend": chosen.backend,
        "precision": chosen.precision,
        "cache": str(cache),
        "seconds": round(time.perf_counter() - began, 2),
        "images_per_second": round(found.images_per_second, 1),
        "notes": [*chosen.notes, *found.notes],
        "next": _next(source, cache, chosen, encoder, split, settings),
    }
    return {**_counts(found, images, a), **rest}


def _counts(found: Any, images: Any, first: int) -> dict[str, Any]:
    """Return what became of the images of a part that begins at row `first`."""
    bad = [row for row, status in enumerate(found.status) if status == "unreadable"]
    names = images.names([first + row for row in bad[:100]]) if bad else []
    return {
        "n_images": len(found.status),
        "n_encoded": found.n_encoded,
        "n_cached": found.n_cached,
        "n_duplicates": found.status.count("duplicate"),
        "n_unreadable": len(bad),
        "unreadable": [
            {"path": name, "reason": found.reasons[row]} for name, row in zip(names, bad[:100], strict=True)
        ],
    }


def _next(source: Any, cache: Any, chosen: Any, asked: Any, split: str, settings: Mapping[str, Any]) -> str:
    """Return the command that groups all images with this encoder, wherever it is given."""
    paths = source if isinstance(source, list | tuple) else [source]
    name = asked if isinstance(asked, str) and asked != "auto" else chosen.name
    words = [
        "ilk",
        "cluster",
        *(without_secrets(str(path)) for path in paths),
        "--cache",
        str(cache),
        "--encoder",
        name,
    ]
    words += [] if split == "all" else ["--split", split]
    words += ["--precision", chosen.precision] if chosen.backend in ("openvino", "torch") else []
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    return shlex.join(words)
