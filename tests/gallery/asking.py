"""A browser's half of the gallery, without a browser."""

from __future__ import annotations

import gzip
import http.client
import json
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The JSON in it."""
        assert self.headers["content-type"] == "application/json", self
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """Why it was refused: one sentence."""
        assert self.status >= 400, self
        assert list(self.json) == ["error"]
        return str(self.json["error"])


class Browser:
    """Somebody who was let in; `headers` and `host` can be others than a page of ours would send."""

    def __init__(self, served: Any) -> None:
        self.port = served.port
        self.origin = f"http://127.0.0.1:{served.port}"
        self.cookie = ""
        answer = self.ask(f"/?token={served.token}", cookie=None)
        assert answer.status == 303, answer
        assert answer.headers["location"] == "/"
        self.cookie = answer.headers["set-cookie"].partition(";")[0]

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, *, cookie: str | None = "own", **headers: str
    ) -> Answer:
        """Send one request. A header without a value is not sent."""
        sent = {"host": f"127.0.0.1:{self.port}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if cookie is not None:
            sent["cookie"] = self.cookie if cookie == "own" else cookie
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value:
                    connection.putheader(name, value)
            if body is not None:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            found = connection.getresponse()
            data = found.read()
        finally:
            connection.close()
        told = {name.lower(): value for name, value in found.getheaders()}
        return Answer(found.status, told, gzip.decompress(data) if told.get("content-encoding") == "gzip" else data)

    def get(self, path: str) -> Any:
        """Return the JSON at `path`."""
        answer = self.ask(path)
        assert answer.status == 200, answer
        return answer.json

    def send(self, path: str, body: Any, **headers: str) -> Answer:
        """Send JSON as a page of ours does."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask(path, "POST", data, **{"origin": self.origin, "content_type": "application/json", **headers})

    def do(self, **what: Any) -> Any:
        """Make a correction, by what is there now; return what is answered."""
        answer = self.send("/api/do", {"last": self.get("/api/state")["last"], **what})
        assert answer.status == 200, answer
        return answer.json
