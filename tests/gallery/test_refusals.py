"""Who is refused what: every sentence of the security paragraph, each with a request that differs in one thing only."""

from __future__ import annotations

import hmac
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from asking import Answer, Browser
from trial import tree

from ilk.gallery import Served, serving

MOVE = {"do": "ignore", "images": [0], "last": 0}
ADDRESSES = ("/", "/static/app.js", "/api/run", "/api/state", "/api/rows?view=all", "/thumb/0", "/original/0")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, finished: Path) -> Iterator[Served]:
    """One gallery for all: what is refused changes nothing."""
    with serving(shutil.copytree(finished, tmp_path_factory.mktemp("refused") / "run")) as found:
        ours = Browser(found)
        assert ours.send("/api/do", MOVE).status == 200
        assert ours.do(do="undo")["state"]["ignored"] == 0
        yield found
        assert (found.gallery.opened.path / "corrections.jsonl").read_text().count("\n") == 2


def test_a_page_of_ours_is_let_in(page: Browser) -> None:
    for address in ADDRESSES:
        assert page.ask(address).status == 200, address
    assert page.ask("/api/run", host=f"localhost:{page.port}").status == 200
    before = {**MOVE, "last": 1}
    assert page.send("/api/do", before).status == 409  # it got as far as the journal
    same = {"content_type": "Application/JSON; charset=utf-8", "origin": page.origin}
    assert page.send("/api/do", before, **same).status == 409


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", "0.0.0.0:{port}", "127.0.0.1.evil.example:{port}", ""],
)
@pytest.mark.parametrize("address", ADDRESSES)
def test_another_host_is_refused(page: Browser, host: str, address: str) -> None:
    answer = page.ask(address, host=host.format(port=page.port))
    assert answer.status in (400, 403), answer  # without any Host it is no HTTP
    assert b"PNG" not in answer.body


def test_two_hosts_are_refused(page: Browser) -> None:
    assert page.ask("/api/run", Host="evil.example").status in (400, 403)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://localhost:{port}"]
)
def test_another_origin_is_refused(page: Browser, origin: str) -> None:
    origin = origin.format(port=page.port)
    assert page.send("/api/do", MOVE, origin=origin).status == 403
    assert page.ask("/api/run", origin=origin).status == 403


def test_a_change_needs_an_origin(page: Browser) -> None:
    assert "Origin" in page.send("/api/do", MOVE, origin="").error


@pytest.mark.parametrize("token", ["", "x", "ä", "{token}x", "{cut}"])
def test_another_token_lets_nobody_in(served: Served, page: Browser, token: str) -> None:
    given = token.format(token=served.token, cut=served.token[:-1])
    answer = page.ask(f"/?token={quote(given)}", cookie=None)
    assert answer.status == 403
    assert "set-cookie" not in answer.headers
    assert "ilk gallery" in answer.error


def test_the_address_on_a_browsers_command_line_is_worth_nothing_once_it_was_opened(
    served: Served, page: Browser
) -> None:
    way = served.once().removeprefix(f"http://127.0.0.1:{served.port}")
    assert served.token not in way
    first, second = (page.ask(way, cookie=None) for _ in range(2))
    assert (first.status, second.status) == (303, 403)
    assert page.ask(f"/?token={served.token}", cookie=None).status == 303, "what was printed stays good"


def test_the_token_is_for_the_first_address_only(served: Served, page: Browser) -> None:
    assert page.ask(f"/api/run?token={served.token}", cookie=None).status == 403
    assert page.ask(f"/?token={served.token}", "HEAD", cookie=None).status == 403


@pytest.mark.parametrize("cookie", [None, "", "ilk-gallery-{port}=", "ilk-gallery-{port}=x", "other={secret}", "\\;=,"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_without_the_cookie_there_is_nothing(page: Browser, cookie: str | None, address: str) -> None:
    secret = page.cookie.partition("=")[2]
    given = None if cookie is None else cookie.format(port=page.port, secret=secret)
    answer = page.ask(address, cookie=given)
    assert answer.status == 403
    assert "ilk gallery" in answer.error
    assert page.ask("/api/do", "POST", json.dumps(MOVE).encode(), cookie=given, origin=page.origin,
                    content_type="application/json").status == 403  # fmt: skip


def test_a_page_can_know_its_gallery_again_and_nobody_learns_how(served: Served, page: Browser) -> None:
    proof = page.get("/api/run")["proof"]
    answer = page.ask("/alive?n=1", cookie=None)
    assert answer.json == {"proof": hmac.new(proof.encode(), b"n=1", "sha256").hexdigest()}
    assert proof.encode() not in answer.body
    assert page.ask("/alive?n=1", cookie=None, host="evil.example").status == 403
    assert page.ask("/alive?n=1", cookie=None, origin="http://evil.example").status == 403
    assert page.ask("/alive?n=1", "POST", b"", cookie=None).status == 403


def test_the_cookie_is_for_this_page_alone(served: Served, page: Browser) -> None:
    set_cookie = page.ask(f"/?token={served.token}", cookie=None).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {*set_cookie.split("; ")}
    assert served.token not in set_cookie
    assert str(page.port) in set_cookie.partition("=")[0]  # browsers send the cookies of all ports


def test_who_comes_from_elsewhere_gets_a_page_that_leads_on(served: Served, page: Browser) -> None:
    answer = page.ask(f"/?token={served.token}", cookie=None, sec_fetch_site="cross-site")
    assert answer.status == 200
    assert b"url=/" in answer.body
    assert served.token.encode() not in answer.body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "ILK"])
