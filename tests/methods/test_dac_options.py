"""Options of DAC: what is refused by name, and what the user should know before a long training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dac_parts import images, table_of

from ilk.errors import ArgumentError
from ilk.methods import DAC, DeepCluster
from ilk.methods.dac import config as setup
from ilk.methods.dac.presets import BY_NETWORK, FOLLOWS, PRESETS

# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_clusters": "auto"}, "without -m dac suggests one"),
        ({"n_clusters": 1}, "at least 2"),
        ({"n_clusters": 2.0}, "at least 2"),
        ({"random_state": -1}, "random_state"),
        ({"precision": "fp8"}, "precision"),
        ({"network": "minst"}, "Did you mean 'mnist'"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 1.5}, "batch_size=1.5"),
        ({"settings": {"loss": "squard"}}, "Did you mean 'squared'"),
        ({"settings": {"upper": 0.9}}, "two numbers"),
        ({"settings": {"lr": -1}}, "lr=-1"),
        ({"settings": {"selection": "some"}}, "selection='some'"),
        ({"preset": "paper", "settings": {"schedule": "linear"}}, "upper="),
        ({"epochs": "auto"}, "epochs='auto'"),
        ({"preset": "tiny", "settings": {"encoder": "nonsense"}}, "encoder='nonsense': a network is trained"),
        ({"preset": "seed", "settings": {"weights": "/no/file"}}, "weights='/no/file': a network is trained"),
        ({"network": "cifar", "settings": {"pool": "avg"}}, "pool='avg': a network is trained"),
        ({"preset": "quick", "image_size": 64}, "image_size=64: a frozen encoder"),
        ({"preset": "quick", "settings": {"image_size": 64}}, "image_size=64: a frozen encoder"),
        ({"image_size": "auto"}, "image_size='auto'"),
        ({"settings": {"chunk": "auto"}}, "chunk='auto'"),
        ({"settings": {"schedule": "auto"}}, "schedule='auto'"),
        ({"settings": {"targets": "auto"}}, "targets='auto'"),
        ({"settings": {"affine": "auto"}}, "affine='auto'"),
        ({"settings": {"lr": "auto"}}, "lr='auto'"),
        ({"batch_size": 1}, "batch_size=1: .* at least 2"),
        ({"settings": {"chunk": 1}}, "chunk=1: .* at least 2"),
        ({"settings": {"graph": True, "selection": "random"}}, "selection='random'"),
        ({"preset": "seed", "settings": {"upper": [0.99, 0.8]}}, "upper=.* nothing reads it with schedule=lambda"),
        ({"preset": "paper", "settings": {"consistency": 1}}, "consistency=1: nothing reads it with targets=batch"),
        ({"preset": "small", "settings": {"steps": 9}}, "steps=9: nothing reads it with targets=chunk"),
        ({"preset": "tiny", "settings": {"consistency_of": "softmax"}}, "nothing reads it with consistency=0"),
        ({"preset": "quick", "settings": {"rotation": 9}}, "rotation=9: nothing reads it with network=features"),
        ({"preset": "small", "settings": {"upper": [0.5, 0.5]}}, "cannot be the smaller one"),
    ],
)
def test_wrong_options_are_named_before_any_work(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        DAC(**options).resolved()


def test_what_follows_from_the_network_may_be_auto_in_every_preset() -> None:
    table = setup.fill(DAC(preset="paper", settings=dict.fromkeys(FOLLOWS, "auto")).resolved(), images(4, 28))
    assert {key: table[key] for key in FOLLOWS} == BY_NETWORK["mnist"]
    for preset in PRESETS:
        DAC(preset=preset).resolved()


@pytest.mark.parametrize("method", [DAC, DeepCluster])
def test_settings_that_nothing_reads_are_named_once_the_images_have_decided(method: type[DAC | DeepCluster]) -> None:
    model = method(2, settings={"encoder": "pixels"})
    assert model.resolved()["encoder"] == "pixels"  # photos on a CPU would read it
    with pytest.raises(ArgumentError, match="preset=quick"):
        model.fit(np.random.default_rng(0).integers(0, 256, (9, 8, 8), np.uint8))


def test_small_batches_for_many_groups_and_chunks_that_leave_images_out_are_said() -> None:
    table = table_of("released_dac", 32)
    assert "batch_size to 200" in setup.advice(table, 50, 10_000)[0]
    assert setup.advice(table, 10, 60_000) == []
    assert "500 of 10500" in setup.advice(table_of("released_star", 28), 10, 10_500)[0]
