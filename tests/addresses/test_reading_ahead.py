"""Reading ahead: every image once, in any order, many at a time, and never more than was said."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from afar import Put, pictures
from test_addresses import listed

from ilk.files import addresses, open_source, reading_ahead, remote
from ilk.files.ahead import Ahead, NoAnswer
from ilk.files.quick import Quick


def no_size(i: int) -> int:
    return 0


def test_requests_are_under_way_together() -> None:
    together = threading.Barrier(8)

    def read(i: int) -> bytes:
        together.wait(20)  # returns only when eight are here
        return bytes([i])

    ahead = Ahead(read, no_size, range(16), requests=8, most=16)
    assert [ahead.take(i) for i in range(16)] == [bytes([i]) for i in range(16)]
    ahead.close()


@pytest.mark.parametrize("quick", [True, False])
def test_a_client_of_s3_has_as_many_connections_as_requests(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs")
    if not quick:
        monkeypatch.setattr(Quick, "of", lambda *_: None)
    together = threading.Barrier(remote.REQUESTS)

    class Patient(BaseHTTPRequestHandler):
        """Answers when as many as were promised wait for it, and refuses for ever if they do not come."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                together.wait(20)
            except threading.BrokenBarrierError:
                self.send_error(403)
                return
            self.send_response(200)
            self.send_header("Content-Length", "1")
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            self.end_headers()
            self.wfile.write(b"x")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Patient) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        words = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}
        for name, value in {**words, "ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        remote.forget()
        store = remote.store_of(addresses.checked("s3://pics"))
        n = 2 * remote.REQUESTS
        ahead = Ahead(lambda i: store.read(f"pics/{i}"), no_size, range(n))
        assert [ahead.take(i) for i in range(n)] == [b"x"] * n
        ahead.close()
        server.shutdown()
    remote.forget()


def test_each_is_read_once_whatever_the_order_in_which_it_is_taken() -> None:
    read: list[int] = []

    def one(i: int) -> bytes:
        read.append(i)
        return bytes([i])

    order = [*range(50, 100), *range(50)]
    ahead = Ahead(one, no_size, range(100), requests=4, most=4)
    assert [ahead.take(i)[0] for i in order] == order
    ahead.close()
    assert sorted(read) == list(range(100))


def test_no_more_is_held_than_was_said() -> None:
    asked: list[int] = []
    done = threading.Event()

    def read(i: int) -> bytes:
        asked.append(i)
        if len(asked) == 5:
            done.set()
        return b"x"

    ahead = Ahead(read, no_size, range(1000), requests=2, most=5)
    assert done.wait(20)
    ahead.close()
    assert sorted(asked) == list(range(5))  # nobody has taken any: the sixth waits for that
    large = Ahead(read, lambda i: 200 * 2**20, range(1000), requests=8, most=100)
    large.take(0)
    large.close()
    assert len(asked) <= 5 + 4  # two of 200 MiB are more than 256


def test_a_server_that_stops_is_told_from_images_that_are_broken() -> None:
    def gone(i: int) -> bytes:
        raise OSError("gone") from FileNotFoundError()

    def refused(i: int) -> bytes:
        raise OSError("expired") from remote.NotHad("expired")

    broken = Ahead(gone, no_size, range(200))
    for i in range(200):
        with pytest.raises(OSError, match="gone"):
            broken.take(i)
    broken.close()
    stopped = Ahead(refused, no_size, range(200))
    for i in range(63):
        with pytest.raises(OSError, match="expired"):
            stopped.take(i)
    with pytest.raises(NoAnswer, match="64 images one after the other"):
        stopped.take(63)
    stopped.close()


def test_only_what_lies_at_an_address_is_read_ahead(memory: Put, tmp_path: Any) -> None:
    for name, data in pictures(3).items():
        (tmp_path / name.rpartition("/")[2]).write_bytes(data)
    here, there = open_source(tmp_path), listed(memory(pictures(3)))
    with reading_ahead(here, range(3)), reading_ahead(there, range(3)):  # type: ignore[arg-type]
        assert here.ahead is None  # type: ignore[union-attr]
        assert there.ahead is not None
        assert there.read(1)
    assert there.ahead is None