def test_another_method_is_refused(page: Browser, method: str) -> None:
    answer = page.ask("/api/state", method, origin=page.origin)
    assert answer.status == 405
    assert "GET" in answer.headers["allow"]


def test_what_is_read_cannot_be_sent_to(page: Browser) -> None:
    for address in ("/api/state", "/thumb/0", "/", "/api/run"):
        assert page.send(address, {}).status == 405
    for address in ("/api/do", "/api/regroup", "/api/export", "/api/regroup/accept"):
        assert page.ask(address).status == 405


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_what_is_sent_is_called_json(page: Browser, kind: str) -> None:
    assert page.send("/api/do", MOVE, content_type=kind).status == 415


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"do": NaN', b"[" * 100_000, b"\xff\xfe", b"do=undo"])
def test_what_is_sent_is_json(page: Browser, body: bytes) -> None:
    assert page.send("/api/do", body).status == 400


def test_too_much_at_once_is_refused(page: Browser) -> None:
    body = json.dumps({**MOVE, "images": [0] * 2_000_000}).encode()
    try:
        answer: Answer | None = page.send("/api/do", body)
    except ConnectionError:  # it answered, and read no further
        answer = None
    assert answer is None or answer.status == 413
    assert "200,000" in page.send("/api/do", {**MOVE, "images": [0] * 200_001, "last": 2}).error


PARTS = ["../run.json", "..%2frun.json", "%2e%2e/run.json", "..", "-1", "36", "1e3", "٣", "0x1", "0/", "9" * 400, "%00"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("address", ["/thumb/", "/original/", "/api/image/", "/api/stack/"])
def test_an_image_is_named_by_its_row_alone(page: Browser, address: str, part: str) -> None:
    answer = page.ask(address + quote(part, safe="/%.-"))
    assert answer.status in (404, 405), answer
    assert "error" in answer.json


@pytest.mark.parametrize(
    "name",
    [
        "../__init__.py",
        "..%2fapp.py",
        "%2e%2e/app.py",
        "/etc/passwd",
        "//etc/passwd",
        "views/../../app.py",
        "",
        "views",
    ],
)
def test_files_of_the_page_are_a_fixed_table(page: Browser, name: str) -> None:
    answer = page.ask("/static/" + name)
    assert answer.status == 404
    assert b"import" not in answer.body


@pytest.mark.parametrize(
    "name", ["../x", "..", ".", "a/b", "/tmp/x", "", ".hidden", "con", "a\x00b", "x" * 300, 7, None, "a\\b"]
)
def test_exports_have_one_plain_name(page: Browser, served: Served, name: object) -> None:
    before = tree(served.gallery.opened.path)
    assert page.send("/api/export", {"to": name, "mode": "csv"}).status == 400
    assert tree(served.gallery.opened.path) == before


def test_exports_go_through_no_link(page: Browser, served: Served, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    served.gallery.exports.mkdir()
    (served.gallery.exports / "linked").symlink_to(tmp_path / "elsewhere")
    assert "link" in page.send("/api/export", {"to": "linked", "mode": "csv"}).error
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    "query", ["", "group=x", "group=1&view=all", "view=secret", "view=all&sort=none", "q=" + "x" * 5000]
)
def test_odd_questions_are_refused(page: Browser, query: str) -> None:
    assert page.ask(f"/api/rows?{query}").status == 400


@pytest.mark.parametrize("side", ["0", "-1", "x", "999999", ""])
def test_odd_sizes_are_refused(page: Browser, side: str) -> None:
    assert page.ask(f"/original/0?side={side}").status == 400


def test_every_answer_says_what_may_be_done_with_it(page: Browser) -> None:
    kinds = {
        "/": "text/html; charset=utf-8",
        "/static/app.js": "text/javascript; charset=utf-8",
        "/api/map": "application/octet-stream",
    }
    for address in (*ADDRESSES, "/api/map", "/nothing", "/static/nothing"):
        for answer in (page.ask(address), page.ask(address, cookie=None), page.ask(address, host="evil.example")):
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert "access-control-allow-origin" not in answer.headers
            assert "server" not in answer.headers
        if address in kinds:
            assert page.ask(address).headers["content-type"] == kinds[address]
