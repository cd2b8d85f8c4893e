"""From class probabilities to words for groups: what their images show, and those of the other groups do not.

No label is seen. The limits were set by hand on the sets that docs/report.md names, with their labels in sight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk.naming.vocabulary import Vocabulary

__all__ = ["MOST_WORDS", "Guess", "guess"]

MOST_WORDS = 3

_CONFIDENT_ALL, _CONFIDENT = 0.28, 0.24  # of all images, of a group: below, the network does not know what they show
_SHARE = 0.10  # of a group: least mean probability of a word
_SEEN, _SUPPORT = 0.05, 0.4  # a word is seen in an image from this probability on, and must be in this part of a group
_APART = 0.5  # least of log2(2 p / (p + r)): the word is 2.4 times as frequent as among all other images
_CHANCE = 4.0  # standard deviations by which a share must exceed that of random groups of that size
_NEXT = 0.4  # of the first word's share: least share of a further word
_WHOLE = 0.7  # of a kind: a member with this part of it is named instead of it
_FINER = 0.05  # least share of a word that only distinguishes two groups with the same words

_BLOCK = 4096

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Guess:
    """A word for a group.

    Attributes
    ----------
    word : str
    share : float
        Mean probability, over the group's images, that they show it: from 0 to 1.
    lift : float
        How many times that of all images, all groups counted alike.
    """

    word: str
    share: float
    lift: float

    def plain(self) -> dict[str, Any]:
        """Return it as clusters.json keeps it."""
        return {"word": self.word, "share": round(self.share, 3), "lift": round(self.lift, 2)}


def guess(
    probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], vocabulary: Vocabulary
) -> dict[int, list[Guess]]:
    """Return up to three words for each group, the best first; none where the probabilities say nothing.

    Parameters
    ----------
    probabilities
        (n, classes) of images: of all, or of some of each group.
    labels
        (n,) group of each; images with -1 are left out.
    vocabulary
        Whose classes are the columns.

    Returns
    -------
    dict of int to list of Guess
        One entry per group. Groups with the same words get a further one where one distinguishes them.

    Notes
    -----
    With p the mean probability of a word in a group and r that in all other groups, its score is
    p · log2(2p / (p + r)): what is frequent in the group counts as far as it is rare elsewhere. A word must be
    frequent, seen in enough of the group's images, rare elsewhere, and more frequent than in random groups of the same
    size: the first two moments of that distribution are exact, no draws are made. A kind (dog) is named where a group
    spreads over its classes, and a class where it has most of the kind.

    All groups are empty where the classifier is not confident of what it sees, in the mean over all images: digits,
    drawings and textures without objects are like that. O(n · words) time, memory for 4,096 images at a time.
    """
    ids = [int(i) for i in np.unique(labels) if i >= 0]
    empty: dict[int, list[Guess]] = {i: [] for i in ids}
    if len(ids) < 2:  # nothing to differ from
        return empty
    clues = _Evidence(probabilities, labels, np.array(ids), vocabulary)
    if clues.confidence @ clues.counts / clues.counts.sum() < _CONFIDENT_ALL:
        return empty
    words = [clues.words_of(g) for g in range(len(ids))]
    _distinguish(words, clues)
    return {
        i: [Guess(vocabulary.words[j], float(clues.p[g, j]), float(clues.p[g, j] / clues.mean[j])) for j in words[g]]
        for g, i in enumerate(ids)
    }


class _Evidence:
    """What the probabilities say of k groups and m words.

    Attributes
    ----------
    counts : (k,) images of each group
    p, rest : (k, m) mean probability of a word in the group, and in all others
    mean : (m,) in all of them
    apart : (k, m) from 0 (no more frequent than elsewhere) to 1 (nowhere else)
    fit : (k, m) whether the word may be used: seen often enough, and beyond chance
    confidence : (k,) mean confidence
    """

    def __init__(
        self,
        probabilities: npt.NDArray[np.float32],
        labels: npt.NDArray[np.int64],
        ids: npt.NDArray[np.int64],
        vocabulary: Vocabulary,
    ) -> None:
        self.vocabulary = vocabulary
        k, m = len(ids), len(vocabulary.words)
        sums, seen, squares, self.confidence = np.zeros((k, m)), np.zeros((k, m)), np.zeros(m), np.zeros(k)
        rows = np.flatnonzero(labels >= 0)
        group = np.searchsorted(ids, labels[rows])
        self.counts: Floats = np.bincount(group, minlength=k).astype(np.float64)
        for start in range(0, len(rows), _BLOCK):
            block = np.asarray(probabilities[rows[start : start + _BLOCK]], np.float32)
            mine = group[start : start + _BLOCK]
            shares = vocabulary.shares(block)
            squares += np.square(shares, dtype=np.float64).sum(0)
            which = np.zeros((k, len(block)), np.float32)
            which[mine, np.arange(len(block))] = 1
            sums += which @ shares
            seen += which @ (shares >= _SEEN).astype(np.float32)
            self.confidence += which @ vocabulary.confidence(block)
        self.confidence /= self.counts
        n, counts = len(rows), self.counts[:, None]
        self.p: Floats = sums / counts
        self.mean: Floats = np.maximum(sums.sum(0) / n, 1e-12)
        self.rest: Floats = np.maximum(sums.sum(0) - sums, 0) / np.maximum(n - counts, 1)
        self.apart: Floats = apart(self.p, self.rest)
        spread = np.sqrt(np.maximum(squares / n - self.mean**2, 0) / counts * (n - counts) / max(1, n - 1))
        by_chance = (self.p - self.mean) / np.maximum(spread, 1e-9) < _CHANCE
        self.fit: Bools = (seen >= np.maximum(_SUPPORT * counts, 2)) & ~by_chance

    def words_of(self, g: int) -> list[int]:
        """Return the words of group `g`, the best first."""
        if self.confidence[g] < _CONFIDENT:
            return []
        p, clear, members = self.p[g], self.apart[g], self.vocabulary.members
        usable = self.fit[g] & (p >= _SHARE) & (clear >= _APART)
        found: list[int] = []
        for j in np.argsort(-p * clear, kind="stable").tolist():
            if usable[j] and not any(members[j] & members[other] for other in found):
                finer = self._finer(j, p, usable)
                found += [i for i in finer if not found or p[i] >= _NEXT * p[found[0]]]
            if len(found) >= MOST_WORDS:
                break
        return found[:MOST_WORDS]

    def _finer(self, j: int, p: Floats, usable: Bools) -> list[int]:
        """Return the word `j` itself, or what says more."""
        members, words = self.vocabulary.members, self.vocabulary.words
        inside = [i for i in range(len(words)) if members[i] < members[j] and usable[i]]
        inside.sort(key=lambda i: (-p[i], len(members[i])))
        if inside and p[inside[0]] >= _WHOLE * p[j]:
            return self._finer(inside[0], p, usable)
        if words[j] in self.vocabulary.broad:
            few: list[int] = []
            for i in inside:
                if len(few) < MOST_WORDS and not any(members[i] & members[other] for other in few):
                    few.append(i)
                    if p[few].sum() >= _WHOLE * p[j]:
                        return few
        return [j]


def apart(p: Floats, rest: Floats) -> Floats:
    """Return how far `p` stands out of `rest`, from 0 (it does not) to 1 (there is nothing of it in the rest).

    >>> apart(np.array([0.5, 0.5, 0.2]), np.array([0.0, 0.5, 0.4])).tolist()
    [1.0, 0.0, 0.0]
    """
    clear: Floats = np.maximum(np.log2(2 * p / np.maximum(p + rest, 1e-12), where=p > 0, out=np.zeros_like(p)), 0)
    return clear


def _distinguish(words: list[list[int]], clues: _Evidence) -> None:
    """Give groups with the same words further ones, by what differs between these groups alone."""
    members = clues.vocabulary.members
    same: dict[tuple[int, ...], list[int]] = {}
    for g, mine in enumerate(words):
        if mine:
            same.setdefault(tuple(sorted(mine)), []).append(g)
    for chosen, groups in same.items():
        for g in groups if len(groups) > 1 else ():
            others = [other for other in groups if other != g]
            weight = clues.counts[others]
            clear = apart(clues.p[g], weight @ clues.p[others] / weight.sum())
            usable = clues.fit[g] & (clues.p[g] >= _FINER) & (clear >= _APART)
            for j in np.argsort(-clues.p[g] * clear, kind="stable").tolist():
                # beside the common words, or inside one of them: "dog, terrier"
                new = all(members[j] < members[i] or not members[j] & members[i] for i in chosen)
                if usable[j] and new and len(chosen) < MOST_WORDS:
                    words[g].append(j)
                    break
