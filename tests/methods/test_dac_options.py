"""Options of DAC: what is refused by name, and what the user should know before a long training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dac_parts import images, settings_of

from ilk.errors import ArgumentError
from ilk.methods import DAC, DeepCluster
from ilk.methods.dac.settings import BY_NETWORK, PRESETS, DACSettings, advice, for_images

# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_clusters": "auto"}, "without -m suggests one"),
        ({"n_clusters": 1}, "at least 2"),
        ({"n_clusters": 2.0}, "at least 2"),
        ({"random_state": -1}, "random_state"),
        ({"precision": "fp8"}, "precision"),
        ({"network": "minst"}, "Did you mean 'mnist'"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 1.5}, "batch_size=1.5"),
        ({"settings": {"loss": "squard"}}, "Did you mean 'squared'"),
        ({"settings": {"upper_threshold": 0.9}}, "two numbers"),
        ({"settings": {"lr": -1}}, "lr=-1"),
        ({"settings": {"selection": "some"}}, "selection='some'"),
        ({"preset": "paper", "settings": {"schedule": "linear"}}, "upper_threshold="),
        ({"epochs": "auto"}, "epochs='auto'"),
        ({"preset": "tiny", "settings": {"encoder": "nonsense"}}, "encoder='nonsense': a network is trained"),
        ({"preset": "keras_port", "settings": {"weights": "/no/file"}}, "weights='/no/file': a network is trained"),
        ({"network": "cifar", "settings": {"pool": "avg"}}, "pool='avg': a network is trained"),
        ({"preset": "quick", "image_size": 64}, "image_size=64: a frozen encoder"),
        ({"preset": "quick", "settings": {"image_size": 64}}, "image_size=64: a frozen encoder"),
        ({"image_size": "auto"}, "image_size='auto'"),
        ({"settings": {"chunk": "auto"}}, "chunk='auto'"),
        ({"settings": {"schedule": "auto"}}, "schedule='auto'"),
        ({"settings": {"targets": "auto"}}, "targets='auto'"),
        ({"settings": {"bn_affine": "auto"}}, "bn_affine='auto'"),
        ({"settings": {"lr": "auto"}}, "lr='auto'"),
        ({"batch_size": 1}, "batch_size=1: .* at least 2"),
        ({"settings": {"chunk": 1}}, "chunk=1: .* at least 2"),
        ({"settings": {"cuda_graphs": True, "selection": "random"}}, "selection='random'"),
        (
            {"preset": "keras_port", "settings": {"upper_threshold": [0.99, 0.8]}},
            "upper_threshold=.* nothing reads it with schedule=lambda",
        ),
        ({"preset": "paper", "settings": {"consistency": 1}}, "consistency=1: nothing reads it with targets=batch"),
        (
            {"preset": "small", "settings": {"steps_per_epoch": 9}},
            "steps_per_epoch=9: nothing reads it with targets=chunk",
        ),
        ({"preset": "tiny", "settings": {"consistency_of": "softmax"}}, "nothing reads it with consistency=0"),
        ({"preset": "quick", "settings": {"rotation": 9}}, "rotation=9: nothing reads it with network=features"),
        ({"preset": "small", "settings": {"upper_threshold": [0.5, 0.5]}}, "cannot be the smaller one"),
    ],
)
def test_wrong_options_are_named_before_any_work(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        DAC(**options).resolved()


def test_what_follows_from_the_network_may_be_auto_in_every_preset() -> None:
    follow = {key for key, option in DACSettings.options().items() if option.auto}
    follow -= {"network", "start_epochs", "target_batch"}
    for values in BY_NETWORK.values():
        assert set(values) == follow
    settings = for_images(DAC(preset="paper", settings=dict.fromkeys(follow, "auto")).resolved(), images(4, 28))
    assert {key: settings[key] for key in follow} == BY_NETWORK["mnist"]
    for preset in PRESETS:
        DAC(preset=preset).resolved()


@pytest.mark.parametrize("method", [DAC, DeepCluster])
def test_settings_that_nothing_reads_are_named_once_the_images_have_decided(method: type[DAC | DeepCluster]) -> None:
    model = method(2, settings={"encoder": "pixels"})
    assert model.resolved()["encoder"] == "pixels"  # photos on a CPU would read it
    with pytest.raises(ArgumentError, match="preset=quick"):
        model.fit(np.random.default_rng(0).integers(0, 256, (9, 8, 8), np.uint8))


def test_small_batches_for_many_groups_and_chunks_that_leave_images_out_are_said() -> None:
    settings = settings_of("released_dac", 32)
    assert "batch_size to 200" in advice(settings, 50, 10_000)[0]
    assert advice(settings, 10, 60_000) == []
    assert "500 of 10500" in advice(settings_of("released_star", 28), 10, 10_500)[0]
