"""The words that a classifier of ImageNet's 1,000 classes knows, and which classes stand for each of them."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ilk.errors import ArgumentError, DataError, MissingDependency
from ilk.naming.families import BROAD, KINDS, MATERIALS, PLAIN

__all__ = ["N_CLASSES", "Vocabulary", "imagenet", "own", "read_words"]

N_CLASSES = 1000
_MOST_BYTES, _MOST_WORDS, _LONGEST = 2**20, 5000, 60


@dataclass(frozen=True)
class Vocabulary:
    """Words, and the classes that each of them stands for.

    Attributes
    ----------
    words : tuple of str
        Each once.
    members : tuple of frozenset of int
        Columns of the probabilities; those of different words may overlap ("dog", "terrier").
    broad : frozenset of str
        Words that are used only where no few words inside them do.
    n_classes : int
        Columns of the probabilities.
    kinds : tuple of frozenset of int
        Columns that are one thing to a person, such as all breeds of dogs: see `confidence`.
    """

    words: tuple[str, ...]
    members: tuple[frozenset[int], ...]
    broad: frozenset[str] = frozenset()
    n_classes: int = N_CLASSES
    kinds: tuple[frozenset[int], ...] = ()

    def shares(self, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return (n, words) from (n, classes): the probability that an image shows any class of a word."""
        shares: npt.NDArray[np.float32] = probabilities @ _indicator(self.members, self.n_classes)
        return shares

    def confidence(self, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return (n,): the probability of what each image shows most likely, all classes of a kind taken together.

        A network that has learned what it is shown is confident; before digits or drawings it spreads its guesses.
        """
        inside = frozenset[int]().union(*self.kinds) if self.kinds else frozenset()
        single = [i for i in range(self.n_classes) if i not in inside]
        most = probabilities[:, single].max(1) if single else np.zeros(len(probabilities), np.float32)
        if self.kinds:
            most = np.maximum(most, (probabilities @ _indicator(self.kinds, self.n_classes)).max(1))
        return most


@functools.lru_cache(maxsize=8)
def _indicator(members: tuple[frozenset[int], ...], n_classes: int) -> npt.NDArray[np.float32]:
    """Return (classes, words): 1 where a class belongs to a word."""
    matrix = np.zeros((n_classes, len(members)), np.float32)
    for column, classes in enumerate(members):
        matrix[sorted(classes), column] = 1
    return matrix


@functools.cache
def imagenet() -> Vocabulary:
    """Return everyday words for the 1,000 classes, and for kinds that many of them belong to.

    Raises
    ------
    MissingDependency
        timm, which brings the names of the classes, is not installed, or does not bring them.
    """
    found: dict[str, set[int]] = {}
    for number, lemmas in enumerate(_lemmas()):
        if number not in MATERIALS:
            found.setdefault(PLAIN.get(number, lemmas[0]), set()).add(number)
    kinds = {kind: _numbers(text) for kind, text in KINDS.items()}
    for kind, numbers in kinds.items():
        found.setdefault(kind, set()).update(numbers)
    whole = [numbers for kind, numbers in kinds.items() if kind not in BROAD]
    return Vocabulary(
        tuple(found),
        tuple(frozenset(numbers) for numbers in found.values()),
        BROAD,
        kinds=tuple(frozenset(numbers) for numbers in whole),
    )


def own(words: Sequence[str]) -> tuple[Vocabulary, list[str]]:
    """Return the vocabulary of `words` alone, and those of them that no class of ImageNet stands for.

    A word stands for the kind or the classes of that name, in singular or plural; where there are none, for all classes
    whose name ends with it ("boot": cowboy boot).

    Raises
    ------
    ArgumentError
        None of the words is known.

    Examples
    --------
    >>> vocabulary, unknown = own(["Cats", "boot", "dress"])
    >>> vocabulary.words, [len(classes) for classes in vocabulary.members], unknown
    (('Cats', 'boot'), [5, 1], ['dress'])
    """
    known = imagenet()
    names: dict[str, set[int]] = {}
    ends: dict[str, set[int]] = {}
    for word, classes in zip(known.words, known.members, strict=True):
        names.setdefault(_key(word), set()).update(classes)
    for number, lemmas in enumerate(_lemmas()):
        for lemma in lemmas:
            key = _key(lemma)
            if lemma not in KINDS:
                names.setdefault(key, set()).add(number)
            tokens = key.split()
            for at in range(1, len(tokens)):
                ends.setdefault(" ".join(tokens[at:]), set()).add(number)
    found: dict[str, frozenset[int]] = {}
    unknown = []
    for word in words:
        classes_of = next((table[form] for table in (names, ends) for form in _forms(word) if form in table), None)
        if classes_of is None:
            unknown.append(word)
        else:
            found[word] = frozenset(classes_of)
    if not found:
        raise ArgumentError(
            f"the bundled network knows none of the words ({_some(words)}): give words for things that ImageNet's "
            "classes show, such as cat, shoe or car."
        )
    return Vocabulary(tuple(found), tuple(found.values()), kinds=known.kinds), unknown


def read_words(path: str | Path) -> list[str]:
    """Return the words of a text file, one a line; empty and repeated lines, and those with a # in front, are left out.

    Raises
    ------
    DataError
        The file cannot be read, is no UTF-8 text, is larger than 1 MiB, or holds no or too many or too long words.
    """
    path = Path(path).expanduser()
    try:
        if not path.is_file():
            raise DataError(f"words {str(path)!r}: there is no such file. Give a text file with one word a line.")
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"words {str(path)!r}: the file is larger than 1 MiB. Give one word a line.")
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"words {str(path)!r}: not a text in UTF-8. Save it as one, with one word a line.") from None
    except OSError as error:
        raise DataError(f"words {str(path)!r}: {error.strerror or error}.") from None
    words = [" ".join(line.split()) for line in text.splitlines()]
    words = list(dict.fromkeys(word for word in words if word and not word.startswith("#")))
    if not words or len(words) > _MOST_WORDS:
        raise DataError(f"words {str(path)!r}: {len(words):,} words; give from 1 to {_MOST_WORDS:,}, one a line.")
    bad = next((word for word in words if len(word) > _LONGEST or not word.isprintable()), None)
    if bad is not None:
        raise DataError(f"words {str(path)!r}: {bad[:_LONGEST]!r} is no word: at most {_LONGEST} printable characters.")
    return words


@functools.cache
def _lemmas() -> list[list[str]]:
    """Return the names of every class, the usual one first, from the tables of timm, which is not imported."""
    spec = importlib.util.find_spec("timm")
    paths = spec.submodule_search_locations if spec is not None else None
    try:
        folder = Path(next(iter(paths or ()))) / "data" / "_info"
        synsets = (folder / "imagenet_synsets.txt").read_text("utf-8").split()
        lines = (folder / "imagenet_synset_to_lemma.txt").read_text("utf-8").splitlines()
        names = dict(line.split("\t", 1) for line in lines if "\t" in line)
        found = [names[synset].split(", ") for synset in synsets]
    except (StopIteration, OSError, KeyError, ValueError):
        found = []
    if len(found) != N_CLASSES:
        raise MissingDependency("the names of ImageNet's classes come with timm, and are not there: install timm again")
    return found


def _numbers(text: str) -> set[int]:
    """Return the numbers that a line of `KINDS` names.

    >>> sorted(_numbers("3 7-9"))
    [3, 7, 8, 9]
    """
    found: set[int] = set()
    for part in text.split():
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def _key(word: str) -> str:
    """Return `word` without what does not distinguish words: case, hyphens, apostrophes.

    >>> _key("Jack-o'-Lantern")
    'jack o lantern'
    """
    return " ".join(re.sub(r"[\W_]+", " ", word.casefold()).split())


def _forms(word: str) -> Iterable[str]:
    """Yield the keys of `word`, and of what it may be the plural or the singular of."""
    key = _key(word)
    yield key
    for ending, singular in (("ies", "y"), ("es", ""), ("s", "")):
        if key.endswith(ending) and len(key) > len(ending) + 1:
            yield key.removesuffix(ending) + singular
    yield f"{key}s"


def _some(words: Sequence[str]) -> str:
    return ", ".join(words[:5]) + (f" and {len(words) - 5:,} more" if len(words) > 5 else "")
