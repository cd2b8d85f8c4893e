"""Nothing a user has changes by accident: the groups of every method and preset are those on record.

Where the processor and the libraries are those of the record, to the last label; elsewhere the last bits of the
arithmetic differ, and with them single images: the groups must agree all the same.
"""

from __future__ import annotations

import json

import pytest
from golden import RECORD, SLOW, cases, groups, machine
from sklearn.metrics import adjusted_rand_score

KEPT = json.loads(RECORD.read_text())
SAME = KEPT["machine"] == machine()
LOOSE = 0.4  # of the adjusted Rand index, which is 0 by chance


@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.slow] * (case in SLOW)) for case in cases()])
def test_groups_are_those_on_record(case: str) -> None:
    found, wanted = groups(case), [int(label) for label in KEPT["labels"][case].split()]
    if SAME:
        assert found == wanted
    else:
        assert adjusted_rand_score(wanted, found) >= LOOSE


def test_every_method_is_on_record() -> None:
    assert set(KEPT["labels"]) == set(cases())
