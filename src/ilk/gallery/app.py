"""The addresses of the gallery, and what each answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ilk import disk
from ilk.errors import ArgumentError
from ilk.gallery.answers import Missing, as_json, data, digest, getting, posting
from ilk.gallery.gallery import Gallery
from ilk.gallery.listing import Asked, images, number
from ilk.gallery.security import refusal

__all__ = ["KINDS", "application", "statics"]

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
"""Media types of the page's own files, by ending; others are not served."""
_BYTES = "application/octet-stream"
_STATIC = Path(__file__).parent / "static"
_FILE = 4 << 20
_SIDE = 16_384
_QUICK = 12  # quick answers at a time: more threads answer no sooner, and each takes memory
_SLOW = 2  # slow answers at a time; the others are not held up by them
_ORIGINALS = 4  # at a time: some take seconds to decode, and thumbnails are not to wait for them
_QUEUE = 500


def statics(folder: Path = _STATIC) -> dict[str, Path]:
    """Return the page's own files by the name under which they are served."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix in KINDS)
    return {path.relative_to(folder).as_posix(): path for path in found}


def application(gallery: Gallery) -> Starlette:
    """Return what answers for `gallery`; who may ask is the business of `security.Guard`."""
    slow, quick = anyio.CapacityLimiter(_SLOW), anyio.CapacityLimiter(_QUICK)
    get: dict[str, Callable[[Gallery, Request], Response]] = {
        "/api/run": lambda at, request: as_json(request, at.about()),
        "/api/state": _state,
        "/api/rows": _rows,
        "/api/stack/{row}": lambda at, request: as_json(request, {"rows": at.stack(_row(at, request))}),
        "/api/image/{row}": lambda at, request: as_json(request, at.image(_row(at, request))),
        "/thumb/{row}": _thumb,
        "/api/facets": lambda at, request: as_json(request, at.beside().facets.answer()),
        "/api/labels": _labels,
        "/api/column/{name}": _column,
        "/api/map": _map,
        "/api/journal": lambda at, request: as_json(request, {"actions": at.opened.journal()}),
    }
    seconds: dict[str, Callable[[Gallery, Request], Response]] = {
        "/api/queue": lambda at, request: as_json(request, at.again.queue(_limit(request))),
        "/api/tree": lambda at, request: as_json(request, at.again.tree()),
        "/api/tree/{k}": lambda at, request: as_json(request, at.again.cut(_k(request))),
    }
    post: dict[str, tuple[Callable[[Gallery, Request, dict[str, Any]], Any], Any]] = {
        "/api/do": (lambda at, request, sent: at.do(sent), quick),
        "/api/regroup": (lambda at, request, sent: at.again.preview(), slow),
        "/api/regroup/accept": (lambda at, request, sent: at.accept(sent), slow),
        "/api/tree/{k}": (lambda at, request, sent: at.take(_k(request)), slow),
        "/api/export": (lambda at, request, sent: at.export(sent), slow),
    }
    own, files = statics(), dict[str, tuple[int, bytes]]()

    def static(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if (path := own.get(name)) is None:
            raise Missing(f"there is no {disk.printable(name[:80])}")
        changed = path.stat().st_mtime_ns
        if name not in files or files[name][0] != changed:
            files[name] = changed, disk.read_bytes(path, _FILE)
        body = files[name][1]
        return data(request, body, KINDS[path.suffix], digest(body))

    def bound(answer: Callable[[Gallery, Request], Response]) -> Callable[[Request], Response]:
        return lambda request: answer(gallery, request)

    def sent(answer: Callable[[Gallery, Request, dict[str, Any]], Any]) -> Any:
        return lambda request, given: as_json(request, answer(gallery, request, given))

    routes = [Route("/", getting(static, quick)), Route("/static/{name:path}", getting(static, quick))]
    routes += [Route(path, getting(bound(answer), quick)) for path, answer in get.items()]
    routes.append(Route("/original/{row}", getting(bound(_original), anyio.CapacityLimiter(_ORIGINALS))))
    routes += [Route(path, getting(bound(answer), slow)) for path, answer in seconds.items() if path not in post]
    routes += [
        Route(path, posting(sent(answer), limiter), methods=["POST"])
        for path, (answer, limiter) in post.items()
        if path not in seconds
    ]
    for path in seconds.keys() & post.keys():  # one address, two methods
        looked, done = getting(bound(seconds[path]), slow), posting(sent(post[path][0]), slow)
        routes.append(Route(path, _by_method(looked, done), methods=["GET", "POST"]))
    app = Starlette(routes=routes, exception_handlers={404: _missing, 405: _method})
    app.router.redirect_slashes = False
    return app


def _by_method(looked: Any, done: Any) -> Any:
    async def endpoint(request: Request) -> Response:
        return await (done if request.method == "POST" else looked)(request)  # type: ignore[no-any-return]

    return endpoint


async def _missing(request: Request, error: Exception) -> Response:
    return refusal(404, "there is nothing at this address")


async def _method(request: Request, error: Any) -> Response:
    return refusal(405, f"{request.method} is not for this address", **(error.headers or {}))


# -- answers -----------------------------------------------------------------------------------------------------------


def _row(gallery: Gallery, request: Request) -> int:
    return gallery.row(request.path_params["row"])


def _k(request: Request) -> int:
    return number(request.path_params["k"], "k")


def _limit(request: Request) -> int:
    limit = number(request.query_params.get("limit", "50"), "limit")
    if not 1 <= limit <= _QUEUE:
        raise ArgumentError(f"limit={limit}: ask for 1 to {_QUEUE}")
    return limit


def _state(gallery: Gallery, request: Request) -> Response:
    state, version = gallery.state()
    return as_json(request, state, etag=version)


def _rows(gallery: Gallery, request: Request) -> Response:
    asked, now, beside = Asked.of(request.query_params), gallery.now(), gallery.beside()
    outliers = gallery.again.outliers() if asked.view == "outliers" else np.empty(0, np.int64)
    found = images(gallery.opened, now, beside.facets, beside.stacks, outliers, asked)
    return as_json(request, found)


def _thumb(gallery: Gallery, request: Request) -> Response:
    row = _row(gallery, request)
    try:
        body, kind = gallery.beside().sprites.picture(row)
    except IndexError:
        raise Missing(f"the run has no thumbnail of image {row}") from None
    return data(request, body, kind, f"{gallery.key()}-{row}", keep=True, packed=False)


def _original(gallery: Gallery, request: Request) -> Response:
    row, side = _row(gallery, request), request.query_params.get("side")
    wanted = None if side is None else number(side, "side")
    if wanted is not None and not 1 <= wanted <= _SIDE:
        raise ArgumentError(f"side={wanted}: ask for 1 to {_SIDE:,} pixels")
    body, kind = gallery.beside().originals.picture(row, wanted)
    return data(request, body, kind, digest(body), packed=False)


def _labels(gallery: Gallery, request: Request) -> Response:
    now = gallery.now()
    return data(request, now.labels.astype("<i4").tobytes(), _BYTES, now.version)


def _column(gallery: Gallery, request: Request) -> Response:
    name, now, facets = request.path_params["name"], gallery.now(), gallery.beside().facets
    if name == "confidence":
        return data(request, now.certainty.astype("<f4").tobytes(), _BYTES, now.version)
    if name == "said":
        return data(request, now.grouping.said.astype("<i4").tobytes(), _BYTES, now.version)
    if name in ("folder", "date", "camera"):
        body = facets.column(name).astype("<i4").tobytes()
        return data(request, body, _BYTES, digest(body))
    raise Missing(f"there is no column {disk.printable(name[:40])}")


def _map(gallery: Gallery, request: Request) -> Response:
    found = gallery.beside().map
    if found is None:
        raise Missing("this run has no map")
    return data(request, np.asarray(found, "<f4").tobytes(), _BYTES, gallery.key())
