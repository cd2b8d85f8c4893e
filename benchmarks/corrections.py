"""What corrections are worth: a simulated person looks at groups, corrects, groups again, and the accuracy is counted.

    python benchmarks/corrections.py DATA [--only NAME …] [--seeds 0 1 2] [--runs DIR]

The person sees what the page shows: the central images of each group, and the questions of the queue. What is in these
pictures is all that labels are used for, until the end, where they count. It does the obvious thing:

1. two groups show one kind: they are merged;
2. else the next question. The images of the kind that most of the shown ones are of, where that is not the kind of
   their group, are moved to the group of that kind, or open a new one where no group shows it; where it is the kind of
   their group they are confirmed. Of a row "A or B?" those of B's kind are moved to B, or the others confirmed.

Each is one action of the journal, and so one correction. It groups again after every five. Beside it the same
corrections without grouping again. DATA holds clothing500, a folder or tar; digits come with scikit-learn. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import common
import numpy as np

import ilk
from ilk import regroup
from ilk.metrics import accuracy

SHOWN, CENTRAL = 24, 12  # images of a question, and of a group, that are looked at
CLEAR = 0.6  # share of the shown images that makes a group's kind clear
AT = (0, 5, 10, 20, 40)
EVERY = 5

SETS: dict[str, tuple[str, int]] = {"clothing500": ("clothing500", 10), "digits": ("digits", 10)}


class Person:
    """Corrects a run by what is seen of it: `seen` has the kind that a picture shows, by row."""

    def __init__(self, run: ilk.Run, seen: np.ndarray) -> None:
        self.run, self.seen, self.done = run, seen, Counter[str]()
        self.answered: set[tuple[Any, ...]] = set()

    def _kind(self, rows: list[int]) -> tuple[Any, float]:
        """Return the kind that most of `rows` show, and their share."""
        if not rows:
            return None, 0.0
        kind, count = Counter(self.seen[rows].tolist()).most_common(1)[0]
        return kind, count / len(rows)

    def kinds(self) -> dict[int, tuple[Any, float]]:
        """Return what the central images of each group show."""
        groups = [group for group in self.run.clusters() if group["id"] >= 0 and group["size"]]
        return {group["id"]: self._kind(group["exemplars"][:CENTRAL]) for group in groups}

    def correct(self) -> bool:
        """Make one correction; False where there is nothing to ask."""
        kinds = self.kinds()
        home: dict[Any, int] = {}
        for group, (kind, share) in sorted(kinds.items(), key=lambda one: -one[1][1]):
            if share >= CLEAR and home.setdefault(kind, group) != group:
                self.run.corrections.merge(home[kind], group)
                self.done["merge"] += 1
                return True
            home.setdefault(kind, group)
        return any(self._answer(item, kinds, home) for item in regroup.queue(self.run).items)

    def _answer(self, item: dict[str, Any], kinds: dict[int, tuple[Any, float]], home: dict[Any, int]) -> bool:
        rows, group = item["images"][:SHOWN], item["a"]
        key = (item["kind"], group, *sorted(rows))
        if key in self.answered:
            return False
        self.answered.add(key)
        kind = self._kind(rows)[0] if item["kind"] == "part" else kinds[item["b"]][0]
        mine = [row for row in rows if self.seen[row] == kind]
        corrections = self.run.corrections
        if not mine or kind == kinds[group][0]:
            right = [row for row in rows if self.seen[row] == kinds[group][0]]
            if not right:
                return False
            corrections.confirm(right)
            self.done["confirm"] += 1
        elif kind in home:
            corrections.move(mine, to=home[kind])
            self.done["move"] += 1
        else:
            corrections.new(mine)
            self.done["new"] += 1
        return True


def followed(run: ilk.Run, actions: list[Any]) -> None:
    """Do the same corrections again."""
    for action in actions:
        given, made = action.arguments, run.corrections
        if action.do == "merge":
            made.merge(*given["groups"])
        elif action.do == "new":
            made.new(given["images"], given.get("name", ""))
        elif action.do == "confirm":  # with another group it would be another correction
            made.confirm(given["images"])
        else:
            made.move(given["images"], given["to"])


def curve(run: ilk.Run, plain: ilk.Run, seen: np.ndarray) -> dict[str, Any]:
    """Return accuracies at `AT` corrections with and without grouping again, and what was done."""
    person = Person(run, seen)
    found = {"with": [accuracy(seen, run.labels())], "without": [accuracy(seen, plain.labels())]}
    moved, trust, count = 0, None, 0
    for count in range(1, max(AT) + 1):
        before = run.corrections.grouping().last
        if not person.correct():
            break
        followed(plain, [one for one, _ in run.corrections.actions() if one.n > before])
        if count % EVERY == 0:
            preview = run.regroup(preview=True)
            trust = preview.held_out if preview.held_out is not None else trust
            if preview.count:
                moved += preview.count
                regroup.accept(run, preview)
        if count in AT:
            found["with"].append(accuracy(seen, run.labels()))
            found["without"].append(accuracy(seen, plain.labels()))
    for name, values in found.items():
        found[name] = [round(float(one), 4) for one in values]
    return {**found, "corrections": dict(person.done), "moved_by_regrouping": moved, "held_out": trust}


def truth(name: str, run: ilk.Run) -> np.ndarray:
    """Return the kind that each picture shows."""
    if name == "digits":
        return common.digits()[1]
    return np.array([path.split("/")[-2] for path in run.images()["path"]])


def measured(name: str, source: Any, k: int, seed: int, home: Path) -> dict[str, Any]:
    """Group a set, and let the person correct it."""
    folder = home / f"{name.replace(' ', '-')}-{seed}"
    if not folder.exists():
        ilk.cluster(
            source, folder, options={"n_clusters": k, "random_state": seed, "cache": str(home / "cache")}, names=False
        )
    with tempfile.TemporaryDirectory(dir=home) as place:
        copies = [ilk.load_run(shutil.copytree(folder, Path(place) / one)) for one in ("with", "without")]
        return {"seed": seed, **curve(copies[0], copies[1], truth(name, copies[0]))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", default=list(SETS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, help="where runs are, or are made; else they are not kept")
    given = parser.parse_args()
    result: dict[str, Any] = {"corrections": list(AT), "groups_again_every": EVERY}
    with tempfile.TemporaryDirectory() as temporary:
        home = given.runs or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        for name in given.only:
            source, k = SETS[name]
            if name != "digits":
                there = [one for one in (given.data / source, given.data / f"{source}.tar") if one.exists()]
                if not there:
                    continue
                source = there[0]
            runs = [measured(name, source, k, seed, home) for seed in given.seeds]
            means = {one: np.mean([r[one] for r in runs], 0).round(4).tolist() for one in ("with", "without")}
            result[name] = {"groups": k, "runs": runs, "mean": means}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
