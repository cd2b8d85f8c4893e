"""Answers: JSON and bytes with an ETag, compressed where that pays; errors as one sentence that says what to do."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ilk import disk
from ilk.errors import ArgumentError, DataError, IlkError, RunError
from ilk.gallery.opened import Outdated
from ilk.gallery.security import refusal

__all__ = ["BODY", "Missing", "ReadOnly", "as_json", "data", "getting", "posting"]

BODY = 4 << 20
"""Most bytes of what a page may send."""
_VALUES = 500_000  # in it
_SMALL = 2000  # bytes that are not worth compressing
_LEVEL = 1  # within one machine; a tunnel is slower than that

Endpoint = Callable[[Request], Awaitable[Response]]
_log = logging.getLogger("ilk.gallery")


class Missing(DataError):
    """There is no such image, group or page."""


class ReadOnly(RunError):
    """The run can be looked at only."""


def as_json(request: Request, found: Any, *, etag: str = "", status: int = 200) -> Response:
    """Return JSON."""
    return data(request, json.dumps(found, separators=(",", ":")).encode(), "application/json", etag, status=status)


def data(
    request: Request,
    body: bytes,
    kind: str,
    etag: str = "",
    *,
    status: int = 200,
    keep: bool = False,
    packed: bool = True,
) -> Response:
    """Return bytes of a media type.

    Parameters
    ----------
    request
    body, kind
    etag
        What changes with the content; with it a browser asks whether there is something new.
    status
    keep
        It never changes under this address.
    packed
        Whether it can be made smaller: pictures cannot.
    """
    headers = {"cache-control": "private, max-age=31536000, immutable" if keep else "no-cache" if etag else "no-store"}
    if etag:
        headers["etag"] = f'"{etag}"'
        if f'"{etag}"' in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
    if packed and len(body) > _SMALL and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, _LEVEL, mtime=0)
        headers |= {"content-encoding": "gzip", "vary": "accept-encoding"}
    return Response(body, status, headers, kind)


def digest(body: bytes) -> str:
    """Return an ETag of content."""
    return hashlib.blake2b(body, digest_size=12).hexdigest()


def getting(answer: Callable[[Request], Response], limiter: Any) -> Endpoint:
    """Return an endpoint that calls `answer` in a thread."""

    async def endpoint(request: Request) -> Response:
        return await _in_thread(lambda: answer(request), limiter)

    return endpoint


def posting(answer: Callable[[Request, dict[str, Any]], Response], limiter: Any) -> Endpoint:
    """Return an endpoint that reads a JSON object of bounded size, and calls `answer` with it in a thread."""

    async def endpoint(request: Request) -> Response:
        parts, size = [], 0
        try:
            async for part in request.stream():
                size += len(part)
                if size > BODY:
                    return refusal(413, f"more than {BODY >> 20} MiB at once: choose fewer images", connection="close")
                parts.append(part)
        except ClientDisconnect:
            return refusal(400, "the page went away")

        def made() -> Response:
            try:
                found = disk.parse_json(b"".join(parts), values=_VALUES)
            except ValueError as error:
                raise ArgumentError(f"what was sent is no JSON: {error}") from None
            if not isinstance(found, dict):
                raise ArgumentError("what was sent is no JSON object")
            return answer(request, found)

        return await _in_thread(made, limiter)

    return endpoint


async def _in_thread(made: Callable[[], Response], limiter: Any) -> Response:
    try:
        return await anyio.to_thread.run_sync(made, limiter=limiter)
    except IlkError as error:
        kinds = ((Missing, 404), (Outdated, 409), (ReadOnly, 403), (ArgumentError, 400), (DataError, 404))
        return refusal(next((status for kind, status in kinds if isinstance(error, kind)), 409), str(error))
    except Exception as error:
        _log.exception("the gallery failed at %s", disk.printable(made.__qualname__))
        return refusal(500, f"unexpected {type(error).__name__}: {disk.printable(str(error))[:300]}. Please report it.")
