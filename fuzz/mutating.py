"""How valid input is damaged: bits, numbers at the edges, pieces moved; JSON, tables and tensors by what they mean."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["array", "bytes_of", "json_of", "table", "tensors"]

EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1)
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 3.5, float("nan"), float("inf"), -float("inf"), 10**9, 10**30, -(10**18), 2**63, 1e308,
    "", "x", "../../etc/passwd", "\x1b[31mred", "é" * 300, "\ud800", [], {}, [[]], ["a"], {"a": 1},
)  # fmt: skip
PIECES = (b"../", b"\0\0\0", b"999", b"\n\r,", b'"""', b"\x1b[2J", b"\xff\xfe")


def bytes_of(data: bytes, rng: random.Random, others: Sequence[bytes] = (), ends: bool = False) -> bytes:
    """Damage `data` in 1 to 20 places, most of them among its first bytes; with `ends`, among its last too."""
    found = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3, 6, 20])):
        if not found:
            break
        part = rng.random()
        if part < (0.4 if ends else 0.6):
            at = rng.randrange(min(len(found), 600 if ends else 400))
        elif ends and part < 0.8:
            at = max(0, len(found) - 1 - rng.randrange(700))
        else:
            at = rng.randrange(len(found))
        _one(found, at, rng, others)
    return bytes(found)


def _one(data: bytearray, at: int, rng: random.Random, others: Sequence[bytes]) -> None:
    kind = rng.randrange(9 if others else 8)
    if kind == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[at] = rng.randrange(256)
    elif kind == 2:
        width = rng.choice([1, 2, 4, 8])
        value = rng.choice(EDGES) & (256**width - 1)
        data[at : at + width] = value.to_bytes(width, rng.choice(["little", "big"]))
    elif kind == 3:
        del data[at : at + rng.choice([1, 4, 50, 10**6])]
    elif kind == 4:
        data[at:at] = rng.randbytes(rng.choice([1, 4, 60]))
    elif kind == 5:
        source, width = rng.randrange(len(data)), rng.choice([4, 32, 300])
        data[at : at + width] = data[source : source + width]
    elif kind == 6:
        data[at:at] = data[at : at + rng.choice([8, 100, 2000])] * rng.choice([1, 2, 30])
    elif kind == 7:
        data[at : at + 3] = rng.choice(PIECES)
    else:
        other = rng.choice(others)
        start = rng.randrange(max(1, len(other)))
        data[at:at] = other[start : start + 200]


def json_of(data: bytes, rng: random.Random) -> bytes:
    """Take one value of a JSON document away, or put another in its place."""
    if rng.random() < 0.02:
        return b"[" * 100_000 + b"]" * 100_000
    tree = json.loads(data)
    places = [place for place in _places(tree) if place]
    if not places:
        return b"[]"
    *outer, last = rng.choice(places)
    inner = tree
    for key in outer:
        inner = inner[key]
    kind, old = rng.randrange(4), inner[last]
    if kind == 0:
        del inner[last]
    elif kind == 1 and isinstance(old, int | float) and not isinstance(old, bool):
        inner[last] = rng.choice([-old - 1, old * 1000 + 7, old + 0.5])
    else:
        inner[last] = rng.choice(VALUES)
    return json.dumps(tree).encode()


def _places(tree: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _places(value, (*place, key))
    elif isinstance(tree, list):
        for i, value in enumerate(tree[:4]):
            yield from _places(value, (*place, i))


def tensors(data: bytes, rng: random.Random) -> bytes:
    """Change one tensor of a safetensors file: its length, kind, shape or values."""
    from safetensors.numpy import load, save

    held = load(data)
    name = rng.choice(sorted(held))
    a, kind = held[name], rng.randrange(9)
    real = a.dtype.kind == "f"
    if kind == 0:
        del held[name]
    elif kind == 1:
        held[name] = a[: len(a) // 2] if a.ndim else np.zeros(3, a.dtype)
    elif kind == 2:
        held[name] = a.astype(rng.choice(["int8", "float16", "float64", "uint8", "bool", "int64"]))
    elif kind == 3:
        held[name] = np.full_like(a, np.nan if real else -1 if a.dtype.kind == "i" else 0)
    elif kind == 4:
        held[name] = a.reshape(-1) if a.ndim > 1 else a.reshape(1, -1)
    elif kind == 5:
        held[name] = np.full_like(a, np.inf if real else 100 if a.itemsize < 4 else 10**9)
    elif kind == 6:
        held[name] = np.zeros((0, *a.shape[1:]), a.dtype)
    elif kind == 7:
        held[name] = a.T.copy() if a.ndim > 1 else a[::-1].copy() if a.ndim else a + 1
    else:
        held[name] = np.concatenate([a, a]) if a.ndim else a
    with np.errstate(all="ignore"):
        return save({key: np.ascontiguousarray(value) for key, value in held.items()})


def table(data: bytes, rng: random.Random) -> bytes:
    """Change one column of a Parquet file: its presence, kind, values or length."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = pq.read_table(pa.BufferReader(data)).to_pydict()
    name, kind = rng.choice(sorted(columns)), rng.randrange(9)
    n = len(columns[name])
    if kind == 0:
        del columns[name]
    elif kind < 8:
        value = (None, "text", -5, 10**12, 0, float("nan"), "\x1b[2J\n")[kind - 1]
        columns[name] = [value] * n
    else:
        columns = {key: values[: n // 2] for key, values in columns.items()}
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def array(data: bytes, rng: random.Random) -> bytes:
    """Change a .npy file: its length, kind, shape or values; or make it one of Python objects."""
    a = np.load(io.BytesIO(data), allow_pickle=False)
    objects = np.array([{"a": 1}], dtype=object)
    kinds = [a[:-3], a.astype("int8"), np.full_like(a, np.nan), a[:, :1], a.reshape(-1), a[:0], a[..., None], objects]
    out = io.BytesIO()
    np.save(out, rng.choice(kinds), allow_pickle=True)
    return out.getvalue()
