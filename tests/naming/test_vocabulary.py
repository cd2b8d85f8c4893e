"""Words and the classes they stand for, and lists of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ilk import naming
from ilk.errors import ArgumentError, DataError, MissingDependency
from ilk.naming import families, vocabulary


def classes_of(word: str) -> set[int]:
    words = naming.imagenet()
    return set(words.members[words.words.index(word)])


def test_every_class_but_materials_has_a_word() -> None:
    words = naming.imagenet()
    assert set().union(*words.members) == set(range(1000)) - families.MATERIALS
    assert len(set(words.words)) == len(words.words) == len(words.members)
    for word in words.words:
        assert word.isprintable(), word
        assert "," not in word, word
        assert len(word) <= 60, word


def test_the_tables_name_classes_and_kinds_that_there_are() -> None:
    words = naming.imagenet()
    assert set(families.KINDS) <= set(words.words)
    assert set(families.KINDS) >= words.broad
    assert all(0 <= number < 1000 for number in [*families.PLAIN, *families.MATERIALS])
    for kind in families.KINDS:
        assert len(classes_of(kind)) > 1, kind


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        ("dog", "Chihuahua pug beagle", "dingo hyena"),
        ("terrier", "Airedale cairn", "pug beagle"),
        ("cat", "tabby", "lynx tiger"),
        ("bird", "robin ostrich albatross", "bat tusker"),
        ("snake", "sidewinder", "triceratops"),
        ("monkey", "macaque titi", "gorilla lemur"),
        ("elephant", "tusker", "hippopotamus"),
        ("shoe", "loafer clog sandal", "sock"),
        ("fruit", "lemon fig", "zucchini acorn"),
        ("truck", "pickup", "minivan"),
        ("musical instrument", "violin piano harp", "stage"),
        ("coast", "seashore", "valley"),
    ],
)
def test_kinds_hold_what_they_say(kind: str, inside: str, outside: str) -> None:
    known = naming.imagenet().words
    assert all(classes_of(word) <= classes_of(kind) for word in inside.split())
    assert not any(classes_of(word) & classes_of(kind) for word in outside.split() if word in known)


def test_words_that_mean_two_things_are_told_apart() -> None:
    assert classes_of("crane") == {134}
    assert classes_of("construction crane") == {517}
    assert classes_of("swimsuit") == {638, 639}


def test_shares_add_up_the_classes_of_a_word() -> None:
    words = naming.imagenet()
    probabilities = np.random.default_rng(0).dirichlet(np.full(1000, 0.01), 5).astype(np.float32)
    shares = words.shares(probabilities)
    dogs = words.words.index("dog")
    assert shares.shape == (5, len(words.words))
    assert np.allclose(shares[:, dogs], probabilities[:, 151:269].sum(1), atol=1e-6)


def test_confidence_counts_a_kind_as_one_thing() -> None:
    spread = np.zeros((2, 1000), np.float32)
    spread[0, 151:269] = 1 / 118  # a dog, of any breed
    spread[1, 400:800:4] = 1 / 100  # a hundred things
    confidence = naming.imagenet().confidence(spread)
    assert confidence[0] == pytest.approx(1, abs=1e-5)
    assert confidence[1] < 0.1


# -- one's own ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "classes"),
    [
        ("dog", set(range(151, 269))),
        ("DOGS", set(range(151, 269))),
        ("Butterflies", set(range(321, 327))),
        ("t-shirt", {610}),
        ("jean", {608}),  # the word of ImageNet, and the one that is shown
        ("jeans", {608}),
        ("boot", {514}),
        ("crane", {134, 517}),
        ("velvet", {885}),  # never by itself, but somebody asks for it
        ("poodles", {265, 266, 267}),
    ],
)
def test_a_word_of_ones_own(word: str, classes: set[int]) -> None:
    found, unknown = naming.own([word])
    assert (found.words, set(found.members[0]), unknown) == ((word,), classes, [])


def test_unknown_words_are_named() -> None:
    found, unknown = naming.own(["dress", "hat", "shirt of my uncle"])
    assert (found.words, unknown) == (("hat",), ["dress", "shirt of my uncle"])
    with pytest.raises(ArgumentError, match=r"none of the words \(dress, Kleid\).*such as cat"):
        naming.own(["dress", "Kleid"])


def test_a_file_of_words(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("\ufeffcat\r\n\n  running   shoe \n# no word\ncat\nStraße\n", "utf-8")
    assert naming.read_words(file) == ["cat", "running shoe", "Straße"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "0 words"),
        (b"# cat\n\n", "0 words"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"x" * 61, "at most 60"),
        (b"a\x1b[31mb", "printable"),
        (b"cat\n" * 400_000, "1 MiB"),
        ("\n".join(map(str, range(6000))).encode(), "6,000 words"),
    ],
)
def test_files_that_hold_no_words(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "words.txt"
    file.write_bytes(content)
    with pytest.raises(DataError, match=told) as error:
        naming.read_words(file)
    assert str(file) in str(error.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        naming.read_words(tmp_path / "none.txt")
    with pytest.raises(DataError, match="there is no such file"):
        naming.read_words(tmp_path)


def test_without_timm_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match="come with timm"):
        vocabulary._lemmas.__wrapped__()
