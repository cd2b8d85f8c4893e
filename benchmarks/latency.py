"""How much slower photos are encoded from a server that waits before each answer than from the local disk.

    python benchmarks/latency.py PHOTOS.tar [--images 600] [--wait 0.05] [--model fast] [--rounds 3]

The server is a process of its own on the loopback, which speaks as much of S3 as listing and reading take, and waits
`wait` seconds before every answer. Photos are given again and again with their own bytes at the end, so that every one
has another hash and is decoded. In each round, one after the other, each in a process of its own with an empty cache of
features: the local folder; the server; the server without reading ahead (one image a worker at a time). Ratios are
taken within a round; CPU seconds are those of the process that encodes, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from common import cpu_seconds, members


async def serve(folder: Path, wait: float) -> None:
    """Answer as S3 does, for ever; the port is printed."""
    files = {path.name: path for path in sorted(folder.iterdir())}
    entry = "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{}&quot;</ETag>"
    entry += "<Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    head = '<?xml version="1.0"?><ListBucketResult><Name>b</Name><Prefix>p/</Prefix><IsTruncated>false</IsTruncated>'

    def answer(line: str) -> tuple[str, bytes]:
        asked = urlsplit(line.split(" ")[1])
        if "list-type" in parse_qs(asked.query):
            every = "".join(entry.format(f"p/{n}", n, p.stat().st_size) for n, p in files.items())
            return "200 OK", f"{head}<KeyCount>{len(files)}</KeyCount>{every}</ListBucketResult>".encode()
        path = files.get(unquote(asked.path).rpartition("/")[2])
        return ("404 Not Found", b"") if path is None else ("200 OK", path.read_bytes())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                line = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                await asyncio.sleep(wait)
                status, body = answer(line)
                kind = "application/xml" if body[:5] == b"<?xml" else "image/jpeg"
                words = (
                    f"HTTP/1.1 {status}",
                    f"Content-Length: {len(body)}",
                    f"Content-Type: {kind}",
                    'ETag: "x"',
                    "",
                    "",
                )
                writer.write("\r\n".join(words).encode() + (b"" if line.startswith("HEAD") else body))
                await writer.drain()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def encode(source: str, model: str, cache: str, ahead: bool) -> dict[str, Any]:
    """Encode all of `source`; features are kept nowhere."""
    import hashlib

    from ilk.data import open_images
    from ilk.encoders import build, encode
    from ilk.files import Listing

    if not ahead:
        Listing.remote = False  # type: ignore[assignment,method-assign]
    begin = time.perf_counter()
    images = open_images(source)
    listed = time.perf_counter() - begin
    encoder = build(model, source=images, cache=cache)
    before, start = cpu_seconds(), time.perf_counter()
    found = encode(images, encoder, cache=None)
    seconds = time.perf_counter() - start
    cpu_ms = 1000 * (cpu_seconds() - before) / len(images)
    digest = hashlib.sha256(found.features.tobytes()).hexdigest()[:16]
    return {"images_per_second": len(images) / seconds, "cpu_ms": cpu_ms, "list_seconds": listed, "digest": digest}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return medians over the rounds, and the rounds."""
    photos, rounds = [data for _, data in members(options.photos)], []
    me = [sys.executable, __file__]
    with tempfile.TemporaryDirectory(prefix="ilk-latency-") as scratch:
        folder = Path(scratch) / "p"
        folder.mkdir()
        for i in range(options.images):
            (folder / f"{i:06d}.jpg").write_bytes(photos[i % len(photos)] + i.to_bytes(8, "little"))
        server = subprocess.Popen([*me, "--serve", str(folder), "--wait", str(options.wait)], stdout=subprocess.PIPE)
        assert server.stdout is not None
        port = int(server.stdout.readline())
        words = {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "DEFAULT_REGION": "us-east-1"}
        words["ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
        own = {**os.environ, **{f"AWS_{name}": value for name, value in words.items()}}

        def apart(source: str, *more: str) -> dict[str, Any]:
            command = [*me, "--encode", source, "--model", options.model, "--cache", f"{scratch}/cache", *more]
            done = subprocess.run(command, env=own, stdout=subprocess.PIPE, text=True, check=True)
            found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
            return found

        try:
            apart(str(folder))  # the encoder is converted
            for _ in range(options.rounds):
                found = {"disk": apart(str(folder)), "server": apart("s3://b/p")}
                found["one_by_one"] = apart("s3://b/p", "--no-ahead")
                found["load"] = os.getloadavg()[0]
                print(json.dumps(found), file=sys.stderr)
                rounds.append(found)
        finally:
            server.terminate()
            server.wait()
    assert len({one[way]["digest"] for one in rounds for way in ("disk", "server", "one_by_one")}) == 1

    def ratio(way: str, key: str) -> float:
        return statistics.median(one[way][key] / one["disk"][key] for one in rounds)

    return {
        "images": options.images,
        "wait_seconds": options.wait,
        "model": options.model,
        "cores": os.cpu_count(),
        "rate_ratio": ratio("server", "images_per_second"),
        "rate_ratio_one_by_one": ratio("one_by_one", "images_per_second"),
        "cpu_ratio": ratio("server", "cpu_ms"),
        "rounds": rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="?")
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--wait", type=float, default=0.05)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache")
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--encode")
    parser.add_argument("--no-ahead", action="store_true")
    options = parser.parse_args()
    if options.serve is not None:
        asyncio.run(serve(options.serve, options.wait))
    elif options.encode is not None:
        print(json.dumps(encode(options.encode, options.model, options.cache, not options.no_ahead)))
    elif options.photos is None:
        parser.error("give a tar of photos")
    else:
        print(json.dumps(measure(options)))


if __name__ == "__main__":
    main()
