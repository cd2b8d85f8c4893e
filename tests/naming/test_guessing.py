"""Words from probabilities: exact figures, rules, and silence where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest

from ilk.naming import Guess, Vocabulary, guess, imagenet

# classes 0-2 are pets, 3-5 fruit, the others stand alone
PETS, FRUIT = frozenset({0, 1, 2}), frozenset({3, 4, 5})
SINGLE = tuple(frozenset({i}) for i in range(20))
NAMES = ("tabby", "siamese", "poodle", "lemon", "fig", "plum", "car", "hat", *(f"thing {i}" for i in range(8, 20)))
WORDS = Vocabulary((*NAMES, "pet", "fruit"), (*SINGLE, PETS, FRUIT), frozenset({"fruit"}), 20, (PETS,))


def images(**shares: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """30 images of each group: those probabilities under a little noise, and what is missing to 1 spread evenly."""
    rng = np.random.default_rng(0)
    rows, labels = [], []
    for group, wanted in enumerate(shares.values()):
        row = np.full(20, (1 - sum(wanted.values())) / 20)
        for number, share in wanted.items():
            row[number] += share
        rows.append(rng.dirichlet(row * 200, 30))
        labels += [group] * 30
    return np.concatenate(rows).astype(np.float32), np.array(labels)


def words(probabilities: np.ndarray, labels: np.ndarray, vocabulary: Vocabulary = WORDS) -> list[list[str]]:
    return [[one.word for one in found] for found in guess(probabilities, labels, vocabulary).values()]


def test_exact_figures() -> None:
    rows = np.zeros((40, 20), np.float32)
    rows[:20, 6], rows[:20, 7] = 0.75, 0.25
    rows[20:, 8] = 1.0
    found = guess(rows, np.repeat([3, 7], 20), WORDS)
    assert found == {
        3: [Guess("car", 0.75, 2.0)],  # a hat: less than two fifths of that
        7: [Guess("thing 8", 1.0, 2.0)],
    }
    assert found[3][0].plain() == {"word": "car", "share": 0.75, "lift": 2.0}


def test_a_kind_where_a_group_spreads_and_a_class_where_it_does_not() -> None:
    assert words(*images(a={0: 0.3, 1: 0.3, 2: 0.3}, b={6: 0.9})) == [["pet"], ["car"]]
    assert words(*images(a={0: 0.8, 1: 0.05, 2: 0.05}, b={6: 0.9})) == [["tabby"], ["car"]]


def test_a_broad_kind_only_where_no_few_of_its_members_do() -> None:
    assert words(*images(a={3: 0.5, 4: 0.3}, b={6: 0.9})) == [["lemon", "fig"], ["car"]]
    shares = dict.fromkeys(range(8, 17), 0.11)
    many = Vocabulary((*NAMES, "many"), (*SINGLE, frozenset(range(8, 17))), frozenset({"many"}), 20)
    assert words(*images(a=shares, b={6: 0.9}), many)[0] == []  # of nothing in particular is the network sure
    sure = Vocabulary(many.words, many.members, many.broad, 20, (frozenset(range(8, 17)),))
    assert words(*images(a=shares, b={6: 0.9}), sure) == [["many"], ["car"]]


def test_the_words_of_two_groups_differ() -> None:
    """Both are pets; what only one of them shows is said as well."""
    others = {str(i): {i: 0.9} for i in range(6, 12)}
    found = words(*images(a={0: 0.45, 1: 0.45}, b={1: 0.45, 2: 0.45}, **others))
    assert found[:3] == [["pet", "tabby"], ["pet", "poodle"], ["car"]]


def test_what_all_groups_show_is_no_word_for_any() -> None:
    assert words(*images(a={7: 0.5, 6: 0.4}, b={7: 0.5, 8: 0.4}, c={7: 0.5, 9: 0.4})) == [
        ["car"],
        ["thing 8"],
        ["thing 9"],
    ]


def test_at_most_three_words() -> None:
    found = words(*images(a={6: 0.4, 7: 0.2, 8: 0.19, 9: 0.18}, b={10: 0.9}))
    assert found[0] == ["car", "hat", "thing 8"]


@pytest.mark.parametrize("seed", range(5))
def test_random_groups_get_no_words(seed: int) -> None:
    """Labels shuffled: whatever sizes the groups have, hardly anything is beyond chance."""
    rng = np.random.default_rng(seed)
    rows, _ = images(**{str(i): {i: 0.8} for i in range(10)})
    large = rng.permutation(np.repeat(np.arange(10), 30))
    assert words(rows, large) == [[]] * 10
    small = rng.permutation(np.repeat(np.arange(60), 5))
    assert sum(map(bool, words(rows, small))) <= 6
    assert sum(map(bool, words(rows, np.arange(300) // 5))) == 60  # and the real ones do get theirs


def test_one_image_names_no_group() -> None:
    rows, labels = images(a={6: 0.9}, b={7: 0.9})
    rows[:30] = 1 / 20
    rows[0] = np.eye(20)[12]
    assert words(rows, labels)[0] == []


@pytest.mark.parametrize("concentration", [0.05, 0.2, 1.0, 100.0])
def test_silence_where_the_network_is_not_sure(concentration: float) -> None:
    """Digits, drawings: the same guesses in every image of a group, other ones in the next, but never sure of them."""
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.dirichlet(np.full(1000, concentration), 10), 30, 0).astype(np.float32)
    rows = 0.2 * rows / rows.max(1, keepdims=True) + 0.0
    rows += (1 - rows.sum(1, keepdims=True)).clip(0) / 1000
    assert words(rows / rows.sum(1, keepdims=True), np.repeat(np.arange(10), 30), imagenet()) == [[]] * 10


def test_nothing_to_differ_from() -> None:
    rows, _ = images(a={6: 0.9})
    assert guess(rows, np.zeros(30, np.int64), WORDS) == {0: []}
    assert guess(rows, np.full(30, -1), WORDS) == {}
    assert guess(rows[:0], np.empty(0, np.int64), WORDS) == {}


def test_images_without_a_group_count_for_nothing() -> None:
    rows, labels = images(a={6: 0.9}, b={7: 0.9})
    strange = np.repeat(np.eye(20, dtype=np.float32)[[6]], 50, 0)
    with_them = guess(np.concatenate([strange, rows]), np.concatenate([np.full(50, -1), labels]), WORDS)
    assert with_them == guess(rows, labels, WORDS)


def test_order_and_numbers_of_groups_do_not_matter() -> None:
    rows, labels = images(a={0: 0.5, 1: 0.4}, b={6: 0.9}, c={3: 0.5, 4: 0.3})
    order = np.random.default_rng(1).permutation(len(rows))
    numbers = np.array([40, 2, 17])
    expected = words(rows, labels)
    found = guess(rows[order], numbers[labels][order], WORDS)
    assert list(found) == [2, 17, 40]
    assert [[one.word for one in found[number]] for number in numbers] == expected


def test_many_images_in_blocks() -> None:
    """More than fit in one block: the same shares as those of all at once."""
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(20, 0.05), 10_000).astype(np.float32)
    labels = rows.argmax(1) // 2
    found = guess(rows, labels, WORDS)
    for group, guesses in found.items():
        for one in guesses:
            members = sorted(WORDS.members[WORDS.words.index(one.word)])
            share = rows[labels == group][:, members].sum(1).mean()
            assert one.share == pytest.approx(float(share), rel=1e-4)
            assert one.lift == pytest.approx(float(share / rows[:, members].sum(1).mean()), rel=1e-4)
    assert sum(map(len, found.values())) > 10
