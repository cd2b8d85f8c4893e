"""Groups as found + journal = groups as they are: the pure function, held against another way of saying the same."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from ilk.corrections import Action, Found, Grouping, corrected

SEEDS = range(40)


def found(rng: random.Random, n: int = 30, k: int = 4) -> Found:
    """Some images in groups, in none, and unreadable; every fifth is a copy of the one before."""
    keys = [f"{i - (i % 5 == 4):032x}" for i in range(n)]
    labels: list[int] = []
    for i in range(n):
        labels.append(labels[-1] if i % 5 == 4 else rng.choice([*range(k), *range(k), -1, -2]))
    return Found(keys, np.array(labels, np.int64), dict.fromkeys(range(k), ""))


class Naive:
    """Groups as sets of keys. Undo is doing all but the last again."""

    def __init__(self, start: Found) -> None:
        self.start = start
        self.done: list[Action] = []
        self.undone: list[Action] = []

    def groups(self) -> tuple[dict[int, set[str]], dict[int, str], set[str], set[str]]:
        """Return images by group (-1: none), names, and the images that are not to move, and those ignored."""
        groups: dict[int, set[str]] = {group: set() for group in self.start.names} | {-1: set()}
        for key, label in zip(self.start.keys, self.start.labels.tolist(), strict=True):
            if label != -2:
                groups[label].add(key)
        names, fixed, ignored = dict(self.start.names), set[str](), set[str]()
        for action in self.done:
            given = action.arguments
            images = set(given.get("images", ())) & set.union(*groups.values())
            if action.do in ("move", "new", "ignore"):
                for members in groups.values():
                    members -= images
                target = -1 if action.do == "ignore" else given["to"]
                groups.setdefault(target, set()).update(images)
                names |= {target: given.get("name", "")} if action.do == "new" else {}
                fixed |= images
                ignored = ignored | images if action.do == "ignore" else ignored - images
            elif action.do == "split":
                groups[given["to"]] = groups[given["group"]] & images
                groups[given["group"]] -= images
                names[given["to"]] = ""
                fixed |= set(given["examples"])
            elif action.do == "merge":
                into, *gone = given["groups"]
                own = [names.pop(group) for group in gone]
                names[into] = names[into] or next((name for name in own if name), "")
                for group in gone:
                    groups[into] |= groups.pop(group)
            elif action.do == "rename":
                names[given["group"]] = given["name"]
            elif action.do == "confirm":
                fixed |= images
        return groups, names, fixed, ignored


def random_action(rng: random.Random, n: int, naive: Naive, used: set[int]) -> Action:
    groups, names, _, _ = naive.groups()
    there = sorted(names)
    keys = sorted(set.union(*groups.values()))
    some = sorted(rng.sample(keys, rng.randint(1, min(4, len(keys)))))
    filled = [group for group in there if len(groups[group]) > 1]
    do = rng.choice(
        ["move"] * 3 + ["merge", "split", "ignore", "confirm", "new", "rename", "note", "undo", "undo", "redo"]
    )
    fresh = max(used) + 1
    given: dict[str, Any] = {}
    if do == "move":
        given = {"images": some, "to": rng.choice(there)}
    elif do == "merge" and len(there) > 1:
        given = {"groups": rng.sample(there, rng.randint(2, min(3, len(there))))}
    elif do == "split" and filled:
        group = rng.choice(filled)
        out = sorted(rng.sample(sorted(groups[group]), rng.randint(1, len(groups[group]) - 1)))
        given = {"group": group, "images": out, "to": fresh, "examples": out[:1]}
    elif do == "ignore":
        given = {"images": some}
    elif do == "confirm":
        mine = {key: group for group, members in groups.items() for key in members if group >= 0}
        some = [key for key in some if key in mine]
        given = {"images": some, "groups": [mine[key] for key in some]}
        do = do if some else "undo"
    elif do == "new":
        given = {"images": some, "to": fresh, "name": rng.choice(["", "mine"])}
    elif do in ("rename", "note"):
        given = {"group": rng.choice(there), ("name" if do == "rename" else "text"): rng.choice(["", "a", "b"])}
    if do in ("merge", "split") and not given:
        do = "undo"
    if "to" in given:
        used.add(given["to"])
    return Action(n, "", do, given if do not in ("undo", "redo") else {})


def follow(naive: Naive, action: Action) -> None:
    if action.do == "undo":
        if naive.done:
            naive.undone.append(naive.done.pop())
    elif action.do == "redo":
        if naive.undone:
            naive.done.append(naive.undone.pop())
    else:
        naive.undone.clear()
        naive.done.append(action)


def random_journal(seed: int, length: int = 40) -> tuple[Found, list[Action], Naive]:
    rng = random.Random(seed)
    start = found(rng)
    naive, journal, used = Naive(start), list[Action](), {*start.names}
    for n in range(1, length + 1):
        journal.append(random_action(rng, n, naive, used))
        follow(naive, journal[-1])
    return start, journal, naive


def plain(grouping: Grouping) -> tuple[Any, ...]:
    """What two equal groupings share: all but the number of the last line and what can be redone."""
    names = ("names", "merged", "parents", "apart", "notes", "count", "problems")
    return (grouping.labels.tolist(), grouping.said.tolist(), *(getattr(grouping, name) for name in names))


@pytest.mark.parametrize("seed", SEEDS)
def test_it_says_the_same_as_sets_of_images(seed: int) -> None:
    start, journal, naive = random_journal(seed)
    now = corrected(start, journal)
    groups, names, fixed, ignored = naive.groups()
    assert now.problems == []
    assert now.names == dict(sorted(names.items()))
    for key, label, said in zip(start.keys, now.labels.tolist(), now.said.tolist(), strict=True):
        if label != -2:
            assert [group for group, members in groups.items() if key in members] == [label]  # in exactly one
            assert (said > 0, said == 3) == (key in fixed, key in ignored)
    unreadable = start.labels == -2
    assert ((now.labels == -2) == unreadable).all()
    assert now.sizes() == {
        group: int((now.labels == group).sum()) for group in sorted(names) + ([-1] if (now.labels == -1).any() else [])
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_undo_inverts_and_redo_does_again(seed: int) -> None:
    start, journal, _ = random_journal(seed)
    states = [corrected(start, journal)]
    last, undone = len(journal), 0
    while states[-1].count:
        last, undone = last + 1, undone + 1
        journal.append(Action(last, "", "undo"))
        states.append(corrected(start, journal))
    assert plain(states[-1]) == plain(corrected(start, []))
    assert states[-1].labels.tolist() == start.labels.tolist()
    for before in reversed(states[:-1]):
        last += 1
        journal.append(Action(last, "", "redo"))
        assert plain(corrected(start, journal)) == plain(before)
    assert undone == len(states) - 1


@pytest.mark.parametrize("seed", SEEDS)
def test_undo_passes_over_images_that_joined(seed: int) -> None:
    """Whatever is undone and done again: they join what there is at their turn, and no undo is of them."""
    rng = random.Random(seed)
    start, journal, naive = random_journal(seed)
    new = [f"{100 + i:032x}" for i in range(8)]
    grown = Found([*start.keys, *new], np.append(start.labels, np.arange(8) % 4), start.names)
    joined = [
        Action(
            10 * rng.randrange(len(journal) + 1) + 1 + i, "", "joined", {"to": [rng.randrange(12)], "images": [[key]]}
        )
        for i, key in enumerate(new)
    ]

    def ordered(actions: list[Action]) -> list[Action]:
        mine = [Action(10 * one.n, one.at, one.do, one.arguments) for one in actions]
        return sorted([*mine, *joined], key=lambda one: one.n)

    now, plainly = corrected(grown, ordered(journal)), corrected(grown, ordered(naive.done))
    assert plain(now) == plain(plainly)
    assert now.count == len(naive.done)
    assert now.redo == len(naive.undone)


@pytest.mark.parametrize("seed", SEEDS)
def test_groups_keep_their_numbers_and_none_is_used_twice(seed: int) -> None:
    start, journal, _ = random_journal(seed, 60)
    made = [action.arguments["to"] for action in journal if action.do in ("new", "split")]
    assert len(set(made)) == len(made)
    now = corrected(start, journal)
    assert {*now.names} <= {*start.names, *made}
    assert not {*now.merged} & {*now.names}
    assert {*now.merged.values()} <= {*now.names}
    untouched = {*start.names} - {g for a in journal for g in (a.arguments.get("groups") or [])}
    assert untouched <= {*now.names}


def test_it_changes_nothing_that_it_is_given() -> None:
    start, journal, _ = random_journal(3)
    labels, names = start.labels.tolist(), dict(start.names)
    first = corrected(start, journal)
    assert plain(corrected(start, journal)) == plain(first)
    assert (start.labels.tolist(), start.names) == (labels, names)


def act(*steps: tuple[str, dict[str, Any]]) -> list[Action]:
    return [Action(n, "", do, arguments) for n, (do, arguments) in enumerate(steps, 1)]


FOUR = Found(["a", "b", "c", "d", "d"], np.array([0, 0, 1, 2, 2]), {0: "", 1: "old", 2: ""})


def test_a_pin_goes_where_its_group_goes() -> None:
    now = corrected(FOUR, act(("confirm", {"images": ["c"], "groups": [1]}), ("merge", {"groups": [0, 1]})))
    assert now.labels.tolist() == [0, 0, 0, 2, 2]
    assert now.said.tolist() == [0, 0, 2, 0, 0]
    assert (now.names, now.merged) == ({0: "old", 2: ""}, {1: 0})


def test_merges_in_a_row_lead_to_the_last() -> None:
    now = corrected(FOUR, act(("merge", {"groups": [1, 0]}), ("merge", {"groups": [2, 1]})))
    assert now.labels.tolist() == [2] * 5
    assert (now.merged, now.names) == ({0: 2, 1: 2}, {2: "old"})


def test_a_move_to_a_group_that_was_merged_goes_where_it_went() -> None:
    now = corrected(FOUR, act(("merge", {"groups": [0, 1]}), ("move", {"images": ["d"], "to": 1})))
    assert now.labels.tolist() == [0] * 5  # with its copy
    assert now.said.tolist() == [0, 0, 0, 1, 1]


def test_the_order_counts() -> None:
    move, ignore = ("move", {"images": ["a"], "to": 2}), ("ignore", {"images": ["a"]})
    assert corrected(FOUR, act(move, ignore)).labels[0] == -1
    assert corrected(FOUR, act(ignore, move)).labels[0] == 2


def test_what_cannot_be_followed_is_named_and_nothing_else_is_lost() -> None:
    now = corrected(
        FOUR,
        act(
            ("move", {"images": ["a"], "to": 9}),
            ("rename", {"group": 8, "name": "x"}),
            ("move", {"images": ["nobody", "b"], "to": 1}),
            ("new", {"images": ["a"], "to": 1}),
        ),
    )
    assert now.labels.tolist() == [0, 1, 1, 2, 2]
    assert [text.partition(":")[2] for text in now.problems] == [
        " there is no group 9",
        " there is no group 8",
        " there is a group 1 already",
    ]


def test_groups_that_were_split_stay_known_as_apart() -> None:
    split = ("split", {"group": 0, "images": ["b"], "to": 3, "examples": []})
    assert corrected(FOUR, act(split)).apart == [(0, 3)]
    assert corrected(FOUR, act(split, ("merge", {"groups": [2, 0]}))).apart == [(2, 3)]
    assert corrected(FOUR, act(split, ("merge", {"groups": [0, 3]}))).apart == []


def test_notes_of_merged_groups_are_kept() -> None:
    notes = [("note", {"group": group, "text": f"of {group}"}) for group in (0, 1)]
    assert corrected(FOUR, act(*notes, ("merge", {"groups": [1, 0]}))).notes == {1: "of 1\nof 0"}
