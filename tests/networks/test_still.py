"""A network that several threads use: it stays in evaluation mode until the last of them is done."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from ilk.networks.dac import build_dac_net
from ilk.networks.still import still


@pytest.mark.parametrize("training", [True, False])
def test_as_it_was_in_the_end(training: bool) -> None:
    net = nn.Sequential(nn.Dropout()).train(training)
    with still(net), still(net):
        assert not net[0].training
    assert net.training is net[0].training is training
    with pytest.raises(KeyError), still(net):
        raise KeyError
    assert net.training is training


def in_turn(block) -> list:
    """Two threads in `block`: the first leaves while the second is inside; return what each saw then."""
    inside, first_left, seen = threading.Barrier(2), threading.Event(), []

    def first() -> None:
        with block() as look:
            inside.wait(10)
            seen.append(look())
        first_left.set()

    def second() -> None:
        with block() as look:
            inside.wait(10)
            assert first_left.wait(10)
            seen.append(look())

    threads = [threading.Thread(target=one) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


class Looking:
    """A block that gives a function to look with."""

    def __init__(self, block, look) -> None:
        self.block, self.look = block, look

    def __enter__(self):
        self.block.__enter__()
        return self.look

    def __exit__(self, *error: object) -> None:
        self.block.__exit__(*error)


def test_the_first_to_leave_changes_nothing() -> None:
    net = nn.BatchNorm1d(3)
    assert in_turn(lambda: Looking(still(net), lambda: net.training)) == [False, False]
    assert net.training


def test_fixed_statistics_too() -> None:
    net = build_dac_net("mnist", 1, 28, 3, affine=True, generator=torch.Generator().manual_seed(0))
    norms = net.norms()
    assert norms
    assert in_turn(lambda: Looking(net.fixed(), lambda: all(norm.fixed for norm in norms))) == [True, True]
    assert not any(norm.fixed for norm in norms)
