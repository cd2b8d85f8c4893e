"""What became of every image: by content first, then by path."""

from __future__ import annotations

import numpy as np
import pytest

from ilk.jobs.joining import Known, match


def known(text: str, gone: str = "") -> Known:
    """Images ``path:content``; a content of ``-`` is unknown, and the file could not be read."""
    pairs = [one.split(":") for one in text.split()]
    first: dict[str, int] = {}
    status = []
    for i, (_, content) in enumerate(pairs):
        status.append("unreadable" if content == "-" else "ok" if first.setdefault(content, i) == i else "duplicate")
    paths = [path for path, _ in pairs]
    contents = [None if content == "-" else content for _, content in pairs]
    return Known(paths, contents, status, [path in gone.split() for path in paths])


def found(before: Known, now: str, there: str | None = None) -> dict[str, object]:
    names, contents = zip(*(one.split(":") for one in now.split()), strict=True) if now else ((), ())
    done = match(
        before,
        list(range(len(before.paths))),
        names,
        [None if one == "-" else one for one in contents],
        None if there is None else there.split(),
    )
    return {
        "rows": done.rows,
        "new": [names[i] for i in done.new],
        **{name: getattr(done, name) for name in ("moved", "back", "changed", "gone") if getattr(done, name)},
    }


@pytest.mark.parametrize(
    ("before", "gone", "now", "rows", "new", "more"),
    [
        ("a:A b:B", "", "a:A b:B", {}, [], {}),
        ("a:A b:B", "", "a:A b:B c:C", {}, ["c"], {}),
        ("a:A b:B", "", "a:A c:B", {1: ("c", False)}, [], {"moved": [1]}),
        ("a:A b:B", "", "a:B b:A", {0: ("b", False), 1: ("a", False)}, [], {"moved": [0, 1]}),
        ("a:A b:B", "", "a:A", {1: ("b", True)}, [], {"gone": [1]}),
        ("a:A b:B", "", "a:A b:X", {1: ("b#gone", True)}, ["b"], {"changed": [1]}),
        ("a:A b:B b#gone:Y", "b#gone", "a:A b:X", {1: ("b#gone-2", True)}, ["b"], {"changed": [1]}),
        ("a:A b:B", "b", "a:A b:B", {1: ("b", False)}, [], {"back": [1]}),
        ("a:A b:B", "b", "a:A c:B", {1: ("c", False)}, [], {"moved": [1], "back": [1]}),
        ("a:A b:B", "b", "a:A b:X", {1: ("b#gone", True)}, ["b"], {}),  # was gone already
        ("a:A b:B", "", "a:A b:A", {1: ("b#gone", True)}, ["b"], {"changed": [1]}),
        ("a:A b:A", "", "c:A", {0: ("c", False), 1: ("b", True)}, [], {"moved": [0], "gone": [1]}),
        ("a:A b:A", "", "b:A", {0: ("a", True)}, [], {"gone": [0]}),
        ("x/a:A y/b:A", "", "z/b:A z/a:A", {0: ("z/a", False), 1: ("z/b", False)}, [], {"moved": [0, 1]}),
        ("a:A b:-", "", "a:A b:-", {}, [], {}),
        ("a:A b:-", "", "a:A b:B", {1: ("b#gone", True)}, ["b"], {"changed": [1]}),
        ("a:A b:B", "", "a:A b:-", {}, [], {}),  # that it cannot be read may pass
        ("a:A", "", "", {0: ("a", True)}, [], {"gone": [0]}),
        ("a:A", "", "a:A b:A", {}, ["b"], {}),  # a copy
    ],
)
def test_what_became_of_it(
    before: str, gone: str, now: str, rows: dict[int, tuple[str, bool]], new: list[str], more: dict[str, list[int]]
) -> None:
    assert found(known(before, gone), now) == {"rows": rows, "new": new, **more}


def test_a_part_of_a_source_says_nothing_of_the_rest() -> None:
    before = known("a:A b:B c:C")
    assert found(before, "d:D", "a b d") == {"rows": {}, "new": ["d"]}  # c is not marked
    assert found(before, "d:A", "a b d") == {"rows": {}, "new": ["d"]}  # a copy: a is still there
    assert found(before, "d:C", "a b d") == {"rows": {2: ("d", False)}, "new": [], "moved": [2]}
    assert found(before, "b:X", "a b c") == {"rows": {1: ("b#gone", True)}, "new": ["b"], "changed": [1]}


@pytest.mark.parametrize("seed", range(40))
def test_nothing_gets_lost(seed: int) -> None:
    """Random sources, one after the other: after each, those that are there are exactly what the source has."""
    draws = np.random.default_rng(seed)
    paths, contents, status, gone = list[str](), list[str | None](), list[str](), list[bool]()
    for _ in range(6):
        names = [f"{'xy'[draws.integers(2)]}/{n}" for n in draws.permutation(12)[: draws.integers(13)]]
        now = {name: "ABCDEFGH"[draws.integers(8)] for name in names}
        before = Known(list(paths), list(contents), list(status), list(gone))
        done = match(before, list(range(len(paths))), list(now), list(now.values()))
        for row, (path, lost) in done.rows.items():
            assert (path, lost) != (paths[row], gone[row])
            paths[row], gone[row] = path, lost
        for i in done.new:
            content = list(now.values())[i]
            status.append("duplicate" if content in contents else "ok")
            contents.append(content)
            paths.append(list(now)[i])
            gone.append(False)
        assert len(set(paths)) == len(paths)
        assert {p: c for p, c, lost in zip(paths, contents, gone, strict=True) if not lost} == now
        assert contents[: len(before.contents)] == before.contents
        fewest = {c: sum(v == c for v in now.values()) for c in "ABCDEFGH"}
        for content, n in fewest.items():  # no new row where an old one of the content was free
            olds = before.contents.count(content)
            assert contents[len(before.contents) :].count(content) <= max(0, n - olds) or any(
                list(now)[i] in before.paths for i in done.new
            )
        assert not match(Known(paths, contents, status, gone), list(range(len(paths))), list(now), list(now.values()))
