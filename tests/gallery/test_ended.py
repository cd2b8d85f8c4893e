"""A gallery that ended, in a real browser: the page says so, knows its gallery again, and tells nobody else a thing."""

from __future__ import annotations

import http.server
import json
import threading
from pathlib import Path

import browser

import ilk
from ilk.gallery import serving

LINE = "(document.querySelector('#toast .text') || {}).textContent"


def test_a_gallery_that_ends_is_said_and_nothing_is_lost(chromium: browser.Browser, finished_copy: Path) -> None:
    with serving(finished_copy) as served:
        chromium.visit(served.address)
        chromium.wait("document.body?.dataset.ready === 'true'")
    chromium.wait("document.getElementById('banner').textContent.includes('does not answer')")
    chromium.run("document.querySelector('#grid').focus()")
    chromium.key("x")
    chromium.wait(f"({LINE} || '').includes('does not answer')")
    assert f"ilk gallery {finished_copy}" in chromium.run("document.getElementById('banner').textContent")
    with serving(finished_copy) as again:
        assert again.port == served.port, "the run's own port"
        chromium.wait("document.getElementById('banner').textContent.includes('started anew')")
        other = chromium.run(f"(window.other = window.open({json.dumps(again.once())})) !== null")
        assert other, "the browser opens the new address in another tab"
        chromium.wait("document.getElementById('banner').textContent === ''")
        chromium.run("window.other.close()")
        chromium.ask("Page.bringToFront")
        chromium.run("document.querySelector('#grid').focus()")
        chromium.key("x")
        chromium.wait(f"({LINE} || '').includes('ignored')")
        ilk.load_run(finished_copy).corrections.undo()
    chromium.visit("about:blank")
    assert not any(live for _, live in ilk.load_run(finished_copy).corrections.actions())


def test_a_page_knows_its_gallery_again(chromium: browser.Browser, finished_copy: Path) -> None:
    online = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    with serving(finished_copy) as served:
        chromium.visit(served.address)
        chromium.wait("document.body?.dataset.ready === 'true'")
        chromium.ask("Network.emulateNetworkConditions", offline=True, **online)
        chromium.wait("document.getElementById('banner').textContent.includes('does not answer')")
        chromium.ask("Network.emulateNetworkConditions", offline=False, **online)
        chromium.wait("document.getElementById('banner').textContent === ''")
    chromium.visit("about:blank")


def test_who_takes_the_port_of_a_gallery_gets_no_cookie(chromium: browser.Browser, finished_copy: Path) -> None:
    asked: list[tuple[str, str | None]] = []

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Cookie"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"proof": "x"}')

        def log_message(self, *_: object) -> None: ...

    with serving(finished_copy) as served:
        chromium.visit(served.address)
        chromium.wait("document.body?.dataset.ready === 'true'")
    chromium.wait("document.getElementById('banner').textContent.includes('does not answer')")
    with http.server.ThreadingHTTPServer(("127.0.0.1", served.port), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        chromium.wait("document.getElementById('banner').textContent.includes('started anew')")
        chromium.run("document.querySelector('#grid').focus()")
        chromium.key("x")
        chromium.wait(f"({LINE} || '').includes('does not answer')")
        other.shutdown()
    assert {path.partition("?")[0] for path, _ in asked} == {"/alive"}
    assert {cookie for _, cookie in asked} == {None}
    chromium.visit("about:blank")
