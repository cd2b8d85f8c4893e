"""Who may ask the gallery what: this machine, a page of ours, somebody who was given the address. All else is refused.

A page from elsewhere in the same browser can send requests here: under a name of its own (DNS rebinding), from its own
origin, in a frame. So Host and Origin have to be ours, a cookie that a foreign page can neither read nor send has to be
there, and what is answered says that nobody may show, guess or run it.
"""

from __future__ import annotations

import hmac
import json
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HEADERS", "Guard", "refusal"]

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}
"""What every answer says."""

_JSON = "application/json"
_LONGEST = 200  # bytes of what is to be proved
_METHODS = ("GET", "HEAD", "POST")
_AGAIN = "open the address that `ilk gallery` printed"


def refusal(status: int, why: str, **headers: str) -> Response:
    """Return an error as the page reads it: one sentence."""
    return Response(json.dumps({"error": why}), status, headers, _JSON)


class Guard:
    """Lets pass to `app` what comes from a page of ours.

    Parameters
    ----------
    app
    port : int
        Of 127.0.0.1.
    token : str
        What the first address carries; in exchange the browser gets a cookie.
    proof : str
        What only pages that were let in know: by it a page that lost its gallery knows it again, and sends its cookie
        to nobody else who took the port meanwhile.
    """

    def __init__(self, app: ASGIApp, port: int, token: str, proof: str) -> None:
        self._app, self._proof = app, proof.encode()
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"} | ({"127.0.0.1", "localhost"} if port == 80 else set())
        self._token = token
        self._once: set[str] = set()
        self._cookie = f"ilk-gallery-{port}"  # browsers send the cookies of all ports of a machine
        self._secret = secrets.token_urlsafe(32)

    def once(self) -> str:
        """Return another token, which lets one browser in: it may stand where other users can read it."""
        token = secrets.token_urlsafe(24)
        self._once.add(token)
        return token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] != "http":
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        answer = self._refused(scope) or self._knocked(scope) or self._entered(scope) or self._unknown(scope)
        await (answer or self._app)(scope, receive, marked)

    def _refused(self, scope: Scope) -> Response | None:
        headers, method = Headers(scope=scope), scope["method"]
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return refusal(403, f"this gallery is for this machine only: {_AGAIN}")
        if method not in _METHODS:
            return refusal(405, f"{method[:20]} is none of {', '.join(_METHODS)}", allow=", ".join(_METHODS))
        origins = headers.getlist("origin")
        if any(origin != f"http://{hosts[0]}" for origin in origins):
            return refusal(403, "another page asks for this gallery's images: that is refused")
        if method == "POST" and len(origins) != 1:
            return refusal(403, "a change has to come from the gallery's own page: there is no Origin")
        if method == "POST" and headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            return refusal(415, "send JSON, and say so: Content-Type: application/json")
        return None

    def _knocked(self, scope: Scope) -> Response | None:
        """Prove to a page without its cookie that this is the gallery that let it in."""
        if scope["path"] != "/alive" or scope["method"] != "GET":
            return None
        given = scope["query_string"][:_LONGEST]
        return Response(json.dumps({"proof": hmac.new(self._proof, given, "sha256").hexdigest()}), 200, {}, _JSON)

    def _entered(self, scope: Scope) -> Response | None:
        """Answer who comes with the token."""
        if scope["path"] != "/" or scope["method"] != "GET" or not scope["query_string"]:
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        if not given:
            return None
        if given[0] in self._once:  # random, and gone with the first use: the time that this takes says nothing
            self._once.discard(given[0])
        elif not hmac.compare_digest(given[0].encode(), self._token.encode()):
            return refusal(403, f"this is not the token of this gallery: {_AGAIN}")
        if Headers(scope=scope).get("sec-fetch-site") == "cross-site":
            # somebody followed a link, say in a notebook: the browser keeps a strict cookie back as long as the way
            # leads on from there, but not from a page of ours
            answer = Response('<!doctype html><meta http-equiv="refresh" content="0;url=/">', media_type="text/html")
        else:
            answer = Response(status_code=303, headers={"location": "/"})
        answer.set_cookie(self._cookie, self._secret, httponly=True, samesite="strict", path="/")
        return answer

    def _unknown(self, scope: Scope) -> Response | None:
        """Refuse who has no cookie, or another one."""
        given = ""
        try:
            for header in Headers(scope=scope).getlist("cookie"):
                if (found := SimpleCookie(header).get(self._cookie)) is not None:
                    given = found.value
        except CookieError:
            given = ""
        if hmac.compare_digest(given.encode(), self._secret.encode()):
            return None
        return refusal(403, f"this browser has not been let in: {_AGAIN}")
