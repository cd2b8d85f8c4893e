"""TURTLE: its two networks beside PyTorch's own, its two terms, a stop within an epoch, encoders side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from torch import nn
from torch.nn import functional

import ilk
from ilk import compute
from ilk.errors import Interrupted
from ilk.methods import TURTLE
from ilk.methods.turtle.estimator import Classifier, Labelling, Labels

TRUTH = np.arange(90) % 3


def images(noise: float = 40) -> np.ndarray:
    """Ninety images of three patterns under heavy noise."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(80, 176, (3, 8, 8))
    return np.clip(patterns[TRUTH] + rng.normal(0, noise, (len(TRUTH), 8, 8)), 0, 255).astype(np.uint8)


def fitted(k: int = 3, seed: int = 0, **settings: Any) -> TURTLE:
    return TURTLE(k, encoder="pixels", preset="tiny", settings=settings, random_state=seed, device="cpu").fit(images())


def score(model: TURTLE) -> float:
    return float(adjusted_rand_score(TRUTH, model.labels_))


# -- the two networks --------------------------------------------------------------------------------------------------


def test_classifiers_learn_as_with_torch() -> None:
    draws = compute.generator(0)
    x, target = torch.randn(40, 6, generator=draws), torch.randn(40, 4, generator=draws).softmax(1)
    ours, theirs = Classifier(6, 4, draws, torch.device("cpu")), nn.Linear(6, 4)
    with torch.no_grad():
        theirs.weight.copy_(ours.weight[:, :-1])
        theirs.bias.copy_(ours.weight[:, -1])
    adam = torch.optim.Adam(theirs.parameters(), 0.05)
    for _ in range(12):
        adam.zero_grad()
        functional.cross_entropy(theirs(x), target).backward()
        adam.step()
    for _ in range(3):  # a warm start goes on with the same moments
        ours.learn(x, target, 4, 0.05)
    assert torch.allclose(ours(x), theirs(x), atol=1e-4)


def test_labelling_is_the_mean_of_weight_normalised_encoders() -> None:
    network = Labelling([3, 5], 4, compute.generator(0))
    rows = torch.randn(7, 8, generator=compute.generator(1))
    found = []
    for i, part in enumerate(rows.split([3, 5], 1)):
        layer = nn.utils.parametrizations.weight_norm(nn.Linear(part.shape[1], 4))
        with torch.no_grad():
            layer.weight = network.directions[i].detach()
            layer.bias.copy_(network.biases[i])
        assert torch.allclose(layer.parametrizations.weight.original0.flatten(), network.lengths[i])
        found.append(layer(part).softmax(1))
    assert torch.allclose(network.probabilities(rows), torch.stack(found).mean(0), atol=1e-6)


# -- the two terms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["cold", "warm"])
def test_finds_groups_under_noise(start: str) -> None:
    assert score(fitted(start=start)) > 0.9


def test_raw_features_are_what_the_encoder_gives() -> None:
    model = fitted(features="raw", steps=1)
    rows = torch.from_numpy(model.transform(images()))
    given = model.network_.probabilities(rows).detach().numpy()
    assert np.allclose(model.probabilities_, given, atol=1e-3)
    assert not np.allclose(fitted(steps=1).probabilities_, given, atol=1e-3)


def test_finds_none_without_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = [score(fitted(seed=seed)) for seed in range(3)]
    monkeypatch.setattr(Labels, "disagreement", lambda self, parts, labelling: labelling.sum() * 0)
    without = [score(fitted(seed=seed)) for seed in range(3)]
    assert min(scores) > 0.9
    assert max(without) < 0.7


def test_finds_none_with_classifiers_that_do_not_learn() -> None:
    assert max(score(fitted(seed=seed, inner_lr=0.0)) for seed in range(3)) < 0.7


def test_without_entropy_groups_are_lost() -> None:
    for seed in range(3):
        assert np.bincount(fitted(6, seed, steps=200).labels_, minlength=6).min() > 8  # of 15 if all were alike
        assert np.bincount(fitted(6, seed, steps=200, gamma=0.0).labels_, minlength=6).min() < 4


# -- leaving, keeping, joined encoders ---------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["cold", "warm"])
@pytest.mark.parametrize("after", [7, 130, 205])
def test_left_within_an_epoch_it_goes_on_to_the_bit(start: str, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.methods.training.loop.SHOW_EVERY", 0.0)
    monkeypatch.setattr("ilk.methods.training.loop.LEAVE_EVERY", 0.0)
    table = {"start": start, "steps": 210, "batch_size": 30}
    seen: list[Any] = []
    kept: dict[str, Any] = {}

    def stop(record: dict[str, Any], state: Any) -> bool:
        if not (now := state()):
            return False  # nothing is trained yet
        seen.append(record)
        if len(seen) == after:
            kept.update(now)
        return bool(kept)

    def model() -> TURTLE:
        return TURTLE(3, encoder="pixels", preset="tiny", settings=table, random_state=0, device="cpu")

    with pytest.raises(Interrupted):
        model().fit(images(), on_epoch=stop)
    assert "epoch" not in seen[-1]
    straight, again = model().fit(images()), model().fit(images(), resume=kept)
    assert np.array_equal(straight.probabilities_, again.probabilities_)
    losses = [[r for r in one.history_ if "epoch" in r] for one in (straight, again)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 3


def test_joined_encoders_are_two_spaces(tmp_path: Path) -> None:
    model = TURTLE(3, encoder="pixels+classic", preset="tiny", random_state=0, device="cpu").fit(images(10))
    widths = [part.n_features for part in model.encoder_.parts]
    assert [len(v[0]) for v in model.network_.directions] == widths
    assert len(widths) == 2
    rows = model.network_.spaces(torch.from_numpy(model.transform(images(10))))
    assert [part.shape[1] for part in rows] == widths
    again = ilk.load(model.save(tmp_path / "m"))
    assert np.array_equal(again.predict(images(10)), model.labels_)
    assert score(model) > 0.9
